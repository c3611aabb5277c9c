//! Films, as far as this service knows of them: that they exist.

use std::collections::BTreeMap;

use super::MovieId;

/// What the catalogue's feed says of a film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovieChange {
    /// Which film.
    pub id: MovieId,
    /// The higher one wins.
    pub version: i64,
    /// What became of it.
    pub state: MovieState,
}

/// What became of a film.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovieState {
    /// It is in the catalogue, under this title.
    Present(String),
    /// It went away.
    Removed,
}

impl MovieChange {
    /// The newest change of each film, by id.
    #[must_use]
    pub fn newest(changes: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut newest = BTreeMap::<MovieId, Self>::new();
        for change in changes {
            let older = newest
                .get(&change.id)
                .is_none_or(|known| known.version < change.version);
            if older {
                newest.insert(change.id, change);
            }
        }
        newest.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_each_film_is_kept_whatever_the_order() {
        let change = |id, version, title: &str| MovieChange {
            id: MovieId::new(id).expect("positive"),
            version,
            state: MovieState::Present(title.to_owned()),
        };
        let newest = MovieChange::newest([
            change(2, 5, "new"),
            change(1, 1, "only"),
            change(2, 4, "old"),
            change(2, 5, "the same again"),
        ]);
        assert_eq!(newest, [change(1, 1, "only"), change(2, 5, "new")]);
    }
}
