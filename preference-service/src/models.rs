//! The domain's types and their validation, used by every layer. Several are the wire format as well
//! (serde, OpenAPI) and column types (sqlx). No I/O, no queries, no HTTP.

mod chart;
mod id;
mod idempotency;
mod import;
mod interaction;
mod movie;
mod preferences;
mod taste;
mod text;
mod token;
mod user;
mod user_movie;

pub use chart::{ChartEntry, ChartShift, KEPT, Metric, Window, chart_shifts, hour_of};
pub use id::{InteractionId, MovieId, UserId};
pub use idempotency::{KeyState, KeyedRequest, StoredResponse};
pub use import::{
    Import, ImportEntry, ImportFailure, ImportFile, ImportFormat, ImportSource, ImportStatus,
    ImportedActions, Parsed, UnmatchedReason, UnmatchedTitle, parse as parse_import,
};
pub use interaction::{Interaction, InteractionType, UnknownInteractionType};
pub use movie::{Film, MovieChange, MovieState, Tag};
pub use preferences::{NewPreferences, Preferences};
pub use taste::{
    FilmTags, HalfLife, STRONGEST_EDIT, TagKey, TagKind, TasteEdit, TasteScore, TasteScores, weight,
};
pub use token::{
    ApiKey, ApiKeyOwner, ApiKeySecret, NewApiKey, RefreshToken, Scope, SecretHash, random_bytes,
};
pub use user::{InvalidUser, NewUser, Role, UniqueText, User, UserUpdate, login_key};
pub use user_movie::{
    Action, Changed, Component, Counts, Mark, Occasion, Progress, Rating, Reaction, UserMovie,
    Watch,
};
