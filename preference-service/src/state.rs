//! The application state that handlers receive; built once by [`crate::app`].

use std::sync::Arc;

use chassis::clock::Clock;
use url::Url;

use crate::models::ApiKeyLimits;
use crate::service::{
    admin::Administration,
    admission::{ChartStreams, ImportAdmission},
    api_keys::ApiKeys,
    auth::Auth,
    charts::Charts,
    device_grants::DeviceGrants,
    email_verification::EmailVerification,
    groups::Groups,
    idempotency::Idempotency,
    imports::Imports,
    interactions::Interactions,
    oidc::Oidc,
    stats::Stats,
    taste::Tastes,
    users::Users,
    viewings::UserViewings,
    webhooks::Webhooks,
};

/// The state of every handler; cheap to clone.
pub type AppState = Arc<Services>;

/// The services of the process.
pub struct Services {
    /// The time of day.
    pub clock: Clock,
    /// Accounts, preferences, export and erasure.
    pub users: Users,
    /// Password logins, access and refresh tokens.
    pub auth: Auth,
    /// Logins by other issuers.
    pub oidc: Oidc,
    /// Logins of devices.
    pub device_grants: DeviceGrants,
    /// The URL at which clients reach the gateway.
    pub public_url: Url,
    /// True if accounts need a password.
    pub needs_password: bool,
    /// The limits of the validity of API keys.
    pub api_key_limits: ApiKeyLimits,
    /// API keys.
    pub api_keys: ApiKeys,
    /// Roles, suspensions and the audit log.
    pub administration: Administration,
    /// Verification of addresses.
    pub email_verification: EmailVerification,
    /// Groups of users.
    pub groups: Groups,
    /// Reactions, ratings, bookmarks and watch progress.
    pub interactions: Interactions,
    /// Viewings.
    pub viewings: UserViewings,
    /// Webhooks of media servers.
    pub webhooks: Webhooks,
    /// Top charts.
    pub charts: Charts,
    /// Admission of chart event streams.
    pub chart_streams: ChartStreams,
    /// Counters per movie.
    pub stats: Stats,
    /// Taste profiles.
    pub tastes: Tastes,
    /// Imports of a history from another site.
    pub imports: Imports,
    /// Admission of import uploads and of their event streams.
    pub import_admission: ImportAdmission,
    /// Stored responses to requests with an `Idempotency-Key`.
    pub idempotency: Idempotency,
}
