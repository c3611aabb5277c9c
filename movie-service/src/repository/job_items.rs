//! Jobs as workers see them: leases, items, progress. A worker that lost its lease changes nothing:
//! every write begins with [`hold`].

use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::jobs::FILMS_A_PAGE;
use crate::models::{Item, JobFailure, JobKind, JobStatus, MovieId, MovieList, Parameters};

/// How many failures a job tells of.
const FAILURES_TOLD: i64 = 100;

/// A job that this worker holds.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Held {
    /// The job's id.
    pub id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// What was asked for, beyond the items.
    #[sqlx(json)]
    pub parameters: Parameters,
}

/// Takes the oldest job that nobody holds.
///
/// # Errors
/// Postgres's.
pub async fn claim(pool: &PgPool, worker: Uuid, lease_seconds: f64) -> sqlx::Result<Option<Held>> {
    sqlx::query_as(
        "update job set status = 'running', worker = $1,
             lease_until = now() + make_interval(secs => $2)
         where id = (select id from job
                     where status in ('pending', 'running') and lease_until <= now()
                     order by created_at, id limit 1
                     for update skip locked)
         returning id, kind, parameters",
    )
    .bind(worker)
    .bind(lease_seconds)
    .fetch_optional(pool)
    .await
}

/// Gives a sign of life; false where the job is no longer this worker's.
///
/// # Errors
/// Postgres's.
pub async fn renew(
    pool: &PgPool,
    id: Uuid,
    worker: Uuid,
    lease_seconds: f64,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update job set lease_until = now() + make_interval(secs => $3)
         where id = $1 and worker = $2 and status = 'running'",
    )
    .bind(id)
    .bind(worker)
    .bind(lease_seconds)
    .execute(pool)
    .await
    .map(|result| result.rows_affected() == 1)
}

/// Gives the job back, so that another worker may take it after `seconds`.
///
/// # Errors
/// Postgres's.
pub async fn release(pool: &PgPool, id: Uuid, worker: Uuid, seconds: f64) -> sqlx::Result<()> {
    sqlx::query(
        "update job set status = 'pending', worker = null,
             lease_until = now() + make_interval(secs => $3)
         where id = $1 and worker = $2 and status = 'running'",
    )
    .bind(id)
    .bind(worker)
    .bind(seconds)
    .execute(pool)
    .await
    .map(|_| ())
}

/// Makes sure that the job is this worker's until the end of the transaction.
///
/// # Errors
/// Postgres's.
pub async fn hold(transaction: &mut PgConnection, id: Uuid, worker: Uuid) -> sqlx::Result<bool> {
    let held: Option<i32> = sqlx::query_scalar(
        "select 1 from job where id = $1 and worker = $2 and status = 'running' for update",
    )
    .bind(id)
    .bind(worker)
    .fetch_optional(transaction)
    .await?;
    Ok(held.is_some())
}

#[derive(sqlx::FromRow)]
struct ItemRow {
    position: i64,
    list: Option<MovieList>,
    page: Option<i32>,
    movie_id: Option<i64>,
}

/// The first items that are to be done, at most `limit`, with their positions.
///
/// # Errors
/// Postgres's, or a row that is no item.
pub async fn list_todo(pool: &PgPool, id: Uuid, limit: i64) -> sqlx::Result<Vec<(i64, Item)>> {
    let rows: Vec<ItemRow> = sqlx::query_as(
        "select position, list, page, movie_id from job_item
         where job_id = $1 and state = 'todo' order by position limit $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let page = row.page.and_then(|page| u32::try_from(page).ok());
            let item = match (row.list, page, row.movie_id.and_then(MovieId::new)) {
                (Some(list), Some(page), None) => Item::Page(list, page),
                (None, None, Some(movie)) => Item::Movie(movie),
                _ => return Err(sqlx::Error::Decode("an item is no page and no film".into())),
            };
            Ok((row.position, item))
        })
        .collect()
}

/// Puts the films `ids` in the place of the page at `position`, each once in the job and at most
/// `most` in all; on the last page of a list, the pages behind it are left out.
///
/// # Errors
/// Postgres's.
pub async fn expand_page(
    transaction: &mut PgConnection,
    id: Uuid,
    position: i64,
    ids: &[i64],
    is_last: bool,
    most: Option<i32>,
) -> sqlx::Result<()> {
    sqlx::query(
        "with page as (
            update job_item set state = 'succeeded' where job_id = $1 and position = $2 returning list
         ), gone as (
            delete from job_item using page
            where $4 and job_item.job_id = $1 and job_item.position > $2 and job_item.list = page.list
         )
         insert into job_item (job_id, position, movie_id)
         select $1, $2 + f.place, f.movie_id from unnest($3::bigint[]) with ordinality as f(movie_id, place)
         where not exists (select from job_item i where i.job_id = $1 and i.movie_id = f.movie_id)
         order by f.place
         limit greatest(0, $5 - (select count(*) from job_item where job_id = $1 and movie_id is not null))
         on conflict do nothing",
    )
    .bind(id)
    .bind(position)
    .bind(ids)
    .bind(is_last)
    .bind(i64::from(most.unwrap_or(i32::MAX)))
    .execute(&mut *transaction)
    .await?;
    if let Some(most) = most {
        // Enough films: no page need be read any more.
        sqlx::query(
            "delete from job_item where job_id = $1 and page is not null and state = 'todo'
               and $2 <= (select count(*) from job_item where job_id = $1 and movie_id is not null)",
        )
        .bind(id)
        .bind(i64::from(most))
        .execute(&mut *transaction)
        .await?;
    }
    Ok(())
}

/// What became of an item.
#[derive(Debug)]
pub struct Done {
    /// The item's position.
    pub position: i64,
    /// Why it failed, where it did.
    pub failure: Option<JobFailure>,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Progress {
    /// How many items there are.
    pub total: i32,
    /// How many are done.
    pub processed: i32,
}

/// Marks items as done, each once, and moves the job's counts by those that were not marked before. A
/// page counts only if it failed: else its films do.
///
/// # Errors
/// Postgres's.
pub async fn record(
    transaction: &mut PgConnection,
    id: Uuid,
    done: &[Done],
    lease_seconds: f64,
) -> sqlx::Result<Progress> {
    let positions: Vec<i64> = done.iter().map(|item| item.position).collect();
    let failed: Vec<bool> = done.iter().map(|item| item.failure.is_some()).collect();
    let failures: Vec<&JobFailure> = done.iter().filter_map(|i| i.failure.as_ref()).collect();
    sqlx::query(
        "with marked as (
            update job_item i set state = case when d.failed then 'failed' else 'succeeded' end
            from unnest($2::bigint[], $3::boolean[]) as d(position, failed)
            where i.job_id = $1 and i.position = d.position and i.state = 'todo'
            returning d.failed
         ), counted as (
            select count(*) filter (where not failed)::int as succeeded,
                   count(*) filter (where failed)::int as failed from marked
         )
         update job set succeeded = job.succeeded + counted.succeeded, failed = job.failed + counted.failed,
             processed = job.processed + counted.succeeded + counted.failed
         from counted where job.id = $1",
    )
    .bind(id)
    .bind(positions)
    .bind(failed)
    .execute(&mut *transaction)
    .await?;
    sqlx::query_as(
        "update job set updated_at = now(), lease_until = now() + make_interval(secs => $3),
             failures = (select coalesce(jsonb_agg(told.failure order by told.place), '[]')
                         from (select failure, place from jsonb_array_elements(failures || $2)
                               with ordinality as all_of_them(failure, place) order by place limit $4) told)
         where id = $1
         returning total, processed",
    )
    .bind(id)
    .bind(Json(failures))
    .bind(lease_seconds)
    .bind(FAILURES_TOLD)
    .fetch_one(transaction)
    .await
}

/// Counts anew how many items there are, which a page that was read makes more certain.
///
/// # Errors
/// Postgres's.
pub async fn recount(transaction: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query(
        "update job set updated_at = now(), total = (
             select least(count(movie_id) + count(page) filter (where state = 'failed')
                              + $2 * count(page) filter (where state = 'todo'),
                          greatest(coalesce((parameters ->> 'most_films')::int, 2147483647), processed))
             from job_item where job_id = $1)
         where id = $1",
    )
    .bind(id)
    .bind(FILMS_A_PAGE)
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Ends the job, if it is this worker's: given up for `failure`, or at its end.
///
/// # Errors
/// Postgres's.
pub async fn finish(
    pool: &PgPool,
    id: Uuid,
    worker: Uuid,
    failure: Option<&JobFailure>,
) -> sqlx::Result<Option<JobStatus>> {
    let status = if failure.is_some() {
        JobStatus::Failed
    } else {
        JobStatus::Succeeded
    };
    sqlx::query_scalar(
        "update job set status = $3, worker = null, updated_at = now(),
             failures = $4 || failures,
             total = case when $3 = 'succeeded' then processed else total end
         where id = $1 and worker = $2 and status = 'running'
         returning status",
    )
    .bind(id)
    .bind(worker)
    .bind(status)
    .bind(Json(failure.into_iter().collect::<Vec<_>>()))
    .fetch_optional(pool)
    .await
}

/// How many of the job's items went well, and how many pages failed.
///
/// # Errors
/// Postgres's.
pub async fn tally(pool: &PgPool, id: Uuid) -> sqlx::Result<(i32, i64)> {
    sqlx::query_as(
        "select succeeded, (select count(*) from job_item
                            where job_id = $1 and page is not null and state = 'failed')
         from job where id = $1",
    )
    .bind(id)
    .fetch_one(pool)
    .await
}
