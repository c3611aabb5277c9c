//! The fixtures of the tests: programs, databases, and the whole platform.

mod api;
mod browser;
mod database;
#[allow(dead_code, reason = "the tests of the gateway alone use all of it")]
mod kept;
mod load;
mod managed;
mod program;
mod raw;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chassis::testing::{RedisServer, TcpProxy, eventually, free_port};
use serde_json::{Value, json};
use url::Url;

pub(crate) use self::{
    api::{Api, assert_fields, assert_problem, not_a_problem},
    browser::{Browser, Page},
    database::{Database, of_test_script, postgres_user, run_postgres},
    kept::{Failed, KeptConnections, request},
    load::{Load, Outcome},
    managed::{Certificates, Cluster, SentinelSet, TlsPostgres, TlsRedis},
    program::{Program, binary},
    raw::{Ending, RawResponse, exchange},
};

/// The secret of the gateway's tokens.
pub(crate) const JWT_SECRET: &str = "a-secret-of-the-tests-that-is-long-enough";
/// `X-Internal-Token` of all services.
pub(crate) const INTERNAL_TOKEN: &str = "an-internal-token-of-the-tests";
/// The longest wait of a test.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(30);

/// The options of a platform.
pub(crate) struct PlatformOptions {
    /// `mock` or `jwt`.
    pub(crate) auth_mode: &'static str,
    /// The port of the gateway; 0: any.
    pub(crate) gateway_port: u16,
    /// The number of gateways.
    pub(crate) gateways: usize,
    /// The number of processes of movie-service over one database.
    pub(crate) movie_services: usize,
    /// The number of processes of recommendation-service.
    pub(crate) recommendation_services: usize,
    /// Requests of one client in one window.
    pub(crate) rate_limit: u64,
    /// The length of a window in seconds.
    pub(crate) rate_limit_window: u64,
    /// The log filter of all processes.
    pub(crate) log_level: &'static str,
    /// True if the connection to Postgres can be cut.
    pub(crate) wire: bool,
    /// Settings of all services on top of their own, such as another Redis.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// A database of the Postgres server, instead of `DATABASE_URL`.
    pub(crate) postgres: Option<Url>,
    /// The directory of movie-service's images; without one, movies have no posters.
    pub(crate) images: Option<PathBuf>,
}

impl Default for PlatformOptions {
    fn default() -> Self {
        Self {
            auth_mode: "mock",
            gateway_port: 0,
            gateways: 1,
            movie_services: 1,
            recommendation_services: 1,
            rate_limit: 1_000_000,
            rate_limit_window: 60,
            log_level: "info",
            wire: false,
            settings: Vec::new(),
            postgres: None,
            images: None,
        }
    }
}

impl PlatformOptions {
    /// The default, with tokens that are verified.
    pub(crate) fn jwt() -> Self {
        Self {
            auth_mode: "jwt",
            ..Self::default()
        }
    }
}

/// A running platform. Fields are dropped in order: processes before their databases.
pub(crate) struct Platform {
    pub(crate) gateways: Vec<Program>,
    pub(crate) recommendation_services: Vec<Program>,
    pub(crate) preference_service: Program,
    pub(crate) movie_services: Vec<Program>,
    pub(crate) demo_tmdb: Program,
    pub(crate) redis: RedisServer,
    pub(crate) wire: Option<TcpProxy>,
    pub(crate) movies: Database,
    pub(crate) users: Database,
    pub(crate) recommendations: Database,
}

impl Platform {
    /// Starts everything and waits until all of it is ready.
    pub(crate) async fn start(options: PlatformOptions) -> Self {
        let (movies, users, recommendations) = tokio::join!(
            Database::create("movies", options.postgres.clone()),
            Database::create("users", options.postgres.clone()),
            Database::create("recommendations", options.postgres.clone()),
        );
        let wire = match options.wire {
            true => Some(TcpProxy::to(movies.address().await).await),
            false => None,
        };
        let near = wire.as_ref().map(TcpProxy::address);
        let redis = RedisServer::start();
        let images = options.images.as_ref();
        let demo_tmdb = Program::start(
            "demo-tmdb",
            &[("DEMO_POSTERS", images.is_some().to_string())],
        );
        // movie-service records what administrators do with preference-service, which starts after it.
        let preference_port = free_port();
        let movie_service = [
            (
                "USER_PREFERENCE_SERVICE_URL",
                format!("http://127.0.0.1:{preference_port}"),
            ),
            ("DATABASE_URL", movies.url(near)),
            ("TMDB_BASE_URL", format!("{}/3", demo_tmdb.url())),
            ("TMDB_API_KEY", "demo".to_owned()),
            ("TMDB_IMAGE_BASE_URL", format!("{}/t/p", demo_tmdb.url())),
            (
                "IMAGE_CACHE_DIR",
                images.map_or_else(String::new, |folder| folder.display().to_string()),
            ),
            // Movies are synced when a test requests it.
            ("WARM_POOL_INTERVAL_SECONDS", "0".to_owned()),
            ("TMDB_RATE_LIMIT_PER_SECOND", "10000".to_owned()),
            ("TMDB_RETRY_BASE_MS", "5".to_owned()),
            ("REDIS_URL", redis_url(&redis, 1)),
        ];
        let more = &options.settings[..];
        let movie_services = start_all(
            "movie-service",
            options.movie_services,
            &[&movie_service, more].concat(),
        );
        let preference_service = Program::start(
            "preference-service",
            &[
                service(&[
                    // Most users of the tests have no password.
                    ("AUTH_MODE", "mock".to_owned()),
                    ("SERVER_PORT", preference_port.to_string()),
                    ("DATABASE_URL", users.url(near)),
                    ("MOVIE_SERVICE_URL", movie_services[0].url()),
                    ("REDIS_URL", redis_url(&redis, 2)),
                    ("SIGNING_KEY_SECRET", JWT_SECRET.to_owned()),
                    ("LOG_LEVEL", options.log_level.to_owned()),
                    // The cheapest password hashes.
                    ("ARGON2_MEMORY_KIB", "8".to_owned()),
                    ("ARGON2_ITERATIONS", "1".to_owned()),
                ]),
                more.to_vec(),
            ]
            .concat(),
        );
        // Replicas follow different replicas, which must report the same.
        let recommendation_services: Vec<Program> = (0..options.recommendation_services)
            .map(|number| {
                Program::start(
                    "recommendation-service",
                    &service(&[
                        ("DATABASE_URL", recommendations.url(near)),
                        (
                            "MOVIE_SERVICE_URL",
                            movie_services[number % movie_services.len()].url(),
                        ),
                        ("USER_PREFERENCE_SERVICE_URL", preference_service.url()),
                        ("REDIS_URL", redis_url(&redis, 3)),
                    ]),
                )
            })
            .collect();
        let gateway = [
            ("SERVER_PORT", options.gateway_port.to_string()),
            ("AUTH_MODE", options.auth_mode.to_owned()),
            ("JWT_SECRET", JWT_SECRET.to_owned()),
            (
                "JWKS_URL",
                format!("{}/.well-known/jwks.json", preference_service.url()),
            ),
            ("LOG_LEVEL", options.log_level.to_owned()),
            ("JWT_ISSUER", "marquee".to_owned()),
            ("JWT_AUDIENCE", "marquee".to_owned()),
            ("MOVIE_SERVICE_URL", urls(&movie_services)),
            ("USER_PREFERENCE_SERVICE_URL", preference_service.url()),
            ("RECOMMENDATION_SERVICE_URL", urls(&recommendation_services)),
            ("REDIS_URL", redis_url(&redis, 0)),
            ("RATE_LIMIT_MAX", options.rate_limit.to_string()),
            (
                "RATE_LIMIT_WINDOW_SECONDS",
                options.rate_limit_window.to_string(),
            ),
        ];
        let platform = Self {
            gateways: start_all("gateway", options.gateways, &[&gateway, more].concat()),
            recommendation_services,
            preference_service,
            movie_services,
            demo_tmdb,
            redis,
            wire,
            movies,
            users,
            recommendations,
        };
        platform.until_ready().await;
        platform
    }

    /// A platform with the first `pages` pages of movies, known to all services.
    pub(crate) async fn with_films(pages: i64, options: PlatformOptions) -> Self {
        let platform = Self::start(options).await;
        platform.sync(pages).await;
        platform
    }

    /// All processes with a readiness endpoint.
    pub(crate) fn services(&self) -> impl Iterator<Item = &Program> {
        self.gateways
            .iter()
            .chain(&self.recommendation_services)
            .chain([&self.preference_service])
            .chain(&self.movie_services)
    }

    /// Waits until all services are ready.
    pub(crate) async fn until_ready(&self) {
        for service in self.services() {
            service.until_ready().await;
        }
    }

    /// Syncs movies and waits until all services know them.
    pub(crate) async fn sync(&self, pages: i64) {
        let path = format!("/api/v1/admin/sync?pages={pages}");
        let report = self.admin().post(&path, Value::Null).await.expect(200);
        assert_eq!(report["movies_synced"], pages * 20, "{report}");
        self.until_films_known(pages * 20).await;
    }

    /// Waits until every service knows `count` movies.
    pub(crate) async fn until_films_known(&self, films: i64) {
        eventually("the recommenders know the films", async || {
            self.recommendations
                .count("select count(*) from movie where payload is not null")
                .await
                == films
        })
        .await;
        eventually("preference-service knows the films", async || {
            self.users
                .count("select count(*) from movie where not removed")
                .await
                == films
        })
        .await;
    }

    /// A client of the first gateway; any token will do in mock mode.
    pub(crate) fn client(&self) -> Api {
        Api::new(&self.gateways[0].url()).token("any")
    }

    /// An administrator's client, in any mode.
    pub(crate) fn admin(&self) -> Api {
        self.client()
            .token(&self.token(&["--role", "admin", "--subject", "1"]))
    }

    /// A client of a service itself, with the internal token.
    pub(crate) fn inside(&self, service: &Program) -> Api {
        Api::new(&service.url()).header("X-Internal-Token", INTERNAL_TOKEN)
    }

    /// The output of `gateway token`.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        self.gateways[0].run(&[&["token"], arguments].concat())
    }

    /// Creates a user; returns the id.
    pub(crate) async fn user(&self, name: &str) -> i64 {
        let body = json!({"username": name, "email": format!("{name}@example.org")});
        let user = self.admin().post("/api/v1/users", body).await.expect(201);
        user["id"].as_i64().unwrap()
    }

    /// The ids of the movies in a user's list.
    pub(crate) async fn recommended(&self, user: i64, limit: usize) -> Vec<i64> {
        let path = format!("/api/v1/users/{user}/recommendations?limit={limit}");
        ids(&self.admin().get(&path).await.expect(200)["recommendations"])
    }

    /// Log lines of the level ERROR of all processes.
    pub(crate) fn errors_logged(&self) -> Vec<String> {
        self.services()
            .chain([&self.demo_tmdb])
            .flat_map(Program::errors)
            .collect()
    }
}

/// The ids of a list of movies.
pub(crate) fn ids(films: &Value) -> Vec<i64> {
    let films = films.as_array().unwrap();
    films
        .iter()
        .map(|film| film["id"].as_i64().unwrap())
        .collect()
}

/// The percentile of `sorted`, in milliseconds.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * part).round() as usize;
    sorted.get(place).map_or(0.0, Duration::as_secs_f64) * 1000.0
}

fn start_all(name: &str, count: usize, settings: &[(&str, String)]) -> Vec<Program> {
    let settings = service(settings);
    (0..count)
        .map(|_| Program::start(name, &settings))
        .collect()
}

/// The settings of all services, with `more` of one.
pub(crate) fn service<'a>(own: &[(&'a str, String)]) -> Vec<(&'a str, String)> {
    let mut settings = vec![
        ("LOG_FORMAT", "json".to_owned()),
        ("INTERNAL_TOKEN", INTERNAL_TOKEN.to_owned()),
        // Many platforms share one server.
        ("DATABASE_MAX_CONNECTIONS", "6".to_owned()),
    ];
    settings.extend(own.iter().cloned());
    settings
}

fn urls(programs: &[Program]) -> String {
    let urls: Vec<String> = programs.iter().map(Program::url).collect();
    urls.join(",")
}

/// The `number`th logical database of `redis`.
pub(crate) fn redis_url(redis: &RedisServer, number: u8) -> String {
    let url = redis.url();
    let base = url.rsplit_once('/').unwrap().0;
    format!("{base}/{number}")
}

/// The address of `url`, which is on this machine.
fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}
