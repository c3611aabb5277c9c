//! Titles as MovieLens writes them.

use crate::date::YEARS;

/// Articles that MovieLens appends to titles.
const ARTICLES: [&str; 11] = [
    "The", "A", "An", "Der", "Die", "Das", "Le", "La", "Les", "Il", "El",
];

/// The title and the year of `Long Way, The (1987)`: MovieLens appends the article, and then the year.
pub(crate) fn title_and_year(text: &str) -> (String, Option<i32>) {
    let trimmed = text.trim();
    let parts = trimmed.strip_suffix(')').and_then(|rest| {
        let (title, year) = rest.rsplit_once('(')?;
        let year = year.parse().ok().filter(|year| YEARS.contains(year))?;
        Some((title.trim(), Some(year)))
    });
    let (title, year) = parts.unwrap_or((trimmed, None));
    let title = match title.rsplit_once(", ") {
        Some((rest, article)) if ARTICLES.contains(&article) => format!("{article} {rest}"),
        _ => title.to_owned(),
    };
    (title, year)
}
