//! The route table: each endpoint with its handler, access rule and limits. The router, the OpenAPI document and
//! the tests of access rules are made from it.

mod matching;

use hyper::Method;

pub(crate) use self::matching::{Match, Router};

/// A service behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Movies.
    Movie,
    /// Users and their interactions.
    Preference,
    /// Recommendations, and the rules, experiments and models behind them.
    Recommendation,
}

impl Service {
    /// All services, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Movie, Self::Preference, Self::Recommendation];

    /// The name of its crate, binary and OpenAPI document.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Movie => "movie-service",
            Self::Preference => "preference-service",
            Self::Recommendation => "recommendation-service",
        }
    }
}

/// The handler of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    /// A service.
    Upstream(Service),
    /// The gateway's liveness.
    Health,
    /// The gateway's readiness.
    Ready,
    /// The gateway's metrics.
    Metrics,
    /// The redirect to Swagger UI.
    SwaggerRedirect,
    /// The files of Swagger UI.
    Swagger,
    /// An OpenAPI document, the gateway's own or a service's.
    Document,
    /// The files of the page at `/`.
    Page,
    /// The mode of authentication, and the user whose cookies the page has.
    PageSession,
    /// The remaining quotas of a user's rate limits.
    UserLimits,
}

/// The callers that may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone.
    Public,
    /// Everyone; a token that is sent must be valid.
    SignUp,
    /// Every authenticated user.
    AnyUser,
    /// The user whose id is in the path, and administrators.
    ThatUser,
    /// Moderators and administrators.
    Moderator,
    /// Administrators.
    Admin,
    /// Everyone in the networks of `metrics_networks`, and administrators.
    Operator,
}

/// The limits of a request: the size of its body, and the time until its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// `body_limit_bytes` and `request_timeout_ms`.
    Ordinary,
    /// `body_limit_bytes` and `sync_timeout_ms`.
    Sync,
    /// `import_body_limit_bytes` and, since large bodies take long to send, `sync_timeout_ms`.
    Import,
}

/// A class of routes with a limit of its own for each user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RouteClass {
    /// Searches.
    Search,
    /// Requests that change something.
    Writes,
    /// Uploads of histories.
    Imports,
}

impl RouteClass {
    /// All classes, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Search, Self::Writes, Self::Imports];

    /// Its name in settings, headers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Writes => "writes",
            Self::Imports => "imports",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method; GET includes HEAD.
    pub method: Method,
    /// The pattern of the path; also its label in metrics.
    pub path: &'static str,
    /// The handler.
    pub handler: Handler,
    /// The callers that may use it.
    pub access: Access,
    /// The size and time limits.
    pub limits: Limits,
    /// The class with a limit of its own; `None`: only the limits of the client, the user and the API key count.
    pub class: Option<RouteClass>,
    /// True if caches may store responses; others get `no-store` unless the service sets `Cache-Control`.
    pub cacheable: bool,
    /// True if the gateway may store responses, as far as their `Cache-Control` allows it: they are the same for all callers,
    /// and depend on nothing of the request but its target, `Accept` and `Accept-Language`.
    pub shared: bool,
    /// True if the request is idempotent, so that it may be sent again after a failure.
    pub retryable: bool,
    /// True if API keys are refused, whatever their scopes.
    pub interactive_login_only: bool,
}

const fn route(method: Method, path: &'static str, handler: Handler, access: Access) -> Route {
    Route {
        retryable: matches!(method, Method::GET | Method::PUT | Method::DELETE),
        class: match method {
            Method::GET => None,
            _ => Some(RouteClass::Writes),
        },
        method,
        path,
        handler,
        access,
        limits: Limits::Ordinary,
        cacheable: false,
        shared: false,
        interactive_login_only: false,
    }
}

impl Route {
    const fn cacheable(mut self) -> Self {
        self.cacheable = true;
        self
    }

    /// For responses that are the same for all callers.
    const fn shared(mut self) -> Self {
        self.cacheable = true;
        self.shared = true;
        self
    }

    /// For access to credentials and for deleting or exporting a whole account.
    const fn interactive_login_only(mut self) -> Self {
        self.interactive_login_only = true;
        self
    }

    /// For requests whose repetition has another result.
    const fn not_retryable(mut self) -> Self {
        self.retryable = false;
        self
    }

    const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    const fn class(mut self, class: Option<RouteClass>) -> Self {
        self.class = class;
        self
    }

    /// True if responses are files of the gateway, which never change while it runs.
    pub(crate) const fn is_file(&self) -> bool {
        matches!(self.handler, Handler::Swagger | Handler::Page)
    }

    /// True if requests do not count towards the limit of client addresses: probes, metrics, files and images of the page.
    pub(crate) fn is_free(&self) -> bool {
        matches!(
            self.handler,
            Handler::Health
                | Handler::Ready
                | Handler::Metrics
                | Handler::SwaggerRedirect
                | Handler::Swagger
                | Handler::Document
                | Handler::Page
        ) || self.path == IMAGES
    }
}

/// The path of TMDB's images.
const IMAGES: &str = "/images/{size}/{name}";

use Access::{Admin, AnyUser, Moderator, Operator, Public, SignUp, ThatUser};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;
const MOVIE: Handler = Handler::Upstream(Service::Movie);
const PREFERENCE: Handler = Handler::Upstream(Service::Preference);
const RECOMMENDATION: Handler = Handler::Upstream(Service::Recommendation);
const SEARCH: Option<RouteClass> = Some(RouteClass::Search);
const IMPORTS: Option<RouteClass> = Some(RouteClass::Imports);

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(GET, "/api/v1/movies", MOVIE, AnyUser).shared(),
    route(GET, "/api/v1/movies/{id}", MOVIE, AnyUser).shared(),
    route(GET, "/api/v1/movies/{id}/providers", MOVIE, AnyUser).shared(),
    route(GET, "/api/v1/genres", MOVIE, AnyUser).shared(),
    route(GET, "/api/v1/search", MOVIE, AnyUser).class(SEARCH),
    route(GET, "/api/v1/search/suggest", MOVIE, AnyUser).class(SEARCH),
    route(GET, "/api/v1/search/popular", MOVIE, AnyUser),
    route(GET, "/api/v1/people", MOVIE, AnyUser).class(SEARCH),
    route(GET, "/api/v1/people/{id}", MOVIE, AnyUser),
    route(GET, "/api/v1/keywords", MOVIE, AnyUser).class(SEARCH),
    route(GET, "/api/v1/admin/catalogue", MOVIE, Admin),
    route(POST, "/api/v1/admin/sync", MOVIE, Admin).limits(Limits::Sync),
    route(POST, "/api/v1/admin/sync/trending", MOVIE, Admin).limits(Limits::Sync),
    route(POST, "/api/v1/admin/sync/popular", MOVIE, Admin).limits(Limits::Sync),
    route(POST, "/api/v1/movies/import", MOVIE, Admin).limits(Limits::Sync),
    route(GET, "/api/v1/jobs", MOVIE, Admin),
    route(GET, "/api/v1/jobs/{id}", MOVIE, Admin),
    route(POST, "/api/v1/jobs/{id}/cancel", MOVIE, Admin),
    route(POST, "/api/v1/jobs/{id}/retry", MOVIE, Admin),

    route(GET, "/session", Handler::PageSession, Public),
    route(POST, "/session", PREFERENCE, Public),
    route(DELETE, "/session", PREFERENCE, Public).not_retryable(),
    route(POST, "/session/refresh", PREFERENCE, Public),
    route(POST, "/api/v1/auth/token", PREFERENCE, Public),
    route(POST, "/api/v1/auth/refresh", PREFERENCE, Public),
    route(POST, "/api/v1/auth/logout", PREFERENCE, Public),
    route(GET, "/api/v1/auth/me", PREFERENCE, AnyUser),
    route(POST, "/api/v1/auth/device", PREFERENCE, Public),
    route(POST, "/api/v1/auth/device/verify", PREFERENCE, AnyUser).interactive_login_only(),
    route(GET, "/.well-known/oauth-authorization-server", PREFERENCE, Public).cacheable(),
    route(GET, "/api/v1/auth/oidc", PREFERENCE, Public),
    route(GET, "/api/v1/auth/oidc/{provider}/login", PREFERENCE, Public).not_retryable(),
    route(GET, "/api/v1/auth/oidc/{provider}/callback", PREFERENCE, Public).not_retryable(),
    route(GET, "/api/v1/users/{id}/identities", PREFERENCE, ThatUser).interactive_login_only(),
    route(POST, "/api/v1/users/{id}/identities", PREFERENCE, ThatUser).interactive_login_only(),
    route(DELETE, "/api/v1/users/{id}/identities/{identity_id}", PREFERENCE, ThatUser).interactive_login_only().not_retryable(),
    route(GET, "/api/v1/auth/verify-email", PREFERENCE, Public).not_retryable(),
    route(POST, "/api/v1/users/{id}/email-verification", PREFERENCE, ThatUser),
    route(GET, "/.well-known/jwks.json", PREFERENCE, Public).cacheable(),
    route(POST, "/api/v1/users", PREFERENCE, SignUp),
    route(GET, "/api/v1/users/{id}", PREFERENCE, ThatUser),
    route(PATCH, "/api/v1/users/{id}", PREFERENCE, ThatUser).interactive_login_only(),
    route(GET, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser).interactive_login_only(),
    route(POST, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser).interactive_login_only(),
    route(DELETE, "/api/v1/users/{id}/api-keys/{key_id}", PREFERENCE, ThatUser).interactive_login_only(),
    route(GET, "/api/v1/admin/users", PREFERENCE, Moderator),
    route(GET, "/api/v1/admin/users/{id}", PREFERENCE, Moderator),
    route(PATCH, "/api/v1/admin/users/{id}", PREFERENCE, Moderator).interactive_login_only(),
    route(GET, "/api/v1/admin/audit", PREFERENCE, Admin),
    route(GET, "/api/v1/groups", PREFERENCE, AnyUser),
    route(POST, "/api/v1/groups", PREFERENCE, AnyUser),
    route(POST, "/api/v1/groups/join", PREFERENCE, AnyUser).interactive_login_only(),
    route(GET, "/api/v1/groups/{id}", PREFERENCE, AnyUser),
    route(GET, "/api/v1/groups/{id}/votes", PREFERENCE, AnyUser),
    route(PUT, "/api/v1/groups/{id}/votes/{movie_id}", PREFERENCE, AnyUser),
    route(DELETE, "/api/v1/groups/{id}/votes", PREFERENCE, AnyUser),
    route(DELETE, "/api/v1/groups/{id}", PREFERENCE, AnyUser).not_retryable(),
    route(POST, "/api/v1/groups/{id}/invitations", PREFERENCE, AnyUser).interactive_login_only(),
    route(DELETE, "/api/v1/groups/{id}/invitations", PREFERENCE, AnyUser),
    route(DELETE, "/api/v1/groups/{id}/members/me", PREFERENCE, AnyUser).not_retryable(),
    route(DELETE, "/api/v1/groups/{id}/members/{user_id}", PREFERENCE, AnyUser).not_retryable(),
    route(GET, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser),
    route(POST, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser),
    route(GET, "/api/v1/charts/top", PREFERENCE, AnyUser).shared(),
    route(POST, "/api/v1/interactions/batch", PREFERENCE, AnyUser),
    route(GET, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser),
    route(POST, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/reactions", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser),
    route(PUT, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser),
    route(DELETE, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/bookmarks", PREFERENCE, ThatUser),
    route(PUT, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser),
    route(DELETE, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/watch", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser),
    route(PUT, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser),
    route(DELETE, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/viewings", PREFERENCE, ThatUser),
    route(POST, "/api/v1/users/{id}/viewings", PREFERENCE, ThatUser),
    route(DELETE, "/api/v1/users/{id}/viewings/{viewing_id}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/webhooks", PREFERENCE, ThatUser).interactive_login_only(),
    route(POST, "/api/v1/users/{id}/webhooks", PREFERENCE, ThatUser).interactive_login_only(),
    route(POST, "/api/v1/users/{id}/webhooks/{webhook_id}/rotate", PREFERENCE, ThatUser).interactive_login_only(),
    route(DELETE, "/api/v1/users/{id}/webhooks/{webhook_id}", PREFERENCE, ThatUser).interactive_login_only(),
    route(POST, "/api/v1/webhooks/{provider}/{secret}", PREFERENCE, Public),
    route(GET, "/api/v1/users/{id}/ratings", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser),
    route(PUT, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser),
    route(DELETE, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser),
    route(PATCH, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser),
    route(POST, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser).limits(Limits::Import).class(IMPORTS),
    route(GET, "/api/v1/users/{id}/imports/{job_id}", PREFERENCE, ThatUser),
    route(POST, "/api/v1/users/{id}/imports/{job_id}/cancel", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/imports/{job_id}/unmatched", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/imports/{job_id}/failures", PREFERENCE, ThatUser),
    route(PATCH, "/api/v1/users/{id}/imports/{job_id}/unmatched/{n}", PREFERENCE, ThatUser),
    route(GET, "/api/v1/users/{id}/export", PREFERENCE, ThatUser).interactive_login_only(),
    route(GET, "/api/v1/users/{id}/limits", Handler::UserLimits, ThatUser),
    route(DELETE, "/api/v1/users/{id}", PREFERENCE, ThatUser).interactive_login_only().not_retryable(),
    route(GET, "/api/v1/movies/{id}/stats", PREFERENCE, AnyUser).shared(),

    route(GET, "/api/v1/users/{id}/recommendations", RECOMMENDATION, ThatUser),
    route(GET, "/api/v1/recommendations/{list_id}", RECOMMENDATION, AnyUser),
    route(POST, "/api/v1/recommendations/preview", RECOMMENDATION, AnyUser).class(None),
    route(POST, "/api/v1/recommendations/group", RECOMMENDATION, AnyUser).class(None),
    route(POST, "/api/v1/recommendations/query", RECOMMENDATION, AnyUser).class(None),
    route(GET, "/api/v1/movies/{id}/similar", RECOMMENDATION, AnyUser).shared(),
    route(GET, "/api/v1/rules", RECOMMENDATION, AnyUser).cacheable(),
    route(GET, "/api/v1/admin/rules", RECOMMENDATION, Admin),
    route(PUT, "/api/v1/admin/rules", RECOMMENDATION, Admin).not_retryable(),
    route(POST, "/api/v1/admin/rules/preview", RECOMMENDATION, Admin),
    route(GET, "/api/v1/admin/experiments", RECOMMENDATION, Admin),
    route(PUT, "/api/v1/admin/experiments", RECOMMENDATION, Admin),
    route(GET, "/api/v1/admin/experiments/{id}", RECOMMENDATION, Admin),
    route(GET, "/api/v1/admin/models", RECOMMENDATION, Admin),
    route(PUT, "/api/v1/admin/models/live", RECOMMENDATION, Admin),

    route(GET, "/health", Handler::Health, Public),
    route(GET, "/health/live", Handler::Health, Public),
    route(GET, "/health/ready", Handler::Ready, Public),
    route(GET, "/metrics", Handler::Metrics, Operator),
    route(GET, "/", Handler::Page, Public).cacheable(),
    route(GET, IMAGES, MOVIE, Public).shared(),
    route(GET, "/page/{*file}", Handler::Page, Public).cacheable(),
    route(GET, "/swagger", Handler::SwaggerRedirect, Public),
    route(GET, "/swagger/docs/{document}", Handler::Document, Public).cacheable(),
    route(GET, "/swagger/{*file}", Handler::Swagger, Public).cacheable(),
];
