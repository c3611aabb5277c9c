//! Jobs and their leases.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use crate::models::{Job, JobFailure, JobStatus};

const COLUMNS: &str =
    "id, kind, status, total, processed, succeeded, failed, failures, created_at, updated_at";

#[derive(sqlx::FromRow)]
struct JobRow {
    id: Uuid,
    kind: String,
    status: JobStatus,
    total: i32,
    processed: i32,
    succeeded: i32,
    failed: i32,
    failures: Json<Vec<JobFailure>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        Self {
            job_id: row.id,
            kind: row.kind,
            status: row.status,
            total: row.total,
            processed: row.processed,
            succeeded: row.succeeded,
            failed: row.failed,
            failures: row.failures.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Begins a job of `kind` unless one runs; the lease holds for `lease_seconds` after each sign of life.
///
/// # Errors
/// Postgres's.
pub async fn start(
    pool: &PgPool,
    kind: &str,
    total: i32,
    lease_seconds: f64,
) -> sqlx::Result<Result<Uuid, Job>> {
    let id = Uuid::now_v7();
    // A job whose process died is over; two statements that find so at once do no harm.
    sqlx::query(
        "update job set status = 'failed', updated_at = now()
         where kind = $1 and status = 'running' and lease_until < now()",
    )
    .bind(kind)
    .execute(pool)
    .await?;
    let started = sqlx::query(
        "insert into job (id, kind, status, total, lease_until)
         values ($1, $2, 'running', $3, now() + make_interval(secs => $4))
         on conflict (kind) where status = 'running' do nothing",
    )
    .bind(id)
    .bind(kind)
    .bind(total)
    .bind(lease_seconds)
    .execute(pool)
    .await?
    .rows_affected();
    if started == 1 {
        return Ok(Ok(id));
    }
    let mut query = sqlx::QueryBuilder::new(format!("select {COLUMNS} from job where kind = "));
    query
        .push_bind(kind)
        .push(" order by created_at desc limit 1");
    let row: JobRow = query.build_query_as().fetch_one(pool).await?;
    Ok(Err(row.into()))
}

/// Tells how far a job is, and renews its lease.
///
/// # Errors
/// Postgres's.
pub async fn progress(
    pool: &PgPool,
    id: Uuid,
    status: JobStatus,
    succeeded: i32,
    failures: &[JobFailure],
    lease_seconds: f64,
) -> sqlx::Result<()> {
    let failed = i32::try_from(failures.len()).unwrap_or(i32::MAX);
    sqlx::query(
        "update job set status = $2, succeeded = $3, failed = $4, processed = $3 + $4,
             total = greatest(total, $3 + $4), failures = $5,
             lease_until = now() + make_interval(secs => $6), updated_at = now()
         where id = $1",
    )
    .bind(id)
    .bind(status)
    .bind(succeeded)
    .bind(failed)
    .bind(Json(&failures[..failures.len().min(100)]))
    .bind(lease_seconds)
    .execute(pool)
    .await
    .map(|_| ())
}
