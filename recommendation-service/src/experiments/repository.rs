//! SQL of experiments, and of the users who took part with their outcomes.

pub mod impressions;

use futures_util::{Stream, TryStreamExt};
use sqlx::{PgConnection, PgPool, Postgres, Transaction, types::Json};

use crate::experiments::{Experiment, Layer, Status, Variant};

const SECONDS_PER_HOUR: i64 = 3600;

/// A query for experiments: the columns, and the rest of the statement.
macro_rules! experiments {
    ($before:tt, $after:tt $(, $argument:expr)*) => {
        sqlx::query_as!(
            Experiment,
            $before + r#" id, name, description,
                case when stopped_at is null then 'running' else 'stopped' end as "status!: Status",
                layer as "layer: Layer", salt, traffic,
                window_seconds / 3600 as "outcome_window_hours!", outcome_cap, planned_users, alpha,
                variants as "variants: Json<Vec<Variant>>", created_by, created_at, updated_at,
                stopped_at "# + $after
            $(, $argument)*
        )
    };
}

/// The running experiments, by layer.
pub async fn list_running(pool: &PgPool) -> sqlx::Result<Vec<Experiment>> {
    experiments!(
        "select",
        "from experiment where stopped_at is null order by layer"
    )
    .fetch_all(pool)
    .await
}

/// A page of all experiments, newest first, and their number.
#[tracing::instrument(name = "repository.experiments.list", level = "debug", skip(pool))]
pub async fn list(pool: &PgPool, offset: i64, limit: i64) -> sqlx::Result<(Vec<Experiment>, i64)> {
    let page = experiments!(
        "select",
        "from experiment order by id desc offset $1 limit $2",
        offset,
        limit
    )
    .fetch_all(pool)
    .await?;
    let total = sqlx::query_scalar!(r#"select count(*) as "count!" from experiment"#);
    let total = total.fetch_one(pool).await?;
    Ok((page, total))
}

/// The experiment `id`.
#[tracing::instrument(name = "repository.experiments.find", level = "debug", skip(pool))]
pub async fn find(pool: &PgPool, id: i64) -> sqlx::Result<Option<Experiment>> {
    experiments!("select", "from experiment where id = $1", id)
        .fetch_optional(pool)
        .await
}

/// The latest experiment of this name, locked until the end of the transaction.
#[tracing::instrument(
    name = "repository.experiments.lock_latest",
    level = "debug",
    skip(connection)
)]
pub async fn lock_latest(
    connection: &mut PgConnection,
    name: &str,
) -> sqlx::Result<Option<Experiment>> {
    experiments!(
        "select",
        "from experiment where name = $1 order by id desc limit 1 for update",
        name
    )
    .fetch_optional(connection)
    .await
}

/// Stores a new experiment, which is given its id and salt.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable; of the constraint `experiment_running_name` or
/// `experiment_running_layer` if one of the name or in the layer runs already.
#[tracing::instrument(name = "repository.experiments.insert", level = "debug", skip_all)]
pub async fn insert(
    connection: &mut PgConnection,
    experiment: &Experiment,
) -> sqlx::Result<Experiment> {
    experiments!(
        "insert into experiment (name, description, layer, traffic, window_seconds, outcome_cap,
             planned_users, alpha, variants, created_by, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
         returning",
        "",
        experiment.name,
        experiment.description,
        experiment.layer as Layer,
        experiment.traffic,
        experiment.outcome_window_hours * SECONDS_PER_HOUR,
        experiment.outcome_cap,
        experiment.planned_users,
        experiment.alpha,
        &experiment.variants as _,
        experiment.created_by,
        experiment.created_at
    )
    .fetch_one(connection)
    .await
}

/// Stores the description, the traffic and the times of `experiment`; nothing else can change.
#[tracing::instrument(name = "repository.experiments.update", level = "debug", skip_all, fields(experiment.id = experiment.id))]
pub async fn update(
    connection: &mut PgConnection,
    experiment: &Experiment,
) -> sqlx::Result<Experiment> {
    experiments!(
        "update experiment set description = $2, traffic = $3, updated_at = $4, stopped_at = $5
         where id = $1 returning",
        "",
        experiment.id,
        experiment.description,
        experiment.traffic,
        experiment.updated_at,
        experiment.stopped_at
    )
    .fetch_one(connection)
    .await
}

/// Begins a transaction that reads a consistent state.
pub async fn begin_read(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// The counted outcome of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// The index of the variant, from 0.
    pub variant: i32,
    /// The number of movies that were shown.
    pub impressions: i64,
    /// The number of those with an outcome.
    pub outcomes: i64,
    /// Of movies that were not explored: Σ outcome ÷ propensity.
    pub ranked_outcomes: f64,
    /// Of movies that were not explored: Σ 1 ÷ propensity.
    pub ranked_weights: f64,
}

/// The users of an experiment whose outcome is counted, in the order in which their windows ended; up to the first whose
/// outcome is not counted yet, so that the order never changes.
pub fn settled(
    connection: &mut PgConnection,
    experiment_id: i64,
) -> impl Stream<Item = sqlx::Result<Settled>> + '_ {
    sqlx::query_as!(
        Settled,
        "select variant, impressions, outcomes, ranked_outcomes, ranked_weights
         from exposure
         where experiment_id = $1 and settled_at is not null and due_at < coalesce(
             (select min(due_at) from exposure where experiment_id = $1 and settled_at is null),
             'infinity')
         order by due_at, user_id",
        experiment_id,
    )
    .fetch(connection)
}

/// The number of users by variant, counted or not.
#[tracing::instrument(
    name = "repository.experiments.count_users",
    level = "debug",
    skip(connection)
)]
pub async fn count_users(
    connection: &mut PgConnection,
    experiment_id: i64,
) -> sqlx::Result<Vec<(i32, i64)>> {
    sqlx::query!(
        r#"select variant, count(*) as "users!" from exposure where experiment_id = $1
           group by variant"#,
        experiment_id,
    )
    .map(|row| (row.variant, row.users))
    .fetch(connection)
    .try_collect()
    .await
}
