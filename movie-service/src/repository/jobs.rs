//! Jobs as clients see them: asked for, shown, called off, tried again, expired. The leases and the
//! items, which workers see, are [`super::job_items`]'s.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use crate::models::{Item, Job, JobFailure, JobKind, JobStatus, MovieList, Parameters};

const COLUMNS: &str =
    "id, kind, status, total, processed, succeeded, failed, failures, created_at, updated_at";
/// Room for the films of a page behind it.
const PAGE_STRIDE: i64 = 1000;
/// Films on a page of TMDB's, for an estimate of what is to come.
pub(super) const FILMS_A_PAGE: i32 = 20;

#[derive(sqlx::FromRow)]
pub(super) struct JobRow {
    id: Uuid,
    kind: JobKind,
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

/// A job to be.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// What it does.
    pub kind: JobKind,
    /// What was asked for, beyond the items.
    pub parameters: Parameters,
    /// The items, in the order of work.
    pub items: Vec<Item>,
    /// The client's name of its request, and a hash of the request.
    pub idempotency: Option<(String, String)>,
}

/// What became of the wish for a job.
#[derive(Debug)]
pub enum Created {
    /// It is there.
    New(Job),
    /// Another of its kind is not done yet.
    Active(Job),
    /// The same request was made before, with this result.
    Repeated(Job),
    /// The name of the request stands for another one.
    KeyTaken,
}

/// Makes a job; it belongs to `worker` for `lease_seconds`, or to whoever claims it first.
///
/// # Errors
/// Postgres's.
pub async fn create(
    pool: &PgPool,
    job: &NewJob,
    worker: Option<Uuid>,
    lease_seconds: f64,
) -> sqlx::Result<Created> {
    // What stood in the way may be gone a moment later.
    for _ in 0..3 {
        let mut transaction = pool.begin().await?;
        if let Some(row) = insert(&mut transaction, job, worker, lease_seconds).await? {
            insert_items(&mut transaction, row.id, &job.items).await?;
            transaction.commit().await?;
            return Ok(Created::New(row.into()));
        }
        transaction.rollback().await?;
        if let Some(found) = find_in_the_way(pool, job).await? {
            return Ok(found);
        }
    }
    Err(sqlx::Error::RowNotFound)
}

async fn insert(
    transaction: &mut PgConnection,
    job: &NewJob,
    worker: Option<Uuid>,
    lease_seconds: f64,
) -> sqlx::Result<Option<JobRow>> {
    let estimate = job.items.iter().map(|item| match item {
        Item::Page(..) => FILMS_A_PAGE,
        Item::Movie(_) => 1,
    });
    let total = estimate
        .sum::<i32>()
        .min(job.parameters.most_films.unwrap_or(i32::MAX));
    let (key, hash) = job.idempotency.clone().unzip();
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "insert into job (id, kind, status, total, parameters, worker, lease_until, idempotency_key, request_hash)
         values ($1, $2, case when $5::uuid is null then 'pending' else 'running' end, $3, $4, $5,
                 now() + make_interval(secs => case when $5::uuid is null then 0 else $6 end), $7, $8)
         on conflict do nothing
         returning {COLUMNS}"
    )))
    .bind(Uuid::now_v7())
    .bind(job.kind)
    .bind(total)
    .bind(Json(job.parameters))
    .bind(worker)
    .bind(lease_seconds)
    .bind(key)
    .bind(hash)
    .fetch_optional(transaction)
    .await
}

async fn insert_items(
    transaction: &mut PgConnection,
    id: Uuid,
    items: &[Item],
) -> sqlx::Result<()> {
    let mut positions = Vec::with_capacity(items.len());
    let (mut lists, mut pages, mut movies) = (Vec::new(), Vec::new(), Vec::new());
    for (item, position) in items.iter().zip(1_i64..) {
        positions.push(position * PAGE_STRIDE);
        let (list, page, movie): (Option<MovieList>, Option<i32>, Option<i64>) = match item {
            Item::Page(list, page) => (Some(*list), i32::try_from(*page).ok(), None),
            Item::Movie(id) => (None, None, Some(id.get())),
        };
        lists.push(list.map(MovieList::name));
        pages.push(page);
        movies.push(movie);
    }
    sqlx::query(
        "insert into job_item (job_id, position, list, page, movie_id)
         select $1, i.* from unnest($2::bigint[], $3::text[], $4::int[], $5::bigint[]) as i",
    )
    .bind(id)
    .bind(positions)
    .bind(lists)
    .bind(pages)
    .bind(movies)
    .execute(transaction)
    .await
    .map(|_| ())
}

#[derive(sqlx::FromRow)]
struct WithHash {
    #[sqlx(flatten)]
    job: JobRow,
    request_hash: Option<String>,
}

async fn find_in_the_way(pool: &PgPool, job: &NewJob) -> sqlx::Result<Option<Created>> {
    if let Some((key, hash)) = &job.idempotency {
        let earlier: Option<WithHash> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "select {COLUMNS}, request_hash from job where idempotency_key = $1"
        )))
        .bind(key)
        .fetch_optional(pool)
        .await?;
        if let Some(earlier) = earlier {
            return Ok(Some(if earlier.request_hash.as_ref() == Some(hash) {
                Created::Repeated(earlier.job.into())
            } else {
                Created::KeyTaken
            }));
        }
    }
    Ok(find_active(pool, job.kind).await?.map(Created::Active))
}

/// A job of `kind` that is not done yet.
///
/// # Errors
/// Postgres's.
pub async fn find_active(pool: &PgPool, kind: JobKind) -> sqlx::Result<Option<Job>> {
    let row: Option<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from job where kind = $1 and status in ('pending', 'running') limit 1"
    )))
    .bind(kind)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Job::from))
}

/// The job `id`.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Job>> {
    let row: Option<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from job where id = $1"
    )))
    .bind(id)
    .fetch_optional(pool)
    .await?;
    Ok(row.map(Job::from))
}

/// At most `limit` jobs, the newest first.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Job>> {
    let rows: Vec<JobRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from job order by created_at desc, id desc limit $1"
    )))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Job::from).collect())
}

/// How many pages of job `id` failed.
///
/// # Errors
/// Postgres's.
pub async fn count_failed_pages(pool: &PgPool, id: Uuid) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select count(*) from job_item where job_id = $1 and page is not null and state = 'failed'",
    )
    .bind(id)
    .fetch_one(pool)
    .await
}

/// Calls job `id` off, unless it has ended. Whoever works on it hears of it at the next sign of life.
///
/// # Errors
/// Postgres's.
pub async fn cancel(pool: &PgPool, id: Uuid) -> sqlx::Result<bool> {
    sqlx::query(
        "update job set status = 'cancelled', worker = null, updated_at = now()
         where id = $1 and status in ('pending', 'running')",
    )
    .bind(id)
    .execute(pool)
    .await
    .map(|result| result.rows_affected() == 1)
}

/// Sets job `id` going again, if it has ended: what was not done, and what failed. False where it has
/// not ended, or another of its kind is not done yet.
///
/// # Errors
/// Postgres's.
pub async fn retry(pool: &PgPool, id: Uuid) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let again = sqlx::query(
        "update job set status = 'pending', worker = null, lease_until = now(), updated_at = now(),
             parameters = parameters - 'impatient',
             failed = 0, processed = succeeded, failures = '[]'
         where id = $1 and status in ('succeeded', 'failed', 'cancelled')",
    )
    .bind(id)
    .execute(&mut *transaction)
    .await;
    match again {
        Ok(result) if result.rows_affected() == 1 => {}
        Err(error)
            if chassis::postgres::violated_constraint(&error)
                .is_none_or(|name| name != "job_one_active") =>
        {
            return Err(error);
        }
        _ => return Ok(false),
    }
    sqlx::query("update job_item set state = 'todo' where job_id = $1 and state = 'failed'")
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(true)
}

/// Forgets jobs that ended more than `days` ago; how many.
///
/// # Errors
/// Postgres's.
pub async fn expire(pool: &PgPool, days: i32) -> sqlx::Result<u64> {
    sqlx::query(
        "delete from job where status in ('succeeded', 'failed', 'cancelled')
           and updated_at < now() - make_interval(days => $1)",
    )
    .bind(days)
    .execute(pool)
    .await
    .map(|result| result.rows_affected())
}

/// When a job of `kind` was last asked for, and when one last succeeded.
///
/// # Errors
/// Postgres's.
pub async fn last_of(
    pool: &PgPool,
    kind: JobKind,
) -> sqlx::Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> {
    sqlx::query_as(
        "select max(created_at), max(updated_at) filter (where status = 'succeeded')
         from job where kind = $1",
    )
    .bind(kind)
    .fetch_one(pool)
    .await
}
