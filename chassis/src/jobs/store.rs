//! The SQL of leases: the columns of `migrations/job.sql`, and no others. Called by the engine; every
//! write by a worker names the worker, so one that lost its lease changes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::JobStatus;

/// A holder of one lease, and the duration of the lease.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    id: Uuid,
    lease_seconds: f64,
}

impl Worker {
    /// A worker with a random id.
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            id: Uuid::new_v4(),
            lease_seconds: lease.as_secs_f64(),
        }
    }

    /// Leases job `id` to this worker, in the transaction that created it as pending.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if the statement fails.
    pub async fn lease(&self, connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
        sqlx::query!(
            "update job set status = 'running', worker = $2,
                 lease_until = now() + make_interval(secs => $3)
             where id = $1 and status = 'pending'",
            id,
            self.id,
            self.lease_seconds,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// Leases the oldest claimable job to `worker` and returns its id and kind.
#[tracing::instrument(name = "chassis.jobs.claim", level = "trace", skip_all)]
pub(super) async fn claim(pool: &PgPool, worker: Worker) -> sqlx::Result<Option<(Uuid, String)>> {
    let row = sqlx::query!(
        "update job set status = 'running', worker = $1,
             lease_until = now() + make_interval(secs => $2)
         where id = (select id from job
                     where status in ('pending', 'running') and lease_until <= now()
                     order by created_at, id limit 1
                     for update skip locked)
         returning id, kind",
        worker.id,
        worker.lease_seconds,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.id, row.kind)))
}

/// Extends the lease, locks the row, and records progress if `is_progress`; false if `worker` does not hold the
/// lease.
#[tracing::instrument(name = "chassis.jobs.renew", level = "trace", skip_all, fields(%id, is_progress))]
pub(super) async fn renew(
    connection: impl PgExecutor<'_>,
    id: Uuid,
    worker: Worker,
    is_progress: bool,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update job set lease_until = clock_timestamp() + make_interval(secs => $3),
             updated_at = case when $4 then now() else updated_at end
         where id = $1 and worker = $2 and status = 'running'",
        id,
        worker.id,
        worker.lease_seconds,
        is_progress,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Gives the lease back; the job can be claimed after `pause`. False, without an effect, if the job made
/// no progress for `limit` or `worker` does not hold it.
#[tracing::instrument(name = "chassis.jobs.release", level = "debug", skip_all, fields(%id))]
pub(super) async fn release(
    pool: &PgPool,
    id: Uuid,
    worker: Worker,
    pause: Duration,
    limit: Option<Duration>,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update job set status = 'pending', worker = null,
             lease_until = now() + make_interval(secs => $3)
         where id = $1 and worker = $2 and status = 'running'
           and ($4::float8 is null or updated_at >= now() - make_interval(secs => $4::float8))",
        id,
        worker.id,
        pause.as_secs_f64(),
        limit.map(|limit| limit.as_secs_f64()),
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Ends the job with `status`; false if `worker` does not hold it.
#[tracing::instrument(name = "chassis.jobs.finish", level = "debug", skip_all, fields(%id))]
pub(super) async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    worker: Worker,
    status: JobStatus,
) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update job set status = $3, worker = null, updated_at = now()
         where id = $1 and worker = $2 and status = 'running'",
        id,
        worker.id,
        status.name(),
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Cancels the job and returns its kind, unless it has ended. Its worker notices at the next renewal or
/// checkpoint.
pub(super) async fn cancel(
    connection: &mut PgConnection,
    id: Uuid,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "update job set status = 'cancelled', worker = null, updated_at = now()
         where id = $1 and status in ('pending', 'running')
         returning kind",
        id,
    )
    .fetch_optional(connection)
    .await
}

/// Sets an ended job to pending; false if it has not ended.
pub(super) async fn retry(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "update job set status = 'pending', worker = null, lease_until = now(), updated_at = now()
         where id = $1 and status in ('succeeded', 'failed', 'cancelled')",
        id,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// Deletes the jobs that ended more than `days` ago and returns their number.
#[tracing::instrument(name = "chassis.jobs.expire", level = "debug", skip_all)]
pub(super) async fn expire(pool: &PgPool, days: i32) -> sqlx::Result<u64> {
    let result = sqlx::query!(
        "delete from job where status in ('succeeded', 'failed', 'cancelled')
           and updated_at < now() - make_interval(days => $1)",
        days,
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected())
}

/// The time at which a job of `kind` was last created, and the time at which one last succeeded.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails.
pub async fn last_of(
    pool: &PgPool,
    kind: &str,
) -> sqlx::Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> {
    let row = sqlx::query!(
        "select max(created_at) as created_at,
                max(updated_at) filter (where status = 'succeeded') as succeeded_at
         from job where kind = $1",
        kind,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.created_at, row.succeeded_at))
}
