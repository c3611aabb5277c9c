//! The program, started.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    process::{Command, Output, Stdio},
};

use reqwest::Method;

use crate::stage::{Answer, SECRET, Stage, raw, status_of};

fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    let settings: HashMap<_, _> = settings.iter().copied().collect();
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(arguments)
        .env_remove("AUTH_MODE")
        .env_remove("CONFIG_FILE")
        .env("JWT_SECRET", SECRET)
        .env("SERVER_PORT", "0")
        .envs(settings)
        .output()
        .unwrap()
}

fn line(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text.trim().to_owned()
}

#[track_caller]
fn refused(output: &Output, word: &str) {
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(word), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_token_opens_the_door() {
    let stage = Stage::with_echo(&[]).await;
    for (arguments, principal) in [
        (&["token"][..], r#"{"subject":"1","role":"user"}"#),
        (
            &[
                "token",
                "--role",
                "admin",
                "--subject",
                "42",
                "--ttl-seconds",
                "60",
            ],
            r#"{"subject":"42","role":"admin"}"#,
        ),
    ] {
        let token = line(&run(arguments, &[]));
        let answer = Answer::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(token)).await;
        assert_eq!(answer.json()["headers"]["x-principal"][0], principal);
    }
    for settings in [
        [("JWT_ISSUER", "other")],
        [("JWT_AUDIENCE", "other")],
        [("JWT_SECRET", "another secret that is long enough")],
    ] {
        let token = line(&run(&["token"], &settings));
        Answer::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(token))
            .await
            .problem(401);
    }
}

#[test]
fn a_wrong_call_is_one_line_and_64() {
    refused(&run(&["token", "--role", "root"], &[]), "--role");
    refused(&run(&["token", "--subject"], &[]), "--subject");
    refused(&run(&["token", "--ttl-seconds", "x"], &[]), "--ttl-seconds");
    refused(&run(&["nonsense"], &[]), "token");
    refused(&run(&["token"], &[("JWT_SECRET", "short")]), "JWT_SECRET");
}

#[test]
fn settings_that_cannot_work_are_one_line_and_64() {
    for secret in ["", "31 bytes are not enough for it."] {
        refused(&run(&[], &[("JWT_SECRET", secret)]), "JWT_SECRET");
    }
    refused(&run(&[], &[("AUTH_MODE", "none")]), "AUTH_MODE");
    refused(&run(&[], &[("RATE_LIMIT_MAX", "many")]), "RATE_LIMIT_MAX");
    refused(&run(&[], &[("RATE_LIMIT_MAX", "0")]), "RATE_LIMIT_MAX");
    refused(
        &run(&[], &[("TRUSTED_PROXIES", "10.0.0.0/64")]),
        "TRUSTED_PROXIES",
    );
    refused(
        &run(&[], &[("MOVIE_SERVICE_URL", "https://x")]),
        "MOVIE_SERVICE_URL",
    );
    refused(&run(&[], &[("REDIS_URL", "nonsense")]), "REDIS_URL");
}

#[test]
fn a_port_that_is_taken_is_noticed() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = run(&[], &[("SERVER_PORT", &port)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stdout).contains(&port),
        "{output:?}"
    );
}

#[test]
fn two_gateways_do_not_share_a_port_by_mistake() {
    let stage = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(Stage::with_echo(&[]));
    let port = stage.address.port().to_string();
    assert_eq!(run(&[], &[("SERVER_PORT", &port)]).status.code(), Some(1));
}

#[test]
fn the_api_is_printed_and_health_is_asked_for() {
    let output = run(&["openapi"], &[]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["info"]["title"], "Marquee: gateway");
    let stage = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(Stage::with_echo(&[]));
    let port = stage.address.port().to_string();
    assert!(
        run(&["healthcheck"], &[("SERVER_PORT", &port)])
            .status
            .success()
    );
    let free = chassis::testing::free_port().to_string();
    assert!(
        !run(&["healthcheck"], &[("SERVER_PORT", &free)])
            .status
            .success()
    );
}

#[test]
fn mock_mode_says_so_loudly() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .envs([
            ("AUTH_MODE", "mock"),
            ("JWT_SECRET", ""),
            ("SERVER_PORT", "0"),
            ("REDIS_URL", ""),
        ])
        .env_remove("CONFIG_FILE")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = [0; 600];
    let mut output = program.stdout.take().unwrap();
    let mut length = 0;
    while !String::from_utf8_lossy(&text[..length]).contains("listening on") {
        length += output.read(&mut text[length..]).unwrap();
    }
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(String::from_utf8_lossy(&text).contains("AUTH_MODE=mock"));
}

#[test]
fn a_log_line_names_the_request_and_no_secret() {
    for (access_log, logged) in [("all", true), ("errors", false), ("none", false)] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .envs([
                ("SERVER_PORT", "0"),
                ("JWT_SECRET", SECRET),
                ("REDIS_URL", ""),
            ])
            .envs([
                ("ACCESS_LOG", access_log),
                ("LOG_FORMAT", "json"),
                ("WORKER_THREADS", "1"),
            ])
            .env_remove("AUTH_MODE")
            .env_remove("CONFIG_FILE")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(program.stdout.take().unwrap());
        let mut log = String::new();
        while !log.contains("listening on http://") {
            assert!(output.read_line(&mut log).unwrap() > 0);
        }
        let address = log.split("listening on http://").nth(1).unwrap();
        let address = address[..address.find('"').unwrap()].parse().unwrap();
        let request = "GET /api/v1/nothing?api_key=secret HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\
                       Authorization: Bearer hidden\r\nConnection: close\r\n\r\n";
        assert_eq!(status_of(&raw(address, request.as_bytes())), 401);
        let pid = program.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        output.read_to_string(&mut log).unwrap();
        assert!(program.wait().unwrap().success());
        assert_eq!(log.contains(r#""request_id":"mine-1""#), logged, "{log}");
        assert!(!log.contains("hidden") && !log.contains("secret"), "{log}");
    }
}
