//! Titles and names of genres in other languages: a column of titles for each language that movies come with, and the
//! catalogue as a response in one language shows it.

use filter::{FacetKind, StringColumn};
use serde::{Deserialize, Serialize};

use crate::{
    read_model::{Catalogue, Film},
    reason::Names,
};

/// A title of a movie in a language.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Title {
    /// The title.
    pub title: String,
    /// The language of a translation, ISO 639-1; `None` for an alternative title.
    pub language: Option<String>,
}

impl Film {
    /// Keeps one title and the names of genres and people in each of `languages`, if there are any, and none in others:
    /// only those are stored.
    pub fn keep_languages(&mut self, languages: &[String]) {
        let original = Title {
            title: std::mem::take(&mut self.original_title),
            language: Some(self.original_language.clone()),
        };
        let titles = std::mem::take(&mut self.titles);
        self.titles = languages
            .iter()
            .filter_map(|language| {
                let mut titles = titles.iter().chain([&original]);
                let is_in = |title: &&Title| title.language.as_ref() == Some(language);
                titles.find(|title| is_in(title) && !title.title.is_empty())
            })
            .filter(|title| title.title != self.title)
            .cloned()
            .collect();
        let tags = self.genres.iter_mut().chain(&mut self.people);
        for tag in tags.chain(&mut self.keywords) {
            tag.names.retain(|language, _| languages.contains(language));
        }
    }
}

/// Titles in other languages by row. A row costs eight bytes a language beside its title.
#[derive(Debug, Clone, Default)]
pub(super) struct TranslatedTitles {
    /// By language; empty where the title is unknown, or that of the catalogue.
    columns: Vec<(String, StringColumn)>,
}

impl TranslatedTitles {
    pub(super) fn push(&mut self) {
        for (_, column) in &mut self.columns {
            column.push(&[]);
        }
    }

    /// Sets the titles of `row`, of `rows`.
    pub(super) fn set(&mut self, row: usize, rows: usize, titles: &[Title]) {
        for language in titles.iter().filter_map(|title| title.language.as_ref()) {
            if !self.columns.iter().any(|(known, _)| known == language) {
                let mut column = StringColumn::default();
                (0..rows).for_each(|_| column.push(&[]));
                self.columns.push((language.clone(), column));
            }
        }
        for (language, column) in &mut self.columns {
            let title = titles
                .iter()
                .find(|title| title.language.as_ref() == Some(language));
            let title = title.map_or(&[][..], |title| title.title.as_bytes());
            if column.get(row) != title {
                column.set(row, title);
            }
        }
    }

    pub(super) fn swap_remove(&mut self, row: usize) {
        for (_, column) in &mut self.columns {
            column.swap_remove(row);
        }
    }

    /// The titles of `row` in all languages.
    pub(super) fn all(&self, row: usize) -> impl Iterator<Item = &str> {
        let titles = self.columns.iter().map(move |(_, column)| column.get(row));
        // They were strings when they were stored.
        titles
            .filter(|title| !title.is_empty())
            .map(|title| std::str::from_utf8(title).unwrap_or_default())
    }

    fn get(&self, row: usize, language: &str) -> Option<&str> {
        let (_, column) = self.columns.iter().find(|(known, _)| known == language)?;
        // It was a string when it was stored.
        let title = std::str::from_utf8(column.get(row)).unwrap_or_default();
        (!title.is_empty()).then_some(title)
    }

    /// The memory of the titles in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(|(_, column)| column.bytes()).sum()
    }
}

/// A catalogue as a response in one language shows it: titles and names in that language if they are known, else those
/// of the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Localized<'a> {
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The language, ISO 639-1; empty for that of the catalogue.
    pub language: &'a str,
}

impl<'a> Localized<'a> {
    /// The title of the movie in `row`.
    pub fn title_at(&self, row: usize) -> &'a str {
        let titles = &self.catalogue.translated_titles;
        let translated = titles.get(row, self.language);
        translated.unwrap_or_else(|| self.catalogue.title(row))
    }

    /// The names of the genres of the movie in `row`, in alphabetical order.
    pub fn genres_at(&self, row: usize) -> Vec<&'a str> {
        let number = self.catalogue.genre_numbers()[row];
        self.catalogue.genres().names(number, self.language)
    }
}

impl Names for Localized<'_> {
    fn title(&self, id: i64) -> Option<&str> {
        self.catalogue.row(id).map(|row| self.title_at(row))
    }

    fn genre(&self, id: i64) -> Option<&str> {
        self.catalogue.genres().name(id, self.language)
    }

    fn person(&self, id: i64) -> Option<&str> {
        let facets = self.catalogue.films().facets();
        let person = (FacetKind::Person, u64::try_from(id).ok()?);
        let translated = facets.name_of(person, self.language);
        translated.or_else(|| facets.name_of(person, ""))
    }

    fn keyword(&self, id: i64) -> Option<&str> {
        let keyword = (FacetKind::Keyword, u64::try_from(id).ok()?);
        self.catalogue.films().facets().name_of(keyword, "")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::read_model::Tag;

    fn film(id: i64, version: i64, titles: &[(&str, Option<&str>)]) -> Film {
        let title = |(title, language): &(&str, Option<&str>)| Title {
            title: (*title).to_owned(),
            language: language.map(str::to_owned),
        };
        Film {
            id,
            version,
            title: "Parasite".to_owned(),
            original_title: "기생충".to_owned(),
            original_language: "ko".to_owned(),
            titles: titles.iter().map(title).collect(),
            genres: vec![Tag {
                id: 53,
                name: "Thriller".to_owned(),
                names: BTreeMap::from(
                    [("ko", "스릴러"), ("fr", "Thriller")]
                        .map(|(language, name)| (language.to_owned(), name.to_owned())),
                ),
                ..Tag::default()
            }],
            ..Film::default()
        }
    }

    #[test]
    fn one_title_in_each_kept_language_is_stored() {
        let languages = ["ko".to_owned(), "ja".to_owned()];
        let kept = |titles: &[(&str, Option<&str>)]| {
            let mut film = film(1, 1, titles);
            film.keep_languages(&languages);
            assert_eq!(film.original_title, "");
            assert_eq!(film.genres[0].names.keys().collect::<Vec<_>>(), ["ko"]);
            let titles = film.titles.into_iter();
            titles.map(|title| title.title).collect::<Vec<_>>()
        };
        let [korean, japanese] = [("Gisaengchung", Some("ko")), ("パラサイト", Some("ja"))];
        assert_eq!(
            kept(&[("Other", None), japanese, korean]),
            ["Gisaengchung", "パラサイト"]
        );
        // The original title stands for a translation into the original language, which TMDB leaves empty.
        assert_eq!(
            kept(&[("", Some("ko")), ("Parasite", Some("ja"))]),
            ["기생충"]
        );
    }

    #[test]
    fn titles_follow_their_movies_and_fall_back_to_the_catalogues() {
        let mut catalogue = Catalogue::default();
        for (id, titles) in [
            (1, &[][..]),
            (2, &[("둘", Some("ko"))]),
            (3, &[("셋", Some("ko")), ("三", Some("ja"))]),
        ] {
            catalogue.upsert(&film(id, 1, titles));
        }
        let title = |catalogue: &Catalogue, language: &str, id| {
            catalogue.localized(language).title(id).map(str::to_owned)
        };
        let before = catalogue.clone();
        catalogue.remove(1, 2);
        catalogue.upsert(&film(2, 2, &[]));
        catalogue.upsert(&film(4, 1, &[("四", Some("ja"))]));
        for (language, id, expected) in [
            ("ko", 1, None),
            ("ko", 2, Some("Parasite")),
            ("ko", 3, Some("셋")),
            ("ja", 3, Some("三")),
            ("ja", 4, Some("四")),
            ("ko", 4, Some("Parasite")),
            ("", 3, Some("Parasite")),
            ("fr", 3, Some("Parasite")),
        ] {
            assert_eq!(
                title(&catalogue, language, id).as_deref(),
                expected,
                "{language} {id}"
            );
        }
        assert_eq!(title(&before, "ko", 2).as_deref(), Some("둘"));
        assert_eq!(catalogue.localized("ko").genres_at(0), ["스릴러"]);
    }

    #[test]
    fn a_title_costs_at_most_60_bytes() {
        const FILMS: usize = 20_000;
        let mut catalogue = Catalogue::default();
        for id in (1..).take(FILMS) {
            // Ten syllables and a number: longer than most.
            let title = format!("스물몇번째의어느영화 {id}");
            catalogue.upsert(&film(id, 1, &[(&title, Some("ko"))]));
        }
        let bytes = catalogue.translated_bytes() / FILMS;
        assert!(bytes <= 60, "{bytes}");
    }
}
