//! Payloads of media servers, read into [`WebhookEvent`]s. Every field is optional and may be a number or a text, since
//! templates and versions differ; an event that is not known is skipped, not refused.

mod node;

use chrono::{DateTime, Utc};
use serde_json::Value;

use self::node::Node;
use super::Provider;
use crate::models::{MovieId, Progress, Rating};

#[cfg(test)]
mod tests;

/// .NET's ticks of 100 ns, as Jellyfin and Emby send them.
const TICKS_PER_SECOND: i64 = 10_000_000;

/// The reason why a payload cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The body is not a JSON object, or too deep.
    #[error("the payload is not a JSON object")]
    NotAnObject,
    /// The payload names no event.
    #[error("the payload names no event")]
    NoEvent,
}

/// A user of the server, by name and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerUser {
    /// The name.
    pub name: Option<String>,
    /// The id.
    pub id: Option<String>,
}

impl ServerUser {
    /// True if `wanted` is the name, ignoring case, or the id.
    pub fn is(&self, wanted: &str) -> bool {
        let wanted = wanted.to_lowercase();
        self.keys().any(|key| key == wanted)
    }

    /// The name and the id, in lower case.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        [&self.name, &self.id]
            .into_iter()
            .flatten()
            .map(|key| key.to_lowercase())
    }
}

/// A movie as the server names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerMovie {
    /// TMDB's id.
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id.
    pub imdb_id: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The year of release.
    pub year: Option<i32>,
}

/// The action that an event reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAction {
    /// The movie is played, and has been watched up to this position if known.
    Progress(Option<Progress>),
    /// The movie was watched to its end, and played up to this position if known.
    Completed(Option<Progress>),
    /// The user marked the movie as played.
    MarkedPlayed,
    /// The user marked the movie as not played.
    MarkedUnplayed,
    /// The user rated the movie, or took the rating back.
    Rated(Option<Rating>),
    /// The event does not count, for this reason.
    Skipped(&'static str),
}

/// An event of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The server's name of it.
    pub name: String,
    /// The user.
    pub user: ServerUser,
    /// The movie.
    pub movie: ServerMovie,
    /// The action.
    pub action: EventAction,
    /// The event's own time, `None` if the server does not send it.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// Reads the payload of a delivery.
///
/// # Errors
/// [`PayloadError`] if it is not a JSON object, or names no event.
pub fn parse(provider: Provider, body: &[u8]) -> Result<WebhookEvent, PayloadError> {
    let value: Value = serde_json::from_slice(body).map_err(|_| PayloadError::NotAnObject)?;
    if !value.is_object() {
        return Err(PayloadError::NotAnObject);
    }
    let value = Node::new(&value);
    let event = match provider {
        Provider::Jellyfin if value.get("Item").is_some() => emby(value),
        Provider::Jellyfin => jellyfin(value),
        Provider::Plex => plex(value),
        Provider::Emby => emby(value),
        Provider::Kodi if value.get("method").is_some() => kodi(value),
        Provider::Kodi => scrobble(value),
    };
    event.ok_or(PayloadError::NoEvent)
}

fn progress(position: Option<i64>, duration: Option<i64>) -> Option<Progress> {
    let duration = i32::try_from(duration?).ok()?;
    // Players report positions beyond the end.
    let position = i32::try_from(position?).ok()?.min(duration);
    Progress::new(position, duration)
}

/// A rating of 0 to 10; 0 and below is none.
fn rating(of_ten: f64) -> Option<Rating> {
    if of_ten <= 0.0 {
        return None;
    }
    Rating::from_half_stars(of_ten.round().clamp(1.0, 10.0) as i16)
}

fn imdb(id: Option<String>) -> Option<String> {
    let digits = id.as_deref()?.strip_prefix("tt")?;
    let is_id =
        (7..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    id.filter(|_| is_id)
}

fn year(node: Node<'_>) -> Option<i32> {
    node.integer().and_then(|year| i32::try_from(year).ok())
}

/// The kinds of items that are movies; all others are skipped.
fn is_movie(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case("movie"))
}

const NOT_A_MOVIE: &str = "the item is not a movie";
const NOT_COUNTED: &str = "the event does not count";
const NO_CHANGE: &str = "the event changes no state of the user";

/// The flat payload of Jellyfin's webhook plugin.
fn jellyfin(value: Node<'_>) -> Option<WebhookEvent> {
    let name = value.any(&["NotificationType"]).text()?;
    let ticks = |key: &str| {
        value
            .any(&[key])
            .integer()
            .map(|ticks| ticks / TICKS_PER_SECOND)
    };
    let played = progress(ticks("PlaybackPositionTicks"), ticks("RunTimeTicks"));
    let completed = value.any(&["PlayedToCompletion"]).boolean();
    let completed = completed.unwrap_or(played.is_some_and(Progress::is_complete));
    let reason = value.any(&["SaveReason"]).text().unwrap_or_default();
    let action = if !is_movie(value.any(&["ItemType"]).text().as_deref()) {
        EventAction::Skipped(NOT_A_MOVIE)
    } else {
        match (name.as_str(), reason.as_str()) {
            ("PlaybackStop", _) if completed => EventAction::Completed(played),
            ("PlaybackStart" | "PlaybackProgress" | "PlaybackStop", _) => {
                EventAction::Progress(played)
            }
            ("UserDataSaved", "TogglePlayed") => match value.any(&["Played"]).boolean() {
                Some(true) => EventAction::MarkedPlayed,
                Some(false) => EventAction::MarkedUnplayed,
                None => EventAction::Skipped(NOT_COUNTED),
            },
            ("UserDataSaved", "UpdateUserRating") => {
                EventAction::Rated(value.any(&["Rating"]).number().and_then(rating))
            }
            // Sent beside the events of the player.
            ("UserDataSaved", _) => EventAction::Skipped(NO_CHANGE),
            _ => EventAction::Skipped(NOT_COUNTED),
        }
    };
    Some(WebhookEvent {
        user: ServerUser {
            name: value.any(&["NotificationUsername", "Username"]).text(),
            id: value.any(&["UserId"]).text(),
        },
        movie: ServerMovie {
            tmdb_id: value
                .any(&["Provider_tmdb"])
                .integer()
                .and_then(MovieId::new),
            imdb_id: imdb(value.any(&["Provider_imdb"]).text()),
            title: value.any(&["Name"]).text(),
            year: year(value.any(&["Year"])),
        },
        action,
        occurred_at: value
            .any(&["UtcTimestamp"])
            .instant()
            .or_else(|| value.any(&["Timestamp"]).instant()),
        name,
    })
}

/// The payload of Emby, and of Jellyfin's unofficial plugin, which has other names for the events.
fn emby(value: Node<'_>) -> Option<WebhookEvent> {
    let name = value.any(&["Event", "NotificationType"]).text()?;
    let (item, playback) = (
        value.any(&["Item"]),
        value.any(&["PlaybackInfo", "Session"]),
    );
    let data = item.any(&["UserData"]);
    let seconds = |node: Node<'_>| node.integer().map(|ticks| ticks / TICKS_PER_SECOND);
    let position = seconds(playback.any(&["PositionTicks"]))
        .or_else(|| seconds(playback.any(&["PlayState"]).any(&["PositionTicks"])))
        .or_else(|| seconds(data.any(&["PlaybackPositionTicks"])));
    let played = progress(position, seconds(item.any(&["RunTimeTicks"])));
    let completed = playback.any(&["PlayedToCompletion"]).boolean();
    let completed = completed.unwrap_or(played.is_some_and(Progress::is_complete));
    let action = if !is_movie(item.any(&["Type"]).text().as_deref()) {
        EventAction::Skipped(NOT_A_MOVIE)
    } else {
        match name.to_lowercase().as_str() {
            "playback.stop" | "stop" if completed => EventAction::Completed(played),
            "playback.scrobble" | "scrobble" => EventAction::Completed(played),
            "playback.start" | "playback.pause" | "playback.unpause" | "playback.progress"
            | "playback.stop" | "play" | "pause" | "resume" | "progress" | "stop" => {
                EventAction::Progress(played)
            }
            "item.markplayed" | "markplayed" => EventAction::MarkedPlayed,
            "item.markunplayed" | "markunplayed" => EventAction::MarkedUnplayed,
            "item.rate" | "rate" if data.any(&["Rating"]).is_some() => {
                EventAction::Rated(data.any(&["Rating"]).number().and_then(rating))
            }
            // A favourite, which is no rating.
            "item.rate" | "rate" => EventAction::Skipped(NO_CHANGE),
            _ => EventAction::Skipped(NOT_COUNTED),
        }
    };
    let (user, ids) = (value.any(&["User"]), item.any(&["ProviderIds"]));
    Some(WebhookEvent {
        user: ServerUser {
            name: user.any(&["Name"]).text(),
            id: user.any(&["Id"]).text(),
        },
        movie: ServerMovie {
            tmdb_id: ids.any(&["Tmdb"]).integer().and_then(MovieId::new),
            imdb_id: imdb(ids.any(&["Imdb"]).text()),
            title: item.any(&["Name"]).text(),
            year: year(item.any(&["ProductionYear"])),
        },
        action,
        occurred_at: value.any(&["Date", "UtcTimestamp", "Timestamp"]).instant(),
        name,
    })
}

/// The `payload` of Plex. Its events have no time of their own but the item's `lastViewedAt` and `lastRatedAt`.
fn plex(value: Node<'_>) -> Option<WebhookEvent> {
    let name = value.get("event").text()?;
    let item = value.get("Metadata");
    let seconds = |key: &str| {
        item.get(key)
            .integer()
            .map(|milliseconds| milliseconds / 1000)
    };
    let played = progress(seconds("viewOffset"), seconds("duration"));
    let rated = [value.get("rating"), item.get("userRating")];
    let rated = rated.into_iter().find_map(Node::number);
    let action = if !is_movie(item.get("type").text().as_deref()) {
        EventAction::Skipped(NOT_A_MOVIE)
    } else {
        match name.as_str() {
            "media.scrobble" => EventAction::Completed(played),
            "media.play" | "media.pause" | "media.resume" | "media.stop" => {
                EventAction::Progress(played)
            }
            "media.rate" => EventAction::Rated(rated.and_then(rating)),
            _ => EventAction::Skipped(NOT_COUNTED),
        }
    };
    // Present agents list ids in `Guid`, legacy ones have one in `guid`, with a query.
    let guids: Vec<String> = item
        .get("Guid")
        .items()
        .filter_map(|guid| guid.get("id").text())
        .chain(item.get("guid").text())
        .collect();
    let id = |schemes: [&str; 2]| {
        guids.iter().find_map(|guid| {
            let (scheme, id) = guid.split_once("://")?;
            let id = id.split(['?', '/']).next()?;
            schemes.contains(&scheme).then(|| id.to_owned())
        })
    };
    let tmdb_id = id(["tmdb", "com.plexapp.agents.themoviedb"]);
    let time = if name == "media.rate" {
        "lastRatedAt"
    } else {
        "lastViewedAt"
    };
    Some(WebhookEvent {
        user: ServerUser {
            name: value.get("Account").get("title").text(),
            id: value.get("Account").get("id").text(),
        },
        movie: ServerMovie {
            tmdb_id: tmdb_id
                .and_then(|id| id.parse().ok())
                .and_then(MovieId::new),
            imdb_id: imdb(id(["imdb", "com.plexapp.agents.imdb"])),
            title: item.get("title").text(),
            year: year(item.get("year")),
        },
        action,
        occurred_at: item.get(time).instant(),
        name,
    })
}

/// A notification of Kodi's JSON-RPC, as add-ons forward it.
fn kodi(value: Node<'_>) -> Option<WebhookEvent> {
    let name = value.get("method").text()?;
    let data = value.get("params").get("data");
    let item = data.get("item");
    let ids = [item.get("uniqueid"), data.get("uniqueid")];
    let id = |key: &str| {
        ids.into_iter()
            .map(|ids| ids.any(&[key]))
            .find(|id| id.is_some())
    };
    let player = data.get("player");
    let seconds = |node: Node<'_>| match node.integer() {
        Some(seconds) => Some(seconds),
        None => {
            let part = |key| node.get(key).integer();
            Some(part("hours")? * 3600 + part("minutes")? * 60 + part("seconds")?)
        }
    };
    let time = seconds(player.any(&["time"])).or_else(|| seconds(data.any(&["time"])));
    let total = seconds(player.any(&["totaltime"])).or_else(|| seconds(data.any(&["totaltime"])));
    let played = progress(time, total.or_else(|| item.get("runtime").integer()));
    let count = data.get("playcount").integer();
    let action = if !is_movie(item.get("type").text().as_deref()) {
        EventAction::Skipped(NOT_A_MOVIE)
    } else {
        match (name.as_str(), count) {
            ("Player.OnStop", _) if data.get("end").boolean() == Some(true) => {
                EventAction::Completed(played)
            }
            (
                "Player.OnPlay" | "Player.OnPause" | "Player.OnResume" | "Player.OnSeek"
                | "Player.OnStop",
                _,
            ) => EventAction::Progress(played),
            ("VideoLibrary.OnUpdate", Some(0)) => EventAction::MarkedUnplayed,
            ("VideoLibrary.OnUpdate", Some(_)) => EventAction::MarkedPlayed,
            ("VideoLibrary.OnUpdate", None) if data.get("userrating").is_some() => {
                EventAction::Rated(data.get("userrating").number().and_then(rating))
            }
            _ => EventAction::Skipped(NOT_COUNTED),
        }
    };
    Some(WebhookEvent {
        user: ServerUser {
            name: value.any(&["user", "profile"]).text(),
            id: None,
        },
        movie: ServerMovie {
            tmdb_id: id("tmdb").and_then(Node::integer).and_then(MovieId::new),
            imdb_id: imdb(id("imdb").and_then(Node::text)),
            title: item.get("title").text(),
            year: year(item.get("year")),
        },
        action,
        occurred_at: value.any(&["timestamp", "time"]).instant(),
        name,
    })
}

/// Trakt's scrobble body, with the action and the time added, as scrobblers of Kodi send it.
fn scrobble(value: Node<'_>) -> Option<WebhookEvent> {
    let name = value.any(&["event", "action"]).text()?;
    let item = value.any(&["movie"]);
    let ids = item.any(&["ids"]);
    let minutes = item.any(&["runtime"]).integer();
    let percent = value
        .any(&["progress"])
        .number()
        .map(|percent| percent.clamp(0.0, 100.0));
    let duration = value
        .any(&["duration", "totaltime"])
        .integer()
        .or(minutes.map(|minutes| minutes * 60));
    let position = value.any(&["position", "time"]).integer().or_else(|| {
        let duration = duration? as f64;
        Some((duration * percent? / 100.0) as i64)
    });
    let played = progress(position, duration);
    // Where Trakt counts a stop as a scrobble.
    let reached_end = percent.is_some_and(|percent| percent >= 80.0);
    let action = if !item.is_some() {
        EventAction::Skipped(NOT_A_MOVIE)
    } else {
        let event = name.to_lowercase();
        match event.rsplit(['/', '.']).next().unwrap_or_default() {
            "stop" if reached_end => EventAction::Completed(played),
            "scrobble" | "completed" => EventAction::Completed(played),
            "start" | "play" | "pause" | "resume" | "progress" | "stop" => {
                EventAction::Progress(played)
            }
            "watched" | "played" | "markplayed" => EventAction::MarkedPlayed,
            "unwatched" | "unplayed" | "markunplayed" => EventAction::MarkedUnplayed,
            "rate" | "rating" | "rated" => {
                EventAction::Rated(value.any(&["rating"]).number().and_then(rating))
            }
            _ => EventAction::Skipped(NOT_COUNTED),
        }
    };
    let user = value.any(&["user"]);
    Some(WebhookEvent {
        user: ServerUser {
            name: user
                .text()
                .or_else(|| user.any(&["name", "username"]).text()),
            id: user.any(&["id"]).text(),
        },
        movie: ServerMovie {
            tmdb_id: ids.any(&["tmdb"]).integer().and_then(MovieId::new),
            imdb_id: imdb(ids.any(&["imdb"]).text()),
            title: item.any(&["title"]).text(),
            year: year(item.any(&["year"])),
        },
        action,
        occurred_at: value
            .any(&["timestamp", "occurred_at", "watched_at", "rated_at"])
            .instant(),
        name,
    })
}
