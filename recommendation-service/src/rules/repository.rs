//! SQL of the rules: those in force, and every version of them.

use sqlx::{PgConnection, PgPool, types::Json};

use crate::rules::{Rule, RuleDraft, RuleSet, RuleType};

/// The active rules, by type.
pub async fn list_active(pool: &PgPool) -> sqlx::Result<Vec<Rule>> {
    sqlx::query_as!(
        Rule,
        r#"select id, name, weight, rule_type as "rule_type: RuleType", is_active, created_at
           from rule where is_active order by rule_type, id"#,
    )
    .fetch_all(pool)
    .await
}

/// A page of all versions, newest first, and their number.
#[tracing::instrument(name = "repository.rules.list_sets", level = "debug", skip(pool))]
pub async fn list_sets(
    pool: &PgPool,
    offset: i64,
    limit: i64,
) -> sqlx::Result<(Vec<RuleSet>, i64)> {
    let sets = sqlx::query!(
        r#"select version, rules as "rules: Json<Vec<RuleDraft>>", note, created_by, created_at
           from rule_set order by version desc offset $1 limit $2"#,
        offset,
        limit,
    )
    .map(|row| RuleSet {
        version: row.version,
        rules: row.rules.0,
        note: row.note,
        created_by: row.created_by,
        created_at: row.created_at,
    })
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from rule_set"#);
    Ok((sets, total.fetch_one(pool).await?))
}

/// Locks the rules until the end of the transaction, and returns the version in force.
#[tracing::instrument(name = "repository.rules.lock_version", level = "debug", skip_all)]
pub async fn lock_version(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query!("lock table rule_set in exclusive mode")
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar!(r#"select coalesce(max(version), 0) as "version!" from rule_set"#)
        .fetch_one(connection)
        .await
}

/// Replaces all rules by `set`. A rule of a type that stays keeps its id.
#[tracing::instrument(name = "repository.rules.put", level = "debug", skip_all)]
pub async fn put(connection: &mut PgConnection, set: &RuleSet) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into rule_set (version, rules, note, created_by, created_at)
         values ($1, $2, $3, $4, $5)",
        set.version,
        Json(&set.rules) as _,
        set.note,
        set.created_by,
        set.created_at,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from rule where rule_type not in
             (select rule_type from jsonb_to_recordset($1) as r(rule_type text))",
        Json(&set.rules) as _,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "insert into rule (name, rule_type, weight, is_active, created_at)
         select name, rule_type, weight, is_active, $2
         from jsonb_to_recordset($1)
             as r(name text, rule_type text, weight float8, is_active boolean)
         on conflict (rule_type) do update
         set name = excluded.name, weight = excluded.weight, is_active = excluded.is_active",
        Json(&set.rules) as _,
        set.created_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}
