//! The one route table: what is served, by whom, for whom, how long. The router, the OpenAPI document
//! and the walk of the policy in the tests are made from it.

use hyper::{Method, header::HeaderValue};

/// What clients may do to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read; HEAD comes with it.
    Get,
    /// Create, or do.
    Post,
    /// Replace.
    Put,
    /// Change.
    Patch,
    /// Remove.
    Delete,
}

impl Verb {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The verb that `method` stands for.
    #[must_use]
    pub fn of(method: &Method) -> Option<Self> {
        match *method {
            Method::GET | Method::HEAD => Some(Self::Get),
            Method::POST => Some(Self::Post),
            Method::PUT => Some(Self::Put),
            Method::PATCH => Some(Self::Patch),
            Method::DELETE => Some(Self::Delete),
            _ => None,
        }
    }

    /// The method itself.
    #[must_use]
    pub fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

/// A service behind the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Films.
    Movie,
    /// Users and what they do.
    Preference,
    /// Lists for users, and the rules behind them.
    Recommendation,
}

impl Service {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Movie, Self::Preference, Self::Recommendation];

    /// Its name everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Movie => "movie-service",
            Self::Preference => "preference-service",
            Self::Recommendation => "recommendation-service",
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A service.
    Upstream(Service),
    /// The gateway: it is alive.
    Health,
    /// The gateway: it can work.
    Ready,
    /// The gateway: its numbers.
    Metrics,
    /// The gateway: the way to Swagger UI.
    SwaggerRedirect,
    /// The gateway: Swagger UI.
    Swagger,
    /// The gateway: an OpenAPI document, its own or a service's.
    Document,
}

/// Who may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Public,
    /// Everybody, and whoever shows a token as its owner; in mock mode whoever has a token.
    SignUp,
    /// Whoever has a token.
    AnyUser,
    /// The user whose id is in the path, and administrators.
    ThatUser,
    /// Administrators.
    Admin,
    /// Whoever asks from a network that may read the metrics, and administrators.
    Operator,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeLimit {
    /// `request_timeout_ms`.
    Ordinary,
    /// `sync_timeout_ms`.
    Sync,
}

/// How large a request body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLimit {
    /// `body_limit_bytes`.
    Ordinary,
    /// `import_body_limit_bytes`.
    Import,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method; HEAD comes with GET.
    pub verb: Verb,
    /// The pattern of the path; also its label in metrics.
    pub path: &'static str,
    /// Who answers.
    pub target: Target,
    /// Who may.
    pub access: Access,
    /// How long it may take.
    pub time_limit: TimeLimit,
    /// How large the request body may be.
    pub body_limit: BodyLimit,
    /// Whether answers may be kept; others are marked `no-store` unless the service says otherwise.
    pub cacheable: bool,
    /// Whether it may be asked twice when the first answer did not come.
    pub retryable: bool,
    /// Whether an API key will do, as far as its scopes go.
    pub by_api_key: bool,
    /// What it does, for the OpenAPI document.
    pub summary: &'static str,
}

const fn route(
    verb: Verb,
    path: &'static str,
    target: Target,
    access: Access,
    summary: &'static str,
) -> Route {
    Route {
        verb,
        path,
        target,
        access,
        time_limit: TimeLimit::Ordinary,
        body_limit: BodyLimit::Ordinary,
        cacheable: false,
        retryable: matches!(verb, Verb::Get | Verb::Put | Verb::Delete),
        by_api_key: true,
        summary,
    }
}

impl Route {
    const fn cacheable(mut self) -> Self {
        self.cacheable = true;
        self
    }

    /// Only for people who logged in: what makes, changes or ends what proves who somebody is.
    const fn in_person(mut self) -> Self {
        self.by_api_key = false;
        self
    }

    /// What a second time would be answered otherwise.
    const fn once(mut self) -> Self {
        self.retryable = false;
        self
    }

    const fn limited(mut self, limit: TimeLimit) -> Self {
        self.time_limit = limit;
        self
    }

    /// For bodies that take their time to come.
    const fn large(mut self) -> Self {
        self.body_limit = BodyLimit::Import;
        self.time_limit = TimeLimit::Sync;
        self
    }
}

use Access::{Admin, AnyUser, Operator, Public, SignUp, ThatUser};
use Verb::{Delete, Get, Patch, Post, Put};

const MOVIE: Target = Target::Upstream(Service::Movie);
const PREFERENCE: Target = Target::Upstream(Service::Preference);
const RECOMMENDATION: Target = Target::Upstream(Service::Recommendation);

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route(Get, "/api/v1/movies", MOVIE, AnyUser, "A page of films").cacheable(),
    route(Get, "/api/v1/movies/{id}", MOVIE, AnyUser, "One film").cacheable(),
    route(Get, "/api/v1/movies/{id}/providers", MOVIE, AnyUser, "Where to watch a film").cacheable(),
    route(Get, "/api/v1/genres", MOVIE, AnyUser, "All genres").cacheable(),
    route(Post, "/api/v1/admin/sync", MOVIE, Admin, "Fetches films from TMDB").limited(TimeLimit::Sync),
    route(Post, "/api/v1/admin/sync/trending", MOVIE, Admin, "Fetches what is trending").limited(TimeLimit::Sync),
    route(Post, "/api/v1/admin/sync/popular", MOVIE, Admin, "Fetches what is popular").limited(TimeLimit::Sync),
    route(Post, "/api/v1/movies/import", MOVIE, Admin, "Fetches films by their ids").limited(TimeLimit::Sync),
    route(Get, "/api/v1/jobs", MOVIE, Admin, "Long work, newest first"),
    route(Get, "/api/v1/jobs/{id}", MOVIE, Admin, "How far long work is"),
    route(Post, "/api/v1/jobs/{id}/cancel", MOVIE, Admin, "Calls long work off"),
    route(Post, "/api/v1/jobs/{id}/retry", MOVIE, Admin, "Does what long work left undone"),

    route(Post, "/api/v1/auth/token", PREFERENCE, Public, "Logs in"),
    route(Post, "/api/v1/auth/refresh", PREFERENCE, Public, "Gets the next tokens"),
    route(Post, "/api/v1/auth/logout", PREFERENCE, Public, "Logs out"),
    route(Get, "/api/v1/auth/me", PREFERENCE, AnyUser, "Who the caller is"),
    route(Get, "/.well-known/jwks.json", PREFERENCE, Public, "What tokens are verified with").cacheable(),
    route(Post, "/api/v1/users", PREFERENCE, SignUp, "Creates a user"),
    route(Get, "/api/v1/users/{id}", PREFERENCE, ThatUser, "One user"),
    route(Patch, "/api/v1/users/{id}", PREFERENCE, ThatUser, "Changes a user").in_person(),
    route(Get, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser, "A user's API keys").in_person(),
    route(Post, "/api/v1/users/{id}/api-keys", PREFERENCE, ThatUser, "Makes an API key").in_person(),
    route(Delete, "/api/v1/users/{id}/api-keys/{key_id}", PREFERENCE, ThatUser, "Takes an API key away").in_person(),
    route(Get, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser, "What a user prefers"),
    route(Post, "/api/v1/users/{id}/preferences", PREFERENCE, ThatUser, "Replaces what a user prefers"),
    route(Get, "/api/v1/charts/top", PREFERENCE, AnyUser, "Live charts").cacheable(),
    route(Post, "/api/v1/interactions/batch", PREFERENCE, AnyUser, "Records what users did, many things at once"),
    route(Get, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser, "What a user did, newest first"),
    route(Post, "/api/v1/users/{id}/interactions", PREFERENCE, ThatUser, "Records what a user did"),
    route(Get, "/api/v1/users/{id}/reactions", PREFERENCE, ThatUser, "What a user thinks of films, newest first"),
    route(Get, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "What a user thinks of a film"),
    route(Put, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "Likes, dislikes or superlikes a film"),
    route(Delete, "/api/v1/users/{id}/reactions/{movie_id}", PREFERENCE, ThatUser, "Takes a reaction back"),
    route(Get, "/api/v1/users/{id}/bookmarks", PREFERENCE, ThatUser, "The films that a user wants to watch"),
    route(Put, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser, "Bookmarks a film"),
    route(Delete, "/api/v1/users/{id}/bookmarks/{movie_id}", PREFERENCE, ThatUser, "Takes a bookmark back"),
    route(Get, "/api/v1/users/{id}/watch", PREFERENCE, ThatUser, "What a user watched, last first"),
    route(Get, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "How far a user came in a film"),
    route(Put, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "Reports progress in a film"),
    route(Delete, "/api/v1/users/{id}/watch/{movie_id}", PREFERENCE, ThatUser, "Forgets that a film was watched"),
    route(Get, "/api/v1/users/{id}/ratings", PREFERENCE, ThatUser, "The films that a user rated, newest first"),
    route(Get, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "How a user rates a film"),
    route(Put, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "Rates a film"),
    route(Delete, "/api/v1/users/{id}/ratings/{movie_id}", PREFERENCE, ThatUser, "Takes a rating back"),
    route(Get, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser, "What a user's films have in common"),
    route(Patch, "/api/v1/users/{id}/taste", PREFERENCE, ThatUser, "Edits a user's taste"),
    route(Get, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser, "A user's imports, newest first"),
    route(Post, "/api/v1/users/{id}/imports", PREFERENCE, ThatUser, "Takes over what a user did elsewhere").large(),
    route(Get, "/api/v1/users/{id}/imports/{job_id}", PREFERENCE, ThatUser, "How far an import is"),
    route(Post, "/api/v1/users/{id}/imports/{job_id}/cancel", PREFERENCE, ThatUser, "Calls an import off"),
    route(Get, "/api/v1/users/{id}/export", PREFERENCE, ThatUser, "All that is known of a user").in_person(),
    route(Delete, "/api/v1/users/{id}", PREFERENCE, ThatUser, "Erases a user").in_person().once(),
    route(Get, "/api/v1/movies/{id}/stats", PREFERENCE, AnyUser, "How users stand with a film").cacheable(),

    route(Get, "/api/v1/users/{id}/recommendations", RECOMMENDATION, ThatUser, "Films for a user"),
    route(Get, "/api/v1/recommendations/{list_id}", RECOMMENDATION, AnyUser, "A list shown again, to its user"),
    route(Post, "/api/v1/recommendations/preview", RECOMMENDATION, AnyUser, "What would be recommended, if"),
    route(Post, "/api/v1/recommendations/group", RECOMMENDATION, AnyUser, "Films for several people, for one of them"),
    route(Get, "/api/v1/movies/{id}/similar", RECOMMENDATION, AnyUser, "Films like a film").cacheable(),
    route(Get, "/api/v1/rules", RECOMMENDATION, AnyUser, "The active scoring rules").cacheable(),
    route(Get, "/api/v1/admin/rules", RECOMMENDATION, Admin, "All sets of rules, newest first"),
    route(Put, "/api/v1/admin/rules", RECOMMENDATION, Admin, "Replaces the scoring rules").once(),
    route(Post, "/api/v1/admin/rules/preview", RECOMMENDATION, Admin, "A user's list by other rules"),
    route(Get, "/api/v1/admin/experiments", RECOMMENDATION, Admin, "Experiments, newest first"),
    route(Put, "/api/v1/admin/experiments", RECOMMENDATION, Admin, "Makes, changes or stops an experiment"),
    route(Get, "/api/v1/admin/experiments/{id}", RECOMMENDATION, Admin, "What may be said of an experiment"),
    route(Get, "/api/v1/admin/models", RECOMMENDATION, Admin, "Versions of the learned models"),
    route(Put, "/api/v1/admin/models/live", RECOMMENDATION, Admin, "Makes a version live"),

    route(Get, "/health", Target::Health, Public, "Whether the gateway is alive"),
    route(Get, "/health/live", Target::Health, Public, "Whether the gateway is alive"),
    route(Get, "/health/ready", Target::Ready, Public, "Whether the gateway can work, and what it depends on"),
    route(Get, "/metrics", Target::Metrics, Operator, "Numbers for Prometheus"),
    route(Get, "/swagger", Target::SwaggerRedirect, Public, "Leads to Swagger UI"),
    route(Get, "/swagger/docs/{document}", Target::Document, Public, "An OpenAPI document").cacheable(),
    route(Get, "/swagger/{*file}", Target::Swagger, Public, "Swagger UI").cacheable(),
];

/// The table, prepared for looking paths up.
pub struct Table {
    router: matchit::Router<usize>,
    paths: Vec<Path>,
}

/// One path of the table, with all that may be done to it.
struct Path {
    pattern: &'static str,
    by_verb: [Option<&'static Route>; Verb::ALL.len()],
    allow: HeaderValue,
}

/// What stands under a path.
pub enum Found<'t, 'p> {
    /// A row.
    Route {
        /// The row.
        route: &'static Route,
        /// Which path of the table it is, from 0.
        path: usize,
        /// The first parameter of the path; empty where it has none.
        parameter: &'p str,
    },
    /// The path is there, the method is not.
    OtherMethod {
        /// Which path of the table it is, from 0.
        path: usize,
        /// The methods that are.
        allow: &'t HeaderValue,
    },
    /// Nothing.
    Nothing,
}

impl Table {
    /// Prepares [`ROUTES`].
    ///
    /// # Panics
    /// Where two rows exclude each other, which the first test notices.
    #[must_use]
    pub fn new() -> Self {
        let mut paths: Vec<Path> = Vec::new();
        for route in ROUTES {
            let at = paths.iter().position(|path| path.pattern == route.path);
            let at = at.unwrap_or_else(|| {
                paths.push(Path {
                    pattern: route.path,
                    by_verb: [None; Verb::ALL.len()],
                    allow: HeaderValue::from_static(""),
                });
                paths.len() - 1
            });
            paths[at].by_verb[route.verb as usize] = Some(route);
        }
        let mut router = matchit::Router::new();
        for (index, path) in paths.iter_mut().enumerate() {
            let methods: Vec<&str> = path
                .by_verb
                .iter()
                .flatten()
                .map(|route| match route.verb {
                    Verb::Get => "GET, HEAD",
                    Verb::Post => "POST",
                    Verb::Put => "PUT",
                    Verb::Patch => "PATCH",
                    Verb::Delete => "DELETE",
                })
                .collect();
            path.allow = HeaderValue::try_from(methods.join(", ")).expect("names of methods");
            router
                .insert(path.pattern, index)
                .expect("patterns that do not exclude each other");
            if path.pattern == "/swagger/{*file}" {
                router
                    .insert("/swagger/", index)
                    .expect("the page itself, which a catch-all leaves out");
            }
        }
        Self { router, paths }
    }

    /// What stands under `path`, whose trailing slash, if any, has been taken off.
    #[must_use]
    pub fn find<'t, 'p>(&'t self, method: &Method, path: &'p str) -> Found<'t, 'p> {
        let Ok(matched) = self.router.at(path) else {
            return Found::Nothing;
        };
        let index = *matched.value;
        let found = &self.paths[index];
        match Verb::of(method).and_then(|verb| found.by_verb[verb as usize]) {
            Some(route) => Found::Route {
                route,
                path: index,
                parameter: matched.params.iter().next().map_or("", |(_, value)| value),
            },
            None => Found::OtherMethod {
                path: index,
                allow: &found.allow,
            },
        }
    }

    /// The patterns of all paths; a path's place is its number.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &'static str> {
        self.paths.iter().map(|path| path.pattern)
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_under_its_own_path() {
        let table = Table::new();
        for row in ROUTES {
            let path = row
                .path
                .replace("{id}", "7")
                .replace("{key_id}", "9")
                .replace("{job_id}", "9")
                .replace("{list_id}", "8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0")
                .replace("{document}", "gateway.json");
            let path = path.replace("{*file}", "index.css");
            match table.find(&row.verb.method(), &path) {
                Found::Route {
                    route, parameter, ..
                } => {
                    assert_eq!(route, row, "{path}");
                    assert_eq!(parameter.is_empty(), !row.path.contains('{'), "{path}");
                }
                _ => panic!("{path} is not found"),
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_not_served() {
        let table = Table::new();
        for path in [
            "/",
            "/api/v1",
            "/api/v1/health",
            "/internal/v1/changes",
            "/healthy",
            "/api/v1/users/1/x",
        ] {
            assert!(
                matches!(table.find(&Method::GET, path), Found::Nothing),
                "{path}"
            );
        }
        match table.find(&Method::DELETE, "/api/v1/users/7/preferences") {
            Found::OtherMethod { allow, .. } => assert_eq!(allow, "GET, HEAD, POST"),
            _ => panic!("a known path"),
        }
        assert!(matches!(
            table.find(&Method::HEAD, "/api/v1/movies"),
            Found::Route { .. }
        ));
    }

    #[test]
    fn only_paths_with_a_user_are_for_that_user() {
        for row in ROUTES {
            let names_user = row.path.starts_with("/api/v1/users/{id}");
            assert_eq!(names_user, row.access == ThatUser, "{}", row.path);
            let is_admin = ["/api/v1/admin/", "/api/v1/jobs", "/api/v1/movies/import"]
                .iter()
                .any(|path| row.path.starts_with(path));
            assert_eq!(is_admin, row.access == Admin, "{}", row.path);
        }
    }
}
