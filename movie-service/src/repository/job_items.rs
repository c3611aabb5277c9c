//! The items of jobs: read, expanded, marked as processed. Called by the work of jobs, in transactions that
//! begin with [`chassis::jobs::LeasedJob::checkpoint`], so that a worker without the lease changes nothing.

use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::jobs::MOVIES_PER_PAGE;
use crate::models::{Item, JobFailure, JobKind, MovieId, MovieList, Parameters};

/// Failures that a job lists.
const MAX_FAILURES: i64 = 100;

/// The kind and the parameters of job `id`, which must exist.
pub async fn load(pool: &PgPool, id: Uuid) -> sqlx::Result<(JobKind, Parameters)> {
    let row = sqlx::query!(
        r#"select kind as "kind: JobKind", parameters as "parameters: Json<Parameters>" from job where id = $1"#,
        id,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.kind, row.parameters.0))
}

/// The first items that are not processed, at most `limit`, with their positions.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails or an item is neither a page nor a movie.
#[tracing::instrument(name = "repository.job_items.list_todo", level = "debug", skip_all, fields(job = %id))]
pub async fn list_todo(pool: &PgPool, id: Uuid, limit: i64) -> sqlx::Result<Vec<(i64, Item)>> {
    let rows = sqlx::query!(
        r#"select position, list as "list: MovieList", page, movie_id from job_item
           where job_id = $1 and state = 'todo' order by position limit $2"#,
        id,
        limit,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            let page = row.page.and_then(|page| u32::try_from(page).ok());
            let item = match (row.list, page, row.movie_id.and_then(MovieId::new)) {
                (Some(list), Some(page), None) => Item::Page(list, page),
                (None, None, Some(movie)) => Item::Movie(movie),
                _ => {
                    let message = "an item is neither a page nor a movie";
                    return Err(sqlx::Error::Decode(message.into()));
                }
            };
            Ok((row.position, item))
        })
        .collect()
}

/// Replaces the page at `position` by the movies `ids`, each once in the job and at most `limit` in
/// total. After the last page of a list, the remaining pages of the list are dropped.
#[tracing::instrument(name = "repository.job_items.expand_page", level = "debug", skip_all, fields(job = %id))]
pub async fn expand_page(
    connection: &mut PgConnection,
    id: Uuid,
    position: i64,
    ids: &[i64],
    is_last: bool,
    limit: Option<i32>,
) -> sqlx::Result<()> {
    sqlx::query!(
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
        id,
        position,
        ids,
        is_last,
        i64::from(limit.unwrap_or(i32::MAX)),
    )
    .execute(&mut *connection)
    .await?;
    if let Some(limit) = limit {
        // With enough movies, the remaining pages need not be read.
        sqlx::query!(
            "delete from job_item where job_id = $1 and page is not null and state = 'todo'
               and $2 <= (select count(*) from job_item where job_id = $1 and movie_id is not null)",
            id,
            i64::from(limit),
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// A processed item.
#[derive(Debug)]
pub struct Done {
    /// The position of the item.
    pub position: i64,
    /// The failure of an item that failed.
    pub failure: Option<JobFailure>,
}

/// The progress of a job, in items.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// All items.
    pub total: i32,
    /// The processed items.
    pub processed: i32,
}

/// Marks items as processed and adds those that were not marked before to the counts of the job. A page
/// counts only if it failed, since a successful page is replaced by its movies.
#[tracing::instrument(name = "repository.job_items.record", level = "debug", skip_all, fields(job = %id, items = done.len()))]
pub async fn record(
    connection: &mut PgConnection,
    id: Uuid,
    done: &[Done],
) -> sqlx::Result<Progress> {
    let positions: Vec<i64> = done.iter().map(|item| item.position).collect();
    let failed: Vec<bool> = done.iter().map(|item| item.failure.is_some()).collect();
    let failures: Vec<&JobFailure> = done.iter().filter_map(|i| i.failure.as_ref()).collect();
    sqlx::query_as!(
        Progress,
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
             processed = job.processed + counted.succeeded + counted.failed,
             failures = (select coalesce(jsonb_agg(listed.failure order by listed.place), '[]')
                         from (select failure, place from jsonb_array_elements(failures || $4)
                               with ordinality as everything(failure, place) order by place limit $5) listed)
         from counted where job.id = $1
         returning total, processed",
        id,
        &positions,
        &failed,
        Json(failures) as _,
        MAX_FAILURES,
    )
    .fetch_one(connection)
    .await
}

/// Counts the items of job `id` again, since each page that is read makes the estimate more exact.
pub async fn recount(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "update job set total = (
             select least(count(movie_id) + count(page) filter (where state = 'failed')
                              + $2::int * count(page) filter (where state = 'todo'),
                          greatest(coalesce((parameters ->> 'most_films')::int, 2147483647), processed))
             from job_item where job_id = $1)
         where id = $1",
        id,
        MOVIES_PER_PAGE,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The number of successful items of job `id`, and the number of failed pages.
pub async fn tally(pool: &PgPool, id: Uuid) -> sqlx::Result<(i32, i64)> {
    let row = sqlx::query!(
        r#"select succeeded, (select count(*) from job_item
               where job_id = $1 and page is not null and state = 'failed') as "failed_pages!"
           from job where id = $1"#,
        id,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.succeeded, row.failed_pages))
}
