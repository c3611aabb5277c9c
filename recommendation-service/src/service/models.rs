//! The learned models that are live: taken from the registry, and changed as a whole when another version
//! is made live there, by whichever replica or command.
//!
//! A version that cannot be used is told of and counted, and what was live goes on.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use recommender::{
    TrainedModels,
    model_file::{self, ModelFileError},
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::read_model::Shared;
use crate::repository::models::{self, ModelRow};

/// How often the registry is asked which version is live.
pub const REFRESH: Duration = Duration::from_secs(2);
/// Which version of the models is live here; 0: none.
const MODEL_LIVE_VERSION: &str = "recommendation_model_live_version";
/// How often a version was refused since it could not be used.
const MODELS_REFUSED_TOTAL: &str = "recommendation_models_refused_total";

/// Why a version is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is none of this number.
    #[error("there is no version {0}")]
    NotFound(i64),
    /// Its bytes are not those that were written.
    #[error("version {0} is damaged: its bytes are not those that were written")]
    Damaged(i64),
    /// Its bytes are not models.
    #[error("version {version} cannot be used: {cause}")]
    Unusable {
        /// Its number.
        version: i64,
        /// Why.
        cause: ModelFileError,
    },
    /// Postgres's.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The process is ending.
    #[error("the service is stopping")]
    Stopping,
}

/// The models; cheap to clone.
#[derive(Clone)]
pub struct Models {
    pool: PgPool,
    live: Shared<Option<Arc<TrainedModels>>>,
    /// The version that was refused last, so that it is told of once.
    refused: Arc<Mutex<Option<i64>>>,
    /// Where files are kept for a quick start; none: nowhere.
    directory: Option<PathBuf>,
}

impl Models {
    /// Models by the registry in `pool`; the one that is taken is in `live`, and kept in `directory` too.
    #[must_use]
    pub fn new(
        pool: PgPool,
        directory: Option<PathBuf>,
        live: Shared<Option<Arc<TrainedModels>>>,
    ) -> Self {
        Self {
            pool,
            live,
            refused: Arc::new(Mutex::new(None)),
            directory,
        }
    }

    /// The live version. Who makes a list takes it once, so that all of the list is of one version.
    #[must_use]
    pub fn live(&self) -> Option<Arc<TrainedModels>> {
        self.live.read().clone()
    }

    /// Version `version`: the one that is live, or another one, which is loaded.
    ///
    /// # Errors
    /// A version that is not there or cannot be used.
    pub async fn version(&self, version: i64) -> Result<Arc<TrainedModels>, ModelError> {
        match self.live().filter(|live| live.version() == version) {
            Some(live) => Ok(live),
            None => Ok(Arc::new(self.load(version).await?)),
        }
    }

    /// Takes the version that the registry has live, if it is another one.
    ///
    /// # Errors
    /// Postgres's; a version that cannot be used is none.
    pub async fn refresh(&self) -> Result<(), sqlx::Error> {
        let wanted = models::live(&self.pool).await?;
        let version = self.live().map(|live| live.version());
        if wanted == version {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.take(None);
            return Ok(());
        };
        match self.load(wanted).await {
            Ok(trained) => {
                self.take(Some(Arc::new(trained)));
                *self.last_refused() = None;
                Ok(())
            }
            Err(ModelError::Database(error)) => Err(error),
            Err(error) => {
                if self.last_refused().replace(wanted) != Some(wanted) {
                    metrics::counter!(MODELS_REFUSED_TOTAL).increment(1);
                    tracing::error!(
                        model.version = wanted,
                        live = version,
                        %error,
                        "model refused, going on with the one that was live"
                    );
                }
                Ok(())
            }
        }
    }

    fn last_refused(&self) -> std::sync::MutexGuard<'_, Option<i64>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, trained: Option<Arc<TrainedModels>>) {
        let version = trained.as_ref().map_or(0, |trained| trained.version());
        metrics::gauge!(MODEL_LIVE_VERSION).set(version as f64);
        // What was live goes with the last list that is being made of it, outside of the lock.
        let before = std::mem::replace(&mut *self.live.write(), trained);
        drop(before);
        tracing::info!(model.version = version, "model is live");
    }

    /// Version `version`, checked.
    ///
    /// # Errors
    /// A version that is not there or cannot be used.
    pub async fn load(&self, version: i64) -> Result<TrainedModels, ModelError> {
        let row = models::find(&self.pool, version).await?;
        let row = row.ok_or(ModelError::NotFound(version))?;
        let kept = self
            .directory
            .as_ref()
            .map(|directory| directory.join(format!("{version}.safetensors")));
        if let Some(file) = &kept
            && let Ok(bytes) = tokio::fs::read(file).await
            && let Ok(trained) = decode(row.clone(), bytes).await
        {
            return Ok(trained);
        }
        let bytes = models::load(&self.pool, version).await?;
        if let Some(file) = &kept {
            keep(file, &bytes).await;
        }
        decode(row, bytes).await
    }

    /// The versions that are kept, newest first, and which is live.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(&self) -> Result<(Option<i64>, Vec<ModelRow>), ModelError> {
        let live = models::live(&self.pool).await?;
        Ok((live, models::list(&self.pool).await?))
    }

    /// Makes `version` live, or none, here at once and in other replicas within [`REFRESH`]. One that
    /// cannot be used does not go live.
    ///
    /// # Errors
    /// A version that is not there or cannot be used.
    pub async fn promote(&self, version: Option<i64>) -> Result<(), ModelError> {
        let trained = match version {
            Some(version) => Some(Arc::new(self.load(version).await?)),
            None => None,
        };
        if !models::promote(&self.pool, version).await? {
            return Err(ModelError::NotFound(version.unwrap_or_default()));
        }
        self.take(trained);
        Ok(())
    }
}

/// Bytes as models, away from the threads that answer.
async fn decode(row: ModelRow, bytes: Vec<u8>) -> Result<TrainedModels, ModelError> {
    let version = row.version;
    let work = move || {
        if bytes.len() as i64 != row.bytes || Sha256::digest(&bytes)[..] != row.sha256[..] {
            return Err(ModelError::Damaged(version));
        }
        let unusable = |cause| ModelError::Unusable { version, cause };
        let (manifest, parts) = model_file::decode(&bytes).map_err(unusable)?;
        parts
            .into_trained(version, &manifest)
            .map_err(|error| unusable(error.into()))
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| ModelError::Stopping)?
}

/// Keeps `bytes` in `file`, as a whole or not at all. A replica that cannot only starts more slowly.
async fn keep(file: &std::path::Path, bytes: &[u8]) {
    let draft = file.with_extension(format!("{}.part", std::process::id()));
    let write = async {
        tokio::fs::write(&draft, bytes).await?;
        tokio::fs::rename(&draft, file).await
    };
    if let Err(error) = write.await {
        tracing::warn!(file = %file.display(), %error, "cannot keep the model for the next start");
    }
}
