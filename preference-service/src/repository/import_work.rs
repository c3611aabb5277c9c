//! Imports as workers see them: leases, rows, progress. A worker that lost its lease changes nothing.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use super::{broken, imports::forget_entries};
use crate::models::{
    Deeds, ImportEntry, ImportFailure, ImportFile, ImportStatus, MovieId, Rating, UnmatchedTitle,
    UserId,
};

/// An import that this worker holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// Whose history it is.
    pub user_id: UserId,
    /// The job's id.
    pub id: Uuid,
    /// Whether it is only to tell what it would do.
    pub dry_run: bool,
    /// The files.
    pub files: Vec<ImportFile>,
    /// How many rows are done.
    pub processed: i32,
    /// How many belong to no film.
    pub unmatched: i32,
    /// How many could not be stored.
    pub failed: i32,
    /// How many films may yet be fetched from TMDB.
    pub fetches_left: i32,
    /// When it last got on.
    pub updated_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct HeldRow {
    user_id: i64,
    id: Uuid,
    dry_run: bool,
    files: Json<Vec<ImportFile>>,
    processed: i32,
    unmatched: i32,
    failed: i32,
    fetches_left: i32,
    updated_at: DateTime<Utc>,
}

/// Takes the oldest import that nobody holds.
///
/// # Errors
/// Postgres's.
pub async fn claim(pool: &PgPool, worker: Uuid, lease_seconds: f64) -> sqlx::Result<Option<Held>> {
    let row: Option<HeldRow> = sqlx::query_as(
        "update import_job set status = 'running', worker = $1,
             lease_until = now() + make_interval(secs => $2)
         where (user_id, id) = (select user_id, id from import_job
                                where status in ('pending', 'running') and lease_until <= now()
                                order by created_at, id limit 1
                                for update skip locked)
         returning user_id, id, dry_run, files, processed, unmatched, failed, fetches_left, updated_at",
    )
    .bind(worker)
    .bind(lease_seconds)
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(Held {
            user_id: UserId::new(row.user_id).ok_or_else(|| broken("a user's id is wrong"))?,
            id: row.id,
            dry_run: row.dry_run,
            files: row.files.0,
            processed: row.processed,
            unmatched: row.unmatched,
            failed: row.failed,
            fetches_left: row.fetches_left,
            updated_at: row.updated_at,
        })
    })
    .transpose()
}

/// Gives a sign of life; false where the job is no longer this worker's.
///
/// # Errors
/// Postgres's.
pub async fn renew(
    pool: &PgPool,
    held: &Held,
    worker: Uuid,
    lease_seconds: f64,
) -> sqlx::Result<bool> {
    sqlx::query(
        "update import_job set lease_until = now() + make_interval(secs => $4)
         where user_id = $1 and id = $2 and worker = $3 and status = 'running'",
    )
    .bind(held.user_id.get())
    .bind(held.id)
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
pub async fn release(pool: &PgPool, held: &Held, worker: Uuid, seconds: f64) -> sqlx::Result<()> {
    sqlx::query(
        "update import_job set status = 'pending', worker = null,
             lease_until = now() + make_interval(secs => $4)
         where user_id = $1 and id = $2 and worker = $3 and status = 'running'",
    )
    .bind(held.user_id.get())
    .bind(held.id)
    .bind(worker)
    .bind(seconds)
    .execute(pool)
    .await
    .map(|_| ())
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    file: i16,
    line: i32,
    tmdb_id: Option<i64>,
    imdb_id: Option<String>,
    title: Option<String>,
    year: Option<i32>,
    watched_at: Option<DateTime<Utc>>,
    rating: Option<i16>,
    rated_at: Option<DateTime<Utc>>,
    bookmarked_at: Option<DateTime<Utc>>,
    liked_at: Option<DateTime<Utc>>,
    movie_id: Option<i64>,
}

impl From<EntryRow> for ImportEntry {
    fn from(row: EntryRow) -> Self {
        Self {
            file: row.file,
            line: row.line,
            tmdb_id: row.tmdb_id.and_then(MovieId::new),
            imdb_id: row.imdb_id,
            title: row.title,
            year: row.year,
            deeds: Deeds {
                watched_at: row.watched_at,
                rated: row
                    .rating
                    .and_then(Rating::from_half_stars)
                    .zip(row.rated_at),
                bookmarked_at: row.bookmarked_at,
                liked_at: row.liked_at,
            },
        }
    }
}

const ENTRY: &str = "file, line, tmdb_id, imdb_id, title, year, watched_at, rating, rated_at,
    bookmarked_at, liked_at, movie_id";

/// The next rows to be done, at most `limit`.
///
/// # Errors
/// Postgres's.
pub async fn list_entries(
    pool: &PgPool,
    held: &Held,
    limit: i64,
) -> sqlx::Result<Vec<ImportEntry>> {
    let rows: Vec<EntryRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {ENTRY} from import_entry
         where user_id = $1 and job_id = $2 and position > $3 order by position limit $4"
    )))
    .bind(held.user_id.get())
    .bind(held.id)
    .bind(held.processed)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(ImportEntry::from).collect())
}

/// What rows that a dry run has gone through say of `films`, in their order.
///
/// # Errors
/// Postgres's.
pub async fn list_earlier(
    pool: &PgPool,
    held: &Held,
    films: &[i64],
) -> sqlx::Result<Vec<(MovieId, Deeds)>> {
    let rows: Vec<EntryRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {ENTRY} from import_entry
         where user_id = $1 and job_id = $2 and position <= $3 and movie_id = any ($4)
         order by position"
    )))
    .bind(held.user_id.get())
    .bind(held.id)
    .bind(held.processed)
    .bind(films)
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let movie = row.movie_id.and_then(MovieId::new)?;
            Some((movie, ImportEntry::from(row).deeds))
        })
        .collect())
}

/// What became of some rows.
#[derive(Debug, Default)]
pub struct Done {
    /// How many there are.
    pub processed: i32,
    /// How many of them changed something, or would.
    pub succeeded: i32,
    /// How many changed nothing.
    pub unchanged: i32,
    /// How many belong to no film.
    pub unmatched: i32,
    /// How many could not be stored.
    pub failed: i32,
    /// How many films were looked for at TMDB.
    pub fetched: i32,
    /// Those without a film that the job tells of.
    pub unmatched_titles: Vec<UnmatchedTitle>,
    /// Those not stored that the job tells of.
    pub failures: Vec<ImportFailure>,
    /// Of a dry run: the film of each row, in their order.
    pub films: Vec<Option<i64>>,
}

/// Counts the rows after those that are done as done; false where the job is no longer this worker's.
///
/// # Errors
/// Postgres's.
pub async fn record(
    pool: &PgPool,
    held: &Held,
    worker: Uuid,
    done: &Done,
    lease_seconds: f64,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let counted = sqlx::query(
        "update import_job set processed = processed + $5, succeeded = succeeded + $6,
             unchanged = unchanged + $7, unmatched = unmatched + $8, failed = failed + $9,
             fetches_left = greatest(0, fetches_left - $10),
             unmatched_titles = unmatched_titles || $11, failures = failures || $12,
             updated_at = now(), lease_until = now() + make_interval(secs => $13)
         where user_id = $1 and id = $2 and worker = $3 and status = 'running' and processed = $4",
    )
    .bind(held.user_id.get())
    .bind(held.id)
    .bind(worker)
    .bind(held.processed)
    .bind(done.processed)
    .bind(done.succeeded)
    .bind(done.unchanged)
    .bind(done.unmatched)
    .bind(done.failed)
    .bind(done.fetched)
    .bind(Json(&done.unmatched_titles))
    .bind(Json(&done.failures))
    .bind(lease_seconds)
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if counted && !done.films.is_empty() {
        sqlx::query(
            "update import_entry set movie_id = r.movie_id
             from unnest($4::bigint[]) with ordinality as r (movie_id, place)
             where user_id = $1 and job_id = $2 and position = $3 + r.place
               and r.movie_id is not null",
        )
        .bind(held.user_id.get())
        .bind(held.id)
        .bind(held.processed)
        .bind(&done.films)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(counted)
}

/// Ends the job, if it is this worker's: given up for `failure`, or at its end.
///
/// # Errors
/// Postgres's.
pub async fn finish(
    pool: &PgPool,
    held: &Held,
    worker: Uuid,
    failure: Option<&ImportFailure>,
) -> sqlx::Result<Option<ImportStatus>> {
    let status = if failure.is_some() {
        ImportStatus::Failed
    } else {
        ImportStatus::Succeeded
    };
    let mut transaction = pool.begin().await?;
    let ended = sqlx::query(
        "update import_job set status = $4, worker = null, updated_at = now(),
             failures = $5 || failures
         where user_id = $1 and id = $2 and worker = $3 and status = 'running'",
    )
    .bind(held.user_id.get())
    .bind(held.id)
    .bind(worker)
    .bind(status.as_str())
    .bind(Json(failure.into_iter().collect::<Vec<_>>()))
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if ended {
        forget_entries(&mut transaction, held.user_id, held.id).await?;
    }
    transaction.commit().await?;
    Ok(ended.then_some(status))
}
