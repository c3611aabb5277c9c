//! The domain's types and their validation, used by every layer. Several are the wire format as well
//! (serde, OpenAPI) and column types (sqlx). No I/O, no queries, no HTTP.

mod admin;
mod chart;
mod counts;
mod device_grant;
mod group;
mod id;
mod idempotency;
mod import;
mod interaction;
mod interaction_change;
mod login_provider;
mod movie;
mod name;
mod oidc;
mod password;
mod preferences;
mod taste;
mod text;
mod token;
mod user;
mod user_movie;
mod viewing;
mod webhook;

/// Formats enums by their names in JSON, which are those in the database as well.
macro_rules! display_json_name {
    ($($name:ident),+) => {$(
        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                serde::Serialize::serialize(self, formatter)
            }
        }
    )+};
}

display_json_name!(InteractionType, Metric, TagKind, Window);

pub use admin::{
    AdminChange, AdminUser, AuditEntry, AuditedAction, Suspension, TokenRevocation, UserSearch,
};
pub use chart::{CHART_RETENTION, ChartEntry, ChartShift, Metric, Window, chart_shifts, hour_of};
pub use counts::Counts;
pub use device_grant::{
    DeviceCodes, DevicePoll, GRANT_TTL_SECONDS, POLL_INTERVAL_SECONDS, UserCode, WaitingDevice,
    parse_client_id,
};
pub use group::{
    Group, GroupMember, GroupName, Invitation, MAX_GROUPS, MAX_INVITATIONS, MAX_MEMBERS, MAX_VOTES,
    MovieVotes, NewInvitation, VOTE_HOURS, parse_group_name,
};
pub use id::{GroupId, InteractionId, MovieId, UserId};
pub use idempotency::{KeyState, KeyedRequest, StoredResponse};
pub use import::{
    DateOrder, Import, ImportEntry, ImportFailure, ImportFile, ImportFormat, ImportStatus,
    MovieCandidate, SkippedFile, UNKNOWN_TIME, UnmatchedReason, UnmatchedTitle,
};
pub use interaction::{Interaction, InteractionType};
pub use interaction_change::InteractionChange;
pub use login_provider::{Endpoints, LoginProvider, ProviderKind};
pub use movie::{Film, MovieCard, MovieChange, MovieState, Tag};
pub use name::skeleton_of;
pub use oidc::{
    ExternalIdentity, ExternalProfile, LOGIN_TTL_SECONDS, LoginRefusal, LoginSecrets, PendingLogin,
    parse_return_to,
};
pub use password::weakness;
pub use preferences::{NewPreferences, Preferences};
pub use recommender::taste::HalfLife;
pub use taste::{
    FilmTags, MAX_EDIT_SCORE, NewTasteEdit, TagKey, TagKind, TasteScore, TasteScores, movie_weights,
};
pub use token::{
    ApiKey, ApiKeyLimits, ApiKeyOwner, ApiKeySecret, NewApiKey, RefreshToken, RequestedExpiry,
    Scope, SecretHash, random_bytes, random_digits, random_secret,
};
pub use user::{AccountRules, NewUser, Role, UniqueText, User, UserUpdate, login_key};
pub use user_movie::{
    Action, Changed, EventContext, Progress, Rating, Reaction, StatePart, UserMovie,
};
pub use viewing::{ListedViewing, NewViewing, Source, Viewing, ViewingId, ViewingTime, Viewings};
pub use webhook::{
    Delivery, DeliveryOutcome, EventAction, MAX_WEBHOOKS, NewWebhook, PayloadError, Provider,
    ServerMovie, ServerUser, Webhook, WebhookEvent, parse as parse_delivery,
};
