//! Matching of movies by title and year, for sets without links.

use std::collections::HashMap;

use super::Title;

/// A movie of a catalogue, to match titles with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogueTitle {
    /// TMDB's id.
    pub id: i64,
    /// A title, in any language.
    pub title: String,
    /// The year of its release.
    pub year: Option<i32>,
}

/// TMDB's ids by the ids of the set, for movies that have a title in common with one in `catalogue` and were released
/// in the same year or the one beside it; of several the same year comes first. Titles that remain ambiguous are left
/// out.
#[must_use]
pub fn match_titles(titles: &[Title], catalogue: &[CatalogueTitle]) -> HashMap<u32, i64> {
    let mut by_title: HashMap<String, Vec<&CatalogueTitle>> = HashMap::new();
    for movie in catalogue {
        let known = by_title.entry(title_key(&movie.title)).or_default();
        known.push(movie);
    }
    let find = |title: &Title| {
        let year = title.year?;
        let named = title.titles.iter();
        let candidates: Vec<_> = named
            .filter_map(|name| by_title.get(&title_key(name)))
            .flatten()
            .filter_map(|movie| Some(((movie.year? - year).abs(), movie.id)))
            .collect();
        (0..=1).find_map(|distance| {
            let mut near = candidates.iter().filter(|(years, _)| *years == distance);
            let (_, id) = near.next()?;
            near.all(|(_, other)| other == id).then_some(*id)
        })
    };
    titles
        .iter()
        .filter_map(|title| Some((title.movie, find(title)?)))
        .collect()
}

/// The letters and digits of `title` in lower case, without the article in front and with `&` as "and".
fn title_key(title: &str) -> String {
    let lower = title.to_lowercase().replace('&', " and ");
    let words: Vec<&str> = lower
        .split(|one: char| !one.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        ["the" | "a" | "an", rest @ ..] if !rest.is_empty() => rest.concat(),
        all => all.concat(),
    }
}
