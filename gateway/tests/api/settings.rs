//! The settings: defaults, environment, validation.

use std::collections::HashMap;

use chassis::Settings;
use gateway::config::{Config, DEFAULTS};

/// A valid value for each setting, other than its default.
const OTHERS: [(&str, &str); 67] = [
    ("WORKER_THREADS", "3"),
    ("SHUTDOWN_DELAY_MS", "77"),
    ("SHARE_PORT", "true"),
    ("ACCESS_LOG", "all"),
    ("ACCESS_LOG_SLOW_MS", "77"),
    ("ACCESS_LOG_SAMPLE_PERCENT", "7.5"),
    ("TLS_CERTIFICATE_FILE", "/host.crt"),
    ("TLS_KEY_FILE", "/host.key"),
    ("HSTS_SECONDS", "77"),
    ("HEAD_TIMEOUT_MS", "77"),
    ("KEEP_ALIVE_TIMEOUT_MS", "77"),
    ("HEAD_LIMIT_BYTES", "9999"),
    ("TARGET_LIMIT_BYTES", "77"),
    ("STRICT_LINE_ENDS", "false"),
    ("COMPRESSION", "gzip"),
    ("COMPRESSION_MIN_BYTES", "77"),
    ("COMPRESSION_LEVEL", "7"),
    ("IMPORT_BODY_LIMIT_BYTES", "77"),
    ("CLIENT_STALL_TIMEOUT_MS", "77"),
    ("MAX_CONNECTIONS_PER_CLIENT", "77"),
    ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "77"),
    ("MAX_WEBSOCKETS", "0"),
    ("MAX_WEBSOCKETS_PER_CLIENT", "77"),
    ("WEBSOCKET_IDLE_SECONDS", "77"),
    ("BODY_GRACE_MS", "77"),
    ("BODY_MIN_BYTES_PER_SECOND", "77"),
    ("TRUSTED_PROXIES", "10.0.0.0/8"),
    ("METRICS_NETWORKS", "10.0.0.0/8"),
    ("CORS_ORIGINS", "https://example.com"),
    ("AUTH_MODE", "mock"),
    ("ALLOW_MOCK_BEYOND_LOOPBACK", "true"),
    ("JWT_SECRET", "another secret that is long enough"),
    ("JWKS_URL", "https://elsewhere/jwks.json"),
    ("JWKS_TIMEOUT_MS", "77"),
    ("JWKS_REFRESH_SECONDS", "77"),
    ("JWKS_PAUSE_SECONDS", "77"),
    ("KEY_CACHE_SECONDS", "77"),
    ("REVOCATION_REFRESH_SECONDS", "78"),
    ("JWT_ISSUER", "other"),
    ("JWT_AUDIENCE", "other"),
    ("JWT_LEEWAY_SECONDS", "77"),
    ("REDIS_URL", "redis://elsewhere/7"),
    ("RATE_LIMIT_MAX", "77"),
    ("RATE_LIMIT_WINDOW_SECONDS", "77"),
    ("RATE_LIMIT_ENTRIES", "77"),
    ("RATE_LIMIT_WITHOUT_REDIS", "open"),
    ("RATE_LIMIT_GATEWAYS", "3"),
    ("PLANS", "free=7/1,unlimited"),
    ("ROLE_PLANS", "user=free,moderator=free,admin=free"),
    ("USER_PLANS", "17=unlimited"),
    ("API_KEY_LIMIT", "7/1"),
    ("ROUTE_LIMITS", "free.search=7/1"),
    ("MOVIE_SERVICE_URL", "http://a:1,http://b:2"),
    ("USER_PREFERENCE_SERVICE_URL", "http://[::1]:7"),
    ("RECOMMENDATION_SERVICE_URL", "http://c"),
    ("ROUTES_FILE", "/etc/marquee/routes.toml"),
    ("UPSTREAM_CONNECT_TIMEOUT_MS", "77"),
    ("UPSTREAM_STALL_TIMEOUT_MS", "77"),
    ("UPSTREAM_IDLE_CONNECTIONS", "77"),
    ("UPSTREAM_IDLE_MS", "77"),
    ("UPSTREAM_FAILURES_TO_SKIP", "77"),
    ("UPSTREAM_SKIP_MS", "77"),
    ("UPSTREAM_PROBE_AFTER_MS", "77"),
    ("UPSTREAM_PROBE_TIMEOUT_MS", "77"),
    ("SYNC_TIMEOUT_MS", "77"),
    ("CACHE_MAX_BYTES", "77"),
    ("CACHE_ENTRY_MAX_BYTES", "77"),
];

fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
    let mut all = HashMap::from([(
        "JWT_SECRET".to_owned(),
        "a secret that is long enough for it".to_owned(),
    )]);
    for (key, value) in environment {
        all.insert((*key).to_owned(), (*value).to_owned());
    }
    Settings::merge(DEFAULTS, &all)
        .and_then(|settings| Config::read(&settings))
        .map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_complete_except_for_the_secret() {
    let config = read(&[]).expect("complete");
    assert_eq!(
        (config.rate_limit_max, config.rate_limit_window_seconds),
        (100, 60)
    );
    let error = read(&[("JWT_SECRET", "")]).expect_err("no secret");
    assert!(error.contains("JWT_SECRET"), "{error}");
    let keys = ("JWKS_URL", "http://keys/jwks.json");
    assert!(read(&[("JWT_SECRET", ""), keys]).is_ok());
    let error = read(&[("JWT_SECRET", "short"), keys]).expect_err("a short secret");
    assert!(error.contains("JWT_SECRET"), "{error}");
    let error = read(&[("JWKS_URL", "file:///keys")]).expect_err("no http");
    assert!(error.contains("JWKS_URL"), "{error}");
}

#[test]
fn each_setting_can_be_set_by_the_environment() {
    use secrecy::ExposeSecret;
    let shown = |config: &Config| {
        format!(
            "{config:?} {} {:?}",
            config.jwt_secret.expose_secret(),
            config
                .redis
                .as_ref()
                .map(|redis| redis.redis_url.expose_secret())
        )
    };
    let default = shown(&read(&[]).expect("defaults"));
    for (key, value) in OTHERS {
        let changed = read(&[(key, value)]).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_ne!(shown(&changed), default, "{key} changes nothing");
    }
    let keys = DEFAULTS
        .lines()
        .filter(|line| line.contains(" = ") && !line.starts_with('#'));
    let keys: Vec<&str> = keys.map(|line| line.split(" = ").next().unwrap()).collect();
    for key in &keys {
        let known = OTHERS.iter().any(|(name, _)| name.to_lowercase() == *key);
        assert!(known || *key == "server_port", "{key} is not tried");
    }
    assert_eq!(keys.len(), OTHERS.len() + 1);
}

#[test]
fn a_misspelt_setting_in_a_file_is_refused_with_a_suggestion() {
    let folder = std::env::temp_dir().join(format!("gateway-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.toml");
    std::fs::write(&file, "rate_limit_maximum = 3\n").unwrap();
    let error = read(&[("CONFIG_FILE", file.to_str().unwrap())]).expect_err("misspelt");
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        error.contains("rate_limit_maximum") && error.contains("`rate_limit_max`"),
        "{error}"
    );
}

#[test]
fn secrets_are_redacted() {
    let config = read(&[("JWT_SECRET", "swordfish swordfish swordfish sword")]).expect("valid");
    assert!(!format!("{config:?}").contains("swordfish"));
}

#[test]
fn urls_of_services_are_validated() {
    for wrong in [
        "",
        ",",
        "nonsense",
        "http://x/path",
        "http://x?y",
        "ftp://x",
        "http://a:1,b:2",
    ] {
        let error = read(&[("MOVIE_SERVICE_URL", wrong)]).expect_err(wrong);
        assert!(error.contains("MOVIE_SERVICE_URL"), "{error}");
    }
}
