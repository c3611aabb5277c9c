//! The writer stores users' actions. A few lanes each take all commands that wait for them into one transaction: a
//! single command is written immediately, under load hundreds share the cost of one commit. A command is acknowledged
//! only after the commit of its transaction. Called by [`super::interactions`] and the imports.
//!
//! All commands of a user go through one lane, in the order of their arrival. Users locked by another transaction,
//! such as one of another replica, are skipped and waited for separately, so that they delay no other user. A batch
//! that fails is halved until only the commands that cause the failure fail.

use std::sync::Arc;

use chassis::feed::outbox::Outbox;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use self::{
    command::Reply,
    lane::{Lane, PendingWrite},
};

mod batch;
mod command;
mod lane;

pub use command::{Command, WriteError, Written};
pub use lane::{WRITER_BATCH_COMMANDS, WRITER_BATCH_DURATION_SECONDS};

/// Commands refused because too many were pending (counter).
pub const WRITER_REFUSED_TOTAL: &str = "writer_refused_total";

/// Users that are waited for concurrently.
const MAX_CONCURRENT_WAITS: usize = 4;

/// The settings of the writer.
#[derive(Debug, Clone, Copy)]
pub struct WriterOptions {
    /// Concurrent transactions.
    pub lanes: usize,
    /// The maximum number of commands in one transaction.
    pub batch: usize,
    /// The maximum number of pending commands, without those of bulk work.
    pub queue: usize,
    /// The maximum number of pending commands of bulk work, which must not crowd out interactive requests.
    pub bulk_queue: usize,
}

/// Stores users' actions; cheap to clone. The lanes end when the last clone is dropped. A caller that waits for a
/// reply holds one, so a stopping process finishes what it has accepted.
#[derive(Clone)]
pub struct Writer {
    lanes: Arc<[mpsc::UnboundedSender<PendingWrite>]>,
    permits: Arc<Semaphore>,
    bulk_permits: Arc<Semaphore>,
    bulk_queue: usize,
}

impl Writer {
    /// Starts the lanes, which write to the database of `pool` over connections of their own.
    pub fn start(pool: &PgPool, outbox: &Outbox, options: WriterOptions) -> Self {
        let connect = (*pool.connect_options()).clone().options([
            // The statements touch a few rows of large tables, always by key. Statistics of tables that were empty a
            // minute ago must not lead to sequential scans.
            ("plan_cache_mode", "force_generic_plan"),
            ("enable_seqscan", "off"),
            ("enable_hashjoin", "off"),
            ("enable_mergejoin", "off"),
            ("jit", "off"),
        ]);
        let waits = Arc::new(Semaphore::new(MAX_CONCURRENT_WAITS));
        let lanes = (0..options.lanes.max(1))
            .map(|_| {
                let (sender, queue) = mpsc::unbounded_channel();
                let lane = Lane::new(connect.clone(), pool.clone(), outbox.clone(), waits.clone());
                #[expect(
                    clippy::disallowed_methods,
                    reason = "a shutdown waits for the requests, which hold a writer until their replies"
                )]
                tokio::spawn(lane.run(queue, options.batch.max(1)));
                sender
            })
            .collect();
        Self {
            lanes,
            permits: Arc::new(Semaphore::new(options.queue)),
            bulk_permits: Arc::new(Semaphore::new(options.bulk_queue.max(1))),
            bulk_queue: options.bulk_queue.max(1),
        }
    }

    /// Stores one command of an interactive request.
    ///
    /// # Errors
    /// `Busy`, at once, if too many commands are pending; the other variants of [`WriteError`] as they are documented.
    pub async fn write(&self, command: Command) -> Result<Written, WriteError> {
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            metrics::counter!(WRITER_REFUSED_TOTAL).increment(1);
            return Err(WriteError::Busy);
        };
        self.send(command, permit)
            .await
            .unwrap_or(Err(WriteError::Stopped))
    }

    /// Stores many commands, those of one user in their order, and returns a result for each, in the order of the
    /// commands. Waits for capacity shared with other bulk work, so no result is `Busy`.
    pub async fn write_all(&self, commands: Vec<Command>) -> Vec<Result<Written, WriteError>> {
        let mut results = Vec::with_capacity(commands.len());
        // One chunk is queued while the chunk before it is being written.
        let mut before: Vec<oneshot::Receiver<Reply>> = Vec::new();
        for chunk in commands.chunks(self.bulk_queue.div_ceil(2)) {
            let mut replies = Vec::with_capacity(chunk.len());
            let mut permits = match u32::try_from(chunk.len()) {
                Ok(count) => Arc::clone(&self.bulk_permits)
                    .acquire_many_owned(count)
                    .await
                    .ok(),
                Err(_) => None,
            };
            for command in chunk {
                replies.push(
                    match permits.as_mut().and_then(|permits| permits.split(1)) {
                        Some(permit) => self.send(*command, permit),
                        None => oneshot::channel().1,
                    },
                );
            }
            collect(std::mem::replace(&mut before, replies), &mut results).await;
        }
        collect(before, &mut results).await;
        results
    }

    fn send(&self, command: Command, permit: OwnedSemaphorePermit) -> oneshot::Receiver<Reply> {
        let (reply, replied) = oneshot::channel();
        let lane = command.user_id.get().unsigned_abs() % self.lanes.len() as u64;
        if let Some(lane) = usize::try_from(lane).ok().and_then(|at| self.lanes.get(at)) {
            // A lane that has ended drops the sender, which the receiver reports.
            let _ = lane.send(PendingWrite {
                command,
                reply,
                _permit: permit,
            });
        }
        replied
    }
}

async fn collect(replies: Vec<oneshot::Receiver<Reply>>, results: &mut Vec<Reply>) {
    for reply in replies {
        results.push(reply.await.unwrap_or(Err(WriteError::Stopped)));
    }
}
