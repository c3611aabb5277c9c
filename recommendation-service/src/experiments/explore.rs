//! Exploration: movies that are shown to learn about them, chosen by Thompson sampling from the counts of earlier
//! impressions.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use recommender::experiments::thompson::{Candidate, Exploration, Prior, Slot, explore};
use sqlx::PgPool;

use crate::{experiments::repository::impressions, read_model::Shared};

/// The overlap of two refreshes: a long transaction becomes visible after a later one.
const OVERLAP: TimeDelta = TimeDelta::seconds(60);

/// The counts of all movies.
#[derive(Debug, Default)]
struct Counts {
    /// Impressions and outcomes by movie.
    films: HashMap<i64, (f64, f64)>,
    impressions: f64,
    outcomes: f64,
    /// The time of the latest count.
    up_to: Option<DateTime<Utc>>,
}

/// The explorer; cheap to clone.
#[derive(Clone)]
pub struct Explorer {
    pool: PgPool,
    counts: Shared<Counts>,
    settings: Exploration,
    window_hours: i64,
}

impl Explorer {
    /// An explorer with these `settings`, by the counts that [`Explorer::refresh`] reads from `pool`; outcomes count
    /// for `window_hours` after an impression.
    pub fn new(pool: PgPool, settings: Exploration, window_hours: i64) -> Self {
        Self {
            pool,
            counts: Shared::new(Counts::default()),
            settings,
            window_hours,
        }
    }

    /// Reads the counts that changed since the last refresh.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable; the counts in memory stay.
    pub async fn refresh(&self) -> sqlx::Result<()> {
        let since = {
            let counts = self.counts.read();
            counts.up_to.map_or(DateTime::UNIX_EPOCH, |at| at - OVERLAP)
        };
        let changed = impressions::list_counts(&self.pool, since).await?;
        let mut counts = self.counts.write();
        for film in changed {
            let now = (film.impressions as f64, film.outcomes as f64);
            let before = counts.films.insert(film.movie_id, now).unwrap_or_default();
            counts.impressions += now.0 - before.0;
            counts.outcomes += now.1 - before.1;
            counts.up_to = counts.up_to.max(Some(film.updated_at));
        }
        Ok(())
    }

    /// The default share of positions that explore.
    pub fn share(&self) -> f64 {
        self.settings.share
    }

    /// The window within which outcomes count for a movie, in hours.
    pub fn window_hours(&self) -> i64 {
        self.window_hours
    }

    /// The list `ranked` with a `share` of its positions given to others of `candidates`: movies that the user may be
    /// shown, best first, each with its relative popularity, 0 to 1. The same `seed` gives the same list.
    pub fn explore(
        &self,
        ranked: &[i64],
        candidates: impl Iterator<Item = (i64, f64)>,
        share: f64,
        seed: u64,
    ) -> Vec<Slot> {
        let exploration = Exploration {
            share,
            protected: self.settings.protected,
        };
        let counts = self.counts.read();
        let prior = Prior::of(counts.impressions, counts.outcomes);
        let most = ranked.len() + Exploration::MAX_POOL;
        let candidates: Vec<Candidate> = candidates
            .take(if share > 0.0 { most } else { 0 })
            .map(|(id, popularity)| {
                let (impressions, outcomes) = counts.films.get(&id).copied().unwrap_or_default();
                Candidate {
                    id,
                    posterior: prior.posterior(popularity, impressions, outcomes),
                }
            })
            .collect();
        drop(counts);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        explore(ranked, &candidates, exploration, &mut rng)
    }
}
