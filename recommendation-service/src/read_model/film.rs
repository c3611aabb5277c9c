//! A movie as the feed of movie-service sends it. [`super::repository`] stores it, [`super::catalogue`] keeps what ranking
//! reads.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::read_model::Title;

/// A movie as movie-service's feed sends it, without the fields that ranking does not need.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// TMDB's id.
    pub id: i64,
    /// Increases with every change.
    pub version: i64,
    /// The title.
    pub title: String,
    /// The title in the original language; not stored, see [`Film::keep_languages`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub original_title: String,
    /// Titles in other languages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub titles: Vec<Title>,
    /// The original language, ISO 639-1.
    pub original_language: String,
    /// The first release date.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    #[serde(default)]
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// TMDB's vote count.
    #[serde(default)]
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// The genres.
    pub genres: Vec<Tag>,
    /// The production countries, ISO 3166-1.
    #[serde(default)]
    pub countries: Vec<String>,
    /// The keywords.
    #[serde(default)]
    pub keywords: Vec<Tag>,
    /// Directors, writers and the first of the cast.
    #[serde(default)]
    pub people: Vec<Tag>,
    /// The watch providers by region.
    #[serde(default)]
    pub providers: Vec<Offer>,
    /// TMDB's id of the collection that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collection_id: Option<i64>,
    /// TMDB's ids of the movies that it recommends beside this one, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recommended: Vec<i64>,
}

/// A genre, keyword or person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// TMDB's id.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The job of a person, such as `Director` or `Actor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The names in other languages, by ISO 639-1 code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub names: BTreeMap<String, String>,
}

/// A watch provider in a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// The region, ISO 3166-1.
    pub region: String,
    /// TMDB's id of the provider.
    pub id: i64,
    /// The provider's name; empty if only the id is known.
    #[serde(default)]
    pub name: String,
}
