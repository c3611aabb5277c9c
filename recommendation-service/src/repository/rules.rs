//! The rules.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::models::{Rule, RuleType};

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
