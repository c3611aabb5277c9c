//! The changes of movies, read from the service's own outbox by the indexes that it holds in memory or on disk
//! ([`super::listing`], [`super::search`]). It applies nothing itself.
//!
//! The feed shows a change only when every older transaction has ended, which may take as long as an import. So the
//! latest change records are read ahead of it, and the feed then brings those that the first read missed.

use std::{collections::HashMap, time::Duration};

use chassis::feed::{
    Change, Changes, Cursor,
    outbox::{Outbox, ReadError},
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::{models::MovieVersion, repository::listing};

/// Change records per read.
const CHANGES_PER_READ: i64 = 1000;

/// A position in the changes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// The position in the feed.
    #[serde(with = "cursor_text")]
    pub cursor: Cursor,
    /// The last change record that was read ahead of the feed.
    pub sequence: i64,
}

mod cursor_text {
    use chassis::feed::Cursor;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        cursor: &Cursor,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cursor)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cursor, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("not a cursor"))
    }
}

/// The latest position: an index that is loaded afterwards misses no change behind it.
///
/// # Errors
/// Returns [`ReadError`] if Postgres is unreachable.
pub async fn latest(pool: &PgPool, outbox: &Outbox) -> Result<Position, ReadError> {
    let sequence = listing::last_sequence(pool).await?;
    let cursor = outbox.current_cursor().await?;
    Ok(Position { cursor, sequence })
}

/// A batch of changes.
#[derive(Debug)]
pub struct Batch {
    /// The changed movies, with their latest versions.
    pub versions: HashMap<i64, i64>,
    /// The position behind the batch.
    pub position: Position,
    /// True if further changes may be there already.
    pub more: bool,
}

/// Reads the changes behind `position`: those of one read ahead and of one read of the feed.
///
/// # Errors
/// [`ReadError::CursorExpired`] if the position is older than the retention of the feed.
pub async fn read(pool: &PgPool, outbox: &Outbox, position: Position) -> Result<Batch, ReadError> {
    let is_full = |count: usize| i64::try_from(count) == Ok(CHANGES_PER_READ);
    let ahead = listing::changes_after(pool, position.sequence, CHANGES_PER_READ).await?;
    let Changes { changes, next } = outbox
        .read(Some(position.cursor), CHANGES_PER_READ, Duration::ZERO)
        .await?;
    let mut versions = versions(&changes);
    for change in &ahead {
        keep_latest(&mut versions, change.id, change.version);
    }
    Ok(Batch {
        more: is_full(ahead.len()) || is_full(changes.len()),
        position: Position {
            cursor: next.parse().unwrap_or(position.cursor),
            sequence: ahead.last().map_or(position.sequence, |last| last.sequence),
        },
        versions,
    })
}

fn keep_latest(versions: &mut HashMap<i64, i64>, id: i64, version: i64) {
    let known = versions.entry(id).or_insert(version);
    *known = version.max(*known);
}

/// The movies in `changes` with the latest version of each.
fn versions(changes: &[Change]) -> HashMap<i64, i64> {
    let mut versions = HashMap::new();
    let movies = changes
        .iter()
        .filter(|change| change.name.starts_with("movie."));
    for MovieVersion { id, version } in movies.filter_map(|change| change.read().ok()) {
        keep_latest(&mut versions, id.get(), version);
    }
    versions
}
