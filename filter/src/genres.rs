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

/// The known genres: TMDB's ids and names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenreNames(Vec<(i64, String)>);

impl FromIterator<(i64, String)> for GenreNames {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(genres: I) -> Self {
        Self(genres.into_iter().collect())
    }
}

impl GenreNames {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|(id, name)| (*id, name.as_str()))
    }

    /// The name of genre `id`.
    pub fn name(&self, id: i64) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == id)
            .map(|(_, name)| name)
    }

    /// Sets the name of a genre.
    pub fn upsert(&mut self, id: i64, name: &str) {
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some((_, known)) if known == name => {}
            Some((_, known)) => name.clone_into(known),
            None => self.0.push((id, name.to_owned())),
        }
    }

    /// The id of the genre that `term` names.
    pub fn find(&self, term: &Term) -> Option<i64> {
        let found = self.iter().find(|(id, name)| match term {
            Term::Id(wanted) => id == wanted,
            Term::Name(wanted) => fold(name) == fold(wanted),
        });
        found.map(|(id, _)| id)
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
                let names = || self.iter().map(|(_, name)| name);
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
    fn names_match_in_any_case_and_composition() {
        assert_eq!(fold(" Science FICTION"), "science fiction");
        // 봉준호, composed and in single letters.
        assert_eq!(fold("\u{1107}\u{1169}\u{11bc}"), fold("봉"));
        assert_eq!(fold("PENÉLOPE"), fold("Pene\u{301}lope"));
    }
}
