//! A film in a list, and which of its fields a client wants.

use chassis::{config::nearest, problem::FieldError};
use serde::Serialize;
use utoipa::ToSchema;

use super::{POSTER_BASE, day, image};
use crate::models::{Includes, Keyword, ListedMovie, MovieId, Person, Provider, Stats};

/// TMDB's host of images, with the width that a film shows its backdrop in.
const BACKDROP_BASE: &str = "https://image.tmdb.org/t/p/w780";

/// A film in a list. The first five fields are there unless `fields` says otherwise, the others where
/// `fields` or `include` names them.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(in crate::handler) struct MovieSummary {
    /// TMDB's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<MovieId>,
    /// The title.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "The Matrix")]
    title: Option<String>,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1999-03-31")]
    release_date: Option<String>,
    /// TMDB's popularity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 73.5)]
    popularity: Option<f64>,
    /// The poster, 500 pixels wide; empty where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    poster_url: Option<String>,
    /// What it is about; empty where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    overview: Option<String>,
    /// Names of its genres, alphabetical.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["Action", "Science Fiction"]))]
    genres: Option<Vec<String>>,
    /// The film's own language, ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "en")]
    language: Option<String>,
    /// Minutes; 0 where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 136)]
    duration: Option<i32>,
    /// The backdrop, 780 pixels wide; empty where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    backdrop_url: Option<String>,
    /// The title in the film's own language.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "The Matrix")]
    original_title: Option<String>,
    /// TMDB's average vote, 0 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 7.9)]
    vote_average: Option<f64>,
    /// How many voted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 13000)]
    vote_count: Option<i32>,
    /// Where it was produced, ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["US"]))]
    countries: Option<Vec<String>>,
    /// Its keywords.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keywords: Option<Vec<Keyword>>,
    /// Directors, writers and the first of the cast.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    people: Option<Vec<Person>>,
    /// Where to watch it, in `region` where that is given. Collected by JustWatch, who must be named
    /// wherever it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    providers: Option<Vec<Provider>>,
    /// How users stand with it; null where that cannot be had now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Stats>)]
    pub(super) stats: Option<Option<Stats>>,
}

/// The fields that a film in a list has unless a client says otherwise.
const USUAL: [&str; 5] = ["id", "title", "release_date", "popularity", "poster_url"];
/// The fields that it has where a client asks for them.
const FURTHER: [&str; 13] = [
    "overview",
    "genres",
    "language",
    "duration",
    "backdrop_url",
    "original_title",
    "vote_average",
    "vote_count",
    "countries",
    "keywords",
    "people",
    "providers",
    "stats",
];

/// The fields that a client wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::handler) struct Fields(Vec<&'static str>);

impl Fields {
    /// Those that `fields` names, or the usual ones, and those that `include` names. What is wrong
    /// is added to `errors`.
    pub(in crate::handler) fn parse(
        fields: Option<&str>,
        include: Option<&str>,
        errors: &mut Vec<FieldError>,
    ) -> Self {
        let all: Vec<&'static str> = USUAL.into_iter().chain(FURTHER).collect();
        let mut wanted = match fields {
            Some(list) => parse("fields", list, &all, errors),
            None => USUAL.to_vec(),
        };
        if let Some(list) = include {
            wanted.extend(parse("include", list, &FURTHER, errors));
        }
        Self(wanted)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// What must be read for them.
    pub(in crate::handler) fn includes(&self) -> Includes {
        Includes {
            overview: self.has("overview"),
            genres: self.has("genres"),
            keywords: self.has("keywords"),
            people: self.has("people"),
            providers: self.has("providers"),
        }
    }

    /// What a client sees of `movie`; of providers only those in `region` where that is given.
    pub(in crate::handler) fn show(
        &self,
        movie: ListedMovie,
        region: Option<&str>,
    ) -> MovieSummary {
        let mut shown = MovieSummary::default();
        for name in &self.0 {
            match *name {
                "id" => shown.id = Some(movie.id),
                "title" => shown.title = Some(movie.title.clone()),
                "release_date" => shown.release_date = Some(day(movie.release_date)),
                "popularity" => shown.popularity = Some(movie.popularity),
                "poster_url" => {
                    shown.poster_url = Some(image(POSTER_BASE, movie.poster_path.as_deref()));
                }
                "language" => shown.language = Some(movie.language.clone()),
                "duration" => shown.duration = Some(movie.runtime.unwrap_or(0)),
                "backdrop_url" => {
                    shown.backdrop_url = Some(image(BACKDROP_BASE, movie.backdrop_path.as_deref()));
                }
                "original_title" => shown.original_title = Some(movie.original_title.clone()),
                "vote_average" => shown.vote_average = Some(movie.vote_average),
                "vote_count" => shown.vote_count = Some(movie.vote_count),
                "countries" => shown.countries = Some(movie.countries.clone()),
                // Those below are none unless they were read.
                _ => {}
            }
        }
        shown.overview = movie.overview;
        shown.genres = movie.genres;
        shown.keywords = movie.keywords;
        shown.people = movie.people;
        shown.providers = movie.providers.map(|mut providers| {
            providers.retain(|offer| region.is_none_or(|region| offer.region == region));
            providers
        });
        shown
    }
}

fn parse(
    field: &str,
    list: &str,
    known: &[&'static str],
    errors: &mut Vec<FieldError>,
) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in list.split(',').map(str::trim) {
        match known.iter().find(|known| **known == name) {
            Some(known) => names.push(*known),
            None => {
                let message = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("unknown name `{name}`; did you mean `{near}`?"),
                    None => format!("unknown name `{name}`; known are {}", known.join(", ")),
                };
                errors.push(FieldError::new(field, message));
            }
        }
    }
    names
}
