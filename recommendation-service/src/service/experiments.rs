//! Experiments: who gets which lists, what came of it, and what may be said about that.
//!
//! Which variant a user gets is computed, not looked up, so that a list waits for nothing; that it was
//! served is recorded beside it ([`recorder`]), and counted when the user's time is over ([`settler`]).

pub mod recorder;
mod report;
pub mod settler;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{clock::Clock, postgres::violated_constraint, problem::FieldError};
use recommender::experiments::{
    assignment::{self, pick},
    thompson::Exploration,
};
use sqlx::PgPool;

pub use report::{Report, VariantReport};

use self::recorder::Recorder;
use super::{
    read_model::Shared,
    rule_sets::{NAME_RULE, check_weights, is_name},
};
use crate::{
    models::{
        Experiment, ExperimentDraft, Layer, PartWeights, Participation, Revision, Served, Status,
        Strategy, UserId, Variant, Weights,
    },
    repository::experiments as repository,
};

/// How often the running experiments are read again.
pub const EXPERIMENTS_REFRESH: Duration = Duration::from_secs(5);

const DEFAULT_WINDOW_HOURS: i64 = 168;
const LONGEST_WINDOW_HOURS: i64 = 2160;
const DEFAULT_PLANNED_USERS: i32 = 2000;
const MOST_PLANNED_USERS: i32 = 100_000_000;
const DEFAULT_ALPHA: f64 = 0.05;
const MOST_VARIANTS: usize = 10;
const MOST_CAP: i32 = 100;
const LONGEST_DESCRIPTION: usize = 1000;
/// Of a variant, a hundredth of a per cent of the users is the least that anything is learned from.
const LEAST_SHARE: f64 = 0.0001;
const VARIANT_WEIGHTS: std::ops::RangeInclusive<f64> = 0.001..=1000.0;
const BLEND_WEIGHTS: std::ops::RangeInclusive<f64> = 0.0..=10.0;
/// What a blend is made of.
const BLENDED: [&str; 4] = ["learned", "content", "taste", "rules"];

/// Why an experiment is not as somebody wants it.
#[derive(Debug, thiserror::Error)]
pub enum ExperimentError {
    /// Fields are wrong.
    #[error("invalid experiment")]
    Invalid(Vec<FieldError>),
    /// There is no such experiment.
    #[error("experiment not found")]
    NotFound,
    /// What it wants to change would make what was counted meaningless.
    #[error("{0} cannot change while the experiment runs")]
    Fixed(&'static str),
    /// Another experiment runs in the layer, or one of this name was made at the same time.
    #[error("another experiment runs in the layer {0}")]
    LayerTaken(&'static str),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What the experiments change for a user; what is none is as it is without them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assignment {
    /// What the user takes part in.
    pub participations: Vec<Participation>,
    /// How films are scored.
    pub strategy: Option<Strategy>,
    /// The version of the learned model.
    pub model_version: Option<i64>,
    /// What each part of the blend weighs.
    pub blend: Option<BTreeMap<String, f64>>,
    /// What each rule weighs.
    pub rules: Option<Weights>,
    /// The share of places that films are shown in to learn about them.
    pub exploration: Option<f64>,
}

impl Assignment {
    /// What each part of the blend weighs.
    #[must_use]
    pub fn part_weights(&self) -> PartWeights {
        let usual = PartWeights::default();
        let weight = |name: &str, usual: f32| {
            let given = self.blend.as_ref().and_then(|blend| blend.get(name));
            given.map_or(usual, |weight| *weight as f32)
        };
        PartWeights {
            learned: weight("learned", usual.learned),
            content: weight("content", usual.content),
            taste: weight("taste", usual.taste),
            rules: weight("rules", usual.rules),
        }
    }

    fn take(&mut self, variant: &Variant) {
        self.strategy = variant.strategy.or(self.strategy);
        self.model_version = variant.model_version.or(self.model_version);
        self.blend = variant.blend.clone().or(self.blend.take());
        self.rules = variant.rules.or(self.rules);
        self.exploration = variant.exploration.or(self.exploration);
    }
}

/// Runs experiments; cheap to clone.
#[derive(Clone)]
pub struct Experiments {
    pool: PgPool,
    running: Shared<Arc<[Experiment]>>,
    /// Another one whenever what runs is.
    revision: Arc<AtomicU64>,
    recorder: Recorder,
    clock: Clock,
}

impl Experiments {
    /// Runs those of `pool`, once [`Experiments::refresh`] has read them; `recorder` keeps what was served.
    #[must_use]
    pub fn new(pool: PgPool, recorder: Recorder, clock: Clock) -> Self {
        Self {
            pool,
            running: Shared::new(Arc::from([])),
            revision: Arc::default(),
            recorder,
            clock,
        }
    }

    /// Reads again which experiments run.
    ///
    /// # Errors
    /// Postgres's; they stay as they are.
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

    /// Another number whenever what runs is another: while it is the same, so is what is assigned.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// The versions of the learned models that are compared now.
    #[must_use]
    pub fn model_versions(&self) -> BTreeSet<i64> {
        let running = Arc::clone(&self.running.read());
        let variants = running.iter().flat_map(|experiment| &experiment.variants);
        variants
            .filter_map(|variant| variant.model_version)
            .collect()
    }

    /// What the experiments that run change for `user`. The same every time, on every replica, as long
    /// as they do; who takes part still does when the share of traffic grows.
    #[must_use]
    pub fn assign(&self, user: UserId) -> Assignment {
        let running = Arc::clone(&self.running.read());
        assign(&running, user)
    }

    /// Notes that a list was served; never waits, and forgets rather than fill up.
    pub fn record(&self, served: Served) {
        self.recorder.record(served);
    }

    /// Creates the experiment of this name, changes it, or stops it; and whether it was created.
    ///
    /// # Errors
    /// As [`ExperimentError`] says; nothing has changed.
    pub async fn put(
        &self,
        draft: ExperimentDraft,
        created_by: Option<String>,
    ) -> Result<(Experiment, bool), ExperimentError> {
        let errors = check(&draft);
        if !errors.is_empty() {
            return Err(ExperimentError::Invalid(errors));
        }
        let mut transaction = self.pool.begin().await?;
        let latest = repository::lock_latest(&mut transaction, &draft.name).await?;
        let running = latest
            .as_ref()
            .filter(|one| one.status == Status::Running)
            .cloned();
        let is_stopped = draft.status == Some(Status::Stopped);
        let (experiment, is_new) = match (running, latest) {
            (None, Some(stopped)) if is_stopped => return Ok((stopped, false)),
            (None, None) if is_stopped => return Err(ExperimentError::NotFound),
            (Some(mut running), _) => {
                if let Some(field) = fixed(&draft, &running) {
                    return Err(ExperimentError::Fixed(field));
                }
                running.traffic = draft.traffic.unwrap_or(running.traffic);
                running.description = draft.description.unwrap_or(running.description);
                running.updated_at = self.clock.now();
                running.stopped_at = is_stopped.then(|| self.clock.now());
                let updated = repository::update(&mut transaction, &running).await?;
                (updated, false)
            }
            (None, _) => {
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
        // Other replicas learn of it with their next look; this one need not wait.
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
        let errors = check_variants(&variants, layer);
        if !errors.is_empty() {
            return Err(ExperimentError::Invalid(errors));
        }
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
            variants,
            created_by,
            created_at: now,
            updated_at: now,
            stopped_at: None,
            salt: String::new(),
        })
    }

    /// A part of all experiments, the newest first, and how many there are.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(&self, offset: i64, limit: i64) -> sqlx::Result<(Vec<Experiment>, i64)> {
        repository::list(&self.pool, offset, limit).await
    }

    /// What may be said of an experiment now.
    ///
    /// # Errors
    /// As [`ExperimentError`] says.
    pub async fn report(&self, id: i64) -> Result<Report, ExperimentError> {
        let experiment = repository::find(&self.pool, id)
            .await?
            .ok_or(ExperimentError::NotFound)?;
        Ok(report::read(&self.pool, experiment).await?)
    }
}

fn assign(running: &[Experiment], user: UserId) -> Assignment {
    let mut assignment = Assignment::default();
    for experiment in running {
        let assigned = assignment::assign(&experiment.salt, user.get());
        if assigned.entry >= experiment.traffic {
            continue;
        }
        let picked = pick(&experiment.weights(), assigned.position);
        let Some((index, variant)) =
            picked.and_then(|(index, _)| Some((index, experiment.variants.get(index)?)))
        else {
            continue;
        };
        assignment.take(variant);
        assignment.participations.push(Participation {
            experiment_id: experiment.id,
            experiment: experiment.name.clone(),
            variant: index,
            variant_name: variant.name.clone(),
            layer: experiment.layer,
            outcome_window_hours: experiment.outcome_window_hours,
        });
    }
    assignment
}

/// The first field of `draft` that is other than it is of `running`, but may not be.
fn fixed(draft: &ExperimentDraft, running: &Experiment) -> Option<&'static str> {
    fn differs<T: PartialEq>(wanted: Option<&T>, is: &T) -> bool {
        wanted.is_some_and(|wanted| wanted != is)
    }
    [
        ("layer", differs(draft.layer.as_ref(), &running.layer)),
        (
            "outcome_window_hours",
            differs(
                draft.outcome_window_hours.as_ref(),
                &running.outcome_window_hours,
            ),
        ),
        (
            "outcome_cap",
            differs(draft.outcome_cap.as_ref(), &running.outcome_cap),
        ),
        (
            "planned_users",
            differs(draft.planned_users.as_ref(), &running.planned_users),
        ),
        ("alpha", differs(draft.alpha.as_ref(), &running.alpha)),
        (
            "variants",
            differs(draft.variants.as_ref(), &running.variants),
        ),
    ]
    .into_iter()
    .find_map(|(field, differs)| differs.then_some(field))
}

/// What is wrong with `draft`, but for its variants.
fn check(draft: &ExperimentDraft) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, is_wrong: bool, message: String| {
        if is_wrong {
            errors.push(FieldError::new(field, message));
        }
    };
    refuse("name", !is_name(&draft.name), NAME_RULE.to_owned());
    let description = draft.description.as_deref().unwrap_or_default();
    refuse(
        "description",
        description.chars().count() > LONGEST_DESCRIPTION || description.contains('\0'),
        format!("must be at most {LONGEST_DESCRIPTION} characters without NUL"),
    );
    let outside = |value: Option<f64>, low: f64, high: f64| {
        value.is_some_and(|value| !(low..=high).contains(&value))
    };
    refuse(
        "traffic",
        outside(draft.traffic, 0.0, 1.0),
        "must be a number from 0 to 1".to_owned(),
    );
    refuse(
        "alpha",
        outside(draft.alpha, 0.0001, 0.2),
        "must be a number from 0.0001 to 0.2".to_owned(),
    );
    let hours = draft.outcome_window_hours;
    refuse(
        "outcome_window_hours",
        hours.is_some_and(|hours| !(1..=LONGEST_WINDOW_HOURS).contains(&hours)),
        format!("must be a whole number from 1 to {LONGEST_WINDOW_HOURS}"),
    );
    refuse(
        "outcome_cap",
        draft
            .outcome_cap
            .is_some_and(|cap| !(1..=MOST_CAP).contains(&cap)),
        format!("must be a whole number from 1 to {MOST_CAP}"),
    );
    let planned = draft.planned_users;
    refuse(
        "planned_users",
        planned.is_some_and(|users| !(10..=MOST_PLANNED_USERS).contains(&users)),
        format!("must be a whole number from 10 to {MOST_PLANNED_USERS}"),
    );
    errors
}

/// What is wrong with `variants` in `layer`.
fn check_variants(variants: &[Variant], layer: Layer) -> Vec<FieldError> {
    if !(2..=MOST_VARIANTS).contains(&variants.len()) {
        let message = format!("must be 2 to {MOST_VARIANTS}, the control first");
        return vec![FieldError::new("variants", message)];
    }
    let mut errors = Vec::new();
    let total: f64 = variants.iter().map(|variant| variant.weight).sum();
    for (index, variant) in variants.iter().enumerate() {
        let field = |name: &str| format!("variants[{index}].{name}");
        let mut refuse = |name: &str, is_wrong: bool, message: &str| {
            if is_wrong {
                errors.push(FieldError::new(field(name), message));
            }
        };
        refuse("name", !is_name(&variant.name), NAME_RULE);
        let is_taken = variants[..index].iter().any(|one| one.name == variant.name);
        refuse("name", is_taken, "must be of one variant alone");
        let is_weight = VARIANT_WEIGHTS.contains(&variant.weight);
        refuse("weight", !is_weight, "must be a number from 0.001 to 1000");
        refuse(
            "weight",
            is_weight && variant.weight / total < LEAST_SHARE,
            "must be at least a ten-thousandth of all weights",
        );
        for (name, is_given, at_home) in [
            ("strategy", variant.strategy.is_some(), Layer::Ranking),
            (
                "model_version",
                variant.model_version.is_some(),
                Layer::Ranking,
            ),
            ("blend", variant.blend.is_some(), Layer::Ranking),
            ("rules", variant.rules.is_some(), Layer::Rules),
            (
                "exploration",
                variant.exploration.is_some(),
                Layer::Exploration,
            ),
        ] {
            let message = format!("is of the layer {}, not {}", at_home.name(), layer.name());
            refuse(name, is_given && at_home != layer, &message);
        }
        refuse(
            "model_version",
            variant.model_version.is_some_and(|version| version < 1),
            "must be a whole number from 1",
        );
        let exploration = variant.exploration;
        refuse(
            "exploration",
            exploration.is_some_and(|share| !(0.0..=Exploration::MAX_SHARE).contains(&share)),
            "must be a number from 0 to 0.5",
        );
        let is_blend = variant.blend.as_ref().is_none_or(|blend| {
            blend.iter().all(|(name, weight)| {
                BLENDED.contains(&name.as_str()) && BLEND_WEIGHTS.contains(weight)
            }) && BLENDED.iter().any(|name| blend.get(*name) != Some(&0.0))
        });
        refuse(
            "blend",
            !is_blend,
            "must be weights from 0 to 10 of learned, content, taste or rules, not all 0",
        );
        if let Some(weights) = variant.rules {
            errors.extend(check_weights(&field("rules"), weights));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::{prelude::prop, prop_assert, proptest};

    use super::*;
    use crate::models::Strategy;

    fn variant(name: &str, weight: f64) -> Variant {
        Variant {
            name: name.to_owned(),
            weight,
            strategy: None,
            model_version: None,
            blend: None,
            rules: None,
            exploration: None,
        }
    }

    fn experiment(layer: Layer, salt: &str, traffic: f64, variants: Vec<Variant>) -> Experiment {
        Experiment {
            id: 1,
            name: layer.name().to_owned(),
            description: String::new(),
            status: Status::Running,
            layer,
            traffic,
            outcome_window_hours: 1,
            outcome_cap: 1,
            planned_users: 100,
            alpha: 0.05,
            variants,
            created_by: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            stopped_at: None,
            salt: salt.to_owned(),
        }
    }

    fn user(id: i64) -> UserId {
        UserId::new(id).expect("positive")
    }

    proptest! {
        #[test]
        fn a_ramp_lets_users_in_and_never_moves_them(
            salt in "[a-z]{1,8}", steps in prop::collection::vec(0.0..=1.0_f64, 1..6), id in 1..1_000_000_i64,
        ) {
            let variants = vec![variant("a", 1.0), variant("b", 2.0)];
            let mut steps = steps;
            steps.sort_by(f64::total_cmp);
            let mut before: Option<usize> = None;
            for traffic in steps {
                let running = [experiment(Layer::Ranking, &salt, traffic, variants.clone())];
                let now = assign(&running, user(id)).participations.first().map(|part| part.variant);
                prop_assert!(before.is_none() || now == before);
                before = now;
            }
        }
    }

    #[test]
    fn traffic_and_weights_are_shares_of_the_users() {
        let variants = vec![variant("a", 1.0), variant("b", 3.0)];
        let running = [experiment(Layer::Ranking, "salt", 0.4, variants)];
        let mut counts = [0; 2];
        for id in 1..=10_000 {
            if let Some(part) = assign(&running, user(id)).participations.first() {
                counts[part.variant] += 1;
            }
        }
        // Four standard deviations either way.
        assert!((880..1120).contains(&counts[0]), "{counts:?}");
        assert!((2815..3185).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn each_layer_changes_its_own() {
        let weights = Weights {
            popularity: 1.0,
            ..Weights::default()
        };
        let ranking = Variant {
            strategy: Some(Strategy::Rules),
            blend: Some(BTreeMap::from([("taste".to_owned(), 0.5)])),
            ..variant("b", 1.0)
        };
        let rules = Variant {
            rules: Some(weights),
            ..variant("b", 1.0)
        };
        let running = [
            experiment(Layer::Ranking, "one", 1.0, vec![ranking]),
            experiment(Layer::Rules, "two", 1.0, vec![rules]),
        ];
        let both = assign(&running, user(7));
        assert_eq!(both.participations.len(), 2);
        assert_eq!(
            (both.strategy, both.rules),
            (Some(Strategy::Rules), Some(weights))
        );
        let parts = both.part_weights();
        assert_eq!((parts.taste, parts.learned), (0.5, 1.0));
    }
}
