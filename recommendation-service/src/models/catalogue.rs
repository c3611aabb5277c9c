//! The catalogue as scoring reads it: a column for each property, a row for each film, the whole in
//! memory. A row's number changes when films are removed; only ids last.

use std::collections::HashMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The release day of a film that has none.
pub const NO_DATE: i32 = i32::MIN;

/// A set of genres, a bit for each; see [`Catalogue::genre_set`].
pub type GenreSet = u64;

/// How many different genres are told apart; TMDB has 19.
const MOST_GENRES: usize = GenreSet::BITS as usize;

/// A film as movie-service's feed tells it; what scoring does not need is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Film {
    /// TMDB's id.
    pub id: i64,
    /// Rises with every change.
    pub version: i64,
    /// The title.
    pub title: String,
    /// The film's own language, ISO 639-1.
    pub original_language: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// Its genres.
    pub genres: Vec<Genre>,
}

/// A genre of a film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genre {
    /// Its name.
    pub name: String,
}

/// The films that can be recommended.
#[derive(Debug, Default)]
pub struct Catalogue {
    rows: HashMap<i64, u32>,
    /// Films that were removed, and with which version.
    removed: HashMap<i64, i64>,
    ids: Vec<i64>,
    versions: Vec<i64>,
    popularity: Vec<f64>,
    release_days: Vec<i32>,
    genres: Vec<GenreSet>,
    languages: Vec<u16>,
    vote_averages: Vec<f32>,
    titles: Vec<Box<str>>,
    posters: Vec<Option<Box<str>>>,
    genre_names: Vec<String>,
    language_names: Vec<String>,
}

/// What rules look at in a film.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// TMDB's popularity.
    pub popularity: f64,
    /// Days from 1970-01-01 to the release; [`NO_DATE`] where unknown.
    pub release_day: i32,
    /// Its genres.
    pub genres: GenreSet,
}

impl Catalogue {
    /// How many films there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Takes over a film unless a newer version of it is known.
    pub fn upsert(&mut self, film: &Film) {
        if self
            .removed
            .get(&film.id)
            .is_some_and(|version| *version >= film.version)
        {
            return;
        }
        self.removed.remove(&film.id);
        let genres = film
            .genres
            .iter()
            .fold(0, |set, genre| set | self.genre_bit(&genre.name));
        let language = self.language_number(&film.original_language);
        let day = film.release_date.map_or(NO_DATE, |date| {
            i32::try_from(date.signed_duration_since(NaiveDate::default()).num_days())
                .unwrap_or(NO_DATE)
        });
        let popularity = if film.popularity.is_finite() {
            film.popularity.max(0.0)
        } else {
            0.0
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a vote has one to three decimals"
        )]
        let vote_average = film.vote_average as f32;
        match self.rows.get(&film.id) {
            Some(&row) => {
                let row = row as usize;
                if self.versions[row] >= film.version {
                    return;
                }
                self.versions[row] = film.version;
                self.popularity[row] = popularity;
                self.release_days[row] = day;
                self.genres[row] = genres;
                self.languages[row] = language;
                self.vote_averages[row] = vote_average;
                self.titles[row] = film.title.as_str().into();
                self.posters[row] = film.poster_path.as_deref().map(Into::into);
            }
            None => {
                let Ok(row) = u32::try_from(self.ids.len()) else {
                    return;
                };
                self.rows.insert(film.id, row);
                self.ids.push(film.id);
                self.versions.push(film.version);
                self.popularity.push(popularity);
                self.release_days.push(day);
                self.genres.push(genres);
                self.languages.push(language);
                self.vote_averages.push(vote_average);
                self.titles.push(film.title.as_str().into());
                self.posters
                    .push(film.poster_path.as_deref().map(Into::into));
            }
        }
    }

    /// Removes film `id` unless a newer version of it is known.
    pub fn remove(&mut self, id: i64, version: i64) {
        if let Some(&row) = self.rows.get(&id) {
            let row = row as usize;
            if self.versions[row] > version {
                return;
            }
            self.rows.remove(&id);
            self.ids.swap_remove(row);
            self.versions.swap_remove(row);
            self.popularity.swap_remove(row);
            self.release_days.swap_remove(row);
            self.genres.swap_remove(row);
            self.languages.swap_remove(row);
            self.vote_averages.swap_remove(row);
            self.titles.swap_remove(row);
            self.posters.swap_remove(row);
            if let Some(moved) = self.ids.get(row) {
                // The row number fits, since it was one before.
                self.rows
                    .insert(*moved, u32::try_from(row).unwrap_or(u32::MAX));
            }
        }
        let known = self.removed.entry(id).or_insert(version);
        *known = (*known).max(version);
    }

    /// The row of film `id`.
    #[must_use]
    pub fn row(&self, id: i64) -> Option<usize> {
        self.rows.get(&id).map(|row| *row as usize)
    }

    /// The id of the film in `row`.
    ///
    /// # Panics
    /// As every accessor by row, where `row` is not below [`Catalogue::len`].
    #[must_use]
    pub fn id(&self, row: usize) -> i64 {
        self.ids[row]
    }

    /// What rules look at in the film in `row`.
    #[must_use]
    pub fn candidate(&self, row: usize) -> Candidate {
        Candidate {
            popularity: self.popularity[row],
            release_day: self.release_days[row],
            genres: self.genres[row],
        }
    }

    /// The average vote of the film in `row`.
    #[must_use]
    pub fn vote_average(&self, row: usize) -> f64 {
        f64::from(self.vote_averages[row])
    }

    /// The language number of the film in `row`; see [`Catalogue::language`].
    #[must_use]
    pub fn language_of(&self, row: usize) -> u16 {
        self.languages[row]
    }

    /// The title of the film in `row`.
    #[must_use]
    pub fn title(&self, row: usize) -> &str {
        &self.titles[row]
    }

    /// The poster's path of the film in `row`.
    #[must_use]
    pub fn poster_path(&self, row: usize) -> Option<&str> {
        self.posters[row].as_deref()
    }

    /// Names of the genres of the film in `row`, alphabetical.
    #[must_use]
    pub fn genre_names(&self, row: usize) -> Vec<String> {
        let set = self.genres[row];
        let mut names: Vec<String> = self
            .genre_names
            .iter()
            .enumerate()
            .filter(|(bit, _)| set & (1 << bit) != 0)
            .map(|(_, name)| name.clone())
            .collect();
        names.sort_unstable();
        names
    }

    /// The number of `language`, if any film is in it.
    #[must_use]
    pub fn language(&self, language: &str) -> Option<u16> {
        self.language_names
            .iter()
            .position(|known| known == language)
            .and_then(|number| u16::try_from(number).ok())
    }

    /// The genres that `names` name, whatever their case; names of no film's genre name nothing.
    #[must_use]
    pub fn genre_set(&self, names: &[String]) -> GenreSet {
        names.iter().fold(0, |set, name| {
            let name = name.to_lowercase();
            let bit = self
                .genre_names
                .iter()
                .position(|known| known.to_lowercase() == name);
            bit.map_or(set, |bit| set | (1 << bit))
        })
    }

    fn genre_bit(&mut self, name: &str) -> GenreSet {
        let known = self.genre_names.iter().position(|known| known == name);
        let bit = known.unwrap_or_else(|| {
            if self.genre_names.len() < MOST_GENRES {
                self.genre_names.push(name.to_owned());
                self.genre_names.len() - 1
            } else {
                MOST_GENRES
            }
        });
        if bit < MOST_GENRES { 1 << bit } else { 0 }
    }

    fn language_number(&mut self, language: &str) -> u16 {
        let number = self
            .language_names
            .iter()
            .position(|known| known == language)
            .unwrap_or_else(|| {
                self.language_names.push(language.to_owned());
                self.language_names.len() - 1
            });
        u16::try_from(number).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A film for tests: the fields that a test does not name say nothing.
    pub(crate) fn film(id: i64, version: i64) -> Film {
        Film {
            id,
            version,
            title: format!("Film {id}"),
            original_language: "en".to_owned(),
            release_date: None,
            popularity: 1.0,
            vote_average: 5.0,
            poster_path: None,
            genres: Vec::new(),
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Upsert(i64, i64),
        Remove(i64, i64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = (any::<bool>(), 1..6_i64, 1..9_i64).prop_map(|(upsert, id, version)| {
            // Of one version there is one truth: odd ones are there, even ones are removed.
            match upsert {
                true => Step::Upsert(id, version * 2 - 1),
                false => Step::Remove(id, version * 2),
            }
        });
        prop::collection::vec(step, 0..60)
    }

    fn replay(steps: &[Step]) -> Vec<(i64, i64, String)> {
        let mut catalogue = Catalogue::default();
        for step in steps {
            match *step {
                Step::Upsert(id, version) => catalogue.upsert(&film(id, version)),
                Step::Remove(id, version) => catalogue.remove(id, version),
            }
        }
        let mut films: Vec<_> = (0..catalogue.len())
            .map(|row| {
                assert_eq!(catalogue.row(catalogue.id(row)), Some(row));
                (
                    catalogue.id(row),
                    catalogue.versions[row],
                    catalogue.title(row).to_owned(),
                )
            })
            .collect();
        films.sort_unstable();
        films
    }

    proptest! {
        #[test]
        fn changes_give_the_same_catalogue_in_any_order_and_however_often(steps in steps()) {
            let mut shuffled = steps.clone();
            shuffled.extend(steps.iter().cloned());
            shuffled.reverse();
            prop_assert_eq!(replay(&steps), replay(&shuffled));
        }
    }
}
