//! The committed API document is the generated one.

#[test]
fn openapi_is_committed() {
    chassis::testing::assert_openapi_is_committed(
        recommendation_service::NAME,
        &recommendation_service::handler::openapi(),
    );
}
