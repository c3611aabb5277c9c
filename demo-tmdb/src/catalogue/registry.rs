//! Names and the ids that demo-tmdb assigns to them, because the data has none.

use std::collections::HashMap;

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
    entries: Vec<(String, T)>,
    ids: HashMap<String, u32>,
}

impl<T: Default> Registry<T> {
    pub(crate) fn new(base: u32) -> Self {
        Self {
            base,
            entries: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// The id of a name, given out now if the name is new.
    pub(crate) fn id_of(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        self.entries.push((name.to_owned(), T::default()));
        // The catalogue is bounded, far below the billions that would overflow here.
        let id = self.base + self.entries.len() as u32;
        self.ids.insert(name.to_owned(), id);
        id
    }

    /// Name and details of an id.
    pub(crate) fn find(&self, id: u32) -> Option<(&str, &T)> {
        let index = id.checked_sub(self.base + 1)?;
        self.entries
            .get(index as usize)
            .map(|(name, details)| (name.as_str(), details))
    }

    /// The name of an id, empty for an id that was never given out.
    pub(crate) fn name(&self, id: u32) -> &str {
        self.find(id).map_or("", |(name, _)| name)
    }

    /// The names of `ids`.
    pub(crate) fn names(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|id| self.name(*id).to_owned()).collect()
    }

    /// The ids of `names`; see [`Registry::id_of`].
    pub(crate) fn ids(&mut self, names: &[impl AsRef<str>]) -> Vec<u32> {
        names.iter().map(|name| self.id_of(name.as_ref())).collect()
    }

    /// Details of a name, to be changed.
    pub(crate) fn details_mut(&mut self, name: &str) -> Option<&mut T> {
        let index = self.ids.get(name)?.checked_sub(self.base + 1)?;
        self.entries
            .get_mut(index as usize)
            .map(|(_, details)| details)
    }
}

impl Registry<Person> {
    pub(crate) fn clear_counts(&mut self) {
        for (_, person) in &mut self.entries {
            person.films = 0;
        }
    }

    pub(crate) fn count(&mut self, id: u32) {
        let index = id.checked_sub(self.base + 1);
        if let Some((_, person)) = index.and_then(|index| self.entries.get_mut(index as usize)) {
            person.films += 1;
        }
    }
}
