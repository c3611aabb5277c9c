//! The wire form of a movie in a list, and the choice of its fields.

use chassis::{config::nearest, validate::Validator};
use serde::Serialize;
use utoipa::ToSchema;

use super::{BACKDROP_BASE, POSTER_BASE, day, image};
use crate::models::{Includes, Keyword, ListedMovie, MovieId, Person, Provider, Stats};

/// A movie in a list. The first five fields are the default, the others are there if `fields` or `include` names
/// them.
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
    /// The day of the first release, `YYYY-MM-DD`; empty if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "1999-03-31")]
    release_date: Option<String>,
    /// TMDB's popularity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 73.5)]
    popularity: Option<f64>,
    /// The poster, 500 pixels wide; empty if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    poster_url: Option<String>,
    /// The plot summary; empty if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    overview: Option<String>,
    /// Names of the genres, alphabetical.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["Action", "Science Fiction"]))]
    genres: Option<Vec<String>>,
    /// The original language, ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "en")]
    language: Option<String>,
    /// The runtime in minutes; 0 if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 136)]
    duration: Option<i32>,
    /// The backdrop, 780 pixels wide; empty if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "")]
    backdrop_url: Option<String>,
    /// The title in the original language.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "The Matrix")]
    original_title: Option<String>,
    /// TMDB's vote average, 0 to 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 7.9)]
    vote_average: Option<f64>,
    /// The number of votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = 13000)]
    vote_count: Option<i32>,
    /// Countries of production, ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = json!(["US"]))]
    countries: Option<Vec<String>>,
    /// The keywords.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    keywords: Option<Vec<Keyword>>,
    /// Directors, writers and the first ten of the cast.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    people: Option<Vec<Person>>,
    /// Watch providers, of `region` if it is given. The data is from JustWatch, which must be attributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    providers: Option<Vec<Provider>>,
    /// Users' reactions; null if they are unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Stats>)]
    pub(super) stats: Option<Option<Stats>>,
}

const DEFAULT_FIELDS: [&str; 5] = ["id", "title", "release_date", "popularity", "poster_url"];
/// The fields that are there only on request.
const OPTIONAL_FIELDS: [&str; 13] = [
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

/// The requested fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::handler) struct Fields(Vec<&'static str>);

impl Fields {
    /// Parses the parameters `fields`, which replaces the default, and `include`, which adds to it.
    pub(in crate::handler) fn parse(
        fields: Option<&str>,
        include: Option<&str>,
        check: &mut Validator,
    ) -> Self {
        let all: Vec<&'static str> = DEFAULT_FIELDS.into_iter().chain(OPTIONAL_FIELDS).collect();
        let mut requested = match fields {
            Some(list) => parse("fields", list, &all, check),
            None => DEFAULT_FIELDS.to_vec(),
        };
        if let Some(list) = include {
            requested.extend(parse("include", list, &OPTIONAL_FIELDS, check));
        }
        Self(requested)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// The optional columns of these fields.
    pub(in crate::handler) fn includes(&self) -> Includes {
        Includes {
            overview: self.has("overview"),
            genres: self.has("genres"),
            keywords: self.has("keywords"),
            people: self.has("people"),
            providers: self.has("providers"),
        }
    }

    /// Makes the wire form of `movie`, with the providers of `region` alone if it is given.
    pub(in crate::handler) fn summarize(
        &self,
        movie: ListedMovie,
        region: Option<&str>,
    ) -> MovieSummary {
        let mut summary = MovieSummary {
            overview: movie.overview,
            genres: movie.genres,
            keywords: movie.keywords.map(|keywords| keywords.0),
            people: movie.people.map(|people| people.0),
            providers: movie.providers.map(|providers| {
                let mut providers = providers.0;
                providers.retain(|offer| region.is_none_or(|region| offer.region == region));
                providers
            }),
            ..MovieSummary::default()
        };
        for name in &self.0 {
            match *name {
                "id" => summary.id = Some(movie.id),
                "title" => summary.title = Some(movie.title.clone()),
                "release_date" => summary.release_date = Some(day(movie.release_date)),
                "popularity" => summary.popularity = Some(movie.popularity),
                "poster_url" => {
                    summary.poster_url = Some(image(POSTER_BASE, movie.poster_path.as_deref()));
                }
                "language" => summary.language = Some(movie.original_language.clone()),
                "duration" => summary.duration = Some(movie.runtime.unwrap_or(0)),
                "backdrop_url" => {
                    summary.backdrop_url =
                        Some(image(BACKDROP_BASE, movie.backdrop_path.as_deref()));
                }
                "original_title" => summary.original_title = Some(movie.original_title.clone()),
                "vote_average" => summary.vote_average = Some(movie.vote_average),
                "vote_count" => summary.vote_count = Some(movie.vote_count),
                "countries" => summary.countries = Some(movie.countries.clone()),
                // Set above, or by the caller.
                _ => {}
            }
        }
        summary
    }
}

/// Parses a comma-separated list of `known` names.
fn parse(
    field: &str,
    list: &str,
    known: &[&'static str],
    check: &mut Validator,
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
                check.error(field, message);
            }
        }
    }
    names
}
