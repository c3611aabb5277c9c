//! Kinds of titles. Movies are recognized by an allow list, since sites translate and add kinds.

use std::{collections::HashSet, sync::LazyLock};

/// The kinds that are movies, in the languages of the sites' exports, as [`normalize`] writes them.
const MOVIES: &[&str] = &[
    "movie",
    "movies",
    "film",
    "films",
    "feature",
    "featurefilm",
    "short",
    "shortfilm",
    "shortmovie",
    "documentary",
    "tvmovie",
    "tvfilm",
    "tvshort",
    "video",
    "videofilm",
    "madefortv",
    "madefortvmovie",
    "straighttovideo",
    "directtovideo",
    // German, French, Italian, Spanish, Portuguese
    "spielfilm",
    "kurzfilm",
    "fernsehfilm",
    "tvkurzfilm",
    "dokumentarfilm",
    "longmétrage",
    "courtmétrage",
    "téléfilm",
    "filmtv",
    "vidéo",
    "courtmétragetv",
    "filmpertv",
    "filmperlatv",
    "cortometraggio",
    "película",
    "pelicula",
    "películadetv",
    "películadetelevisión",
    "cortometraje",
    "cortodetv",
    "vídeo",
    "filme",
    "filmes",
    "filmeparatv",
    "filmedetv",
    "telefilme",
    "curta",
    "curtametragem",
    "longametragem",
    // Dutch, Polish, Swedish, Turkish, Russian
    "speelfilm",
    "kortefilm",
    "tvfilmpje",
    "filmtelewizyjny",
    "filmkrótkometrażowy",
    "krótkometrażowy",
    "kortfilm",
    "långfilm",
    "kısafilm",
    "tvfilmi",
    "sinemafilmi",
    "фильм",
    "короткометражка",
    "короткометражныйфильм",
    "телефильм",
    "тефильм",
    // Hindi, Japanese, Korean, Chinese
    "फ़िल्म",
    "फिल्म",
    "मूवी",
    "映画",
    "短編映画",
    "テレビ映画",
    "영화",
    "단편영화",
    "电影",
    "電影",
    "短片",
    "电视电影",
    "電視電影",
];

/// A kind without case, spaces and punctuation.
pub(crate) fn normalize(text: &str) -> String {
    let letters = text
        .chars()
        .filter(|letter| letter.is_alphanumeric() || is_combining(*letter));
    letters.flat_map(char::to_lowercase).collect()
}

/// True for the vowel signs and marks of Devanagari, which are parts of words.
fn is_combining(letter: char) -> bool {
    ('\u{900}'..='\u{97f}').contains(&letter)
}

/// True if titles of this kind are movies, or if no kind is stated.
pub(crate) fn is_movie(kind: &str) -> bool {
    static KNOWN: LazyLock<HashSet<String>> =
        LazyLock::new(|| MOVIES.iter().map(|kind| normalize(kind)).collect());
    let kind = normalize(kind);
    kind.is_empty() || KNOWN.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_kinds_are_movies() {
        for kind in [
            "",
            "Movie",
            "movie",
            "TV Movie",
            "tvMovie",
            "Feature Film",
            "Película",
            "Court-métrage",
            "फ़िल्म",
            "Film",
        ] {
            assert!(is_movie(kind), "{kind}");
        }
        for kind in [
            "TV Episode",
            "TV Special",
            "Serie de TV",
            "Miniserie de TV",
            "tvSeries",
            "show",
            "episode",
            "Video Game",
            "Téléréalité",
            "anime",
        ] {
            assert!(!is_movie(kind), "{kind}");
        }
    }
}
