//! A film as a dump tells it: less than TMDB itself would, and perhaps older.

use chrono::NaiveDate;

use super::{AlternativeTitle, Keyword, Person};

/// A film as a dump tells it. What is empty is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DumpMovie {
    /// TMDB's id.
    pub id: i64,
    /// The title; the original one, where the dump has no other.
    pub title: String,
    /// The title in the film's own language.
    pub original_title: String,
    /// The film's own language, ISO 639-1.
    pub original_language: String,
    /// What it is about.
    pub overview: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity when the dump was made.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    pub vote_count: i32,
    /// Whether it is pornography.
    pub adult: bool,
    /// TMDB's ids of its genres.
    pub genre_ids: Vec<i32>,
    /// Where it was produced, ISO 3166-1.
    pub countries: Vec<String>,
    /// Its keywords. Ids are negative where the dump has none.
    pub keywords: Vec<Keyword>,
    /// Directors and cast. Ids are negative where the dump has none.
    pub people: Vec<Person>,
    /// Its other titles.
    pub titles: Vec<AlternativeTitle>,
}
