//! The policy, walked: every row of the route table, asked by nobody, a user, a stranger and an
//! administrator.

use gateway::{
    middleware::auth::Role,
    routes::{Access, ROUTES, Route, Target},
};
use reqwest::Method;

use crate::{
    api_keys::{api_key, owners},
    stage::{Answer, Stage, echo, serve},
};

/// The path of `route`, as user 7 would write it.
fn path(route: &Route) -> String {
    let path = route.path.replace("{document}", "gateway.json");
    let path = path.replace("{*file}", "index.css");
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
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let upstream = serve(echo().merge(owners())).await;
    // Nobody asks from a network that may read the metrics.
    let stage = Stage::new(upstream, &[("METRICS_NETWORKS", "")]);
    let user = stage.token("7", Role::User);
    let stranger = stage.token("8", Role::User);
    let admin = stage.token("1", Role::Admin);
    let [reads, writes, administers, only_says] = [
        ("7", "user", &["read"][..]),
        ("7", "user", &["write"]),
        ("1", "admin", &["read", "write", "admin"]),
        // A scope that its owner's role does not cover, or does no longer.
        ("8", "user", &["read", "write", "admin"]),
    ]
    .map(|(user, role, scopes)| api_key(user, role, scopes));
    for route in ROUTES {
        let path = path(route);
        let [nobody, own, other, administrator] = match route.access {
            Access::Public | Access::SignUp => [200; 4],
            Access::AnyUser => [401, 200, 200, 200],
            Access::ThatUser => [401, 200, 403, 200],
            Access::Admin | Access::Operator => [401, 403, 403, 200],
        };
        let is_read = route.method == Method::GET;
        // Nobody looks at what is shown where nothing need be.
        let by_key = |may: bool, status: u16| match route.access {
            Access::Public => 200,
            _ if !may || route.interactive_login_only => 403,
            _ => status,
        };
        for (caller, shown, expected) in [
            ("nobody", None, nobody),
            ("the user", Some(&user), own),
            ("a stranger", Some(&stranger), other),
            ("an administrator", Some(&admin), administrator),
            ("a key that reads", Some(&reads), by_key(is_read, own)),
            ("a key that writes", Some(&writes), by_key(!is_read, own)),
            (
                "a key that administers",
                Some(&administers),
                by_key(true, administrator),
            ),
            (
                "a key that says too much",
                Some(&only_says),
                by_key(true, other),
            ),
        ] {
            let mut request = stage.bare(route.method.clone(), &path);
            if let Some(token) = shown {
                request = request.bearer_auth(token);
            }
            let answer = Answer::of(request).await;
            let expected = match (expected, route.target) {
                (200, Target::SwaggerRedirect) => 301,
                (expected, _) => expected,
            };
            assert_eq!(
                answer.status, expected,
                "{:?} {path} by {caller}: {}",
                route.method, answer.text
            );
            if expected >= 400 {
                answer.problem(expected);
            }
        }
    }
}

#[test]
fn whatever_a_user_has_is_for_that_user_alone() {
    for route in ROUTES.iter().filter(|route| route.path.contains("/users/")) {
        assert_eq!(route.access, Access::ThatUser, "{}", route.path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_who_the_path_says_to_the_letter() {
    let stage = Stage::with_echo(&[]).await;
    let token = stage.token("7", Role::User);
    for id in ["07", "+7", "%37", "7%20", "77", "-7", "7;a"] {
        let path = format!("/api/v1/users/{id}/preferences");
        let answer = Answer::of(stage.bare(Method::GET, &path).bearer_auth(&token)).await;
        answer.problem(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_internal_is_not_served() {
    let stage = Stage::with_echo(&[]).await;
    for path in [
        "/internal/v1/changes",
        "/internal/v1/snapshot",
        "/openapi.json",
        "/api/v1/health",
    ] {
        stage.get(path).await.problem(404);
    }
}
