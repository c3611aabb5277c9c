//! SQL of the export of a user's data, as JSON or in the layout of another site; called by [`crate::service::users`]. Every table with
//! data of users must be covered here.

mod archive;

use std::time::Duration;

use futures_util::{Stream, TryStreamExt};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio::sync::mpsc;

use crate::models::UserId;

/// The size from which a piece of the document is sent, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// The time in which a piece must be received; the transaction is open meanwhile.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// A piece of the document; `None` after the last one. A channel that closes without it means that the
/// document is incomplete.
pub type Piece = Option<Vec<u8>>;

/// An export in progress: a transaction with one snapshot for all its parts.
pub struct Export {
    transaction: Transaction<'static, Postgres>,
    user_id: UserId,
    account: String,
}

/// Begins an export; `None` if no user has this id.
#[tracing::instrument(name = "repository.export.begin", level = "debug", skip_all, fields(%user_id))]
pub async fn begin(pool: &PgPool, user_id: UserId) -> sqlx::Result<Option<Export>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set transaction isolation level repeatable read, read only")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("set local timezone = 'UTC'")
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("set local statement_timeout = '60s'")
        .execute(&mut *transaction)
        .await?;
    let account = sqlx::query_scalar!(
        r#"select json_build_object('id', u.id, 'username', u.username, 'email', u.email,
                      'role', u.role, 'has_password', u.password_hash is not null,
                      'created_at', u.created_at, 'preferences',
                      case when p.user_id is not null then json_build_object(
                          'preferred_genres', p.preferred_genres,
                          'preferred_language', p.preferred_language, 'min_rating', p.min_rating,
                          'updated_at', p.updated_at) end)::text as "account!"
           from user_account u
           left join preference p on p.user_id = u.id
           where u.id = $1"#,
        user_id.get()
    )
    .fetch_optional(&mut *transaction)
    .await?;
    Ok(account.map(|account| Export {
        transaction,
        user_id,
        account,
    }))
}

impl Export {
    /// Sends the document in pieces, until it is complete or the receiver is gone or too slow.
    pub async fn send(self, pieces: mpsc::Sender<Piece>) {
        let user_id = self.user_id;
        if let Err(error) = self.send_document(&pieces).await {
            tracing::warn!(%user_id, %error, "an export was interrupted");
        }
    }

    #[tracing::instrument(name = "repository.export.send", level = "debug", skip_all, fields(user_id = %self.user_id))]
    async fn send_document(mut self, pieces: &mpsc::Sender<Piece>) -> sqlx::Result<()> {
        let mut document = Document {
            piece: format!("{{\"user\":{}", self.account),
            pieces,
        };
        let id = self.user_id.get();
        document.add_account(&mut self.transaction, id).await?;
        document.add_history(&mut self.transaction, id).await?;
        document.piece.push('}');
        let last = std::mem::take(&mut document.piece);
        send(pieces, Some(last.into_bytes())).await?;
        send(pieces, None).await?;
        self.transaction.commit().await
    }
}

/// The JSON document, of which only the unsent piece is in memory.
struct Document<'a> {
    piece: String,
    pieces: &'a mpsc::Sender<Piece>,
}

impl Document<'_> {
    /// Appends the lists `logins`, `api_keys`, `identities`, `groups` and `taste_edits`.
    async fn add_account(&mut self, connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
        let logins = sqlx::query_scalar!(
            r#"select json_build_object('created_at', created_at, 'last_used_at', rotated_at,
                          'expires_at', expires_at)::text as "row!"
               from refresh_family where user_id = $1 order by created_at, id"#,
            id
        );
        self.list("logins", logins.fetch(&mut *connection)).await?;
        let api_keys = sqlx::query_scalar!(
            r#"select json_build_object('id', id, 'name', name, 'prefix', prefix, 'scopes', scopes,
                          'created_at', created_at, 'expires_at', expires_at)::text as "row!"
               from api_key where user_id = $1 order by id"#,
            id
        );
        self.list("api_keys", api_keys.fetch(&mut *connection))
            .await?;
        let devices = sqlx::query_scalar!(
            r#"select json_build_object('created_at', created_at, 'used_at', used_at)::text as "row!"
               from known_device where user_id = $1 order by created_at, device_hash"#,
            id
        );
        self.list("devices", devices.fetch(&mut *connection))
            .await?;
        let identities = sqlx::query_scalar!(
            r#"select json_build_object('provider', provider, 'issuer', issuer, 'subject', subject, 'email', email,
                          'created_at', created_at, 'used_at', used_at)::text as "row!"
               from external_identity where user_id = $1 order by id"#,
            id
        );
        self.list("identities", identities.fetch(&mut *connection))
            .await?;
        let verifications = sqlx::query_scalar!(
            r#"select json_build_object('email', email, 'created_at', created_at,
                          'expires_at', expires_at)::text as "row!"
               from email_verification where user_id = $1"#,
            id
        );
        self.list("email_verifications", verifications.fetch(&mut *connection))
            .await?;
        let groups = sqlx::query_scalar!(
            r#"select json_build_object('id', g.id, 'name', g.name, 'is_owner', g.owner_id = m.user_id,
                          'joined_at', m.joined_at,
                          'votes', (select coalesce(json_agg(json_build_object(
                                              'movie_id', v.movie_id, 'yes', v.yes, 'voted_at', v.voted_at)
                                          order by v.voted_at, v.movie_id), '[]')
                                    from group_vote v
                                    where v.group_id = g.id and v.user_id = m.user_id))::text as "row!"
               from group_member m
               join user_group g on g.id = m.group_id
               where m.user_id = $1 order by g.id"#,
            id
        );
        self.list("groups", groups.fetch(&mut *connection)).await?;
        let taste_edits = sqlx::query_scalar!(
            r#"select json_build_object('kind', e.kind, 'tag', e.tag, 'name', t.name,
                          'score', e.score, 'edited_at', e.edited_at)::text as "row!"
               from taste_edit e
               left join tag t on t.kind = e.kind and t.id::text = e.tag
               where e.user_id = $1 order by e.kind, e.tag"#,
            id
        );
        self.list("taste_edits", taste_edits.fetch(&mut *connection))
            .await
    }

    /// Appends the lists `films`, `imports` and `interactions`.
    async fn add_history(&mut self, connection: &mut PgConnection, id: i64) -> sqlx::Result<()> {
        let films = sqlx::query_scalar!(
            r#"select json_build_object('movie_id', s.movie_id, 'title', m.title,
                          'reaction', s.reaction, 'reacted_at', s.reacted_at,
                          'bookmarked', s.bookmarked, 'bookmarked_at', s.bookmarked_at,
                          'rating', s.rating * 0.5::float8, 'rated_at', s.rated_at,
                          'position_seconds', s.position_seconds,
                          'duration_seconds', s.duration_seconds,
                          'watched_seconds', s.watched_seconds, 'watched_at', s.watched_at,
                          'progressed_at', s.progressed_at, 'furthest_at', s.furthest_at,
                          'completed_at', nullif(s.completed_at, 'epoch'))::text as "row!"
               from user_movie s
               left join movie m on m.id = s.movie_id
               where s.user_id = $1 order by s.movie_id"#,
            id
        );
        self.list("films", films.fetch(&mut *connection)).await?;
        let viewings = sqlx::query_scalar!(
            r#"select json_build_object('movie_id', v.movie_id, 'title', m.title,
                          'day', nullif(v.day, '1970-01-01'),
                          'watched_at', case when v.viewed_at::time <> '00:00' then v.viewed_at end,
                          'rating', v.rating * 0.5::float8, 'source', v.source)::text as "row!"
               from counted_viewing v
               left join movie m on m.id = v.movie_id
               where v.user_id = $1 order by v.movie_id, v.viewed_at"#,
            id
        );
        self.list("viewings", viewings.fetch(&mut *connection))
            .await?;
        let webhooks = sqlx::query_scalar!(
            r#"select json_build_object('id', id, 'provider', provider, 'name', name, 'prefix', prefix,
                          'server_user', server_user, 'users', users, 'created_at', created_at,
                          'rotated_at', rotated_at)::text as "row!"
               from webhook where user_id = $1 order by id"#,
            id
        );
        self.list("webhooks", webhooks.fetch(&mut *connection))
            .await?;
        let deliveries = sqlx::query_scalar!(
            r#"select json_build_object('webhook_id', webhook_id, 'received_at', received_at,
                          'count', count, 'event', event, 'title', title, 'movie_id', movie_id,
                          'outcome', outcome, 'reason', reason)::text as "row!"
               from webhook_delivery where user_id = $1 order by received_at, hash"#,
            id
        );
        self.list("webhook_deliveries", deliveries.fetch(&mut *connection))
            .await?;
        let imports = sqlx::query_scalar!(
            r#"select json_build_object('job_id', id, 'status', status, 'dry_run', dry_run,
                          'files', files, 'total', total, 'processed', processed,
                          'succeeded', succeeded, 'unchanged', unchanged, 'unmatched', unmatched,
                          'failed', failed, 'skipped', skipped,
                          'skipped_files', skipped_files, 'skipped_kinds', skipped_kinds,
                          'unmatched_titles', unmatched_titles || coalesce(
                              (select jsonb_agg(to_jsonb(u) - array['user_id', 'job_id', 'movie_key']
                                                order by u.n)
                               from import_unmatched u
                               where u.user_id = job.user_id and u.job_id = job.id), '[]'),
                          'failures', failures || coalesce(
                              (select jsonb_agg(to_jsonb(f) - array['user_id', 'job_id'] order by f.n)
                               from import_failure f
                               where f.user_id = job.user_id and f.job_id = job.id), '[]'),
                          'created_at', created_at, 'updated_at', updated_at)::text as "row!"
               from job where user_id = $1 order by id"#,
            id
        );
        self.list("imports", imports.fetch(&mut *connection))
            .await?;
        let interactions = sqlx::query_scalar!(
            r#"select json_build_object('id', id, 'movie_id', movie_id,
                          'interaction_type', interaction_type, 'rating', rating * 0.5::float8,
                          'position_seconds', position_seconds,
                          'duration_seconds', duration_seconds, 'viewed_at', viewed_at,
                          'source', source,
                          'occurred_at', occurred_at, 'created_at', created_at)::text as "row!"
               from interaction where user_id = $1 order by id"#,
            id
        );
        self.list("interactions", interactions.fetch(&mut *connection))
            .await
    }

    /// Appends the member `name`: an array of `rows`, each a JSON text.
    async fn list(
        &mut self,
        name: &str,
        mut rows: impl Stream<Item = sqlx::Result<String>> + Unpin,
    ) -> sqlx::Result<()> {
        self.piece.push_str(&format!(",\"{name}\":["));
        let mut separator = "";
        while let Some(row) = rows.try_next().await? {
            self.piece.push_str(separator);
            self.piece.push_str(&row);
            separator = ",";
            if self.piece.len() >= PIECE_BYTES {
                let piece = std::mem::take(&mut self.piece);
                send(self.pieces, Some(piece.into_bytes())).await?;
            }
        }
        self.piece.push(']');
        Ok(())
    }
}

/// Sends a piece to the receiver, which must take it in time.
async fn send(pieces: &mpsc::Sender<Piece>, piece: Piece) -> sqlx::Result<()> {
    pieces
        .send_timeout(piece, PIECE_TIMEOUT)
        .await
        .map_err(|_| sqlx::Error::Io(std::io::ErrorKind::BrokenPipe.into()))
}
