//! Everything that is known of a user, as JSON.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::mpsc;

use crate::models::UserId;

/// The parts of an export that are lists, and the SELECT of each: a JSON text a row.
const LISTS: &[(&str, &str)] = &[
    (
        "logins",
        "select json_build_object('created_at', created_at, 'last_used_at', rotated_at,
                    'expires_at', expires_at)::text
         from refresh_family where user_id = $1 order by created_at, id",
    ),
    (
        "api_keys",
        "select json_build_object('id', id, 'name', name, 'prefix', prefix, 'scopes', scopes,
                    'created_at', created_at, 'expires_at', expires_at)::text
         from api_key where user_id = $1 order by id",
    ),
    (
        "taste_edits",
        "select json_build_object('kind', e.kind, 'tag', e.tag, 'name', t.name, 'score', e.score,
                    'edited_at', e.edited_at)::text
         from taste_edit e
         left join tag t on t.kind = e.kind and t.id::text = e.tag
         where e.user_id = $1 order by e.kind, e.tag",
    ),
    (
        "films",
        "select json_build_object('movie_id', s.movie_id, 'title', m.title, 'reaction', s.reaction,
                    'reacted_at', s.reacted_at, 'bookmarked', s.bookmarked,
                    'bookmarked_at', s.bookmarked_at, 'rating', s.rating * 0.5::float8,
                    'rated_at', s.rated_at, 'position_seconds', s.position_seconds,
                    'duration_seconds', s.duration_seconds, 'watched_seconds', s.watched_seconds,
                    'watched_at', s.watched_at, 'completed_at', s.completed_at)::text
         from user_movie s
         left join movie m on m.id = s.movie_id
         where s.user_id = $1 order by s.movie_id",
    ),
    (
        "imports",
        "select json_build_object('job_id', id, 'status', status, 'dry_run', dry_run, 'files', files,
                    'total', total, 'processed', processed, 'succeeded', succeeded,
                    'unchanged', unchanged, 'unmatched', unmatched, 'failed', failed,
                    'skipped', skipped, 'unmatched_titles', unmatched_titles, 'failures', failures,
                    'created_at', created_at, 'updated_at', updated_at)::text
         from job where user_id = $1 order by id",
    ),
    (
        "interactions",
        "select json_build_object('id', id, 'movie_id', movie_id,
                    'interaction_type', interaction_type, 'rating', rating * 0.5::float8,
                    'position_seconds', position_seconds, 'duration_seconds', duration_seconds,
                    'occurred_at', occurred_at, 'created_at', created_at)::text
         from interaction where user_id = $1 order by id",
    ),
];

/// How many bytes are handed on at once.
const CHUNK: usize = 64 * 1024;

/// An export that has begun: everything in it is of one moment.
pub struct Export {
    transaction: Transaction<'static, Postgres>,
    user_id: UserId,
    account: String,
}

/// Begins an export; none: there is no such user.
///
/// # Errors
/// Postgres's.
pub async fn begin(pool: &PgPool, user_id: UserId) -> sqlx::Result<Option<Export>> {
    let mut transaction = pool.begin().await?;
    for setting in [
        "set transaction isolation level repeatable read, read only",
        "set local timezone = 'UTC'",
        "set local statement_timeout = '60s'",
    ] {
        sqlx::query(setting).execute(&mut *transaction).await?;
    }
    let account: Option<String> = sqlx::query_scalar(
        "select json_build_object('id', u.id, 'username', u.username, 'email', u.email,
                    'role', u.role, 'has_password', u.password_hash is not null,
                    'created_at', u.created_at, 'preferences',
                    case when p.user_id is not null then json_build_object(
                        'preferred_genres', p.preferred_genres,
                        'preferred_language', p.preferred_language, 'min_rating', p.min_rating,
                        'updated_at', p.updated_at) end)::text
         from user_account u
         left join preference p on p.user_id = u.id
         where u.id = $1",
    )
    .bind(user_id.get())
    .fetch_optional(&mut *transaction)
    .await?;
    Ok(account.map(|account| Export {
        transaction,
        user_id,
        account,
    }))
}

impl Export {
    /// Sends the document piece by piece, as long as somebody takes each within `patience`.
    ///
    /// # Errors
    /// Postgres's; what was sent is then not whole.
    pub async fn stream(
        mut self,
        pieces: &mpsc::Sender<String>,
        patience: Duration,
    ) -> sqlx::Result<()> {
        let mut chunk = format!("{{\"user\":{}", self.account);
        for (name, statement) in LISTS {
            chunk.push_str(&format!(",\"{name}\":["));
            let connection: &mut PgConnection = &mut self.transaction;
            let mut rows = sqlx::query_scalar::<_, String>(*statement)
                .bind(self.user_id.get())
                .fetch(connection);
            let mut first = true;
            while let Some(row) = rows.try_next().await? {
                if !std::mem::take(&mut first) {
                    chunk.push(',');
                }
                chunk.push_str(&row);
                if chunk.len() >= CHUNK {
                    send(pieces, std::mem::take(&mut chunk), patience).await?;
                }
            }
            chunk.push(']');
        }
        chunk.push('}');
        send(pieces, chunk, patience).await?;
        self.transaction.commit().await
    }
}

async fn send(
    pieces: &mpsc::Sender<String>,
    piece: String,
    patience: Duration,
) -> sqlx::Result<()> {
    pieces
        .send_timeout(piece, patience)
        .await
        .map_err(|_| sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()))
}
