//! Safe by default: what a service refuses to start with, and what operators see of a wrong setting.

use std::process::{Command, Stdio};

use chassis::testing::{RedisServer, eventually};

use crate::stage::{Api, Platform, PlatformOptions, binary};

#[test]
fn no_service_that_others_can_reach_starts_without_an_internal_token() {
    for name in [
        "gateway",
        "movie-service",
        "preference-service",
        "recommendation-service",
    ] {
        for (host, token) in [
            ("0.0.0.0", ""),
            ("::", "too short to keep others out"),
            ("192.0.2.1", ""),
        ] {
            let output = Command::new(binary(name))
                .env_clear()
                .current_dir(std::env::temp_dir())
                .stdin(Stdio::null())
                .envs([("SERVER_HOST", host), ("INTERNAL_TOKEN", token)])
                .output()
                .unwrap();
            let message = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{name}: {message}");
            assert!(
                message.contains("INTERNAL_TOKEN must have at least 32 bytes")
                    && message.lines().count() == 1,
                "{name}: {message}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_redis_password_shows_in_readiness_and_metrics_of_every_service() {
    let redis = RedisServer::start();
    redis.require_password("right");
    let url = redis.url().replace("redis://", "redis://:wrong@");
    let platform = Platform::start(PlatformOptions {
        settings: vec![("REDIS_URL", url)],
        ..PlatformOptions::default()
    })
    .await;
    let with_redis = [
        &platform.gateways[0],
        &platform.movie_services[0],
        &platform.preference_service,
    ];
    for service in with_redis {
        let api = Api::new(&service.url());
        eventually("the refusal shows", async || {
            let ready = api.get("/health/ready").await;
            assert_eq!(ready.status, 200, "{}", service.name());
            let dependencies = ready.body["dependencies"].as_array().unwrap();
            let redis = dependencies
                .iter()
                .find(|dependency| dependency["name"] == "redis");
            ready.body["status"] == "degraded"
                && redis.unwrap()["status"] == "refuses the user or password of REDIS_URL"
        })
        .await;
        let metrics = api.get("/metrics").await.text;
        let value = |name: &str| {
            let line = metrics.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse::<f64>().ok())
        };
        assert!(
            value("redis_refused_total").unwrap_or(0.0) >= 1.0,
            "{}: {metrics}",
            service.name()
        );
        assert_eq!(
            value(r#"dependency_up{dependency="redis"}"#),
            Some(0.0),
            "{metrics}"
        );
        assert!(metrics.contains("# HELP redis_refused_total"), "{metrics}");
    }
}
