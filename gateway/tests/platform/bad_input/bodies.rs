//! Invalid bodies.

use super::*;

pub(super) fn bodies(actors: &Actors) -> Vec<Case> {
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
            let name = format!("POST /users {}", excerpt(&body));
            case(
                name,
                plain("POST", "/api/v1/users", &actors.admin, &body),
                Problem(&[400]),
            )
        })
        .collect();
    let big = json!({"username": "bad1", "email": "a@b", "x": "x".repeat(2 << 20)}).to_string();
    for path in [
        "/api/v1/users".to_owned(),
        format!("/api/v1/users/{}/preferences", actors.user),
        format!("/api/v1/users/{}/interactions", actors.user),
    ] {
        cases.push(case(
            format!("2 MiB to {path}"),
            plain("POST", &path, &actors.anna, big.as_bytes()),
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
                &actors.anna,
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
                    &actors.anna,
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
            &actors.admin,
            "Content-Encoding: gzip\r\nContent-Length: 10\r\n",
            &not_gzip,
        ),
        Problem(&[400, 415]),
    ));
    cases
}

pub(super) fn preferences(actors: &Actors) -> Vec<Case> {
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
        let path = format!("/api/v1/users/{}/preferences", actors.user);
        let request = plain("POST", &path, &actors.anna, body.as_bytes());
        case(
            format!("preferences {}", excerpt(body.as_bytes())),
            request,
            Problem(&[400]),
        )
    })
    .collect()
}

pub(super) fn interactions(actors: &Actors) -> Vec<Case> {
    let digits = "9".repeat(400);
    let path = format!("/api/v1/users/{}/interactions", actors.user);
    let film = actors.film;
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
        let request = plain("POST", &path, &actors.anna, body.as_bytes());
        case(
            format!("interaction with {}", excerpt(body.as_bytes())),
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
        let request = plain("POST", &path, &actors.anna, body.as_bytes());
        cases.push(case(
            format!("interaction {}", excerpt(body.as_bytes())),
            request,
            Problem(&[400]),
        ));
    }
    let body = format!(
        "{{\"movie_id\":{film},\"interaction_type\":\"like\",\"created_at\":\"2020-01-01T00:00:00Z\"}}"
    );
    cases.push(case(
        "interaction with a date of its own",
        plain("POST", &path, &actors.anna, body.as_bytes()),
        Problem(&[400]),
    ));
    let body = "{\"movie_id\":9223372036854775807,\"interaction_type\":\"like\"}";
    cases.push(case(
        "interaction with no film",
        plain("POST", &path, &actors.anna, body.as_bytes()),
        Problem(&[404]),
    ));
    cases
}
