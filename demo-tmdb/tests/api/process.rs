//! Start, end and settings of the process.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Program, REQUEST_TIMEOUT, command};

#[test]
fn it_starts_quickly_stays_small_and_stops_when_told() {
    let since = Instant::now();
    let mut program = Program::start(&[]);
    let tmdb = program.client;
    assert!(
        since.elapsed() < Duration::from_secs(2),
        "{:?}",
        since.elapsed()
    );
    assert!(
        tmdb.url().starts_with("http://127.0.0.1:"),
        "only this machine unless asked"
    );
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(
            tmdb.send("GET", path, "", "").expect("a response").status,
            200
        );
    }
    tmdb.all_ids("/discover/movie");
    // Only Linux tells; elsewhere there is nothing to check.
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", program.child.id())) {
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .expect("resident memory");
        let kib: u64 = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse().ok())
            .expect("a number");
        assert!(kib < 40 * 1024, "{kib} KiB");
    }
    program.terminate();
    let status = program
        .wait(Duration::from_secs(2))
        .expect("gone within two seconds");
    assert!(status.success(), "{status}");
}

#[test]
fn it_stops_even_while_a_request_hangs() {
    let mut program = Program::start(&[("DEMO_FAULTS", r#"{"kind":"hang"}"#)]);
    let tmdb = program.client;
    std::thread::scope(|scope| {
        let pending = scope.spawn(|| tmdb.send("GET", "/3/movie/11", "", "").err());
        while tmdb.control("GET", "/__stats", "")["in_flight"] != 1 {
            std::thread::yield_now();
        }
        program.terminate();
        assert!(pending.join().expect("no panic").is_some());
    });
    assert!(program.wait(Duration::from_secs(2)).is_some());
}

#[test]
fn a_wrong_setting_stops_the_start_and_is_named() {
    for (key, value) in [
        ("SERVER_PORT", "eighty"),
        ("DEMO_PROVIDERS", "maybe"),
        ("DEMO_EXTRA_FILMS", "-1"),
        ("DEMO_EXTRA_FILMS", "200001"),
        ("DEMO_TODAY", "2024-02-30"),
        ("DEMO_FAULTS", r#"{"kind":"status"}"#),
    ] {
        let child = command(&[(key, value)])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut tmdb = child.expect("demo-tmdb starts");
        let since = Instant::now();
        while tmdb.try_wait().expect("our own child").is_none() {
            if since.elapsed() > REQUEST_TIMEOUT {
                tmdb.kill().expect("our own child");
                panic!("{key}={value} was accepted");
            }
            std::thread::yield_now();
        }
        let output = tmdb.wait_with_output().expect("our own child");
        assert_eq!(output.status.code(), Some(64), "{key}={value}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(key),
            "{key}={value}"
        );
    }
}

#[test]
fn help_and_version_are_printed_and_unknown_arguments_are_refused() {
    for (argument, code, text) in [
        ("--help", 0, "healthcheck"),
        ("--version", 0, env!("CARGO_PKG_VERSION")),
        ("--port", 64, "--port"),
        ("healthchek", 64, "healthcheck"),
    ] {
        let output = command(&[])
            .arg(argument)
            .output()
            .expect("demo-tmdb starts");
        assert_eq!(output.status.code(), Some(code), "{argument}");
        let printed = [output.stdout, output.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert!(printed.contains(text), "{argument}: {printed}");
    }
}
