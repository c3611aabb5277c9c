//! A lane of the writer: takes all commands that wait for it into one transaction, retries what can be retried, and
//! sends the replies after the commit. Started by [`super::Writer`].

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chassis::feed::outbox::Outbox;
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::Instant,
};

use super::{
    batch,
    command::{Command, Replies, Reply, WriteError},
};
use crate::{models::UserId, repository::user_movies::LockTimeout};

/// Commands taken into one transaction (histogram).
pub const WRITER_BATCH_COMMANDS: &str = "writer_batch_commands";
/// The duration of one transaction (histogram, seconds).
pub const WRITER_BATCH_DURATION_SECONDS: &str = "writer_batch_duration_seconds";

/// The time limit of one transaction; after it the connection is closed.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);
/// The time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum number of transactions in which the commands of a failed one are retried.
const MAX_SALVAGE_ATTEMPTS: usize = 32;

/// A command that waits for its transaction.
pub(super) struct PendingWrite {
    pub(super) command: Command,
    pub(super) reply: oneshot::Sender<Reply>,
    pub(super) _permit: OwnedSemaphorePermit,
}

/// The pause before a batch in which clients that have just received a reply may return. Under load most commands come
/// from them; a transaction that began with the first of them would make all others wait for two commits. There is no
/// pause if few are expected.
#[derive(Default)]
struct Gathering {
    expected: usize,
    until: Option<Instant>,
}

/// Fewer clients than this are not waited for.
const MIN_GATHERED_CLIENTS: usize = 8;
/// The pause is one transaction's duration divided by this, at most [`MAX_GATHERING`].
const GATHERING_DIVISOR: u32 = 4;
const MAX_GATHERING: Duration = Duration::from_millis(2);

impl Gathering {
    /// Records that `count` clients receive replies after a transaction of `duration`.
    fn replied(&mut self, count: usize, duration: Duration) {
        self.expected = count;
        let pause = (duration / GATHERING_DIVISOR).min(MAX_GATHERING);
        self.until = Some(Instant::now() + pause);
    }

    /// Waits for the expected clients.
    async fn gather(
        &mut self,
        queue: &mut mpsc::UnboundedReceiver<PendingWrite>,
        pending: &mut Vec<PendingWrite>,
        batch: usize,
    ) {
        let Some(until) = self
            .until
            .take()
            .filter(|_| self.expected >= MIN_GATHERED_CLIENTS)
        else {
            return;
        };
        while pending.len() < self.expected.min(batch) {
            let capacity = batch - pending.len();
            match tokio::time::timeout_at(until, queue.recv_many(pending, capacity)).await {
                Ok(count) if count > 0 => {}
                _ => return,
            }
        }
    }
}

/// A lane with its own connection.
pub(super) struct Lane {
    connect: PgConnectOptions,
    connection: Option<PgConnection>,
    pool: PgPool,
    outbox: Outbox,
    waits: Arc<Semaphore>,
}

impl Lane {
    /// A lane that connects with `connect`. Locked users are waited for over `pool`, with a permit of `waits`.
    pub(super) fn new(
        connect: PgConnectOptions,
        pool: PgPool,
        outbox: Outbox,
        waits: Arc<Semaphore>,
    ) -> Self {
        Self {
            connect,
            connection: None,
            pool,
            outbox,
            waits,
        }
    }

    /// Writes batches of at most `batch` commands until all senders of `queue` are gone.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::UnboundedReceiver<PendingWrite>,
        batch: usize,
    ) {
        let mut pending = Vec::with_capacity(batch);
        let mut gathering = Gathering::default();
        while queue.recv_many(&mut pending, batch).await > 0 {
            gathering.gather(&mut queue, &mut pending, batch).await;
            let begun = Instant::now();
            // A client that has disconnected does not expect its command to be stored.
            pending.retain(|pending: &PendingWrite| !pending.reply.is_closed());
            let commands: Vec<Command> = pending.iter().map(|pending| pending.command).collect();
            let replies = self.write(&commands).await;
            gathering.replied(pending.len(), begun.elapsed());
            let mut locked: BTreeMap<UserId, Vec<PendingWrite>> = BTreeMap::new();
            for (pending, reply) in pending.drain(..).zip(replies) {
                match reply {
                    Some(reply) => {
                        let _ = pending.reply.send(reply);
                    }
                    None => locked
                        .entry(pending.command.user_id)
                        .or_default()
                        .push(pending),
                }
            }
            for pending in locked.into_values() {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a shutdown waits for the requests, which wait for the replies"
                )]
                tokio::spawn(wait_for_user(
                    self.pool.clone(),
                    self.outbox.clone(),
                    Arc::clone(&self.waits),
                    pending,
                ));
            }
        }
    }

    /// Writes `commands` in one transaction if possible, otherwise in several.
    async fn write(&mut self, commands: &[Command]) -> Replies {
        if commands.is_empty() {
            return Vec::new();
        }
        let mut replies = vec![None; commands.len()];
        let mut attempts = MAX_SALVAGE_ATTEMPTS;
        // Ranges still to be written, and true for those that have been tried once.
        let mut ranges = vec![(0, commands.len(), false)];
        while let Some((begin, end, tried)) = ranges.pop() {
            let error = match self.attempt(&commands[begin..end]).await {
                Ok(written) => {
                    replies.splice(begin..end, written);
                    self.outbox.notify_readers();
                    continue;
                }
                Err(error) => error,
            };
            attempts = attempts.saturating_sub(1);
            let middle = begin.midpoint(end);
            if attempts > 0 && error.is_transient() && !tried {
                ranges.push((begin, end, true));
            } else if attempts > 0 && !error.is_unreachable() && end - begin > 1 {
                ranges.push((middle, end, false));
                ranges.push((begin, middle, false));
            } else {
                tracing::warn!(commands = end - begin, cause = %error.cause, "batch not written");
                let error = WriteError::Database(error.cause);
                replies[begin..end].fill(Some(Err(error)));
            }
        }
        replies
    }

    async fn attempt(&mut self, commands: &[Command]) -> Result<Replies, BatchError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => tokio::time::timeout(CONNECT_TIMEOUT, self.connect.connect())
                .await
                .unwrap_or(Err(sqlx::Error::PoolTimedOut))
                .map_err(|cause| BatchError::new(cause, Step::Connect))?,
        };
        let replies = with_timeout(transact(&mut connection, commands, LockTimeout::Zero)).await?;
        // Only a connection that is known to work is kept.
        self.connection = Some(connection);
        Ok(replies)
    }
}

/// Writes the commands of a user who is locked by another transaction or does not exist.
async fn wait_for_user(
    pool: PgPool,
    outbox: Outbox,
    waits: Arc<Semaphore>,
    pending: Vec<PendingWrite>,
) {
    let Ok(_permit) = waits.acquire().await else {
        return;
    };
    let commands: Vec<Command> = pending.iter().map(|pending| pending.command).collect();
    let written = with_timeout(async {
        let mut connection = pool
            .acquire()
            .await
            .map_err(|cause| BatchError::new(cause, Step::Connect))?;
        transact(&mut connection, &commands, LockTimeout::Unlimited).await
    })
    .await;
    let replies = match written {
        Ok(replies) => replies,
        Err(error) => vec![Some(Err(WriteError::Database(error.cause))); pending.len()],
    };
    outbox.notify_readers();
    for (pending, reply) in pending.into_iter().zip(replies) {
        let _ = pending
            .reply
            .send(reply.unwrap_or(Err(WriteError::UserNotFound)));
    }
}

/// The step at which a transaction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Work,
    /// The transaction may have been committed.
    Commit,
}

#[derive(Debug)]
struct BatchError {
    cause: Arc<sqlx::Error>,
    step: Step,
}

impl BatchError {
    fn new(cause: sqlx::Error, step: Step) -> Self {
        Self {
            cause: Arc::new(cause),
            step,
        }
    }

    /// True if an immediate retry may succeed: two transactions conflicted, or the connection was lost before the
    /// commit, as after a restart of Postgres.
    fn is_transient(&self) -> bool {
        // 40001: serialization failure, 40P01: deadlock.
        let is_conflict = self
            .cause
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| ["40001", "40P01"].contains(&code.as_ref()));
        is_conflict || (self.step == Step::Work && self.is_unreachable())
    }

    fn is_unreachable(&self) -> bool {
        chassis::postgres::is_unreachable(&self.cause)
    }
}

async fn with_timeout<T>(
    work: impl Future<Output = Result<T, BatchError>>,
) -> Result<T, BatchError> {
    tokio::time::timeout(TRANSACTION_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(BatchError::new(sqlx::Error::PoolTimedOut, Step::Commit)))
}

async fn transact(
    connection: &mut PgConnection,
    commands: &[Command],
    timeout: LockTimeout,
) -> Result<Replies, BatchError> {
    let started = Instant::now();
    let failed = |cause| BatchError::new(cause, Step::Work);
    let mut transaction = connection.begin().await.map_err(failed)?;
    let (replies, changed) = batch::apply(&mut transaction, commands, timeout)
        .await
        .map_err(failed)?;
    if changed {
        transaction
            .commit()
            .await
            .map_err(|cause| BatchError::new(cause, Step::Commit))?;
    } else {
        transaction.rollback().await.map_err(failed)?;
    }
    metrics::histogram!(WRITER_BATCH_COMMANDS).record(commands.len() as f64);
    metrics::histogram!(WRITER_BATCH_DURATION_SECONDS).record(started.elapsed().as_secs_f64());
    Ok(replies)
}
