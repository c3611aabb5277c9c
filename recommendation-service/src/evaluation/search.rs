//! Settings chosen on the validation part.
//!
//! Each model is searched by itself, then the weights of the blend over the chosen models: a pattern
//! search (Hooke and Jeeves, *Direct Search Solution of Numerical and Statistical Problems*, 1961) from
//! the defaults, one setting at a time, up or down as long as that helps, with smaller steps once none
//! does. A step must be better by a thousandth: there is noise in the figures, and settings that won by
//! less would not win again.

use std::{io::Write as _, sync::Arc};

use rayon::prelude::*;

use crate::evaluation::{
    BlendSettings, Fitted, Model,
    metrics::{AtLength, rank},
};
use recommender::{
    Ease, EaseSettings, History, Ials, IalsSettings, Interactions, Scorer, add_standardized,
    blend::{Evidence, Shares, share_among_learned},
    standardize,
};

/// Users on whom settings are chosen, at most.
const USERS: usize = 8_000;
/// Standardized scores that are kept for choosing the blend, at most, of each model; there are six.
const KEPT_SCORES: usize = 40 << 20;
/// How much better a step must be.
const LEAST_GAIN: f64 = 1.001;

/// Where settings are tried.
pub(crate) struct Bench<'a> {
    train: &'a Interactions,
    valid: &'a Interactions,
    users: Vec<usize>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(train: &'a Interactions, valid: &'a Interactions) -> Self {
        let mut users: Vec<usize> = (0..valid.users())
            .filter(|user| !valid.history(*user).is_empty())
            .collect();
        let most = USERS.min(KEPT_SCORES / train.items().max(1)).max(1);
        let step = users.len().div_ceil(most).max(1);
        users = users.into_iter().step_by(step).collect();
        Self {
            train,
            valid,
            users,
        }
    }

    /// The geometric mean of Recall and NDCG at 10 and 40, so that a hundredth more of either counts
    /// alike, of lists by what `score` writes for the user in that place of `users`.
    fn judge(&self, score: impl Fn(usize, usize, &mut [f32]) + Sync) -> f64 {
        let values: Vec<[f64; 4]> = self
            .users
            .par_iter()
            .enumerate()
            .map_init(
                || vec![0.0; self.train.items()],
                |scores, (place, user)| {
                    score(place, *user, scores);
                    let list: Vec<u32> = rank(scores, self.train.history(*user), 40)
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

    fn judge_scorer(&self, scorer: &dyn Scorer) -> f64 {
        self.judge(|_, user, scores| scorer.score(self.train.history(user), scores))
    }
}

/// A setting that may be moved.
struct Knob {
    /// How far it moves first.
    step: f64,
    /// Whether a step multiplies rather than adds.
    multiplies: bool,
    range: std::ops::RangeInclusive<f64>,
}

impl Knob {
    fn times(step: f64, range: std::ops::RangeInclusive<f64>) -> Self {
        Self {
            step,
            multiplies: true,
            range,
        }
    }

    fn plus(step: f64, range: std::ops::RangeInclusive<f64>) -> Self {
        Self {
            step,
            multiplies: false,
            range,
        }
    }

    /// The value one step up or down; steps become smaller as `fineness` rises from 0.
    fn moved(&self, value: f64, up: bool, fineness: i32) -> f64 {
        let sign = if up { 1.0 } else { -1.0 };
        let part = sign * 0.5_f64.powi(fineness);
        let moved = if self.multiplies {
            value * self.step.powf(part)
        } else {
            value + part * self.step
        };
        moved.clamp(*self.range.start(), *self.range.end())
    }
}

/// Moves `values` as `knobs` allow to where `judge` finds them best; each value tried gives a result,
/// of which the best one's is kept.
fn climb<T>(
    values: &mut [f64],
    knobs: &[Knob],
    finest: i32,
    mut judge: impl FnMut(&[f64]) -> anyhow::Result<(f64, T)>,
) -> anyhow::Result<T> {
    let (mut best, mut result) = judge(values)?;
    for fineness in 0..=finest {
        loop {
            let mut moved = false;
            for (place, knob) in knobs.iter().enumerate() {
                for up in [true, false] {
                    let mut advanced = false;
                    loop {
                        let before = values[place];
                        values[place] = knob.moved(before, up, fineness);
                        if values[place].to_bits() == before.to_bits() {
                            break;
                        }
                        let (value, tried) = judge(values)?;
                        if value <= best * LEAST_GAIN {
                            values[place] = before;
                            break;
                        }
                        (best, result) = (value, tried);
                        advanced = true;
                    }
                    if advanced {
                        moved = true;
                        break;
                    }
                }
            }
            if !moved {
                break;
            }
        }
    }
    Ok(result)
}

fn tell(model: Model, settings: &str, value: f64) {
    let _ = writeln!(std::io::stderr(), "{} {settings}: {value:.5}", model.name());
}

/// EASE with the best settings, fitted.
pub(super) fn ease(
    train: &Interactions,
    settings: &mut EaseSettings,
    bench: Option<&mut Bench<'_>>,
) -> anyhow::Result<Fitted> {
    let fit = |settings: &EaseSettings| {
        let told = format!(
            "regularization={:.0} user_discount={:.3} item_discount={:.3}",
            settings.regularization, settings.user_discount, settings.item_discount
        );
        Fitted::fit(Model::Ease, told, || Ease::fit(train, settings))
    };
    let Some(bench) = bench else {
        return fit(settings);
    };
    let mut values = [
        settings.regularization,
        settings.user_discount,
        settings.item_discount,
    ];
    let knobs = [
        Knob::times(1.5, 1.0..=1e5),
        Knob::plus(0.1, 0.0..=1.0),
        Knob::plus(0.05, 0.0..=1.0),
    ];
    climb(&mut values, &knobs, 0, |values| {
        [
            settings.regularization,
            settings.user_discount,
            settings.item_discount,
        ] = [values[0], values[1], values[2]];
        judged(bench, fit(settings)?)
    })
}

/// iALS with the best settings, fitted.
pub(super) fn ials(
    train: &Interactions,
    settings: &mut IalsSettings,
    bench: Option<&mut Bench<'_>>,
) -> anyhow::Result<Fitted> {
    let fit = |settings: &IalsSettings| {
        let told = format!(
            "dimensions={} epochs={} unobserved_weight={:.3} regularization={:.5}",
            settings.dimensions,
            settings.epochs,
            settings.unobserved_weight,
            settings.regularization
        );
        Fitted::fit(Model::Ials, told, || Ials::fit(train, settings))
    };
    let Some(bench) = bench else {
        return fit(settings);
    };
    let mut values = [settings.regularization, settings.unobserved_weight];
    let knobs = [Knob::times(1.15, 1e-5..=1.0), Knob::times(1.3, 1e-3..=10.0)];
    climb(&mut values, &knobs, 0, |values| {
        [settings.regularization, settings.unobserved_weight] = [values[0], values[1]];
        judged(bench, fit(settings)?)
    })
}

fn judged(bench: &Bench<'_>, fitted: Fitted) -> anyhow::Result<(f64, Fitted)> {
    let value = bench.judge_scorer(fitted.scorer.as_ref());
    tell(fitted.model, &fitted.settings, value);
    Ok((value, fitted))
}

/// What content and taste say of each film to a user with this history.
pub(crate) type TagScores<'a> = &'a (dyn Fn(History<'_>) -> [Vec<f32>; 2] + Sync);

/// The best weights for a blend of `fitted`, with content and taste beside them where `tags` tells what
/// these say.
pub(crate) fn blend(
    fitted: &[Fitted],
    tags: Option<TagScores<'_>>,
    settings: &mut BlendSettings,
    bench: &mut Bench<'_>,
) -> anyhow::Result<()> {
    let items = bench.train.items();
    if items == 0 || bench.users.is_empty() {
        return Ok(());
    }
    let mut scores: Vec<(Model, Vec<f32>)> = fitted
        .iter()
        .map(|one| {
            let mut all = vec![0.0; bench.users.len() * items];
            let scorer = Arc::clone(&one.scorer);
            all.par_chunks_mut(items).zip(&bench.users).for_each_init(
                || vec![0.0; items],
                |own, (sums, user)| {
                    let history = bench.train.history(*user);
                    scorer.score(history, own);
                    add_standardized(sums, own, standardize(own, history), 1.0);
                },
            );
            (one.model, all)
        })
        .collect();
    if let Some(tags) = tags {
        let mut both = [(); 2].map(|()| vec![0.0; bench.users.len() * items]);
        let [content, taste] = &mut both;
        let places = content
            .par_chunks_mut(items)
            .zip(taste.par_chunks_mut(items));
        places
            .zip(&bench.users)
            .for_each(|((content, taste), user)| {
                let history = bench.train.history(*user);
                for (sums, own) in [content, taste].into_iter().zip(tags(history)) {
                    add_standardized(sums, &own, standardize(&own, history), 1.0);
                }
            });
        scores.extend([Model::Content, Model::Taste].into_iter().zip(both));
    }
    // Only ratios matter, so EASE's weight stays.
    type Place = fn(&mut BlendSettings) -> &mut f64;
    let mut moved: Vec<(&str, Place, Knob)> = vec![
        ("ials", |own| &mut own.ials, Knob::plus(0.1, 0.0..=10.0)),
        (
            "spectral",
            |own| &mut own.spectral,
            Knob::plus(0.05, 0.0..=10.0),
        ),
        (
            "familiarity",
            |own| &mut own.familiarity,
            Knob::times(2.0, 0.25..=16.0),
        ),
    ];
    if tags.is_some() {
        moved.push((
            "content",
            |own| &mut own.content,
            Knob::plus(0.1, 0.0..=10.0),
        ));
        moved.push(("taste", |own| &mut own.taste, Knob::plus(0.1, 0.0..=10.0)));
    }
    let (names, knobs): (Vec<(&str, Place)>, Vec<Knob>) = moved
        .into_iter()
        .map(|(name, place, knob)| ((name, place), knob))
        .unzip();
    let mut values: Vec<f64> = names.iter().map(|(_, place)| *place(settings)).collect();
    let set = |settings: &mut BlendSettings, values: &[f64]| {
        for ((_, place), value) in names.iter().zip(values) {
            *place(settings) = *value;
        }
    };
    climb(&mut values, &knobs, 1, |values| {
        set(settings, values);
        let value = bench.judge(|place, user, sums| {
            let films = bench.train.history(user).len();
            let familiarity = settings.familiarity as f32;
            let [content, taste] = shares_beside_learned(films);
            sums.fill(0.0);
            for (model, scores) in &scores {
                let share = match model {
                    Model::Content => content,
                    Model::Taste => taste,
                    _ => share_among_learned(*model != Model::Popularity, familiarity, films),
                };
                let weight = share * settings.weight(*model) as f32;
                let own = &scores[place * items..][..items];
                for (sum, score) in sums.iter_mut().zip(own) {
                    *sum += weight * score;
                }
            }
        });
        let told = names.iter().zip(values);
        let told: Vec<String> = told
            .map(|((name, _), value)| format!("{name}={value:.3}"))
            .collect();
        tell(Model::Blend, &told.join(" "), value);
        Ok((value, ()))
    })?;
    set(settings, &values);
    Ok(())
}

/// The shares of content and taste for a user with so many films, all of which have tags and are known to the learned
/// models, whose share is 1.
#[must_use]
pub(crate) fn shares_beside_learned(films: usize) -> [f32; 2] {
    let evidence = Evidence {
        learned: films,
        content: films,
        taste: films,
    };
    Shares::new(evidence).relative_to_learned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn climbing_finds_the_top_and_keeps_what_belongs_to_it() {
        let mut values = [1.0, 0.0];
        let knobs = [Knob::times(2.0, 0.1..=100.0), Knob::plus(0.5, -1.0..=1.0)];
        let result = climb(&mut values, &knobs, 0, |values| {
            let height = 100.0 - (values[0] - 8.0).abs() - 10.0 * (values[1] + 1.0).abs();
            Ok((height, values.to_vec()))
        });
        assert_eq!(result.expect("no error"), [8.0, -1.0]);
        assert_eq!(values.map(f64::to_bits), [8.0_f64, -1.0].map(f64::to_bits));
    }
}
