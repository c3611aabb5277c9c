//! The warm pool: what many will ask for is fetched before they do, on a schedule.

use std::time::Duration;

use super::schedule::Task;
use crate::{
    config::Config,
    models::{Item, JobKind, MovieList},
};

/// Films on a page of TMDB's.
const FILMS_A_PAGE: u32 = 20;
/// TMDB shows no page beyond.
const LAST_PAGE: u32 = 500;

/// Fills the warm pool.
pub struct WarmPool {
    size: u32,
}

impl WarmPool {
    /// The warm pool, and the interval between two runs; none, if the settings say so.
    #[must_use]
    pub fn new(config: &Config) -> Option<(Self, Duration)> {
        let interval = Duration::from_secs(config.warm_pool_interval_seconds);
        let size = config.warm_pool_size;
        (!interval.is_zero() && size > 0).then_some((Self { size }, interval))
    }
}

impl Task for WarmPool {
    const KIND: JobKind = JobKind::WarmPool;
    const LAST_SUCCESS: &'static str = "warm_pool_last_success_timestamp_seconds";
    const RUNS_TOTAL: &'static str = "warm_pool_runs_total";

    async fn look(&self) -> sqlx::Result<()> {
        Ok(())
    }

    /// Half of the films from the trending of the day, the rest, and what both lists have, from the
    /// popular.
    async fn plan(&self) -> sqlx::Result<Vec<Item>> {
        let pages = |films: u32| 1..=films.div_ceil(FILMS_A_PAGE).min(LAST_PAGE);
        let trending =
            pages(self.size.div_ceil(2)).map(|page| Item::Page(MovieList::TrendingDay, page));
        let popular = pages(self.size).map(|page| Item::Page(MovieList::Popular, page));
        Ok(trending.chain(popular).collect())
    }

    fn most_films(&self) -> u32 {
        self.size
    }
}
