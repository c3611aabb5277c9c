//! All SQL prepares on the migrated schema.

use sqlx::PgPool;

#[sqlx::test]
async fn all_statements_prepare(pool: PgPool) {
    chassis::testing::assert_statements_prepare(&pool, env!("CARGO_MANIFEST_DIR")).await;
}
