//! SQL of the read models. Writing is idempotent: a row of a lower version changes nothing. Several replicas follow the
//! same feed; the first that stores a batch advances the cursor, and the others then store nothing.

pub mod interactions;

use std::str::FromStr;

use chassis::feed::Cursor;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, Transaction, types::Json};

use crate::read_model::{Film, Interaction, InteractionState, Preferences, Reaction};

/// The rows per batch while loading.
const LOAD_BATCH: usize = 1000;

/// Changes by what they concern.
#[derive(Debug, Default)]
pub struct Batch {
    /// New and changed movies.
    pub films: Vec<Film>,
    /// Removed movies.
    pub removals: Vec<Removal>,
    /// New and changed preferences.
    pub preferences: Vec<Preferences>,
    /// New interactions.
    pub interactions: Vec<Interaction>,
    /// The ids of erased users; their other changes in the batch are older.
    pub erasures: Vec<i64>,
}

impl Batch {
    fn len(&self) -> usize {
        self.films.len() + self.removals.len() + self.preferences.len() + self.interactions.len()
    }

    /// Passes the batch to `take` if it is large enough.
    fn flush(&mut self, take: &mut impl FnMut(Self)) {
        if self.len() >= LOAD_BATCH {
            take(std::mem::take(self));
        }
    }
}

/// A movie that was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// TMDB's id.
    pub id: i64,
    /// The version of the removal.
    pub version: i64,
}

/// A user who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// The user.
    pub user_id: i64,
}

/// The tables of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Table `movie`, of movie-service.
    Movies,
    /// Tables `user_profile` and `user_movie`, of preference-service.
    Users,
}

impl Source {
    /// The name of the service, as table `feed_cursor` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Movies => "movie-service",
            Self::Users => "preference-service",
        }
    }
}

/// Begins a transaction that reads a consistent state, for up to ten minutes.
async fn begin_long_read(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("set local statement_timeout = '10min'")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// Calls `take` with everything that the feed of `source` brought, and returns its cursor; `None` if the tables have not
/// been filled yet, or without one of `languages`.
#[tracing::instrument(name = "repository.read_model.load", level = "debug", skip(pool, take))]
pub async fn load(
    pool: &PgPool,
    source: Source,
    languages: &[String],
    mut take: impl FnMut(Batch),
) -> sqlx::Result<Option<String>> {
    let mut transaction = begin_long_read(pool).await?;
    let stored = sqlx::query_as!(
        Stored,
        "select cursor, languages from feed_cursor where source = $1",
        source.name()
    )
    .fetch_one(&mut *transaction)
    .await?;
    match source {
        Source::Movies => load_movies(&mut transaction, languages, &mut take).await?,
        Source::Users => load_users(&mut transaction, &mut take).await?,
    }
    Ok(stored.cursor_of(source, languages))
}

/// The position of a feed's tables.
struct Stored {
    /// The cursor up to which they are filled.
    cursor: Option<String>,
    /// The languages that movies were stored with.
    languages: Vec<String>,
}

impl Stored {
    /// The cursor, unless titles in one of `languages` are missing.
    fn cursor_of(self, source: Source, languages: &[String]) -> Option<String> {
        let is_stored = |language| self.languages.contains(language);
        let is_whole = source == Source::Users || languages.iter().all(is_stored);
        self.cursor.filter(|_| is_whole)
    }
}

async fn load_movies(
    connection: &mut PgConnection,
    languages: &[String],
    take: &mut impl FnMut(Batch),
) -> sqlx::Result<()> {
    let mut rows = sqlx::query!(
        r#"select id, version, payload as "payload: Json<Film>" from movie order by id"#
    )
    .fetch(connection);
    let mut batch = Batch::default();
    while let Some(row) = rows.try_next().await? {
        match row.payload {
            Some(Json(mut film)) => {
                film.keep_languages(languages);
                batch.films.push(film);
            }
            None => batch.removals.push(Removal {
                id: row.id,
                version: row.version,
            }),
        }
        batch.flush(take);
    }
    take(batch);
    Ok(())
}

async fn load_users(
    connection: &mut PgConnection,
    take: &mut impl FnMut(Batch),
) -> sqlx::Result<()> {
    let mut batch = Batch::default();
    {
        let mut rows = sqlx::query_scalar!(
            r#"select payload as "payload: Json<Preferences>" from user_profile"#
        )
        .fetch(&mut *connection);
        while let Some(Json(preferences)) = rows.try_next().await? {
            batch.preferences.push(preferences);
            batch.flush(take);
        }
    }
    let mut rows = sqlx::query!("select * from user_movie").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        batch.interactions.push(Interaction {
            id: row.version,
            user_id: row.user_id,
            movie_id: row.movie_id,
            occurred_at: row.occurred_at,
            created_at: row.created_at,
            state: InteractionState {
                reaction: row.reaction.as_deref().map(Reaction::from),
                reacted_at: row.reacted_at,
                bookmarked: row.bookmarked,
                bookmarked_at: row.bookmarked_at,
                rating: row.rating,
                rated_at: row.rated_at,
                watched: row.watched,
                watched_seconds: row.watched_seconds,
                watched_at: row.watched_at,
                completed_at: row.completed_at,
                viewings: row.viewings.unwrap_or_default(),
                viewed_at: row.viewed_at,
            },
        });
        batch.flush(take);
    }
    take(batch);
    Ok(())
}

/// Stores what the feed of `source` brought up to `cursor`.
#[tracing::instrument(
    name = "repository.read_model.append",
    level = "debug",
    skip(pool, batch)
)]
pub async fn append(
    pool: &PgPool,
    source: Source,
    batch: &Batch,
    cursor: &str,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    if is_ahead(&mut transaction, source, &[], cursor).await? {
        return Ok(());
    }
    write(&mut transaction, batch).await?;
    sqlx::query!(
        "update feed_cursor set cursor = $2 where source = $1",
        source.name(),
        cursor
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// True if the tables have everything up to `cursor` already, in `languages`. Locks the cursor of `source` until the end
/// of the transaction, so that one replica writes at a time.
async fn is_ahead(
    connection: &mut PgConnection,
    source: Source,
    languages: &[String],
    cursor: &str,
) -> sqlx::Result<bool> {
    let stored = sqlx::query_as!(
        Stored,
        "select cursor, languages from feed_cursor where source = $1 for update",
        source.name()
    )
    .fetch_one(connection)
    .await?;
    let known = stored.cursor_of(source, languages);
    let known = known.and_then(|known| Cursor::from_str(&known).ok());
    Ok(match (known, Cursor::from_str(cursor).ok()) {
        (Some(known), Some(new)) => known.epoch == new.epoch && known >= new,
        _ => false,
    })
}

/// Begins to replace the read model of `source` by a snapshot at `cursor` in `languages`, whose parts [`write`] stores;
/// `None` if another replica has stored it already.
pub async fn begin_replacement(
    pool: &PgPool,
    source: Source,
    languages: &[String],
    cursor: &str,
) -> sqlx::Result<Option<Transaction<'static, Postgres>>> {
    let mut transaction = pool.begin().await?;
    if is_ahead(&mut transaction, source, languages, cursor).await? {
        return Ok(None);
    }
    let delete = match source {
        Source::Movies => sqlx::query!("delete from movie"),
        Source::Users => {
            sqlx::query!("with states as (delete from user_movie) delete from user_profile")
        }
    };
    delete.execute(&mut *transaction).await?;
    sqlx::query!(
        "update feed_cursor set cursor = $2, languages = $3 where source = $1",
        source.name(),
        cursor,
        languages
    )
    .execute(&mut *transaction)
    .await?;
    Ok(Some(transaction))
}

/// Commits the replacement of the read model of `source`.
pub async fn commit_replacement(
    mut transaction: Transaction<'static, Postgres>,
    source: Source,
) -> sqlx::Result<()> {
    if source == Source::Users {
        // A user who was erased while this service was down is only absent from the snapshot.
        sqlx::query!(
            "with impressions as (
                 delete from impression i where not exists
                     (select from user_profile p where p.user_id = i.user_id))
             delete from exposure e where not exists
                 (select from user_profile p where p.user_id = e.user_id)"
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await
}

/// A statement that stores `payloads`, each of a row whose key and version are among its fields. Of several versions of a
/// row the last is stored, since a statement may write a row once.
macro_rules! upsert_latest {
    ($table:tt, $key:tt, $payloads:expr) => {
        sqlx::query!(
            "insert into "
                + $table
                + "("
                + $key
                + ", version, payload)
             select distinct on (1) (p ->> '"
                + $key
                + "')::bigint, (p ->> 'version')::bigint, p
             from jsonb_array_elements($1) as p
             order by 1, 2 desc
             on conflict ("
                + $key
                + ") do update
             set version = excluded.version, payload = excluded.payload
             where "
                + $table
                + ".version < excluded.version",
            Json($payloads) as _
        )
    };
}

/// Stores `batch`.
pub async fn write(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    if !batch.films.is_empty() {
        upsert_latest!("movie", "id", &batch.films)
            .execute(&mut *connection)
            .await?;
    }
    if !batch.removals.is_empty() {
        sqlx::query!(
            "insert into movie (id, version, payload)
             select id, max(version), null
             from jsonb_to_recordset($1) as r(id bigint, version bigint) group by id order by id
             on conflict (id) do update set version = excluded.version, payload = null
             where movie.version <= excluded.version",
            Json(&batch.removals) as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !batch.preferences.is_empty() {
        upsert_latest!("user_profile", "user_id", &batch.preferences)
            .execute(&mut *connection)
            .await?;
    }
    if !batch.interactions.is_empty() {
        sqlx::query!(
            "insert into user_movie
             select s.*
             from (select distinct on (c -> 'user_id', c -> 'movie_id') c as change
                   from jsonb_array_elements($1) as c
                   order by c -> 'user_id', c -> 'movie_id', c -> 'id' desc) as i,
                  jsonb_populate_record(null::user_movie, i.change -> 'state' || i.change
                      || jsonb_build_object('version', i.change -> 'id')) as s
             on conflict (user_id, movie_id) do update set
                 (version, reaction, reacted_at, bookmarked, bookmarked_at, rating, rated_at, watched,
                  watched_seconds, watched_at, completed_at, viewings, viewed_at, occurred_at,
                  created_at)
                 = row(excluded.version, excluded.reaction, excluded.reacted_at, excluded.bookmarked,
                  excluded.bookmarked_at, excluded.rating, excluded.rated_at, excluded.watched,
                  excluded.watched_seconds, excluded.watched_at, excluded.completed_at,
                  excluded.viewings, excluded.viewed_at, excluded.occurred_at, excluded.created_at)
             where user_movie.version < excluded.version",
            Json(&batch.interactions) as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !batch.erasures.is_empty() {
        sqlx::query!(
            "with states as (delete from user_movie where user_id = any ($1)),
                  profiles as (delete from user_profile where user_id = any ($1)),
                  impressions as (delete from impression where user_id = any ($1)),
                  exposures as (delete from exposure where user_id = any ($1))
             delete from recommendation_list where user_id = any ($1)",
            &batch.erasures,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
