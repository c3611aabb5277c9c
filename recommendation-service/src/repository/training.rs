//! The jobs of scheduled training. Called by the schedule; the leases belong to [`chassis::jobs`].

use std::time::Duration;

use sqlx::PgPool;
use uuid::Uuid;

/// Creates a training job and returns true, unless another one has not ended or was created less than
/// `interval` ago.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails.
#[tracing::instrument(name = "repository.training.create_if_due", level = "debug", skip_all)]
pub async fn create_if_due(pool: &PgPool, interval: Duration) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "insert into job (id, kind)
         select $1, 'training'
         where not exists (select from job where kind = 'training'
                             and created_at > now() - make_interval(secs => $2))
         on conflict do nothing",
        Uuid::now_v7(),
        interval.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// The time since job `id` was created.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails or there is no such job.
pub async fn age(pool: &PgPool, id: Uuid) -> sqlx::Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from now() - created_at)::float8 as "seconds!" from job where id = $1"#,
        id,
    )
    .fetch_one(pool)
    .await?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
