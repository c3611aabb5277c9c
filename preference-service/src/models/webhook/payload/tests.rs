//! Fixtures with the field names of each server's deliveries.

use serde_json::json;

use super::*;

fn read(provider: Provider, payload: &Value) -> WebhookEvent {
    parse(provider, payload.to_string().as_bytes()).expect("an event")
}

fn at(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(text).expect("a time").to_utc())
}

fn minutes(position: i32, duration: i32) -> Option<Progress> {
    Progress::new(position * 60, duration * 60)
}

#[test]
fn jellyfin_reports_playback_marks_and_ratings() {
    let base = json!({
        "ServerId": "f1d3", "ServerName": "attic", "ServerVersion": "10.9.11",
        "Timestamp": "2026-02-13T09:15:42.1234567+01:00", "UtcTimestamp": "2026-02-13T08:15:42.1234567Z",
        "Name": "The Matrix", "ItemId": "9c2e", "ItemType": "Movie", "Year": 1999,
        "RunTimeTicks": "81600000000", "RunTime": "02:16:00",
        "Provider_tmdb": "603", "Provider_imdb": "tt0133093",
        "NotificationUsername": "Living Room", "UserId": "a1b2",
    });
    let with = |more: Value| {
        let mut payload = base.clone();
        let members = more.as_object().expect("members").clone();
        payload.as_object_mut().expect("an object").extend(members);
        payload
    };
    for (more, action) in [
        (
            json!({"NotificationType": "PlaybackProgress", "PlaybackPositionTicks": 12_600_000_000_i64}),
            EventAction::Progress(minutes(21, 136)),
        ),
        (
            json!({"NotificationType": "PlaybackStop", "PlaybackPositionTicks": 80_000_000_000_i64,
                   "PlayedToCompletion": "True"}),
            EventAction::Completed(Progress::new(8000, 8160)),
        ),
        (
            json!({"NotificationType": "PlaybackStop", "PlaybackPositionTicks": 600_000_000,
                   "PlayedToCompletion": false}),
            EventAction::Progress(minutes(1, 136)),
        ),
        (
            json!({"NotificationType": "PlaybackStop", "PlaybackPositionTicks": 80_000_000_000_i64}),
            EventAction::Completed(Progress::new(8000, 8160)),
        ),
        (
            json!({"NotificationType": "UserDataSaved", "SaveReason": "TogglePlayed", "Played": true}),
            EventAction::MarkedPlayed,
        ),
        (
            json!({"NotificationType": "UserDataSaved", "SaveReason": "TogglePlayed", "Played": false}),
            EventAction::MarkedUnplayed,
        ),
        (
            json!({"NotificationType": "UserDataSaved", "SaveReason": "UpdateUserRating", "Rating": 8.0}),
            EventAction::Rated(Rating::from_half_stars(8)),
        ),
        (
            json!({"NotificationType": "UserDataSaved", "SaveReason": "PlaybackFinished", "Played": true}),
            EventAction::Skipped(NO_CHANGE),
        ),
        (
            json!({"NotificationType": "ItemAdded"}),
            EventAction::Skipped(NOT_COUNTED),
        ),
        (
            json!({"NotificationType": "PlaybackStop", "ItemType": "Episode", "PlayedToCompletion": true}),
            EventAction::Skipped(NOT_A_MOVIE),
        ),
    ] {
        let event = read(Provider::Jellyfin, &with(more.clone()));
        assert_eq!(event.action, action, "{more}");
        assert_eq!(event.occurred_at, at("2026-02-13T08:15:42.1234567Z"));
        assert_eq!(event.movie.tmdb_id, MovieId::new(603));
        assert_eq!(event.movie.imdb_id.as_deref(), Some("tt0133093"));
        assert!(event.user.is("living room") && event.user.is("A1B2"));
    }
}

#[test]
fn plex_reports_the_view_offset_in_milliseconds_and_ids_in_guids() {
    let payload = |event: &str| {
        json!({
            "event": event, "user": true, "owner": true,
            "Account": {"id": 1, "thumb": "", "title": "living room"},
            "Server": {"title": "attic", "uuid": "54664a3d"},
            "Player": {"local": true, "title": "television", "uuid": "r6yf"},
            "Metadata": {
                "librarySectionType": "movie", "ratingKey": "1936545", "type": "movie",
                "title": "The Matrix", "year": 1999, "guid": "plex://movie/5d776825880197001ec967c6",
                "Guid": [{"id": "imdb://tt0133093"}, {"id": "tmdb://603"}, {"id": "tvdb://169"}],
                "viewOffset": 1_260_000, "duration": 8_160_000, "lastViewedAt": 1_770_970_542,
                "lastRatedAt": 1_770_970_600, "userRating": 7,
            },
        })
    };
    for (name, action, time) in [
        (
            "media.play",
            EventAction::Progress(minutes(21, 136)),
            "2026-02-13T08:15:42Z",
        ),
        (
            "media.pause",
            EventAction::Progress(minutes(21, 136)),
            "2026-02-13T08:15:42Z",
        ),
        (
            "media.scrobble",
            EventAction::Completed(minutes(21, 136)),
            "2026-02-13T08:15:42Z",
        ),
        (
            "media.rate",
            EventAction::Rated(Rating::from_half_stars(7)),
            "2026-02-13T08:16:40Z",
        ),
        (
            "library.new",
            EventAction::Skipped(NOT_COUNTED),
            "2026-02-13T08:15:42Z",
        ),
    ] {
        let event = read(Provider::Plex, &payload(name));
        assert_eq!(
            (event.action, event.occurred_at),
            (action, at(time)),
            "{name}"
        );
        assert_eq!(event.movie.tmdb_id, MovieId::new(603));
        assert!(event.user.is("Living Room") && event.user.is("1"));
    }
    let mut legacy = payload("media.scrobble");
    legacy["Metadata"]["Guid"] = Value::Null;
    legacy["Metadata"]["guid"] = json!("com.plexapp.agents.imdb://tt0133093?lang=en");
    let event = read(Provider::Plex, &legacy);
    assert_eq!(event.movie.imdb_id.as_deref(), Some("tt0133093"));
    let mut episode = payload("media.scrobble");
    episode["Metadata"]["type"] = json!("episode");
    assert_eq!(
        read(Provider::Plex, &episode).action,
        EventAction::Skipped(NOT_A_MOVIE)
    );
}

#[test]
fn emby_reports_playback_and_marks() {
    let payload = |event: &str, more: &Value| {
        let mut payload = json!({
            "Title": "a title", "Date": "2026-02-13T08:15:42.0000000Z", "Event": event,
            "User": {"Name": "living room", "Id": "a1b2"}, "Server": {"Name": "attic", "Id": "f1d3"},
            "Item": {
                "Name": "The Matrix", "Id": "42", "Type": "Movie", "ProductionYear": 1999,
                "RunTimeTicks": 81_600_000_000_i64, "ProviderIds": {"Tmdb": "603", "IMDB": "tt0133093"},
                "UserData": {"PlaybackPositionTicks": 0, "PlayCount": 1, "IsFavorite": false, "Played": true},
            },
        });
        let members = more.as_object().expect("members").clone();
        payload.as_object_mut().expect("an object").extend(members);
        payload
    };
    let playback = json!({"PlaybackInfo": {"PositionTicks": 12_600_000_000_i64}});
    let completed =
        json!({"PlaybackInfo": {"PositionTicks": 81_600_000_000_i64, "PlayedToCompletion": true}});
    for (name, more, action) in [
        (
            "playback.start",
            &playback,
            EventAction::Progress(minutes(21, 136)),
        ),
        (
            "playback.stop",
            &playback,
            EventAction::Progress(minutes(21, 136)),
        ),
        (
            "playback.stop",
            &completed,
            EventAction::Completed(minutes(136, 136)),
        ),
        ("item.markplayed", &json!({}), EventAction::MarkedPlayed),
        ("item.markunplayed", &json!({}), EventAction::MarkedUnplayed),
        ("item.rate", &json!({}), EventAction::Skipped(NO_CHANGE)),
        ("library.new", &json!({}), EventAction::Skipped(NOT_COUNTED)),
    ] {
        let event = read(Provider::Emby, &payload(name, more));
        assert_eq!(event.action, action, "{name}");
        assert_eq!(event.occurred_at, at("2026-02-13T08:15:42Z"));
        assert_eq!(
            (
                event.movie.tmdb_id,
                event.movie.imdb_id.as_deref(),
                event.movie.year
            ),
            (MovieId::new(603), Some("tt0133093"), Some(1999))
        );
    }
    // Jellyfin's unofficial plugin has the same layout and other names.
    let marked = payload("MarkPlayed", &json!({}));
    assert_eq!(
        read(Provider::Jellyfin, &marked).action,
        EventAction::MarkedPlayed
    );
}

#[test]
fn kodi_sends_notifications_or_scrobbles() {
    let movie = json!({"type": "movie", "title": "The Matrix", "year": 1999,
                       "uniqueid": {"imdb": "tt0133093", "tmdb": "603"}});
    let notification = |method: &str, data: Value| {
        json!({"jsonrpc": "2.0", "method": method, "timestamp": "2026-02-13T08:15:42Z",
               "user": "living room", "params": {"sender": "xbmc", "data": data}})
    };
    let time = json!({"time": {"hours": 0, "minutes": 21, "seconds": 0},
                      "totaltime": {"hours": 2, "minutes": 16, "seconds": 0}});
    for (payload, action) in [
        (
            notification("Player.OnPause", json!({"item": movie, "player": time})),
            EventAction::Progress(minutes(21, 136)),
        ),
        (
            notification("Player.OnStop", json!({"item": movie, "end": true})),
            EventAction::Completed(None),
        ),
        (
            notification("Player.OnStop", json!({"item": movie, "end": false})),
            EventAction::Progress(None),
        ),
        (
            notification(
                "VideoLibrary.OnUpdate",
                json!({"item": movie, "playcount": 1}),
            ),
            EventAction::MarkedPlayed,
        ),
        (
            notification(
                "VideoLibrary.OnUpdate",
                json!({"item": movie, "playcount": 0}),
            ),
            EventAction::MarkedUnplayed,
        ),
        (
            notification(
                "VideoLibrary.OnUpdate",
                json!({"item": {"type": "episode"}, "playcount": 1}),
            ),
            EventAction::Skipped(NOT_A_MOVIE),
        ),
    ] {
        let event = read(Provider::Kodi, &payload);
        assert_eq!(event.action, action, "{payload}");
        assert_eq!(event.occurred_at, at("2026-02-13T08:15:42Z"));
        assert!(event.user.is("living room"));
    }
    let scrobble = |action: &str, progress: f64| {
        json!({"action": action, "progress": progress, "timestamp": "2026-02-13T08:15:42Z", "rating": 9,
               "movie": {"title": "The Matrix", "year": 1999, "runtime": 136,
                         "ids": {"trakt": 481, "slug": "the-matrix-1999", "imdb": "tt0133093", "tmdb": 603}}})
    };
    for (name, progress, action) in [
        ("start", 50.0, EventAction::Progress(minutes(68, 136))),
        (
            "scrobble/stop",
            40.0,
            EventAction::Progress(Progress::new(3264, 8160)),
        ),
        ("stop", 100.0, EventAction::Completed(minutes(136, 136))),
        ("rate", 0.0, EventAction::Rated(Rating::from_half_stars(9))),
        ("unwatched", 0.0, EventAction::MarkedUnplayed),
    ] {
        let event = read(Provider::Kodi, &scrobble(name, progress));
        assert_eq!(event.action, action, "{name}");
        assert_eq!(event.movie.tmdb_id, MovieId::new(603));
    }
    let episode = json!({"action": "stop", "progress": 100, "episode": {"season": 1}});
    assert_eq!(
        read(Provider::Kodi, &episode).action,
        EventAction::Skipped(NOT_A_MOVIE)
    );
}

#[test]
fn what_is_no_payload_is_refused_and_what_is_odd_is_read() {
    for provider in [
        Provider::Jellyfin,
        Provider::Plex,
        Provider::Emby,
        Provider::Kodi,
    ] {
        for body in ["", "[]", "1", "null", "<xml/>", "{\"event\":"] {
            assert_eq!(
                parse(provider, body.as_bytes()),
                Err(PayloadError::NotAnObject),
                "{body}"
            );
        }
        assert_eq!(parse(provider, b"{}"), Err(PayloadError::NoEvent));
        let deep = "[".repeat(100_000);
        assert!(parse(provider, deep.as_bytes()).is_err());
    }
    let odd = json!({"NotificationType": "PlaybackStop", "ItemType": "Movie", "RunTimeTicks": -1,
                     "PlaybackPositionTicks": 1e300, "Provider_tmdb": "-5", "Provider_imdb": "tt1",
                     "UtcTimestamp": "soon", "Year": 1e12, "Name": ["a"]});
    let event = read(Provider::Jellyfin, &odd);
    assert_eq!(event.movie, ServerMovie::default());
    assert_eq!(
        (event.action, event.occurred_at),
        (EventAction::Progress(None), None)
    );
    let unset = json!({"Event": "item.markplayed", "Date": "1970-01-01T00:00:00Z", "Item": {"Type": "Movie"}});
    assert_eq!(read(Provider::Emby, &unset).occurred_at, None);
}
