//! What we know of others' data, as tables. Writing is idempotent: a row of a lower version changes
//! nothing. Several replicas follow the same feed; whoever writes a batch first moves the cursor,
//! the others see that and write nothing.

pub mod interactions;

use std::str::FromStr;

use chassis::feed::Cursor;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, Transaction, types::Json};

use crate::read_model::{Film, Interaction, Preferences};

/// How many rows are handed on at once while loading.
const LOAD_BATCH: usize = 1000;

/// Changes, sorted by what they are about.
#[derive(Debug, Default)]
pub struct Batch {
    /// Films that are new or changed.
    pub films: Vec<Film>,
    /// Films that are gone.
    pub removals: Vec<Removal>,
    /// Preferences that are new or changed.
    pub preferences: Vec<Preferences>,
    /// What users did.
    pub interactions: Vec<Interaction>,
    /// Users who were erased, by id; what the batch has of them was before that.
    pub erasures: Vec<i64>,
}

impl Batch {
    fn len(&self) -> usize {
        self.films.len()
            + self.removals.len()
            + self.preferences.len()
            + self.interactions.len()
            + self.erasures.len()
    }
}

/// A film that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    /// TMDB's id.
    pub id: i64,
    /// The version with which it went.
    pub version: i64,
}

/// A user who was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Who.
    pub user_id: i64,
}

/// Hands everything that the feed of `source` brought to `take`, and tells up to where that is.
///
/// # Errors
/// Postgres's.
pub async fn load(
    pool: &PgPool,
    source: &str,
    mut take: impl FnMut(Batch),
) -> sqlx::Result<Option<String>> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    sqlx::query("set local statement_timeout = '10min'")
        .execute(&mut *transaction)
        .await?;
    let cursor: Option<String> =
        sqlx::query_scalar("select cursor from feed_cursor where source = $1")
            .bind(source)
            .fetch_one(&mut *transaction)
            .await?;
    let statement = match source {
        "movie-service" => {
            "select case when payload is null then 'movie.removed' else 'movie.synced' end as name,
                 coalesce(payload, jsonb_build_object('id', id, 'version', version))::text as payload
             from movie order by id"
        }
        _ => {
            "select 'user.profile.updated' as name, payload::text as payload from user_profile
             union all
             select 'interaction.recorded', json_build_object('id', version, 'user_id', user_id,
                 'movie_id', movie_id, 'occurred_at', occurred_at, 'created_at', created_at,
                 'state', to_jsonb(s) - array['user_id', 'movie_id', 'version', 'occurred_at',
                                              'created_at'])::text
             from user_movie s"
        }
    };
    let mut rows = sqlx::query_as::<_, (String, String)>(statement).fetch(&mut *transaction);
    let mut batch = Batch::default();
    while let Some((name, payload)) = rows.try_next().await? {
        match name.as_str() {
            "movie.synced" => batch.films.push(decode(&payload)?),
            "movie.removed" => batch.removals.push(decode(&payload)?),
            "user.profile.updated" => batch.preferences.push(decode(&payload)?),
            _ => batch.interactions.push(decode(&payload)?),
        }
        if batch.len() >= LOAD_BATCH {
            take(std::mem::take(&mut batch));
        }
    }
    take(batch);
    Ok(cursor)
}

fn decode<'a, T: Deserialize<'a>>(payload: &'a str) -> sqlx::Result<T> {
    serde_json::from_str(payload).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Writes what the feed of `source` brought up to `cursor`.
///
/// # Errors
/// Postgres's.
pub async fn append(pool: &PgPool, source: &str, batch: &Batch, cursor: &str) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    if is_ahead(&mut transaction, source, cursor).await? {
        return Ok(());
    }
    write(&mut transaction, batch).await?;
    move_cursor(&mut transaction, source, cursor).await?;
    transaction.commit().await
}

/// Whether the tables have everything up to `cursor` already. Holds the source's row until the end of
/// the transaction, so that one replica writes at a time.
async fn is_ahead(connection: &mut PgConnection, source: &str, cursor: &str) -> sqlx::Result<bool> {
    let known: Option<String> =
        sqlx::query_scalar("select cursor from feed_cursor where source = $1 for update")
            .bind(source)
            .fetch_one(connection)
            .await?;
    let known = known.and_then(|known| Cursor::from_str(&known).ok());
    Ok(match (known, Cursor::from_str(cursor).ok()) {
        (Some(known), Some(new)) => known.epoch == new.epoch && known >= new,
        _ => false,
    })
}

async fn move_cursor(
    connection: &mut PgConnection,
    source: &str,
    cursor: &str,
) -> sqlx::Result<()> {
    sqlx::query("update feed_cursor set cursor = $2 where source = $1")
        .bind(source)
        .bind(cursor)
        .execute(connection)
        .await
        .map(|_| ())
}

/// A read model that is being written anew.
pub struct Replacement {
    is_of_users: bool,
    /// None where another replica has written it already.
    transaction: Option<Transaction<'static, Postgres>>,
}

/// Begins to write the read model of `source` anew, as it stands at `cursor`.
///
/// # Errors
/// Postgres's.
pub async fn replace(pool: &PgPool, source: &str, cursor: &str) -> sqlx::Result<Replacement> {
    let mut transaction = pool.begin().await?;
    if is_ahead(&mut transaction, source, cursor).await? {
        return Ok(Replacement {
            is_of_users: false,
            transaction: None,
        });
    }
    let statements: &[&'static str] = match source {
        "movie-service" => &["delete from movie"],
        _ => &["delete from user_profile", "delete from user_movie"],
    };
    for statement in statements {
        sqlx::query(*statement).execute(&mut *transaction).await?;
    }
    move_cursor(&mut transaction, source, cursor).await?;
    Ok(Replacement {
        is_of_users: source != "movie-service",
        transaction: Some(transaction),
    })
}

impl Replacement {
    /// Writes a part of it.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn write(&mut self, batch: &Batch) -> sqlx::Result<()> {
        match &mut self.transaction {
            Some(transaction) => write(transaction, batch).await,
            None => Ok(()),
        }
    }

    /// Makes it the read model.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn commit(self) -> sqlx::Result<()> {
        let Some(mut transaction) = self.transaction else {
            return Ok(());
        };
        if self.is_of_users {
            // Who was erased while nobody listened is told of by their absence alone.
            for statement in [
                "delete from impression i where not exists
                     (select from user_profile p where p.user_id = i.user_id)",
                "delete from exposure e where not exists
                     (select from user_profile p where p.user_id = e.user_id)",
            ] {
                sqlx::query(statement).execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await
    }
}

async fn write(connection: &mut PgConnection, batch: &Batch) -> sqlx::Result<()> {
    if !batch.films.is_empty() {
        // Of several versions in one batch the last is kept: one statement may write a row once.
        sqlx::query(
            "insert into movie (id, version, payload)
             select distinct on (id) id, version, payload
             from (select (p ->> 'id')::bigint as id, (p ->> 'version')::bigint as version,
                          p as payload from jsonb_array_elements($1) as p) as films
             order by id, version desc
             on conflict (id) do update set version = excluded.version, payload = excluded.payload
             where movie.version < excluded.version",
        )
        .bind(Json(&batch.films))
        .execute(&mut *connection)
        .await?;
    }
    if !batch.removals.is_empty() {
        sqlx::query(
            "insert into movie (id, version, payload)
             select id, max(version), null
             from jsonb_to_recordset($1) as r(id bigint, version bigint) group by id order by id
             on conflict (id) do update set version = excluded.version, payload = null
             where movie.version <= excluded.version",
        )
        .bind(Json(&batch.removals))
        .execute(&mut *connection)
        .await?;
    }
    if !batch.preferences.is_empty() {
        sqlx::query(
            "insert into user_profile (user_id, version, payload)
             select distinct on (user_id) user_id, version, payload
             from (select (p ->> 'user_id')::bigint as user_id, (p ->> 'version')::bigint as version,
                          p as payload from jsonb_array_elements($1) as p) as profiles
             order by user_id, version desc
             on conflict (user_id) do update set version = excluded.version, payload = excluded.payload
             where user_profile.version < excluded.version",
        )
        .bind(Json(&batch.preferences))
        .execute(&mut *connection)
        .await?;
    }
    if !batch.interactions.is_empty() {
        sqlx::query(
            "insert into user_movie (user_id, movie_id, version, reaction, reacted_at, bookmarked,
                 bookmarked_at, rating, rated_at, watched, watched_seconds, watched_at, completed_at,
                 occurred_at, created_at)
             select distinct on (i.user_id, i.movie_id) i.user_id, i.movie_id, i.id, s.reaction,
                    s.reacted_at, s.bookmarked, s.bookmarked_at, s.rating, s.rated_at, s.watched,
                    s.watched_seconds, s.watched_at, s.completed_at, i.occurred_at, i.created_at
             from jsonb_to_recordset($1) as i(user_id bigint, movie_id bigint, id bigint,
                      occurred_at timestamptz, created_at timestamptz, state jsonb),
                  jsonb_to_record(i.state) as s(reaction text, reacted_at timestamptz,
                      bookmarked boolean, bookmarked_at timestamptz, rating float4,
                      rated_at timestamptz, watched boolean, watched_seconds int,
                      watched_at timestamptz, completed_at timestamptz)
             order by i.user_id, i.movie_id, i.id desc
             on conflict (user_id, movie_id) do update set
                 version = excluded.version,
                 reaction = excluded.reaction,
                 reacted_at = excluded.reacted_at,
                 bookmarked = excluded.bookmarked,
                 bookmarked_at = excluded.bookmarked_at,
                 rating = excluded.rating,
                 rated_at = excluded.rated_at,
                 watched = excluded.watched,
                 watched_seconds = excluded.watched_seconds,
                 watched_at = excluded.watched_at,
                 completed_at = excluded.completed_at,
                 occurred_at = excluded.occurred_at,
                 created_at = excluded.created_at
             where user_movie.version < excluded.version",
        )
        .bind(Json(&batch.interactions))
        .execute(&mut *connection)
        .await?;
    }
    if !batch.erasures.is_empty() {
        for statement in [
            "delete from user_movie where user_id = any ($1)",
            "delete from user_profile where user_id = any ($1)",
            "delete from impression where user_id = any ($1)",
            "delete from exposure where user_id = any ($1)",
            "delete from recommendation_list where user_id = any ($1)",
        ] {
            sqlx::query(statement)
                .bind(&batch.erasures)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
