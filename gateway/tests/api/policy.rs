//! The policy, walked: every row of the route table, asked by nobody, a user, a stranger and an
//! administrator.

use gateway::{
    auth::Role,
    routes::{Access, ROUTES, Target},
};
use reqwest::Method;

use crate::stage::{Answer, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_in_whom_it_should_and_nobody_else() {
    // Nobody asks from a network that may read the metrics.
    let stage = Stage::with_echo(&[("METRICS_NETWORKS", "")]).await;
    let user = stage.token("7", Role::User);
    let stranger = stage.token("8", Role::User);
    let admin = stage.token("1", Role::Admin);
    for route in ROUTES {
        let path = route
            .path
            .replace("{id}", "7")
            .replace("{document}", "gateway.json")
            .replace("{*file}", "index.css");
        let statuses = match route.access {
            Access::Public => [200, 200, 200, 200],
            Access::AnyUser => [401, 200, 200, 200],
            Access::ThatUser => [401, 200, 403, 200],
            Access::Admin | Access::Operator => [401, 403, 403, 200],
        };
        let callers = [None, Some(&user), Some(&stranger), Some(&admin)];
        for (caller, expected) in callers.into_iter().zip(statuses) {
            let mut request = stage.bare(route.verb.method(), &path);
            if let Some(token) = caller {
                request = request.bearer_auth(token);
            }
            let answer = Answer::of(request).await;
            let expected = match (expected, route.target) {
                (200, Target::SwaggerRedirect) => 301,
                (expected, _) => expected,
            };
            assert_eq!(
                answer.status, expected,
                "{path} by {caller:?}: {}",
                answer.text
            );
            if expected >= 400 {
                answer.problem(expected);
            }
        }
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
