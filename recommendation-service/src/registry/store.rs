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
    registry::repository::{self, ModelKind, ModelRow},
};

/// The interval at which the live version is read again.
pub const LIVE_REFRESH_INTERVAL: Duration = Duration::from_secs(2);
/// The live version of own models of this replica; 0 for none (gauge).
const MODEL_LIVE_VERSION: &str = "recommendation_model_live_version";
/// The live version of base models of this replica; 0 for none (gauge).
const BASE_MODEL_LIVE_VERSION: &str = "recommendation_base_model_live_version";
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

/// The live versions of a replica, which a list reads once, so that all of its scores come from the same ones; cheap to
/// clone.
#[derive(Clone)]
pub struct LiveModels {
    /// Of own users.
    pub own: Shared<Option<Arc<TrainedModels>>>,
    /// Of a base model.
    pub base: Shared<Option<Arc<TrainedModels>>>,
}

impl Default for LiveModels {
    fn default() -> Self {
        Self::new(None)
    }
}

impl LiveModels {
    /// No base model, and these own ones.
    pub fn new(own: Option<Arc<TrainedModels>>) -> Self {
        Self {
            own: Shared::new(own),
            base: Shared::new(None),
        }
    }

    fn of(&self, kind: ModelKind) -> &Shared<Option<Arc<TrainedModels>>> {
        match kind {
            ModelKind::Own => &self.own,
            ModelKind::Base => &self.base,
        }
    }

    /// The numbers of both versions.
    pub fn versions(&self) -> [Option<i64>; 2] {
        ModelKind::ALL.map(|kind| self.of(kind).read().as_ref().map(|live| live.version))
    }
}

/// The registry; cheap to clone.
#[derive(Clone)]
pub struct Registry {
    pool: PgPool,
    live: LiveModels,
    /// The versions that were refused last, own and base, so that each is logged once.
    refused: Shared<[Option<i64>; 2]>,
    /// The directory of cached files; `None` without.
    directory: Option<PathBuf>,
}

impl Registry {
    /// The registry in `pool`; it keeps the live versions in `live`, and caches model files in `directory`.
    pub fn new(pool: PgPool, directory: Option<PathBuf>, live: LiveModels) -> Self {
        Self {
            pool,
            live,
            refused: Shared::new([None; 2]),
            directory,
        }
    }

    /// The live version of `kind`.
    pub fn live(&self, kind: ModelKind) -> Option<Arc<TrainedModels>> {
        self.live.of(kind).snapshot()
    }

    /// Version `version`: a live one, or another one, which is loaded.
    pub async fn version(&self, version: i64) -> Result<Arc<TrainedModels>, ModelError> {
        let live = ModelKind::ALL
            .into_iter()
            .filter_map(|kind| self.live(kind));
        match live.into_iter().find(|live| live.version == version) {
            Some(live) => Ok(live),
            None => Ok(Arc::new(self.load(version).await?)),
        }
    }

    /// Loads the versions that are live in the registry, if they are other ones.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable; a version that cannot be loaded is no error.
    pub async fn refresh(&self) -> Result<(), sqlx::Error> {
        for kind in ModelKind::ALL {
            self.refresh_kind(kind).await?;
        }
        Ok(())
    }

    async fn refresh_kind(&self, kind: ModelKind) -> Result<(), sqlx::Error> {
        let wanted = repository::live(&self.pool, kind).await?;
        let version = self.live(kind).map(|live| live.version);
        if wanted == version {
            return Ok(());
        }
        let Some(wanted) = wanted else {
            self.set_live(kind, None);
            return Ok(());
        };
        match self.load(wanted).await {
            Ok(trained) => {
                self.set_live(kind, Some(Arc::new(trained)));
                self.refused.write()[kind as usize] = None;
                Ok(())
            }
            Err(ModelError::Database(error)) => Err(error),
            Err(error) => {
                if self.refused.write()[kind as usize].replace(wanted) != Some(wanted) {
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

    fn set_live(&self, kind: ModelKind, trained: Option<Arc<TrainedModels>>) {
        let version = trained.as_ref().map_or(0, |trained| trained.version);
        let gauge = match kind {
            ModelKind::Own => MODEL_LIVE_VERSION,
            ModelKind::Base => BASE_MODEL_LIVE_VERSION,
        };
        metrics::gauge!(gauge).set(version as f64);
        // The previous version is freed when the last list that uses it is finished, outside of the lock.
        let before = std::mem::replace(&mut *self.live.of(kind).write(), trained);
        drop(before);
        tracing::info!(model.version = version, model.kind = ?kind, "model is live");
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

    /// The stored versions, newest first, and the live ones, own and base.
    #[tracing::instrument(name = "service.registry.list", level = "debug", skip(self))]
    pub async fn list(&self) -> Result<([Option<i64>; 2], Vec<ModelRow>), ModelError> {
        let own = repository::live(&self.pool, ModelKind::Own).await?;
        let base = repository::live(&self.pool, ModelKind::Base).await?;
        Ok(([own, base], repository::list(&self.pool).await?))
    }

    /// Activates `version`: here immediately, elsewhere within [`LIVE_REFRESH_INTERVAL`]. One that cannot be loaded is not
    /// activated.
    ///
    /// # Errors
    /// [`ModelError`] if there is no such version, or none of `kind` if that is given.
    #[tracing::instrument(
        name = "service.registry.activate",
        level = "debug",
        skip(self),
        err(level = "debug")
    )]
    pub async fn activate(&self, version: i64, kind: Option<ModelKind>) -> Result<(), ModelError> {
        let row = repository::find(&self.pool, version).await?;
        let row = row.filter(|row| kind.is_none_or(|kind| kind == row.kind));
        let kind = row.ok_or(ModelError::NotFound(version))?.kind;
        let trained = Arc::new(self.load(version).await?);
        if !repository::activate(&self.pool, kind, Some(version)).await? {
            return Err(ModelError::NotFound(version));
        }
        self.set_live(kind, Some(trained));
        Ok(())
    }

    /// Deactivates the live version of `kind`.
    #[tracing::instrument(
        name = "service.registry.deactivate",
        level = "debug",
        skip(self),
        err(level = "debug")
    )]
    pub async fn deactivate(&self, kind: ModelKind) -> Result<(), ModelError> {
        repository::activate(&self.pool, kind, None).await?;
        self.set_live(kind, None);
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
