//! The rules: those in force, and every set that ever was.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};

use crate::rules::{Rule, RuleDraft, RuleSet, RuleType};

#[derive(sqlx::FromRow)]
struct RuleRow {
    id: i64,
    name: String,
    weight: f64,
    rule_type: RuleType,
    is_active: bool,
    created_at: DateTime<Utc>,
}

/// The active rules, by type.
///
/// # Errors
/// Postgres's.
pub async fn list_active(pool: &PgPool) -> sqlx::Result<Vec<Rule>> {
    let rows: Vec<RuleRow> = sqlx::query_as(
        "select id, name, weight, rule_type, is_active, created_at
         from rule where is_active order by rule_type, id",
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Rule {
            id: row.id,
            name: row.name,
            weight: row.weight,
            rule_type: row.rule_type,
            is_active: row.is_active,
            created_at: row.created_at,
        })
        .collect())
}

#[derive(sqlx::FromRow)]
struct RuleSetRow {
    version: i64,
    rules: Json<Vec<RuleDraft>>,
    note: String,
    created_by: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<RuleSetRow> for RuleSet {
    fn from(row: RuleSetRow) -> Self {
        Self {
            version: row.version,
            rules: row.rules.0,
            note: row.note,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

/// A part of all sets, the newest first, and how many there are.
///
/// # Errors
/// Postgres's.
pub async fn list_sets(
    pool: &PgPool,
    offset: i64,
    limit: i64,
) -> sqlx::Result<(Vec<RuleSet>, i64)> {
    let rows: Vec<RuleSetRow> = sqlx::query_as(
        "select version, rules, note, created_by, created_at
         from rule_set order by version desc offset $1 limit $2",
    )
    .bind(offset)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar("select count(*) from rule_set")
        .fetch_one(pool)
        .await?;
    Ok((rows.into_iter().map(RuleSet::from).collect(), total))
}

/// The version in force. Holds all others who put rules off until the end of the transaction.
///
/// # Errors
/// Postgres's.
pub async fn lock_version(connection: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query("lock table rule_set in exclusive mode")
        .execute(&mut *connection)
        .await?;
    sqlx::query_scalar("select coalesce(max(version), 0) from rule_set")
        .fetch_one(connection)
        .await
}

/// Puts `set` in the place of all rules. A type that stays keeps its id.
///
/// # Errors
/// Postgres's.
pub async fn put(connection: &mut PgConnection, set: &RuleSet) -> sqlx::Result<()> {
    sqlx::query(
        "insert into rule_set (version, rules, note, created_by, created_at)
         values ($1, $2, $3, $4, $5)",
    )
    .bind(set.version)
    .bind(Json(&set.rules))
    .bind(&set.note)
    .bind(&set.created_by)
    .bind(set.created_at)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "delete from rule where rule_type not in
             (select rule_type from jsonb_to_recordset($1) as r(rule_type text))",
    )
    .bind(Json(&set.rules))
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "insert into rule (name, rule_type, weight, is_active, created_at)
         select name, rule_type, weight, is_active, $2
         from jsonb_to_recordset($1)
             as r(name text, rule_type text, weight float8, is_active boolean)
         on conflict (rule_type) do update
         set name = excluded.name, weight = excluded.weight, is_active = excluded.is_active",
    )
    .bind(Json(&set.rules))
    .bind(set.created_at)
    .execute(connection)
    .await?;
    Ok(())
}
