//! The wire form of a movie in a list, and the choice of its fields.

use chassis::{config::nearest, language::Language, validate::Validator};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{BACKDROP_BASE, POSTER_BASE, day, image};
use crate::models::{Includes, Keyword, Movie, MovieId, Person, Provider, Stats};

/// A member of the cast or crew of a movie.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub(in crate::handler) struct Credit {
    /// TMDB's id.
    id: i64,
    /// The name.
    name: String,
    /// `Director`, `Writer`, `Screenplay` or `Actor`.
    job: String,
}

impl From<Person> for Credit {
    fn from(person: Person) -> Self {
        let Person { id, name, job, .. } = person;
        Self { id, name, job }
    }
}

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
    people: Option<Vec<Credit>>,
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

/// The parameters that choose the fields of each movie.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::handler) struct FieldParams {
    /// The fields of each movie, separated by commas.
    #[param(
        default = "id,title,release_date,popularity,poster_url",
        example = "id,title",
        pattern = r"^(id|title|release_date|popularity|poster_url|overview|genres|language|duration|backdrop_url|original_title|vote_average|vote_count|countries|keywords|people|providers|stats)(,(id|title|release_date|popularity|poster_url|overview|genres|language|duration|backdrop_url|original_title|vote_average|vote_count|countries|keywords|people|providers|stats))*$"
    )]
    pub(in crate::handler) fields: Option<String>,
    /// Fields of each movie in addition to the first five or those of `fields`, separated by commas:
    /// `genres`, `people`, `keywords`, `providers`, `overview`, `language`, `duration`,
    /// `original_title`, `vote_average`, `vote_count`, `countries`, `backdrop_url`, `stats`.
    #[param(
        example = "genres,vote_average",
        pattern = r"^(overview|genres|language|duration|backdrop_url|original_title|vote_average|vote_count|countries|keywords|people|providers|stats)(,(overview|genres|language|duration|backdrop_url|original_title|vote_average|vote_count|countries|keywords|people|providers|stats))*$"
    )]
    pub(in crate::handler) include: Option<String>,
}

impl FieldParams {
    /// Parses the parameters.
    pub(in crate::handler) fn parse(&self, check: &mut Validator) -> Fields {
        Fields::parse(self.fields.as_deref(), self.include.as_deref(), check)
    }
}

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
            Some(list) => pick("fields", list.split(',').map(str::trim), &all, check),
            None => DEFAULT_FIELDS.to_vec(),
        };
        if let Some(list) = include {
            let names = list.split(',').map(str::trim);
            requested.extend(pick("include", names, &OPTIONAL_FIELDS, check));
        }
        Self(requested)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// The optional columns of these fields, with texts in `language`.
    pub(in crate::handler) fn includes(&self, language: Option<Language>) -> Includes {
        Includes {
            language,
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
        mut movie: Movie,
        region: Option<&str>,
    ) -> MovieSummary {
        let has = |name| self.has(name);
        if let Some(region) = region {
            movie.providers.retain(|offer| offer.region == region);
        }
        let (poster, backdrop) = (movie.poster_path.as_deref(), movie.backdrop_path.as_deref());
        MovieSummary {
            id: has("id").then_some(movie.id),
            release_date: has("release_date").then(|| day(movie.release_date)),
            popularity: has("popularity").then_some(movie.popularity),
            poster_url: has("poster_url").then(|| image(POSTER_BASE, poster)),
            duration: has("duration").then_some(movie.runtime.unwrap_or(0)),
            backdrop_url: has("backdrop_url").then(|| image(BACKDROP_BASE, backdrop)),
            vote_average: has("vote_average").then_some(movie.vote_average),
            vote_count: has("vote_count").then_some(movie.vote_count),
            title: has("title").then_some(movie.title),
            overview: has("overview").then_some(movie.overview),
            genres: has("genres").then_some(movie.genres),
            language: has("language").then_some(movie.original_language),
            original_title: has("original_title").then_some(movie.original_title),
            countries: has("countries").then_some(movie.countries),
            keywords: has("keywords").then_some(movie.keywords.0),
            people: has("people").then(|| movie.people.0.into_iter().map(Credit::from).collect()),
            providers: has("providers").then_some(movie.providers.0),
            stats: None,
        }
    }
}

/// Picks those of `known` that are in `names`; reports the others as errors of `field`.
pub(in crate::handler) fn pick<'a>(
    field: &str,
    names: impl Iterator<Item = &'a str>,
    known: &[&'static str],
    check: &mut Validator,
) -> Vec<&'static str> {
    let mut picked = Vec::new();
    for name in names {
        match known.iter().find(|known| **known == name) {
            Some(known) => picked.push(*known),
            None => {
                let message = match nearest(name, known.iter().copied()) {
                    Some(near) => format!("unknown name `{name}`; did you mean `{near}`?"),
                    None => format!("unknown name `{name}`; known are {}", known.join(", ")),
                };
                check.error(field, message);
            }
        }
    }
    picked
}
