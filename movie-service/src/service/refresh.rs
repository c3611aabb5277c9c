//! The scheduled refresh of movies that are not read: TMDB's terms allow to keep data for at most six months. Movies
//! that are read are refreshed long before, by [`super::hydration`].

use std::time::Duration;

use sqlx::PgPool;

use super::schedule::Task;
use crate::{
    config::Config,
    models::{Item, JobKind},
    repository::movies,
};

/// Movies whose refresh is overdue (gauge).
pub const MOVIES_OVERDUE: &str = "movies_overdue";

/// The refresh of the movies that were synced longest ago.
pub struct Refresh {
    pool: PgPool,
    days: i32,
    batch: u32,
}

impl Refresh {
    /// Returns the task and its interval; `None` if the settings disable it.
    pub fn new(pool: PgPool, config: &Config) -> Option<(Self, Duration)> {
        let interval = Duration::from_secs(config.movie_refresh_interval_seconds);
        let refresh = Self {
            pool,
            days: config.movie_refresh_days,
            batch: config.movie_refresh_batch,
        };
        let is_on = refresh.days > 0 && refresh.batch > 0 && !interval.is_zero();
        is_on.then_some((refresh, interval))
    }
}

impl Task for Refresh {
    const KIND: JobKind = JobKind::Refresh;
    const LAST_SUCCESS: &'static str = "movie_refresh_last_success_timestamp_seconds";
    const RUNS_TOTAL: &'static str = "movie_refresh_runs_total";

    async fn observe(&self) -> sqlx::Result<()> {
        let overdue = movies::count_overdue(&self.pool, self.days).await?;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of films")]
        metrics::gauge!(MOVIES_OVERDUE).set(overdue as f64);
        Ok(())
    }

    async fn plan(&self) -> sqlx::Result<Vec<Item>> {
        let films = movies::list_overdue(&self.pool, self.days, self.batch.into()).await?;
        Ok(films.into_iter().map(Item::Movie).collect())
    }

    fn max_movies(&self) -> u32 {
        self.batch
    }
}
