//! Jobs as clients see them: created, read, retried. Called by the job services. The items are in
//! [`super::job_items`]; the leases belong to [`chassis::jobs`].

use chassis::jobs::{End, JobStatus, Worker};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use crate::models::{Item, Job, JobFailure, JobKind, Parameters};

/// The distance between the positions of two pages, which leaves space for the movies of the first.
const PAGE_STRIDE: i64 = 1000;
/// Movies on a page of TMDB, for the estimate of a job's total.
pub(super) const MOVIES_PER_PAGE: i32 = 20;
/// Attempts to create a job; the one in conflict may be gone a moment later.
const MAX_ATTEMPTS: u32 = 3;

/// A job to be created.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// The kind.
    pub kind: JobKind,
    /// The parameters besides the items.
    pub parameters: Parameters,
    /// The items, in the order of work.
    pub items: Vec<Item>,
    /// The client's `Idempotency-Key` and a hash of the request.
    pub idempotency: Option<(String, String)>,
}

/// The outcome of the creation of a job.
#[derive(Debug)]
pub enum Created {
    /// The id of the new job.
    New(Uuid),
    /// Another job of the kind has not ended.
    Active(Job),
    /// The job that the same request created earlier.
    Repeated(Job),
    /// The idempotency key belongs to another request.
    KeyTaken,
}

/// Creates a job, leased to `worker` or claimable by all.
///
/// # Errors
/// Returns [`sqlx::Error`] if a statement fails; `RowNotFound` if a conflicting job vanished repeatedly.
#[tracing::instrument(name = "repository.jobs.create", level = "debug", skip_all, fields(kind = job.kind.name()))]
pub async fn create(pool: &PgPool, job: &NewJob, worker: Option<Worker>) -> sqlx::Result<Created> {
    for _ in 0..MAX_ATTEMPTS {
        let mut transaction = pool.begin().await?;
        let id = Uuid::now_v7();
        if insert(&mut transaction, id, job).await? {
            insert_items(&mut transaction, id, &job.items).await?;
            if let Some(worker) = worker {
                worker.lease(&mut transaction, id).await?;
            }
            transaction.commit().await?;
            return Ok(Created::New(id));
        }
        transaction.rollback().await?;
        if let Some(conflict) = find_conflict(pool, job).await? {
            return Ok(conflict);
        }
    }
    Err(sqlx::Error::RowNotFound)
}

async fn insert(connection: &mut PgConnection, id: Uuid, job: &NewJob) -> sqlx::Result<bool> {
    let estimate = job.items.iter().map(|item| match item {
        Item::Page(..) => MOVIES_PER_PAGE,
        Item::Movie(_) => 1,
    });
    let limit = job.parameters.most_films.unwrap_or(i32::MAX);
    let (key, hash) = job.idempotency.clone().unzip();
    let result = sqlx::query!(
        "insert into job (id, kind, status, total, parameters, lease_until, idempotency_key, request_hash)
         values ($1, $2, 'pending', $3, $4, now(), $5, $6)
         on conflict do nothing",
        id,
        job.kind.name(),
        estimate.sum::<i32>().min(limit),
        Json(job.parameters) as _,
        key,
        hash,
    )
    .execute(connection)
    .await?;
    Ok(result.rows_affected() == 1)
}

async fn insert_items(connection: &mut PgConnection, id: Uuid, items: &[Item]) -> sqlx::Result<()> {
    let mut positions = Vec::with_capacity(items.len());
    let (mut lists, mut pages, mut movies) = (Vec::new(), Vec::new(), Vec::new());
    for (item, position) in items.iter().zip(1_i64..) {
        positions.push(position * PAGE_STRIDE);
        let (list, page, movie) = match item {
            Item::Page(list, page) => (Some(list.name()), i32::try_from(*page).ok(), None),
            Item::Movie(id) => (None, None, Some(id.get())),
        };
        lists.push(list.map(str::to_owned));
        pages.push(page);
        movies.push(movie);
    }
    sqlx::query!(
        "insert into job_item (job_id, position, list, page, movie_id)
         select $1, i.* from unnest($2::bigint[], $3::text[], $4::int[], $5::bigint[]) as i",
        id,
        &positions,
        &lists as &[Option<String>],
        &pages as &[Option<i32>],
        &movies as &[Option<i64>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn find_conflict(pool: &PgPool, job: &NewJob) -> sqlx::Result<Option<Created>> {
    if let Some((key, hash)) = &job.idempotency {
        let earlier = sqlx::query!(
            "select id, request_hash from job where idempotency_key = $1",
            key
        )
        .fetch_optional(pool)
        .await?;
        if let Some(earlier) = earlier {
            if earlier.request_hash.as_ref() != Some(hash) {
                return Ok(Some(Created::KeyTaken));
            }
            return Ok(find(pool, earlier.id).await?.map(Created::Repeated));
        }
    }
    Ok(find_active(pool, job.kind).await?.map(Created::Active))
}

/// A job of `kind` that has not ended.
pub async fn find_active(pool: &PgPool, kind: JobKind) -> sqlx::Result<Option<Job>> {
    let id = sqlx::query_scalar!(
        "select id from job where kind = $1 and status in ('pending', 'running') limit 1",
        kind.name(),
    )
    .fetch_optional(pool)
    .await?;
    match id {
        Some(id) => find(pool, id).await,
        None => Ok(None),
    }
}

/// The job `id`.
pub async fn find(pool: &PgPool, id: Uuid) -> sqlx::Result<Option<Job>> {
    Ok(load(pool, &[id]).await?.pop())
}

/// At most `limit` jobs, the newest first.
pub async fn list(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<Job>> {
    let ids = sqlx::query_scalar!(
        "select id from job order by created_at desc, id desc limit $1",
        limit,
    )
    .fetch_all(pool)
    .await?;
    load(pool, &ids).await
}

#[tracing::instrument(name = "repository.jobs.load", level = "debug", skip_all)]
async fn load(pool: &PgPool, ids: &[Uuid]) -> sqlx::Result<Vec<Job>> {
    sqlx::query_as!(
        Job,
        r#"select id as job_id, kind as "kind: JobKind", status as "status: JobStatus", total, processed, succeeded,
               failed, failures as "failures: Json<Vec<JobFailure>>", created_at, updated_at
           from job where id = any ($1) order by created_at desc, id desc"#,
        ids,
    )
    .fetch_all(pool)
    .await
}

/// Records the end of job `id`: the reason of a failure as its first failure, and the number of processed
/// items as the total of a success.
pub async fn end(
    connection: &mut PgConnection,
    id: Uuid,
    kind: &str,
    end: &End,
) -> sqlx::Result<()> {
    let failure = match end {
        End::Failed(reason) => Some(JobFailure {
            item: kind.to_owned(),
            reason: reason.clone(),
        }),
        End::Succeeded | End::Cancelled => None,
    };
    sqlx::query!(
        "update job set failures = $2 || failures,
             total = case when $3 then processed else total end
         where id = $1",
        id,
        Json(failure.as_slice()) as _,
        *end == End::Succeeded,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Resets the failed items of job `id` and its counts.
pub async fn reset(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "with items as (
            update job_item set state = 'todo' where job_id = $1 and state = 'failed'
         )
         update job set parameters = parameters - 'impatient', failed = 0, processed = succeeded,
             failures = '[]'
         where id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}
