//! Experiments, and who took part in them with which outcome.

pub mod impressions;

use chrono::{DateTime, Utc};
use futures_util::{Stream, TryStreamExt};
use sqlx::{PgConnection, PgPool, types::Json};

use crate::experiments::{Experiment, Layer, Status, Variant};

const SECONDS_AN_HOUR: i64 = 3600;

#[derive(sqlx::FromRow)]
struct ExperimentRow {
    id: i64,
    name: String,
    description: String,
    layer: Layer,
    salt: String,
    traffic: f64,
    window_seconds: i64,
    outcome_cap: i32,
    planned_users: i32,
    alpha: f64,
    variants: Json<Vec<Variant>>,
    created_by: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    stopped_at: Option<DateTime<Utc>>,
}

impl From<ExperimentRow> for Experiment {
    fn from(row: ExperimentRow) -> Self {
        let status = match row.stopped_at {
            None => Status::Running,
            Some(_) => Status::Stopped,
        };
        Self {
            id: row.id,
            name: row.name,
            description: row.description,
            status,
            layer: row.layer,
            traffic: row.traffic,
            outcome_window_hours: row.window_seconds / SECONDS_AN_HOUR,
            outcome_cap: row.outcome_cap,
            planned_users: row.planned_users,
            alpha: row.alpha,
            variants: row.variants.0,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            stopped_at: row.stopped_at,
            salt: row.salt,
        }
    }
}

/// All experiments that run, by layer.
///
/// # Errors
/// Postgres's.
pub async fn list_running(pool: &PgPool) -> sqlx::Result<Vec<Experiment>> {
    let rows: Vec<ExperimentRow> =
        sqlx::query_as("select * from experiment where stopped_at is null order by layer")
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(Experiment::from).collect())
}

/// A part of all experiments, the newest first, and how many there are.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool, offset: i64, limit: i64) -> sqlx::Result<(Vec<Experiment>, i64)> {
    let rows: Vec<ExperimentRow> =
        sqlx::query_as("select * from experiment order by id desc offset $1 limit $2")
            .bind(offset)
            .bind(limit)
            .fetch_all(pool)
            .await?;
    let total = sqlx::query_scalar("select count(*) from experiment")
        .fetch_one(pool)
        .await?;
    Ok((rows.into_iter().map(Experiment::from).collect(), total))
}

/// One experiment.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, id: i64) -> sqlx::Result<Option<Experiment>> {
    let row: Option<ExperimentRow> = sqlx::query_as("select * from experiment where id = $1")
        .bind(id)
        .fetch_optional(pool)
        .await?;
    Ok(row.map(Experiment::from))
}

/// The latest experiment of this name, held until the end of the transaction.
///
/// # Errors
/// Postgres's.
pub async fn lock_latest(
    connection: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<Experiment>> {
    let row: Option<ExperimentRow> = sqlx::query_as(
        "select * from experiment where name = $1 order by id desc limit 1 for update",
    )
    .bind(name)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Experiment::from))
}

/// Stores a new experiment; its id and salt are given here.
///
/// # Errors
/// Postgres's; `experiment_running_name` or `experiment_running_layer` where one runs already.
pub async fn insert(
    connection: &mut PgConnection,
    experiment: &Experiment,
) -> sqlx::Result<Experiment> {
    let row: ExperimentRow = sqlx::query_as(
        "insert into experiment (name, description, layer, traffic, window_seconds, outcome_cap,
             planned_users, alpha, variants, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
         returning *",
    )
    .bind(&experiment.name)
    .bind(&experiment.description)
    .bind(experiment.layer)
    .bind(experiment.traffic)
    .bind(experiment.outcome_window_hours * SECONDS_AN_HOUR)
    .bind(experiment.outcome_cap)
    .bind(experiment.planned_users)
    .bind(experiment.alpha)
    .bind(Json(&experiment.variants))
    .bind(&experiment.created_by)
    .bind(experiment.created_at)
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// Stores what may change of an experiment.
///
/// # Errors
/// Postgres's.
pub async fn update(
    connection: &mut PgConnection,
    experiment: &Experiment,
) -> sqlx::Result<Experiment> {
    let row: ExperimentRow = sqlx::query_as(
        "update experiment set description = $2, traffic = $3, updated_at = $4, stopped_at = $5
         where id = $1 returning *",
    )
    .bind(experiment.id)
    .bind(&experiment.description)
    .bind(experiment.traffic)
    .bind(experiment.updated_at)
    .bind(experiment.stopped_at)
    .fetch_one(connection)
    .await?;
    Ok(row.into())
}

/// A user whose outcome is counted.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Settled {
    /// Which of the variants, from 0.
    pub variant: i32,
    /// How many films they were shown.
    pub impressions: i64,
    /// With how many of them they did something good.
    pub outcomes: i64,
    /// Of films that were not shown to learn about them: Σ outcome ÷ propensity.
    pub ranked_outcomes: f64,
    /// Of those: Σ 1 ÷ propensity.
    pub ranked_weights: f64,
}

/// The users of an experiment whose outcome is counted, in the order in which their time was over; up
/// to the first whose is not counted yet, so that the order never changes.
pub fn settled(
    connection: &mut PgConnection,
    experiment_id: i64,
) -> impl Stream<Item = sqlx::Result<Settled>> + '_ {
    sqlx::query_as(
        "select variant, impressions, outcomes, ranked_outcomes, ranked_weights
         from exposure
         where experiment_id = $1 and settled_at is not null and due_at < coalesce(
             (select min(due_at) from exposure where experiment_id = $1 and settled_at is null),
             'infinity')
         order by due_at, user_id",
    )
    .bind(experiment_id)
    .fetch(connection)
}

/// How many users each variant has, counted or not, by its number.
///
/// # Errors
/// Postgres's.
pub async fn count_users(
    connection: &mut PgConnection,
    experiment_id: i64,
) -> sqlx::Result<Vec<(i32, i64)>> {
    sqlx::query_as::<_, (i32, i64)>(
        "select variant, count(*) from exposure where experiment_id = $1 group by variant",
    )
    .bind(experiment_id)
    .fetch(connection)
    .try_collect()
    .await
}
