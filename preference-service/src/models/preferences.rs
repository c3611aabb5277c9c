//! Preferences: what users say they like.

use std::collections::HashSet;

use chassis::problem::FieldError;
use chrono::{DateTime, Utc};

use super::{
    UserId,
    text::{folded, has_invisible},
};

const MOST_GENRES: usize = 50;
const LONGEST_GENRE: usize = 50;
/// The highest rating that can be asked for; TMDB's scale.
const HIGHEST_RATING: f64 = 10.0;

/// What a user says they like.
#[derive(Debug, Clone, PartialEq)]
pub struct Preferences {
    /// The preferences' own id; none: nothing was ever set.
    pub id: Option<i64>,
    /// Whose they are.
    pub user_id: UserId,
    /// Names of genres, in the user's order.
    pub genres: Vec<String>,
    /// ISO 639-1; none: not set.
    pub language: Option<String>,
    /// The lowest average rating that the user wants to see, 0 to 10.
    pub min_rating: f64,
    /// When they were set; where they never were, when the user signed up.
    pub updated_at: DateTime<Utc>,
}

/// Preferences to set, valid; they replace all that was set before.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPreferences {
    genres: Vec<String>,
    language: Option<String>,
    min_rating: f64,
}

impl NewPreferences {
    /// Reads what a user wrote. Genres that differ in case alone are one: the first counts. A
    /// language that is not given, or empty, is not set.
    ///
    /// # Errors
    /// Every field that is wrong, and how.
    pub fn parse(
        genres: Vec<String>,
        language: Option<&str>,
        min_rating: Option<f64>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = genre_errors(&genres);
        let language = language.map(str::trim).filter(|text| !text.is_empty());
        if let Some(language) = language
            && !is_language(language)
        {
            errors.push(FieldError::new(
                "preferred_language",
                "must be two lower-case letters (ISO 639-1) such as `ko`, without a region; or empty",
            ));
        }
        let min_rating = min_rating.unwrap_or_default();
        if !(0.0..=HIGHEST_RATING).contains(&min_rating) {
            errors.push(FieldError::new(
                "min_rating",
                "must be a number from 0 to 10",
            ));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut seen = HashSet::new();
        let genres = genres
            .into_iter()
            .map(|genre| genre.trim().to_owned())
            .filter(|genre| seen.insert(folded(genre)))
            .collect();
        Ok(Self {
            genres,
            language: language.map(str::to_owned),
            // Negative zero is in the range, but clients would be shown `-0.0`.
            min_rating: min_rating.abs(),
        })
    }

    /// Names of genres, each once.
    #[must_use]
    pub fn genres(&self) -> &[String] {
        &self.genres
    }

    /// ISO 639-1; none: not set.
    #[must_use]
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// 0 to 10.
    #[must_use]
    pub fn min_rating(&self) -> f64 {
        self.min_rating
    }
}

fn genre_errors(genres: &[String]) -> Vec<FieldError> {
    if genres.len() > MOST_GENRES {
        return vec![FieldError::new(
            "preferred_genres",
            format!("must be at most {MOST_GENRES} genres"),
        )];
    }
    genres
        .iter()
        .enumerate()
        .filter_map(|(index, genre)| {
            let genre = genre.trim();
            let message = if genre.is_empty() {
                "must not be empty".to_owned()
            } else if genre.chars().count() > LONGEST_GENRE {
                format!("must have at most {LONGEST_GENRE} characters")
            } else if has_invisible(genre) {
                "must not have control or invisible characters".to_owned()
            } else {
                return None;
            };
            Some(FieldError::new(
                format!("preferred_genres[{index}]"),
                message,
            ))
        })
        .collect()
}

/// The form alone: TMDB has codes, such as `cn`, that the standard does not.
fn is_language(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genres(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_genre_counts_once_whatever_its_case() {
        let given = genres(&["Drama", " Comedy ", "DRAMA", "comedy", "Ｄrama", "War"]);
        let preferences = NewPreferences::parse(given, None, None).expect("valid");
        assert_eq!(preferences.genres(), ["Drama", "Comedy", "War"]);
    }

    #[test]
    fn what_is_not_given_is_not_set() {
        for language in [None, Some(""), Some("  ")] {
            let preferences = NewPreferences::parse(Vec::new(), language, None).expect("valid");
            assert_eq!(preferences.language(), None);
            assert_eq!(preferences.min_rating().to_string(), "0");
        }
        let preferences = NewPreferences::parse(Vec::new(), Some("ko"), Some(-0.0));
        let preferences = preferences.expect("valid");
        assert_eq!(preferences.language(), Some("ko"));
        assert_eq!(preferences.min_rating().to_string(), "0");
    }

    #[test]
    fn every_wrong_field_is_named() {
        let given = genres(&["ok", "", "a\0b", &"x".repeat(51)]);
        let errors = NewPreferences::parse(given, Some("ko-KR"), Some(f64::NAN));
        let fields: Vec<String> = errors
            .expect_err("wrong")
            .into_iter()
            .map(|error| error.field)
            .collect();
        assert_eq!(
            fields,
            [
                "preferred_genres[1]",
                "preferred_genres[2]",
                "preferred_genres[3]",
                "preferred_language",
                "min_rating"
            ]
        );
        let many: Vec<String> = (0..51).map(|number| number.to_string()).collect();
        assert!(NewPreferences::parse(many[..50].to_vec(), None, Some(10.0)).is_ok());
        assert!(NewPreferences::parse(many, None, None).is_err());
        for language in ["EN", "e", "eng", "é", "e1"] {
            assert!(NewPreferences::parse(Vec::new(), Some(language), None).is_err());
        }
        for rating in [-0.1, 10.1, f64::INFINITY] {
            assert!(NewPreferences::parse(Vec::new(), None, Some(rating)).is_err());
        }
    }
}
