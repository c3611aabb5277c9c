//! Fits models to interactions, and measures them on later ones.

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Context, ensure};
use recommender::{
    Ease, History, Ials, Interactions, ModelName, Popularity, Scorer, Spectral, TrainedModel,
    TrainedModels,
    blend::add_part,
    content::{ContentWeight, ContentWeights},
    evaluation::{
        self, Fitted,
        metrics::{AtLength, Figures, ItemPopularity, lists},
        settings::{Model, Settings},
        split::{Dataset, Event, Split},
        tuning::{self, TagScores, Tuner, share_beside_learned},
    },
    model_file::{Manifest, ModelParts},
    rank::top_k_unseen,
    standardize,
};
use sha2::{Digest, Sha256};

use super::{content, tags::Tags};
use crate::{cli::print, read_model};

/// The split: the last tenth for the test part, the tenth before for validation.
const SPLIT: Split = Split {
    test: 10,
    valid: 10,
};
/// The lengths of lists that are measured.
const LENGTHS: [usize; 4] = [10, 20, 40, 50];
const MAX_LENGTH: usize = 50;
/// The name of the metrics of the blend with content and taste.
const WITH_TAGS: &str = "blend_and_tags";
/// The name of the metrics of the blend with the base model.
const WITH_BASE: &str = "blend_and_base";
/// The setting of the share of the base model.
const BASE_SHARE: &str = "blend.base";
/// The shares of the base model that are tried.
const BASE_SHARES: [f32; 8] = [0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95];
/// The smallest number of users with held-out movies.
const MIN_USERS: usize = 10;

/// The interactions that models are fitted to and measured on.
pub(super) struct Task {
    data: Dataset,
    /// The training and the validation part.
    all: Interactions,
    sha256: String,
    tags: Option<Tags>,
    /// The weights of the content model, if they were fitted.
    content: Option<ContentWeights>,
    /// The live base model.
    base: Option<TrainedModels>,
}

/// Fitted models with their metrics.
pub(super) struct Outcome {
    /// The data they were fitted to, and their metrics.
    pub(super) manifest: Manifest,
    /// The models.
    pub(super) parts: ModelParts,
    /// The metrics of the blend in one number; see [`Task::value`].
    pub(super) value: f64,
}

impl Outcome {
    /// The metrics, one line per model.
    pub(super) fn table(&self) -> String {
        let mut table = format!("{:14}", "held out");
        let names = [
            "recall@10",
            "ndcg@10",
            "recall@40",
            "ndcg@40",
            "coverage@50",
        ];
        for name in names {
            // Writing to a string cannot fail.
            let _ = write!(table, " {name:>11}");
        }
        for (model, figures) in &self.manifest.metrics {
            let _ = write!(table, "\n{model:14}");
            for name in names {
                let figure = figures.get(name).copied().unwrap_or_default();
                let _ = write!(table, " {figure:11.4}");
            }
        }
        table
    }
}

impl Task {
    /// A task of `events` with times, whose weights are scaled to a mean of 1, of the tags in `catalogue`, and of models
    /// that are served beside the `base` model.
    ///
    /// # Errors
    /// Fails if there are too few events to measure on.
    pub(super) fn new(
        mut events: Vec<Event>,
        catalogue: Option<read_model::Catalogue>,
        base: Option<TrainedModels>,
    ) -> anyhow::Result<Self> {
        events.sort_by_key(|event| (event.user, event.item, event.time));
        events.dedup_by_key(|event| (event.user, event.item));
        let mut hash = Sha256::new();
        for event in &events {
            hash.update(event.user.to_le_bytes());
            hash.update(event.item.to_le_bytes());
            hash.update(event.weight.to_le_bytes());
            hash.update(event.time.unwrap_or_default().to_le_bytes());
        }
        let sha256 = format!("{:x}", hash.finalize());
        let sum: f64 = events.iter().map(|event| f64::from(event.weight)).sum();
        let mean = sum / events.len().max(1) as f64;
        for event in &mut events {
            event.weight = (f64::from(event.weight) / mean) as f32;
        }
        let data = Dataset::by_time(events, SPLIT)?;
        let users = data
            .test
            .histories()
            .filter(|held| !held.is_empty())
            .count();
        ensure!(
            users >= MIN_USERS,
            "{users} users have ten films or more, too few to measure on; {MIN_USERS} are needed"
        );
        let rows = (0..data.train.users()).map(|user| {
            let valid = data.valid.as_ref().map(|valid| valid.history(user));
            let later = valid.into_iter().flat_map(History::iter);
            data.train.history(user).iter().chain(later)
        });
        let all = Interactions::from_rows(data.train.items(), rows)?;
        Ok(Self {
            tags: catalogue.map(|catalogue| Tags::new(catalogue, &data.item_ids)),
            data,
            all,
            sha256,
            content: None,
            base,
        })
    }

    /// Fits the weights of the content model to the training part, if that has enough users.
    pub(super) fn refit_content(&mut self) {
        if let Some(tags) = &mut self.tags {
            self.content = content::refit(tags, &self.data.train);
        }
    }

    /// Chooses the settings that are not set, fits, and measures.
    ///
    /// # Errors
    /// Fails if a setting is out of its range.
    pub(super) fn fit(&self, settings: &mut Settings) -> anyhow::Result<Outcome> {
        let fitted = self.with_tag_scores(|tags| {
            evaluation::fit(&self.data, &Model::ALL, tags, settings, print)
        })?;
        let base_share = self.choose_base_share(&fitted, settings)?;
        drop(fitted);
        let popularity = Popularity::fit(&self.all);
        let ease = Ease::fit(&self.all, &settings.ease).context("ease cannot be fitted")?;
        let ials = Ials::fit(&self.all, &settings.ials).context("ials cannot be fitted")?;
        let spectral =
            Spectral::fit(&self.all, &settings.spectral).context("spectral cannot be fitted")?;
        let parts = ModelParts {
            films: self.films()?,
            popularity: Some(Arc::new(popularity)),
            ease: Some(Arc::new(ease)),
            ials: Some(Arc::new(ials)),
            spectral: Some(Arc::new(spectral)),
        };
        let mut manifest = Manifest {
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            data_sha256: self.sha256.clone(),
            users: self.all.histories().filter(|own| !own.is_empty()).count(),
            films: self.all.items(),
            interactions: self.all.len(),
            seed: settings.ials.seed,
            parameters: settings.parameters(),
            ..Manifest::default()
        };
        if let Some(mut weights) = self.content {
            for weight in ContentWeight::ALL {
                let value = f64::from(*weight.of(&mut weights));
                manifest.parameters.insert(weight.name().to_owned(), value);
            }
        }
        if let Some(share) = base_share {
            manifest
                .parameters
                .insert(BASE_SHARE.to_owned(), share.into());
        }
        self.measured(manifest, parts)
    }

    /// The best share of the base model beside these models, which were fitted to the training part, on the validation
    /// part; `None` without either.
    fn choose_base_share(
        &self,
        fitted: &[Fitted],
        settings: &Settings,
    ) -> anyhow::Result<Option<f32>> {
        let (Some(base), Some(valid)) = (&self.base, &self.data.valid) else {
            return Ok(None);
        };
        let models = [
            (Model::Popularity, ModelName::Popularity),
            (Model::Ease, ModelName::Ease),
            (Model::Ials, ModelName::Ials),
            (Model::Spectral, ModelName::Spectral),
        ];
        let parts = models.into_iter().filter_map(|(model, name)| {
            let one = fitted.iter().find(|one| one.model == model)?;
            Some(TrainedModel {
                name,
                scorer: Arc::clone(&one.scorer),
                weight: settings.blend.weight(model) as f32,
            })
        });
        let familiarity = settings.blend.familiarity as f32;
        let mut own = TrainedModels::new(0, self.films()?, parts.collect(), familiarity)?;
        let tuner = Tuner::new(&self.data.train, valid, print);
        let mut best = (f64::NEG_INFINITY, 0.0);
        for share in BASE_SHARES {
            own = own.with_base_share(share)?;
            // Over the same columns, as the base model is kept to these movies.
            let Ok(both) = TrainedModels::combined(Some(&own), base, |id| own.column(id).is_some())
            else {
                return Ok(None);
            };
            let value = tuner.judge_scorer(&both.blend);
            print(&format!("blend base={share:.2}: {value:.5}"));
            if value > best.0 {
                best = (value, share);
            }
        }
        Ok(Some(best.1))
    }

    /// `trained` beside the base model, as it is served.
    fn with_base(&self, trained: TrainedModels) -> TrainedModels {
        let combined = self.base.as_ref().and_then(|base| {
            let is_known = |id: i64| {
                u64::try_from(id).is_ok_and(|id| self.data.item_ids.binary_search(&id).is_ok())
            };
            TrainedModels::combined(Some(&trained), base, is_known).ok()
        });
        combined.unwrap_or(trained)
    }

    /// Measures models that were fitted elsewhere. Weights of the blend that their manifest does not have are chosen here.
    ///
    /// # Errors
    /// Fails if the models are inconsistent with each other.
    pub(super) fn adopt(
        &self,
        mut manifest: Manifest,
        parts: ModelParts,
        settings: &mut Settings,
    ) -> anyhow::Result<Outcome> {
        let is_weight = |name: &String| name.starts_with("blend.");
        if !manifest.parameters.keys().any(is_weight) {
            let trained = parts.clone().into_trained(0, &manifest)?;
            let score = |part: &TrainedModel| {
                let mapped = Mapped::new(Arc::clone(&part.scorer), &trained, &self.data);
                let score = move |history: History<'_>, scores: &mut [f32]| {
                    mapped.score(history, scores);
                };
                (Model::from(part.name), score)
            };
            let models: Vec<_> = trained.parts.iter().map(score).collect();
            if let Some(valid) = &self.data.valid {
                let tuner = Tuner::new(&self.data.train, valid, print);
                self.with_tag_scores(|tags| {
                    tuning::blend(&models, tags, &mut settings.blend, &tuner);
                });
            }
            let chosen = settings.parameters().into_iter();
            manifest
                .parameters
                .extend(chosen.filter(|(name, _)| is_weight(name)));
        }
        self.measured(manifest, parts)
    }

    fn with_tag_scores<T>(&self, work: impl FnOnce(Option<TagScores<'_>>) -> T) -> T {
        match &self.tags {
            Some(tags) => work(Some(&|history: History<'_>| tags.score(history))),
            None => work(None),
        }
    }

    fn measured(&self, mut manifest: Manifest, parts: ModelParts) -> anyhow::Result<Outcome> {
        let trained = parts.clone().into_trained(0, &manifest)?;
        manifest.metrics.clear();
        for part in &trained.parts {
            let figures = self.figures(Arc::clone(&part.scorer), &trained);
            let name = part.name.as_str().to_owned();
            manifest.metrics.insert(name, named(&figures));
        }
        let figures = self.figures(Arc::new(trained.blend.clone()), &trained);
        manifest.metrics.insert("blend".to_owned(), named(&figures));
        let trained = self.with_base(trained);
        if self.base.is_some() {
            let figures = self.figures(Arc::new(trained.blend.clone()), &trained);
            manifest
                .metrics
                .insert(WITH_BASE.to_owned(), named(&figures));
        }
        let served = self.served(&trained);
        if self.tags.is_some() {
            manifest
                .metrics
                .insert(WITH_TAGS.to_owned(), named(&served));
        }
        Ok(Outcome {
            manifest,
            parts,
            value: value(&served),
        })
    }

    /// The geometric mean of Recall and NDCG at 10 and at 40 of the lists that `trained` serves, on the held-out part.
    pub(super) fn value(&self, trained: TrainedModels) -> f64 {
        value(&self.served(&self.with_base(trained)))
    }

    /// As [`Task::value`], of popularity alone.
    pub(super) fn popularity(&self) -> f64 {
        let popularity = Popularity::fit(&self.all);
        value(&self.measure(|history, scores| popularity.score(history, scores)))
    }

    fn figures(&self, scorer: Arc<dyn Scorer>, trained: &TrainedModels) -> Figures {
        let mapped = Mapped::new(scorer, trained, &self.data);
        self.measure(|history, scores| mapped.score(history, scores))
    }

    /// The metrics of the blend with content and taste.
    fn served(&self, trained: &TrainedModels) -> Figures {
        let blend = Mapped::new(Arc::new(trained.blend.clone()), trained, &self.data);
        self.measure(|history, scores| {
            blend.score(history, scores);
            let Some(tags) = &self.tags else {
                return;
            };
            let share = share_beside_learned(history.len());
            let weights = [trained.content_weight, trained.taste_weight];
            for (own, weight) in tags.score(history).into_iter().zip(weights) {
                add_part(scores, &own, standardize(&own, history), share * weight);
            }
        })
    }

    fn measure(&self, score: impl Fn(History<'_>, &mut [f32]) + Sync) -> Figures {
        let held_out = &self.data.test;
        let lists = lists(score, &self.all, &self.all, held_out, |scores, hidden| {
            let best = top_k_unseen(scores, hidden, MAX_LENGTH);
            best.into_iter().map(|(item, _)| item).collect()
        });
        let popularity = ItemPopularity::new(&self.all);
        Figures::new(&lists, &self.all, held_out, &popularity, &LENGTHS)
    }

    fn films(&self) -> anyhow::Result<Vec<i64>> {
        let ids = self.data.item_ids.iter();
        ids.map(|id| i64::try_from(*id).context("the id of a movie is too large"))
            .collect()
    }
}

fn value(figures: &Figures) -> f64 {
    let [ten, _, forty, _] = figures.at[..] else {
        return 0.0;
    };
    let of = |at: AtLength| at.recall * at.ndcg;
    (of(ten) * of(forty)).powf(0.25)
}

fn named(figures: &Figures) -> std::collections::BTreeMap<String, f64> {
    let mut named = std::collections::BTreeMap::new();
    for (length, at) in LENGTHS.iter().zip(&figures.at) {
        named.insert(format!("recall@{length}"), at.recall);
        named.insert(format!("ndcg@{length}"), at.ndcg);
    }
    named.insert("coverage@50".to_owned(), figures.coverage);
    named.insert("novelty@50".to_owned(), figures.novelty);
    named
}

/// A model over the columns of a version as one over those of a dataset. Movies that the version does not cover get the
/// lowest score.
struct Mapped {
    scorer: Arc<dyn Scorer>,
    /// Column of the dataset → column of the version.
    columns: Vec<Option<u32>>,
}

impl Mapped {
    fn new(scorer: Arc<dyn Scorer>, trained: &TrainedModels, data: &Dataset) -> Self {
        let column = |id: &u64| trained.column(i64::try_from(*id).ok()?);
        Self {
            scorer,
            columns: data.item_ids.iter().map(column).collect(),
        }
    }

    /// Writes a score per column of the dataset. Columns of both ascend by id, so a mapped history ascends too.
    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        let (items, weights): (Vec<u32>, Vec<f32>) = history
            .iter()
            .filter_map(|(item, weight)| Some((self.columns[item as usize]?, weight)))
            .unzip();
        let mut own = vec![0.0; self.scorer.items()];
        let history = History {
            items: &items,
            weights: &weights,
        };
        self.scorer.score(history, &mut own);
        let least = own.iter().copied().fold(f32::INFINITY, f32::min);
        for (score, column) in scores.iter_mut().zip(&self.columns) {
            *score = column.map_or(least, |column| own[column as usize]);
        }
    }
}
