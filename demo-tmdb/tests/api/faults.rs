//! Each fault, as it looks from the other end of the connection.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::DemoTmdb;

#[test]
fn latency_holds_up_an_answer_that_is_then_whole() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"latency","ms":120,"jitter_ms":30}"#);
    let since = Instant::now();
    assert_eq!(tmdb.json("/movie/11")["id"], 11);
    assert!(since.elapsed() >= Duration::from_millis(120));
}

#[test]
fn too_many_requests_come_with_or_without_retry_after() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(
        r#"[{"kind":"rate_limited","retry_after":2,"count":1},{"kind":"rate_limited","count":1}]"#,
    );
    for retry_after in [Some("2"), None] {
        let answer = tmdb.get("/movie/11");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (429, retry_after)
        );
        assert_eq!(
            (&answer.json()["status_code"], &answer.json()["success"]),
            (&json!(25), &json!(false))
        );
    }
    assert_eq!(tmdb.get("/movie/11").status, 200);
}

#[test]
fn failures_have_the_status_chosen_and_a_body_of_tmdbs() {
    let tmdb = DemoTmdb::start();
    for (status, code) in [(500, 11), (502, 43), (503, 9), (504, 24), (599, 11)] {
        tmdb.faults(&format!(r#"{{"kind":"status","status":{status}}}"#));
        // A service that is down does not check the key.
        let answer = tmdb.send("GET", "/3/movie/11", "", "").expect("a response");
        assert_eq!(
            (answer.status, answer.json()["status_code"].clone()),
            (status, json!(code))
        );
    }
}

#[test]
fn a_truncated_body_is_shorter_than_it_says() {
    let tmdb = DemoTmdb::start();
    let whole = tmdb.get("/movie/11");
    tmdb.faults(r#"{"kind":"truncated"}"#);
    let answer = tmdb.get("/movie/11");
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-length"),
        Some(whole.body.len().to_string().as_str())
    );
    assert_eq!(answer.body, whole.body[..whole.body.len() / 2]);
}

#[test]
fn malformed_json_comes_as_a_whole_answer() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"malformed"}"#);
    let answer = tmdb.get("/movie/11");
    assert_eq!(
        (answer.status, answer.header("content-length")),
        (200, Some(answer.body.len().to_string().as_str()))
    );
    assert_eq!(
        answer.header("content-type"),
        Some("application/json;charset=utf-8")
    );
    assert!(!answer.body.is_empty());
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
}

#[test]
fn a_reset_connection_gives_no_answer_and_the_next_one_works() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"reset","count":1}"#);
    let error = tmdb.send("GET", "/3/movie/11", "", "").err();
    assert_eq!(error, Some(ErrorKind::ConnectionReset));
    assert_eq!(tmdb.get("/movie/11").status, 200);
    assert_eq!(
        tmdb.control("GET", "/__stats", "")["by_status"],
        json!({ "reset": 1, "200": 1 })
    );
}

#[test]
fn nonsense_is_a_page_of_html() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"nonsense"}"#);
    let answer = tmdb.get("/movie/11");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(answer.body.starts_with(b"<!doctype html>"));
}

#[test]
fn a_hanging_request_never_ends_and_is_forgotten_when_its_client_leaves() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"hang","count":1}"#);
    let error = tmdb
        .send_within("GET", "/3/movie/11", "", "", Duration::from_millis(200))
        .err();
    assert!(
        matches!(error, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "{error:?}"
    );
    let since = Instant::now();
    while tmdb.control("GET", "/__stats", "")["in_flight"] != 0 {
        assert!(since.elapsed() < Duration::from_secs(5), "still in flight");
        std::thread::yield_now();
    }
    assert_eq!(
        tmdb.control("GET", "/__stats", "")["by_status"],
        json!({ "abandoned": 1 })
    );
}

#[test]
fn a_fault_keeps_to_its_path_and_steering_meets_none() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"reset","path":"/3/movie/12"}"#);
    assert_eq!(tmdb.get("/movie/11").status, 200);
    assert!(tmdb.send("GET", "/3/movie/12?api_key=a", "", "").is_err());
    tmdb.faults(r#"{"kind":"reset"}"#);
    assert_eq!(
        tmdb.send("GET", "/health/ready", "", "")
            .expect("a response")
            .status,
        200
    );
    let active = tmdb.control("GET", "/__faults", "");
    assert_eq!(
        (&active["faults"][0]["kind"], &active["faults"][0]["struck"]),
        (&json!("reset"), &json!(0))
    );
}

#[test]
fn a_probability_strikes_some_and_the_same_ones_in_every_run() {
    let outcomes = || {
        let tmdb = DemoTmdb::start_with(&[
            (
                "DEMO_FAULTS",
                r#"{"kind":"status","status":503,"probability":0.5}"#,
            ),
            ("DEMO_SEED", "42"),
        ]);
        (0..40)
            .map(|_| tmdb.get("/movie/11").status)
            .collect::<Vec<_>>()
    };
    let first = outcomes();
    assert!(first.contains(&200) && first.contains(&503));
    assert_eq!(first, outcomes());
}

#[test]
fn faults_are_switched_off_one_by_one_or_all_at_once() {
    let tmdb = DemoTmdb::start();
    let ids = tmdb.control(
        "POST",
        "/__faults",
        r#"[{"kind":"status","status":500},{"kind":"status","status":503}]"#,
    );
    assert_eq!(ids["ids"], json!([1, 2]));
    assert_eq!(tmdb.get("/movie/11").status, 500);
    tmdb.control("DELETE", "/__faults/1", "");
    assert_eq!(tmdb.get("/movie/11").status, 503);
    tmdb.control("DELETE", "/__faults", "");
    assert_eq!(tmdb.get("/movie/11").status, 200);
}
