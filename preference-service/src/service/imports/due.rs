//! Titles of ended imports that were not found are looked for again: at once when a movie of that id or title comes into the
//! catalogue, and after intervals that double while TMDB may know them later. Repeated by [`super::retry`].

use super::{Imports, retry::BATCH};
use crate::{
    client::{FilmMatch, WantedFilm},
    error::Error,
    repository::import_report,
};

/// Titles that were found after the end of their import (counter).
const IMPORT_TITLES_FOUND_LATER_TOTAL: &str = "import_titles_found_later_total";

impl Imports {
    /// Looks for a batch of titles that are due; returns their number.
    #[tracing::instrument(name = "service.imports.retry_due", level = "debug", skip_all)]
    pub(super) async fn retry_due(&self) -> Result<usize, Error> {
        let titles = import_report::take_due(&self.pool, BATCH).await?;
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
        let response = self.catalogue.find(&wanted, titles.len()).await?;
        for (title, found) in titles.iter().zip(response.matches) {
            let FilmMatch::Found { id } = found else {
                continue;
            };
            let (user_id, job_id, n) = (title.user_id, title.job_id, title.n);
            match self.apply_waiting(user_id, job_id, n, id).await {
                Ok(()) => metrics::counter!(IMPORT_TITLES_FOUND_LATER_TOTAL).increment(1),
                Err(Error::UserNotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(titles.len())
    }
}
