//! The list index: the filter and sort properties of all movies in memory, column by column; a movie is a row. No
//! I/O: [`super`] loads it and applies changes, [`super::query`] reads it.

use std::cmp::Ordering;

use chassis::language::Language;
use filter::{FacetKind, FilterIndex, GenreNames, RowTable, UNKNOWN_DAY};

use super::{
    collation::Collation,
    moves::{Moment, Moves, SortKeys},
    position::{Key, Position},
    sorted::SortedRows,
};
use crate::models::{FilmFacts, Genre, GenreCount, Order, SortBy, day_number};

/// The maintained orders; two of release dates, since movies without one come last in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranking {
    Popularity,
    Title,
    DayNoneFirst,
    DayNoneLast,
}

const RANKINGS: [Ranking; 4] = [
    Ranking::Popularity,
    Ranking::Title,
    Ranking::DayNoneFirst,
    Ranking::DayNoneLast,
];

impl Ranking {
    pub(super) fn of(sort_by: SortBy, order: Order) -> Self {
        match (sort_by, order) {
            (SortBy::Popularity, _) => Self::Popularity,
            (SortBy::Title, _) => Self::Title,
            (SortBy::ReleaseDate, Order::Asc) => Self::DayNoneLast,
            (SortBy::ReleaseDate, Order::Desc) => Self::DayNoneFirst,
        }
    }

    /// The value by which this order compares a day.
    fn day(self, day: i32) -> i32 {
        match self {
            Self::DayNoneLast if day == UNKNOWN_DAY => i32::MAX,
            _ => day,
        }
    }
}

/// The properties of the movie in each row.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    pub(super) ids: Vec<i64>,
    versions: Vec<i64>,
    popularity: Vec<f64>,
    titles: Vec<Box<[u8]>>,
    /// The filtered properties, and the day of release.
    pub(super) films: FilterIndex,
}

impl Columns {
    pub(super) fn compare(&self, ranking: Ranking, one: u32, two: u32) -> Ordering {
        let (a, b) = (one as usize, two as usize);
        let by_key = match ranking {
            Ranking::Popularity => self.popularity[a].total_cmp(&self.popularity[b]),
            Ranking::Title => self.titles[a].cmp(&self.titles[b]),
            _ => {
                let day = |row| ranking.day(self.films.day(row));
                day(one).cmp(&day(two))
            }
        };
        by_key.then_with(|| self.ids[a].cmp(&self.ids[b]))
    }

    /// Compares two positions of one order.
    pub(super) fn compare_positions(ranking: Ranking, one: &Position, two: &Position) -> Ordering {
        let by_key = match (&one.key, &two.key) {
            (Key::Popularity(one), Key::Popularity(two)) => one.total_cmp(two),
            (Key::Title(one), Key::Title(two)) => one.cmp(two),
            (Key::Day(one), Key::Day(two)) => ranking
                .day(one.unwrap_or(UNKNOWN_DAY))
                .cmp(&ranking.day(two.unwrap_or(UNKNOWN_DAY))),
            _ => Ordering::Equal,
        };
        by_key.then_with(|| one.id.cmp(&two.id))
    }

    /// Compares the movie in `row` to `position`, whose key must belong to `ranking`.
    pub(super) fn compare_to(&self, ranking: Ranking, row: u32, position: &Position) -> Ordering {
        let at = row as usize;
        let by_key = match &position.key {
            Key::Popularity(popularity) => self.popularity[at].total_cmp(popularity),
            Key::Title(title) => self.titles[at].cmp(title),
            Key::Day(day) => ranking
                .day(self.films.day(row))
                .cmp(&ranking.day(day.unwrap_or(UNKNOWN_DAY))),
        };
        by_key.then_with(|| self.ids[at].cmp(&position.id))
    }
}

/// The list index.
#[derive(Debug, Default)]
pub struct Index {
    pub(super) columns: Columns,
    /// Rows by movie id.
    rows: RowTable,
    count: usize,
    /// Rows of removed movies.
    free: Vec<u32>,
    orders: [SortedRows; 4],
    pub(super) moves: Moves,
    genres: Vec<Genre>,
    pub(super) genre_names: GenreNames,
    collation: Collation,
}

impl Index {
    /// The number of movies.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Lists all genres by id, with their names in `language` where known and their numbers of movies.
    pub fn genres(&self, language: Option<Language>) -> Vec<GenreCount> {
        let films = &self.columns.films;
        let name = |genre: &Genre| {
            let other = language.and_then(|language| genre.names.get(language.primary()));
            other.unwrap_or(&genre.name).clone()
        };
        let genres = self.genres.iter().map(|genre| GenreCount {
            id: genre.id,
            name: name(genre),
            movie_count: u64::try_from(genre.id)
                .map_or(0, |id| films.facets().count((FacetKind::Genre, id))),
        });
        genres.collect()
    }

    /// True if a genre has a name in `language`.
    pub fn names_genres_in(&self, language: Language) -> bool {
        let language = language.primary();
        self.genres
            .iter()
            .any(|genre| genre.names.contains_key(language))
    }

    /// The number of movies of a facet, and the sum of their votes.
    pub fn movies_of(&self, kind: FacetKind, id: i64) -> (usize, u64) {
        let films = &self.columns.films;
        let facet = u64::try_from(id).ok().map(|id| (kind, id));
        let (mut count, mut votes) = (0, 0);
        if let Some(postings) = facet.and_then(|facet| films.facets().postings(facet)) {
            postings.for_each(|row| {
                count += 1;
                votes += u64::from(films.vote_count(row));
            });
        }
        (count, votes)
    }

    /// Replaces all genres.
    pub fn set_genres(&mut self, genres: Vec<Genre>) {
        let names = genres
            .iter()
            .map(|genre| (genre.id.into(), genre.name.clone()));
        self.genre_names = names.collect();
        for genre in &genres {
            let others = genre.names.values().map(String::as_str);
            self.genre_names.set_others(genre.id.into(), others);
        }
        self.genres = genres;
    }

    /// The present moment, at which a walk begins.
    pub fn now(&self) -> Moment {
        self.moves.now()
    }

    /// Finds the version of movie `id`.
    pub fn version(&self, id: i64) -> Option<i64> {
        self.row(id).map(|row| self.columns.versions[row as usize])
    }

    pub(super) fn id(&self, row: u32) -> i64 {
        self.columns.ids[row as usize]
    }

    pub(super) fn order(&self, ranking: Ranking) -> &SortedRows {
        &self.orders[ranking as usize]
    }

    /// The position of the movie in `row`.
    pub(super) fn position(&self, sort_by: SortBy, row: u32) -> Position {
        self.sort_keys(row).position(sort_by, self.id(row))
    }

    fn sort_keys(&self, row: u32) -> SortKeys {
        let (columns, at) = (&self.columns, row as usize);
        let day = columns.films.day(row);
        SortKeys {
            popularity: columns.popularity[at],
            title: columns.titles[at].clone(),
            day: (day != UNKNOWN_DAY).then_some(day),
        }
    }

    pub(super) fn row(&self, id: i64) -> Option<u32> {
        let ids = &self.columns.ids;
        self.rows.find(id, |row| ids[row as usize] == id)
    }

    /// Adds a movie without sorting it, unless it is there already; [`Index::sort`] must follow.
    pub fn load(&mut self, film: &FilmFacts<'_>) {
        self.moves.see(film.updated_at);
        if self.row(film.id).is_none() {
            self.add(film);
        }
    }

    /// Sorts all movies in all orders.
    pub fn sort(&mut self) {
        self.moves.see_all();
        let mut rows: Vec<u32> = self.columns.films.live().rows().collect();
        for ranking in RANKINGS {
            let columns = &self.columns;
            rows.sort_unstable_by(|one, two| columns.compare(ranking, *one, *two));
            self.orders[ranking as usize] = SortedRows::from_sorted(&rows);
        }
    }

    /// Adds or replaces a movie, unless this version or a later one is there.
    pub fn upsert(&mut self, film: &FilmFacts<'_>) {
        self.moves.see(film.updated_at);
        let Some(row) = self.row(film.id) else {
            if let Some(row) = self.add(film) {
                for ranking in RANKINGS {
                    self.insert_into(ranking, row);
                }
            }
            return;
        };
        let at = row as usize;
        if self.columns.versions[at] >= film.version {
            return;
        }
        let title = self.collation.key(film.title);
        let day = film.attributes.release_date.map_or(UNKNOWN_DAY, day_number);
        let has_moved = self.columns.films.day(row) != day;
        let moved = [
            self.columns.popularity[at].total_cmp(&film.popularity) != Ordering::Equal,
            self.columns.titles[at] != title,
            has_moved,
            has_moved,
        ];
        let moves = || {
            RANKINGS
                .into_iter()
                .zip(moved)
                .filter(|(_, moved)| *moved)
                .map(|(ranking, _)| ranking)
        };
        if moves().next().is_some() {
            let before = self.sort_keys(row);
            self.moves.record(film.id, film.updated_at, before);
        }
        for ranking in moves() {
            self.remove_from(ranking, row);
        }
        self.fill(row, film, title);
        for ranking in moves() {
            self.insert_into(ranking, row);
        }
    }

    /// Removes movie `id`.
    pub fn remove(&mut self, id: i64) {
        let Some(row) = self.row(id) else {
            return;
        };
        for ranking in RANKINGS {
            self.remove_from(ranking, row);
        }
        let at = row as usize;
        self.columns.films.remove(row);
        self.columns.titles[at] = Box::default();
        self.rows.remove(id, row);
        self.count -= 1;
        self.free.push(row);
    }

    fn insert_into(&mut self, ranking: Ranking, row: u32) {
        let columns = &self.columns;
        self.orders[ranking as usize].insert(row, |other| columns.compare(ranking, other, row));
    }

    fn remove_from(&mut self, ranking: Ranking, row: u32) {
        let columns = &self.columns;
        self.orders[ranking as usize].remove(row, |other| columns.compare(ranking, other, row));
    }

    /// Gives a movie a row; `None` if all row numbers are used.
    fn add(&mut self, film: &FilmFacts<'_>) -> Option<u32> {
        let row = match self.free.pop() {
            Some(row) => row,
            None => {
                let row = u32::try_from(self.columns.ids.len()).ok()?;
                let columns = &mut self.columns;
                columns.ids.push(0);
                columns.versions.push(0);
                columns.popularity.push(0.0);
                columns.titles.push(Box::default());
                row
            }
        };
        let ids = &mut self.columns.ids;
        ids[row as usize] = film.id;
        self.rows.insert(row, |row| ids[row as usize]);
        self.count += 1;
        let title = self.collation.key(film.title);
        self.fill(row, film, title);
        Some(row)
    }

    fn fill(&mut self, row: u32, film: &FilmFacts<'_>, title: Box<[u8]>) {
        let columns = &mut self.columns;
        let at = row as usize;
        columns.versions[at] = film.version;
        columns.popularity[at] = film.popularity;
        columns.titles[at] = title;
        columns.films.upsert(row, &film.attributes);
    }

    /// The approximate memory in bytes: of posting lists, of names and numbers of facets, and of the rest, which grows
    /// with the number of movies alone.
    pub fn bytes(&self) -> [usize; 3] {
        /// The allocator's approximate overhead of a small block.
        const BLOCK: usize = 12;
        let columns = &self.columns;
        let titles: usize = columns.titles.iter().map(|bytes| bytes.len() + BLOCK).sum();
        let fixed = 8 + 8 + 8 + 16;
        let orders: usize = self.orders.iter().map(SortedRows::bytes).sum();
        let [postings, names, filtered] = columns.films.bytes();
        let rows = columns.ids.capacity() * fixed + self.rows.bytes();
        let films = rows + titles + filtered + orders;
        [postings, names, films]
    }
}
