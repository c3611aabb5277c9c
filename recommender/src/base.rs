//! Base models: fitted to the likes of another population, such as the users of MovieLens, to serve as prior until own
//! users have done enough.
//!
//! A base model is for users with a short history. So its settings are chosen by first lists: of users that were held
//! out, the first few likes are told, and the best ten items are judged by what they liked later.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rayon::prelude::*;

use crate::{
    Blend, Ease, EaseSettings, FitError, History, Ials, IalsSettings, Interactions, Part,
    Popularity, Scorer,
    evaluation::{
        settings::{Model, Settings},
        tuning::{Step, climb},
    },
    model_file::{Manifest, ModelParts},
    movielens::Like,
    rank::top_k_unseen,
};

/// The numbers of likes after which a list is judged.
pub const TOLD: [usize; 3] = [1, 3, 10];
/// The smallest number of likes of a user whose lists are judged.
const MIN_JUDGED_LIKES: usize = 15;
/// The length of judged lists.
const LENGTH: usize = 10;
/// The smallest number of likes of an item that lists are judged by.
const MIN_ITEM_LIKES: u32 = 5;
/// The largest number of users whose lists are judged.
const MAX_JUDGED: usize = 1000;
/// The largest number of items that settings are chosen on.
const MAX_JUDGED_ITEMS: usize = 2048;
/// The folds of a population in which fewer users can be judged than [`MAX_JUDGED`].
const FOLDS: usize = 4;
/// The smallest number of users that settings are chosen on; below, the defaults are taken.
const MIN_JUDGED: usize = 20;

/// The likes of a population, by user in the order of time, in columns of items.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// The ids of the columns, ascending.
    pub films: Vec<i64>,
    starts: Vec<usize>,
    columns: Vec<u32>,
}

impl Population {
    /// The `likes` of items that have an id in `ids`; those by user and time. Items of a single like are left out, as they
    /// relate to none.
    #[must_use]
    pub fn new(likes: &[Like], ids: &HashMap<u32, i64>) -> Self {
        let mut counts: HashMap<i64, u32> = HashMap::new();
        for id in likes.iter().filter_map(|like| ids.get(&like.movie)) {
            *counts.entry(*id).or_default() += 1;
        }
        let known = counts.into_iter().filter(|(_, count)| *count > 1);
        let mut films: Vec<i64> = known.map(|(id, _)| id).collect();
        films.sort_unstable();
        let mut own = Self {
            films,
            starts: vec![0],
            columns: Vec::new(),
        };
        let mut seen = std::collections::HashSet::new();
        for user in likes.chunk_by(|one, two| one.user == two.user) {
            seen.clear();
            for like in user {
                let column = ids.get(&like.movie).and_then(|id| {
                    let column = own.films.binary_search(id).ok()?;
                    u32::try_from(column).ok()
                });
                // Two movies of the set may be one.
                if let Some(column) = column.filter(|column| seen.insert(*column)) {
                    own.columns.push(column);
                }
            }
            if own.starts.last() != Some(&own.columns.len()) {
                own.starts.push(own.columns.len());
            }
        }
        own
    }

    /// The number of users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of likes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// True if there is no like.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The ids of the columns, and the columns that each user likes, as bytes, to tell populations apart.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let films = self.films.iter().flat_map(|id| id.to_le_bytes());
        let starts = self.starts.iter().flat_map(|start| start.to_le_bytes());
        let columns = self.columns.iter().flat_map(|column| column.to_le_bytes());
        films.chain(starts).chain(columns).collect()
    }

    fn liked(&self, user: usize) -> &[u32] {
        &self.columns[self.starts[user]..self.starts[user + 1]]
    }

    /// The likes of all users.
    ///
    /// # Panics
    /// Never: columns are in range.
    #[must_use]
    pub fn interactions(&self) -> Interactions {
        let rows = (0..self.users()).map(|user| self.liked(user).iter().map(|item| (*item, 1.0)));
        Interactions::from_rows(self.films.len(), rows).expect("columns are below their number")
    }

    /// The same over at most [`MAX_JUDGED_ITEMS`] of the columns for which `is_listed` holds, those with most likes.
    fn listed(&self, is_listed: &dyn Fn(i64) -> bool) -> Self {
        let mut counts = vec![0_u32; self.films.len()];
        for column in &self.columns {
            counts[*column as usize] += 1;
        }
        let columns = 0..self.films.len();
        let mut kept: Vec<usize> = columns
            .filter(|column| is_listed(self.films[*column]))
            .collect();
        kept.sort_by_key(|column| std::cmp::Reverse(counts[*column]));
        kept.truncate(MAX_JUDGED_ITEMS);
        kept.sort_unstable();
        let mut places: Vec<Option<u32>> = vec![None; self.films.len()];
        for (place, column) in (0..).zip(&kept) {
            places[*column] = Some(place);
        }
        let mut own = Self {
            films: kept.iter().map(|column| self.films[*column]).collect(),
            starts: vec![0],
            columns: Vec::new(),
        };
        for user in 0..self.users() {
            let liked = self.liked(user).iter();
            own.columns
                .extend(liked.filter_map(|column| places[*column as usize]));
            own.starts.push(own.columns.len());
        }
        own
    }
}

/// The settings of a base model. The defaults were the best on folds of users of MovieLens latest-small and 1M; a large
/// regularization and much popularity are what little history asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BaseSettings {
    /// Of EASE.
    pub ease: EaseSettings,
    /// Of iALS.
    pub ials: IalsSettings,
    /// The weight of iALS beside that of EASE, 1.
    pub ials_weight: f64,
    /// The weight of popularity.
    pub popularity_weight: f64,
    /// The number of items after which personal models have half the share beside popularity.
    pub familiarity: f64,
    /// True if the settings of EASE are chosen.
    pub searches_ease: bool,
    /// True if the regularization of iALS is chosen.
    pub searches_ials: bool,
    /// True if the weights of the blend are chosen.
    pub searches_blend: bool,
}

impl Default for BaseSettings {
    fn default() -> Self {
        Self {
            ease: EaseSettings::plain(3000.0),
            ials: IalsSettings {
                dimensions: 64,
                regularization: 0.04,
                ..IalsSettings::default()
            },
            ials_weight: 0.25,
            popularity_weight: 1.0,
            familiarity: 1.0,
            searches_ease: true,
            searches_ials: true,
            searches_blend: true,
        }
    }
}

impl BaseSettings {
    /// The defaults, and what is set in `settings`, which is not searched for.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let mut own = Self::default();
        own.ease.max_items = settings.ease.max_items;
        own.ials.seed = settings.ials.seed;
        if settings.is_given(Model::Ease) {
            (own.ease, own.searches_ease) = (settings.ease, false);
        }
        if settings.is_given(Model::Ials) {
            (own.ials, own.searches_ials) = (settings.ials, false);
        }
        if settings.is_given(Model::Blend) {
            let blend = &settings.blend;
            own.ials_weight = blend.ials;
            own.popularity_weight = blend.popularity;
            own.familiarity = blend.familiarity;
            own.searches_blend = false;
        }
        own
    }

    /// The settings of a model file with these.
    fn parameters(&self) -> BTreeMap<String, f64> {
        let mut settings = Settings::default();
        (settings.ease, settings.ials) = (self.ease, self.ials);
        settings.blend.ease = 1.0;
        settings.blend.ials = self.ials_weight;
        settings.blend.spectral = 0.0;
        settings.blend.popularity = self.popularity_weight;
        settings.blend.familiarity = self.familiarity;
        settings.parameters()
    }
}

/// A fitted base model.
#[derive(Debug, Clone)]
pub struct BaseModel {
    /// The data that it was fitted to, its settings and its metrics.
    pub manifest: Manifest,
    /// The models.
    pub parts: ModelParts,
}

/// Chooses the settings by first lists of items for which `is_listed` holds, and fits to `population`. Each step is passed
/// to `report`.
///
/// # Errors
/// [`FitError`] if there is no like, or a setting is out of its range.
pub fn fit(
    population: &Population,
    mut settings: BaseSettings,
    is_listed: &dyn Fn(i64) -> bool,
    report: fn(&str),
) -> Result<BaseModel, FitError> {
    let count = population.len() as f64;
    FitError::check("likes", count, "1 and up", !population.is_empty())?;
    let judge = Judge::new(&population.listed(is_listed), report);
    let mut metrics = BTreeMap::new();
    if judge.people() < MIN_JUDGED {
        report(&format!(
            "{} users have {MIN_JUDGED_LIKES} likes of listed movies, too few to choose settings on: the defaults are taken",
            judge.people()
        ));
    } else {
        metrics = judge.choose(&mut settings)?;
    }
    let all = population.interactions();
    let (users, films) = (all.users(), all.items());
    report(&format!(
        "fitting to {} likes of {films} movies by {users} users",
        all.len()
    ));
    let popularity = Popularity::fit(&all);
    let ease = Ease::fit(&all, &settings.ease)?;
    report(&format!("ease is fitted: {} movies", ease.columns.len()));
    let ials = Ials::fit_watched(&all, &settings.ials, |epoch, _, _| {
        report(&format!("ials: epoch {epoch} of {}", settings.ials.epochs));
    })?;
    Ok(BaseModel {
        manifest: Manifest {
            users,
            films,
            interactions: all.len(),
            seed: settings.ials.seed,
            parameters: settings.parameters(),
            metrics,
            ..Manifest::default()
        },
        parts: ModelParts {
            films: population.films.clone(),
            popularity: Some(Arc::new(popularity)),
            ease: Some(Arc::new(ease)),
            ials: Some(Arc::new(ials)),
            spectral: None,
        },
    })
}

/// Users who are held out, and the likes of the others.
struct Fold {
    train: Interactions,
    /// The columns that each liked, in the order of time.
    people: Vec<Vec<u32>>,
}

/// First lists of users that are held out.
struct Judge {
    folds: Vec<Fold>,
    /// True for the columns that lists are judged by.
    is_judged: Vec<bool>,
    report: fn(&str),
}

impl Judge {
    fn new(population: &Population, report: fn(&str)) -> Self {
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

    fn people(&self) -> usize {
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
    fn choose(
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
        let fit = |fit: &(dyn Fn(&Interactions) -> Result<Arc<dyn Scorer>, FitError> + Sync)| {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Users of two tastes, who like 20 of the 30 even or odd movies each, by the ids of the set.
    fn likes() -> Vec<Like> {
        let of = |user: u32| {
            let movies = (0..60).filter(move |movie| {
                movie % 2 == user % 2 && !(movie / 2 + user / 2).is_multiple_of(3)
            });
            movies.map(move |movie| Like {
                user,
                movie,
                rating: 5.0,
                time: (movie * 17 + user * 31) % 60,
            })
        };
        let mut all: Vec<Like> = (0..40).flat_map(of).collect();
        all.sort_by_key(|like| (like.user, like.time));
        all
    }

    fn settings() -> BaseSettings {
        BaseSettings {
            ials: IalsSettings {
                dimensions: 4,
                epochs: 2,
                ..IalsSettings::default()
            },
            searches_ials: false,
            ..BaseSettings::default()
        }
    }

    #[test]
    fn movies_are_mapped_and_two_that_are_one_count_once() {
        let mut likes = likes();
        likes.push(Like {
            user: 99,
            movie: 777,
            rating: 5.0,
            time: 1,
        });
        let mut ids: HashMap<u32, i64> = (0..60)
            .map(|movie| (movie, 1000 - i64::from(movie)))
            .collect();
        // 0 and 2 are the same movie, 4 is not at TMDB, 777 is liked once.
        ids.insert(2, 1000);
        ids.remove(&4);
        ids.insert(777, 777);
        let population = Population::new(&likes, &ids);
        assert_eq!(population.films.len(), 58);
        assert_eq!((population.films[0], population.films[57]), (941, 1000));
        assert_eq!(population.users(), 40, "who likes nothing else is left out");
        let all = population.interactions();
        assert!(
            all.histories()
                .all(|history| history.items.is_sorted_by(|a, b| a < b))
        );
    }

    #[test]
    fn a_base_model_learns_who_likes_what_and_the_same_data_gives_the_same_model() {
        let ids: HashMap<u32, i64> = (0..60)
            .map(|movie| (movie, i64::from(movie) + 100))
            .collect();
        let population = Population::new(&likes(), &ids);
        let fit = || fit(&population, settings(), &|_| true, |_| {}).expect("fits");
        let model = fit();
        let blend = &model.manifest.metrics["blend"];
        assert!(blend["hits@10_after_3"] > 0.9, "{blend:?}");
        let popularity = &model.manifest.metrics["popularity"];
        assert!(blend["hits@10_after_1"] > popularity["hits@10_after_1"]);
        let again = fit();
        assert_eq!((model.manifest, model.parts), (again.manifest, again.parts));
    }

    #[test]
    fn too_few_users_get_the_defaults_and_none_is_an_error() {
        let ids: HashMap<u32, i64> = (0..60).map(|movie| (movie, i64::from(movie))).collect();
        let mut few = likes();
        few.retain(|like| like.user < 4);
        let population = Population::new(&few, &ids);
        let model = fit(&population, settings(), &|_| true, |_| {}).expect("fits");
        assert!(model.manifest.metrics.is_empty());
        assert_eq!(model.manifest.parameters["ease.regularization"], 3000.0);
        let nobody = Population::new(&[], &ids);
        assert!(fit(&nobody, settings(), &|_| true, |_| {}).is_err());
    }
}
