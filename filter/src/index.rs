//! The filter index: in memory, a row for each movie, columns of numbers, and a posting list
//! for each facet. Its users assign the rows.

use std::{borrow::Cow, sync::Arc};

use chrono::NaiveDate;

use crate::{
    AllOf, Filter, GenreNames, Term,
    bitmap::Bitmap,
    column::Column,
    day_number,
    facets::{Facet, FacetKind, Facets, code, offer, pack, unpack},
    string_column::StringColumn,
};

/// The day number of an unknown release date: lower than any.
pub const UNKNOWN_DAY: i32 = i32::MIN;
/// The column value of an unknown runtime.
const NO_RUNTIME: u16 = 0;

/// An id and a name.
pub type NamedId<'a> = (i64, Cow<'a, str>);

/// The attributes by which a movie is filtered.
#[derive(Debug, Clone, Default)]
pub struct MovieAttributes<'a> {
    /// The original language, ISO 639-1.
    pub language: &'a str,
    /// The release date.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    pub runtime: Option<i32>,
    /// TMDB's vote average, 0 to 10.
    pub vote_average: f64,
    /// TMDB's vote count.
    pub vote_count: i32,
    /// TMDB's genre ids.
    pub genre_ids: Vec<i32>,
    /// The production countries, ISO 3166-1.
    pub countries: Cow<'a, [String]>,
    /// The keywords.
    pub keywords: Vec<NamedId<'a>>,
    /// Directors, writers and top-billed cast.
    pub people: Vec<NamedId<'a>>,
    /// Names of people in other languages, ISO 639, by which they are found as well.
    pub other_names: Vec<(Cow<'a, str>, NamedId<'a>)>,
    /// The watch providers, each with its region.
    pub providers: Vec<(Cow<'a, str>, NamedId<'a>)>,
}

/// The movies by their facets and columns. A clone is a snapshot: it shares memory with the original until one changes.
#[derive(Debug, Clone, Default)]
pub struct FilterIndex {
    /// Rows that hold a movie.
    live: Arc<Bitmap>,
    days: Column<i32>,
    runtimes: Column<u16>,
    vote_averages: Column<f32>,
    vote_counts: Column<u32>,
    /// The facet ids of each movie, packed.
    packed: StringColumn,
    facets: Facets,
}

impl FilterIndex {
    /// The number of rows, empty ones included.
    pub fn rows(&self) -> usize {
        self.days.len()
    }

    /// The rows that hold a movie.
    pub fn live(&self) -> &Bitmap {
        &self.live
    }

    /// The release date of the movie in `row` as [`day_number`]; [`UNKNOWN_DAY`] if unknown.
    pub fn day(&self, row: u32) -> i32 {
        self.days[row as usize]
    }

    /// The column of [`FilterIndex::day`].
    pub fn days(&self) -> &Column<i32> {
        &self.days
    }

    /// The column of vote averages.
    pub fn vote_averages(&self) -> &Column<f32> {
        &self.vote_averages
    }

    /// The vote count of the movie in `row`.
    pub fn vote_count(&self, row: u32) -> u32 {
        self.vote_counts[row as usize]
    }

    /// The runtime of the movie in `row` in minutes, if it is known.
    pub fn runtime(&self, row: u32) -> Option<u16> {
        let minutes = self.runtimes[row as usize];
        (minutes != NO_RUNTIME).then_some(minutes)
    }

    /// The facet ids of the movie in `row`, rising; see [`Facets`].
    pub fn facet_ids(&self, row: u32) -> Vec<u32> {
        unpack(self.packed.get(row as usize))
    }

    /// The facets, by the numbers that [`FilterIndex::facet_ids`] returns.
    pub fn facets(&self) -> &Facets {
        &self.facets
    }

    /// Sets the movie in `row`; rows up to `row` are created.
    pub fn upsert(&mut self, row: u32, facts: &MovieAttributes<'_>) {
        let at = row as usize;
        while self.days.len() <= at {
            self.days.push(UNKNOWN_DAY);
            self.runtimes.push(NO_RUNTIME);
            self.vote_averages.push(0.0);
            self.vote_counts.push(0);
            self.packed.push(&[]);
        }
        let numbers = self.register_facets(facts);
        self.set_facets(row, &numbers);
        Arc::make_mut(&mut self.live).insert(row);
        self.days[at] = facts.release_date.map_or(UNKNOWN_DAY, day_number);
        self.runtimes[at] = facts.runtime.map_or(NO_RUNTIME, |minutes| {
            u16::try_from(minutes).unwrap_or(u16::MAX)
        });
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a vote has one to three decimals; bounds are cut off alike"
        )]
        let vote_average = facts.vote_average as f32;
        self.vote_averages[at] = vote_average;
        self.vote_counts[at] = u32::try_from(facts.vote_count).unwrap_or(0);
    }

    /// Removes the movie in `row`; the row stays, empty.
    pub fn remove(&mut self, row: u32) {
        self.set_facets(row, &[]);
        Arc::make_mut(&mut self.live).remove(row);
    }

    /// Removes the movie in `row` and moves the last row into its place, as [`Vec::swap_remove`].
    pub fn swap_remove(&mut self, row: u32) {
        let Some(last) = self.days.len().checked_sub(1) else {
            return;
        };
        let last = u32::try_from(last).unwrap_or(u32::MAX);
        self.remove(row);
        if last != row {
            let numbers = self.facet_ids(last);
            self.remove(last);
            self.set_facets(row, &numbers);
            Arc::make_mut(&mut self.live).insert(row);
        }
        self.days.swap_remove(row as usize);
        self.runtimes.swap_remove(row as usize);
        self.vote_averages.swap_remove(row as usize);
        self.vote_counts.swap_remove(row as usize);
        self.packed.swap_remove(self.packed.len() - 1);
    }

    /// Sets the facets of the movie in `row`.
    fn set_facets(&mut self, row: u32, numbers: &[u32]) {
        let of = self.days.len();
        let before = self.facet_ids(row);
        self.packed.set(row as usize, &pack(numbers));
        for number in &before {
            if numbers.binary_search(number).is_err() {
                self.facets.remove(*number, row, of);
            }
        }
        for number in numbers {
            if before.binary_search(number).is_err() {
                self.facets.insert(*number, row, of);
            }
        }
    }

    /// Registers the facets of `facts` and their names. Returns their ids, ascending.
    fn register_facets(&mut self, facts: &MovieAttributes<'_>) -> Vec<u32> {
        let facets = &mut self.facets;
        let mut numbers = Vec::with_capacity(64);
        for id in &facts.genre_ids {
            if let Ok(id) = u64::try_from(*id) {
                numbers.push(facets.number((FacetKind::Genre, id)));
            }
        }
        for (kind, named) in [
            (FacetKind::Keyword, &facts.keywords),
            (FacetKind::Person, &facts.people),
        ] {
            for (id, name) in named {
                if let Ok(id) = u64::try_from(*id) {
                    numbers.push(facets.number_named((kind, id), (kind, id), name));
                }
            }
        }
        for (language, (id, name)) in &facts.other_names {
            if let Ok(id) = u64::try_from(*id) {
                facets.name((FacetKind::Person, id), language, name);
            }
        }
        if let Some(code) = code(facts.language) {
            numbers.push(facets.number((FacetKind::Language, code)));
        }
        for country in facts.countries.iter().filter_map(|country| code(country)) {
            numbers.push(facets.number((FacetKind::Country, country)));
        }
        for (region, (id, name)) in &facts.providers {
            if let (Some(offer), Ok(provider)) = (offer(region, *id), u64::try_from(*id)) {
                let owner = (FacetKind::Provider, provider);
                numbers.push(facets.number_named((FacetKind::Offer, offer), owner, name));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The facets of `kind`, which is not a genre, that `term` names; several if they share a name.
    pub(crate) fn facets_of(&self, kind: FacetKind, term: &Term, region: &str) -> Vec<Facet> {
        let ids: Vec<u64> = match (kind, term) {
            (FacetKind::Language | FacetKind::Country, Term::Name(text)) => {
                code(text).into_iter().collect()
            }
            (FacetKind::Offer, Term::Id(id)) => offer(region, *id).into_iter().collect(),
            (FacetKind::Offer, Term::Name(name)) => self
                .facets
                .ids(FacetKind::Provider, name)
                .into_iter()
                .filter_map(|id| offer(region, i64::try_from(id).ok()?))
                .collect(),
            (_, Term::Id(id)) => u64::try_from(*id).into_iter().collect(),
            (_, Term::Name(name)) => self.facets.ids(kind, name),
        };
        ids.into_iter().map(|id| (kind, id)).collect()
    }

    /// The rows of the movies that pass `filter`; `genres` resolves the names of genres.
    pub fn select(&self, filter: &Filter, genres: &GenreNames) -> Bitmap {
        // None while every movie passes. Posting lists hold live rows only, so that a first condition needs no other set.
        let mut passed: Option<Bitmap> = None;
        let mut narrow = |passing: Bitmap| match &mut passed {
            Some(rows) => rows.intersect(&passing),
            None => passed = Some(passing),
        };
        let region = filter.region.as_deref().unwrap_or_default();
        for any in &filter.genres {
            let mut passing = Bitmap::with_rows(self.rows());
            for term in any {
                match genres.resolve(term)[..] {
                    // By far the most frequent case, which needs no set of its own.
                    [id] => self.add_genre(id, &mut passing),
                    _ => passing.union(&self.having_genres(term, genres)),
                }
            }
            narrow(passing);
        }
        let having: [(FacetKind, &AllOf); 5] = [
            (FacetKind::Keyword, &filter.keywords),
            (FacetKind::Person, &filter.people),
            (FacetKind::Language, &filter.language),
            (FacetKind::Country, &filter.country),
            (FacetKind::Offer, &filter.providers),
        ];
        for (kind, all) in having {
            for any in all {
                let mut passing = Bitmap::with_rows(self.rows());
                for facet in any
                    .iter()
                    .flat_map(|term| self.facets_of(kind, term, region))
                {
                    self.facets.union_into(facet, &mut passing);
                }
                narrow(passing);
            }
        }
        let mut rows = passed.unwrap_or_else(|| Bitmap::clone(&self.live));
        for any in &filter.without_genres {
            self.refuse_genres(any, genres, &mut rows);
        }
        self.keep_ranges(filter, &mut rows);
        rows
    }

    /// Removes the movies that have every term of `any` from `rows`; they fail the disjunction of its negations.
    fn refuse_genres(&self, any: &[Term], genres: &GenreNames, rows: &mut Bitmap) {
        if let [term] = any
            && let [id] = genres.resolve(term)[..]
        {
            if let Some(postings) = genre(id).and_then(|facet| self.facets.postings(facet)) {
                postings.subtract_from(rows);
            }
            return;
        }
        let mut refused = Bitmap::clone(&self.live);
        for term in any {
            refused.intersect(&self.having_genres(term, genres));
        }
        rows.subtract(&refused);
    }

    /// The movies that have all genres that `term` means; none if it means none.
    fn having_genres(&self, term: &Term, genres: &GenreNames) -> Bitmap {
        let ids = genres.resolve(term);
        let mut facets = ids.iter().map(|id| {
            let mut having = Bitmap::with_rows(self.rows());
            self.add_genre(*id, &mut having);
            having
        });
        let mut all = facets.next().unwrap_or_default();
        facets.for_each(|having| all.intersect(&having));
        all
    }

    /// Adds the movies of a genre to `rows`.
    fn add_genre(&self, id: i64, rows: &mut Bitmap) {
        if let Some(facet) = genre(id) {
            self.facets.union_into(facet, rows);
        }
    }

    fn keep_ranges(&self, filter: &Filter, rows: &mut Bitmap) {
        if filter.release_from.is_some() || filter.release_to.is_some() {
            // An unknown date is the lowest number, which no date has.
            let from = filter.release_from.map_or(UNKNOWN_DAY + 1, day_number);
            let to = filter.release_to.map_or(i32::MAX, day_number);
            rows.retain(&self.days, |day| day >= from && day <= to);
        }
        if filter.runtime_min.is_some() || filter.runtime_max.is_some() {
            let from = filter.runtime_min.unwrap_or(0).max(1);
            let to = filter.runtime_max.unwrap_or(u16::MAX);
            rows.retain(&self.runtimes, |minutes| minutes >= from && minutes <= to);
        }
        if let Some(least) = filter.vote_average_min {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "cut off as votes themselves are"
            )]
            let least = least as f32;
            rows.retain(&self.vote_averages, |average| average >= least);
        }
        if filter.vote_count_min.is_some() || filter.vote_count_max.is_some() {
            let least = filter.vote_count_min.unwrap_or(0);
            let most = filter.vote_count_max.unwrap_or(u32::MAX);
            match most.checked_sub(least) {
                // One comparison: lower counts wrap to numbers beyond the span.
                Some(span) => {
                    rows.retain(&self.vote_counts, |count| count.wrapping_sub(least) <= span)
                }
                None => rows.retain(&self.vote_counts, |_| false),
            }
        }
    }

    /// The memory in bytes, approximately: of posting lists, of names and numbers of facets,
    /// and of columns.
    pub fn bytes(&self) -> [usize; 3] {
        let (postings, names) = self.facets.bytes();
        let columns = self.days.bytes()
            + self.runtimes.bytes()
            + self.vote_averages.bytes()
            + self.vote_counts.bytes();
        let rest = self.packed.bytes() + self.live.bytes();
        [postings, names, columns + rest]
    }
}

/// The facet of a genre by TMDB's id; none for a negative number, which no genre has.
fn genre(id: i64) -> Option<Facet> {
    Some((FacetKind::Genre, u64::try_from(id).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The keywords of the movie of this number.
    fn keywords(film: i64) -> Vec<NamedId<'static>> {
        (1..=film % 4)
            .map(|id| (id, format!("k{id}").into()))
            .collect()
    }

    #[test]
    fn a_person_is_found_by_a_name_in_another_language() {
        let mut films = FilterIndex::default();
        let facts = MovieAttributes {
            people: vec![(7, "Song Kang-ho".into())],
            other_names: vec![("ko".into(), (7, "송강호".into()))],
            ..MovieAttributes::default()
        };
        films.upsert(0, &facts);
        for (name, count) in [("song kang-ho", 1), ("송강호", 1), ("송강", 0)] {
            let filter = Filter {
                people: vec![vec![Term::Name(name.to_owned())]],
                ..Filter::default()
            };
            assert_eq!(
                films.select(&filter, &GenreNames::default()).len(),
                count,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn movies_are_found_by_their_keywords_when_rows_move(
            steps in prop::collection::vec((any::<bool>(), 0..40_i64), 0..80),
        ) {
            // The movie in each row, as the owner of the rows keeps it.
            let (mut films, mut rows) = (FilterIndex::default(), Vec::<i64>::new());
            for (put, film) in steps {
                let row = rows.iter().position(|known| *known == film);
                match (put, row) {
                    (true, None) => {
                        let keywords = keywords(film);
                        let facts = MovieAttributes { keywords, ..MovieAttributes::default() };
                        films.upsert(u32::try_from(rows.len()).expect("few"), &facts);
                        rows.push(film);
                    }
                    (false, Some(row)) => {
                        films.swap_remove(u32::try_from(row).expect("few"));
                        rows.swap_remove(row);
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(films.rows(), rows.len());
            for keyword in 1..=3 {
                let filter = Filter {
                    keywords: vec![vec![Term::Id(keyword)]],
                    ..Filter::default()
                };
                let passing = films.select(&filter, &GenreNames::default());
                for (row, film) in (0..).zip(&rows) {
                    prop_assert_eq!(passing.contains(row), film % 4 >= keyword);
                }
                prop_assert_eq!(passing.len(), rows.iter().filter(|film| *film % 4 >= keyword).count());
            }
        }
    }
}
