//! The route table: each endpoint with its target, access rule and limits. The router, the OpenAPI document and
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
pub enum Target {
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

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method; GET includes HEAD.
    pub method: Method,
    /// The pattern of the path; also its label in metrics.
    pub path: &'static str,
    /// The handler.
    pub target: Target,
    /// The callers that may use it.
    pub access: Access,
    /// The size and time limits.
    pub limits: Limits,
    /// True if caches may store responses; others get `no-store` unless the service sets `Cache-Control`.
    pub cacheable: bool,
    /// True if the request is idempotent, so that it may be sent again after a failure.
    pub retryable: bool,
    /// True if API keys are refused, whatever their scopes.
    pub interactive_login_only: bool,
    /// The summary in the OpenAPI document.
    pub summary: &'static str,
}

const fn route(
    method: Method,
    path: &'static str,
    target: Target,
    access: Access,
    summary: &'static str,
) -> Route {
    Route {
        retryable: matches!(method, Method::GET | Method::PUT | Method::DELETE),
        method,
        path,
        target,
        access,
        limits: Limits::Ordinary,
        cacheable: false,
        interactive_login_only: false,
        summary,
    }
}

impl Route {
    const fn cacheable(mut self) -> Self {
        self.cacheable = true;
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
}

use Access::{Admin, AnyUser, Operator, Public, SignUp, ThatUser};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;
const MOVIE: Target = Target::Upstream(Service::Movie);
const PREFERENCE: Target = Target::Upstream(Service::Preference);
const RECOMMENDATION: Target = Target::Upstream(Service::Recommendation);

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(GET, "/api/v1/movies", MOVIE, AnyUser, "List movies").cacheable(),
    route(GET, "/api/v1/movies/{id}", MOVIE, AnyUser, "Get a movie").cacheable(),
    route(GET, "/api/v1/movies/{id}/providers", MOVIE, AnyUser, "Watch providers of a movie").cacheable(),
    route(GET, "/api/v1/genres", MOVIE, AnyUser, "List genres").cacheable(),
    route(POST, "/api/v1/admin/sync", MOVIE, Admin, "Sync movies from TMDB").limits(Limits::Sync),
    route(POST, "/api/v1/admin/sync/trending", MOVIE, Admin, "Sync trending movies").limits(Limits::Sync),
    route(POST, "/api/v1/admin/sync/popular", MOVIE, Admin, "Sync popular movies").limits(Limits::Sync),
    route(POST, "/api/v1/movies/import", MOVIE, Admin, "Import movies by id").limits(Limits::Sync),
    route(GET, "/api/v1/jobs", MOVIE, Admin, "List jobs"),
    route(GET, "/api/v1/jobs/{id}", MOVIE, Admin, "Get a job"),
    route(POST, "/api/v1/jobs/{id}/cancel", MOVIE, Admin, "Cancel a job"),
    route(POST, "/api/v1/jobs/{id}/retry", MOVIE, Admin, "Retry the failed items of a job"),

    route(POST, "/api/v1/auth/token", PREFERENCE, Public, "Log in"),
    route(POST, "/api/v1/auth/refresh", PREFERENCE, Public, "Refresh tokens"),
    route(POST, "/api/v1/auth/logout", PREFERENCE, Public, "Log out"),
    route(GET, "/api/v1/auth/me", PREFERENCE, AnyUser, "Get the current user"),
    route(GET, "/.well-known/jwks.json", PREFERENCE, Public, "JSON Web Key Set of access tokens").cacheable(),
    route(POST, "/api/v1/users", PREFERENCE, SignUp, "Create a user"),
    route(GET, "/api/v1/users/{id}", PREFERENCE, ThatUser, "Get a user"),
    route(PATCH, "/api/v1/users/{id}", PREFERENCE, ThatUser, "Update a user").interactive_login_only(),
    route(GET, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser, "List API keys").interactive_login_only(),
    route(POST, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser, "Create an API key").interactive_login_only(),
    route(DELETE, "/api/v1/users/{id}/api-keys/{key_id}", PREFERENCE, ThatUser, "Revoke an API key").interactive_login_only(),
    route(GET, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser, "Get preferences"),
    route(POST, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser, "Replace preferences"),
    route(GET, "/api/v1/charts/top", PREFERENCE, AnyUser, "Live charts").cacheable(),
    route(POST, "/api/v1/interactions/batch", PREFERENCE, AnyUser, "Record a batch of interactions"),
    route(GET, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser, "List interactions"),
    route(POST, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser, "Record an interaction"),
    route(GET, "/api/v1/users/{id}/reactions", PREFERENCE, ThatUser, "List reactions"),
    route(GET, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "Get a reaction"),
    route(PUT, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "Set a reaction"),
    route(DELETE, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "Delete a reaction"),
    route(GET, "/api/v1/users/{id}/bookmarks", PREFERENCE, ThatUser, "List bookmarks"),
    route(PUT, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser, "Bookmark a movie"),
    route(DELETE, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser, "Delete a bookmark"),
    route(GET, "/api/v1/users/{id}/watch", PREFERENCE, ThatUser, "List watch progress"),
    route(GET, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "Get watch progress"),
    route(PUT, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "Set watch progress"),
    route(DELETE, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "Delete watch progress"),
    route(GET, "/api/v1/users/{id}/ratings", PREFERENCE, ThatUser, "List ratings"),
    route(GET, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "Get a rating"),
    route(PUT, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "Set a rating"),
    route(DELETE, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "Delete a rating"),
    route(GET, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser, "Get a taste profile"),
    route(PATCH, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser, "Edit a taste profile"),
    route(GET, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser, "List imports"),
    route(POST, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser, "Import a user's history").limits(Limits::Import),
    route(GET, "/api/v1/users/{id}/imports/{job_id}", PREFERENCE, ThatUser, "Get an import"),
    route(POST, "/api/v1/users/{id}/imports/{job_id}/cancel", PREFERENCE, ThatUser, "Cancel an import"),
    route(GET, "/api/v1/users/{id}/export", PREFERENCE, ThatUser, "Export a user's data").interactive_login_only(),
    route(DELETE, "/api/v1/users/{id}", PREFERENCE, ThatUser, "Delete a user").interactive_login_only().not_retryable(),
    route(GET, "/api/v1/movies/{id}/stats", PREFERENCE, AnyUser, "Movie statistics").cacheable(),

    route(GET, "/api/v1/users/{id}/recommendations", RECOMMENDATION, ThatUser, "Recommendations for a user"),
    route(GET, "/api/v1/recommendations/{list_id}", RECOMMENDATION, AnyUser, "Get a recommendation list"),
    route(POST, "/api/v1/recommendations/preview", RECOMMENDATION, AnyUser, "Preview recommendations"),
    route(POST, "/api/v1/recommendations/group", RECOMMENDATION, AnyUser, "Recommendations for a group"),
    route(GET, "/api/v1/movies/{id}/similar", RECOMMENDATION, AnyUser, "Similar movies").cacheable(),
    route(GET, "/api/v1/rules", RECOMMENDATION, AnyUser, "Get the active scoring rules").cacheable(),
    route(GET, "/api/v1/admin/rules", RECOMMENDATION, Admin, "List scoring rules"),
    route(PUT, "/api/v1/admin/rules", RECOMMENDATION, Admin, "Replace the scoring rules").not_retryable(),
    route(POST, "/api/v1/admin/rules/preview", RECOMMENDATION, Admin, "Preview scoring rules"),
    route(GET, "/api/v1/admin/experiments", RECOMMENDATION, Admin, "List experiments"),
    route(PUT, "/api/v1/admin/experiments", RECOMMENDATION, Admin, "Create, update or stop an experiment"),
    route(GET, "/api/v1/admin/experiments/{id}", RECOMMENDATION, Admin, "Experiment results"),
    route(GET, "/api/v1/admin/models", RECOMMENDATION, Admin, "List model versions"),
    route(PUT, "/api/v1/admin/models/live", RECOMMENDATION, Admin, "Activate a model version"),

    route(GET, "/health", Target::Health, Public, "Liveness"),
    route(GET, "/health/live", Target::Health, Public, "Liveness"),
    route(GET, "/health/ready", Target::Ready, Public, "Readiness"),
    route(GET, "/metrics", Target::Metrics, Operator, "Metrics for Prometheus"),
    route(GET, "/swagger", Target::SwaggerRedirect, Public, "Redirect to Swagger UI"),
    route(GET, "/swagger/docs/{document}", Target::Document, Public, "OpenAPI document").cacheable(),
    route(GET, "/swagger/{*file}", Target::Swagger, Public, "Swagger UI").cacheable(),
];
