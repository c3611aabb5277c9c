//! Films and what belongs to them.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// TMDB's id of a film: 1 and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, minimum = 1, example = 603)]
pub struct MovieId(i64);

impl MovieId {
    /// `id`, if it can be one.
    #[must_use]
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for MovieId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for MovieId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer)
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| serde::de::Error::custom(INVALID_ID))
    }
}

/// What a client hears of an id that cannot be one.
const INVALID_ID: &str = "invalid movie ID";

/// How a client names a film: by TMDB's id, or by IMDb's as `imdb:tt…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MovieRef {
    /// TMDB's id.
    Tmdb(MovieId),
    /// IMDb's id, `tt…`.
    Imdb(String),
}

impl<'de> Deserialize<'de> for MovieRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let reference = match text.strip_prefix("imdb:") {
            Some(imdb) => is_imdb_id(imdb).then(|| Self::Imdb(imdb.to_owned())),
            None => text.parse().ok().and_then(MovieId::new).map(Self::Tmdb),
        };
        reference.ok_or_else(|| serde::de::Error::custom(INVALID_ID))
    }
}

/// Whether it may be an id of IMDb's: `tt` and seven to ten digits.
#[must_use]
pub fn is_imdb_id(text: &str) -> bool {
    text.strip_prefix("tt").is_some_and(|digits| {
        (7..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// A genre, as TMDB numbers and names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genre {
    /// TMDB's id.
    pub id: i32,
    /// Its name, in English.
    pub name: String,
}

/// A keyword of a film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keyword {
    /// TMDB's id.
    pub id: i64,
    /// The word.
    pub name: String,
}

/// Somebody who made a film or plays in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// TMDB's id.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// `Director`, `Writer`, `Screenplay` or `Actor`.
    pub job: String,
}

/// Somewhere to watch a film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// Where, ISO 3166-1.
    #[schema(example = "KR")]
    pub region: String,
    /// On which terms: `flatrate`, `free`, `ads`, `rent` or `buy`.
    #[schema(example = "flatrate")]
    pub r#type: String,
    /// TMDB's id of who shows it.
    #[schema(example = 356)]
    pub provider_id: i64,
    /// Who shows it.
    #[schema(example = "wavve")]
    pub provider_name: String,
    /// The logo's path at TMDB's image host.
    pub logo_path: Option<String>,
    /// TMDB's order of providers in the region, lowest first.
    #[schema(example = 4)]
    pub display_priority: i64,
    /// TMDB's page on where to watch it in the region.
    pub link: String,
}

/// How many users stand so with a film, as preference-service counts them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Who like it.
    #[schema(example = 120)]
    pub like_count: i64,
    /// Who dislike it.
    #[schema(example = 7)]
    pub dislike_count: i64,
    /// Who like it above others.
    #[schema(example = 31)]
    pub superlike_count: i64,
    /// Who want to watch it.
    #[schema(example = 64)]
    pub bookmark_count: i64,
    /// Who watched it to its end.
    #[schema(example = 240)]
    pub view_count: i64,
    /// Who rated it.
    #[schema(example = 90)]
    pub rating_count: i64,
    /// How many stars they gave it on average, 0.5 to 5; null where nobody did.
    #[schema(example = 4.2)]
    pub rating_average: Option<f64>,
}

/// Another title of a film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlternativeTitle {
    /// The title.
    pub title: String,
    /// Its language, ISO 639-1, where it is a translation.
    pub language: Option<String>,
    /// Where it is used, ISO 3166-1.
    pub country: Option<String>,
}

/// A film of the catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Movie {
    /// TMDB's id.
    pub id: MovieId,
    /// The title in the catalogue's language.
    pub title: String,
    /// The title in the film's own language.
    pub original_title: String,
    /// The film's own language, ISO 639-1.
    pub original_language: String,
    /// What it is about; empty where unknown.
    pub overview: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// The backdrop's path at TMDB's image host.
    pub backdrop_path: Option<String>,
    /// Names of its genres, alphabetical.
    pub genres: Vec<String>,
    /// When TMDB was last asked about it.
    pub synced_at: DateTime<Utc>,
}

/// A film with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovieDetail {
    /// The film itself.
    pub movie: Movie,
    /// Rises with every change of it.
    pub version: i64,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// Where it was produced, ISO 3166-1.
    pub countries: Vec<String>,
    /// Its keywords.
    pub keywords: Vec<Keyword>,
    /// Directors, writers and the first of the cast.
    pub people: Vec<Person>,
    /// Where to watch it.
    pub providers: Vec<Provider>,
}

/// Which version of a film there is since a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct MovieVersion {
    /// The film.
    pub id: MovieId,
    /// Its version.
    pub version: i64,
}

/// A film as TMDB tells it, to be written into the catalogue.
#[derive(Debug, Clone, Serialize)]
pub struct NewMovie {
    /// TMDB's id.
    pub id: i64,
    /// The title in the catalogue's language.
    pub title: String,
    /// The title in the film's own language.
    pub original_title: String,
    /// The film's own language, ISO 639-1.
    pub original_language: String,
    /// What it is about; empty where unknown.
    pub overview: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    pub vote_count: i32,
    /// The poster's path.
    pub poster_path: Option<String>,
    /// The backdrop's path.
    pub backdrop_path: Option<String>,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// Whether it is pornography.
    pub adult: bool,
    /// TMDB's ids of its genres.
    pub genre_ids: Vec<i32>,
    /// Where it was produced, ISO 3166-1.
    pub countries: Vec<String>,
    /// Its keywords.
    pub keywords: Vec<Keyword>,
    /// Directors, writers and the first of the cast.
    pub people: Vec<Person>,
    /// Where to watch it.
    pub providers: Vec<Provider>,
    /// Its other titles.
    pub titles: Vec<AlternativeTitle>,
    /// What TMDB sent.
    pub document: serde_json::Value,
    /// SHA-256 of the document, hexadecimal.
    pub source_hash: String,
}
