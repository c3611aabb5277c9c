//! Invalid requests, byte for byte through the gateway: each gets a 4xx, with a problem if it is HTTP at all;
//! nothing is stored, and no service logs an error.

mod bodies;
mod framing;
mod paths;
mod queries;

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use self::bodies::{bodies, interactions, preferences};
use self::framing::{forged_identities, framing, heads};
use self::paths::paths;
use self::queries::{cursors, positions, queries};
use crate::stage::{Ending, Platform, PlatformOptions, RawResponse, exchange, not_a_problem};

/// The expected result of a case.
#[derive(Clone, Copy)]
enum Expected {
    /// A complete problem with one of these statuses.
    Problem(&'static [u16]),
    /// A 4xx, with or without a problem, or the end of the connection: the request is not HTTP.
    Refusal,
    /// One of these statuses: the request is valid, and its unusual part must have no effect.
    NoEffect(&'static [u16]),
}

use Expected::{NoEffect, Problem, Refusal};

struct Case {
    name: String,
    request: Vec<u8>,
    ending: Ending,
    expected: Expected,
}

/// The tokens and ids of the cases.
struct Actors {
    admin: String,
    anna: String,
    user: i64,
    film: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_requests_are_4xx_and_store_nothing() {
    let platform = Platform::with_films(1, PlatformOptions::jwt()).await;
    let user = platform.user("anna").await;
    let actors = Actors {
        admin: platform.token(&["--role", "admin", "--subject", "999"]),
        anna: platform.token(&["--subject", &user.to_string()]),
        user,
        film: platform.recommended(user, 1).await[0],
    };
    let cases: Vec<Case> = [
        bodies(&actors),
        preferences(&actors),
        interactions(&actors),
        queries(&actors),
        cursors(&actors),
        positions(&actors),
        paths(&actors),
        framing(&actors),
        heads(&actors),
        forged_identities(&actors),
    ]
    .into_iter()
    .flatten()
    .collect();
    let before = rows(&platform).await;
    let mut wrong = Vec::new();
    let count = cases.len();
    for case in cases {
        let address = platform.gateways[0].address();
        let response = exchange(address, case.request, case.ending).await;
        if let Err(reason) = check(&response, case.expected) {
            wrong.push(format!("{}: {reason}", case.name));
        }
    }
    println!(
        "{count} invalid requests, {} with unexpected responses",
        wrong.len()
    );
    for (before, after) in before.iter().zip(rows(&platform).await) {
        // An administrator's request is recorded before it is checked.
        let is_log = before.0 == "audit_entry";
        if *before != after && !is_log {
            wrong.push(format!("stored: {before:?} became {after:?}"));
        }
    }
    wrong.extend(platform.errors_logged());
    assert!(
        wrong.is_empty(),
        "{} faults:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // Valid requests are still served.
    platform.until_ready().await;
    assert_eq!(platform.recommended(user, 5).await.len(), 5);
}

/// The number of rows of every table of every service.
async fn rows(platform: &Platform) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for database in [&platform.movies, &platform.users, &platform.recommendations] {
        rows.extend(database.rows().await);
    }
    rows
}

fn check(response: &RawResponse, expected: Expected) -> Result<(), String> {
    let response = match (response, expected) {
        (RawResponse::Closed, Refusal) => return Ok(()),
        (RawResponse::Http(response), _) => response,
        (RawResponse::Closed, _) => return Err("closed without a response".to_owned()),
        (RawResponse::NotHttp(text), _) => return Err(format!("no response but {text:?}")),
    };
    let status = response.status.as_u16();
    let start: String = response.text.chars().take(300).collect();
    let as_expected = match expected {
        Problem(statuses) => statuses.contains(&status),
        NoEffect(statuses) => {
            return statuses
                .contains(&status)
                .then_some(())
                .ok_or(format!("{status} {start}"));
        }
        Refusal => (400..500).contains(&status),
    };
    if !as_expected {
        return Err(format!("{status} {start}"));
    }
    match (expected, not_a_problem(response)) {
        (Problem(_), Some(fault)) => Err(format!("{status} {start}: {fault}")),
        (Refusal, Some(fault)) if !response.text.is_empty() => {
            Err(format!("{status} {start}: {fault}"))
        }
        _ => Ok(()),
    }
}

// --- building requests ---------------------------------------------------------------------------

/// A well-formed request with the length of its body.
fn plain(method: &str, target: &str, token: &str, body: &[u8]) -> Vec<u8> {
    with_headers(
        method,
        target,
        token,
        &format!("Content-Length: {}\r\n", body.len()),
        body,
    )
}

/// A request with `headers` in addition to the required ones.
fn with_headers(method: &str, target: &str, token: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: marquee\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn case(name: impl Into<String>, request: Vec<u8>, expected: Expected) -> Case {
    Case {
        name: name.into(),
        request,
        ending: Ending::Open,
        expected,
    }
}

/// A printable excerpt of `bytes` for failure messages.
fn excerpt(bytes: &[u8]) -> String {
    let mut excerpt: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
    if bytes.len() > 80 {
        let _ = write!(excerpt, "… ({} bytes)", bytes.len());
    }
    excerpt
}
