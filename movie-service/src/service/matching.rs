//! Resolution of movies from other catalogues: by TMDB's id, then by IMDb's, then by title and year, in the catalogue and
//! then at TMDB, within a bound. Called by the internal match endpoint. An id that names another movie outweighs a title.

mod title_search;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, stream};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::Instant;

use self::title_search::Title;
use super::hydration::{Hydration, HydrationError};
use crate::{
    client::{tmdb::Tmdb, wire::FoundMovie},
    models::{MovieId, MovieRef},
    repository::matching::{self, TitleMatch},
};

/// The time limit of all fetches of a request.
const FETCH_TIMEOUT: Duration = Duration::from_secs(6);
const MAX_CONCURRENT_FETCHES: usize = 8;
/// The memory of TMDB's results of searches.
const MAX_SEARCH_CACHE_BYTES: u64 = 8 * 1024 * 1024;
/// Candidates of a movie that was not found.
const MAX_CANDIDATES: usize = 5;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Match {
    /// The movie.
    Found {
        /// Its id.
        id: MovieId,
    },
    /// No movie.
    Missing {
        /// The reason.
        unmatched: Unmatched,
        /// The movies that it may be, the likeliest first, at most five.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        candidates: Vec<Candidate>,
    },
}

impl Match {
    fn found(id: MovieId) -> Self {
        Self::Found { id }
    }

    fn missing(unmatched: Unmatched) -> Self {
        Self::Missing {
            unmatched,
            candidates: Vec::new(),
        }
    }
}

/// A movie that may be the requested one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// TMDB's id.
    pub tmdb_id: MovieId,
    /// The title.
    pub title: String,
    /// The year of release.
    pub year: Option<i32>,
}

impl From<&TitleMatch> for Candidate {
    fn from(movie: &TitleMatch) -> Self {
        Self {
            tmdb_id: movie.id,
            title: movie.title.clone(),
            year: movie.year,
        }
    }
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

/// The result of a request to TMDB for a movie.
enum Fetched {
    /// The movie is in the catalogue now.
    Movie(MovieId),
    /// TMDB does not have it.
    NotFound,
    /// TMDB cannot be asked now.
    Deferred,
}

/// The requests to TMDB that a call may still make.
struct Budget {
    max: usize,
    left: AtomicUsize,
    used: AtomicUsize,
    deadline: Instant,
}

impl Budget {
    fn new(max: usize) -> Self {
        Self {
            max,
            left: AtomicUsize::new(max),
            used: AtomicUsize::new(0),
            deadline: Instant::now() + FETCH_TIMEOUT,
        }
    }

    /// True if one more request may be made.
    fn take(&self) -> bool {
        let take = |left: usize| left.checked_sub(1);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.is_ok() && Instant::now() < self.deadline
    }

    /// Counts a request that TMDB responded to.
    fn count(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// The matcher; cheap to clone.
#[derive(Clone)]
pub struct Matching {
    pool: PgPool,
    hydration: Hydration,
    tmdb: Tmdb,
    /// Recent results of TMDB's search, so that a title of several imports is searched once.
    searches: Cache<Title, Arc<[FoundMovie]>>,
}

impl Matching {
    /// Matches movies in `pool`, those that `hydration` fetches and those that `tmdb` finds; results of searches are kept for
    /// `search_ttl`.
    pub fn new(pool: PgPool, hydration: Hydration, tmdb: Tmdb, search_ttl: Duration) -> Self {
        let searches = Cache::builder()
            .max_capacity(MAX_SEARCH_CACHE_BYTES)
            .weigher(|(title, _): &Title, found: &Arc<[FoundMovie]>| {
                let movies = found.iter().map(FoundMovie::bytes).sum::<usize>();
                u32::try_from(title.len() + movies + 200).unwrap_or(u32::MAX)
            })
            .time_to_live(search_ttl)
            .build();
        Self {
            pool,
            hydration,
            tmdb,
            searches,
        }
    }

    /// Matches `movies`, in their order, and counts the requests to TMDB, at most `max_fetched`.
    #[tracing::instrument(name = "service.matching.find", level = "debug", skip_all, fields(count = movies.len()))]
    pub async fn find(
        &self,
        movies: &[ExternalMovie],
        max_fetched: usize,
    ) -> sqlx::Result<(Vec<Match>, usize)> {
        let budget = Budget::new(max_fetched);
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
                by_id(movie).or_else(imdb).map(Match::found)
            })
            .collect();
        let tmdb = |movie: &ExternalMovie| movie.tmdb_id.map(MovieRef::Tmdb);
        self.fetch(movies, &mut matches, tmdb, &budget).await?;
        // An id that TMDB no longer has may be an outdated one.
        let imdb = |movie: &ExternalMovie| movie.imdb_id.clone().map(MovieRef::Imdb);
        self.fetch(movies, &mut matches, imdb, &budget).await?;
        self.match_titles(movies, &mut matches, &budget).await?;
        let unknown = || Match::missing(Unmatched::Unknown);
        let matches = matches
            .into_iter()
            .map(|found| found.unwrap_or_else(unknown));
        Ok((matches.collect(), budget.used()))
    }

    /// Fetches the movies that `reference` names and that have no match, each once. Those that TMDB does not have keep none.
    async fn fetch(
        &self,
        movies: &[ExternalMovie],
        matches: &mut [Option<Match>],
        reference: impl Fn(&ExternalMovie) -> Option<MovieRef>,
        budget: &Budget,
    ) -> sqlx::Result<()> {
        let open = movies.iter().zip(&*matches);
        let open = open.filter(|(_, found)| found.is_none());
        let deferred = Some(Match::missing(Unmatched::Deferred));
        let mut fetched: BTreeMap<MovieRef, Option<Match>> = open
            .filter_map(|(movie, _)| Some((reference(movie)?, deferred.clone())))
            .collect();
        let references: Vec<MovieRef> = fetched
            .keys()
            .take_while(|_| budget.take())
            .cloned()
            .collect();
        let mut responses = stream::iter(references)
            .map(|reference| async move {
                let fetched = self.fetch_one(&reference, budget).await;
                (reference, fetched)
            })
            .buffer_unordered(MAX_CONCURRENT_FETCHES);
        while let Some((reference, response)) = responses.next().await {
            let found = match response? {
                Fetched::Movie(id) => Some(Match::found(id)),
                Fetched::NotFound => None,
                Fetched::Deferred => continue,
            };
            fetched.insert(reference, found);
        }
        drop(responses);
        for (movie, found) in movies.iter().zip(matches) {
            if found.is_none()
                && let Some(reference) = reference(movie)
            {
                *found = fetched.get(&reference).cloned().flatten();
            }
        }
        Ok(())
    }

    /// Fetches a movie into the catalogue, with a request that was taken from `budget`.
    async fn fetch_one(&self, reference: &MovieRef, budget: &Budget) -> sqlx::Result<Fetched> {
        // Boxed: nested any deeper, the future's layout exceeds the compiler's recursion limit in optimized builds.
        let get = self.hydration.get(reference).boxed();
        let fetched = match tokio::time::timeout_at(budget.deadline, get).await {
            Ok(Ok(served)) => Fetched::Movie(served.film.movie.id),
            Ok(Err(error)) => match error.as_ref() {
                HydrationError::NotFound => Fetched::NotFound,
                HydrationError::TmdbUnavailable { .. } => return Ok(Fetched::Deferred),
                HydrationError::Database(_) => return Err(unshared(&error)),
            },
            Err(_) => return Ok(Fetched::Deferred),
        };
        budget.count();
        Ok(fetched)
    }

    async fn match_titles(
        &self,
        movies: &[ExternalMovie],
        matches: &mut [Option<Match>],
        budget: &Budget,
    ) -> sqlx::Result<()> {
        let mut open = Vec::new();
        for (movie, found) in movies.iter().zip(matches) {
            if let (Some(title), None) = (movie.title.as_deref(), &found) {
                open.push((movie, title, found));
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let titles: Vec<_> = open
            .iter()
            .map(|(movie, title, _)| (*title, movie.year))
            .collect();
        let stored = matching::find_titles(&self.pool, &titles).await?;
        let mut searched: BTreeMap<title_search::Title, Option<Match>> = BTreeMap::new();
        for (position, (movie, title, found)) in open.iter_mut().enumerate() {
            let candidates = stored
                .iter()
                .filter(|movie| usize::try_from(movie.position).is_ok_and(|at| at == position));
            let (chosen, is_certain) = choose(&candidates.collect::<Vec<_>>(), movie);
            // An IMDb id has been looked for at TMDB already, and outweighs the title.
            if !is_certain && movie.imdb_id.is_none() {
                searched.insert(((*title).to_owned(), movie.year), chosen.clone());
            }
            **found = chosen;
        }
        self.search(&mut searched, budget).await?;
        for (movie, title, found) in open {
            // A title is searched once; movies of one title may differ in their ids.
            let result = searched
                .get(&(title.to_owned(), movie.year))
                .cloned()
                .flatten();
            let result = result.filter(|_| movie.imdb_id.is_none());
            if let (None | Some(Match::Found { .. }), Some(result)) = (&found, result) {
                *found = Some(result);
            }
        }
        Ok(())
    }
}

/// Chooses among the best candidates of the catalogue for a title; false if TMDB may have a better one. Within the requested
/// year the better one wins; movies of neighbouring years, or without a requested year, are equally likely. A movie of
/// another IMDb id is none of them.
fn choose(candidates: &[&TitleMatch], movie: &ExternalMovie) -> (Option<Match>, bool) {
    let is_other = |candidate: &&&TitleMatch| {
        let ids = candidate.imdb_id.as_ref().zip(movie.imdb_id.as_ref());
        ids.is_some_and(|(own, wanted)| own != wanted)
    };
    let listed = |reason| Match::Missing {
        unmatched: reason,
        candidates: candidates.iter().copied().map(Candidate::from).collect(),
    };
    let fitting: Vec<&TitleMatch> = candidates
        .iter()
        .filter(|c| !is_other(c))
        .copied()
        .collect();
    let Some((best, rest)) = fitting.split_first() else {
        // Its id was looked for at TMDB.
        let is_named = !candidates.is_empty();
        return (is_named.then(|| listed(Unmatched::Unknown)), is_named);
    };
    let is_clear = match rest.first() {
        None => true,
        Some(second) if movie.year.is_some() && best.same_year => {
            let rank = |movie: &TitleMatch| (movie.same_year, movie.own_title, movie.vote_count);
            rank(best) > rank(second)
        }
        Some(_) => false,
    };
    match is_clear {
        true => (
            Some(Match::found(best.id)),
            best.same_year || movie.year.is_none(),
        ),
        false => (Some(listed(Unmatched::Ambiguous)), true),
    }
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
            imdb_id: Some(format!("tt000000{id}")),
            title: "Twice Told".to_owned(),
            year: Some(1990),
        };
        let wanted = |has_year: bool, imdb_id: Option<&str>| ExternalMovie {
            title: Some("Twice Told".to_owned()),
            year: has_year.then_some(1990),
            imdb_id: imdb_id.map(str::to_owned),
            tmdb_id: None,
        };
        let reason = |found: Option<Match>| match found {
            Some(Match::Found { id }) => Ok(id.get()),
            Some(Match::Missing { unmatched, .. }) => Err(Some(unmatched)),
            None => Err(None),
        };
        let (found, ambiguous) = (Ok(1), Err(Some(Unmatched::Ambiguous)));
        assert_eq!(choose(&[], &wanted(true, None)), (None, false));
        let neighbour = movie(1, (false, false, 0));
        let (chosen, is_certain) = choose(&[&neighbour], &wanted(true, None));
        assert_eq!((reason(chosen), is_certain), (found, false));
        let other = choose(&[&neighbour], &wanted(true, Some("tt0000009"))).0;
        assert_eq!(reason(other), Err(Some(Unmatched::Unknown)));
        let same = choose(
            &[&movie(2, (true, true, 9)), &neighbour],
            &wanted(true, Some("tt0000001")),
        )
        .0;
        assert_eq!(reason(same), found);
        for (one, two, has_year, expected) in [
            ((true, true, 5), (false, true, 900), true, found),
            ((true, true, 5), (true, true, 4), true, found),
            ((true, true, 4), (true, false, 9), true, found),
            ((true, true, 4), (true, true, 4), true, ambiguous),
            ((false, true, 9), (false, true, 4), true, ambiguous),
            ((false, true, 9), (false, true, 4), false, ambiguous),
        ] {
            let (one, two) = (movie(1, one), movie(2, two));
            let (chosen, _) = choose(&[&one, &two], &wanted(has_year, None));
            assert_eq!(reason(chosen), expected);
        }
    }
}
