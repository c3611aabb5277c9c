//! The catalogue as scoring reads it: a column for each property, a row for each film, the whole in
//! memory. A row's number changes when films are removed; only ids last.

use std::{borrow::Cow, collections::HashMap, hash::BuildHasher};

use chrono::{Datelike, NaiveDate};
use filter::{
    FacetKind, Filter, FilterIndex, GenreNames, MovieAttributes, NamedId, StringColumn, UNKNOWN_DAY,
};
use hashbrown::{DefaultHashBuilder, HashTable};
use serde::{Deserialize, Serialize};

use recommender::content::TagVector;

use super::{Revision, poster::Poster, tags};

/// The release day of a film that has none.
pub const NO_DATE: i32 = i32::MIN;

/// A set of genres, a bit for each; see [`Catalogue::genre_set`].
pub type GenreSet = u64;

/// How many different genres are told apart; TMDB has 19.
const MOST_GENRES: usize = GenreSet::BITS as usize;

/// A film as movie-service's feed tells it; what scoring does not need is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    /// Minutes.
    #[serde(default)]
    pub runtime: Option<i32>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    #[serde(default)]
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<String>,
    /// Its genres.
    pub genres: Vec<Tag>,
    /// Where it was produced, ISO 3166-1.
    #[serde(default)]
    pub countries: Vec<String>,
    /// Its keywords.
    #[serde(default)]
    pub keywords: Vec<Tag>,
    /// Directors, writers and the first of the cast.
    #[serde(default)]
    pub people: Vec<Tag>,
    /// Who shows it where.
    #[serde(default)]
    pub providers: Vec<Offer>,
}

/// Something that films have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// TMDB's id.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// Who shows a film in a region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// Where, ISO 3166-1.
    pub region: String,
    /// TMDB's id of who shows it.
    pub id: i64,
    /// Its name; empty where only the id was told.
    #[serde(default)]
    pub name: String,
}

/// The films that can be recommended.
#[derive(Debug, Default)]
pub struct Catalogue {
    rows: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Films that were removed, and with which version.
    removed: HashMap<i64, i64>,
    ids: Vec<i64>,
    versions: Vec<i64>,
    popularity: Vec<f64>,
    /// Numbers of the sets of genres.
    genres: Vec<u32>,
    titles: StringColumn,
    posters: Vec<Poster>,
    /// Lengths of the films' tag vectors; see [`super::tags`].
    norms: Vec<f32>,
    /// What films are filtered by.
    films: FilterIndex,
    /// Sets of genres that any film has or had, each once.
    genre_sets: Vec<GenreSet>,
    numbers_of_sets: HashMap<GenreSet, u32>,
    genre_names: Vec<String>,
    genre_ids: GenreNames,
    revision: Revision,
    /// Whether tags changed since the lengths of all vectors were computed.
    unsettled: bool,
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

/// Days from the first of the common era to 1970-01-01, as columns count days.
fn epoch() -> i32 {
    NaiveDate::default().num_days_from_ce()
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

    /// Another one after every change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Takes over a film unless a newer version of it is known.
    pub fn upsert(&mut self, film: &Film) {
        let is_older = |version: &i64| *version >= film.version;
        if self.removed.get(&film.id).is_some_and(is_older) {
            return;
        }
        self.removed.remove(&film.id);
        let row = match self.row(film.id) {
            Some(row) if self.versions[row] >= film.version => return,
            Some(row) => row,
            None => {
                let Ok(row) = u32::try_from(self.ids.len()) else {
                    return;
                };
                self.ids.push(film.id);
                self.versions.push(0);
                self.popularity.push(0.0);
                self.genres.push(0);
                self.titles.push(&[]);
                self.posters.push(Poster::default());
                self.norms.push(0.0);
                let (ids, hasher) = (&self.ids, &self.hasher);
                self.rows
                    .insert_unique(hasher.hash_one(film.id), row, |row| {
                        hasher.hash_one(ids[*row as usize])
                    });
                row as usize
            }
        };
        self.versions[row] = film.version;
        self.popularity[row] = if film.popularity.is_finite() {
            film.popularity.max(0.0)
        } else {
            0.0
        };
        let set = film.genres.iter().fold(0, |set, genre| {
            self.genre_ids.upsert(genre.id, &genre.name);
            set | self.genre_bit(&genre.name)
        });
        self.genres[row] = self.number_of_set(set);
        self.titles.set(row, film.title.as_bytes());
        self.posters[row] = Poster::new(film.poster_path.as_deref());
        // As before, the row fits.
        let numbered = u32::try_from(row).unwrap_or(u32::MAX);
        put(&mut self.films, numbered, film);
        self.norms[row] = tags::norm(&self.films, numbered);
        self.unsettled = true;
        self.revision = Revision::next();
    }

    /// Removes film `id` unless a newer version of it is known.
    pub fn remove(&mut self, id: i64, version: i64) {
        if let Some(row) = self.row(id) {
            if self.versions[row] > version {
                return;
            }
            let last = self.ids.len() - 1;
            let (hasher, ids) = (&self.hasher, &self.ids);
            if let Ok(found) = self
                .rows
                .find_entry(hasher.hash_one(id), |row| ids[*row as usize] == id)
            {
                found.remove();
            }
            let numbered = u32::try_from(row).unwrap_or(u32::MAX);
            if last != row
                && let Some(moved) = self
                    .rows
                    .find_mut(hasher.hash_one(ids[last]), |other| *other as usize == last)
            {
                *moved = numbered;
            }
            self.ids.swap_remove(row);
            self.versions.swap_remove(row);
            self.popularity.swap_remove(row);
            self.genres.swap_remove(row);
            self.titles.swap_remove(row);
            self.posters.swap_remove(row);
            self.norms.swap_remove(row);
            self.films.swap_remove(numbered);
            self.unsettled = true;
            self.revision = Revision::next();
        }
        let known = self.removed.entry(id).or_insert(version);
        *known = (*known).max(version);
    }

    /// Whether tags changed since [`Catalogue::settle`].
    #[must_use]
    pub fn is_unsettled(&self) -> bool {
        self.unsettled
    }

    /// The lengths of all tag vectors, a row each: each depends on how many films have its tags, which
    /// changes with other films.
    #[must_use]
    pub fn norms_anew(&self) -> Vec<f32> {
        let weights = tags::weights(&self.films);
        (0..)
            .zip(&self.norms)
            .map(|(row, _)| tags::norm_by(&self.films, row, &weights))
            .collect()
    }

    /// Takes over `norms`, which [`Catalogue::norms_anew`] gave of this very state.
    pub fn settle_by(&mut self, norms: Vec<f32>) {
        if norms.len() == self.norms.len() {
            self.norms = norms;
            self.unsettled = false;
            self.revision = Revision::next();
        }
    }

    /// The row of film `id`.
    #[must_use]
    pub fn row(&self, id: i64) -> Option<usize> {
        let ids = &self.ids;
        self.rows
            .find(self.hasher.hash_one(id), |row| ids[*row as usize] == id)
            .map(|row| *row as usize)
    }

    /// The id of the film in `row`.
    ///
    /// # Panics
    /// As every accessor by row, where `row` is not below [`Catalogue::len`].
    #[must_use]
    pub fn id(&self, row: usize) -> i64 {
        self.ids[row]
    }

    /// The ids of all films, a row each.
    #[must_use]
    pub fn ids(&self) -> &[i64] {
        &self.ids
    }

    /// What rules look at in the film in `row`.
    #[must_use]
    pub fn candidate(&self, row: usize) -> Candidate {
        Candidate {
            popularity: self.popularity[row],
            release_day: self.release_day(row),
            genres: self.genre_sets[self.genres[row] as usize],
        }
    }

    fn release_day(&self, row: usize) -> i32 {
        match self.films.days()[row] {
            UNKNOWN_DAY => NO_DATE,
            day => day - epoch(),
        }
    }

    /// The day of release of the film in `row`.
    #[must_use]
    pub fn release_date(&self, row: usize) -> Option<NaiveDate> {
        let day = self.films.days()[row];
        (day != UNKNOWN_DAY)
            .then(|| NaiveDate::from_num_days_from_ce_opt(day))
            .flatten()
    }

    /// TMDB's popularity of all films, a row each.
    #[must_use]
    pub fn popularity(&self) -> &[f64] {
        &self.popularity
    }

    /// Numbers of the sets of genres of all films, a row each; see [`Catalogue::genre_sets`].
    #[must_use]
    pub fn genre_numbers(&self) -> &[u32] {
        &self.genres
    }

    /// The sets of genres by their numbers.
    #[must_use]
    pub fn genre_sets(&self) -> &[GenreSet] {
        &self.genre_sets
    }

    /// What films are filtered by.
    #[must_use]
    pub fn films(&self) -> &FilterIndex {
        &self.films
    }

    /// The rows of the films that pass `filter`.
    #[must_use]
    pub fn select(&self, filter: &Filter) -> filter::Bitmap {
        self.films.select(filter, &self.genre_ids)
    }

    /// The genres that films have, with TMDB's ids.
    #[must_use]
    pub fn genre_ids(&self) -> &GenreNames {
        &self.genre_ids
    }

    /// The tag vector of the film in `row`; empty where it has no tags.
    #[must_use]
    pub fn vector(&self, row: usize) -> TagVector {
        // As in `upsert`, the row fits.
        let numbered = u32::try_from(row).unwrap_or(u32::MAX);
        tags::vector(&self.films, numbered, self.norms[row])
    }

    /// The lengths of all tag vectors, a row each.
    #[must_use]
    pub fn norms(&self) -> &[f32] {
        &self.norms
    }

    /// The title of the film in `row`.
    #[must_use]
    pub fn title(&self, row: usize) -> &str {
        // It was a string when it was put there.
        std::str::from_utf8(self.titles.get(row)).unwrap_or_default()
    }

    /// The poster's path of the film in `row`.
    #[must_use]
    pub fn poster_path(&self, row: usize) -> Option<Cow<'_, str>> {
        self.posters[row].path()
    }

    /// Names of the genres of the film in `row`, alphabetical.
    #[must_use]
    pub fn genre_names(&self, row: usize) -> Vec<&str> {
        let set = self.genre_sets[self.genres[row] as usize];
        let mut names: Vec<&str> = self
            .genre_names
            .iter()
            .enumerate()
            .filter(|(bit, _)| set & (1 << bit) != 0)
            .map(|(_, name)| name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    /// The rows of the films in `language`.
    #[must_use]
    pub fn in_language(&self, language: &str) -> Option<&filter::bitmap::Postings> {
        self.films.postings(
            self.films
                .find_facet_id((FacetKind::Language, filter::code(language)?))?,
        )
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

    fn number_of_set(&mut self, set: GenreSet) -> u32 {
        let sets = &mut self.genre_sets;
        *self.numbers_of_sets.entry(set).or_insert_with(|| {
            sets.push(set);
            // There are no more sets than films.
            u32::try_from(sets.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

fn put(films: &mut FilterIndex, row: u32, film: &Film) {
    fn named(tags: &[Tag]) -> Vec<NamedId<'_>> {
        tags.iter()
            .map(|tag| (tag.id, Cow::Borrowed(tag.name.as_str())))
            .collect()
    }
    let genre_ids: Vec<i32> = film
        .genres
        .iter()
        .filter_map(|genre| i32::try_from(genre.id).ok())
        .collect();
    let providers: Vec<(Cow<'_, str>, NamedId<'_>)> = film
        .providers
        .iter()
        .map(|offer| {
            let provider = (offer.id, Cow::Borrowed(offer.name.as_str()));
            (Cow::Borrowed(offer.region.as_str()), provider)
        })
        .collect();
    films.upsert(
        row,
        &MovieAttributes {
            language: &film.original_language,
            release_date: film.release_date,
            runtime: film.runtime,
            vote_average: film.vote_average,
            vote_count: film.vote_count,
            genre_ids: &genre_ids,
            countries: &film.countries,
            keywords: &named(&film.keywords),
            people: &named(&film.people),
            providers: &providers,
        },
    );
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
            popularity: 1.0,
            vote_average: 5.0,
            ..Film::default()
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
