//! What is tried out on lists: the variants of experiments, and films that are shown to learn about them.

use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};

use recommender::TrainedModels;

use super::{
    experiments::{Assignment, Experiments},
    exploration::Explorer,
    read_model::Shared,
    scoring::Placed,
};
use crate::models::{Catalogue, FilmList, Revision, Served, Shown, UserId};

/// A version of the learned models that is compared, and where its films are in the catalogue's last
/// state. None: it cannot be had.
type Version = Option<(u64, Placed)>;

/// Tries out; cheap to clone.
#[derive(Clone)]
pub struct Trials {
    experiments: Experiments,
    explorer: Explorer,
    versions: Shared<HashMap<i64, Version>>,
    /// Another one whenever there are other versions.
    revision: Arc<AtomicU64>,
}

impl Trials {
    /// Tries out what `experiments` runs and `explorer` explores.
    #[must_use]
    pub fn new(experiments: Experiments, explorer: Explorer) -> Self {
        Self {
            experiments,
            explorer,
            versions: Shared::new(HashMap::new()),
            revision: Arc::default(),
        }
    }

    /// Another number whenever another list might be made.
    #[must_use]
    pub fn revision(&self) -> u64 {
        // Both only ever grow.
        self.experiments.revision() + self.revision.load(Ordering::Acquire)
    }

    /// Takes the versions of the learned models that experiments compare now from `load`, and lets go of
    /// those that none does any more. A version that cannot be had is told of once; lists of its variant
    /// are made with the live one.
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
            let placed = match load(version).await {
                Ok(trained) => Some((0, Placed::new(trained, &Catalogue::default()))),
                Err(error) => {
                    tracing::warn!(model.version = version, %error, "an experiment asks for a model that cannot be had");
                    None
                }
            };
            self.versions.write().insert(version, placed);
        }
        self.versions
            .write()
            .retain(|version, _| wanted.contains(version));
        self.revision
            .store(Revision::next().get(), Ordering::Release);
    }

    /// Version `version` of the learned models over the rows of `catalogue`; none: it is not there.
    #[must_use]
    pub fn place(&self, version: i64, catalogue: &Catalogue) -> Option<Placed> {
        let revision = catalogue.revision().get();
        let (known, placed) = self.versions.read().get(&version)?.clone()?;
        if known == revision {
            return Some(placed);
        }
        let placed = Placed::new(placed.trained, catalogue);
        let now = Some((revision, placed.clone()));
        if let Some(version) = self.versions.write().get_mut(&version) {
            *version = now;
        }
        Some(placed)
    }

    /// What the experiments change for `user`.
    #[must_use]
    pub fn assign(&self, user: UserId) -> Assignment {
        self.experiments.assign(user)
    }

    /// Gives places of the first page of `list` to films further down, and notes how likely each film was
    /// to stand where it does, and what `assignment` the list was made for. A film that makes place goes
    /// where the other one stood, so that none is lost. The same list is explored in the same way.
    pub fn explore(&self, list: &mut FilmList, catalogue: &Catalogue, assignment: Assignment) {
        let share = assignment.exploration.unwrap_or(self.explorer.share());
        list.participations = assignment.participations;
        if share <= 0.0 {
            return;
        }
        let popularity = |id: i64| {
            catalogue
                .row(id)
                .map_or(0.0, |row| catalogue.popularity()[row])
        };
        let first = list.limit.min(list.films.len());
        let ranked: Vec<i64> = list.films[..first].iter().map(|film| film.id).collect();
        let most = list.films.iter().map(|film| popularity(film.id));
        let most = most.fold(f64::MIN_POSITIVE, f64::max).ln_1p();
        // The shares are of logarithms: popularity is spread over orders of magnitude.
        let rest = list.films[first..].iter();
        let candidates = rest.map(|film| (film.id, popularity(film.id).ln_1p() / most));
        let (seed, _) = list.id.as_u64_pair();
        let slots = self.explorer.explore(&ranked, candidates, share, seed);
        for (place, slot) in slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_explored)
        {
            let from = list.films.iter().position(|film| film.id == slot.id);
            if let Some(from) = from {
                list.films.swap(place, from);
            }
        }
        list.slots = slots;
    }

    /// Notes that the films at `places` of `list` were shown at `at`; never waits.
    pub fn record(&self, list: &FilmList, places: &[usize], at: DateTime<Utc>) {
        let films = places.iter().map(|place| {
            let slot = list.slots.get(*place);
            Shown {
                movie_id: list.films[*place].id,
                position: i32::try_from(*place + 1).unwrap_or(i32::MAX),
                propensity: slot.map_or(1.0, |slot| slot.propensity),
                is_explored: slot.is_some_and(|slot| slot.is_explored),
            }
        });
        let film_window_hours = (!list.slots.is_empty()).then(|| self.explorer.window_hours());
        if list.participations.is_empty() && film_window_hours.is_none() {
            return;
        }
        self.experiments.record(Served {
            user_id: list.user_id,
            at,
            participations: list.participations.clone(),
            films: films.collect(),
            film_window_hours,
        });
    }
}
