//! Search of titles at TMDB, for movies that the catalogue does not have. Called by [`super::Matching`]; a movie that is
//! found is fetched into the catalogue.

use std::collections::BTreeMap;

use futures_util::{StreamExt, stream};

use super::{
    Budget, Candidate, Fetched, MAX_CANDIDATES, MAX_CONCURRENT_FETCHES, Match, Matching, Unmatched,
};
use crate::{
    client::{tmdb::TmdbError, wire::FoundMovie},
    models::{MovieId, MovieRef},
    repository::matching,
};

/// A movie is clearly better known than another from so many times its votes on.
const DOMINANCE: i64 = 5;

/// A title and the year of release.
pub(super) type Title = (String, Option<i32>);

impl Matching {
    /// Searches `titles` at TMDB within `budget` and replaces their results in the catalogue, movies of neighbouring years,
    /// by better ones.
    pub(super) async fn search(
        &self,
        titles: &mut BTreeMap<Title, Option<Match>>,
        budget: &Budget,
    ) -> sqlx::Result<()> {
        if !self.tmdb.has_key() || budget.max == 0 {
            return Ok(());
        }
        let open: Vec<(Title, Option<Match>)> = titles
            .iter()
            .map(|(title, found)| (title.clone(), found.clone()))
            .collect();
        let results: Vec<_> = stream::iter(open)
            .map(|(title, stored)| async move {
                let found = self.search_one(&title.0, title.1, budget).await?;
                // A movie of the catalogue is better than one that TMDB does not have, or cannot tell now.
                let is_found = matches!(found, Match::Found { .. });
                Ok::<_, sqlx::Error>((
                    title,
                    if is_found {
                        Some(found)
                    } else {
                        stored.or(Some(found))
                    },
                ))
            })
            .buffer_unordered(MAX_CONCURRENT_FETCHES)
            .collect()
            .await;
        for result in results {
            let (title, found) = result?;
            titles.insert(title, found);
        }
        Ok(())
    }

    async fn search_one(
        &self,
        title: &str,
        year: Option<i32>,
        budget: &Budget,
    ) -> sqlx::Result<Match> {
        let deferred = || Ok(Match::missing(Unmatched::Deferred));
        let Some(mut results) = self.ask(title, year, budget).await else {
            return deferred();
        };
        let mut equal = self.equal(title, &results).await?;
        if equal.is_empty() && year.is_some() {
            // Countries and festivals differ by a year.
            let Some(others) = self.ask(title, None, budget).await else {
                return deferred();
            };
            let is_near = |movie: &FoundMovie| {
                let years = movie.year().zip(year);
                years.is_some_and(|(own, year)| own.abs_diff(year) <= 1)
            };
            let others: Vec<FoundMovie> = others.into_iter().filter(is_near).collect();
            equal = self.equal(title, &others).await?;
            if results.is_empty() {
                results = others;
            }
        }
        let is_equal = !equal.is_empty();
        let mut ranked = if is_equal { equal } else { results };
        if is_equal {
            ranked.sort_by_key(|movie| std::cmp::Reverse(movie.vote_count));
        }
        let best = match &ranked[..] {
            [] => return Ok(Match::missing(Unmatched::Unknown)),
            [best] => Some(best),
            [best, second, ..] => {
                let is_clear = best.vote_count >= DOMINANCE * second.vote_count.max(1);
                Some(best).filter(|_| is_equal && year.is_some() && is_clear)
            }
        };
        if let Some(id) = best.and_then(|best| MovieId::new(best.id)) {
            if !budget.take() {
                return deferred();
            }
            match self.fetch_one(&MovieRef::Tmdb(id), budget).await? {
                // Of another title: it counts if it has the wanted one among its alternative titles.
                Fetched::Movie(_) if is_equal || self.has_title(id, title, year).await? => {
                    return Ok(Match::found(id));
                }
                Fetched::Movie(_) | Fetched::NotFound => {}
                Fetched::Deferred => return deferred(),
            }
        }
        let candidates = ranked.iter().filter_map(|movie| {
            Some(Candidate {
                tmdb_id: MovieId::new(movie.id)?,
                title: movie.title.clone(),
                year: movie.year(),
            })
        });
        Ok(Match::Missing {
            unmatched: if is_equal {
                Unmatched::Ambiguous
            } else {
                Unmatched::Unknown
            },
            candidates: candidates.take(MAX_CANDIDATES).collect(),
        })
    }

    /// The movies that TMDB finds, or found recently; `None` if it cannot be asked now.
    async fn ask(
        &self,
        title: &str,
        year: Option<i32>,
        budget: &Budget,
    ) -> Option<Vec<FoundMovie>> {
        let key: Title = (title.to_lowercase(), year);
        if let Some(found) = self.searches.get(&key).await {
            return Some(found.to_vec());
        }
        if !budget.take() {
            return None;
        }
        let timeout = budget.deadline.duration_since(tokio::time::Instant::now());
        let found = self.tmdb.search(title, year, timeout).await;
        let found = match found {
            Ok(found) => found,
            // A title that TMDB refuses to search for.
            Err(TmdbError::Refused(_) | TmdbError::NotFound) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, "a title cannot be searched now");
                return None;
            }
        };
        budget.count();
        self.searches.insert(key, found.clone().into()).await;
        Some(found)
    }

    /// Those of `movies` whose title or original title is `title`.
    async fn equal(&self, title: &str, movies: &[FoundMovie]) -> sqlx::Result<Vec<FoundMovie>> {
        if movies.is_empty() {
            return Ok(Vec::new());
        }
        let titles: Vec<String> = movies
            .iter()
            .flat_map(|movie| [movie.title.clone(), movie.original_title.clone()])
            .collect();
        let are_equal = matching::are_equal(&self.pool, title, &titles).await?;
        let equal = movies.iter().zip(are_equal.chunks(2));
        let equal = equal.filter(|(_, are_equal)| are_equal.contains(&true));
        Ok(equal.map(|(movie, _)| movie.clone()).collect())
    }

    /// True if the catalogue's movie has the title, an alternative one included.
    async fn has_title(&self, id: MovieId, title: &str, year: Option<i32>) -> sqlx::Result<bool> {
        let found = matching::find_titles(&self.pool, &[(title, year)]).await?;
        Ok(found.iter().any(|movie| movie.id == id))
    }
}
