//! Titles of ended imports that were not found are looked for again: at once when a movie of that id or title comes into the
//! catalogue, and after intervals that double while TMDB may know them later. Started by [`super::Imports::start`].

use std::{sync::Arc, time::Duration};

use chassis::shutdown::Shutdown;
use tokio::sync::Notify;

use super::Imports;
use crate::{
    client::{FilmMatch, WantedFilm},
    error::Error,
    repository::import_report,
};

/// Titles that were found after the end of their import (counter).
const IMPORT_TITLES_FOUND_LATER_TOTAL: &str = "import_titles_found_later_total";

/// The maximum time between two looks at the titles that are due.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Titles per request.
const BATCH: usize = 100;
/// Requests in a row, after which the others wait for the next look.
const MAX_BATCHES: usize = 20;

/// Looks for titles that are due until the shutdown begins.
pub(super) async fn run(imports: Imports, arrived: Arc<Notify>, shutdown: Shutdown) {
    loop {
        // Replicas shall not look at the same time.
        let pause = POLL_INTERVAL.mul_f64(rand::random_range(0.5..1.0));
        tokio::select! {
            stopping = shutdown.sleep(pause) => if stopping { return },
            () = arrived.notified() => {}
        }
        for _ in 0..MAX_BATCHES {
            match imports.retry_due().await {
                Ok(BATCH) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "titles of imports cannot be looked for");
                    break;
                }
            }
        }
    }
}

impl Imports {
    /// Looks for a batch of titles that are due; returns their number.
    #[tracing::instrument(name = "service.imports.retry_due", level = "debug", skip_all)]
    async fn retry_due(&self) -> Result<usize, Error> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        let titles = import_report::take_due(&self.pool, limit).await?;
        if titles.is_empty() {
            return Ok(0);
        }
        let wanted: Vec<WantedFilm<'_>> = titles
            .iter()
            .map(|title| WantedFilm {
                tmdb_id: title.tmdb_id,
                imdb_id: title.imdb_id.as_deref(),
                title: title.title.as_deref(),
                year: title.year,
            })
            .collect();
        let response = self.catalogue.find(&wanted, BATCH).await?;
        for (title, found) in titles.iter().zip(response.matches) {
            let FilmMatch::Found { id } = found else {
                continue;
            };
            match self
                .apply_waiting(title.user_id, title.job_id, title.n, id)
                .await
            {
                Ok(()) => metrics::counter!(IMPORT_TITLES_FOUND_LATER_TOTAL).increment(1),
                Err(Error::UserNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(titles.len())
    }
}
