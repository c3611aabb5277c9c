//! The OpenAPI document.

use chassis::testing::assert_openapi_is_committed;
use preference_service::{NAME, handler::openapi};
use serde_json::Value;

#[test]
fn openapi_is_committed() {
    assert_openapi_is_committed(NAME, &openapi());
}

#[test]
fn every_operation_is_described_and_its_errors_are_problems() {
    let document: Value =
        serde_json::from_str(&openapi().to_json().expect("a document")).expect("JSON");
    let paths = document["paths"].as_object().expect("paths");
    let mut operations = Vec::new();
    for (path, item) in paths {
        let known = [
            "/api/v1/users",
            "/api/v1/admin/users",
            "/api/v1/admin/audit",
            "/api/v1/groups",
            "/api/v1/auth/",
            "/api/v1/charts/",
            "/api/v1/interactions/batch",
            "/api/v1/movies/{id}/stats",
            "/api/v1/webhooks/",
            "/.well-known/",
            "/session",
        ];
        assert!(known.iter().any(|known| path.starts_with(known)), "{path}");
        for (method, operation) in item.as_object().expect("operations") {
            operations.push(format!("{method} {path}"));
            for text in ["summary", "description", "operationId"] {
                assert!(operation[text].is_string(), "{text} of {method} {path}");
            }
            assert!(!operation["tags"].as_array().expect("tags").is_empty());
            let responses = operation["responses"].as_object().expect("responses");
            let mut expected = vec!["401", "403", "429", "500", "503", "504"];
            if method != "get" || path.contains('{') {
                expected.push("400");
            }
            if ["post", "put", "patch"].contains(&method.as_str()) {
                expected.push("413");
            }
            if path.contains("{id}") {
                expected.push("404");
            }
            for status in expected {
                let mut response = &responses[status];
                if let Some(component) = response["$ref"].as_str() {
                    response = document.pointer(&component[1..]).expect("a component");
                }
                let content = &response["content"]["application/problem+json"];
                assert_eq!(
                    content["schema"]["$ref"], "#/components/schemas/Problem",
                    "{status} of {method} {path}"
                );
            }
            for (status, response) in responses {
                let is_streamed = path.ends_with("/export");
                if status.starts_with('2') && status != "204" && !is_streamed {
                    let schema = &response["content"]["application/json"]["schema"]["$ref"];
                    let name = schema.as_str().and_then(|name| name.rsplit('/').next());
                    let schema = &document["components"]["schemas"][name.expect("a name")];
                    assert!(!schema["example"].is_null(), "{status} of {method} {path}");
                }
            }
        }
    }
    operations.sort();
    assert_eq!(
        operations,
        [
            "delete /api/v1/groups/{id}",
            "delete /api/v1/groups/{id}/invitations",
            "delete /api/v1/groups/{id}/members/me",
            "delete /api/v1/groups/{id}/members/{user_id}",
            "delete /api/v1/groups/{id}/votes",
            "delete /api/v1/users/{id}",
            "delete /api/v1/users/{id}/api-keys/{key_id}",
            "delete /api/v1/users/{id}/bookmarks/{movie_id}",
            "delete /api/v1/users/{id}/identities/{identity_id}",
            "delete /api/v1/users/{id}/ratings/{movie_id}",
            "delete /api/v1/users/{id}/reactions/{movie_id}",
            "delete /api/v1/users/{id}/viewings/{viewing_id}",
            "delete /api/v1/users/{id}/watch/{movie_id}",
            "delete /api/v1/users/{id}/webhooks/{webhook_id}",
            "delete /session",
            "get /.well-known/jwks.json",
            "get /.well-known/oauth-authorization-server",
            "get /api/v1/admin/audit",
            "get /api/v1/admin/users",
            "get /api/v1/admin/users/{id}",
            "get /api/v1/auth/me",
            "get /api/v1/auth/oidc",
            "get /api/v1/auth/oidc/{provider}/callback",
            "get /api/v1/auth/oidc/{provider}/login",
            "get /api/v1/auth/verify-email",
            "get /api/v1/charts/top",
            "get /api/v1/groups",
            "get /api/v1/groups/{id}",
            "get /api/v1/groups/{id}/votes",
            "get /api/v1/movies/{id}/stats",
            "get /api/v1/users/{id}",
            "get /api/v1/users/{id}/api-keys",
            "get /api/v1/users/{id}/bookmarks",
            "get /api/v1/users/{id}/export",
            "get /api/v1/users/{id}/identities",
            "get /api/v1/users/{id}/imports",
            "get /api/v1/users/{id}/imports/{job_id}",
            "get /api/v1/users/{id}/imports/{job_id}/failures",
            "get /api/v1/users/{id}/imports/{job_id}/unmatched",
            "get /api/v1/users/{id}/interactions",
            "get /api/v1/users/{id}/preferences",
            "get /api/v1/users/{id}/ratings",
            "get /api/v1/users/{id}/ratings/{movie_id}",
            "get /api/v1/users/{id}/reactions",
            "get /api/v1/users/{id}/reactions/{movie_id}",
            "get /api/v1/users/{id}/taste",
            "get /api/v1/users/{id}/viewings",
            "get /api/v1/users/{id}/watch",
            "get /api/v1/users/{id}/watch/{movie_id}",
            "get /api/v1/users/{id}/webhooks",
            "patch /api/v1/admin/users/{id}",
            "patch /api/v1/users/{id}",
            "patch /api/v1/users/{id}/imports/{job_id}/unmatched/{n}",
            "patch /api/v1/users/{id}/taste",
            "post /api/v1/auth/device",
            "post /api/v1/auth/device/verify",
            "post /api/v1/auth/logout",
            "post /api/v1/auth/refresh",
            "post /api/v1/auth/token",
            "post /api/v1/groups",
            "post /api/v1/groups/join",
            "post /api/v1/groups/{id}/invitations",
            "post /api/v1/interactions/batch",
            "post /api/v1/users",
            "post /api/v1/users/{id}/api-keys",
            "post /api/v1/users/{id}/email-verification",
            "post /api/v1/users/{id}/identities",
            "post /api/v1/users/{id}/imports",
            "post /api/v1/users/{id}/imports/{job_id}/cancel",
            "post /api/v1/users/{id}/interactions",
            "post /api/v1/users/{id}/preferences",
            "post /api/v1/users/{id}/viewings",
            "post /api/v1/users/{id}/webhooks",
            "post /api/v1/users/{id}/webhooks/{webhook_id}/rotate",
            "post /api/v1/webhooks/{provider}/{secret}",
            "post /session",
            "post /session/refresh",
            "put /api/v1/groups/{id}/votes/{movie_id}",
            "put /api/v1/users/{id}/bookmarks/{movie_id}",
            "put /api/v1/users/{id}/ratings/{movie_id}",
            "put /api/v1/users/{id}/reactions/{movie_id}",
            "put /api/v1/users/{id}/watch/{movie_id}",
        ]
    );
}
