//! Every statement of the service prepares on the migrated schema.

use sqlx::PgPool;

#[sqlx::test]
async fn statements_prepare_on_the_migrated_schema(pool: PgPool) {
    chassis::testing::assert_statements_prepare(&pool, env!("CARGO_MANIFEST_DIR")).await;
    // Those of the outbox and of the job engine.
    let chassis = concat!(env!("CARGO_MANIFEST_DIR"), "/../chassis");
    chassis::testing::assert_statements_prepare(&pool, chassis).await;
}
