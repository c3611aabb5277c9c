//! Names: their comparison, and the names of genres, of which an unknown one is an error.

use chassis::validate::FieldError;
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::{
    Filter, Term,
    nearest::{Nearest, did_you_mean},
    synonyms::{self, key, variants},
};

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

/// The known genres: TMDB's ids and names, and their names in other languages. Names are compared by
/// [`crate::synonyms::key`], and those that no known genre has are looked up in [`crate::synonyms`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GenreNames(Vec<Genre>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Genre {
    id: i64,
    name: String,
    /// The names in other languages.
    others: Vec<String>,
    /// The keys of the name, then of the others.
    keys: Vec<String>,
}

impl Genre {
    fn new(id: i64, name: String) -> Self {
        Self {
            id,
            keys: vec![key(&name)],
            name,
            others: Vec::new(),
        }
    }

    /// The name, then those in other languages.
    fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.others.iter().map(String::as_str);
        std::iter::once(self.name.as_str()).chain(others)
    }
}

impl FromIterator<(i64, String)> for GenreNames {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(genres: I) -> Self {
        let genres = genres.into_iter().map(|(id, name)| Genre::new(id, name));
        Self(genres.collect())
    }
}

impl GenreNames {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &str)> {
        self.0.iter().map(|genre| (genre.id, genre.name.as_str()))
    }

    /// True if no genres are known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
            Some(known) => {
                name.clone_into(&mut known.name);
                known.keys[0] = key(name);
            }
            None => self.0.push(Genre::new(id, name.to_owned())),
        }
    }

    /// Sets the names of a known genre in other languages, by which it is found as well.
    pub fn set_others<'a>(&mut self, id: i64, names: impl IntoIterator<Item = &'a str>) {
        if let Some(known) = self.0.iter_mut().find(|known| known.id == id) {
            known.others = names.into_iter().map(str::to_owned).collect();
            known.keys.truncate(1);
            known.keys.extend(known.others.iter().map(|name| key(name)));
        }
    }

    /// The ids of the genres that `term` means together, such as Romance and Comedy for `romcom`; empty if it means
    /// none. A genre of TMDB is known even if no movie has it.
    pub fn resolve(&self, term: &Term) -> Vec<i64> {
        match term {
            Term::Id(id) => {
                let is_known = self.name(*id).or(synonyms::name(*id)).is_some();
                is_known.then_some(*id).into_iter().collect()
            }
            Term::Name(name) => {
                let found = self.find(name);
                if !found.is_empty() {
                    return found;
                }
                // `action comedy`, `Sci-Fi & Fantasy`: each word must be the name of a genre.
                let words =
                    name.split(|letter: char| letter.is_whitespace() || "&/+".contains(letter));
                let words = words.filter(|word| !word.is_empty() && *word != "and");
                let mut all = Vec::new();
                for word in words {
                    let found = self.find(word);
                    if found.is_empty() {
                        return found;
                    }
                    all.extend(
                        found
                            .into_iter()
                            .filter(|id| !all.contains(id))
                            .collect::<Vec<_>>(),
                    );
                }
                all
            }
        }
    }

    /// The genres with this name, a synonym or a plural of it.
    fn find(&self, name: &str) -> Vec<i64> {
        let own = key(name);
        let of_catalogue = |key: &String| {
            let mut genres = self.0.iter();
            let genre = genres.find(|genre| genre.keys.contains(key))?;
            Some(vec![genre.id])
        };
        let find =
            |key: String| of_catalogue(&key).or_else(|| synonyms::find(&key).map(<[i64]>::to_vec));
        variants(&own).find_map(find).unwrap_or_default()
    }

    /// The names under which the catalogue has the genres that `name` means.
    ///
    /// # Errors
    /// Returns a message that contains `name` and the nearest names, if it means none.
    pub fn canonical(&self, name: &str) -> Result<Vec<String>, String> {
        let ids = self.resolve(&Term::Name(name.to_owned()));
        if ids.is_empty() {
            return Err(self.unknown(name));
        }
        Ok(ids
            .into_iter()
            .filter_map(|id| self.shown(id))
            .map(str::to_owned)
            .collect())
    }

    fn shown(&self, id: i64) -> Option<&str> {
        self.name(id).or(synonyms::name(id))
    }

    /// The message about `name`, which means no genre.
    fn unknown(&self, name: &str) -> String {
        let catalogue = self.0.iter().flat_map(|genre| {
            let keys = genre.keys.iter().map(String::as_str);
            let names = genre.names().map(|name| (genre.id, name));
            keys.zip(names)
        });
        let table = synonyms::keys().filter_map(|(key, id)| Some((key, (id, self.shown(id)?))));
        let own = key(name);
        let mut near = Nearest::new(&own).of(catalogue.chain(table));
        // A genre once, by the name that is nearest.
        let mut seen = Vec::new();
        near.retain(|(id, _)| {
            !seen.contains(id) && {
                seen.push(*id);
                true
            }
        });
        let near: Vec<&str> = near.into_iter().map(|(_, name)| name).collect();
        match near[..] {
            [] => format!("unknown genre `{name}`; GET /api/v1/genres lists those that exist"),
            _ => format!("unknown genre `{name}`; {}", did_you_mean(&near)),
        }
    }

    /// Reports the genres in `filter` that do not exist; none while no genres are loaded.
    pub fn check(&self, filter: &Filter) -> Vec<FieldError> {
        let fields = [
            ("genres", &filter.genres),
            ("without_genres", &filter.without_genres),
        ];
        let terms = fields.into_iter().flat_map(|(field, all)| {
            let terms = all.iter().flatten();
            terms.map(move |term| (field, term))
        });
        let unknown = terms.filter(|(_, term)| !self.0.is_empty() && self.resolve(term).is_empty());
        let errors = unknown.map(|(field, term)| {
            let name = match term {
                Term::Id(id) => id.to_string(),
                Term::Name(name) => name.clone(),
            };
            FieldError::new(field, self.unknown(&name))
        });
        errors.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> GenreNames {
        let genres = [
            (18, "Drama"),
            (35, "Comedy"),
            (28, "Action"),
            (878, "Science Fiction"),
        ];
        let mut genres: GenreNames = genres
            .into_iter()
            .map(|(id, name)| (id, name.to_owned()))
            .collect();
        genres.set_others(18, ["드라마", "Dramat"]);
        genres.upsert(18, "Drama");
        genres
    }

    #[test]
    fn a_genre_is_found_by_names_synonyms_and_translations() {
        let genres = catalogue();
        for (names, ids) in [
            (
                &[
                    "drama",
                    "DRAMAS",
                    "Ｄrama",
                    "드라마",
                    "dramat",
                    "Drame",
                    "\u{1103}\u{1173}라마",
                    "drama films",
                ][..],
                &[18][..],
            ),
            (
                &[
                    "Sci-Fi",
                    "scifi",
                    "SF",
                    "sci fi movies",
                    "공상과학",
                    "공상 과학 영화",
                    "science-fiction",
                    "科幻",
                ],
                &[878],
            ),
            (
                &[
                    "romcom",
                    "Rom-Com",
                    "rom-coms",
                    "로맨틱 코미디",
                    "romantic comedies",
                ],
                &[10749, 35],
            ),
            (
                &["action comedy", "Action & Comedy", "comedic action"],
                &[28, 35],
            ),
            (&["Comédie", "comedie", "코메디"], &[35]),
            (&["Western"], &[37]),
            (&["Actoin", "", "s", "movies", "heist"], &[]),
        ] {
            for name in names {
                let mut found = genres.resolve(&Term::Name((*name).to_owned()));
                let mut ids = ids.to_vec();
                found.sort_unstable();
                ids.sort_unstable();
                assert_eq!(found, ids, "{name}");
            }
        }
        assert_eq!(
            genres.canonical("drame").as_deref(),
            Ok(&["Drama".to_owned()][..])
        );
    }

    #[test]
    fn an_unknown_genre_is_named_with_the_nearest() {
        let genres = catalogue();
        for (name, near) in [
            ("Actoin", "did you mean `Action`?"),
            ("드라머", "did you mean `드라마`?"),
            ("Dramma", "did you mean `Drama`?"),
            ("Sience Fiction", "did you mean `Science Fiction`?"),
            ("zzzzzz", "GET /api/v1/genres lists those that exist"),
        ] {
            let expected = format!("unknown genre `{name}`; {near}");
            assert_eq!(genres.canonical(name), Err(expected));
        }
        let filter = Filter {
            genres: vec![vec![Term::Name("Actoin".to_owned()), Term::Id(99_999)]],
            without_genres: vec![vec![Term::Name("SF".to_owned())]],
            ..Filter::default()
        };
        let fields: Vec<String> = genres
            .check(&filter)
            .into_iter()
            .map(|error| error.field)
            .collect();
        assert_eq!(fields, ["genres", "genres"]);
        assert_eq!(GenreNames::default().check(&filter), []);
    }

    #[test]
    fn names_match_in_any_case_and_composition() {
        assert_eq!(fold(" Science FICTION"), "science fiction");
        // 봉준호, composed and in single letters.
        assert_eq!(fold("\u{1107}\u{1169}\u{11bc}"), fold("봉"));
        assert_eq!(fold("PENÉLOPE"), fold("Pene\u{301}lope"));
    }
}
