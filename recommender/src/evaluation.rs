//! Offline evaluation: models are fitted on the training part of a dataset; settings, and the weights of the blend, are
//! chosen on the validation part alone; the test part is only measured on.
//!
//! [`split`] makes datasets, [`formats`] parses files, [`tuning`] chooses settings, [`metrics`] measures, [`report`]
//! writes tables. Fits are timed, and on Linux the peak memory of the process is read from `/proc`.

pub mod formats;
pub mod metrics;
pub mod report;
pub mod settings;
pub mod split;
pub mod tuning;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    settings::{BlendSettings, Model, Settings},
    split::Dataset,
    tuning::{TagScores, Tuner},
};
use crate::{
    Blend, FitError, History, Interactions, Part, Popularity, Scorer, Spectral, SpectralSettings,
};

/// An evaluation that failed since a model cannot be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{model} cannot be fitted")]
pub struct EvaluationError {
    /// The name of the model.
    pub model: &'static str,
    /// The cause.
    pub source: FitError,
}

/// A fitted model with its cost.
#[derive(Clone)]
pub struct Fitted {
    /// The kind of model.
    pub model: Model,
    /// Its settings as text.
    pub settings: String,
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// The time that fitting took.
    pub took: Duration,
    /// The peak memory of the process while fitting, MiB; `None` if the system does not report it.
    pub peak: Option<u64>,
}

impl Fitted {
    /// Runs `fit` and measures it.
    ///
    /// # Errors
    /// [`EvaluationError`] if `fit` fails.
    pub fn fit<S: Scorer + 'static>(
        model: Model,
        settings: String,
        fit: impl FnOnce() -> Result<S, FitError>,
    ) -> Result<Self, EvaluationError> {
        reset_peak();
        let start = Instant::now();
        let scorer = fit().map_err(|source| EvaluationError {
            model: model.name(),
            source,
        })?;
        Ok(Self {
            model,
            settings,
            scorer: Arc::new(scorer),
            took: start.elapsed(),
            peak: peak(),
        })
    }
}

/// Fits `models`, in the order of [`Model::ALL`], with the settings that were set or, if there is a validation part,
/// with the best ones, which `settings` gets; beside them their blend, if it is among `models`, and the weights of content
/// and taste if `tags` scores these. Each try of the search is passed to `report`.
///
/// # Errors
/// [`EvaluationError`] if a model cannot be fitted.
pub fn fit(
    data: &Dataset,
    models: &[Model],
    tags: Option<TagScores<'_>>,
    settings: &mut Settings,
    report: fn(&str),
) -> Result<Vec<Fitted>, EvaluationError> {
    let is_needed = |model: Model| models.contains(&model) || models.contains(&Model::Blend);
    let tuner = data
        .valid
        .as_ref()
        .map(|valid| Tuner::new(&data.train, valid, report));
    let mut fitted = Vec::new();
    for model in Model::ALL {
        if !is_needed(model) {
            continue;
        }
        let tuner = tuner.as_ref().filter(|_| !settings.is_given(model));
        fitted.push(match model {
            Model::Popularity => {
                Fitted::fit(model, String::new(), || Ok(Popularity::fit(&data.train)))?
            }
            Model::Ease => tuning::ease(&data.train, &mut settings.ease, tuner)?,
            Model::Ials => tuning::ials(&data.train, &mut settings.ials, tuner)?,
            Model::Spectral => spectral(&data.train, &settings.spectral)?,
            Model::Content | Model::Taste | Model::Base => continue,
            Model::Blend => {
                if let Some(tuner) = tuner {
                    let score = |one: &Fitted| {
                        let scorer = Arc::clone(&one.scorer);
                        let score = move |history: History<'_>, scores: &mut [f32]| {
                            scorer.score(history, scores);
                        };
                        (one.model, score)
                    };
                    let models: Vec<_> = fitted.iter().map(score).collect();
                    tuning::blend(&models, tags, &mut settings.blend, tuner);
                }
                blend(&fitted, &settings.blend)?
            }
        });
    }
    fitted.retain(|one| models.contains(&one.model));
    Ok(fitted)
}

/// The low-pass filter with the settings of its paper: it is weak by itself, and settings that make it better alone do
/// not add more to the blend.
fn spectral(train: &Interactions, settings: &SpectralSettings) -> Result<Fitted, EvaluationError> {
    let description = format!(
        "dimensions={} user_discount={:.3} item_discount={:.3}",
        settings.dimensions, settings.user_discount, settings.item_discount
    );
    Fitted::fit(Model::Spectral, description, || {
        Spectral::fit(train, settings)
    })
}

fn blend(fitted: &[Fitted], settings: &BlendSettings) -> Result<Fitted, EvaluationError> {
    let parts = fitted.iter().map(|one| Part {
        scorer: Arc::clone(&one.scorer),
        weight: settings.weight(one.model) as f32,
        personal: one.model != Model::Popularity,
    });
    let description = format!(
        "ease={:.3} ials={:.3} spectral={:.3} popularity={:.3} familiarity={:.3}",
        settings.ease, settings.ials, settings.spectral, settings.popularity, settings.familiarity,
    );
    let mut blend = Fitted::fit(Model::Blend, description, || {
        Blend::new(parts.collect(), settings.familiarity as f32)
    })?;
    // The cost of a blend is that of its parts.
    blend.took += fitted.iter().map(|one| one.took).sum();
    blend.peak = fitted.iter().map(|one| one.peak).max().flatten();
    Ok(blend)
}

/// Resets the peak memory of the process, so that the next peak is that of one fit.
fn reset_peak() {
    // Without the permission the reported peak is that of the whole process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The peak memory of the process, MiB.
fn peak() -> Option<u64> {
    process_memory_mib("VmHWM:")
}

/// The value of `name` in `/proc/self/status`, MiB; `None` on systems without it.
#[must_use]
pub fn process_memory_mib(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.div_ceil(1024))
}
