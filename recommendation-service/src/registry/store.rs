//! The live version of the learned models: loaded from the registry, and replaced as a whole when another version is
//! activated there, by whichever replica or command.
//!
//! A version that cannot be loaded is logged and counted, and the version before stays live.

use std::{path::PathBuf, sync::Arc, time::Duration};

use recommender::{
    TrainedModels,
    model_file::{self, ModelFileError},
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    read_model::Shared,
    registry::repository::{self, ModelRow},
};

/// The interval at which the live version is read again.
pub const LIVE_REFRESH_INTERVAL: Duration = Duration::from_secs(2);
/// The live version of this replica; 0 for none (gauge).
const MODEL_LIVE_VERSION: &str = "recommendation_model_live_version";
/// Versions that were refused since they could not be loaded (counter).
const MODELS_REFUSED_TOTAL: &str = "recommendation_models_refused_total";

/// The reasons for which a version cannot be loaded or activated.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no such version.
    #[error("there is no version {0}")]
    NotFound(i64),
    /// Its bytes are not those that were stored.
    #[error("version {0} is damaged: its bytes are not those that were written")]
    Damaged(i64),
    /// Its bytes are not a model file.
    #[error("version {version} cannot be used: {cause}")]
    Unusable {
        /// The version.
        version: i64,
        /// The cause.
        cause: ModelFileError,
    },
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The process is stopping.
    #[error("the service is stopping")]
    Stopping,
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pool: PgPool,
    live: Shared<Option<Arc<TrainedModels>>>,
    /// The version that was refused last, so that it is logged once.
    refused: Shared<Option<i64>>,
    /// The directory of cached files; `None` without.
    directory: Option<PathBuf>,
}

impl Registry {
    /// The registry in `pool`; it keeps the live version in `live`, and caches model files in `directory`.
    pub fn new(
        pool: PgPool,
        directory: Option<PathBuf>,
        live: Shared<Option<Arc<TrainedModels>>>,
    ) -> Self {
        Self {
            pool,
            live,
            refused: Shared::new(None),
            directory,
        }
    }

    /// The live version. A list reads it once, so that all of its scores come from one version.
    pub fn live(&self) -> Option<Arc<TrainedModels>> {
        self.live.read().clone()
    }

    /// Version `version`: the live one, or another one, which is loaded.
    pub async fn version(&self, version: i64) -> Result<Arc<TrainedModels>, ModelError> {
        match self.live().filter(|live| live.version == version) {
            Some(live) => Ok(live),
            None => Ok(Arc::new(self.load(version).await?)),
        }
    }

    /// Loads the version that is live in the registry, if it is another one.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable; a version that cannot be loaded is no error.
    pub async fn refresh(&self) -> Result<(), sqlx::Error> {
        let wanted = repository::live(&self.pool).await?;
        let version = self.live().map(|live| live.version);
        if wanted == version {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.set_live(None);
            return Ok(());
        };
        match self.load(wanted).await {
            Ok(trained) => {
                self.set_live(Some(Arc::new(trained)));
                *self.refused.write() = None;
                Ok(())
            }
            Err(ModelError::Database(error)) => Err(error),
            Err(error) => {
                if self.refused.write().replace(wanted) != Some(wanted) {
                    metrics::counter!(MODELS_REFUSED_TOTAL).increment(1);
                    tracing::error!(
                        model.version = wanted,
                        live = version,
                        %error,
                        "model version refused, the live version stays"
                    );
                }
                Ok(())
            }
        }
    }

    fn set_live(&self, trained: Option<Arc<TrainedModels>>) {
        let version = trained.as_ref().map_or(0, |trained| trained.version);
        metrics::gauge!(MODEL_LIVE_VERSION).set(version as f64);
        // The previous version is freed when the last list that uses it is finished, outside of the lock.
        let before = std::mem::replace(&mut *self.live.write(), trained);
        drop(before);
        tracing::info!(model.version = version, "model is live");
    }

    /// Loads version `version` and checks it.
    #[tracing::instrument(
        name = "service.registry.load",
        level = "debug",
        skip(self),
        err(level = "debug")
    )]
    pub async fn load(&self, version: i64) -> Result<TrainedModels, ModelError> {
        let row = repository::find(&self.pool, version).await?;
        let row = row.ok_or(ModelError::NotFound(version))?;
        let cached = self
            .directory
            .as_ref()
            .map(|directory| directory.join(format!("{version}.safetensors")));
        if let Some(file) = &cached
            && let Ok(bytes) = tokio::fs::read(file).await
            && let Ok(trained) = decode(row.clone(), bytes).await
        {
            return Ok(trained);
        }
        let bytes = repository::load(&self.pool, version).await?;
        if let Some(file) = &cached {
            cache(file, &bytes).await;
        }
        decode(row, bytes).await
    }

    /// The stored versions, newest first, and the live one.
    #[tracing::instrument(name = "service.registry.list", level = "debug", skip(self))]
    pub async fn list(&self) -> Result<(Option<i64>, Vec<ModelRow>), ModelError> {
        let live = repository::live(&self.pool).await?;
        Ok((live, repository::list(&self.pool).await?))
    }

    /// Activates `version`, or none: here immediately, elsewhere within [`LIVE_REFRESH_INTERVAL`]. A version that
    /// cannot be loaded is not activated.
    #[tracing::instrument(
        name = "service.registry.activate",
        level = "debug",
        skip(self),
        err(level = "debug")
    )]
    pub async fn activate(&self, version: Option<i64>) -> Result<(), ModelError> {
        let trained = match version {
            Some(version) => Some(Arc::new(self.load(version).await?)),
            None => None,
        };
        if !repository::activate(&self.pool, version).await? {
            return Err(ModelError::NotFound(version.unwrap_or_default()));
        }
        self.set_live(trained);
        Ok(())
    }
}

/// Decodes `bytes` on a worker thread.
async fn decode(row: ModelRow, bytes: Vec<u8>) -> Result<TrainedModels, ModelError> {
    let version = row.version;
    let work = move || {
        if bytes.len() as i64 != row.bytes || format!("{:x}", Sha256::digest(&bytes)) != row.sha256
        {
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

/// Stores `bytes` in `file`, completely or not at all. On failure the next start is only slower.
async fn cache(file: &std::path::Path, bytes: &[u8]) {
    let draft = file.with_extension(format!("{}.part", std::process::id()));
    let write = async {
        tokio::fs::write(&draft, bytes).await?;
        tokio::fs::rename(&draft, file).await
    };
    if let Err(error) = write.await {
        tracing::warn!(file = %file.display(), %error, "cannot cache the model file for the next start");
    }
}
