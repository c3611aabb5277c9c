//! Invalid queries and forged cursors.

use super::*;

pub(super) fn queries(actors: &Actors) -> Vec<Case> {
    let list = |query: &str| format!("/api/v1/movies?{query}");
    let user = actors.user;
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
                plain("GET", &target, &actors.anna, b""),
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
            plain("POST", &target, &actors.admin, b""),
            Problem(&[400]),
        ));
    }
    cases
}

/// Cursors are opaque, not secret: clients can forge them.
pub(super) fn cursors(actors: &Actors) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |target: String, what: &str| {
        let name = format!("a cursor of {what}: {}", excerpt(target.as_bytes()));
        cases.push(case(
            name,
            plain("GET", &target, &actors.anna, b""),
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
            format!("/api/v1/users/{}/interactions?cursor={text}", actors.user),
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
            actors.user,
            base64(&cursor)
        );
        add(target, &cursor);
    }
    cases
}

/// Forged positions in a list.
pub(super) fn positions(actors: &Actors) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |target: String, what: &str| {
        let name = format!("a position at {what}: {}", excerpt(target.as_bytes()));
        cases.push(case(
            name,
            plain("GET", &target, &actors.anna, b""),
            Problem(&[400]),
        ));
    };
    add(
        "/api/v1/movies?release_date_from=-262143-01-01".to_owned(),
        "a date beyond the range of Postgres",
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

/// The encoding of cursors.
fn base64(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}
