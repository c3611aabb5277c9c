//! The API document that is committed is the one that the code makes.

#[test]
fn openapi_is_committed() {
    chassis::testing::assert_openapi_is_committed(
        movie_service::NAME,
        &movie_service::handler::openapi(),
    );
}
