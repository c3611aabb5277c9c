//! Imports as clients see them: asked for, shown, called off, expired. The leases and the rows, which
//! workers see, are [`super::import_work`]'s.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::broken;
use crate::models::{
    Import, ImportEntry, ImportFailure, ImportFile, ImportStatus, MovieId, UnmatchedTitle, UserId,
};

/// Rows that are stored at once.
const ROWS_AT_ONCE: usize = 5000;
/// The columns of a job, but for its lists.
const COLUMNS: &str = "user_id, id, status, dry_run, files, total, processed, succeeded, unchanged,
    unmatched, failed, skipped, created_at, updated_at";

#[derive(sqlx::FromRow)]
struct ImportRow {
    user_id: i64,
    id: Uuid,
    status: String,
    dry_run: bool,
    files: Json<Vec<ImportFile>>,
    total: i32,
    processed: i32,
    succeeded: i32,
    unchanged: i32,
    unmatched: i32,
    failed: i32,
    skipped: i32,
    #[sqlx(default)]
    unmatched_titles: Option<Json<Vec<UnmatchedTitle>>>,
    #[sqlx(default)]
    failures: Option<Json<Vec<ImportFailure>>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ImportRow> for Import {
    type Error = sqlx::Error;

    fn try_from(row: ImportRow) -> sqlx::Result<Self> {
        Ok(Self {
            job_id: row.id,
            user_id: UserId::new(row.user_id).ok_or_else(|| broken("a user's id is wrong"))?,
            status: ImportStatus::parse(&row.status)
                .ok_or_else(|| broken("a status is unknown"))?,
            dry_run: row.dry_run,
            files: row.files.0,
            total: row.total,
            processed: row.processed,
            succeeded: row.succeeded,
            unchanged: row.unchanged,
            unmatched: row.unmatched,
            failed: row.failed,
            skipped: row.skipped,
            unmatched_titles: row.unmatched_titles.map(|titles| titles.0),
            failures: row.failures.map(|failures| failures.0),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// An import to be.
#[derive(Debug)]
pub struct NewImport {
    /// Whose history it is.
    pub user_id: UserId,
    /// Whether it is only to tell what it would do.
    pub dry_run: bool,
    /// The files.
    pub files: Vec<ImportFile>,
    /// Their rows about films.
    pub entries: Vec<ImportEntry>,
    /// How many rows are about something else.
    pub skipped: i32,
    /// How many films may be fetched from TMDB for it.
    pub fetches: i32,
}

/// What became of the wish for an import.
#[derive(Debug)]
pub enum Created {
    /// It is there.
    New(Uuid),
    /// Another of the user's is not done yet.
    Active(Uuid),
    /// There is no such user.
    NoUser,
}

/// Makes an import, which belongs to whoever claims it first.
///
/// # Errors
/// Postgres's.
pub async fn create(pool: &PgPool, import: &NewImport) -> sqlx::Result<Created> {
    let id = Uuid::now_v7();
    let user_id = import.user_id.get();
    // What stood in the way may be gone a moment later.
    for _ in 0..3 {
        let mut transaction = pool.begin().await?;
        let made = sqlx::query(
            "insert into import_job (user_id, id, dry_run, files, total, skipped, fetches_left)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict do nothing",
        )
        .bind(user_id)
        .bind(id)
        .bind(import.dry_run)
        .bind(Json(&import.files))
        .bind(i32::try_from(import.entries.len()).unwrap_or(i32::MAX))
        .bind(import.skipped)
        .bind(import.fetches)
        .execute(&mut *transaction)
        .await;
        match made {
            Ok(made) if made.rows_affected() == 1 => {
                insert_entries(&mut transaction, import, id).await?;
                transaction.commit().await?;
                return Ok(Created::New(id));
            }
            Ok(_) => transaction.rollback().await?,
            Err(error)
                if chassis::postgres::violated_constraint(&error)
                    == Some("import_job_user_id_fkey") =>
            {
                return Ok(Created::NoUser);
            }
            Err(error) => return Err(error),
        }
        let active: Option<Uuid> = sqlx::query_scalar(
            "select id from import_job where user_id = $1 and status in ('pending', 'running')",
        )
        .bind(user_id)
        .fetch_optional(pool)
        .await?;
        if let Some(active) = active {
            return Ok(Created::Active(active));
        }
    }
    Err(sqlx::Error::RowNotFound)
}

async fn insert_entries(
    transaction: &mut PgConnection,
    import: &NewImport,
    id: Uuid,
) -> sqlx::Result<()> {
    fn column<'a, T>(rows: &'a [ImportEntry], value: impl Fn(&'a ImportEntry) -> T) -> Vec<T> {
        rows.iter().map(value).collect()
    }
    let mut first = 1_i32;
    for rows in import.entries.chunks(ROWS_AT_ONCE) {
        sqlx::query(
            "insert into import_entry (user_id, job_id, position, file, line, tmdb_id, imdb_id, title,
                 year, watched_at, rating, rated_at, bookmarked_at, liked_at)
             select $1, $2, $3 + (place - 1)::int, file, line, tmdb_id, imdb_id, title, year, watched_at,
                 rating, rated_at, bookmarked_at, liked_at
             from unnest($4::smallint[], $5::int[], $6::bigint[], $7::text[], $8::text[], $9::int[],
                     $10::timestamptz[], $11::smallint[], $12::timestamptz[], $13::timestamptz[],
                     $14::timestamptz[])
                 with ordinality as r (file, line, tmdb_id, imdb_id, title, year, watched_at, rating,
                     rated_at, bookmarked_at, liked_at, place)",
        )
        .bind(import.user_id.get())
        .bind(id)
        .bind(first)
        .bind(column(rows, |row| row.file))
        .bind(column(rows, |row| row.line))
        .bind(column(rows, |row| row.tmdb_id.map(MovieId::get)))
        .bind(column(rows, |row| row.imdb_id.as_deref()))
        .bind(column(rows, |row| row.title.as_deref()))
        .bind(column(rows, |row| row.year))
        .bind(column(rows, |row| row.deeds.watched_at))
        .bind(column(rows, |row| {
            row.deeds.rated.map(|(rating, _)| rating.half_stars())
        }))
        .bind(column(rows, |row| row.deeds.rated.map(|(_, at)| at)))
        .bind(column(rows, |row| row.deeds.bookmarked_at))
        .bind(column(rows, |row| row.deeds.liked_at))
        .execute(&mut *transaction)
        .await?;
        first += i32::try_from(rows.len()).unwrap_or(i32::MAX);
    }
    Ok(())
}

/// The import `id` of a user.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, user_id: UserId, id: Uuid) -> sqlx::Result<Option<Import>> {
    let row: Option<ImportRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS}, unmatched_titles, failures from import_job where user_id = $1 and id = $2"
    )))
    .bind(user_id.get())
    .bind(id)
    .fetch_optional(pool)
    .await?;
    row.map(Import::try_from).transpose()
}

/// At most `limit` imports of a user, the newest first, without what they could not do.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool, user_id: UserId, limit: i64) -> sqlx::Result<Vec<Import>> {
    let rows: Vec<ImportRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from import_job where user_id = $1
         order by created_at desc, id desc limit $2"
    )))
    .bind(user_id.get())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(Import::try_from).collect()
}

/// Calls an import off, unless it has ended. Whoever works on it hears of it at the next sign of life.
///
/// # Errors
/// Postgres's.
pub async fn cancel(pool: &PgPool, user_id: UserId, id: Uuid) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let cancelled = sqlx::query(
        "update import_job set status = 'cancelled', worker = null, updated_at = now()
         where user_id = $1 and id = $2 and status in ('pending', 'running')",
    )
    .bind(user_id.get())
    .bind(id)
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if cancelled {
        forget_entries(&mut transaction, user_id, id).await?;
    }
    transaction.commit().await?;
    Ok(cancelled)
}

/// Deletes the rows of an import that has ended.
pub(super) async fn forget_entries(
    transaction: &mut PgConnection,
    user_id: UserId,
    id: Uuid,
) -> sqlx::Result<()> {
    sqlx::query("delete from import_entry where user_id = $1 and job_id = $2")
        .bind(user_id.get())
        .bind(id)
        .execute(transaction)
        .await
        .map(|_| ())
}

/// Forgets imports that ended more than `days` ago; how many.
///
/// # Errors
/// Postgres's.
pub async fn expire(pool: &PgPool, days: i32) -> sqlx::Result<u64> {
    sqlx::query(
        "delete from import_job where status in ('succeeded', 'failed', 'cancelled')
           and updated_at < now() - make_interval(days => $1)",
    )
    .bind(days)
    .execute(pool)
    .await
    .map(|result| result.rows_affected())
}
