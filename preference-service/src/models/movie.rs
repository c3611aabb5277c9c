//! Films, as far as this service knows of them: that they exist, and what they are about.

use std::collections::BTreeMap;

use super::{MovieId, TagKind};

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
    /// It is in the catalogue.
    Present(Film),
    /// It went away.
    Removed,
}

/// A film: its title, and what it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Film {
    /// Its title.
    pub title: String,
    /// Its genres, keywords, and those of its people who make a difference to taste.
    pub tags: Vec<Tag>,
    /// The language it was made in, as an ISO 639-1 code.
    pub language: Option<String>,
}

impl Film {
    /// The ids of its tags of one kind.
    pub fn tags_of(&self, kind: TagKind) -> impl Iterator<Item = i64> {
        let of_kind = move |tag: &&Tag| tag.kind == kind;
        self.tags.iter().filter(of_kind).map(|tag| tag.id)
    }
}

/// Something that a film is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// What kind of thing.
    pub kind: TagKind,
    /// TMDB's id, of its kind.
    pub id: i64,
    /// Its name.
    pub name: String,
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
            state: MovieState::Present(Film {
                title: title.to_owned(),
                ..Film::default()
            }),
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
