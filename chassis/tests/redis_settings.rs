//! The settings of Redis that are refused at start.

use std::collections::HashMap;

use chassis::{Settings, redis::RedisConfig};

fn read(environment: &[(&str, &str)]) -> Result<bool, String> {
    let environment: HashMap<String, String> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let settings = Settings::merge("redis_url = ''", &environment).expect("known settings");
    RedisConfig::read(&settings)
        .map(|config| config.is_some())
        .map_err(|error| error.to_string())
}

#[test]
fn each_kind_of_redis_has_its_url() {
    assert_eq!(read(&[]), Ok(false));
    for (mode, url) in [
        ("standalone", "redis://127.0.0.1"),
        ("standalone", "rediss://user:pass@redis.example:6380/3"),
        ("standalone", "redis://[::1]:6379/0"),
        ("standalone", "unix:///run/redis.sock"),
        ("sentinel", "redis://:pass@a,b:26380,[::1],c/2"),
        ("sentinel", "rediss://a"),
        ("cluster", "redis://user:p%2Fass@a:7000,b:7001,c/2"),
        ("cluster", "rediss://a"),
    ] {
        let read = read(&[("REDIS_MODE", mode), ("REDIS_URL", url)]);
        assert_eq!(read, Ok(true), "{mode} {url}");
    }
}

#[test]
fn an_invalid_setting_is_refused_with_its_name_and_without_the_password() {
    let (url, tls) = (
        ("REDIS_URL", "redis://:secret@a"),
        ("REDIS_URL", "rediss://:secret@a"),
    );
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    for (environment, reason) in [
        (&[("REDIS_URL", "nonsense:secret")][..], "REDIS_URL"),
        (&[("REDIS_URL", "http://:secret@a")], "REDIS_URL"),
        (&[("REDIS_URL", "redis://:secret@a/many")], "REDIS_URL"),
        (&[("REDIS_URL", "redis://:secret@a,b")], "REDIS_MODE"),
        (&[url, ("REDIS_MODE", "many")], "REDIS_MODE"),
        (&[url, ("REDIS_TIMEOUT_MS", "many")], "REDIS_TIMEOUT_MS"),
        (
            &[url, ("REDIS_MAX_CONNECTIONS", "0")],
            "REDIS_MAX_CONNECTIONS",
        ),
        (
            &[tls, ("REDIS_TLS_CA_CERT_FILE", "/nowhere")],
            "REDIS_TLS_CA_CERT_FILE",
        ),
        (
            &[tls, ("REDIS_TLS_CA_CERT_FILE", root)],
            "REDIS_TLS_CA_CERT_FILE",
        ),
    ] {
        let error = read(environment).expect_err(reason);
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}
