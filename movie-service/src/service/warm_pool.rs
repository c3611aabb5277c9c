//! The warm pool: trending and popular movies, synced on a schedule so that they are stored and fresh when requested.

use std::time::Duration;

use super::schedule::Task;
use crate::{
    config::Config,
    models::{Item, JobKind, MovieList},
};

/// Movies on a page of TMDB's lists.
const PAGE_SIZE: u32 = 20;
/// TMDB's last page.
const MAX_PAGE: u32 = 500;

/// The warm pool, sized in movies.
pub struct WarmPool {
    size: u32,
}

impl WarmPool {
    /// Returns the task and its interval; `None` if the settings disable it.
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

    /// Half of the movies come from the day's trending list, the rest and duplicates from the popular list.
    async fn plan(&self) -> sqlx::Result<Vec<Item>> {
        let pages = |films: u32| 1..=films.div_ceil(PAGE_SIZE).min(MAX_PAGE);
        let trending =
            pages(self.size.div_ceil(2)).map(|page| Item::Page(MovieList::TrendingDay, page));
        let popular = pages(self.size).map(|page| Item::Page(MovieList::Popular, page));
        Ok(trending.chain(popular).collect())
    }

    fn max_movies(&self) -> u32 {
        self.size
    }
}
