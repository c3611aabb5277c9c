//! The movies of demo-tmdb: read from `data/`, changed at run time by a test, and the values derived
//! where the data has none. The shapes of responses are decided in the handlers.

mod derive;
mod discover;
mod extra;
mod genres;
mod load;
mod overview;
mod patch;
mod registry;
mod search;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde_json::{Map, Value};

pub(crate) use self::search::search;
pub(crate) use derive::stable_number;
pub(crate) use discover::{Discover, Order, ParameterError, Query, Range, parse};
pub(crate) use genres::{GENRES, genre_name, is_genre};
pub(crate) use load::CatalogueError;
pub(crate) use overview::overview;
pub(crate) use patch::{FilmFacts, PatchError};
pub(crate) use registry::{Person, Registry};

/// A film's id on TMDB; for generated films, an id above ten million.
pub(crate) type FilmId = i64;

/// One film. People and keywords are ids; their names are in the catalogue's registries.
#[derive(Clone, Debug)]
pub(crate) struct Film {
    pub(crate) id: FilmId,
    pub(crate) title: String,
    pub(crate) original_title: String,
    pub(crate) korean_title: Option<String>,
    /// ISO 639-1, as TMDB has it (`cn` for Cantonese).
    pub(crate) language: String,
    pub(crate) release_date: Option<NaiveDate>,
    /// Minutes, 0 where unknown.
    pub(crate) runtime: u32,
    pub(crate) genres: Vec<u32>,
    pub(crate) popularity: f64,
    pub(crate) vote_average: f64,
    pub(crate) vote_count: u32,
    pub(crate) directors: Vec<u32>,
    pub(crate) cast: Vec<u32>,
    pub(crate) keywords: Vec<u32>,
    pub(crate) imdb_id: Option<String>,
    /// Only where a test has set one; otherwise a line is composed from the facts.
    pub(crate) overview: Option<String>,
    pub(crate) adult: bool,
}

/// The requested language of names and titles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language<'a> {
    /// English, which is also what TMDB falls back to.
    English,
    /// Korean, the one other language in the data.
    Korean,
    /// Any other language: only the original title of a movie may be in it.
    Other(&'a str),
}

impl<'a> Language<'a> {
    /// From TMDB's `language` parameter, such as `ko-KR` or `ko`.
    pub(crate) fn parse(language: Option<&'a str>) -> Self {
        let language = language.unwrap_or("en");
        match language.split_once('-').map_or(language, |(code, _)| code) {
            "ko" => Self::Korean,
            "en" | "" => Self::English,
            other => Self::Other(other),
        }
    }
}

impl Film {
    /// Orders the more popular movie first; equal ones by id.
    pub(crate) fn by_popularity(a: &Self, b: &Self) -> Ordering {
        let by_popularity = b.popularity.total_cmp(&a.popularity);
        by_popularity.then(a.id.cmp(&b.id))
    }

    /// The title as TMDB would give it in that language.
    pub(crate) fn title_in(&self, language: Language<'_>) -> &str {
        match language {
            Language::English => &self.title,
            Language::Korean => match &self.korean_title {
                Some(title) => title,
                None if self.language == "ko" => &self.original_title,
                None => &self.title,
            },
            Language::Other(code) if code == self.language => &self.original_title,
            Language::Other(_) => &self.title,
        }
    }
}

/// All movies, with their people and keywords.
#[derive(Debug)]
pub(crate) struct Catalogue {
    films: BTreeMap<FilmId, Film>,
    /// As loaded, kept only for films that were changed, so that a test can put them back.
    originals: BTreeMap<FilmId, Film>,
    hidden: BTreeSet<FilmId>,
    /// True if every movie has a poster.
    has_posters: bool,
    /// The films that were changed or hidden since the start.
    pub(crate) changed: BTreeSet<FilmId>,
    pub(crate) people: Registry<Person>,
    pub(crate) keywords: Registry<()>,
}

impl Catalogue {
    /// Reads the embedded facts and adds `extra_films` generated films; with posters for all of them if `has_posters`.
    ///
    /// # Errors
    /// `CatalogueError` with file, line and reason if the embedded data is invalid.
    pub(crate) fn load(extra_films: i64, has_posters: bool) -> Result<Self, CatalogueError> {
        let mut catalogue = load::read_embedded()?;
        catalogue.has_posters = has_posters;
        extra::add_films(&mut catalogue, extra_films);
        catalogue.count_people();
        Ok(catalogue)
    }

    /// The number of visible movies.
    pub(crate) fn len(&self) -> usize {
        self.films.len() - self.hidden.len()
    }

    /// The visible movies, by id.
    pub(crate) fn films(&self) -> impl Iterator<Item = &Film> {
        self.films
            .values()
            .filter(|film| !self.hidden.contains(&film.id))
    }

    /// One film, unless it is hidden.
    pub(crate) fn find(&self, id: FilmId) -> Option<&Film> {
        self.films
            .get(&id)
            .filter(|film| !self.hidden.contains(&film.id))
    }

    /// One film by its IMDb id, unless it is hidden.
    pub(crate) fn find_by_imdb(&self, imdb_id: &str) -> Option<&Film> {
        self.films()
            .find(|film| film.imdb_id.as_deref() == Some(imdb_id))
    }

    /// One film, hidden or not.
    pub(crate) fn find_any(&self, id: FilmId) -> Option<&Film> {
        self.films.get(&id)
    }

    pub(crate) fn is_hidden(&self, id: FilmId) -> bool {
        self.hidden.contains(&id)
    }

    /// Hides or shows a movie; false if it does not exist.
    pub(crate) fn set_hidden(&mut self, id: FilmId, hidden: bool) -> bool {
        if !self.films.contains_key(&id) {
            return false;
        }
        self.changed.insert(id);
        if hidden {
            self.hidden.insert(id)
        } else {
            self.hidden.remove(&id)
        };
        true
    }

    /// Changes facts of a movie and returns them; `None` if it does not exist.
    ///
    /// # Errors
    /// `PatchError` if a value is invalid; the movie is then unchanged.
    pub(crate) fn patch(
        &mut self,
        id: FilmId,
        patch: Map<String, Value>,
    ) -> Result<Option<FilmFacts>, PatchError> {
        let Some(film) = self.films.get(&id) else {
            return Ok(None);
        };
        let facts = self.facts(film).patched(patch)?;
        self.originals.entry(id).or_insert_with(|| film.clone());
        let film = facts.into_film(id, &mut self.people, &mut self.keywords);
        let facts = self.facts(&film);
        self.films.insert(id, film);
        self.changed.insert(id);
        self.count_people();
        Ok(Some(facts))
    }

    /// The path of a movie's poster at the image host.
    pub(crate) fn poster_path(&self, film: &Film) -> Option<String> {
        self.has_posters.then(|| format!("/poster{}.png", film.id))
    }

    /// The facts of a movie, as control paths show them.
    pub(crate) fn facts(&self, film: &Film) -> FilmFacts {
        FilmFacts::new(film, &self.people, &self.keywords)
    }

    /// Restores every movie as it was at the start.
    pub(crate) fn restore(&mut self) {
        self.films.extend(std::mem::take(&mut self.originals));
        self.hidden.clear();
        self.changed.clear();
        self.count_people();
    }

    /// Counts the movies of each person, which serve as the person's popularity.
    fn count_people(&mut self) {
        self.people.clear_counts();
        for film in self.films.values() {
            // A person who directs and acts in a movie is still in one movie.
            let people: BTreeSet<u32> = film.directors.iter().chain(&film.cast).copied().collect();
            for id in people {
                self.people.count(id);
            }
        }
    }
}
