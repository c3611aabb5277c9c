//! Names: their comparison, and the names of genres, of which an unknown one is an error.

use chassis::config::nearest;
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::{Filter, Term};

/// The folded form of a name, by which names are compared: lower case, trimmed, and in Unicode's
/// normal form C.
pub fn fold(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    if lower.is_ascii() {
        return lower;
    }
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(&lower)
        .into_owned()
}

/// A genre that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownGenre {
    /// The parameter that names it.
    pub field: &'static str,
    /// The name or id in the parameter.
    pub name: String,
    /// The most similar known name.
    pub nearest: Option<String>,
}

/// The known genres: TMDB's ids and names, and their names in other languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenreNames(Vec<Genre>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Genre {
    id: i64,
    name: String,
    others: Vec<String>,
}

impl Genre {
    /// The name, then those in other languages.
    fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(others)
    }
}

impl FromIterator<(i64, String)> for GenreNames {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(genres: I) -> Self {
        let genres = genres.into_iter().map(|(id, name)| Genre {
            id,
            name,
            others: Vec::new(),
        });
        Self(genres.collect())
    }
}

impl GenreNames {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|genre| (genre.id, genre.name.as_str()))
    }

    /// The name of genre `id`.
    pub fn name(&self, id: i64) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == id)
            .map(|(_, name)| name)
    }

    /// Sets the name of a genre.
    pub fn upsert(&mut self, id: i64, name: &str) {
        match self.0.iter_mut().find(|known| known.id == id) {
            Some(known) if known.name == name => {}
            Some(known) => name.clone_into(&mut known.name),
            None => self.0.push(Genre {
                id,
                name: name.to_owned(),
                others: Vec::new(),
            }),
        }
    }

    /// Sets the names of a known genre in other languages, by which it is found as well.
    pub fn set_others<'a>(&mut self, id: i64, names: impl IntoIterator<Item = &'a str>) {
        if let Some(known) = self.0.iter_mut().find(|known| known.id == id) {
            known.others = names.into_iter().map(str::to_owned).collect();
        }
    }

    /// The id of the genre that `term` names, in any language.
    pub fn find(&self, term: &Term) -> Option<i64> {
        let folded = match term {
            Term::Id(wanted) => return self.name(*wanted).map(|_| *wanted),
            Term::Name(name) => fold(name),
        };
        let is_named = |genre: &&Genre| genre.names().any(|name| fold(name) == folded);
        self.0.iter().find(is_named).map(|genre| genre.id)
    }

    /// Genres in `filter` that do not exist; none while no genres are loaded.
    pub fn unknown(&self, filter: &Filter) -> Vec<UnknownGenre> {
        let mut unknown = Vec::new();
        for (field, all) in [
            ("genres", &filter.genres),
            ("without_genres", &filter.without_genres),
        ] {
            for term in all.iter().flatten() {
                if self.find(term).is_some() || self.0.is_empty() {
                    continue;
                }
                let names = || self.0.iter().flat_map(Genre::names);
                let (name, nearest) = match term {
                    Term::Id(id) => (id.to_string(), None),
                    Term::Name(name) => {
                        let folded: Vec<String> = names().map(fold).collect();
                        let near = nearest(&fold(name), folded.iter().map(String::as_str));
                        let near = near.and_then(|near| names().find(|name| fold(name) == near));
                        (name.clone(), near.map(str::to_owned))
                    }
                };
                unknown.push(UnknownGenre {
                    field,
                    name,
                    nearest,
                });
            }
        }
        unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_genre_is_found_by_its_name_in_every_known_language() {
        let mut genres =
            GenreNames::from_iter([(18, "Drama".to_owned()), (35, "Comedy".to_owned())]);
        genres.set_others(18, ["드라마", "Drame"]);
        genres.upsert(18, "Drama");
        for name in ["drama", "드라마", "DRAME", "\u{1103}\u{1173}라마"] {
            assert_eq!(
                genres.find(&Term::Name(name.to_owned())),
                Some(18),
                "{name}"
            );
        }
        let filter = Filter {
            genres: vec![vec![Term::Name("드라머".to_owned()), Term::Id(99)]],
            ..Filter::default()
        };
        let unknown = genres.unknown(&filter);
        let nearest: Vec<_> = unknown
            .iter()
            .map(|genre| genre.nearest.as_deref())
            .collect();
        assert_eq!(nearest, [Some("드라마"), None]);
    }

    #[test]
    fn names_match_in_any_case_and_composition() {
        assert_eq!(fold(" Science FICTION"), "science fiction");
        // 봉준호, composed and in single letters.
        assert_eq!(fold("\u{1107}\u{1169}\u{11bc}"), fold("봉"));
        assert_eq!(fold("PENÉLOPE"), fold("Pene\u{301}lope"));
    }
}
