//! Imports as clients see them: created, read, ended. Called by the import service. The rows are in
//! [`super::import_work`]; the leases belong to [`chassis::jobs`].

use std::collections::BTreeMap;

use chassis::{
    jobs::{End, JobStatus},
    postgres::violated_constraint,
};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::import_report;
use crate::{
    error::Error,
    models::{Import, ImportEntry, ImportFailure, ImportFile, SkippedFile, UnmatchedTitle, UserId},
};

/// Rows that one statement inserts.
const INSERT_CHUNK: usize = 5000;
/// Movies that were not found, in an import as a client gets it.
const MAX_UNMATCHED_TITLES: i64 = 1000;
/// Failures in an import as a client gets it.
const MAX_FAILURES: i64 = 100;
/// Attempts to create an import; the one in conflict may have ended a moment later.
const MAX_ATTEMPTS: u32 = 3;

/// An import to be created.
#[derive(Debug)]
pub struct NewImport {
    /// The user.
    pub user_id: UserId,
    /// True if the import only counts the changes.
    pub dry_run: bool,
    /// The contents of its files.
    pub contents: ImportContents,
    /// The maximum number of movies that are fetched from TMDB for it.
    pub max_fetches: i32,
}

/// The contents of an import's files.
#[derive(Debug, Default)]
pub struct ImportContents {
    /// The files that were read.
    pub files: Vec<ImportFile>,
    /// The rows about movies.
    pub entries: Vec<ImportEntry>,
    /// The rows and files that could not be read.
    pub failures: Vec<ImportFailure>,
    /// The number of rows that could not be read.
    pub failed: i32,
    /// The files that were skipped as a whole.
    pub skipped_files: Vec<SkippedFile>,
    /// The number of rows about other titles.
    pub skipped: i32,
    /// The same by kind.
    pub skipped_kinds: BTreeMap<String, usize>,
}

/// The outcome of the creation of an import.
#[derive(Debug)]
pub enum Created {
    /// The id of the new import.
    New(Uuid),
    /// The id of the user's import that has not ended.
    Active(Uuid),
}

/// Creates an import, claimable by all workers.
///
/// # Errors
/// `UserNotFound` if there is no such user; `Database` if a statement fails or a conflicting import vanished repeatedly.
#[tracing::instrument(name = "repository.imports.create", level = "debug", skip_all, fields(user = %import.user_id))]
pub async fn create(pool: &PgPool, import: &NewImport) -> Result<Created, Error> {
    let id = Uuid::now_v7();
    let user_id = import.user_id.get();
    let contents = &import.contents;
    for _ in 0..MAX_ATTEMPTS {
        let mut transaction = pool.begin().await?;
        let inserted = sqlx::query!(
            "insert into job (user_id, id, dry_run, files, total, processed, failed, skipped, fetches_left,
                 skipped_files, skipped_kinds)
             values ($1, $2, $3, $4, $5::int + $6::int, $6, $6, $7, $8, $9, $10)
             on conflict do nothing",
            user_id,
            id,
            import.dry_run,
            Json(&contents.files) as _,
            i32::try_from(contents.entries.len()).unwrap_or(i32::MAX),
            contents.failed,
            contents.skipped,
            import.max_fetches,
            Json(&contents.skipped_files) as _,
            Json(&contents.skipped_kinds) as _,
        )
        .execute(&mut *transaction)
        .await;
        match inserted {
            Ok(result) if result.rows_affected() == 1 => {
                insert_entries(&mut transaction, import, id).await?;
                import_report::add_failures(
                    &mut transaction,
                    import.user_id,
                    id,
                    &contents.failures,
                )
                .await?;
                transaction.commit().await?;
                return Ok(Created::New(id));
            }
            Ok(_) => transaction.rollback().await?,
            Err(error) if violated_constraint(&error) == Some("job_user_id_fkey") => {
                return Err(Error::UserNotFound);
            }
            Err(error) => return Err(error.into()),
        }
        let active = sqlx::query_scalar!(
            "select id from job where user_id = $1 and status in ('pending', 'running')",
            user_id,
        )
        .fetch_optional(pool)
        .await?;
        if let Some(active) = active {
            return Ok(Created::Active(active));
        }
    }
    Err(sqlx::Error::RowNotFound.into())
}

async fn insert_entries(
    connection: &mut PgConnection,
    import: &NewImport,
    id: Uuid,
) -> sqlx::Result<()> {
    // The rows that could not be read are processed already.
    let mut first = import.contents.failed + 1;
    for rows in import.contents.entries.chunks(INSERT_CHUNK) {
        // One JSON array, since so many arrays by position are easily confused. JSON has ratings in stars.
        sqlx::query!(
            "insert into import_entry (user_id, job_id, position, file, line, tmdb_id, imdb_id, title,
                 year, watched_at, rating, rated_at, bookmarked_at, liked_at, source, reaction, reacted_at, position_seconds,
                 duration_seconds, progressed_at)
             select $1, $2, $3 + (place - 1)::int, r.file, r.line, r.tmdb_id, r.imdb_id, r.title, r.year,
                 r.watched_at, (r.rating * 2)::smallint, r.rated_at, r.bookmarked_at,
                 case when r.reaction = 'like' then r.reacted_at end, r.source, r.reaction, r.reacted_at,
                 r.position_seconds, r.duration_seconds, r.progressed_at
             from rows from (jsonb_to_recordset($4) as (file smallint, line int, tmdb_id bigint,
                     imdb_id text, title text, year int, watched_at timestamptz, rating float8,
                     rated_at timestamptz, bookmarked_at timestamptz, source text, reaction text,
                     reacted_at timestamptz, position_seconds int, duration_seconds int,
                     progressed_at timestamptz))
                 with ordinality as r (file, line, tmdb_id, imdb_id, title, year, watched_at, rating,
                     rated_at, bookmarked_at, source, reaction, reacted_at, position_seconds,
                     duration_seconds, progressed_at, place)",
            import.user_id.get(),
            id,
            first,
            Json(rows) as _,
        )
        .execute(&mut *connection)
        .await?;
        first += i32::try_from(rows.len()).unwrap_or(i32::MAX);
    }
    Ok(())
}

/// The import `id` of a user, with its unmatched titles and failures.
pub async fn find(pool: &PgPool, user_id: UserId, id: Uuid) -> sqlx::Result<Option<Import>> {
    let Some(mut import) = select(pool, user_id, Some(id), 1).await?.pop() else {
        return Ok(None);
    };
    let Import {
        unmatched_titles,
        failures,
        ..
    } = &mut import;
    if let (Some(titles), Some(failures)) = (unmatched_titles, failures) {
        titles.extend(
            import_report::list_unmatched(pool, user_id, id, 0, MAX_UNMATCHED_TITLES).await?,
        );
        failures.extend(import_report::list_failures(pool, user_id, id, 0, MAX_FAILURES).await?);
    }
    Ok(Some(import))
}

/// At most `limit` imports of a user, the newest first, without their unmatched titles and failures.
pub async fn list(pool: &PgPool, user_id: UserId, limit: i64) -> sqlx::Result<Vec<Import>> {
    select(pool, user_id, None, limit).await
}

#[tracing::instrument(name = "repository.imports.select", level = "debug", skip_all, fields(user = %user_id))]
async fn select(
    pool: &PgPool,
    user_id: UserId,
    id: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Import>> {
    sqlx::query_as!(
        Import,
        r#"select id as job_id, user_id as "user_id: UserId", status as "status: JobStatus", dry_run, files as "files: Json<Vec<ImportFile>>", total,
               processed, succeeded, unchanged, unmatched, failed, skipped, created_at, updated_at,
               skipped_files as "skipped_files: Json<Vec<SkippedFile>>",
               skipped_kinds as "skipped_kinds: Json<BTreeMap<String, usize>>",
               case when $2::uuid is not null then unmatched_titles end
                   as "unmatched_titles: Json<Vec<UnmatchedTitle>>",
               case when $2::uuid is not null then failures end as "failures: Json<Vec<ImportFailure>>"
           from job where user_id = $1 and ($2::uuid is null or id = $2)
           order by created_at desc, id desc limit $3"#,
        user_id.get(),
        id,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Records the end of import `id`: deletes its rows, except those that wait for a movie to be named, and lists the reason
/// of a failure first.
pub async fn end(connection: &mut PgConnection, id: Uuid, end: &End) -> sqlx::Result<()> {
    let failure = match end {
        End::Failed(reason) => Some(ImportFailure {
            file: None,
            line: None,
            field: None,
            reason: reason.clone(),
            title: None,
            rows: None,
        }),
        End::Succeeded | End::Cancelled => None,
    };
    sqlx::query!(
        "update job set failures = $2 || failures where id = $1",
        id,
        Json(failure.as_slice()) as _,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "delete from import_entry using job
         where job.id = $1 and import_entry.user_id = job.user_id and import_entry.job_id = job.id
           and (job.dry_run or import_entry.unmatched is null)",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}
