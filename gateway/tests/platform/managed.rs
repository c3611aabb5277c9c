//! The platform on servers as operators run them: Postgres and Redis with TLS only, a Redis behind Sentinels whose
//! master fails, a Redis Cluster that loses a master. Each test uses every feature that needs Redis.

use std::{cell::Cell, collections::BTreeSet, time::Duration};

use chassis::{postgres, shutdown::Shutdown, testing::eventually};
use serde_json::json;
use sqlx::migrate::Migrator;

use crate::stage::{
    Api, Certificates, Cluster, Platform, PlatformOptions, Program, SentinelSet, TlsPostgres,
    TlsRedis, ids, service,
};

/// Requests of one client in one window.
const LIMIT: u64 = 1_000_000;
/// The length of a window in seconds, after which a gateway must take a new lease.
const WINDOW: u64 = 2;

/// A platform of two gateways and two processes of movie-service, with 20 movies.
async fn platform(
    settings: &[(&'static str, String)],
    postgres: Option<&TlsPostgres>,
    query: &str,
) -> Platform {
    let options = PlatformOptions {
        gateways: 2,
        movie_services: 2,
        rate_limit: LIMIT,
        rate_limit_window: WINDOW,
        settings: settings.to_vec(),
        postgres: postgres.map(|server| server.url(query)),
        ..PlatformOptions::default()
    };
    Platform::with_films(1, options).await
}

/// Uses the rate limit, the cache of movies and the charts, each over Redis.
async fn use_redis(platform: &Platform, user: i64, keys: impl AsyncFn() -> BTreeSet<String>) {
    eventually("Redis is seen", async || {
        let ready = platform.client().get("/health/ready").await;
        ready.body["dependencies"][0] == json!({"name": "redis", "required": false, "status": "ok"})
    })
    .await;
    eventually("both gateways share one limit", async || {
        let mut remaining = Vec::new();
        for gateway in &platform.gateways {
            let response = Api::new(&gateway.url())
                .token("any")
                .get("/api/v1/rules")
                .await;
            let header = response.headers["x-ratelimit-remaining"].to_str().unwrap();
            remaining.push(header.parse::<u64>().unwrap());
        }
        // The first lease is a tenth; a gateway that counts alone would have nearly all.
        remaining.iter().min().unwrap() < &(LIMIT * 95 / 100)
            && keys().await.contains("gateway:v2:limit:127.0.0.1")
    })
    .await;
    let [first, second] = &platform.movie_services[..] else {
        panic!("two processes");
    };
    let list = platform
        .client()
        .get("/api/v1/movies?page_size=20")
        .await
        .expect(200);
    let films = ids(&list["data"]);
    let next = Cell::new(0);
    let before = from_redis(platform, second).await;
    eventually("movies come from Redis", async || {
        // Another one each time, since the next read of a movie is from memory.
        let film = films[next.replace(next.get() + 1) % films.len()];
        let path = format!("/api/v1/movies/{film}");
        for service in [first, second] {
            platform.inside(service).get(&path).await.expect(200);
        }
        from_redis(platform, second).await > before
    })
    .await;
    let body = json!({"movie_id": films[0], "interaction_type": "like"});
    let path = format!("/api/v1/users/{user}/interactions");
    platform.client().post(&path, body).await.expect(201);
    eventually("the charts are in Redis", async || {
        keys().await.contains("{chart}:state")
            && platform
                .preference_service
                .run(&["verify"])
                .ends_with("chart differences 0")
    })
    .await;
    let chart = platform
        .client()
        .get("/api/v1/charts/top?metric=likes")
        .await
        .expect(200);
    assert_eq!(chart["data"][0]["movie"]["id"], films[0]);
    // The script of the attempts at a login.
    let login = json!({"username": "nobody", "password": "not a password of anybody"});
    platform
        .client()
        .post("/api/v1/auth/token", login)
        .await
        .expect(401);
    assert!(
        keys()
            .await
            .iter()
            .any(|key| key.starts_with("people:v1:attempts:"))
    );
}

/// Movies that `service` has read from Redis.
async fn from_redis(platform: &Platform, service: &Program) -> f64 {
    let metrics = platform.inside(service).get("/metrics").await.text;
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(r#"movie_reads_total{tier="redis"} "#));
    line.map_or(0.0, |number| number.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_runs_on_servers_with_tls_only() {
    let certificates = Certificates::new();
    let postgres = TlsPostgres::start(&certificates);
    let redis = TlsRedis::start(&certificates).await;
    let query = format!(
        "sslmode=verify-full&sslrootcert={}",
        certificates.file("root.crt")
    );
    let platform = platform(&redis.settings, Some(&postgres), &query).await;
    let user = platform.user("anna").await;
    use_redis(&platform, user, async || redis.keys().await).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
    a_server_with_another_root_is_not_trusted(&platform, &certificates, &redis).await;
}

async fn a_server_with_another_root_is_not_trusted(
    platform: &Platform,
    certificates: &Certificates,
    redis: &TlsRedis,
) {
    let mut settings = redis.settings.clone();
    settings.push(("REDIS_TLS_CA_CERT_FILE", certificates.file("other.crt")));
    settings.push(("AUTH_MODE", "mock".to_owned()));
    settings.push(("MOVIE_SERVICE_URL", platform.movie_services[0].url()));
    let gateway = Program::start("gateway", &service(&settings));
    let client = Api::new(&gateway.url()).token("any");
    client.get("/api/v1/movies").await.expect(200);
    let ready = client.get("/health/ready").await.expect(200);
    assert_eq!(ready["dependencies"][0]["status"], "cannot be reached");
    let lines = gateway.lines().join("\n");
    assert!(
        lines.contains("invalid peer certificate: UnknownIssuer"),
        "{lines}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_follows_the_sentinels_to_a_new_master() {
    let mut redis = SentinelSet::start().await;
    let platform = platform(&redis.settings, None, "").await;
    let user = platform.user("anna").await;
    use_redis(&platform, user, async || redis.keys().await).await;
    redis.fail_over().await;
    platform.client().get("/api/v1/movies").await.expect(200);
    // Windows of the old master end.
    tokio::time::sleep(Duration::from_secs(WINDOW)).await;
    use_redis(&platform, user, async || redis.keys().await).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_runs_on_a_cluster_that_loses_a_master() {
    let certificates = Certificates::new();
    let mut redis = Cluster::start(&certificates).await;
    let platform = platform(&redis.settings, None, "").await;
    let user = platform.user("anna").await;
    use_redis(&platform, user, async || redis.keys().await).await;
    redis.fail_over("{chart}").await;
    platform.client().get("/api/v1/movies").await.expect(200);
    tokio::time::sleep(Duration::from_secs(WINDOW)).await;
    use_redis(&platform, user, async || redis.keys().await).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_is_connected_as_sslmode_requests() {
    let certificates = Certificates::new();
    let server = TlsPostgres::start(&certificates);
    let (root, other) = (
        certificates.file("root.crt"),
        certificates.file("other.crt"),
    );
    let open = async |query: &str| {
        let url = server.url(query).as_str().into();
        let migrator = Migrator::with_migrations(Vec::new());
        let pool = postgres::open(&url, 1, &migrator, &Shutdown::default()).await?;
        let encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
        anyhow::Ok(
            sqlx::query_scalar::<_, bool>(encrypted)
                .fetch_one(&pool)
                .await?,
        )
    };
    for query in [
        "sslmode=require".to_owned(),
        format!("sslmode=verify-ca&sslrootcert={root}"),
        format!("sslmode=verify-full&sslrootcert={root}"),
    ] {
        assert!(open(&query).await.expect(&query), "{query}");
    }
    for (query, reason) in [
        ("sslmode=disable".to_owned(), "no encryption"),
        (
            "sslmode=verify-full".to_owned(),
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            format!("sslmode=verify-full&sslrootcert={other}"),
            "invalid peer certificate: UnknownIssuer",
        ),
        (
            "sslmode=verify-full&sslrootcert=/nowhere".to_owned(),
            "sslrootcert",
        ),
    ] {
        let started = std::time::Instant::now();
        let error = format!("{:#}", open(&query).await.expect_err(&query));
        assert!(error.contains(reason), "{query}: {error}");
        // Waiting does not help, so it does not wait.
        assert!(started.elapsed() < Duration::from_secs(5), "{query}");
    }
}
