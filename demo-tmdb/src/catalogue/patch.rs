//! The facts of a movie as control paths read and change them at run time, with a JSON merge patch (RFC 7396): an absent
//! field stays, `null` removes a fact.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{Film, Person, Registry, is_genre};

/// An invalid patch.
#[derive(Debug, Error)]
pub(crate) enum PatchError {
    #[error(transparent)]
    Unreadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    #[error("genre_ids: {0} is no genre of TMDB's")]
    Genre(u32),
    #[error("{0}: must not be negative")]
    Number(&'static str),
    #[error("{0}: must not be empty")]
    Empty(&'static str),
}

/// The facts of a movie; people and keywords by name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilmFacts {
    title: String,
    original_title: String,
    korean_title: Option<String>,
    original_language: String,
    release_date: Option<NaiveDate>,
    #[serde(deserialize_with = "null_as_zero")]
    runtime: u32,
    genre_ids: Vec<u32>,
    popularity: f64,
    vote_average: f64,
    vote_count: u32,
    directors: Vec<String>,
    cast: Vec<String>,
    keywords: Vec<String>,
    imdb_id: Option<String>,
    overview: Option<String>,
    adult: bool,
}

fn null_as_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl FilmFacts {
    pub(super) fn new(film: &Film, people: &Registry<Person>, keywords: &Registry<()>) -> Self {
        let film = film.clone();
        Self {
            title: film.title,
            original_title: film.original_title,
            korean_title: film.korean_title,
            original_language: film.language,
            release_date: film.release_date,
            runtime: film.runtime,
            genre_ids: film.genres,
            popularity: film.popularity,
            vote_average: film.vote_average,
            vote_count: film.vote_count,
            directors: people.names(&film.directors),
            cast: people.names(&film.cast),
            keywords: keywords.names(&film.keywords),
            imdb_id: film.imdb_id,
            overview: film.overview,
            adult: film.adult,
        }
    }

    /// The facts with `patch` applied.
    ///
    /// # Errors
    /// `PatchError` if a value is invalid.
    pub(super) fn patched(self, patch: Map<String, Value>) -> Result<Self, PatchError> {
        let mut facts = serde_json::to_value(self).unwrap_or_default();
        for (name, value) in patch {
            facts[name] = value;
        }
        let facts: Self = serde_path_to_error::deserialize(facts)?;
        if facts.title.is_empty() {
            return Err(PatchError::Empty("title"));
        }
        if facts.original_title.is_empty() {
            return Err(PatchError::Empty("original_title"));
        }
        if facts.popularity < 0.0 {
            return Err(PatchError::Number("popularity"));
        }
        if facts.vote_average < 0.0 {
            return Err(PatchError::Number("vote_average"));
        }
        match facts.genre_ids.iter().find(|genre| !is_genre(**genre)) {
            Some(genre) => Err(PatchError::Genre(*genre)),
            None => Ok(facts),
        }
    }

    /// The movie `id` with these facts; new names receive ids.
    pub(super) fn into_film(
        self,
        id: super::FilmId,
        people: &mut Registry<Person>,
        keywords: &mut Registry<()>,
    ) -> Film {
        Film {
            id,
            title: self.title,
            original_title: self.original_title,
            korean_title: self.korean_title,
            language: self.original_language,
            release_date: self.release_date,
            runtime: self.runtime,
            genres: self.genre_ids,
            popularity: self.popularity,
            vote_average: self.vote_average,
            vote_count: self.vote_count,
            directors: people.ids(&self.directors),
            cast: people.ids(&self.cast),
            keywords: keywords.ids(&self.keywords),
            imdb_id: self.imdb_id,
            overview: self.overview,
            adult: self.adult,
        }
    }
}
