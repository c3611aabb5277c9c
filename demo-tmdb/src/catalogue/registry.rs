//! Names and the ids that demo-tmdb assigns to them, because the data has none.

use indexmap::IndexMap;

/// People's ids start here, above all of TMDB's, so that the two cannot be confused.
pub(crate) const PERSON_ID_BASE: u32 = 20_000_000;
/// Keywords' ids start here, for the same reason.
pub(crate) const KEYWORD_ID_BASE: u32 = 30_000_000;

/// The attributes of a person besides the name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    /// The name in Hangul.
    pub(crate) korean_name: Option<String>,
    /// The number of movies in the catalogue that have the person.
    pub(crate) films: u32,
}

/// Names numbered from a base: the first is `base + 1`.
#[derive(Clone, Debug)]
pub(crate) struct Registry<T> {
    base: u32,
    entries: IndexMap<String, T>,
}

impl<T: Default> Registry<T> {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            base,
            entries: IndexMap::new(),
        }
    }

    /// The ids of names; a new name receives the next id.
    pub(crate) fn ids(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<u32> {
        let mut index = |name: &str| match self.entries.get_index_of(name) {
            Some(index) => index,
            None => self.entries.insert_full(name.to_owned(), T::default()).0,
        };
        // The catalogue is bounded, far below the billions that would overflow here.
        let indexes = names.into_iter().map(|name| index(name.as_ref()));
        indexes.map(|index| self.base + 1 + index as u32).collect()
    }

    fn index(&self, id: u32) -> Option<usize> {
        Some(id.checked_sub(self.base + 1)? as usize)
    }

    /// Name and details of an id.
    pub(crate) fn find(&self, id: u32) -> Option<(&str, &T)> {
        let (name, details) = self.entries.get_index(self.index(id)?)?;
        Some((name, details))
    }

    /// The name of an id, empty for an id that was never given out.
    pub(crate) fn name(&self, id: u32) -> &str {
        self.find(id).map_or("", |(name, _)| name)
    }

    /// The names of `ids`.
    pub(crate) fn names(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|id| self.name(*id).to_owned()).collect()
    }

    /// Details of a name, to be changed.
    pub(crate) fn details_mut(&mut self, name: &str) -> Option<&mut T> {
        self.entries.get_mut(name)
    }
}

impl Registry<Person> {
    pub(crate) fn clear_counts(&mut self) {
        self.entries
            .values_mut()
            .for_each(|person| person.films = 0);
    }

    pub(crate) fn count(&mut self, id: u32) {
        let index = self.index(id);
        if let Some((_, person)) = index.and_then(|index| self.entries.get_index_mut(index)) {
            person.films += 1;
        }
    }
}
