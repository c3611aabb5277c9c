//! A neutral line about a film, composed from its facts: the demo catalogue holds no text written by others.

use super::{Catalogue, Film, Language, genre_name};

/// The overview: the text that a test has set, else a line of facts in English or Korean.
pub(crate) fn overview(catalogue: &Catalogue, film: &Film, language: Language<'_>) -> String {
    match (&film.overview, language) {
        (Some(text), _) => text.clone(),
        (None, Language::Korean) => korean(catalogue, film),
        (None, _) => english(catalogue, film),
    }
}

fn english(catalogue: &Catalogue, film: &Film) -> String {
    let mut words = Vec::new();
    words.extend(film.release_date.map(|date| date.format("%Y").to_string()));
    words.push(joined(
        film.genres
            .iter()
            .take(2)
            .map(|id| in_running_text(genre_name(*id, false))),
    ));
    words.push("film".to_owned());
    words.retain(|word| !word.is_empty());
    let mut line = words.join(" ");
    let people = |ids: &[u32]| {
        joined(
            ids.iter()
                .take(2)
                .map(|id| catalogue.people().name(*id).to_owned()),
        )
    };
    if !film.directors.is_empty() {
        line = format!("{line} directed by {}", people(&film.directors));
    }
    if !film.cast.is_empty() {
        line = format!("{line}, with {}", people(&film.cast));
    }
    let article = if line.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "An"
    } else {
        "A"
    };
    format!("{article} {line}.")
}

fn korean(catalogue: &Catalogue, film: &Film) -> String {
    let names = |ids: &[u32]| {
        let names: Vec<&str> = ids
            .iter()
            .take(2)
            .filter_map(|id| catalogue.people().find(*id))
            .map(|(name, person)| person.korean_name.as_deref().unwrap_or(name))
            .collect();
        names.join(", ")
    };
    let genres: Vec<&str> = film
        .genres
        .iter()
        .take(2)
        .map(|id| genre_name(*id, true))
        .collect();
    let mut line = match film.release_date {
        Some(date) => format!("{}년 {} 영화.", date.format("%Y"), genres.join("·")),
        None => format!("{} 영화.", genres.join("·")),
    };
    if !film.directors.is_empty() {
        line = format!("{line} 감독 {}.", names(&film.directors));
    }
    if !film.cast.is_empty() {
        line = format!("{line} 출연 {}.", names(&film.cast));
    }
    line
}

/// "TV Movie" keeps its abbreviation, all others are ordinary words.
fn in_running_text(genre: &str) -> String {
    if genre == "TV Movie" {
        "TV".to_owned()
    } else {
        genre.to_lowercase()
    }
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(" and ")
}
