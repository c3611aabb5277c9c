//! Invalid paths.

use super::*;

pub(super) fn paths(actors: &Actors) -> Vec<Case> {
    let Actors { user, film, .. } = actors;
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
            plain("GET", &target, &actors.anna, b""),
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
            plain("GET", target, &actors.anna, b""),
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
            plain("GET", &target, &actors.anna, b""),
            Problem(&[400]),
        ));
        for below in ["", "/preferences", "/interactions", "/recommendations"] {
            let target = format!("/api/v1/users/{id}{below}");
            cases.push(case(
                format!("GET {target}"),
                plain("GET", &target, &actors.admin, b""),
                Problem(&[400]),
            ));
        }
    }
    // Paths that would be an administrator's if dots or slashes were decoded twice.
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
            plain("POST", &target, &actors.anna, b""),
            Problem(&[400, 403, 404]),
        ));
    }
    let long = format!("/api/v1/movies/{}", "1".repeat(20_000));
    cases.push(case(
        "a path of 20000 bytes",
        plain("GET", &long, &actors.anna, b""),
        Problem(&[414]),
    ));
    let long = format!("/api/v1/movies?sort_by={}", "x".repeat(20_000));
    cases.push(case(
        "a query of 20000 bytes",
        plain("GET", &long, &actors.anna, b""),
        Problem(&[414]),
    ));
    cases
}
