//! The genres of the catalogue's movies as bits, and the combinations of them that occur.

use std::{collections::HashMap, sync::Arc};

use filter::{GenreNames, Term};

use crate::read_model::Tag;

/// A set of genres, one bit each; see [`Genres::set_of`].
pub type GenreSet = u64;

/// The largest number of different genres; TMDB has 19.
const MAX_GENRES: usize = GenreSet::BITS as usize;

/// Genres and their combinations. A clone shares memory until one of both changes, which is seldom: a movie hardly
/// ever has a combination of genres that no movie had before.
#[derive(Debug, Clone, Default)]
pub struct Genres(Arc<Inner>);

#[derive(Debug, Clone, Default)]
struct Inner {
    /// Combinations that any movie has or had, once each.
    sets: Vec<GenreSet>,
    numbers: HashMap<GenreSet, u32>,
    /// By bit.
    names: Vec<String>,
    /// By language and bit; empty if unknown.
    translated: HashMap<String, Vec<String>>,
    ids: GenreNames,
}

impl Inner {
    /// The name of the genre with this `bit` in `language`, if it is known.
    fn translated(&self, bit: usize, language: &str) -> Option<&str> {
        let name = self.translated.get(language)?.get(bit)?;
        (!name.is_empty()).then_some(name)
    }

    fn bit(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Stores the names of `genre`, whose bit is `bit`.
    fn translate(&mut self, bit: usize, genre: &Tag) {
        for (language, name) in &genre.names {
            let names = self.translated.entry(language.clone()).or_default();
            if names.len() <= bit {
                names.resize(bit + 1, String::new());
            }
            names[bit].clone_from(name);
        }
        let others = self.translated.values().filter_map(|names| names.get(bit));
        let others = others.filter(|name| !name.is_empty());
        self.ids.set_others(genre.id, others.map(String::as_str));
    }
}

impl Genres {
    /// The number of the combination of `genres`, which are added if they are new.
    pub(super) fn add(&mut self, genres: &[Tag]) -> u32 {
        let is_new = |genre: &Tag| self.0.ids.name(genre.id) != Some(genre.name.as_str());
        if genres.iter().any(is_new) {
            let inner = Arc::make_mut(&mut self.0);
            genres
                .iter()
                .for_each(|genre| inner.ids.upsert(genre.id, &genre.name));
        }
        let mut set = 0;
        for genre in genres {
            let known = self.0.bit(&genre.name);
            let bit = known.unwrap_or_else(|| {
                let inner = Arc::make_mut(&mut self.0);
                if inner.names.len() < MAX_GENRES {
                    inner.names.push(genre.name.clone());
                    inner.names.len() - 1
                } else {
                    MAX_GENRES
                }
            });
            if bit < MAX_GENRES {
                set |= 1 << bit;
                let mut names = genre.names.iter();
                let is_known = names.all(|(language, name)| {
                    name.is_empty() || self.0.translated(bit, language) == Some(name.as_str())
                });
                if known.is_none() || !is_known {
                    Arc::make_mut(&mut self.0).translate(bit, genre);
                }
            }
        }
        if let Some(number) = self.0.numbers.get(&set) {
            return *number;
        }
        let inner = Arc::make_mut(&mut self.0);
        // There are at most as many combinations as movies.
        let number = u32::try_from(inner.sets.len()).unwrap_or(u32::MAX);
        inner.sets.push(set);
        inner.numbers.insert(set, number);
        number
    }

    /// The combinations, by number.
    pub fn sets(&self) -> &[GenreSet] {
        &self.0.sets
    }

    /// The genres by TMDB's id and by name.
    pub fn ids(&self) -> &GenreNames {
        &self.0.ids
    }

    /// The name of genre `id` in `language`, ISO 639-1; its own if there is none.
    pub fn name(&self, id: i64, language: &str) -> Option<&str> {
        let name = self.0.ids.name(id)?;
        let bit = self.0.bit(name);
        let translated = bit.and_then(|bit| self.0.translated(bit, language));
        Some(translated.unwrap_or(name))
    }

    /// The names of the combination with this number in `language`, in alphabetical order; as [`Genres::name`].
    pub fn names(&self, number: u32, language: &str) -> Vec<&str> {
        let set = self.0.sets[number as usize];
        let names = self.0.names.iter().enumerate();
        let mut names: Vec<&str> = names
            .filter(|(bit, _)| set & (1 << bit) != 0)
            .map(|(bit, name)| self.0.translated(bit, language).unwrap_or(name))
            .collect();
        names.sort_unstable();
        names
    }

    /// The genres with these `names`, as [`GenreNames::resolve`] reads them; names of no movie's genre are ignored.
    pub fn set_of(&self, names: &[String]) -> GenreSet {
        let ids = names
            .iter()
            .flat_map(|name| self.0.ids.resolve(&Term::Name(name.clone())));
        let bits = ids.filter_map(|id| self.0.bit(self.0.ids.name(id)?));
        bits.fold(0, |set, bit| set | (1 << bit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genre(id: i64, name: &str, korean: &str) -> Tag {
        let mut names = std::collections::BTreeMap::new();
        if !korean.is_empty() {
            names.insert("ko".to_owned(), korean.to_owned());
        }
        Tag {
            id,
            name: name.to_owned(),
            names,
            ..Tag::default()
        }
    }

    #[test]
    fn genres_have_names_in_other_languages_once_these_are_known() {
        let mut genres = Genres::default();
        let number = genres.add(&[genre(18, "Drama", ""), genre(35, "Comedy", "코미디")]);
        assert_eq!(genres.names(number, ""), ["Comedy", "Drama"]);
        assert_eq!(genres.names(number, "ko"), ["Drama", "코미디"]);
        let before = genres.clone();
        assert_eq!(
            genres.add(&[genre(35, "Comedy", ""), genre(18, "Drama", "드라마")]),
            number
        );
        assert_eq!(genres.names(number, "ko"), ["드라마", "코미디"]);
        assert_eq!(genres.names(number, "fr"), ["Comedy", "Drama"]);
        assert_eq!(genres.name(18, "ko"), Some("드라마"));
        assert_eq!(genres.name(99, "ko"), None);
        assert_eq!(
            before.names(number, "ko"),
            ["Drama", "코미디"],
            "a clone stays as it was"
        );
        let set = |name: &str| genres.set_of(&[name.to_owned()]);
        assert_eq!(set("DRAMA"), set("드라마"));
        // As macOS writes it.
        assert_eq!(
            set("\u{1103}\u{1173}\u{1105}\u{1161}\u{1106}\u{1161}"),
            set("Drama")
        );
        assert_ne!(set("코미디"), 0);
        assert_eq!(set("멜로"), 0);
    }
}
