//! Histories that users bring along: taken in as jobs, shown, called off. The work on them is done by
//! [`worker`], one worker a job, on whichever replica takes it.

mod rows;
mod worker;

use std::{sync::Arc, time::Duration};

use chassis::{problem::FieldError, shutdown::Shutdown};
use chrono::{DateTime, SubsecRound, Utc};
use sqlx::PgPool;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

pub use worker::{IMPORT_ROWS_TOTAL, IMPORTS_RUNNING, IMPORTS_TOTAL};

use super::{catalogue::Catalogue, writer::Writer};
use crate::{
    config::Config,
    models::{Import, ImportFormat, ImportSource, ImportStatus, UserId, parse_import},
    repository::{
        imports::{self, Created, NewImport},
        users,
    },
};
/// Who waits for an import looks this often, should nobody say that it moved.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// And not more often than this, should it move all the time.
const LOOK_AT_MOST: Duration = Duration::from_millis(50);

/// Why an import was not taken in, or not called off.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The files are wrong.
    #[error("invalid files")]
    Invalid(Vec<FieldError>),
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// There is no such import of the user.
    #[error("import not found")]
    NotFound,
    /// Another of the user's is not done yet.
    #[error("an import is running")]
    Running(Box<Import>),
    /// It has ended.
    #[error("the import has ended")]
    Ended(Box<Import>),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// How imports are done.
#[derive(Debug, Clone, Copy)]
struct Options {
    lease: Duration,
    patience: Duration,
    most_rows: usize,
    fetches: i32,
    retention_days: i32,
}

/// The imports of users; cheap to clone.
#[derive(Clone)]
pub struct Imports(Arc<Inner>);

struct Inner {
    pool: PgPool,
    catalogue: Catalogue,
    writer: Writer,
    options: Options,
    /// This process, as leases name it.
    worker: Uuid,
    wake: Notify,
    moved: watch::Sender<()>,
    shutdown: Shutdown,
}

impl Imports {
    /// Those in `pool`: films are found by `catalogue`, and what was done with them is stored by
    /// `writer`, until the shutdown begins.
    #[must_use]
    pub fn start(
        pool: PgPool,
        catalogue: Catalogue,
        writer: Writer,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Self {
        let imports = Self(Arc::new(Inner {
            pool,
            catalogue,
            writer,
            options: Options {
                lease: Duration::from_secs(config.import_lease_seconds.max(1)),
                patience: Duration::from_secs(config.import_patience_seconds),
                most_rows: config.import_most_rows,
                fetches: config.import_most_fetches,
                retention_days: config.import_retention_days,
            },
            worker: Uuid::new_v4(),
            wake: Notify::new(),
            moved: watch::Sender::new(()),
            shutdown: shutdown.clone(),
        }));
        imports.spawn_workers();
        imports
    }

    /// Takes in the files of a user; `format` as [`parse_import`] has it.
    ///
    /// # Errors
    /// As [`ImportError`] says.
    pub async fn create(
        &self,
        user_id: UserId,
        files: Vec<(String, impl AsRef<[u8]> + Send + 'static)>,
        format: Option<ImportFormat>,
        dry_run: bool,
    ) -> Result<Import, ImportError> {
        let Inner { pool, options, .. } = self.0.as_ref();
        if !users::exists(pool, user_id).await? {
            return Err(ImportError::UserNotFound);
        }
        let most = options.most_rows;
        let now = now();
        let read = tokio::task::spawn_blocking(move || {
            let sources: Vec<ImportSource<'_>> = files
                .iter()
                .map(|(name, content)| ImportSource {
                    name,
                    content: content.as_ref(),
                })
                .collect();
            parse_import(&sources, format, most, now)
        });
        // It ends before its time only where the process does.
        let parsed = read
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?
            .map_err(ImportError::Invalid)?;
        let import = NewImport {
            user_id,
            dry_run,
            files: parsed.files,
            entries: parsed.entries,
            skipped: i32::try_from(parsed.skipped).unwrap_or(i32::MAX),
            fetches: options.fetches,
        };
        match imports::create(pool, &import).await? {
            Created::New(id) => {
                self.0.wake.notify_one();
                self.find(user_id, id).await
            }
            Created::Active(id) => Err(ImportError::Running(Box::new(
                self.find(user_id, id).await?,
            ))),
            Created::NoUser => Err(ImportError::UserNotFound),
        }
    }

    /// The import `id` of a user.
    ///
    /// # Errors
    /// There is none; or Postgres's.
    pub async fn find(&self, user_id: UserId, id: Uuid) -> Result<Import, ImportError> {
        let found = imports::find(&self.0.pool, user_id, id).await?;
        found.ok_or(ImportError::NotFound)
    }

    /// At most `limit` imports of a user, the newest first, without what they could not do.
    ///
    /// # Errors
    /// There is no such user; or Postgres's.
    pub async fn list(&self, user_id: UserId, limit: i64) -> Result<Vec<Import>, ImportError> {
        let found = imports::list(&self.0.pool, user_id, limit).await?;
        if found.is_empty() && !users::exists(&self.0.pool, user_id).await? {
            return Err(ImportError::UserNotFound);
        }
        Ok(found)
    }

    /// Calls an import off; what is done stays. One that is called off already stays so.
    ///
    /// # Errors
    /// There is none, or it has ended otherwise; or Postgres's.
    pub async fn cancel(&self, user_id: UserId, id: Uuid) -> Result<Import, ImportError> {
        let cancelled = imports::cancel(&self.0.pool, user_id, id).await?;
        self.0.moved.send_replace(());
        let import = self.find(user_id, id).await?;
        if cancelled || import.status == ImportStatus::Cancelled {
            return Ok(import);
        }
        Err(ImportError::Ended(Box::new(import)))
    }

    /// Tells when an import may have moved.
    #[must_use]
    pub fn moved(&self) -> Moved {
        Moved {
            told: self.0.moved.subscribe(),
            shutdown: self.0.shutdown.clone(),
        }
    }
}

/// As Postgres keeps it.
fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Waits for imports to move.
pub struct Moved {
    told: watch::Receiver<()>,
    shutdown: Shutdown,
}

impl Moved {
    /// Returns when an import may have moved, here or elsewhere, or the process stops.
    pub async fn next(&mut self) {
        tokio::time::sleep(LOOK_AT_MOST).await;
        tokio::select! {
            () = self.shutdown.started() => {}
            _ = self.told.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// Whether the process stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shutdown.is_started()
    }
}
