//! The treatment of a user: the overrides of their experiments, and the movies that exploration puts into their lists.
//! The ranking pipeline applies it; what it showed is recorded for the results.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use recommender::{TrainedModels, experiments::thompson::Slot};

use crate::{
    experiments::{Experiments, Served, Shown, assign::Overrides, explore::Explorer},
    ranking::scoring::ModelOnCatalogue,
    ranking::{FilmList, candidates::Ranked},
    read_model::{Catalogue, Revision, Shared, UserId},
};

/// The treatments of all users; cheap to clone.
#[derive(Clone)]
pub struct Treatments {
    experiments: Experiments,
    explorer: Explorer,
    /// The versions of the learned models that experiments compare; `None` if one cannot be loaded.
    versions: Shared<HashMap<i64, Option<Compared>>>,
    /// Changes whenever `versions` does.
    revision: Arc<AtomicU64>,
}

/// A version that experiments compare, and itself on the latest catalogue that it ranked.
#[derive(Clone)]
struct Compared {
    own: Arc<TrainedModels>,
    on_catalogue: Option<ModelOnCatalogue>,
}

/// The treatment of one user.
pub struct Treatment<'a> {
    /// The overrides of their experiments.
    pub overrides: Overrides,
    explorer: &'a Explorer,
}

impl Treatment<'_> {
    /// Replaces movies at some of the first `limit` positions of `ranked` by explored movies from further down,
    /// and returns the propensity of each movie at its position. The same `seed` gives the same result.
    pub fn explore(&self, ranked: &mut [Ranked], limit: usize, seed: u64) -> Vec<Slot> {
        let share = self.overrides.exploration;
        let share = share.unwrap_or_else(|| self.explorer.share());
        if share <= 0.0 {
            return Vec::new();
        }
        let (first, rest) = ranked.split_at(limit.min(ranked.len()));
        let positions: Vec<i64> = first.iter().map(|movie| movie.id).collect();
        let max = ranked.iter().map(|movie| movie.popularity);
        let max = max.fold(f64::MIN_POSITIVE, f64::max).ln_1p();
        // Popularity is spread over orders of magnitude, so its logarithms are compared.
        let candidates = rest
            .iter()
            .map(|movie| (movie.id, movie.popularity.ln_1p() / max));
        let slots = self.explorer.explore(&positions, candidates, share, seed);
        for (position, slot) in slots.iter().enumerate() {
            if slot.is_explored
                && let Some(from) = ranked.iter().position(|movie| movie.id == slot.id)
            {
                ranked.swap(position, from);
            }
        }
        slots
    }
}

impl Treatments {
    /// Treatments by `experiments` and `explorer`.
    pub fn new(experiments: Experiments, explorer: Explorer) -> Self {
        Self {
            experiments,
            explorer,
            versions: Shared::new(HashMap::new()),
            revision: Arc::default(),
        }
    }

    /// The revision of all treatments: while it stays, so does the treatment of each user.
    pub fn revision(&self) -> u64 {
        // Both only increase.
        self.experiments.revision() + self.revision.load(Ordering::Acquire)
    }

    /// Loads the versions of the learned models that experiments compare by `load`, and drops the others. A version
    /// that cannot be loaded is logged once; lists of its variant are ranked with the live version.
    pub async fn refresh_versions<E: Display, F>(&self, load: impl Fn(i64) -> F)
    where
        F: Future<Output = Result<Arc<TrainedModels>, E>>,
    {
        let wanted = self.experiments.model_versions();
        let missing: Vec<i64> = {
            let known = self.versions.read();
            if known.keys().all(|version| wanted.contains(version)) && known.len() == wanted.len() {
                return;
            }
            let missing = wanted.iter().filter(|version| !known.contains_key(version));
            missing.copied().collect()
        };
        for version in missing {
            let compared = match load(version).await {
                Ok(own) => Some(Compared {
                    own,
                    on_catalogue: None,
                }),
                Err(error) => {
                    tracing::warn!(model.version = version, %error, "cannot load the model version of an experiment");
                    None
                }
            };
            self.versions.write().insert(version, compared);
        }
        self.versions
            .write()
            .retain(|version, _| wanted.contains(version));
        self.revision
            .store(Revision::next().get(), Ordering::Release);
    }

    /// Version `version` of the learned models, beside the live `base` model, on the rows of `catalogue`; `None` if it is
    /// not loaded.
    pub fn place(
        &self,
        version: i64,
        base: Option<Arc<TrainedModels>>,
        catalogue: &Catalogue,
    ) -> Option<ModelOnCatalogue> {
        let Compared { own, on_catalogue } = self.versions.read().get(&version)?.clone()?;
        let is_current =
            |known: &ModelOnCatalogue| known.is_of(Some(&own), base.as_ref(), catalogue);
        if let Some(known) = on_catalogue.filter(is_current) {
            return Some(known);
        }
        let current = ModelOnCatalogue::new(Some(own), base, catalogue)?;
        if let Some(Some(version)) = self.versions.write().get_mut(&version) {
            version.on_catalogue = Some(current.clone());
        }
        Some(current)
    }

    /// The treatment of `user`.
    pub fn of(&self, user: UserId) -> Treatment<'_> {
        Treatment {
            overrides: self.experiments.assign(user),
            explorer: &self.explorer,
        }
    }

    /// Records that the movies at `places` of `list` were shown at `at`. Never waits.
    pub fn record(&self, list: &FilmList, places: &[usize], at: DateTime<Utc>) {
        let film_window_hours = (!list.slots.is_empty()).then(|| self.explorer.window_hours());
        if list.participations.is_empty() && film_window_hours.is_none() {
            return;
        }
        let films = places.iter().map(|place| {
            let slot = list.slots.get(*place);
            Shown {
                movie_id: list.films[*place].id,
                position: i32::try_from(*place + 1).unwrap_or(i32::MAX),
                propensity: slot.map_or(1.0, |slot| slot.propensity),
                is_explored: slot.is_some_and(|slot| slot.is_explored),
            }
        });
        self.experiments.record(Served {
            user_id: list.user_id,
            at,
            participations: list.participations.clone(),
            films: films.collect(),
            film_window_hours,
        });
    }
}
