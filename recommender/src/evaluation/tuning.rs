//! Choice of settings on the validation part.
//!
//! Each model is tuned by itself, then the weights of the blend over the tuned models: a pattern search (Hooke and
//! Jeeves, *Direct Search Solution of Numerical and Statistical Problems*, Journal of the ACM 8 (2), 1961) from the
//! defaults, one setting at a time, up or down as long as that helps, with smaller steps once none does. A step must
//! improve by a thousandth, since smaller gains are within the noise of the metrics.

use std::{convert::Infallible, ops::RangeInclusive};

use rayon::prelude::*;

use super::{
    EvaluationError, Fitted,
    metrics::AtLength,
    settings::{BlendSettings, Model},
};
use crate::{
    Ease, EaseSettings, History, Ials, IalsSettings, Interactions, Scorer, add_standardized,
    blend::{Evidence, Shares, share_among_learned},
    rank::top_k_unseen,
    standardize,
};

type Result<T> = std::result::Result<T, EvaluationError>;

/// The largest number of users that settings are chosen on.
const MAX_USERS: usize = 8_000;
/// The largest number of standardized scores kept of each of six models to tune the blend.
const MAX_KEPT_SCORES: usize = 40 << 20;
/// The factor by which a step must improve.
const MIN_GAIN: f64 = 1.001;

/// The validation data and the users that settings are chosen on.
pub struct Tuner<'a> {
    train: &'a Interactions,
    valid: &'a Interactions,
    users: Vec<usize>,
    report: fn(&str),
}

impl<'a> Tuner<'a> {
    /// A tuner of models that are fitted to `train` and judged on `valid`; it calls `report` with each try.
    #[must_use]
    pub fn new(train: &'a Interactions, valid: &'a Interactions, report: fn(&str)) -> Self {
        let mut users: Vec<usize> = (0..valid.users())
            .filter(|user| !valid.history(*user).is_empty())
            .collect();
        let most = MAX_USERS.min(MAX_KEPT_SCORES / train.items().max(1)).max(1);
        let step = users.len().div_ceil(most).max(1);
        users = users.into_iter().step_by(step).collect();
        Self {
            train,
            valid,
            users,
            report,
        }
    }

    fn report(&self, model: Model, settings: &str, value: f64) {
        (self.report)(&format!("{} {settings}: {value:.5}", model.name()));
    }

    /// The geometric mean of Recall and NDCG at 10 and 40, so that equal relative gains of either count alike, of lists
    /// by the scores that `score` writes for a user, given with their position in `users`.
    fn judge(&self, score: impl Fn(usize, usize, &mut [f32]) + Sync) -> f64 {
        let values: Vec<[f64; 4]> = self
            .users
            .par_iter()
            .enumerate()
            .map_init(
                || vec![0.0; self.train.items()],
                |scores, (place, user)| {
                    score(place, *user, scores);
                    let list: Vec<u32> = top_k_unseen(scores, self.train.history(*user), 40)
                        .into_iter()
                        .map(|(item, _)| item)
                        .collect();
                    let held_out = self.valid.history(*user).items;
                    let ten = AtLength::new(&list, held_out, 10);
                    let forty = AtLength::new(&list, held_out, 40);
                    [ten.recall, ten.ndcg, forty.recall, forty.ndcg]
                },
            )
            .collect();
        let product: f64 = (0..4)
            .map(|figure| values.iter().map(|value| value[figure]).sum::<f64>())
            .map(|sum| sum / self.users.len().max(1) as f64)
            .product();
        product.powf(0.25)
    }

    /// The geometric mean of Recall and NDCG at 10 and 40 of lists by the scores of `scorer`.
    #[must_use]
    pub fn judge_scorer(&self, scorer: &dyn Scorer) -> f64 {
        self.judge(|_, user, scores| scorer.score(self.train.history(user), scores))
    }
}

/// The first step of a setting that is searched.
pub(crate) enum Step {
    Times(f64),
    Plus(f64),
}

/// A setting that is searched, within a range.
pub(crate) type Dimension = (Step, RangeInclusive<f64>);

/// The value one step up or down; steps become smaller as `fineness` rises from 0.
fn moved((step, range): &Dimension, value: f64, up: bool, fineness: i32) -> f64 {
    let sign = if up { 1.0 } else { -1.0 };
    let part = sign * 0.5_f64.powi(fineness);
    let moved = match step {
        Step::Times(step) => value * step.powf(part),
        Step::Plus(step) => value + part * step,
    };
    moved.clamp(*range.start(), *range.end())
}

/// Moves `values` along `dimensions` to a maximum of `judge`, which returns a value and a result; the result of the best
/// values is returned.
pub(crate) fn climb<T, E>(
    values: &mut [f64],
    dimensions: &[Dimension],
    finest: i32,
    mut judge: impl FnMut(&[f64]) -> std::result::Result<(f64, T), E>,
) -> std::result::Result<T, E> {
    let (mut best, mut result) = judge(values)?;
    for fineness in 0..=finest {
        loop {
            let mut has_moved = false;
            for (place, dimension) in dimensions.iter().enumerate() {
                for up in [true, false] {
                    let mut advanced = false;
                    loop {
                        let before = values[place];
                        values[place] = moved(dimension, before, up, fineness);
                        if values[place].to_bits() == before.to_bits() {
                            break;
                        }
                        let (value, tried) = judge(values)?;
                        if value <= best * MIN_GAIN {
                            values[place] = before;
                            break;
                        }
                        (best, result) = (value, tried);
                        advanced = true;
                    }
                    if advanced {
                        has_moved = true;
                        break;
                    }
                }
            }
            if !has_moved {
                break;
            }
        }
    }
    Ok(result)
}

/// EASE fitted with the best settings, or with `settings` without a tuner.
///
/// # Errors
/// [`EvaluationError`] if a setting is out of its range.
pub fn ease(
    train: &Interactions,
    settings: &mut EaseSettings,
    tuner: Option<&Tuner<'_>>,
) -> Result<Fitted> {
    let fit = |settings: &EaseSettings| {
        let description = format!(
            "regularization={:.0} user_discount={:.3} item_discount={:.3} dropout={:.2}",
            settings.regularization,
            settings.user_discount,
            settings.item_discount,
            settings.dropout
        );
        Fitted::fit(Model::Ease, description, || Ease::fit(train, settings))
    };
    let Some(tuner) = tuner else {
        return fit(settings);
    };
    let mut values = [
        settings.regularization,
        settings.user_discount,
        settings.item_discount,
    ];
    let dimensions = [
        (Step::Times(1.5), 1.0..=1e5),
        (Step::Plus(0.1), 0.0..=1.0),
        (Step::Plus(0.05), 0.0..=1.0),
    ];
    // Of a large catalogue, most of a fit are the sparse weights, which hardly move the best settings.
    let covered = train.counts().iter().filter(|count| **count > 0).count();
    let is_large = settings.neighbors > 0 && covered > settings.max_items;
    let at = |values: &[f64]| EaseSettings {
        regularization: values[0],
        user_discount: values[1],
        item_discount: values[2],
        ..*settings
    };
    let best = climb(&mut values, &dimensions, 0, |values| {
        let tried = EaseSettings {
            neighbors: if is_large { 0 } else { settings.neighbors },
            ..at(values)
        };
        judged(tuner, fit(&tried)?)
    })?;
    *settings = at(&values);
    if is_large { fit(settings) } else { Ok(best) }
}

/// iALS fitted with the best settings, or with `settings` without a tuner.
///
/// # Errors
/// [`EvaluationError`] if a setting is out of its range.
pub fn ials(
    train: &Interactions,
    settings: &mut IalsSettings,
    tuner: Option<&Tuner<'_>>,
) -> Result<Fitted> {
    let fit = |settings: &IalsSettings| {
        let description = format!(
            "dimensions={} epochs={} unobserved_weight={:.3} regularization={:.5}",
            settings.dimensions,
            settings.epochs,
            settings.unobserved_weight,
            settings.regularization
        );
        Fitted::fit(Model::Ials, description, || Ials::fit(train, settings))
    };
    let Some(tuner) = tuner else {
        return fit(settings);
    };
    let mut values = [settings.regularization, settings.unobserved_weight];
    let dimensions = [
        (Step::Times(1.15), 1e-5..=1.0),
        (Step::Times(1.3), 1e-3..=10.0),
    ];
    let at = |values: &[f64]| IalsSettings {
        regularization: values[0],
        unobserved_weight: values[1],
        ..*settings
    };
    let best = climb(&mut values, &dimensions, 0, |values| {
        judged(tuner, fit(&at(values))?)
    })?;
    *settings = at(&values);
    Ok(best)
}

fn judged(tuner: &Tuner<'_>, fitted: Fitted) -> Result<(f64, Fitted)> {
    let value = tuner.judge_scorer(fitted.scorer.as_ref());
    tuner.report(fitted.model, &fitted.settings, value);
    Ok((value, fitted))
}

/// The scores of each item by content and by taste for a user with this history.
pub type TagScores<'a> = &'a (dyn Fn(History<'_>) -> [Vec<f32>; 2] + Sync);

/// Sets `settings` to the best weights for a blend of `models`, each with the function that writes its scores for a
/// history, with content and taste beside them if `tags` scores them.
pub fn blend<S: Fn(History<'_>, &mut [f32]) + Sync>(
    models: &[(Model, S)],
    tags: Option<TagScores<'_>>,
    settings: &mut BlendSettings,
    tuner: &Tuner<'_>,
) {
    let items = tuner.train.items();
    if items == 0 || tuner.users.is_empty() {
        return;
    }
    let scores = standardized_scores(models, tags, tuner);
    type Weight = fn(&mut BlendSettings) -> &mut f64;
    let weight = |step| (Step::Plus(step), 0.0..=10.0);
    // Only ratios matter, so the weight of EASE stays.
    let mut searched: Vec<(&str, Weight, Dimension)> = vec![
        ("ials", |own| &mut own.ials, weight(0.1)),
        ("spectral", |own| &mut own.spectral, weight(0.05)),
        (
            "familiarity",
            |own| &mut own.familiarity,
            (Step::Times(2.0), 0.25..=16.0),
        ),
    ];
    if tags.is_some() {
        searched.push(("content", |own| &mut own.content, weight(0.1)));
        searched.push(("taste", |own| &mut own.taste, weight(0.1)));
    }
    let (names, dimensions): (Vec<(&str, Weight)>, Vec<Dimension>) = searched
        .into_iter()
        .map(|(name, weight, dimension)| ((name, weight), dimension))
        .unzip();
    let mut values: Vec<f64> = names.iter().map(|(_, weight)| *weight(settings)).collect();
    let set = |settings: &mut BlendSettings, values: &[f64]| {
        for ((_, weight), value) in names.iter().zip(values) {
            *weight(settings) = *value;
        }
    };
    let Ok::<(), Infallible>(()) = climb(&mut values, &dimensions, 1, |values| {
        set(settings, values);
        let value = tuner.judge(|place, user, sums| {
            let history_len = tuner.train.history(user).len();
            sums.fill(0.0);
            for (model, scores) in &scores {
                let weight = blend_weight(*model, settings, history_len);
                let own = &scores[place * items..][..items];
                for (sum, score) in sums.iter_mut().zip(own) {
                    *sum += weight * score;
                }
            }
        });
        let description: Vec<String> = names
            .iter()
            .zip(values)
            .map(|((name, _), value)| format!("{name}={value:.3}"))
            .collect();
        tuner.report(Model::Blend, &description.join(" "), value);
        Ok((value, ()))
    });
    set(settings, &values);
}

/// The weight of `model` for a user with so many items, where the learned models together have a share of 1.
fn blend_weight(model: Model, settings: &BlendSettings, items: usize) -> f32 {
    let share = match model {
        Model::Content | Model::Taste => share_beside_learned(items),
        _ => {
            let is_personal = model != Model::Popularity;
            share_among_learned(is_personal, settings.familiarity as f32, items)
        }
    };
    share * settings.weight(model) as f32
}

/// The standardized scores of each model for the users of `tuner`, one row of items per user.
fn standardized_scores<S: Fn(History<'_>, &mut [f32]) + Sync>(
    models: &[(Model, S)],
    tags: Option<TagScores<'_>>,
    tuner: &Tuner<'_>,
) -> Vec<(Model, Vec<f32>)> {
    let items = tuner.train.items();
    let empty = || vec![0.0; tuner.users.len() * items];
    let add = |sums: &mut [f32], own: &[f32], history: History<'_>| {
        add_standardized(sums, own, standardize(own, history), 1.0);
    };
    let mut scores: Vec<(Model, Vec<f32>)> = Vec::new();
    for (model, score) in models {
        let mut all = empty();
        all.par_chunks_mut(items).zip(&tuner.users).for_each_init(
            || vec![0.0; items],
            |own, (sums, user)| {
                let history = tuner.train.history(*user);
                score(history, own);
                add(sums, own, history);
            },
        );
        scores.push((*model, all));
    }
    if let Some(tags) = tags {
        let (mut content, mut taste) = (empty(), empty());
        let rows = content
            .par_chunks_mut(items)
            .zip(taste.par_chunks_mut(items));
        rows.zip(&tuner.users).for_each(|((content, taste), user)| {
            let history = tuner.train.history(*user);
            let [own_content, own_taste] = tags(history);
            add(content, &own_content, history);
            add(taste, &own_taste, history);
        });
        scores.extend([(Model::Content, content), (Model::Taste, taste)]);
    }
    scores
}

/// The share of content and taste for a user with so many items, all of which have tags and are covered by the learned
/// models, whose share is 1.
#[must_use]
pub fn share_beside_learned(items: usize) -> f32 {
    let evidence = Evidence {
        learned: items,
        content: items,
        stated: 0.0,
    };
    Shares::new(evidence).relative_to_learned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tastes;

    /// A search ends with tries that are no better.
    #[test]
    fn the_best_settings_are_kept_rather_than_the_last_ones_tried() {
        let (train, valid) = (tastes(60, 24), tastes(60, 24));
        let rows = train.histories().map(|history| {
            let half = history.len() / 2;
            history.iter().take(half).collect::<Vec<_>>()
        });
        let train = Interactions::from_rows(24, rows).expect("in range");
        let tuner = Tuner::new(&train, &valid, |_| ());
        for max_items in [24, 8] {
            let mut settings = EaseSettings {
                max_items,
                ..EaseSettings::default()
            };
            let fitted = ease(&train, &mut settings, Some(&tuner)).expect("fits");
            let again = Ease::fit(&train, &settings).expect("fits");
            let scores = |scorer: &dyn Scorer| {
                let mut scores = vec![0.0; 24];
                scorer.score(train.history(0), &mut scores);
                scores
            };
            assert_eq!(scores(fitted.scorer.as_ref()), scores(&again));
        }
    }

    #[test]
    fn the_search_finds_the_maximum_and_keeps_its_result() {
        let mut values = [1.0, 0.0];
        let dimensions = [
            (Step::Times(2.0), 0.1..=100.0),
            (Step::Plus(0.5), -1.0..=1.0),
        ];
        let result = climb(&mut values, &dimensions, 0, |values| {
            let height = 100.0 - (values[0] - 8.0).abs() - 10.0 * (values[1] + 1.0).abs();
            Ok::<_, Infallible>((height, values.to_vec()))
        });
        assert_eq!(result.expect("no error"), [8.0, -1.0]);
        assert_eq!(values.map(f64::to_bits), [8.0_f64, -1.0].map(f64::to_bits));
    }
}
