//! The committed OpenAPI document is the generated one, and a response that it does not describe fails a test.

use axum::http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use chassis::testing::{TestResponse, assert_documented, assert_openapi_is_committed};
use movie_service::{NAME, handler::openapi};
use serde_json::{Value, json};

#[test]
fn openapi_is_committed() {
    assert_openapi_is_committed(NAME, &openapi());
}

/// Compares a response to `GET /api/v1/genres` with the document.
fn check(status: StatusCode, body: Value) {
    let json = HeaderValue::from_static("application/json");
    let response = TestResponse {
        status,
        headers: [(CONTENT_TYPE, json)].into_iter().collect(),
        text: body.to_string(),
        body,
    };
    assert_documented(&[NAME], &Method::GET, "/api/v1/genres", &response);
}

#[test]
fn a_documented_response_passes() {
    check(StatusCode::OK, json!({"genres": []}));
}

#[test]
#[should_panic(expected = "is not documented")]
fn an_undocumented_status_fails() {
    check(StatusCode::IM_A_TEAPOT, json!({"genres": []}));
}

#[test]
#[should_panic(expected = "violates its schema")]
fn a_body_without_a_required_field_fails() {
    check(StatusCode::OK, json!({}));
}
