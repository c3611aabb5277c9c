//! Imports of users' histories from other sites: created as jobs, read, cancelled. Called by the handlers of
//! imports; the rows are processed by [`work`] on whichever replica claims the job.

mod due;
mod read;
mod report;
mod work;

use std::time::Duration;

use chassis::{
    clock::Clock,
    jobs::{Changes, JobSettings, JobStatus, Jobs},
    shutdown::Shutdown,
};
use chrono::SubsecRound;
use sqlx::PgPool;
use tokio::sync::watch;
use uuid::Uuid;

pub use work::{IMPORT_ROWS_TOTAL, IMPORTS_RUNNING, IMPORTS_TOTAL};

use self::work::ImportWork;
use super::{catalogue::Catalogue, retry, writer::Writer};
use crate::{
    config::Config,
    error::Error,
    models::{DateOrder, Import, ImportFormat, UserId},
    repository::{
        imports::{self, Created, NewImport},
        users,
    },
};

/// The mean polling interval for claimable imports.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// The parameters of an import.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportRequest {
    /// The format of a single file; without it, files are recognized.
    pub format: Option<ImportFormat>,
    /// The order of day and month in dates that do not tell.
    pub date_order: Option<DateOrder>,
    /// True if the import only counts the changes.
    pub dry_run: bool,
}

/// The imports of all users; cheap to clone.
#[derive(Clone)]
pub struct Imports {
    pool: PgPool,
    jobs: Jobs<ImportWork>,
    catalogue: Catalogue,
    writer: Writer,
    clock: Clock,
    max_rows: usize,
    max_fetches: i32,
}

impl Imports {
    /// Processes the imports in `pool` until the shutdown begins: movies are found by `catalogue`, actions
    /// are stored by `writer`. Titles that were not found are looked for again, at once when `arrived` changes.
    pub fn start(
        pool: PgPool,
        catalogue: Catalogue,
        writer: Writer,
        clock: Clock,
        config: &Config,
        arrived: watch::Receiver<()>,
        shutdown: &Shutdown,
    ) -> Self {
        let settings = JobSettings {
            lease: Duration::from_secs(config.import_lease_seconds.max(1)),
            poll_interval: POLL_INTERVAL,
            pause_limit: Some(Duration::from_secs(config.import_patience_seconds)),
            retention_days: config.import_retention_days,
        };
        let work = ImportWork {
            pool: pool.clone(),
            catalogue: catalogue.clone(),
            writer: writer.clone(),
            clock: clock.clone(),
        };
        let imports = Self {
            jobs: Jobs::start(pool.clone(), work, settings, shutdown),
            pool,
            catalogue,
            writer,
            clock,
            max_rows: config.import_most_rows,
            max_fetches: config.import_most_fetches,
        };
        let retried = imports.clone();
        let look = async move || retried.retry_due().await;
        shutdown.spawn(retry::run("imports", arrived, shutdown.clone(), look));
        imports
    }

    /// Reads the files of a user and creates an import of their rows.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a limit is exceeded or nothing can be taken; `UserNotFound` if there is no such user;
    /// `ImportRunning` if an import of the user has not ended; `Database` if a statement fails.
    #[tracing::instrument(name = "service.imports.create", level = "debug", skip_all, fields(user = %user_id))]
    pub async fn create(
        &self,
        user_id: UserId,
        files: Vec<(String, impl AsRef<[u8]> + Send + 'static)>,
        request: ImportRequest,
    ) -> Result<Import, Error> {
        if !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        let options = histories::Options {
            format: request.format,
            date_order: request.date_order,
            max_rows: self.max_rows,
            // Postgres stores microseconds.
            now: self.clock.now().trunc_subsecs(6),
        };
        let reading = tokio::task::spawn_blocking(move || read::read(&files, &options));
        // The task is cancelled only if the process ends.
        let contents = reading
            .await
            .map_err(|_| sqlx::Error::WorkerCrashed)?
            .map_err(Error::Invalid)?;
        let import = NewImport {
            user_id,
            dry_run: request.dry_run,
            contents,
            max_fetches: self.max_fetches,
        };
        match imports::create(&self.pool, &import).await? {
            Created::New(id) => {
                self.jobs.wake();
                self.get(user_id, id).await
            }
            Created::Active(id) => {
                let active = self.get(user_id, id).await?;
                Err(Error::ImportRunning(Box::new(active)))
            }
        }
    }

    /// The import `id` of a user.
    ///
    /// # Errors
    /// [`Error::ImportNotFound`] if the user has no such import; `Database` if the statement fails.
    pub async fn get(&self, user_id: UserId, id: Uuid) -> Result<Import, Error> {
        let import = imports::find(&self.pool, user_id, id).await?;
        import.ok_or(Error::ImportNotFound)
    }

    /// At most `limit` imports of a user, the newest first, without their unmatched titles and failures.
    ///
    /// # Errors
    /// [`Error::UserNotFound`] if there is no such user; `Database` if a statement fails.
    pub async fn list(&self, user_id: UserId, limit: i64) -> Result<Vec<Import>, Error> {
        let imports = imports::list(&self.pool, user_id, limit).await?;
        if imports.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        Ok(imports)
    }

    /// Cancels an import; stored rows are kept. Has no effect on a cancelled one.
    ///
    /// # Errors
    /// [`Error::ImportNotFound`] if the user has no such import; `ImportEnded` if it has succeeded or failed;
    /// `Database` if a statement fails.
    #[tracing::instrument(name = "service.imports.cancel", level = "debug", skip_all, fields(user = %user_id, job = %id))]
    pub async fn cancel(&self, user_id: UserId, id: Uuid) -> Result<Import, Error> {
        // Another user's import must not be cancelled.
        self.get(user_id, id).await?;
        let is_cancelled = self.jobs.cancel(id).await?;
        let import = self.get(user_id, id).await?;
        if is_cancelled || import.status == JobStatus::Cancelled {
            return Ok(import);
        }
        Err(Error::ImportEnded(Box::new(import)))
    }

    /// A watch on the progress of imports.
    pub fn changes(&self) -> Changes {
        self.jobs.changes()
    }
}
