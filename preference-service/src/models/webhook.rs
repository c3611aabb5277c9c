//! Webhooks of media servers: their deliveries as events about movies, and the hooks that users create for them. Parsing
//! is pure; [`crate::service::webhooks`] finds the movies and records the events.

mod payload;

use std::{collections::BTreeMap, time::Duration};

use chassis::validate::{FieldError, Validator};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use payload::{EventAction, PayloadError, ServerMovie, ServerUser, WebhookEvent, parse};

use super::{
    MovieId, UserId,
    text::{has_invisible, parse_name},
};

/// Webhooks per user.
pub const MAX_WEBHOOKS: i64 = 20;
/// Users of a server that a household hook maps.
const MAX_MAPPED_USERS: usize = 100;
/// In characters.
const MAX_NAME_LENGTH: usize = 100;

/// The media server that sends deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
#[schema(as = MediaServer, example = "jellyfin")]
pub enum Provider {
    /// Jellyfin's webhook plugin, "Send All Properties", or the unofficial one, format "Default".
    Jellyfin,
    /// Plex.
    Plex,
    /// Emby.
    Emby,
    /// Kodi's notifications, or Trakt's scrobble bodies, as its add-ons send them.
    Kodi,
}

impl Provider {
    /// Parses the name in paths.
    pub fn parse(name: &str) -> Option<Self> {
        parse_name(name)
    }

    /// The name in paths, and as the source of viewings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jellyfin => "jellyfin",
            Self::Plex => "plex",
            Self::Emby => "emby",
            Self::Kodi => "kodi",
        }
    }
}

/// A valid request for a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWebhook {
    /// The server.
    pub provider: Provider,
    /// The owner's name for it.
    pub name: String,
    /// The only user of the server whose events count, by name or id; all if `None`.
    pub server_user: Option<String>,
    /// Of a household hook: our users by the server's users, names or ids in lower case.
    pub users: Option<BTreeMap<String, UserId>>,
}

impl NewWebhook {
    /// Validates the fields of a request.
    pub fn parse(
        provider: Provider,
        name: &str,
        server_user: Option<String>,
        users: Option<BTreeMap<String, UserId>>,
    ) -> Result<Self, Vec<FieldError>> {
        let is_name = |text: &str| {
            (1..=MAX_NAME_LENGTH).contains(&text.trim().chars().count()) && !has_invisible(text)
        };
        let rule = format!("must have 1 to {MAX_NAME_LENGTH} characters, none of them invisible");
        let mut check = Validator::default();
        check.require(is_name(name), "name", &rule);
        check.require(
            server_user.as_deref().is_none_or(is_name),
            "server_user",
            &rule,
        );
        check.require(
            server_user.is_none() || users.is_none(),
            "server_user",
            "belongs to a hook of a single user; name the server's users in `users`",
        );
        let users: Option<BTreeMap<String, UserId>> = users.map(|users| {
            let fold = |(name, id): (String, UserId)| (name.trim().to_lowercase(), id);
            users.into_iter().map(fold).collect()
        });
        let is_map = |users: &BTreeMap<String, UserId>| {
            (1..=MAX_MAPPED_USERS).contains(&users.len()) && users.keys().all(|name| is_name(name))
        };
        let message = format!("must map 1 to {MAX_MAPPED_USERS} users of the server");
        check.require(users.as_ref().is_none_or(is_map), "users", message);
        check.finish(Self {
            provider,
            name: name.trim().to_owned(),
            server_user: server_user.map(|name| name.trim().to_owned()),
            users,
        })
    }
}

/// A webhook, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "provider": "jellyfin",
    "name": "living room",
    "prefix": "mqw_Xq3p0a",
    "server_user": null,
    "users": null,
    "created_at": "2026-02-13T08:15:42.123456Z",
    "rotated_at": "2026-02-13T08:15:42.123456Z",
    "deliveries": []
}))]
pub struct Webhook {
    /// The id.
    pub id: i64,
    /// The server that sends to it.
    pub provider: Provider,
    /// The owner's name for it.
    pub name: String,
    /// The first characters of the secret.
    pub prefix: String,
    /// The only user of the server whose events count; all if null.
    pub server_user: Option<String>,
    /// Of a household hook: users' ids by the names or ids of the server's users; else null.
    #[schema(value_type = Option<Object>)]
    pub users: Option<BTreeMap<String, UserId>>,
    /// The time of its creation.
    pub created_at: DateTime<Utc>,
    /// The time since which its secret is valid.
    pub rotated_at: DateTime<Utc>,
    /// The last deliveries, newest first, at most 20.
    pub deliveries: Vec<Delivery>,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// It is being processed, or its movie cannot be looked for now: it is applied later.
    Pending,
    /// It changed the user's state.
    Applied,
    /// The state was so already, or newer.
    Unchanged,
    /// It is no event about a movie that counts, such as one about an episode.
    Skipped,
    /// No movie of the catalogue is the one it names; it is applied when such a movie comes into the catalogue.
    Unmatched,
    /// It is about a user of the server who is none of ours.
    UnknownUser,
    /// It cannot be read.
    Invalid,
}

impl DeliveryOutcome {
    /// The time after which the delivery is applied again at first; `None` if it is not.
    pub fn retry_interval(self) -> Option<Duration> {
        match self {
            Self::Pending => Some(Duration::from_secs(60)),
            Self::Unmatched => Some(Duration::from_secs(24 * 60 * 60)),
            _ => None,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Unmatched => "unmatched",
            Self::UnknownUser => "unknown_user",
            Self::Invalid => "invalid",
        }
    }
}

/// A delivery of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// The first time that it was received.
    pub received_at: DateTime<Utc>,
    /// The number of times that it was received.
    pub count: i32,
    /// The server's name of the event.
    pub event: String,
    /// The title, of an event about an item.
    pub title: Option<String>,
    /// The movie, if it was found.
    #[schema(value_type = Option<i64>)]
    pub movie_id: Option<MovieId>,
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// The reason for which it was not applied.
    pub reason: Option<String>,
}
