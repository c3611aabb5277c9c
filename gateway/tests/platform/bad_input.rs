//! Requests that are wrong, by mistake or by malice, byte for byte through the gateway: each gets a clear 4xx, a
//! problem wherever HTTP was understood at all; nothing is stored, nobody logs an error of ours.

use std::fmt::Write as _;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use crate::stage::{Ending, Platform, RawAnswer, Wants, exchange, not_a_problem};

/// What a case must bring.
#[derive(Clone, Copy)]
enum Brings {
    /// A whole problem with one of these statuses.
    Problem(&'static [u16]),
    /// A 4xx, with a problem or bare, or the end of the connection: this is not HTTP any more.
    Refusal,
    /// One of these, since nothing is wrong with it: the trick must have no effect.
    NoEffect(&'static [u16]),
}

use Brings::{NoEffect, Problem, Refusal};

struct Case {
    name: String,
    request: Vec<u8>,
    ending: Ending,
    brings: Brings,
}

/// The tokens and ids that cases are made with.
struct Who {
    admin: String,
    anna: String,
    user: i64,
    film: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_requests_get_a_clear_4xx_and_leave_no_trace() {
    let wants = Wants {
        auth_mode: "jwt",
        ..Wants::default()
    };
    let platform = Platform::with_films(1, wants).await;
    let user = platform.user("anna").await;
    let who = Who {
        admin: platform.token(&["--role", "admin", "--subject", "999"]),
        anna: platform.token(&["--subject", &user.to_string()]),
        user,
        film: platform.recommended(user, 1).await[0],
    };
    let cases: Vec<Case> = [
        bodies(&who),
        preferences(&who),
        interactions(&who),
        queries(&who),
        cursors(&who),
        positions(&who),
        paths(&who),
        framing(&who),
        heads(&who),
        impostors(&who),
    ]
    .into_iter()
    .flatten()
    .collect();
    let before = rows(&platform).await;
    let mut wrong = Vec::new();
    let count = cases.len();
    for case in cases {
        let address = platform.gateways[0].address();
        let answer = exchange(address, case.request, case.ending).await;
        if let Err(reason) = judge(&answer, case.brings) {
            wrong.push(format!("{}: {reason}", case.name));
        }
    }
    println!(
        "{count} wrong requests, {} not answered as they should be",
        wrong.len()
    );
    for (before, after) in before.iter().zip(rows(&platform).await) {
        if *before != after {
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
    // And it goes on.
    platform.until_ready().await;
    assert_eq!(platform.recommended(user, 5).await.len(), 5);
}

/// Rows of every table of every service.
async fn rows(platform: &Platform) -> Vec<(String, i64)> {
    let mut rows = Vec::new();
    for database in [
        &platform.movies,
        &platform.people,
        &platform.recommendations,
    ] {
        rows.extend(database.rows().await);
    }
    rows
}

fn judge(answer: &RawAnswer, brings: Brings) -> Result<(), String> {
    let answer = match (answer, brings) {
        (RawAnswer::Closed, Refusal) => return Ok(()),
        (RawAnswer::Http(answer), _) => answer,
        (RawAnswer::Closed, _) => return Err("closed without an answer".to_owned()),
        (RawAnswer::Nonsense(text), _) => return Err(format!("no answer but {text:?}")),
    };
    let status = answer.status.as_u16();
    let start: String = answer.text.chars().take(300).collect();
    let as_expected = match brings {
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
    match (brings, not_a_problem(answer)) {
        (Problem(_), Some(fault)) => Err(format!("{status} {start}: {fault}")),
        (Refusal, Some(fault)) if !answer.text.is_empty() => {
            Err(format!("{status} {start}: {fault}"))
        }
        _ => Ok(()),
    }
}

// --- how requests are made ------------------------------------------------------------------------------

/// A request as a client writes it, with the length of its body.
fn plain(method: &str, target: &str, token: &str, body: &[u8]) -> Vec<u8> {
    with_headers(
        method,
        target,
        token,
        &format!("Content-Length: {}\r\n", body.len()),
        body,
    )
}

/// A request with these header lines beyond those that every one needs.
fn with_headers(method: &str, target: &str, token: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: marquee\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn case(name: impl Into<String>, request: Vec<u8>, brings: Brings) -> Case {
    Case {
        name: name.into(),
        request,
        ending: Ending::Open,
        brings,
    }
}

/// What is seen of `bytes` in the message of a test that fails.
fn shown(bytes: &[u8]) -> String {
    let mut shown: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
    if bytes.len() > 80 {
        let _ = write!(shown, "… ({} bytes)", bytes.len());
    }
    shown
}

// --- bodies -----------------------------------------------------------------------------------------

fn bodies(who: &Who) -> Vec<Case> {
    let nested = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let nested_value = [b"{\"username\":".as_slice(), &nested, b"}"].concat();
    let long = format!(
        "{{\"username\":\"{}\",\"email\":\"a@b\"}}",
        "x".repeat(1_000_000)
    );
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"{".to_vec(),
        b"}".to_vec(),
        b"null".to_vec(),
        b"true".to_vec(),
        b"1".to_vec(),
        b"\"x\"".to_vec(),
        b"[]".to_vec(),
        b"[\"bad1\",\"a@b\"]".to_vec(),
        b"username=bad1&email=a@b".to_vec(),
        b"<user/>".to_vec(),
        b"{'username':'bad1','email':'a@b'}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a@b\",}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a@b\"} x".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a@b\"}{}".to_vec(),
        b"{\"username\":1,\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":[\"bad1\"],\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":{\"x\":1},\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":null,\"email\":null}".to_vec(),
        b"{\"username\":\"bad1\"}".to_vec(),
        b"{\"username\":\"   \",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"nowhere\"}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a@b\",\"id\":1}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a@b\",\"__proto__\":{}}".to_vec(),
        b"{\"username\":\"bad1\",\"username\":\"bad2\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"bad\\u0000\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"bad1\",\"email\":\"a\\u0000@b\"}".to_vec(),
        b"{\"username\":\"bad\0\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\\ud800\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\\udc00\\ud800\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\\ud800\\u0041\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\\uzzzz\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"bad\n1\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\xff\xfe\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\xed\xa0\x80\",\"email\":\"a@b\"}".to_vec(),
        b"{\"username\":\"\xc0\x80\",\"email\":\"a@b\"}".to_vec(),
        b"\xef\xbb\xbf{\"username\":\"bad1\",\"email\":\"a@b\"}".to_vec(),
        "{\"username\":\"bad1\",\"email\":\"a@b\"}"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect(),
        "{\"username\":\"bad\u{202e}1\",\"email\":\"a@b\"}".into(),
        nested,
        nested_value,
        long.into_bytes(),
    ];
    let mut cases: Vec<Case> = bodies
        .into_iter()
        .map(|body| {
            let name = format!("POST /users {}", shown(&body));
            case(
                name,
                plain("POST", "/api/v1/users", &who.admin, &body),
                Problem(&[400]),
            )
        })
        .collect();
    let big = json!({"username": "bad1", "email": "a@b", "x": "x".repeat(2 << 20)}).to_string();
    for path in [
        "/api/v1/users".to_owned(),
        format!("/api/v1/users/{}/preferences", who.user),
        format!("/api/v1/users/{}/interactions", who.user),
    ] {
        cases.push(case(
            format!("2 MiB to {path}"),
            plain("POST", &path, &who.anna, big.as_bytes()),
            Problem(&[413]),
        ));
        let mut chunks = Vec::new();
        for chunk in big.as_bytes().chunks(60_000) {
            chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            chunks.extend_from_slice(chunk);
            chunks.extend_from_slice(b"\r\n");
        }
        chunks.extend_from_slice(b"0\r\n\r\n");
        cases.push(case(
            format!("2 MiB in chunks to {path}"),
            with_headers(
                "POST",
                &path,
                &who.anna,
                "Transfer-Encoding: chunked\r\n",
                &chunks,
            ),
            Problem(&[413]),
        ));
        for length in ["1048577", "99999999999999999"] {
            cases.push(case(
                format!("{length} bytes announced to {path}"),
                with_headers(
                    "POST",
                    &path,
                    &who.anna,
                    &format!("Content-Length: {length}\r\n"),
                    b"",
                ),
                Problem(&[413]),
            ));
        }
    }
    let not_gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    cases.push(case(
        "a compressed body",
        with_headers(
            "POST",
            "/api/v1/users",
            &who.admin,
            "Content-Encoding: gzip\r\nContent-Length: 10\r\n",
            &not_gzip,
        ),
        Problem(&[400, 415]),
    ));
    cases
}

fn preferences(who: &Who) -> Vec<Case> {
    let many: Vec<String> = (0..10_000).map(|number| number.to_string()).collect();
    [
        "[]",
        "{\"preferred_genres\":null,\"x\":1}",
        "{\"preferred_genres\":\"Drama\"}",
        "{\"preferred_genres\":[1]}",
        "{\"preferred_genres\":[null]}",
        "{\"preferred_genres\":[[\"Drama\"]]}",
        "{\"preferred_genres\":[\"\"]}",
        "{\"preferred_genres\":[\"a\\u0000\"]}",
        "{\"preferred_genres\":[\"\\ud83d\"]}",
        "{\"preferred_language\":\"e\\u0000\"}",
        "{\"preferred_language\":\"english\"}",
        "{\"preferred_language\":7}",
        "{\"min_rating\":-1}",
        "{\"min_rating\":10.000001}",
        "{\"min_rating\":1e999}",
        "{\"min_rating\":NaN}",
        "{\"min_rating\":\"7\"}",
        "{\"min_rating\":[7]}",
        "{\"min_rating\":true}",
        "{\"user_id\":1}",
        "{\"min_rating\":1,\"min_rating\":2}",
        &json!({"preferred_genres": many}).to_string(),
    ]
    .iter()
    .map(|body| {
        let path = format!("/api/v1/users/{}/preferences", who.user);
        let request = plain("POST", &path, &who.anna, body.as_bytes());
        case(
            format!("preferences {}", shown(body.as_bytes())),
            request,
            Problem(&[400]),
        )
    })
    .collect()
}

fn interactions(who: &Who) -> Vec<Case> {
    let digits = "9".repeat(400);
    let path = format!("/api/v1/users/{}/interactions", who.user);
    let film = who.film;
    let mut cases: Vec<Case> = [
        "9223372036854775808".to_owned(),
        "-9223372036854775809".to_owned(),
        "18446744073709551616".to_owned(),
        digits,
        "1e30".to_owned(),
        "1e999".to_owned(),
        "1.5".to_owned(),
        "0".to_owned(),
        "-1".to_owned(),
        "-0".to_owned(),
        "null".to_owned(),
        "true".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        format!("\"{film}\""),
        format!("[{film}]"),
        "\"\\u0000\"".to_owned(),
        "0x1".to_owned(),
        "01".to_owned(),
    ]
    .iter()
    .map(|id| {
        let body = format!("{{\"movie_id\":{id},\"interaction_type\":\"like\"}}");
        let request = plain("POST", &path, &who.anna, body.as_bytes());
        case(
            format!("interaction with {}", shown(body.as_bytes())),
            request,
            Problem(&[400]),
        )
    })
    .collect();
    let long = format!("\"{}\"", "like".repeat(100_000));
    for kind in [
        "\"love\"",
        "\"\"",
        "\"LIKE\"",
        "\" like\"",
        "\"like\\u0000\"",
        "\"\\ud800\"",
        "null",
        "1",
        "[\"like\"]",
        "{\"like\":1}",
        &long,
    ] {
        let body = format!("{{\"movie_id\":{film},\"interaction_type\":{kind}}}");
        let request = plain("POST", &path, &who.anna, body.as_bytes());
        cases.push(case(
            format!("interaction {}", shown(body.as_bytes())),
            request,
            Problem(&[400]),
        ));
    }
    let body = format!(
        "{{\"movie_id\":{film},\"interaction_type\":\"like\",\"created_at\":\"2020-01-01T00:00:00Z\"}}"
    );
    cases.push(case(
        "interaction with a date of its own",
        plain("POST", &path, &who.anna, body.as_bytes()),
        Problem(&[400]),
    ));
    let body = "{\"movie_id\":9223372036854775807,\"interaction_type\":\"like\"}";
    cases.push(case(
        "interaction with no film",
        plain("POST", &path, &who.anna, body.as_bytes()),
        Problem(&[404]),
    ));
    cases
}

// --- queries and cursors --------------------------------------------------------------------------------

fn queries(who: &Who) -> Vec<Case> {
    let list = |query: &str| format!("/api/v1/movies?{query}");
    let user = who.user;
    let mut targets: Vec<String> = [
        "page=1000000000000",
        "page=9223372036854775807",
        "page=9223372036854775808",
        "page=99999999999999999999999999999999",
        "page=-9223372036854775808",
        "page=100001",
        "page=0",
        "page=%00",
        "page=1%00",
        "page=1e3",
        "page=0x10",
        "page=%D9%A1",
        "page=+1",
        "page= 1",
        "page",
        "page=",
        "page=1&page=1",
        "page[]=1",
        "page_size=0",
        "page_size=101",
        "page_size=1000000000000",
        "sort_by=popularity;drop table movie",
        "sort_by=popularity%27--",
        "sort_by=%00",
        "sort_by=%ff",
        "sort_by=%ed%a0%80",
        "order=desc,id",
        "release_date_from=2024-02-30",
        "release_date_from=2023-02-29",
        "release_date_to=2024-00-01",
        "release_date_to=2024-1-1x",
        "release_date_from=0000-00-00",
        "release_date_from=99999-01-01",
        "release_date_from=+262143-01-01",
        "release_date_from=999999999999-01-01",
        "release_date_from=infinity",
        "release_date_from=2024-02-01T00:00:00Z",
        "release_date_from=%002024-02-01",
        "%00=1",
        "%ff=1",
        "PAGE=1",
        "utm_source=x",
        "%70age=0",
    ]
    .into_iter()
    .map(|query| list(&query.replace(' ', "%20")))
    .collect();
    for limit in [
        "0",
        "-1",
        "1001",
        "1000000000000",
        "9223372036854775808",
        "x",
        "%00",
        "1.5",
    ] {
        targets.push(format!("/api/v1/users/{user}/interactions?limit={limit}"));
        targets.push(format!(
            "/api/v1/users/{user}/recommendations?limit={limit}"
        ));
    }
    for other in [
        "interactions?type=love",
        "interactions?type=%00",
        "interactions?limt=1",
        "recommendations?strategy=magic",
        "recommendations?strategy=%00",
        "recommendations?x=1",
    ] {
        targets.push(format!("/api/v1/users/{user}/{other}"));
    }
    let mut cases: Vec<Case> = targets
        .into_iter()
        .map(|target| {
            case(
                format!("GET {target}"),
                plain("GET", &target, &who.anna, b""),
                Problem(&[400]),
            )
        })
        .collect();
    for query in [
        "pages=0",
        "pages=51",
        "pages=1000000000000",
        "pages=-1",
        "pages=x",
        "pages=%00",
        "pages=1&pages=2",
        "page=1",
    ] {
        let target = format!("/api/v1/admin/sync?{query}");
        cases.push(case(
            format!("POST {target}"),
            plain("POST", &target, &who.admin, b""),
            Problem(&[400]),
        ));
    }
    cases
}

/// Cursors are opaque, not secret: anybody can make one up.
fn cursors(who: &Who) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |target: String, what: &str| {
        let name = format!("a cursor of {what}: {}", shown(target.as_bytes()));
        cases.push(case(
            name,
            plain("GET", &target, &who.anna, b""),
            Problem(&[400]),
        ));
    };
    for text in [
        "",
        "x",
        "%00",
        "....",
        "bm9uc2Vuc2U",
        "e30",
        "bnVsbA",
        "W10",
    ] {
        add(format!("/api/v1/movies?cursor={text}"), "nothing");
        add(
            format!("/api/v1/users/{}/interactions?cursor={text}", who.user),
            "nothing",
        );
    }
    let long = "e".repeat(5000);
    add(format!("/api/v1/movies?cursor={long}"), "too much");
    for cursor in [
        json!({"sort_by": "title", "order": "asc", "page": 1, "key": 1, "id": 1}),
        json!({"sort_by": "title", "order": "asc", "page": 1, "key": "a", "id": "1"}),
        json!({"sort_by": "title", "order": "desc", "page": 1, "key": "a", "id": 1}),
        json!({"sort_by": "id", "order": "asc", "page": 1, "key": "a", "id": 1}),
    ] {
        let target = format!(
            "/api/v1/movies?sort_by=title&order=asc&cursor={}",
            base64(&cursor.to_string())
        );
        add(target, &cursor.to_string());
    }
    for before in [
        "0",
        "-1",
        "9223372036854775808",
        "1.5",
        "null",
        "\"\\u0000\"",
    ] {
        let cursor = format!("{{\"before\":{before}}}");
        let target = format!(
            "/api/v1/users/{}/interactions?cursor={}",
            who.user,
            base64(&cursor)
        );
        add(target, &cursor);
    }
    cases
}

/// Places in a list that no list has given out.
fn positions(who: &Who) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |target: String, what: &str| {
        let name = format!("a position at {what}: {}", shown(target.as_bytes()));
        cases.push(case(
            name,
            plain("GET", &target, &who.anna, b""),
            Problem(&[400]),
        ));
    };
    add(
        "/api/v1/movies?release_date_from=-262143-01-01".to_owned(),
        "a day that Postgres has not",
    );
    for (sort_by, key) in [
        ("title", "a\0b"),
        ("popularity", "x"),
        ("popularity", ""),
        ("popularity", "NaN"),
        ("popularity", "Infinity"),
        ("popularity", "1e999"),
        ("popularity", "1\0"),
        ("popularity", "1; drop table movie"),
        ("release_date", "x"),
        ("release_date", "2024-02-30"),
        ("release_date", "99999999-01-01"),
        ("release_date", "\0"),
    ] {
        let cursor = json!({"sort_by": sort_by, "order": "asc", "page": 1, "key": key, "id": 1});
        let target = format!(
            "/api/v1/movies?sort_by={sort_by}&order=asc&cursor={}",
            base64(&cursor.to_string())
        );
        add(target, &format!("{sort_by} at {key:?}"));
    }
    cases
}

/// As cursors travel.
fn base64(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

// --- paths ------------------------------------------------------------------------------------------

fn paths(who: &Who) -> Vec<Case> {
    let Who { user, film, .. } = who;
    let mut cases = Vec::new();
    for target in [
        "/api/v1/movies/..".to_owned(),
        "/api/v1/movies/../rules".to_owned(),
        "/api/v1/../../etc/passwd".to_owned(),
        "/api/v1/movies/%2e%2e/rules".to_owned(),
        "/api/v1/movies/%2E%2E".to_owned(),
        "/api/v1/movies/.%2e/rules".to_owned(),
        "/api/v1/./movies".to_owned(),
        "/api/v1/%2e/movies".to_owned(),
        "/..".to_owned(),
        "/swagger/../internal/v1/changes".to_owned(),
        "/swagger/%2e%2e/internal/v1/changes".to_owned(),
        "/swagger/..%2f..%2fetc%2fpasswd".to_owned(),
        format!("/api/v1/movies/{film}%2f"),
        format!("/api/v1/movies/{film}%2F..%2F1"),
        format!("/api/v1/users/{user}%2fpreferences"),
        format!("/api/v1/users/999/..%2f{user}"),
        "//api/v1/movies".to_owned(),
        "/api//v1/movies".to_owned(),
        "/api/v1//movies".to_owned(),
        "//evil.example/api/v1/movies".to_owned(),
        "/api/v1/movies%5c..%5crules".to_owned(),
        "/api/v1/movies%5C1".to_owned(),
        "/api/v1/movies/%00".to_owned(),
        format!("/api/v1/movies/{film}%00"),
        format!("/api/v1/movies/{film}%0d%0aX-Injected:%201"),
        format!("/api/v1/users/{user}%00/preferences"),
        "/api/v1/movies/%".to_owned(),
        "/api/v1/movies/%4".to_owned(),
        "/api/v1/movies/%zz".to_owned(),
        "/%2finternal/v1/changes".to_owned(),
    ] {
        cases.push(case(
            format!("GET {target}"),
            plain("GET", &target, &who.anna, b""),
            Problem(&[400, 404]),
        ));
    }
    for target in [
        "/internal/v1/changes",
        "/internal/v1/snapshot",
        "/api/v1/internal/v1/changes",
        "/INTERNAL/v1/changes",
        "/openapi.json",
        "/api/v1/%6dovies%3f",
        "/api/v1/movies;x=1",
        "/api/v1/movies/1;x",
        "/.env",
        "/.git/config",
    ] {
        cases.push(case(
            format!("GET {target}"),
            plain("GET", target, &who.anna, b""),
            Problem(&[400, 404]),
        ));
    }
    for id in [
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999999999999999999",
        "0",
        "-1",
        "1.0",
        "1e3",
        "0x25b",
        "NaN",
        "%20603",
        "603%20",
        "%EF%BC%96%EF%BC%90%EF%BC%93",
        "%ff",
        "%ed%a0%80",
        "%F0%9F%8E%AC",
        "null",
        "undefined",
        "'%20or%201=1--",
        "{id}",
    ] {
        let target = format!("/api/v1/movies/{id}");
        cases.push(case(
            format!("GET {target}"),
            plain("GET", &target, &who.anna, b""),
            Problem(&[400]),
        ));
        for below in ["", "/preferences", "/interactions", "/recommendations"] {
            let target = format!("/api/v1/users/{id}{below}");
            cases.push(case(
                format!("GET {target}"),
                plain("GET", &target, &who.admin, b""),
                Problem(&[400]),
            ));
        }
    }
    // What would be an administrator's if dots or slashes were read twice.
    for target in [
        format!("/api/v1/users/{user}/../../admin/sync"),
        format!("/api/v1/users/{user}/%2e%2e/%2e%2e/admin/sync"),
        format!("/api/v1/users/{user}%2f..%2f..%2fadmin%2fsync"),
        "/api/v1/admin%2fsync".to_owned(),
        "/api/v1//admin/sync".to_owned(),
        "/api/v1/ADMIN/sync".to_owned(),
        "/api/v1/admin/sync/".to_owned(),
        "/api/v1/admin/sync%00".to_owned(),
        "/api/v1/admin/sync%20".to_owned(),
        "/api/v1/admin/sync;".to_owned(),
        "/api/v1/adm%69n/sync".to_owned(),
    ] {
        cases.push(case(
            format!("POST {target}"),
            plain("POST", &target, &who.anna, b""),
            Problem(&[400, 403, 404]),
        ));
    }
    let long = format!("/api/v1/movies/{}", "1".repeat(20_000));
    cases.push(case(
        "a path of 20000 bytes",
        plain("GET", &long, &who.anna, b""),
        Problem(&[414]),
    ));
    let long = format!("/api/v1/movies?sort_by={}", "x".repeat(20_000));
    cases.push(case(
        "a query of 20000 bytes",
        plain("GET", &long, &who.anna, b""),
        Problem(&[414]),
    ));
    cases
}

// --- framing: what two programs in a row might read differently ------------------------------------------

fn framing(who: &Who) -> Vec<Case> {
    let body = b"{\"username\":\"bad1\",\"email\":\"a@b\"}";
    let length = body.len();
    let users = |headers: &str, body: &[u8]| {
        with_headers("POST", "/api/v1/users", &who.admin, headers, body)
    };
    let smuggled = format!(
        "0\r\n\r\nPOST /api/v1/users HTTP/1.1\r\nHost: marquee\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n{}",
        who.admin,
        String::from_utf8_lossy(body)
    );
    let mut cases = vec![
        case("two lengths that differ", users(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), body), Refusal),
        case("two lengths in one line", users(&format!("Content-Length: {length}, 5\r\n"), body), Refusal),
        case("the same length twice in one line", users("Content-Length: 2, 2\r\n", b"{}"), Refusal),
        case("the same length twice", users("Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"), Refusal),
        case("a length below zero", users("Content-Length: -1\r\n", b""), Refusal),
        case("a length with a sign", users("Content-Length: +2\r\n", b"{}"), Refusal),
        case("a length in hexadecimal", users("Content-Length: 0x2\r\n", b"{}"), Refusal),
        case("a length beyond 64 bits", users("Content-Length: 99999999999999999999999\r\n", b""), Refusal),
        case("length and chunks", users("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", smuggled.as_bytes()), Refusal),
        case("chunks and length", users("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", smuggled.as_bytes()), Refusal),
        case("an unknown coding", users("Transfer-Encoding: gzip\r\n", body), Refusal),
        case("chunks that are not last", users("Transfer-Encoding: chunked, gzip\r\n", body), Refusal),
        case("chunks with a blank", users("Transfer-Encoding : chunked\r\n", smuggled.as_bytes()), Refusal),
        case("chunks in disguise", users("Transfer-Encoding: xchunked\r\n", smuggled.as_bytes()), Refusal),
        case("a chunk without a size", users("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"), Refusal),
        case("a chunk that is too large to be", users("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\n"), Refusal),
        case("no host", format!("GET /api/v1/movies HTTP/1.1\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", who.anna).into_bytes(), Problem(&[400])),
        case("two hosts", with_headers("GET", "/api/v1/movies", &who.anna, "Host: other\r\n", b""), Problem(&[400])),
        case("the absolute form", plain("GET", "http://marquee/api/v1/movies", &who.anna, b""), Problem(&[400])),
        case("the absolute form of another", plain("GET", "http://169.254.169.254/latest/meta-data/", &who.anna, b""), Problem(&[400])),
        case("the absolute form, encrypted", plain("GET", "https://evil.example/api/v1/movies", &who.anna, b""), Problem(&[400])),
        case("the authority form", plain("CONNECT", "evil.example:443", &who.anna, b""), Problem(&[400, 405])),
        case("the asterisk form", plain("OPTIONS", "*", &who.anna, b""), Problem(&[400, 404, 405])),
        case("no slash", plain("GET", "api/v1/movies", &who.anna, b""), Refusal),
        case("TRACE", plain("TRACE", "/api/v1/movies", &who.anna, b""), Problem(&[400, 405])),
        case("a method nobody knows", plain("BREW", "/api/v1/movies", &who.anna, b""), Problem(&[400, 405])),
        case("a method in lower case", plain("get", "/api/v1/movies", &who.anna, b""), Problem(&[400, 405])),
    ];
    for (name, ending, text) in [
        ("nothing", Ending::HalfClose, ""),
        ("a blank line", Ending::HalfClose, "\r\n\r\n"),
        (
            "garbage",
            Ending::Open,
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7f\x03\x03garbage\r\n\r\n",
        ),
        ("HTTP/0.9", Ending::HalfClose, "GET /api/v1/movies\r\n\r\n"),
        (
            "HTTP/2 in clear",
            Ending::Open,
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ),
        (
            "HTTP/3.7",
            Ending::Open,
            "GET /api/v1/movies HTTP/3.7\r\nHost: marquee\r\n\r\n",
        ),
        (
            "no version",
            Ending::Open,
            "GET /api/v1/movies HTTP\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a blank in the path",
            Ending::Open,
            "GET /api/v1/ movies HTTP/1.1\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a NUL in the path",
            Ending::Open,
            "GET /api/v1/movies\0 HTTP/1.1\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a header without a colon",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost marquee\r\n\r\n",
        ),
        (
            "a header name with a blank",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost : marquee\r\n\r\n",
        ),
        (
            "a header without a name",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\n: x\r\n\r\n",
        ),
        (
            "a NUL in a header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\0b\r\n\r\n",
        ),
        (
            "a folded header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\r\n b\r\n\r\n",
        ),
        (
            "a carriage return in a header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\rY: b\r\n\r\n",
        ),
    ] {
        cases.push(Case {
            ending,
            ..case(name, text.as_bytes().to_vec(), Refusal)
        });
    }
    // It breaks off in the middle of its body.
    for path in [
        "/api/v1/users".to_owned(),
        format!("/api/v1/users/{}/preferences", who.user),
    ] {
        cases.push(Case {
            ending: Ending::HalfClose,
            ..case(
                format!("a body that breaks off, to {path}"),
                with_headers(
                    "POST",
                    &path,
                    &who.admin,
                    "Content-Length: 1000\r\n",
                    b"{\"username\":\"bad1\"",
                ),
                Refusal,
            )
        });
        cases.push(Case {
            ending: Ending::HalfClose,
            ..case(
                format!("chunks that break off, to {path}"),
                with_headers(
                    "POST",
                    &path,
                    &who.admin,
                    "Transfer-Encoding: chunked\r\n",
                    b"2\r\n{}\r\n",
                ),
                Refusal,
            )
        });
    }
    cases
}

// --- heads --------------------------------------------------------------------------------------------

fn heads(who: &Who) -> Vec<Case> {
    let get =
        |headers: &str| with_headers("GET", "/api/v1/movies?page_size=1", &who.anna, headers, b"");
    let large = format!("X-Large: {}\r\n", "x".repeat(100_000));
    let many: String = (0..500)
        .map(|number| format!("X-{number}: x\r\n"))
        .collect();
    let bare = |headers: &str| {
        format!(
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\n{headers}\r\n"
        )
        .into_bytes()
    };
    vec![
        case("a head of 100 kB", get(&large), Refusal),
        case("500 headers", get(&many), Refusal),
        case("two tokens", get(&format!("Authorization: Bearer {}\r\n", who.admin)), Problem(&[400, 401])),
        case("no token", bare(""), Problem(&[401])),
        case("an empty token", bare("Authorization: Bearer \r\n"), Problem(&[401])),
        case("another scheme", bare("Authorization: Basic YTpi\r\n"), Problem(&[401])),
        case("a token of 20 kB", bare(&format!("Authorization: Bearer {}\r\n", "x".repeat(20_000))), Problem(&[401])),
        case("a token that is no text", b"GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\nAuthorization: Bearer \xff\xfe\r\n\r\n".to_vec(), Problem(&[401])),
        case("a token with a tab", bare("Authorization: Bearer a\tb\r\n"), Problem(&[401])),
        case("a token of dots", bare("Authorization: Bearer ...\r\n"), Problem(&[401])),
        case("a token in the query", plain("GET", &format!("/api/v1/movies?access_token={}", who.admin), "", b""), Problem(&[400, 401])),
        case("an insane request id", get("X-Request-Id: a b{}<script>\r\n"), NoEffect(&[200])),
        case("an insane trace", get("traceparent: 00-xyz\r\ntracestate: \x7f\r\n"), NoEffect(&[200, 400])),
        case("an entity tag of nonsense", get("If-None-Match: \"\r\n"), NoEffect(&[200])),
        case("a range", get("Range: bytes=0-99999999999999999999\r\n"), NoEffect(&[200])),
        case("an expectation that nobody can meet", with_headers("POST", "/api/v1/users", &who.admin, "Expect: wonders\r\nContent-Length: 2\r\n", b"{}"), Problem(&[400, 417])),
        case("another method in a header", get("X-HTTP-Method-Override: DELETE\r\n"), NoEffect(&[200])),
        case("another path in a header", get("X-Original-URL: /internal/v1/changes\r\nX-Rewrite-URL: /internal/v1/changes\r\n"), NoEffect(&[200])),
        case("an upgrade to HTTP/2", get("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), NoEffect(&[200])),
        case("an upgrade to a web socket", get("Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"), NoEffect(&[200])),
    ]
}

/// Who says to be somebody else, or one of us.
fn impostors(who: &Who) -> Vec<Case> {
    let admin = json!({"sub": "1", "role": "admin", "roles": ["admin"]}).to_string();
    let mut cases = Vec::new();
    for principal in [&*admin, "admin", "1", "user:1;role=admin"] {
        let header = format!("X-Principal: {principal}\r\nContent-Length: 0\r\n");
        cases.push(case(
            format!("X-Principal: {principal} on /admin"),
            with_headers(
                "POST",
                "/api/v1/admin/sync?pages=1",
                &who.anna,
                &header,
                b"",
            ),
            Problem(&[403]),
        ));
        let other = format!("/api/v1/users/{}/preferences", who.user + 1);
        cases.push(case(
            format!("X-Principal: {principal} on another user"),
            with_headers("GET", &other, &who.anna, &header, b""),
            Problem(&[403]),
        ));
    }
    let token = crate::stage::INTERNAL_TOKEN;
    let stranger = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\n{headers}\r\n")
            .into_bytes()
    };
    let internal = format!("X-Internal-Token: {token}\r\nX-Principal: {admin}\r\n");
    cases.push(case(
        "the internal token instead of one",
        stranger("/api/v1/movies", &internal),
        Problem(&[401]),
    ));
    cases.push(case(
        "the internal token on an internal path",
        stranger("/internal/v1/changes", &internal),
        Problem(&[401, 404]),
    ));
    let get =
        |headers: &str| with_headers("GET", "/api/v1/movies?page_size=1", &who.anna, headers, b"");
    // None of these may keep the gateway from showing its own to the service.
    cases.push(case(
        "a wrong internal token",
        get("X-Internal-Token: wrong\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "the internal token twice",
        get("X-Internal-Token: wrong\r\nx-internal-token: wrong\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "headers of ours named as those of the connection",
        get("Connection: X-Internal-Token, X-Principal, Authorization, X-Request-Id\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases.push(case(
        "a connection that is told to drop the host",
        get("Connection: Host\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases.push(case(
        "somebody else's address",
        get("X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "an address of nonsense",
        get("X-Forwarded-For: \x01, ::::, 999.1.1.1\r\nX-Forwarded-Proto: x\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases
}
