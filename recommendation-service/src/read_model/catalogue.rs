//! The catalogue as ranking reads it: one column per property and one row per movie, all in memory. Written by the
//! change feed alone ([`crate::read_model::follow`]). The row of a movie changes when movies are removed; only ids
//! are stable.
//!
//! A clone is a snapshot that shares memory with the original (copy on write by chunks of rows), so a list is scored
//! without a lock that the feed's writer needs.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use chassis::validate::FieldError;
use chrono::{Datelike, NaiveDate};
use filter::{
    Column, FacetKind, Filter, FilterIndex, MovieAttributes, NamedId, RowTable, StringColumn,
    UNKNOWN_DAY,
};
use recommender::content::{ContentWeights, ItemFactors, TagIndex as _, TagProfile, TagVector};

use crate::read_model::{
    Film, Revision, Tag,
    genres::{GenreSet, Genres},
    leads::{Leads, PackedLeads},
    poster::Poster,
    rating,
    related::Related,
    tags::FilmTags,
    translations::{Localized, TranslatedTitles},
};

/// The release day of a movie without a release date.
pub const NO_DATE: i32 = i32::MIN;

/// The movies that can be recommended. A clone is a snapshot; see the module.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    rows: RowTable,
    /// Removed movies, and the version of the removal.
    removed: Arc<HashMap<i64, i64>>,
    ids: Column<i64>,
    versions: Column<i64>,
    popularity: Column<f64>,
    /// Numbers of combinations of genres; see [`Genres`].
    genre_numbers: Column<u32>,
    titles: StringColumn,
    pub(super) translated_titles: TranslatedTitles,
    posters: Column<Poster>,
    /// Collections and TMDB's recommendations; see [`Related`].
    related: StringColumn,
    /// The weights of the content model.
    content: ContentWeights,
    /// The movies as the content model uses them; see [`super::tags`].
    factors: Arc<Vec<ItemFactors>>,
    leads: Column<PackedLeads>,
    /// The ratings that lowest ratings are compared with; see [`super::rating`].
    ratings: Column<f32>,
    /// The facets that movies are filtered by.
    films: FilterIndex,
    genres: Genres,
    revision: Revision,
    /// True if tags changed since all factors were computed.
    has_stale_factors: bool,
}

/// The properties of a movie that the rules use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// TMDB's popularity.
    pub popularity: f64,
    /// The release date in days since 1970-01-01; [`NO_DATE`] if unknown.
    pub release_day: i32,
    /// The genres.
    pub genres: GenreSet,
}

/// The days from the first of the common era, from which columns count, to 1970-01-01.
fn epoch() -> i32 {
    NaiveDate::default().num_days_from_ce()
}

/// A row as the filter numbers it. Every row fits, since [`Catalogue::upsert`] adds no others.
fn numbered(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

impl Catalogue {
    /// The number of movies.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True if there are no movies.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The revision, another one after every change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Stores a movie unless a newer version of it is known.
    pub fn upsert(&mut self, film: &Film) {
        let is_older = |version: &i64| *version >= film.version;
        if self.removed.get(&film.id).is_some_and(is_older) {
            return;
        }
        let row = match self.row(film.id) {
            Some(row) if self.versions[row] >= film.version => return,
            Some(row) => row,
            None if u32::try_from(self.len()).is_err() => return,
            None => self.add_row(film.id),
        };
        if self.removed.contains_key(&film.id) {
            Arc::make_mut(&mut self.removed).remove(&film.id);
        }
        self.versions[row] = film.version;
        self.popularity[row] = if film.popularity.is_finite() {
            film.popularity.max(0.0)
        } else {
            0.0
        };
        self.genre_numbers[row] = self.genres.add(&film.genres);
        self.titles.set(row, film.title.as_bytes());
        let rows = self.ids.len();
        self.translated_titles.set(row, rows, &film.titles);
        self.posters[row] = Poster::new(film.poster_path.as_deref());
        self.related.set(row, &Related::encode(film));
        put(&mut self.films, numbered(row), film);
        let leads = Leads::new(&self.films, &film.people);
        self.leads[row] = leads.pack(&self.films.facet_ids(numbered(row)));
        self.ratings[row] = rating::assured(film.vote_average, film.vote_count) as f32;
        let tags = self.tags();
        let factors = tags.describe(numbered(row), self.popularity[row], |tag| tags.weight(tag));
        Arc::make_mut(&mut self.factors)[row] = factors;
        self.has_stale_factors = true;
        self.revision = Revision::next();
    }

    fn add_row(&mut self, id: i64) -> usize {
        let row = self.ids.len();
        self.ids.push(id);
        self.versions.push(0);
        self.popularity.push(0.0);
        self.genre_numbers.push(0);
        self.titles.push(&[]);
        self.translated_titles.push();
        self.posters.push(Poster::default());
        self.related.push(&[]);
        Arc::make_mut(&mut self.factors).push(ItemFactors::default());
        self.leads.push(PackedLeads::default());
        self.ratings.push(0.0);
        let ids = &self.ids;
        self.rows.insert(numbered(row), |row| ids[row as usize]);
        row
    }

    /// Removes movie `id` unless a newer version of it is known.
    pub fn remove(&mut self, id: i64, version: i64) {
        if let Some(row) = self.row(id) {
            if self.versions[row] > version {
                return;
            }
            let last = self.ids.len() - 1;
            let last_id = self.ids[last];
            self.rows.remove(id, numbered(row));
            if last != row {
                self.rows.remove(last_id, numbered(last));
            }
            self.ids.swap_remove(row);
            self.versions.swap_remove(row);
            self.popularity.swap_remove(row);
            self.genre_numbers.swap_remove(row);
            self.titles.swap_remove(row);
            self.translated_titles.swap_remove(row);
            self.posters.swap_remove(row);
            self.related.swap_remove(row);
            Arc::make_mut(&mut self.factors).swap_remove(row);
            self.leads.swap_remove(row);
            self.ratings.swap_remove(row);
            self.films.swap_remove(numbered(row));
            if last != row {
                let ids = &self.ids;
                self.rows.insert(numbered(row), |row| ids[row as usize]);
            }
            self.has_stale_factors = true;
            self.revision = Revision::next();
        }
        let known = Arc::make_mut(&mut self.removed)
            .entry(id)
            .or_insert(version);
        *known = (*known).max(version);
    }

    /// True if tags changed since [`Catalogue::set_factors`].
    pub fn has_stale_factors(&self) -> bool {
        self.has_stale_factors
    }

    /// The factors of all movies by row: each depends on the number of movies with its tags, which changes with other
    /// movies, and on the `weights` of the content model. Takes a quarter of a second for a million movies.
    pub fn compute_factors(&self, weights: &ContentWeights) -> Vec<ItemFactors> {
        let tags = FilmTags {
            films: &self.films,
            weights,
        };
        let weights = tags.all_weights();
        let of = |number: u32| weights.get(number as usize).copied().unwrap_or_default();
        (0..self.len())
            .map(|row| tags.describe(numbered(row), self.popularity[row], of))
            .collect()
    }

    /// Stores `factors` and the `weights` with which [`Catalogue::compute_factors`] returned them at the revision `of`; does
    /// nothing if the catalogue changed since.
    pub fn set_factors(
        &mut self,
        factors: Vec<ItemFactors>,
        weights: &ContentWeights,
        of: Revision,
    ) {
        if self.revision.get() == of.get() {
            self.factors = Arc::new(factors);
            self.content = *weights;
            self.has_stale_factors = false;
            self.revision = Revision::next();
        }
    }

    /// The row of movie `id`.
    pub fn row(&self, id: i64) -> Option<usize> {
        self.rows
            .find(id, |row| self.ids[row as usize] == id)
            .map(|row| row as usize)
    }

    /// The id of the movie in `row`.
    ///
    /// # Panics
    /// As every accessor by row, if `row` is not below [`Catalogue::len`].
    pub fn id(&self, row: usize) -> i64 {
        self.ids[row]
    }

    /// The properties of the movie in `row` that the rules use.
    pub fn candidate(&self, row: usize) -> Candidate {
        Candidate {
            popularity: self.popularity[row],
            release_day: match self.films.days()[row] {
                UNKNOWN_DAY => NO_DATE,
                day => day - epoch(),
            },
            genres: self.genres.sets()[self.genre_numbers[row] as usize],
        }
    }

    /// The release date of the movie in `row`.
    pub fn release_date(&self, row: usize) -> Option<NaiveDate> {
        let day = self.films.days()[row];
        (day != UNKNOWN_DAY)
            .then(|| NaiveDate::from_num_days_from_ce_opt(day))
            .flatten()
    }

    /// TMDB's popularity by row.
    pub fn popularity(&self) -> &Column<f64> {
        &self.popularity
    }

    /// The numbers of the movies' combinations of genres by row; see [`Genres::sets`].
    pub fn genre_numbers(&self) -> &Column<u32> {
        &self.genre_numbers
    }

    /// The genres, and the combinations of them that occur.
    pub fn genres(&self) -> &Genres {
        &self.genres
    }

    /// The facets that movies are filtered by.
    pub fn films(&self) -> &FilterIndex {
        &self.films
    }

    /// The rows of the movies that pass `filter`.
    pub fn select(&self, filter: &Filter) -> filter::Bitmap {
        self.films.select(filter, self.genres.ids())
    }

    /// Reports the values in `filter` that no movie has.
    pub fn check(&self, filter: &Filter) -> Vec<FieldError> {
        self.films.check(filter, self.genres.ids())
    }

    /// The tag vector of the movie in `row`; empty if it has no tags.
    pub fn vector(&self, row: usize) -> TagVector {
        self.tags().vector(numbered(row), self.factors[row].norm)
    }

    /// The movie in `row` as the content model uses it.
    pub fn factors(&self, row: usize) -> ItemFactors {
        self.factors[row]
    }

    /// The weights of the content model.
    pub fn content_weights(&self) -> &ContentWeights {
        &self.content
    }

    /// The scores of all movies by content and by taste for the user with this `profile`, by row.
    pub fn score_tags(&self, profile: &TagProfile) -> [Vec<f32>; 2] {
        profile.score(&self.tags(), &self.factors)
    }

    fn tags(&self) -> FilmTags<'_> {
        FilmTags {
            films: &self.films,
            weights: &self.content,
        }
    }

    /// The title of the movie in `row`.
    pub fn title(&self, row: usize) -> &str {
        // It was a string when it was stored.
        std::str::from_utf8(self.titles.get(row)).unwrap_or_default()
    }

    /// The titles of the movie in `row`, that of the catalogue first.
    pub fn all_titles(&self, row: usize) -> impl Iterator<Item = &str> {
        std::iter::once(self.title(row)).chain(self.translated_titles.all(row))
    }

    /// The ids of the watch providers of the movie in `row` in `region`, ISO 3166-1.
    pub fn providers(&self, row: usize, region: &str) -> impl Iterator<Item = i64> {
        let region = filter::code(region);
        let numbers = self.films.facet_ids(numbered(row)).into_iter();
        let facets = numbers.filter_map(|number| self.films.facets().facet(number));
        facets.filter_map(move |(kind, id)| {
            let is_offer = kind == FacetKind::Offer && Some(id >> 32) == region;
            is_offer.then(|| i64::from(id as u32))
        })
    }

    /// The collection of the movie in `row`, and the movies that TMDB recommends beside it.
    pub fn related(&self, row: usize) -> Related<'_> {
        Related::decode(self.related.get(row))
    }

    /// The directors and leading actors of the movie in `row`.
    pub fn leads(&self, row: usize) -> Leads {
        self.leads[row].unpack(&self.films.facet_ids(numbered(row)))
    }

    /// The ratings that lowest ratings are compared with, by row: the average vote, unless it is of few votes.
    pub fn ratings(&self) -> &Column<f32> {
        &self.ratings
    }

    /// The poster path of the movie in `row`.
    pub fn poster_path(&self, row: usize) -> Option<Cow<'_, str>> {
        self.posters[row].path()
    }

    /// The catalogue in `language`, ISO 639-1; the catalogue's own if it is empty.
    pub fn localized<'a>(&'a self, language: &'a str) -> Localized<'a> {
        Localized {
            catalogue: self,
            language,
        }
    }

    /// The memory of titles in other languages, in bytes.
    pub fn translated_bytes(&self) -> usize {
        self.translated_titles.bytes()
    }

    /// The rows of the movies in `language`.
    pub fn in_language(&self, language: &str) -> Option<&filter::bitmap::Postings> {
        let language = (FacetKind::Language, filter::code(language)?);
        self.films.facets().postings(language)
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
    let other_names = film.people.iter().flat_map(|person| {
        let names = person.names.iter();
        names.map(|(language, name)| {
            let name = (person.id, Cow::Borrowed(name.as_str()));
            (Cow::Borrowed(language.as_str()), name)
        })
    });
    films.upsert(
        row,
        &MovieAttributes {
            language: &film.original_language,
            release_date: film.release_date,
            runtime: film.runtime,
            vote_average: film.vote_average,
            vote_count: film.vote_count,
            genre_ids,
            countries: Cow::Borrowed(&film.countries),
            keywords: named(&film.keywords),
            people: named(&film.people),
            other_names: other_names.collect(),
            providers,
        },
    );
}
