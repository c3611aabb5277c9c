//! The experiments: created, changed, stopped and listed by administrators, and held in memory while they run, so that
//! the assignment of a user needs no look-up.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{clock::Clock, postgres::violated_constraint, problem::FieldError};
use sqlx::{PgPool, types::Json};

use crate::{
    experiments::{
        Experiment, ExperimentDraft, Layer, Served, Status,
        assign::{self, Overrides},
        impressions::Recorder,
        report::{self, Report},
        repository,
        validate::{changed_field, check, check_variants},
    },
    read_model::{Revision, Shared, UserId},
};

/// The interval at which the running experiments are read again.
pub const EXPERIMENTS_REFRESH_INTERVAL: Duration = Duration::from_secs(5);

const DEFAULT_WINDOW_HOURS: i64 = 168;
const DEFAULT_PLANNED_USERS: i32 = 2000;
const DEFAULT_ALPHA: f64 = 0.05;

/// The reasons for which an experiment is not created, changed or found.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// Fields are invalid.
    #[error("invalid experiment")]
    Invalid(Vec<FieldError>),
    /// No experiment has this id or name.
    #[error("experiment not found")]
    NotFound,
    /// A field differs that must not change while the experiment runs, since it would invalidate what was counted.
    #[error("{0} cannot change while the experiment runs")]
    Fixed(&'static str),
    /// Another experiment runs in the layer, or one of this name was created at the same time.
    #[error("another experiment runs in the layer {0}")]
    LayerTaken(&'static str),
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The experiments; cheap to clone.
#[derive(Clone)]
pub struct Experiments {
    pool: PgPool,
    running: Shared<Arc<[Experiment]>>,
    /// Changes whenever `running` does.
    revision: Arc<AtomicU64>,
    recorder: Recorder,
    clock: Clock,
}

impl Experiments {
    /// The experiments of `pool`, none of which runs until [`Experiments::refresh`]; `recorder` stores impressions.
    pub fn new(pool: PgPool, recorder: Recorder, clock: Clock) -> Self {
        Self {
            pool,
            running: Shared::new(Arc::from([])),
            revision: Arc::default(),
            recorder,
            clock,
        }
    }

    /// Reads the running experiments again.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable; those in memory stay.
    pub async fn refresh(&self) -> sqlx::Result<()> {
        let running = repository::list_running(&self.pool).await?;
        let mut known = self.running.write();
        if **known != *running {
            *known = running.into();
            self.revision
                .store(Revision::next().get(), Ordering::Release);
        }
        Ok(())
    }

    /// The revision of the running experiments: while it stays, so do all assignments.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The versions of the learned models that running experiments compare.
    pub fn model_versions(&self) -> BTreeSet<i64> {
        let running = self.running.snapshot();
        let variants = running.iter().flat_map(|experiment| &*experiment.variants);
        variants
            .filter_map(|variant| variant.model_version)
            .collect()
    }

    /// The overrides of `user` by the running experiments.
    pub fn assign(&self, user: UserId) -> Overrides {
        assign::assign(&self.running.snapshot(), user)
    }

    /// Records that a list was served. Never waits; under overload it drops the record.
    pub fn record(&self, served: Served) {
        self.recorder.record(served);
    }

    /// Creates the experiment of this name, changes it, or stops it; true if it was created.
    ///
    /// # Errors
    /// As [`ExperimentError`] says; then nothing has changed.
    #[tracing::instrument(name = "service.experiments.put", level = "debug", skip_all, fields(experiment.name = draft.name), err(level = "debug"))]
    pub async fn put(
        &self,
        draft: ExperimentDraft,
        created_by: Option<String>,
    ) -> Result<(Experiment, bool), ExperimentError> {
        check(&draft).map_err(ExperimentError::Invalid)?;
        let mut transaction = self.pool.begin().await?;
        let latest = repository::lock_latest(&mut transaction, &draft.name).await?;
        let is_stopped = draft.status == Some(Status::Stopped);
        let (experiment, is_new) = match latest {
            Some(mut running) if running.status == Status::Running => {
                if let Some(field) = changed_field(&draft, &running) {
                    return Err(ExperimentError::Fixed(field));
                }
                running.traffic = draft.traffic.unwrap_or(running.traffic);
                running.description = draft.description.unwrap_or(running.description);
                running.updated_at = self.clock.now();
                running.stopped_at = is_stopped.then(|| self.clock.now());
                let updated = repository::update(&mut transaction, &running).await?;
                (updated, false)
            }
            Some(stopped) if is_stopped => return Ok((stopped, false)),
            None if is_stopped => return Err(ExperimentError::NotFound),
            _ => {
                let new = self.create(draft, created_by)?;
                let layer = new.layer.name();
                let inserted = repository::insert(&mut transaction, &new).await;
                let inserted = inserted.map_err(|error| match violated_constraint(&error) {
                    Some("experiment_running_layer" | "experiment_running_name") => {
                        ExperimentError::LayerTaken(layer)
                    }
                    _ => error.into(),
                })?;
                (inserted, true)
            }
        };
        transaction.commit().await?;
        // Other replicas read it with their next refresh.
        self.refresh().await?;
        Ok((experiment, is_new))
    }

    fn create(
        &self,
        draft: ExperimentDraft,
        created_by: Option<String>,
    ) -> Result<Experiment, ExperimentError> {
        let layer = draft.layer.unwrap_or(Layer::Ranking);
        let variants = draft.variants.unwrap_or_default();
        check_variants(&variants, layer).map_err(ExperimentError::Invalid)?;
        let now = self.clock.now();
        Ok(Experiment {
            id: 0,
            name: draft.name,
            description: draft.description.unwrap_or_default(),
            status: Status::Running,
            layer,
            traffic: draft.traffic.unwrap_or(1.0),
            outcome_window_hours: draft.outcome_window_hours.unwrap_or(DEFAULT_WINDOW_HOURS),
            outcome_cap: draft.outcome_cap.unwrap_or(1),
            planned_users: draft.planned_users.unwrap_or(DEFAULT_PLANNED_USERS),
            alpha: draft.alpha.unwrap_or(DEFAULT_ALPHA),
            variants: Json(variants),
            created_by,
            created_at: now,
            updated_at: now,
            stopped_at: None,
            salt: String::new(),
        })
    }

    /// A page of all experiments, newest first, and their number.
    #[tracing::instrument(name = "service.experiments.list", level = "debug", skip(self))]
    pub async fn list(&self, offset: i64, limit: i64) -> sqlx::Result<(Vec<Experiment>, i64)> {
        repository::list(&self.pool, offset, limit).await
    }

    /// The results of an experiment so far.
    ///
    /// # Errors
    /// [`ExperimentError::NotFound`] if there is no such experiment, [`ExperimentError::Database`] if Postgres is
    /// unreachable.
    #[tracing::instrument(name = "service.experiments.report", level = "debug", skip(self))]
    pub async fn report(&self, id: i64) -> Result<Report, ExperimentError> {
        let experiment = repository::find(&self.pool, id)
            .await?
            .ok_or(ExperimentError::NotFound)?;
        Ok(report::read(&self.pool, experiment).await?)
    }
}
