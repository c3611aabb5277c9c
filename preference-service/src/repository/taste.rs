//! What taste is computed from, and what users say of it themselves.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool};

use super::{broken, changes::record_profile, user_movies::StateRow};
use crate::models::{FilmTags, TagKey, TagKind, TasteEdit, UserId, UserMovie};

#[derive(sqlx::FromRow)]
pub(super) struct TagsRow {
    genre_ids: Option<Vec<i64>>,
    keyword_ids: Option<Vec<i64>>,
    person_ids: Option<Vec<i64>>,
    language: Option<String>,
}

impl From<TagsRow> for FilmTags {
    fn from(row: TagsRow) -> Self {
        Self {
            genres: row.genre_ids.unwrap_or_default(),
            keywords: row.keyword_ids.unwrap_or_default(),
            people: row.person_ids.unwrap_or_default(),
            language: row.language,
        }
    }
}

#[derive(sqlx::FromRow)]
struct TaggedRow {
    #[sqlx(flatten)]
    state: StateRow,
    #[sqlx(flatten)]
    tags: TagsRow,
}

/// Hands where the user stands with each film, and what it is about, to `take`, by film.
///
/// # Errors
/// Postgres's.
pub async fn read(
    connection: &mut PgConnection,
    user_id: UserId,
    mut take: impl FnMut(&UserMovie, &FilmTags),
) -> sqlx::Result<()> {
    let mut rows = sqlx::query_as::<_, TaggedRow>(
        "select s.version, s.reaction, s.reacted_at, s.reaction_id, s.bookmarked, s.bookmarked_at,
                s.bookmark_id, s.rating, s.rated_at, s.rating_id, s.position_seconds,
                s.duration_seconds, s.watched_seconds, s.watched_at, s.watch_id, s.completed_at,
                s.completion_id, m.genre_ids, m.keyword_ids, m.person_ids, m.language
         from user_movie s
         join movie m on m.id = s.movie_id
         where s.user_id = $1
         order by s.movie_id",
    )
    .bind(user_id.get())
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        take(&row.state.try_into()?, &row.tags.into());
    }
    Ok(())
}

/// What the user says of their taste.
///
/// # Errors
/// Postgres's.
pub async fn edits(connection: &mut PgConnection, user_id: UserId) -> sqlx::Result<Vec<TasteEdit>> {
    let rows: Vec<(String, String, f64)> =
        sqlx::query_as("select kind, tag, score from taste_edit where user_id = $1")
            .bind(user_id.get())
            .fetch_all(connection)
            .await?;
    rows.into_iter()
        .map(|(kind, tag, score)| {
            let key = TagKey::parse(&kind, &tag).ok_or_else(|| broken("a tag is none"))?;
            Ok(TasteEdit { key, score })
        })
        .collect()
}

/// The names of those of `keys` that have an id; languages have none, and are their own.
///
/// # Errors
/// Postgres's.
pub async fn names(pool: &PgPool, keys: &[&TagKey]) -> sqlx::Result<HashMap<TagKey, String>> {
    let (mut kinds, mut ids) = (Vec::new(), Vec::new());
    for key in keys {
        if let TagKey::Numbered(kind, id) = key {
            kinds.push(kind.as_str());
            ids.push(*id);
        }
    }
    let rows: Vec<(String, i64, String)> = sqlx::query_as(
        "select t.kind, t.id, t.name
         from unnest($1::text[], $2::bigint[]) as key (kind, id)
         join tag t on t.kind = key.kind and t.id = key.id",
    )
    .bind(kinds)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(kind, id, name)| Some((TagKey::Numbered(TagKind::parse(&kind)?, id), name)))
        .collect())
}

/// The ids of the tags of a kind that have this name, however it is written; two at most, which is
/// enough to know that the name is not clear.
///
/// # Errors
/// Postgres's.
pub async fn named(pool: &PgPool, kind: TagKind, name: &str) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("select id from tag where kind = $1 and lower(name) = lower($2) limit 2")
        .bind(kind.as_str())
        .bind(name)
        .fetch_all(pool)
        .await
}

/// What came of edits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// They stand; whether that changed anything.
    Stored(bool),
    /// The user would have more than there may be; nothing was stored.
    TooMany,
    /// There is no such user.
    NoUser,
}

/// Stores what the user says of their taste: a score for each tag, or none to take back what was said.
/// At most `most` may stand.
///
/// # Errors
/// Postgres's.
pub async fn edit(
    pool: &PgPool,
    user_id: UserId,
    edits: &[(TagKey, Option<f64>)],
    most: i64,
) -> sqlx::Result<Edited> {
    let mut transaction = pool.begin().await?;
    let known = sqlx::query("update user_account set version = version + 1 where id = $1")
        .bind(user_id.get())
        .execute(&mut *transaction)
        .await?
        .rows_affected();
    if known == 0 {
        return Ok(Edited::NoUser);
    }
    let mut changed = 0;
    for (key, score) in edits {
        let statement = match score {
            Some(score) => sqlx::query(
                "insert into taste_edit as known (user_id, kind, tag, score)
                 values ($1, $2, $3, $4)
                 on conflict (user_id, kind, tag) do update
                 set score = excluded.score, edited_at = clock_timestamp()
                 where known.score <> excluded.score",
            )
            .bind(user_id.get())
            .bind(key.kind().as_str())
            .bind(key.tag())
            .bind(*score),
            None => {
                sqlx::query("delete from taste_edit where user_id = $1 and kind = $2 and tag = $3")
                    .bind(user_id.get())
                    .bind(key.kind().as_str())
                    .bind(key.tag())
            }
        };
        changed += statement.execute(&mut *transaction).await?.rows_affected();
    }
    if changed == 0 {
        return Ok(Edited::Stored(false));
    }
    let standing: i64 = sqlx::query_scalar("select count(*) from taste_edit where user_id = $1")
        .bind(user_id.get())
        .fetch_one(&mut *transaction)
        .await?;
    if standing > most {
        return Ok(Edited::TooMany);
    }
    record_profile(&mut transaction, user_id).await?;
    transaction.commit().await?;
    Ok(Edited::Stored(true))
}
