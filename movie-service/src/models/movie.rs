//! Movies and their parts. Read and written by every layer; no I/O here.

use std::{collections::BTreeMap, fmt};

use chassis::language::Language;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;

/// A TMDB movie id, 1 and up.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema, sqlx::Type,
)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schema(value_type = i64, minimum = 1, example = 603)]
pub struct MovieId(i64);

impl MovieId {
    /// Returns `None` if `id` is not positive.
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The number.
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

const INVALID_ID: &str = "invalid movie ID";

/// A movie id as a client writes it: TMDB's number, or IMDb's id as `imdb:tt…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// True for `tt` followed by seven to ten digits.
pub fn is_imdb_id(text: &str) -> bool {
    text.strip_prefix("tt").is_some_and(|digits| {
        (7..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Names in other languages than the catalogue's, by language (ISO 639): `{"ko": "드라마"}`.
pub type Names = BTreeMap<String, String>;

/// A genre, as TMDB numbers and names it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genre {
    /// TMDB's id.
    pub id: i32,
    /// The name in the catalogue's language.
    pub name: String,
    /// The names in other languages.
    #[serde(default)]
    pub names: Json<Names>,
}

/// A genre with its number of movies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GenreResponse)]
pub struct GenreCount {
    /// TMDB's id.
    #[schema(example = 878)]
    pub id: i32,
    /// The name in the display language.
    #[schema(example = "Science Fiction")]
    pub name: String,
    /// The number of movies in the catalogue that have the genre.
    #[schema(example = 120)]
    pub movie_count: usize,
}

/// A keyword of a movie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Keyword {
    /// TMDB's id.
    pub id: i64,
    /// The word.
    pub name: String,
}

/// A member of the cast or crew of a movie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// TMDB's id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// `Director`, `Writer`, `Screenplay` or `Actor`.
    pub job: String,
    /// The names in other languages.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub names: Names,
}

/// A watch provider of a movie in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// The region, ISO 3166-1.
    #[schema(example = "KR")]
    pub region: String,
    /// The kind of offer: `flatrate`, `free`, `ads`, `rent` or `buy`.
    #[schema(example = "flatrate")]
    pub r#type: String,
    /// TMDB's id of the provider.
    #[schema(example = 356)]
    pub provider_id: i64,
    /// The provider's name.
    #[schema(example = "wavve")]
    pub provider_name: String,
    /// The logo's path at TMDB's image host.
    pub logo_path: Option<String>,
    /// TMDB's order of providers in the region, lowest first.
    #[schema(example = 4)]
    pub display_priority: i64,
    /// TMDB's watch page for the region.
    pub link: String,
    /// True for sample data, which says nothing about where the movie can be watched: that of the demo.
    #[serde(default)]
    #[schema(default = false)]
    pub sample: bool,
}

/// Numbers of users by reaction to a movie, as preference-service counts them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Users who like the movie.
    #[schema(example = 120)]
    pub like_count: i64,
    /// Users who dislike it.
    #[schema(example = 7)]
    pub dislike_count: i64,
    /// Users who superlike it.
    #[schema(example = 31)]
    pub superlike_count: i64,
    /// Users who bookmarked it.
    #[schema(example = 64)]
    pub bookmark_count: i64,
    /// Users who watched it to the end.
    #[schema(example = 240)]
    pub view_count: i64,
    /// Users who rated it.
    #[schema(example = 90)]
    pub rating_count: i64,
    /// The average rating, 0.5 to 5 stars; null if there is no rating.
    #[schema(example = 4.2)]
    pub rating_average: Option<f64>,
}

/// An alternative or translated title of a movie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlternativeTitle {
    /// The title.
    pub title: String,
    /// The language of a translation, ISO 639-1.
    pub language: Option<String>,
    /// The country that uses the title, ISO 3166-1.
    pub country: Option<String>,
}

/// The texts of a movie in another language; empty where they are not translated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Translation {
    /// The language, ISO 639.
    pub language: String,
    /// The region, ISO 3166-1; empty if the translation is of none.
    pub region: String,
    /// The title.
    pub title: String,
    /// The plot summary.
    pub overview: String,
}

/// The texts of a movie in a display language, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranslatedTexts {
    /// The title.
    pub title: Option<String>,
    /// The plot summary.
    pub overview: Option<String>,
    /// Names of the genres, alphabetical.
    pub genres: Option<Vec<String>>,
}

/// A movie of the catalogue, as Postgres returns it and Redis keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Movie {
    /// TMDB's id.
    pub id: MovieId,
    /// Increases with every change of the movie.
    pub version: i64,
    /// The title in the catalogue's language.
    pub title: String,
    /// The title in the original language.
    pub original_title: String,
    /// The original language, ISO 639-1.
    pub original_language: String,
    /// The plot summary; empty if unknown.
    pub overview: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's vote average, 0 to 10.
    pub vote_average: f64,
    /// The number of votes.
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// The backdrop's path at TMDB's image host.
    pub backdrop_path: Option<String>,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// Names of the genres, alphabetical.
    pub genres: Vec<String>,
    /// Countries of production, ISO 3166-1.
    pub countries: Vec<String>,
    /// The keywords.
    pub keywords: Json<Vec<Keyword>>,
    /// Directors, writers and the first ten of the cast.
    pub people: Json<Vec<Person>>,
    /// Watch providers.
    pub providers: Json<Vec<Provider>>,
    /// The time of the last successful request to TMDB for the movie.
    pub synced_at: DateTime<Utc>,
}

impl Movie {
    /// Replaces texts and names by those in `language`, as far as they are known; true if any is.
    pub fn translate(&mut self, language: Language, texts: TranslatedTexts) -> bool {
        let mut is_translated = false;
        // TMDB leaves the title of a translation into the original language empty.
        let is_original = self.original_language == language.primary();
        let original = is_original.then(|| self.original_title.clone());
        let mut replace = |text: &mut String, other: Option<String>| {
            if let Some(other) = other {
                *text = other;
                is_translated = true;
            }
        };
        replace(&mut self.title, texts.title.or(original));
        replace(&mut self.overview, texts.overview);
        for person in self.people.iter_mut() {
            let name = person.names.get(language.primary()).cloned();
            replace(&mut person.name, name);
        }
        if let Some(genres) = texts.genres {
            self.genres = genres;
            is_translated = true;
        }
        is_translated
    }
}

/// The version of a movie after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct MovieVersion {
    /// The movie.
    pub id: MovieId,
    /// The version.
    pub version: i64,
}

/// A series of movies, such as those of one hero.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collection {
    /// TMDB's id.
    pub id: i64,
    /// The name in the catalogue's language.
    pub name: String,
}

/// A movie to store: a document of TMDB, or a row of a dump, which leaves unknown fields empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NewMovie {
    /// TMDB's id.
    pub id: i64,
    /// The title in the catalogue's language; the original one if a dump has no other.
    pub title: String,
    /// The title in the original language.
    pub original_title: String,
    /// The original language, ISO 639-1.
    pub original_language: String,
    /// The plot summary; empty if unknown.
    pub overview: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's vote average, 0 to 10.
    pub vote_average: f64,
    /// The number of votes.
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// The backdrop's path at TMDB's image host.
    pub backdrop_path: Option<String>,
    /// IMDb's id, `tt…`.
    pub imdb_id: Option<String>,
    /// TMDB's adult-content flag.
    pub adult: bool,
    /// TMDB's ids of the genres.
    pub genre_ids: Vec<i32>,
    /// The genres by their names in the catalogue's language; empty in a dump.
    #[serde(skip)]
    pub genres: Vec<Genre>,
    /// Countries of production, ISO 3166-1.
    pub countries: Vec<String>,
    /// The keywords. Ids are negative if a dump has none.
    pub keywords: Vec<Keyword>,
    /// Directors, writers and the first ten of the cast. Ids are negative if a dump has none.
    pub people: Vec<Person>,
    /// Watch providers.
    pub providers: Vec<Provider>,
    /// Alternative and translated titles.
    pub titles: Vec<AlternativeTitle>,
    /// The texts in other languages that differ from these.
    #[serde(skip)]
    pub translations: Vec<Translation>,
    /// The series that it is a part of.
    pub collection: Option<Collection>,
    /// TMDB's ids of the movies that it recommends beside this one, the best first.
    pub recommended: Vec<i64>,
    /// The document as TMDB sent it, without the movies that it recommends.
    pub document: serde_json::Value,
    /// SHA-256 of the document, hexadecimal.
    pub source_hash: String,
}
