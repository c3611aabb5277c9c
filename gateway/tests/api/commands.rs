//! The gateway as a process: commands, exit codes, logs.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::{Duration, Instant},
};

use reqwest::Method;

use crate::stage::{MAX_WAIT, SECRET, Scripted, Stage, TestResponse, raw, read_head, status_of};

pub(crate) fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
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
pub(crate) fn refused(output: &Output, word: &str) {
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(word), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_token_is_accepted() {
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
        let response =
            TestResponse::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(token)).await;
        assert_eq!(response.json()["headers"]["x-principal"][0], principal);
    }
    for settings in [
        [("JWT_ISSUER", "other")],
        [("JWT_AUDIENCE", "other")],
        [("JWT_SECRET", "another secret that is long enough")],
    ] {
        let token = line(&run(&["token"], &settings));
        TestResponse::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(token))
            .await
            .problem(401);
    }
}

#[test]
fn usage_errors_are_one_line_and_exit_with_64() {
    refused(&run(&["token", "--role", "root"], &[]), "--role");
    refused(&run(&["token", "--subject"], &[]), "--subject");
    refused(&run(&["token", "--ttl-seconds", "x"], &[]), "--ttl-seconds");
    refused(&run(&["nonsense"], &[]), "nonsense");
    refused(&run(&["token", "--subject", ""], &[]), "--subject");
    refused(&run(&["token"], &[("JWT_SECRET", "short")]), "JWT_SECRET");
}

#[test]
fn invalid_settings_are_one_line_and_exit_with_64() {
    for secret in ["", "31 bytes are not enough for it."] {
        refused(&run(&[], &[("JWT_SECRET", secret)]), "JWT_SECRET");
    }
    refused(&run(&[], &[("AUTH_MODE", "none")]), "AUTH_MODE");
    refused(&run(&[], &[("RATE_LIMIT_MAX", "many")]), "RATE_LIMIT_MAX");
    refused(&run(&[], &[("RATE_LIMIT_MAX", "0")]), "RATE_LIMIT_MAX");
    refused(&run(&[], &[("PLANS", "free=0x,unlimited")]), "0x");
    refused(
        &run(&[], &[("TRUSTED_PROXIES", "10.0.0.0/64")]),
        "TRUSTED_PROXIES",
    );
    refused(
        &run(&[], &[("MOVIE_SERVICE_URL", "https://x/path")]),
        "MOVIE_SERVICE_URL",
    );
    let https = ("MOVIE_SERVICE_URL", "https://x");
    for file in ["SERVICE_TLS_CA_CERT_FILE", "SERVICE_TLS_CERT_FILE"] {
        refused(&run(&[], &[https, (file, "/nowhere.pem")]), file);
    }
    refused(&run(&[], &[("REDIS_URL", "nonsense")]), "REDIS_URL");
}

#[test]
fn a_gateway_that_others_can_reach_needs_a_token_and_verification() {
    let long = "an internal token of at least 32 bytes";
    for host in ["0.0.0.0", "::", "192.0.2.1"] {
        let host = ("SERVER_HOST", host);
        for token in ["", "31 bytes are not enough for it."] {
            refused(
                &run(&[], &[host, ("INTERNAL_TOKEN", token)]),
                "INTERNAL_TOKEN",
            );
        }
        let mock = run(
            &[],
            &[host, ("INTERNAL_TOKEN", long), ("AUTH_MODE", "mock")],
        );
        refused(&mock, "ALLOW_MOCK_BEYOND_LOOPBACK");
    }
    // Port 1 cannot be used, so that a permitted gateway fails as late as that.
    let permitted = run(
        &[],
        &[
            ("SERVER_HOST", "192.0.2.1"),
            ("INTERNAL_TOKEN", long),
            ("AUTH_MODE", "mock"),
            ("ALLOW_MOCK_BEYOND_LOOPBACK", "true"),
        ],
    );
    assert_eq!(permitted.status.code(), Some(1), "{permitted:?}");
}

#[test]
fn help_lists_the_commands_and_version_prints_the_version() {
    let help = run(&["--help"], &[]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for command in ["openapi", "healthcheck", "token"] {
        assert!(help.contains(command), "{help}");
    }
    let version = line(&run(&["--version"], &[]));
    assert_eq!(version, concat!("gateway ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_port_in_use_is_an_error() {
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
fn two_gateways_cannot_share_a_port() {
    let stage = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(Stage::with_echo(&[]));
    let port = stage.address.port().to_string();
    assert_eq!(run(&[], &[("SERVER_PORT", &port)]).status.code(), Some(1));
}

#[test]
fn openapi_prints_the_document_and_healthcheck_reports_readiness() {
    let output = run(&["openapi"], &[]);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["info"]["title"], "Marquee");
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
fn mock_mode_logs_a_warning() {
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
fn a_gateway_whose_output_nobody_reads_stops_on_sigterm() {
    let (mut program, output, _) = start_with_errors(&[], Stdio::piped());
    drop((output, program.stderr.take()));
    terminate(&program);
    let started = Instant::now();
    let status = loop {
        match program.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() < MAX_WAIT => std::thread::sleep(Duration::from_millis(10)),
            None => panic!("it goes on"),
        }
    };
    assert_eq!(status.code(), Some(0));
}

/// Starts the program; returns it with its output, which has been read up to its address.
pub(crate) fn start(settings: &[(&str, &str)]) -> (Child, BufReader<ChildStdout>, SocketAddr) {
    start_with_errors(settings, Stdio::inherit())
}

/// As [`start`], with its standard error.
fn start_with_errors(
    settings: &[(&str, &str)],
    errors: Stdio,
) -> (Child, BufReader<ChildStdout>, SocketAddr) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .env_remove("AUTH_MODE")
        .env_remove("CONFIG_FILE")
        .envs([("SERVER_PORT", "0"), ("JWT_SECRET", SECRET)])
        .envs([("REDIS_URL", ""), ("LOG_FORMAT", "json")])
        .env("WORKER_THREADS", "1")
        .envs(settings.iter().copied())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .unwrap();
    let mut output = BufReader::new(program.stdout.take().unwrap());
    let address = read_address(&mut output);
    (program, output, address)
}

/// Reads the log of a gateway up to its address.
pub(crate) fn read_address(output: &mut impl BufRead) -> SocketAddr {
    let mut log = String::new();
    while !log.contains("listening on http") {
        assert!(output.read_line(&mut log).unwrap() > 0);
    }
    let url = log.split("listening on ").nth(1).unwrap();
    let address = url.split_once("://").unwrap().1;
    address[..address.find('"').unwrap()].parse().unwrap()
}

/// Sends SIGTERM.
pub(crate) fn terminate(program: &Child) {
    let pid = program.id().to_string();
    let status = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(status.unwrap().success());
}

/// Stops the program; returns what it has logged since its start.
pub(crate) fn stop(mut program: Child, mut output: BufReader<ChildStdout>) -> String {
    terminate(&program);
    let mut log = String::new();
    output.read_to_string(&mut log).unwrap();
    assert!(program.wait().unwrap().success());
    log
}

#[test]
fn log_lines_contain_the_request_id_and_no_secret() {
    for (access_log, logged) in [("all", true), ("errors", false), ("none", false)] {
        let (program, output, address) = start(&[("ACCESS_LOG", access_log)]);
        let request = "GET /api/v1/nothing?api_key=secret HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-1\r\n\
                       Authorization: Bearer hidden\r\nConnection: close\r\n\r\n";
        assert_eq!(status_of(&raw(address, request.as_bytes())), 401);
        let log = stop(program, output);
        assert_eq!(log.contains(r#""request_id":"mine-1""#), logged, "{log}");
        assert!(!log.contains("hidden") && !log.contains("secret"), "{log}");
    }
}

#[test]
fn a_sample_of_the_requests_is_logged_and_every_failure() {
    let port = chassis::testing::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (program, output, address) = start(&[
        ("ACCESS_LOG", "all"),
        ("ACCESS_LOG_SAMPLE_PERCENT", "10"),
        ("ACCESS_LOG_SLOW_MS", "60000"),
        ("RATE_LIMIT_MAX", "100000"),
        ("MOVIE_SERVICE_URL", &url),
    ]);
    let (served, failed) = (600, 20);
    let token = line(&run(&["token"], &[]));
    let served_request = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let failed_request =
        format!("GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let requests = [
        served_request.repeat(served - 1),
        failed_request.repeat(failed),
        last.to_owned(),
    ];
    let responses = raw(address, requests.concat().as_bytes());
    assert_eq!(responses.matches("HTTP/1.1 200 OK").count(), served);
    let log = stop(program, output);
    let logged = log.matches("request served").count();
    // Five standard deviations.
    assert!((24..=96).contains(&logged), "{logged}");
    assert_eq!(log.matches("upstream request failed").count(), failed);
}

#[test]
fn failures_of_services_are_logged_with_their_cause() {
    let port = chassis::testing::free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (program, output, address) = start(&[("MOVIE_SERVICE_URL", &url)]);
    let token = line(&run(&["token"], &[]));
    let request = format!(
        "GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    assert_eq!(status_of(&raw(address, request.as_bytes())), 503);
    let log = stop(program, output);
    assert!(log.contains("upstream request failed"), "{log}");
    assert!(log.contains("cannot connect"), "{log}");
}

#[test]
fn a_refused_internal_token_is_logged_once_as_an_error_without_the_token() {
    let service = Scripted::new(|_, mut stream, _| {
        assert!(read_head(&mut stream).contains("not the right one"));
        let _ = stream.write_all(
            b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: InternalToken\r\ncontent-length: 0\r\n\r\n",
        );
    });
    let url = format!("http://{}", service.address);
    let (program, output, address) = start(&[
        ("MOVIE_SERVICE_URL", &url),
        ("INTERNAL_TOKEN", "not the right one"),
    ]);
    let token = line(&run(&["token"], &[]));
    let request = format!(
        "GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\n\r\n"
    );
    for _ in 0..3 {
        assert_eq!(status_of(&raw(address, request.as_bytes())), 502);
    }
    let log = stop(program, output);
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains(r#""level":"ERROR""#))
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("movie-service"), "{log}");
    assert!(!log.contains("not the right one"), "{log}");
}
