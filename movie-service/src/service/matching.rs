//! Which film of the catalogue is meant by what another list says of it: by TMDB's id, then by IMDb's,
//! then by title and year. Films that only TMDB knows are fetched, within a bound.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::time::Instant;

use super::hydration::{Hydration, HydrationError};
use crate::{
    models::{MovieId, MovieRef},
    repository::matching::{self, Namesake},
};

/// How long films are fetched for one question.
const PATIENCE: Duration = Duration::from_secs(6);
/// Films that are fetched at once.
const AT_ONCE: usize = 8;

/// What another list says of a film.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// TMDB's id.
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// Its title, in any language.
    pub title: Option<String>,
    /// The year of its release.
    pub year: Option<i32>,
}

/// Which film that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// This one.
    Found(MovieId),
    /// None that we or TMDB know.
    Unknown,
    /// Several have the title, and nothing tells which is meant.
    Ambiguous,
    /// Perhaps one that TMDB knows, which was not asked: ask again.
    Deferred,
}

/// Finds the films that are meant; cheap to clone.
#[derive(Clone)]
pub struct Matching {
    pool: PgPool,
    hydration: Hydration,
}

/// What became of a film that TMDB was to be asked for.
#[derive(Debug, Clone, Copy)]
enum Fetched {
    Here(MovieId),
    Nowhere,
    NotAsked,
}

impl Matching {
    /// Among those in `pool`, and those that `hydration` fetches.
    #[must_use]
    pub fn new(pool: PgPool, hydration: Hydration) -> Self {
        Self { pool, hydration }
    }

    /// Which film each of `wanted` is, in their order, and how many were looked for at TMDB for that:
    /// at most `most_fetched`.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find(
        &self,
        wanted: &[Wanted],
        most_fetched: usize,
    ) -> sqlx::Result<(Vec<Match>, usize)> {
        let ids: Vec<i64> = wanted
            .iter()
            .filter_map(|film| film.tmdb_id.map(MovieId::get))
            .collect();
        let by_id: BTreeSet<i64> = matching::find_ids(&self.pool, &ids)
            .await?
            .into_iter()
            .collect();
        let is_here = |id: &MovieId| by_id.contains(&id.get());
        let imdb_ids: Vec<&str> = wanted
            .iter()
            .filter(|film| !film.tmdb_id.as_ref().is_some_and(is_here))
            .filter_map(|film| film.imdb_id.as_deref())
            .collect();
        let by_imdb: HashMap<String, i64> = matching::find_imdb_ids(&self.pool, &imdb_ids)
            .await?
            .into_iter()
            .collect();
        let known: Vec<Option<MovieId>> = wanted
            .iter()
            .map(|film| {
                film.tmdb_id.filter(is_here).or_else(|| {
                    let id = by_imdb.get(film.imdb_id.as_deref()?)?;
                    MovieId::new(*id)
                })
            })
            .collect();
        let missing = wanted.iter().zip(&known).filter(|(_, id)| id.is_none());
        let (fetched, count) = self
            .fetch(missing.map(|(film, _)| film), most_fetched)
            .await?;
        let mut matches: Vec<Option<Match>> = wanted
            .iter()
            .zip(known)
            .map(|(film, id)| match (id, reference(film)) {
                (Some(id), _) => Some(Match::Found(id)),
                (None, Some(reference)) => match fetched.get(&key(&reference)) {
                    Some(Fetched::Here(id)) => Some(Match::Found(*id)),
                    Some(Fetched::NotAsked) => Some(Match::Deferred),
                    // An id of which nobody knows anything may be an old one of a film that we know.
                    Some(Fetched::Nowhere) | None => None,
                },
                (None, None) => None,
            })
            .collect();
        self.match_titles(wanted, &mut matches).await?;
        let matches = matches
            .into_iter()
            .map(|found| found.unwrap_or(Match::Unknown))
            .collect();
        Ok((matches, count))
    }

    /// Fetches those of `films` that have an id, each once.
    async fn fetch<'a>(
        &self,
        films: impl Iterator<Item = &'a Wanted>,
        most: usize,
    ) -> sqlx::Result<(BTreeMap<String, Fetched>, usize)> {
        let references: BTreeMap<String, MovieRef> = films
            .filter_map(reference)
            .map(|reference| (key(&reference), reference))
            .collect();
        let mut fetched: BTreeMap<String, Fetched> = references
            .keys()
            .map(|key| (key.clone(), Fetched::NotAsked))
            .collect();
        let deadline = Instant::now() + PATIENCE;
        let mut answers = stream::iter(references.into_iter().take(most))
            .map(|(key, reference)| async move {
                let answer =
                    tokio::time::timeout_at(deadline, self.hydration.get(&reference)).await;
                (key, answer)
            })
            .buffer_unordered(AT_ONCE);
        let mut count = 0;
        while let Some((key, answer)) = answers.next().await {
            let became = match answer {
                Ok(Ok(served)) => {
                    count += 1;
                    Fetched::Here(served.film.detail.movie.id)
                }
                Ok(Err(error)) => match error.as_ref() {
                    HydrationError::NotFound => {
                        count += 1;
                        Fetched::Nowhere
                    }
                    HydrationError::TmdbAway { .. } => Fetched::NotAsked,
                    HydrationError::Database(_) => return Err(owned(&error)),
                },
                Err(_) => Fetched::NotAsked,
            };
            fetched.insert(key, became);
        }
        Ok((fetched, count))
    }

    async fn match_titles(
        &self,
        wanted: &[Wanted],
        matches: &mut [Option<Match>],
    ) -> sqlx::Result<()> {
        let (mut titles, mut open) = (Vec::new(), Vec::new());
        for (film, found) in wanted.iter().zip(matches) {
            if let (Some(title), None) = (film.title.as_deref(), &found) {
                titles.push((title, film.year));
                open.push(found);
            }
        }
        if titles.is_empty() {
            return Ok(());
        }
        let namesakes = matching::find_titles(&self.pool, &titles).await?;
        for (place, ((_, year), found)) in titles.iter().zip(open).enumerate() {
            let fits = namesakes
                .iter()
                .filter(|film| usize::try_from(film.position).is_ok_and(|at| at == place));
            let fits: Vec<&Namesake> = fits.collect();
            *found = choose(&fits, year.is_some());
        }
        Ok(())
    }
}

/// Of the two films that fit a title best, the one that is meant. A namesake of the same year loses to
/// the better known film; those of neighbouring years, or of any, are as likely as each other.
fn choose(fits: &[&Namesake], has_year: bool) -> Option<Match> {
    let [best, rest @ ..] = fits else {
        return None;
    };
    let is_it = match rest.first() {
        None => true,
        Some(second) if has_year && best.same_year => {
            let rank = |film: &Namesake| (film.same_year, film.own_title, film.vote_count);
            rank(best) > rank(second)
        }
        Some(_) => false,
    };
    if !is_it {
        return Some(Match::Ambiguous);
    }
    MovieId::new(best.id).map(Match::Found)
}

fn reference(film: &Wanted) -> Option<MovieRef> {
    let tmdb = film.tmdb_id.map(MovieRef::Tmdb);
    tmdb.or_else(|| film.imdb_id.clone().map(MovieRef::Imdb))
}

fn key(reference: &MovieRef) -> String {
    match reference {
        MovieRef::Tmdb(id) => id.to_string(),
        MovieRef::Imdb(id) => id.clone(),
    }
}

/// An error that many share, for one of them.
fn owned(error: &Arc<HydrationError>) -> sqlx::Error {
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

    fn film(id: i64, same_year: bool, own_title: bool, vote_count: i32) -> Namesake {
        Namesake {
            position: 0,
            id,
            same_year,
            own_title,
            vote_count,
        }
    }

    #[test]
    fn of_namesakes_the_better_known_of_the_year_is_meant_and_else_nobody_can_tell() {
        let found = |id| MovieId::new(id).map(Match::Found);
        let both = |a: Namesake, b: Namesake, has_year| choose(&[&a, &b], has_year);
        assert_eq!(choose(&[], true), None);
        assert_eq!(choose(&[&film(1, false, false, 0)], true), found(1));
        let next_year = film(2, false, true, 900);
        assert_eq!(both(film(1, true, true, 5), next_year, true), found(1));
        assert_eq!(
            both(film(1, true, true, 5), film(2, true, true, 4), true),
            found(1)
        );
        assert_eq!(
            both(film(1, true, true, 4), film(2, true, false, 9), true),
            found(1)
        );
        let ambiguous = Some(Match::Ambiguous);
        assert_eq!(
            both(film(1, true, true, 4), film(2, true, true, 4), true),
            ambiguous
        );
        assert_eq!(
            both(film(1, false, true, 9), film(2, false, true, 4), true),
            ambiguous
        );
        assert_eq!(
            both(film(1, false, true, 9), film(2, false, true, 4), false),
            ambiguous
        );
    }
}
