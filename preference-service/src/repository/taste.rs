//! The tables `taste_edit` and `tag`: the scores that users set themselves, and the names of tags. Scores from actions
//! are not stored but computed, see [`crate::models::TasteScores`].

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use super::{broken, changes::record_profile};
use crate::models::{TagKey, TagKind, TasteScore, UserId};

/// Lists the scores that the user has set.
#[tracing::instrument(name = "repository.taste.list_edits", level = "debug", skip_all)]
pub async fn list_edits(
    connection: &mut PgConnection,
    user_id: UserId,
) -> sqlx::Result<Vec<TasteScore>> {
    let rows = sqlx::query!(
        r#"select kind as "kind: TagKind", tag, score from taste_edit where user_id = $1"#,
        user_id.get()
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let key = TagKey::new(row.kind, row.tag);
            Ok(TasteScore {
                key: key.ok_or_else(|| broken("a taste edit has an invalid tag"))?,
                score: row.score,
                edited: true,
            })
        })
        .collect()
}

/// Finds the names of those of `keys` that have an id. A language has no id and is its own name.
#[tracing::instrument(name = "repository.taste.find_names", level = "debug", skip_all)]
pub async fn find_names(pool: &PgPool, keys: &[&TagKey]) -> sqlx::Result<HashMap<TagKey, String>> {
    let (kinds, ids): (Vec<TagKind>, Vec<i64>) = keys
        .iter()
        .filter_map(|key| match key {
            TagKey::Numbered(kind, id) => Some((*kind, *id)),
            TagKey::Language(_) => None,
        })
        .unzip();
    let rows = sqlx::query!(
        r#"select t.kind as "kind: TagKind", t.id, t.name
         from unnest($1::text[], $2::bigint[]) as key (kind, id)
         join tag t on t.kind = key.kind and t.id = key.id"#,
        kinds as _,
        &ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (TagKey::Numbered(row.kind, row.id), row.name))
        .collect())
}

/// Finds the ids of the tags of a kind with this name, ignoring case; at most two, which is enough to detect that the
/// name is ambiguous.
#[tracing::instrument(name = "repository.taste.find_by_name", level = "debug", skip_all)]
pub async fn find_by_name(pool: &PgPool, kind: TagKind, name: &str) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select id from tag where kind = $1 and lower(name) = lower($2) limit 2",
        kind as TagKind,
        name
    )
    .fetch_all(pool)
    .await
}

/// The result of [`edit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The edits are stored; true if that changed anything.
    Stored(bool),
    /// The user would have too many edits; nothing is stored.
    TooMany,
    /// The user does not exist.
    NoUser,
}

/// Stores a score for each tag, or removes it where the score is `None`. A user has at most `max` edits.
#[tracing::instrument(name = "repository.taste.edit", level = "debug", skip_all)]
pub async fn edit(
    pool: &PgPool,
    user_id: UserId,
    edits: &[(TagKey, Option<f64>)],
    max: i64,
) -> sqlx::Result<Edited> {
    let (kinds, tags): (Vec<TagKind>, Vec<String>) =
        edits.iter().map(|(key, _)| (key.kind(), key.tag())).unzip();
    let scores: Vec<Option<f64>> = edits.iter().map(|(_, score)| *score).collect();
    let mut transaction = pool.begin().await?;
    let known = sqlx::query!(
        "update user_account set version = version + 1 where id = $1",
        user_id.get()
    )
    .execute(&mut *transaction)
    .await?;
    if known.rows_affected() == 0 {
        return Ok(Edited::NoUser);
    }
    let changed = sqlx::query_scalar!(
        r#"with edit as (
            select * from unnest($2::text[], $3::text[], $4::float8[]) as edit (kind, tag, score)
         ), stored as (
            insert into taste_edit as known (user_id, kind, tag, score)
            select $1, kind, tag, score from edit where score is not null
            on conflict (user_id, kind, tag) do update
            set score = excluded.score, edited_at = clock_timestamp()
            where known.score <> excluded.score
            returning 1
         ), removed as (
            delete from taste_edit t using edit e
            where t.user_id = $1 and (t.kind, t.tag) = (e.kind, e.tag) and e.score is null
            returning 1
         )
         select (select count(*) from stored) + (select count(*) from removed) as "changed!""#,
        user_id.get(),
        kinds as _,
        &tags,
        &scores as &[Option<f64>]
    )
    .fetch_one(&mut *transaction)
    .await?;
    if changed == 0 {
        return Ok(Edited::Stored(false));
    }
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from taste_edit where user_id = $1"#,
        user_id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if count > max {
        return Ok(Edited::TooMany);
    }
    record_profile(&mut transaction, user_id).await?;
    transaction.commit().await?;
    Ok(Edited::Stored(true))
}
