//! First lists of users who are held out, by which settings are chosen.

use std::{collections::BTreeMap, sync::Arc};

use rayon::prelude::*;

use super::{BaseSettings, Population};
use crate::{
    Blend, Ease, EaseSettings, FitError, History, Ials, IalsSettings, Interactions, Part,
    Popularity, Scorer,
    evaluation::tuning::{Step, climb},
    rank::top_k_unseen,
};

/// The numbers of likes after which a list is judged.
pub const TOLD: [usize; 3] = [1, 3, 10];
/// The smallest number of likes of a user whose lists are judged.
pub(super) const MIN_JUDGED_LIKES: usize = 15;
/// The length of judged lists.
const LENGTH: usize = 10;
/// The smallest number of likes of an item that lists are judged by.
const MIN_ITEM_LIKES: u32 = 5;
/// The largest number of users whose lists are judged.
const MAX_JUDGED: usize = 1000;
/// The folds of a population in which fewer users can be judged than [`MAX_JUDGED`].
const FOLDS: usize = 4;
/// The smallest number of users that settings are chosen on; below, the defaults are taken.
pub(super) const MIN_JUDGED: usize = 20;

/// Fits a model to likes.
type Fit<'a> = &'a dyn Fn(&Interactions) -> Result<Arc<dyn Scorer>, FitError>;

/// Users who are held out, and the likes of the others.
struct Fold {
    train: Interactions,
    /// The columns that each liked, in the order of time.
    people: Vec<Vec<u32>>,
}

/// First lists of users that are held out.
pub(super) struct Judge {
    folds: Vec<Fold>,
    /// True for the columns that lists are judged by.
    is_judged: Vec<bool>,
    report: fn(&str),
}

impl Judge {
    pub(super) fn new(population: &Population, report: fn(&str)) -> Self {
        let users = 0..population.users();
        let people: Vec<usize> = users
            .filter(|user| population.liked(*user).len() >= MIN_JUDGED_LIKES)
            .collect();
        let mut counts = vec![0_u32; population.films.len()];
        for user in &people {
            for column in population.liked(*user) {
                counts[*column as usize] += 1;
            }
        }
        // Evenly spread over the file, of few users all.
        let step = people.len().div_ceil(MAX_JUDGED).max(1);
        let people: Vec<usize> = people.into_iter().step_by(step).collect();
        let folds = if step > 1 { 1 } else { FOLDS };
        let folds = (0..folds).map(|fold| {
            let held_out: Vec<usize> = people.iter().copied().skip(fold).step_by(folds).collect();
            let rows = (0..population.users()).map(|user| {
                let is_held_out = held_out.binary_search(&user).is_ok();
                let liked = if is_held_out {
                    &[][..]
                } else {
                    population.liked(user)
                };
                liked.iter().map(|item| (*item, 1.0))
            });
            Some(Fold {
                train: Interactions::from_rows(population.films.len(), rows).ok()?,
                people: held_out
                    .iter()
                    .map(|user| population.liked(*user).to_vec())
                    .collect(),
            })
        });
        Self {
            folds: folds.flatten().collect(),
            is_judged: counts
                .iter()
                .map(|count| *count >= MIN_ITEM_LIKES)
                .collect(),
            report,
        }
    }

    pub(super) fn people(&self) -> usize {
        self.folds.iter().map(|fold| fold.people.len()).sum()
    }

    /// The share of hits among the first ten, after each number of likes of [`TOLD`], by the scores that `score` writes
    /// for a fold and a history.
    fn hits(&self, score: impl Fn(usize, History<'_>, &mut [f32]) + Sync) -> [f64; TOLD.len()] {
        let ones = [1.0; 16];
        let of_person = |fold: usize, liked: &Vec<u32>| {
            let mut scores = vec![0.0; self.is_judged.len()];
            TOLD.map(|told| {
                let (told, later) = liked.split_at(told);
                let mut items = told.to_vec();
                items.sort_unstable();
                let history = History {
                    items: &items,
                    weights: &ones[..items.len()],
                };
                score(fold, history, &mut scores);
                for (score, is_judged) in scores.iter_mut().zip(&self.is_judged) {
                    if !is_judged {
                        *score = f32::NEG_INFINITY;
                    }
                }
                let best = top_k_unseen(&scores, history, LENGTH);
                let hits = best.iter().filter(|(item, _)| later.contains(item));
                hits.count() as f64 / LENGTH.min(later.len()) as f64
            })
        };
        let all: Vec<[f64; TOLD.len()]> = self
            .folds
            .par_iter()
            .enumerate()
            .flat_map(|(number, fold)| {
                let people = fold.people.par_iter();
                people.map(move |liked| of_person(number, liked))
            })
            .collect();
        let mut means = [0.0; TOLD.len()];
        for hits in &all {
            for (mean, hits) in means.iter_mut().zip(hits) {
                *mean += hits / all.len() as f64;
            }
        }
        means
    }

    /// Sets `settings` to the best ones, and returns their metrics.
    pub(super) fn choose(
        &self,
        settings: &mut BaseSettings,
    ) -> Result<BTreeMap<String, BTreeMap<String, f64>>, FitError> {
        let mean = |hits: [f64; TOLD.len()]| hits.iter().sum::<f64>() / TOLD.len() as f64;
        let mut metrics = BTreeMap::new();
        let mut note = |name: &str, hits: [f64; TOLD.len()]| {
            let named = TOLD.iter().zip(hits);
            let named = named.map(|(told, hits)| (format!("hits@10_after_{told}"), hits));
            metrics.insert(name.to_owned(), named.collect());
        };
        let fit = |fit: Fit<'_>| {
            let folds = self.folds.iter();
            folds
                .map(|fold| fit(&fold.train))
                .collect::<Result<Vec<_>, _>>()
        };
        let hits_of = |models: &[Arc<dyn Scorer>]| {
            self.hits(|fold, history, scores| models[fold].score(history, scores))
        };
        let popularity = fit(&|train| Ok(Arc::new(Popularity::fit(train))))?;
        note("popularity", hits_of(&popularity));

        let mut values = [settings.ease.regularization];
        let steps = [(Step::Times(2.0), 1.0..=1e6)];
        let steps = if settings.searches_ease {
            &steps[..]
        } else {
            &[]
        };
        let ease = climb(&mut values, steps, 0, |values| {
            let ease = EaseSettings {
                regularization: values[0],
                ..settings.ease
            };
            let models = fit(&|train| Ok(Arc::new(Ease::fit(train, &ease)?)))?;
            let hits = hits_of(&models);
            (self.report)(&format!(
                "ease regularization={:.0}: {:.4}",
                values[0],
                mean(hits)
            ));
            Ok::<_, FitError>((mean(hits), models))
        })?;
        settings.ease.regularization = values[0];
        note("ease", hits_of(&ease));

        let mut values = [settings.ials.regularization];
        let steps = [(Step::Times(2.0), 1e-4..=1.0)];
        let steps = if settings.searches_ials {
            &steps[..]
        } else {
            &[]
        };
        let ials = climb(&mut values, steps, 0, |values| {
            let own = IalsSettings {
                regularization: values[0],
                ..settings.ials
            };
            let models = fit(&|train| Ok(Arc::new(Ials::fit(train, &own)?)))?;
            let hits = hits_of(&models);
            (self.report)(&format!(
                "ials regularization={:.4}: {:.4}",
                values[0],
                mean(hits)
            ));
            Ok::<_, FitError>((mean(hits), models))
        })?;
        settings.ials.regularization = values[0];
        note("ials", hits_of(&ials));

        let mut values = [settings.ials_weight, settings.familiarity];
        let steps = [
            (Step::Plus(0.25), 0.0..=4.0),
            (Step::Times(2.0), 0.0625..=8.0),
        ];
        let steps = if settings.searches_blend {
            &steps[..]
        } else {
            &[]
        };
        let blend = |values: &[f64]| {
            let part = |scorer: &Arc<dyn Scorer>, weight: f64, personal| Part {
                scorer: Arc::clone(scorer),
                weight: weight as f32,
                personal,
            };
            let blends = (0..self.folds.len()).map(|fold| {
                let parts = vec![
                    part(&popularity[fold], settings.popularity_weight, false),
                    part(&ease[fold], 1.0, true),
                    part(&ials[fold], values[0], true),
                ];
                Blend::new(parts, values[1] as f32)
            });
            blends.collect::<Result<Vec<_>, _>>()
        };
        climb(&mut values, steps, 1, |values| {
            let blends = blend(values)?;
            let hits = self.hits(|fold, history, scores| blends[fold].score(history, scores));
            (self.report)(&format!(
                "blend ials={:.3} familiarity={:.3}: {:.4}",
                values[0],
                values[1],
                mean(hits)
            ));
            Ok::<_, FitError>((mean(hits), ()))
        })?;
        [settings.ials_weight, settings.familiarity] = values;
        let blends = blend(&values)?;
        note(
            "blend",
            self.hits(|fold, history, scores| blends[fold].score(history, scores)),
        );
        Ok(metrics)
    }
}
