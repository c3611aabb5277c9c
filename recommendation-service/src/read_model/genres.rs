//! The genres of the catalogue's movies as bits, and the combinations of them that occur.

use std::{collections::HashMap, sync::Arc};

use filter::GenreNames;

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
    ids: GenreNames,
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
            let known = self.0.names.iter().position(|name| *name == genre.name);
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

    /// The names of the combination with this number, in alphabetical order.
    pub fn names(&self, number: u32) -> Vec<&str> {
        let set = self.0.sets[number as usize];
        let names = self.0.names.iter().enumerate();
        let mut names: Vec<&str> = names
            .filter(|(bit, _)| set & (1 << bit) != 0)
            .map(|(_, name)| name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// The genres with these `names` in any case; names of no movie's genre are ignored.
    pub fn set_of(&self, names: &[String]) -> GenreSet {
        names.iter().fold(0, |set, name| {
            let name = name.to_lowercase();
            let mut known = self.0.names.iter();
            let bit = known.position(|known| known.to_lowercase() == name);
            bit.map_or(set, |bit| set | (1 << bit))
        })
    }
}
