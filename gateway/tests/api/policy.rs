//! The access rule of every route, for all kinds of callers.

use gateway::{
    Role,
    routes::{Access, Handler, ROUTES, Route},
};
use reqwest::Method;

use crate::{
    api_keys::{api_key, owners},
    stage::{Stage, TestResponse, echo, serve},
};

/// A path that matches `route`, with the ids of user 7.
fn path(route: &Route) -> String {
    let path = route.path.replace("{document}", "marquee.json");
    let file = match route.handler {
        Handler::Page => "app.css",
        _ => "index.css",
    };
    let path = path.replace("{*file}", file);
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| {
            if segment.starts_with('{') {
                "7"
            } else {
                segment
            }
        })
        .collect();
    segments.join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_allows_exactly_its_callers() {
    let upstream = serve(echo().merge(owners())).await;
    // No network may read the metrics without a token.
    let stage = Stage::new(upstream, &[("METRICS_NETWORKS", "")]);
    let user = stage.token("7", Role::User);
    let other_user = stage.token("8", Role::User);
    let admin = stage.token("1", Role::Admin);
    let moderator = stage.token("9", Role::Moderator);
    let [reads, writes, administers, beyond_role] = [
        ("7", "user", &["read"][..]),
        ("7", "user", &["write"]),
        ("1", "admin", &["read", "write", "admin"]),
        // A scope that the owner's role does not cover.
        ("8", "user", &["read", "write", "admin"]),
    ]
    .map(|(user, role, scopes)| api_key(user, role, scopes));
    for route in ROUTES {
        let path = path(route);
        let [anonymous, own, other, administrator] = match route.access {
            Access::Public | Access::SignUp => [200; 4],
            Access::AnyUser => [401, 200, 200, 200],
            Access::ThatUser => [401, 200, 403, 200],
            Access::Moderator | Access::Admin | Access::Operator => [401, 403, 403, 200],
        };
        let is_read = route.method == Method::GET;
        // Public routes ignore tokens.
        let by_key = |may: bool, status: u16| match route.access {
            Access::Public => 200,
            _ if !may || route.interactive_login_only => 403,
            _ => status,
        };
        for (caller, token, expected) in [
            ("an anonymous caller", None, anonymous),
            ("the user", Some(&user), own),
            ("another user", Some(&other_user), other),
            ("an administrator", Some(&admin), administrator),
            (
                "a moderator",
                Some(&moderator),
                if route.access == Access::Moderator {
                    200
                } else {
                    other
                },
            ),
            (
                "a key with the scope read",
                Some(&reads),
                by_key(is_read, own),
            ),
            (
                "a key with the scope write",
                Some(&writes),
                by_key(!is_read, own),
            ),
            (
                "a key with the scope admin",
                Some(&administers),
                by_key(true, administrator),
            ),
            (
                "a key with more scopes than its owner",
                Some(&beyond_role),
                by_key(true, other),
            ),
        ] {
            let mut request = stage.bare(route.method.clone(), &path);
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let response = TestResponse::of(request).await;
            let expected = match (expected, route.handler) {
                (200, Handler::SwaggerRedirect) => 301,
                (expected, _) => expected,
            };
            assert_eq!(
                response.status, expected,
                "{:?} {path} by {caller}: {}",
                route.method, response.text
            );
            if expected >= 400 {
                response.problem(expected);
            }
        }
    }
}

#[test]
fn access_rules_follow_the_paths() {
    for route in ROUTES {
        let names_user = route.path.starts_with("/api/v1/users/");
        let is_for_user = route.access == Access::ThatUser;
        assert_eq!(names_user, is_for_user, "{}", route.path);
        let is_admin = ["/api/v1/admin/", "/api/v1/jobs", "/api/v1/movies/import"]
            .iter()
            .any(|path| route.path.starts_with(path));
        let is_for_admins = matches!(route.access, Access::Admin | Access::Moderator);
        assert_eq!(is_admin, is_for_admins, "{}", route.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn user_ids_in_paths_are_compared_exactly() {
    let stage = Stage::with_echo(&[]).await;
    let token = stage.token("7", Role::User);
    for id in ["07", "+7", "%37", "7%20", "77", "-7", "7;a"] {
        let path = format!("/api/v1/users/{id}/preferences");
        let response = TestResponse::of(stage.bare(Method::GET, &path).bearer_auth(&token)).await;
        response.problem(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_beyond_the_table_are_not_served() {
    let stage = Stage::with_echo(&[]).await;
    for path in [
        "/internal/v1/changes",
        "/internal/v1/snapshot",
        "/openapi.json",
        "/api/v1/health",
        "/api/v1",
        "/healthy",
        "/api/v1/users/1/x",
    ] {
        stage.get(path).await.problem(404);
    }
}
