//! The report of an import: movies that were not found, with the rows that wait for them, and rows that could not be read
//! or stored. Called by the import service and by [`super::imports`].

use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use crate::models::{
    ImportEntry, ImportFailure, MovieCandidate, MovieId, Rating, Reaction, UnmatchedReason,
    UnmatchedTitle, UserId,
};

/// Rows that one statement inserts.
const INSERT_CHUNK: usize = 5000;

/// Adds failures at the end of the list.
#[tracing::instrument(name = "repository.import_report.add_failures", level = "debug", skip_all, fields(job = %id))]
pub async fn add_failures(
    connection: &mut PgConnection,
    user_id: UserId,
    id: Uuid,
    failures: &[ImportFailure],
) -> sqlx::Result<()> {
    for failures in failures.chunks(INSERT_CHUNK) {
        sqlx::query!(
            "insert into import_failure (user_id, job_id, n, file, line, field, reason, title, rows)
             select $1, $2, known.n + r.place::int, r.file, r.line, r.field, r.reason, r.title,
                    coalesce(r.rows, 0)
             from rows from (jsonb_to_recordset($3) as (file text, line int, field text, reason text,
                     title text, rows int))
                 with ordinality as r (file, line, field, reason, title, rows, place),
                 (select coalesce(max(n), 0) as n from import_failure
                  where user_id = $1 and job_id = $2) as known",
            user_id.get(),
            id,
            Json(failures) as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// True if import `id` of a user is a dry run; `None` if there is no such import.
pub async fn find_dry_run(pool: &PgPool, user_id: UserId, id: Uuid) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        "select dry_run from job where user_id = $1 and id = $2",
        user_id.get(),
        id,
    )
    .fetch_optional(pool)
    .await
}

/// A page of failures: at most `limit` after number `after`, without their numbers, which are those of the places.
#[tracing::instrument(name = "repository.import_report.list_failures", level = "debug", skip_all, fields(job = %id))]
pub async fn list_failures(
    pool: &PgPool,
    user_id: UserId,
    id: Uuid,
    after: i32,
    limit: i64,
) -> sqlx::Result<Vec<ImportFailure>> {
    sqlx::query_as!(
        ImportFailure,
        "select file, line, field, reason, title, nullif(rows, 0) as rows
         from import_failure where user_id = $1 and job_id = $2 and n > $3 order by n limit $4",
        user_id.get(),
        id,
        after,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// A page of the movies that were not found: at most `limit` after number `after`.
#[tracing::instrument(name = "repository.import_report.list_unmatched", level = "debug", skip_all, fields(job = %id))]
pub async fn list_unmatched(
    pool: &PgPool,
    user_id: UserId,
    id: Uuid,
    after: i32,
    limit: i64,
) -> sqlx::Result<Vec<UnmatchedTitle>> {
    let rows = sqlx::query!(
        r#"select n, coalesce(job.files -> u.file::int ->> 'name', '') as "file!", line, rows, title, year,
                  tmdb_id as "tmdb_id: MovieId", imdb_id, reason as "reason: UnmatchedReason",
                  candidates as "candidates: Json<Vec<MovieCandidate>>", movie_id as "movie_id: MovieId"
           from import_unmatched u
           join job on job.user_id = u.user_id and job.id = u.job_id
           where u.user_id = $1 and u.job_id = $2 and n > $3 order by n limit $4"#,
        user_id.get(),
        id,
        after,
        limit,
    )
    .fetch_all(pool)
    .await?;
    let titles = rows.into_iter().map(|row| UnmatchedTitle {
        n: Some(row.n),
        file: row.file,
        line: row.line,
        rows: row.rows,
        title: row.title,
        year: row.year,
        tmdb_id: row.tmdb_id,
        imdb_id: row.imdb_id,
        reason: row.reason,
        candidates: row.candidates.0,
        movie_id: row.movie_id,
    });
    Ok(titles.collect())
}

/// A movie that was not found, by the rows of a chunk.
#[derive(Debug)]
pub struct NewUnmatched {
    /// The first row.
    pub entry: ImportEntry,
    /// The positions of the rows.
    pub positions: Vec<i32>,
    /// The reason.
    pub reason: UnmatchedReason,
    /// The movies that it may be.
    pub candidates: Vec<MovieCandidate>,
}

/// Adds movies that were not found; the rows of those that are listed already are added to theirs. The rows then wait for
/// the movie to be named.
#[tracing::instrument(name = "repository.import_report.add_unmatched", level = "debug", skip_all, fields(job = %id))]
pub async fn add_unmatched(
    connection: &mut PgConnection,
    user_id: UserId,
    id: Uuid,
    movies: &[NewUnmatched],
) -> sqlx::Result<()> {
    if movies.is_empty() {
        return Ok(());
    }
    let records: Vec<serde_json::Value> = movies
        .iter()
        .map(|movie| {
            let entry = &movie.entry;
            serde_json::json!({
                "movie_key": entry.movie_key(), "file": entry.file, "line": entry.line,
                "rows": movie.positions.len(), "title": entry.title, "year": entry.year,
                "tmdb_id": entry.tmdb_id, "imdb_id": entry.imdb_id, "reason": movie.reason,
                "candidates": movie.candidates,
                "due_in": movie.reason.retry_interval().map(|interval| interval.as_secs_f64()),
            })
        })
        .collect();
    sqlx::query!(
        "insert into import_unmatched as u (user_id, job_id, n, movie_key, file, line, rows, title, year,
             tmdb_id, imdb_id, reason, candidates, due_at)
         select $1, $2, known.n + r.place::int, r.movie_key, r.file, r.line, r.rows, r.title, r.year,
                r.tmdb_id, r.imdb_id, r.reason, r.candidates,
                now() + make_interval(secs => r.due_in)
         from rows from (jsonb_to_recordset($3) as (movie_key text, file smallint, line int, rows int,
                 title text, year int, tmdb_id bigint, imdb_id text, reason text, candidates jsonb,
                 due_in float8))
             with ordinality as r (movie_key, file, line, rows, title, year, tmdb_id, imdb_id, reason,
                 candidates, due_in, place),
             (select coalesce(max(n), 0) as n from import_unmatched
              where user_id = $1 and job_id = $2) as known
         on conflict (user_id, job_id, movie_key) do update
             set rows = u.rows + excluded.rows,
                 (file, line) = (select f.file, f.line
                                 from (values (u.file, u.line), (excluded.file, excluded.line)) as f (file, line)
                                 order by f.file, f.line limit 1)",
        user_id.get(),
        id,
        Json(records) as _,
    )
    .execute(&mut *connection)
    .await?;
    let (keys, positions): (Vec<String>, Vec<i32>) = movies
        .iter()
        .flat_map(|movie| {
            let key = movie.entry.movie_key();
            movie
                .positions
                .iter()
                .map(move |position| (key.clone(), *position))
        })
        .unzip();
    sqlx::query!(
        "update import_entry e set unmatched = u.n
         from unnest($3::text[], $4::int[]) as r (movie_key, position)
         join import_unmatched u on u.user_id = $1 and u.job_id = $2 and u.movie_key = r.movie_key
         where e.user_id = $1 and e.job_id = $2 and e.position = r.position",
        user_id.get(),
        id,
        &keys,
        &positions,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The rows that wait for movie `n` to be named.
#[tracing::instrument(name = "repository.import_report.list_waiting", level = "debug", skip_all, fields(job = %id))]
pub async fn list_waiting(
    pool: &PgPool,
    user_id: UserId,
    id: Uuid,
    n: i32,
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
           from import_entry where user_id = $1 and job_id = $2 and unmatched = $3 order by position"#,
        user_id.get(),
        id,
        n,
    )
    .fetch_all(pool)
    .await
}

/// A title that is looked for again.
#[derive(Debug)]
pub struct DueTitle {
    /// The user.
    pub user_id: UserId,
    /// The import.
    pub job_id: Uuid,
    /// The number of the title.
    pub n: i32,
    /// The title.
    pub title: Option<String>,
    /// The year of release.
    pub year: Option<i32>,
    /// The TMDB id.
    pub tmdb_id: Option<MovieId>,
    /// The IMDb id.
    pub imdb_id: Option<String>,
}

/// Has titles that may be those of new movies, by `ids` or `titles`, looked for at once.
#[tracing::instrument(name = "repository.import_report.expect", level = "debug", skip_all)]
pub async fn expect(
    connection: &mut PgConnection,
    ids: &[MovieId],
    titles: &[&str],
) -> sqlx::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update import_unmatched set due_at = now()
         where movie_id is null and reason <> 'ambiguous'
           and (tmdb_id = any ($1)
                or lower(title) = any (select lower(title) from unnest($2::text[]) as new (title)))",
        ids as _,
        titles as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Takes at most `limit` titles of ended imports that are due. They are due again after intervals that double.
#[tracing::instrument(name = "repository.import_report.take_due", level = "debug", skip_all)]
pub async fn take_due(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<DueTitle>> {
    let [not_fetched, unknown] = [UnmatchedReason::NotFetched, UnmatchedReason::Unknown]
        .map(|reason| reason.retry_interval().unwrap_or_default().as_secs_f64());
    sqlx::query_as!(
        DueTitle,
        r#"update import_unmatched u
           set attempts = least(u.attempts + 1, 10),
               due_at = now() + make_interval(secs => power(2, u.attempts)
                   * case u.reason when 'not_fetched' then $2::float8 else $3::float8 end)
           from (select i.user_id, i.job_id, i.n
                 from import_unmatched i
                 join job on job.user_id = i.user_id and job.id = i.job_id
                 where i.due_at <= now() and i.movie_id is null and not job.dry_run
                   and job.status not in ('pending', 'running')
                 order by i.due_at limit $1 for update of i skip locked) as due
           where u.user_id = due.user_id and u.job_id = due.job_id and u.n = due.n
           returning u.user_id as "user_id: UserId", u.job_id, u.n, u.title, u.year,
                     u.tmdb_id as "tmdb_id: MovieId", u.imdb_id"#,
        limit,
        not_fetched,
        unknown,
    )
    .fetch_all(pool)
    .await
}

/// The outcome of waiting rows whose movie was named.
#[derive(Debug)]
pub struct Resolution {
    /// The movie.
    pub movie_id: MovieId,
    /// The number of rows that changed something.
    pub succeeded: i32,
    /// The number of rows that changed nothing.
    pub unchanged: i32,
    /// The number of rows that could not be stored.
    pub failed: i32,
}

/// Records that the rows that waited for movie `n` are stored. Has no effect if that was recorded before.
#[tracing::instrument(name = "repository.import_report.resolve", level = "debug", skip_all, fields(job = %id))]
pub async fn resolve(
    pool: &PgPool,
    user_id: UserId,
    id: Uuid,
    n: i32,
    resolution: &Resolution,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    let named = sqlx::query!(
        "update import_unmatched set movie_id = $4, due_at = null
         where user_id = $1 and job_id = $2 and n = $3 and movie_id is null",
        user_id.get(),
        id,
        n,
        resolution.movie_id.get(),
    )
    .execute(&mut *transaction)
    .await?;
    if named.rows_affected() == 1 {
        sqlx::query!(
            "update job set unmatched = greatest(0, unmatched - $3 - $4 - $5), succeeded = succeeded + $3,
                 unchanged = unchanged + $4, failed = failed + $5
             where user_id = $1 and id = $2",
            user_id.get(),
            id,
            resolution.succeeded,
            resolution.unchanged,
            resolution.failed,
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query!(
            "delete from import_entry where user_id = $1 and job_id = $2 and unmatched = $3",
            user_id.get(),
            id,
            n,
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}
