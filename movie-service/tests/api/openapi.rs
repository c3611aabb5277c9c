//! The committed OpenAPI document is the generated one.

#[test]
fn openapi_is_committed() {
    chassis::testing::assert_openapi_is_committed(
        movie_service::NAME,
        &movie_service::handler::openapi(),
    );
}
