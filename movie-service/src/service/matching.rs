//! Resolution of movies from other catalogues: by TMDB's id, then by IMDb's, then by title and year. Called by the
//! internal match endpoint; unknown ids are fetched from TMDB, within a bound.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::Instant;

use super::hydration::{Hydration, HydrationError};
use crate::{
    models::{MovieId, MovieRef},
    repository::matching::{self, TitleMatch},
};

/// The time limit of all fetches of a request.
const FETCH_TIMEOUT: Duration = Duration::from_secs(6);
const MAX_CONCURRENT_FETCHES: usize = 8;

/// A movie as another catalogue describes it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalMovie {
    /// TMDB's id.
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// The title, in any language.
    pub title: Option<String>,
    /// The year of release.
    pub year: Option<i32>,
}

/// The result for one [`ExternalMovie`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// The movie.
    Id(MovieId),
    /// No movie, with the reason.
    Unmatched(Unmatched),
}

/// The reason for a missing match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// Neither the catalogue nor TMDB has such a movie.
    Unknown,
    /// Several movies fit equally well.
    Ambiguous,
    /// TMDB may have the movie but was not requested; a later request may find it.
    Deferred,
}

/// The matcher; cheap to clone.
#[derive(Clone)]
pub struct Matching {
    pool: PgPool,
    hydration: Hydration,
}

impl Matching {
    /// Matches movies in `pool` and those that `hydration` fetches.
    pub fn new(pool: PgPool, hydration: Hydration) -> Self {
        Self { pool, hydration }
    }

    /// Matches `movies`, in their order, and counts the requests to TMDB, at most `max_fetched`.
    #[tracing::instrument(name = "service.matching.find", level = "debug", skip_all, fields(count = movies.len()))]
    pub async fn find(
        &self,
        movies: &[ExternalMovie],
        max_fetched: usize,
    ) -> sqlx::Result<(Vec<Match>, usize)> {
        let ids: Vec<MovieId> = movies.iter().filter_map(|movie| movie.tmdb_id).collect();
        let stored = matching::find_ids(&self.pool, &ids).await?;
        let stored: HashSet<MovieId> = stored.into_iter().collect();
        let by_id = |movie: &ExternalMovie| movie.tmdb_id.filter(|id| stored.contains(id));
        let imdb_ids: Vec<String> = movies
            .iter()
            .filter(|movie| by_id(movie).is_none())
            .filter_map(|movie| movie.imdb_id.clone())
            .collect();
        let by_imdb = matching::find_imdb_ids(&self.pool, &imdb_ids).await?;
        let mut matches: Vec<Option<Match>> = movies
            .iter()
            .map(|movie| {
                let imdb = || by_imdb.get(movie.imdb_id.as_deref()?).copied();
                by_id(movie).or_else(imdb).map(Match::Id)
            })
            .collect();
        let missing = movies.iter().zip(&matches);
        let references = missing
            .filter(|(_, found)| found.is_none())
            .filter_map(|(movie, _)| reference(movie));
        let (fetched, count) = self.fetch(references, max_fetched).await?;
        for (movie, found) in movies.iter().zip(&mut matches) {
            if found.is_none() {
                // An unknown id may be an outdated one, so the title decides.
                *found = reference(movie).and_then(|reference| fetched.get(&reference).copied()?);
            }
        }
        self.match_titles(movies, &mut matches).await?;
        let unknown = Match::Unmatched(Unmatched::Unknown);
        let matches = matches.into_iter().map(|found| found.unwrap_or(unknown));
        Ok((matches.collect(), count))
    }

    /// Fetches at most `max` of `references`, each once; `None` for those that TMDB does not have.
    async fn fetch(
        &self,
        references: impl Iterator<Item = MovieRef>,
        max: usize,
    ) -> sqlx::Result<(BTreeMap<MovieRef, Option<Match>>, usize)> {
        let deferred = Some(Match::Unmatched(Unmatched::Deferred));
        let mut fetched: BTreeMap<MovieRef, Option<Match>> =
            references.map(|reference| (reference, deferred)).collect();
        let deadline = Instant::now() + FETCH_TIMEOUT;
        let references: Vec<MovieRef> = fetched.keys().take(max).cloned().collect();
        let mut responses = stream::iter(references)
            .map(|reference| async move {
                let get = self.hydration.get(&reference);
                let response = tokio::time::timeout_at(deadline, get).await;
                (reference, response)
            })
            .buffer_unordered(MAX_CONCURRENT_FETCHES);
        let mut count = 0;
        while let Some((reference, response)) = responses.next().await {
            let found = match response {
                Ok(Ok(served)) => Some(Match::Id(served.film.movie.id)),
                Ok(Err(error)) => match error.as_ref() {
                    HydrationError::NotFound => None,
                    HydrationError::TmdbUnavailable { .. } => continue,
                    HydrationError::Database(_) => return Err(unshared(&error)),
                },
                Err(_) => continue,
            };
            count += 1;
            fetched.insert(reference, found);
        }
        drop(responses);
        Ok((fetched, count))
    }

    async fn match_titles(
        &self,
        movies: &[ExternalMovie],
        matches: &mut [Option<Match>],
    ) -> sqlx::Result<()> {
        let (mut titles, mut open) = (Vec::new(), Vec::new());
        for (movie, found) in movies.iter().zip(matches) {
            if let (Some(title), None) = (movie.title.as_deref(), &found) {
                titles.push((title, movie.year));
                open.push(found);
            }
        }
        if titles.is_empty() {
            return Ok(());
        }
        let candidates = matching::find_titles(&self.pool, &titles).await?;
        for (position, ((_, year), found)) in titles.iter().zip(open).enumerate() {
            let candidates = candidates
                .iter()
                .filter(|movie| usize::try_from(movie.position).is_ok_and(|at| at == position));
            *found = choose(&candidates.collect::<Vec<_>>(), year.is_some());
        }
        Ok(())
    }
}

/// Chooses among the two best candidates for a title. Within the requested year the better one wins; movies of
/// neighbouring years, or without a requested year, are equally likely.
fn choose(candidates: &[&TitleMatch], has_year: bool) -> Option<Match> {
    let (best, rest) = candidates.split_first()?;
    let is_certain = match rest.first() {
        None => true,
        Some(second) if has_year && best.same_year => {
            let rank = |movie: &TitleMatch| (movie.same_year, movie.own_title, movie.vote_count);
            rank(best) > rank(second)
        }
        Some(_) => false,
    };
    Some(match is_certain {
        true => Match::Id(best.id),
        false => Match::Unmatched(Unmatched::Ambiguous),
    })
}

fn reference(movie: &ExternalMovie) -> Option<MovieRef> {
    let tmdb = movie.tmdb_id.map(MovieRef::Tmdb);
    tmdb.or_else(|| movie.imdb_id.clone().map(MovieRef::Imdb))
}

/// Converts a shared error, which cannot be moved out of its `Arc`.
fn unshared(error: &Arc<HydrationError>) -> sqlx::Error {
    match error.as_ref() {
        HydrationError::Database(cause) if chassis::postgres::is_unreachable(cause) => {
            sqlx::Error::PoolTimedOut
        }
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_better_known_movie_of_the_year_wins_and_other_ties_are_ambiguous() {
        let movie = |id, (same_year, own_title, vote_count)| TitleMatch {
            position: 0,
            id: MovieId::new(id).expect("positive"),
            same_year,
            own_title,
            vote_count,
        };
        let found = MovieId::new(1).map(Match::Id);
        let ambiguous = Some(Match::Unmatched(Unmatched::Ambiguous));
        assert_eq!(choose(&[], true), None);
        assert_eq!(choose(&[&movie(1, (false, false, 0))], true), found);
        for (one, two, has_year, expected) in [
            ((true, true, 5), (false, true, 900), true, found),
            ((true, true, 5), (true, true, 4), true, found),
            ((true, true, 4), (true, false, 9), true, found),
            ((true, true, 4), (true, true, 4), true, ambiguous),
            ((false, true, 9), (false, true, 4), true, ambiguous),
            ((false, true, 9), (false, true, 4), false, ambiguous),
        ] {
            let (one, two) = (movie(1, one), movie(2, two));
            assert_eq!(choose(&[&one, &two], has_year), expected);
        }
    }
}
