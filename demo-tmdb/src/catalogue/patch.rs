//! Changes to a film at run time, as a JSON merge patch (RFC 7396): an absent field stays, `null` removes a
//! fact.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::{Film, Person, Registry, is_genre};

/// A patch that no film can have.
#[derive(Debug, Error)]
pub(crate) enum PatchError {
    #[error("genre_ids: {0} is no genre of TMDB's")]
    Genre(u32),
    #[error("{0}: must be a finite number and not negative")]
    Number(&'static str),
    #[error("{0}: must not be empty")]
    Empty(&'static str),
}

/// The fields that a test may change. Lists replace the whole list; people and keywords are given by name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FilmPatch {
    #[serde(deserialize_with = "present")]
    title: Option<String>,
    #[serde(deserialize_with = "present")]
    original_title: Option<String>,
    #[serde(deserialize_with = "nullable")]
    korean_title: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    original_language: Option<String>,
    #[serde(deserialize_with = "nullable")]
    release_date: Option<Option<NaiveDate>>,
    #[serde(deserialize_with = "nullable")]
    runtime: Option<Option<u32>>,
    #[serde(deserialize_with = "present")]
    genre_ids: Option<Vec<u32>>,
    #[serde(deserialize_with = "present")]
    popularity: Option<f64>,
    #[serde(deserialize_with = "present")]
    vote_average: Option<f64>,
    #[serde(deserialize_with = "present")]
    vote_count: Option<u32>,
    #[serde(deserialize_with = "present")]
    directors: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    cast: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    keywords: Option<Vec<String>>,
    #[serde(deserialize_with = "nullable")]
    imdb_id: Option<Option<String>>,
    #[serde(deserialize_with = "nullable")]
    overview: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    adult: Option<bool>,
}

/// A fact that every film has: `null` cannot take it away.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Tells `null` from absent: serde alone makes both `None`.
fn nullable<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

impl FilmPatch {
    /// The film as it is with this patch.
    ///
    /// # Errors
    /// `PatchError` if a value is invalid.
    pub(super) fn apply(
        self,
        mut film: Film,
        people: &mut Registry<Person>,
        keywords: &mut Registry<()>,
    ) -> Result<Film, PatchError> {
        // Checked before anything is given an id, so that a refused patch leaves no trace.
        for (name, value) in [
            ("title", &self.title),
            ("original_title", &self.original_title),
        ] {
            if value.as_deref() == Some("") {
                return Err(PatchError::Empty(name));
            }
        }
        for (name, value) in [
            ("popularity", self.popularity),
            ("vote_average", self.vote_average),
        ] {
            if value.is_some_and(|value| !value.is_finite() || value < 0.0) {
                return Err(PatchError::Number(name));
            }
        }
        if let Some(genre) = self
            .genre_ids
            .iter()
            .flatten()
            .find(|genre| !is_genre(**genre))
        {
            return Err(PatchError::Genre(*genre));
        }

        set(&mut film.title, self.title);
        set(&mut film.original_title, self.original_title);
        set(&mut film.korean_title, self.korean_title);
        set(&mut film.language, self.original_language);
        set(&mut film.release_date, self.release_date);
        set(
            &mut film.runtime,
            self.runtime.map(Option::unwrap_or_default),
        );
        set(&mut film.genres, self.genre_ids);
        set(&mut film.popularity, self.popularity);
        set(&mut film.vote_average, self.vote_average);
        set(&mut film.vote_count, self.vote_count);
        set(&mut film.imdb_id, self.imdb_id);
        set(&mut film.overview, self.overview);
        set(&mut film.adult, self.adult);
        set(
            &mut film.directors,
            self.directors.map(|names| ids_of(people, &names)),
        );
        set(
            &mut film.cast,
            self.cast.map(|names| ids_of(people, &names)),
        );
        set(
            &mut film.keywords,
            self.keywords.map(|names| ids_of(keywords, &names)),
        );
        Ok(film)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn ids_of<T: Default>(registry: &mut Registry<T>, names: &[String]) -> Vec<u32> {
    names.iter().map(|name| registry.id_of(name)).collect()
}
