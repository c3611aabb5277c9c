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
    let genres = film.genres.iter().take(2).map(|id| genre_name(*id, false));
    // "TV Movie" keeps its abbreviation, all others are ordinary words.
    let genres = genres.map(|genre| match genre {
        "TV Movie" => "TV".to_owned(),
        genre => genre.to_lowercase(),
    });
    let year = film.release_date.map(|date| date.format("%Y").to_string());
    let genres = genres.collect::<Vec<_>>().join(" and ");
    let words = [year.unwrap_or_default(), genres, "film".to_owned()];
    let mut line = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let people = |ids: &[u32]| {
        let names = ids.iter().take(2).map(|id| catalogue.people.name(*id));
        names.collect::<Vec<_>>().join(" and ")
    };
    if !film.directors.is_empty() {
        line = format!("{line} directed by {}", people(&film.directors));
    }
    if !film.cast.is_empty() {
        line = format!("{line}, with {}", people(&film.cast));
    }
    let article = match line.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "An",
        false => "A",
    };
    format!("{article} {line}.")
}

fn korean(catalogue: &Catalogue, film: &Film) -> String {
    let names = |ids: &[u32]| {
        let people = ids
            .iter()
            .take(2)
            .filter_map(|id| catalogue.people.find(*id));
        let names = people.map(|(name, person)| person.korean_name.as_deref().unwrap_or(name));
        names.collect::<Vec<_>>().join(", ")
    };
    let genres = film.genres.iter().take(2).map(|id| genre_name(*id, true));
    let genres = genres.collect::<Vec<_>>().join("·");
    let mut line = match film.release_date {
        Some(date) => format!("{}년 {genres} 영화.", date.format("%Y")),
        None => format!("{genres} 영화."),
    };
    if !film.directors.is_empty() {
        line = format!("{line} 감독 {}.", names(&film.directors));
    }
    if !film.cast.is_empty() {
        line = format!("{line} 출연 {}.", names(&film.cast));
    }
    line
}
