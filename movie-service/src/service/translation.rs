//! Translation of movies into a display language, for [`super::listing`] and [`super::hydration`]. What is not translated
//! stays in the catalogue's language.

use chassis::language::Language;
use sqlx::PgPool;

use crate::{
    models::{Includes, Movie, MovieId},
    repository::{listing, translations},
};

/// Movies with their texts in a display language.
#[derive(Debug)]
pub struct TranslatedMovies {
    /// The movies.
    pub movies: Vec<Movie>,
    /// The display language, if any of their texts is in it.
    pub language: Option<Language>,
}

/// Reads those movies in `ids` that exist, in the order of `ids`, in the language of `includes`.
pub(super) async fn read(
    pool: &PgPool,
    ids: &[i64],
    includes: Includes,
) -> sqlx::Result<TranslatedMovies> {
    let mut movies = listing::page(pool, ids, includes).await?;
    let mut used = None;
    if let Some(language) = includes.language
        && translate(pool, &mut movies, language, includes).await?
    {
        used = Some(language);
    }
    Ok(TranslatedMovies {
        movies,
        language: used,
    })
}

/// Translates `movies`, as far as their texts in `language` are known and `includes` needs them; true if any text is
/// translated.
pub(super) async fn translate(
    pool: &PgPool,
    movies: &mut [Movie],
    language: Language,
    includes: Includes,
) -> sqlx::Result<bool> {
    if movies.is_empty() {
        return Ok(false);
    }
    let ids: Vec<MovieId> = movies.iter().map(|movie| movie.id).collect();
    let mut texts = translations::find(pool, &ids, language, includes).await?;
    let mut is_translated = false;
    for movie in movies {
        let texts = texts.remove(&movie.id).unwrap_or_default();
        is_translated |= movie.translate(language, texts);
    }
    Ok(is_translated)
}
