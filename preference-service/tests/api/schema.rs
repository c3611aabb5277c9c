//! The statements of the service and the migrated schema.

use std::collections::BTreeSet;

use chassis::testing::assert_statements_prepare;
use sqlx::PgPool;

#[sqlx::test]
async fn all_statements_prepare(pool: PgPool) {
    assert_statements_prepare(&pool, env!("CARGO_MANIFEST_DIR")).await;
    // Those of the outbox and of the job engine.
    let chassis = concat!(env!("CARGO_MANIFEST_DIR"), "/../chassis");
    assert_statements_prepare(&pool, chassis).await;
}

/// Tables whose rows belong to a user, in an export.
const EXPORTED: &[&str] = &[
    "api_key",
    "job",
    "email_verification",
    "external_identity",
    "group_member",
    "known_device",
    "import_failure",
    "group_vote",
    "import_unmatched",
    "interaction",
    "preference",
    "refresh_family",
    "taste_edit",
    "user_movie",
    "viewing",
    "webhook",
    "webhook_delivery",
];
/// Tables whose rows belong to a user, but are not in an export: the proof of an erasure, the rows of a
/// running import, which are the user's own file, logins that have begun, and change records of what is exported.
const NOT_EXPORTED: &[&str] = &[
    "erasure",
    "idempotency_key",
    "import_entry",
    "device_grant",
    "oidc_login",
    "outbox",
];

/// A new table must be added to the export and to the erasure (`own_data` tests that all are erased).
#[sqlx::test]
async fn the_export_covers_every_table_of_users(pool: PgPool) {
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.table_name::text
         from information_schema.columns c
         join information_schema.tables t using (table_schema, table_name)
         where table_schema = 'public' and table_type = 'BASE TABLE' and column_name = 'user_id'",
    )
    .fetch_all(&pool)
    .await
    .expect("tables");
    let tables: BTreeSet<&str> = tables.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = [EXPORTED, NOT_EXPORTED].concat().into_iter().collect();
    assert_eq!(tables, known);
    let source = include_str!("../../src/repository/export.rs");
    for table in EXPORTED {
        assert!(
            source.contains(&format!("from {table} "))
                || source.contains(&format!("join {table} "))
                || source.contains(&format!("from counted_{table} ")),
            "{table} is not exported"
        );
    }
}
