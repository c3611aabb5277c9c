//! The movies of the catalogue as this service needs them: title and tags. Read from movie-service's feed.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{MovieId, TagKind};

/// A movie as movie-service shows it in lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct MovieCard {
    /// The title, in the display language if it is known.
    pub title: String,
    /// The URL of the poster; empty if there is none.
    #[serde(default)]
    pub poster_url: String,
}

/// A change of a movie in the catalogue's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovieChange {
    /// The movie.
    pub id: MovieId,
    /// The version; the highest one wins.
    pub version: i64,
    /// The new state.
    pub state: MovieState,
}

/// The state of a movie in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovieState {
    /// The movie is in the catalogue.
    Present(Film),
    /// The movie has been removed.
    Removed,
}

/// A movie's title and tags.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Film {
    /// The title.
    pub title: String,
    /// The original title, empty if unknown.
    pub original_title: String,
    /// The genres, keywords, and the people who count towards taste.
    pub tags: Vec<Tag>,
    /// The original language, an ISO 639-1 code.
    pub language: Option<String>,
    /// The year of the first release.
    pub release_year: Option<i16>,
}

impl Film {
    /// The ids of the tags of one kind.
    pub fn tags_of(&self, kind: TagKind) -> impl Iterator<Item = i64> {
        let of_kind = move |tag: &&Tag| tag.kind == kind;
        self.tags.iter().filter(of_kind).map(|tag| tag.id)
    }
}

/// A tag of a movie: a genre, keyword or person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// The kind.
    pub kind: TagKind,
    /// TMDB's id, unique within the kind.
    pub id: i64,
    /// The name.
    pub name: String,
    /// The names of a genre in other languages, by ISO 639 code.
    pub names: BTreeMap<String, String>,
}

impl MovieChange {
    /// Returns the newest change of each movie, by id.
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
    fn the_newest_change_of_each_movie_wins_in_any_order() {
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
