//! Preferences: the genres, language and lowest rating that a user declares. Parsed by the handler,
//! stored by [`crate::repository::users`].

use std::collections::HashSet;

use chassis::{
    language::Language,
    validate::{FieldError, Validator},
};
use chrono::{DateTime, Utc};
use filter::GenreNames;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    UserId,
    text::{fold, has_invisible},
};

const MAX_GENRES: usize = 50;
/// In characters.
const MAX_GENRE_LENGTH: usize = 50;
/// The top of TMDB's rating scale.
const MAX_RATING: f64 = 10.0;

/// The preferences of a user.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = PreferencesResponse, example = json!({
    "id": 1,
    "user_id": 1,
    "preferred_genres": ["Science Fiction", "Drama"],
    "preferred_language": "en",
    "min_rating": 6.5,
    "updated_at": "2026-02-13T08:15:42.123456Z"
}))]
pub struct Preferences {
    /// The id of the preferences; 0 if none were ever set.
    pub id: i64,
    /// The owner.
    pub user_id: UserId,
    /// Names of genres, in the user's order.
    pub preferred_genres: Vec<String>,
    /// A language in two lower-case letters (ISO 639-1); `en` if none is set.
    pub preferred_language: String,
    /// The lowest rating of recommended movies, 0 to 10; see the request.
    pub min_rating: f64,
    /// The time of the last change; the time of signing up if none were ever set.
    pub updated_at: DateTime<Utc>,
}

/// Valid preferences, which replace the stored ones as a whole. Made by [`NewPreferences::parse`].
#[derive(Debug, Clone, PartialEq)]
pub struct NewPreferences {
    /// Names of genres; those of the catalogue, each once, after [`NewPreferences::resolve`].
    pub genres: Vec<String>,
    /// A language in two lower-case letters; `None` if not set.
    pub language: Option<String>,
    /// 0 to 10.
    pub min_rating: f64,
}

impl NewPreferences {
    /// Validates the fields of a request. Of a language its code without the region is kept; an empty language means none.
    pub fn parse(
        genres: Vec<String>,
        language: Option<&str>,
        min_rating: Option<f64>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut check = Validator::default();
        check_genres(&mut check, &genres);
        let language = parse_language(&mut check, language);
        let min_rating = check
            .number("min_rating", min_rating, 0.0..=MAX_RATING)
            .unwrap_or_default();
        check.finish(Self {
            genres: genres.iter().map(|genre| genre.trim().to_owned()).collect(),
            language,
            // Negative zero is in the range, but would be serialized as `-0.0`.
            min_rating: min_rating.abs(),
        })
    }

    /// Replaces the genres by their names in `genres`, each once; a name such as `romcom` may mean several. All are kept as
    /// they are if `genres` has none, which is so until a movie is known.
    ///
    /// # Errors
    /// Returns the genres that `genres` does not have, with the nearest names.
    pub fn resolve(mut self, genres: &GenreNames) -> Result<Self, Vec<FieldError>> {
        let mut check = Validator::default();
        let mut resolved: Vec<String> = Vec::new();
        for (index, name) in self.genres.iter().enumerate() {
            let names = genres.canonical(name);
            let names = match names {
                Err(_) if genres.is_empty() => vec![name.clone()],
                names => check
                    .take(format!("preferred_genres[{index}]"), names)
                    .unwrap_or_default(),
            };
            resolved.extend(names);
        }
        let mut seen = HashSet::new();
        resolved.retain(|genre| seen.insert(fold(genre)));
        self.genres = resolved;
        check.finish(self)
    }
}

/// Parses `preferred_language` into a code of two lower-case letters; `None` if it is absent, empty or invalid.
pub(super) fn parse_language(check: &mut Validator, text: Option<&str>) -> Option<String> {
    let text = text.map(str::trim).filter(|text| !text.is_empty());
    // Only the form is checked: TMDB has codes, such as `cn`, that the standard does not.
    let language = text.and_then(Language::parse);
    let language = language.filter(|language| language.primary().len() == 2);
    check.require(
        text.is_none() || language.is_some(),
        "preferred_language",
        "must be a language of two letters (ISO 639-1) such as `ko` or `ko-KR`; or empty",
    );
    language.map(|language| language.primary().to_owned())
}

fn check_genres(check: &mut Validator, genres: &[String]) {
    if genres.len() > MAX_GENRES {
        let message = format!("must be at most {MAX_GENRES} genres");
        return check.error("preferred_genres", message);
    }
    for (index, genre) in genres.iter().enumerate() {
        let genre = genre.trim();
        let message = if genre.is_empty() {
            "must not be empty".to_owned()
        } else if genre.chars().count() > MAX_GENRE_LENGTH {
            format!("must have at most {MAX_GENRE_LENGTH} characters")
        } else if has_invisible(genre) {
            "must not have control or invisible characters".to_owned()
        } else {
            continue;
        };
        check.error(format!("preferred_genres[{index}]"), message);
    }
}
