//! Imports as their work sees them: parameters, rows, progress. Called by the work of imports; progress is
//! stored under a lease that [`chassis::jobs::LeasedJob::checkpoint`] checked.

use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::import_report::{self, NewUnmatched};
use crate::models::{ImportEntry, ImportFailure, ImportFile, MovieId, Rating, Reaction, UserId};

/// The parameters and the counts of an import.
#[derive(Debug, Clone)]
pub struct ImportState {
    /// The user.
    pub user_id: UserId,
    /// The id of the import.
    pub id: Uuid,
    /// True if the import only counts the changes.
    pub dry_run: bool,
    /// The files.
    pub files: Json<Vec<ImportFile>>,
    /// The number of processed rows.
    pub processed: i32,
    /// The number of movies that may still be fetched from TMDB.
    pub fetches_left: i32,
}

/// The state of import `id`.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails or there is no such import.
pub async fn load(pool: &PgPool, id: Uuid) -> sqlx::Result<ImportState> {
    sqlx::query_as!(
        ImportState,
        r#"select user_id as "user_id: UserId", id, dry_run, files as "files: Json<Vec<ImportFile>>",
               processed, fetches_left
           from job where id = $1"#,
        id,
    )
    .fetch_one(pool)
    .await
}

/// The next unprocessed rows, at most `limit`.
#[tracing::instrument(name = "repository.import_work.list_entries", level = "debug", skip_all, fields(job = %import.id))]
pub async fn list_entries(
    pool: &PgPool,
    import: &ImportState,
    limit: i64,
) -> sqlx::Result<Vec<ImportEntry>> {
    sqlx::query_as!(
        ImportEntry,
        r#"select file, line, source, tmdb_id as "tmdb_id: MovieId", imdb_id, title, year, watched_at,
                  rating as "rating: Rating", rated_at, bookmarked_at,
                  coalesce(reaction, case when liked_at is not null then 'like' end)
                      as "reaction: Reaction",
                  coalesce(reacted_at, liked_at) as reacted_at, position_seconds,
                  duration_seconds, progressed_at,
                  movie_id as "movie_id: MovieId"
           from import_entry
           where user_id = $1 and job_id = $2 and position > $3 order by position limit $4"#,
        import.user_id.get(),
        import.id,
        import.processed,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// The rows about `movies` that a dry run has processed, in their order.
#[tracing::instrument(name = "repository.import_work.list_earlier", level = "debug", skip_all, fields(job = %import.id))]
pub async fn list_earlier(
    pool: &PgPool,
    import: &ImportState,
    movies: &[i64],
) -> sqlx::Result<Vec<ImportEntry>> {
    sqlx::query_as!(
        ImportEntry,
        r#"select file, line, source, tmdb_id as "tmdb_id: MovieId", imdb_id, title, year, watched_at,
                  rating as "rating: Rating", rated_at, bookmarked_at,
                  coalesce(reaction, case when liked_at is not null then 'like' end)
                      as "reaction: Reaction",
                  coalesce(reacted_at, liked_at) as reacted_at, position_seconds,
                  duration_seconds, progressed_at,
                  movie_id as "movie_id: MovieId"
           from import_entry
           where user_id = $1 and job_id = $2 and position <= $3 and movie_id = any ($4)
           order by position"#,
        import.user_id.get(),
        import.id,
        import.processed,
        movies,
    )
    .fetch_all(pool)
    .await
}

/// The outcome of a chunk of rows.
#[derive(Debug, Default)]
pub struct ChunkOutcome {
    /// The number of rows.
    pub processed: i32,
    /// The number of rows that changed something, or would in a dry run.
    pub succeeded: i32,
    /// The number of rows that changed nothing.
    pub unchanged: i32,
    /// The number of rows that match no movie.
    pub unmatched: i32,
    /// The number of rows that could not be stored.
    pub failed: i32,
    /// The number of movies that were requested from TMDB.
    pub fetched: i32,
    /// The movies that were not found.
    pub unmatched_movies: Vec<NewUnmatched>,
    /// The rows that could not be stored.
    pub failures: Vec<ImportFailure>,
    /// The movie of each row, in their order; only in a dry run.
    pub movies: Vec<Option<i64>>,
}

/// Adds the outcome of the rows that follow the processed ones, in a transaction that began with a
/// checkpoint.
#[tracing::instrument(name = "repository.import_work.record", level = "debug", skip_all, fields(job = %import.id, rows = outcome.processed))]
pub async fn record(
    connection: &mut PgConnection,
    import: &ImportState,
    outcome: &ChunkOutcome,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update job set processed = processed + $2, succeeded = succeeded + $3,
             unchanged = unchanged + $4, unmatched = unmatched + $5, failed = failed + $6,
             fetches_left = greatest(0, fetches_left - $7)
         where id = $1",
        import.id,
        outcome.processed,
        outcome.succeeded,
        outcome.unchanged,
        outcome.unmatched,
        outcome.failed,
        outcome.fetched,
    )
    .execute(&mut *connection)
    .await?;
    let unmatched = &outcome.unmatched_movies;
    import_report::add_unmatched(connection, import.user_id, import.id, unmatched).await?;
    import_report::add_failures(connection, import.user_id, import.id, &outcome.failures).await?;
    if outcome.movies.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update import_entry set movie_id = r.movie_id
         from unnest($4::bigint[]) with ordinality as r (movie_id, place)
         where user_id = $1 and job_id = $2 and position = $3 + r.place and r.movie_id is not null",
        import.user_id.get(),
        import.id,
        i64::from(import.processed),
        &outcome.movies as &[Option<i64>],
    )
    .execute(connection)
    .await?;
    Ok(())
}
