//! Queries of the list index: the movies that pass a filter, and those of a page. Called by [`super`].

use std::{borrow::Cow, cmp::Ordering, collections::HashMap};

use chassis::validate::FieldError;
use filter::Bitmap;

use super::{
    index::{Columns, Index, Ranking},
    moves::Moment,
    position::Position,
    sorted::SortedRows,
};
use crate::models::{Filter, Order, SortBy};

/// Fewer movies than this are sorted for each page; for more, the order is walked.
const MAX_SORTED: usize = 1024;

/// The position of a walk along a list.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkPlace {
    /// The last movie of the previous page, at its position then.
    pub position: Position,
    /// The start of the walk: movies that moved since are visited at their positions then.
    pub since: Moment,
}

/// The start of a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// The number of movies before the page.
    Offset(usize),
    /// The end of the previous page.
    After(WalkPlace),
}

/// The movies of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Their ids, in order.
    pub ids: Vec<i64>,
    /// Their positions, in the same order.
    pub positions: Vec<Position>,
    /// True if other movies follow.
    pub more: bool,
}

/// The movies that pass a filter.
#[derive(Debug)]
pub struct Selection<'a> {
    index: &'a Index,
    rows: Cow<'a, Bitmap>,
    count: usize,
}

impl Index {
    /// Reports the values in `filter` that no movie has; see [`filter::FilterIndex::check`].
    pub fn check(&self, filter: &Filter) -> Vec<FieldError> {
        self.columns.films.check(filter, &self.genre_names)
    }

    /// Selects the movies that pass `filter`.
    pub fn select(&self, filter: &Filter) -> Selection<'_> {
        if *filter == Filter::default() {
            return Selection {
                index: self,
                rows: Cow::Borrowed(self.columns.films.live()),
                count: self.count(),
            };
        }
        let rows = self.columns.films.select(filter, &self.genre_names);
        let count = rows.len();
        Selection {
            index: self,
            rows: Cow::Owned(rows),
            count,
        }
    }
}

impl Selection<'_> {
    /// The number of movies.
    pub fn count(&self) -> usize {
        self.count
    }

    /// True if movie `id` is selected.
    pub fn contains(&self, id: i64) -> bool {
        let row = self.index.row(id);
        row.is_some_and(|row| self.rows.contains(row))
    }

    /// Returns at most `limit` movies in order, from `start` on.
    pub fn slice(&self, sort_by: SortBy, order: Order, start: &Start, limit: usize) -> Slice {
        let ranking = Ranking::of(sort_by, order);
        let displaced = self.displaced(sort_by, start);
        // One more than requested, to see if others follow.
        let mut films = if self.count < MAX_SORTED {
            self.sorted(sort_by, order, start, &displaced, limit + 1)
        } else {
            let walked = self.walked(ranking, order, start, &displaced, limit + 1);
            let rows = walked.into_iter();
            let films = rows.map(|row| (row, self.index.position(sort_by, row)));
            self.insert_displaced(films.collect(), ranking, order, start, displaced, limit + 1)
        };
        let more = films.len() > limit;
        films.truncate(limit);
        Slice {
            ids: films.iter().map(|(row, _)| self.index.id(*row)).collect(),
            positions: films.into_iter().map(|(_, position)| position).collect(),
            more,
        }
    }

    /// The rows of movies that moved since the walk began, with their positions then.
    fn displaced(&self, sort_by: SortBy, start: &Start) -> HashMap<u32, Position> {
        let Start::After(place) = start else {
            return HashMap::new();
        };
        let moved = self.index.moves.since(place.since).into_iter();
        moved
            .filter_map(|(id, keys)| {
                let row = self.index.row(id)?;
                let passes = self.rows.contains(row);
                passes.then(|| (row, keys.position(sort_by, id)))
            })
            .collect()
    }

    /// Sorts all selected movies and returns those of the page.
    fn sorted(
        &self,
        sort_by: SortBy,
        order: Order,
        start: &Start,
        displaced: &HashMap<u32, Position>,
        limit: usize,
    ) -> Vec<(u32, Position)> {
        let ranking = Ranking::of(sort_by, order);
        let mut films: Vec<(u32, Position)> = self
            .rows
            .rows()
            .map(|row| {
                let before = displaced.get(&row).cloned();
                let position = before.unwrap_or_else(|| self.index.position(sort_by, row));
                (row, position)
            })
            .collect();
        films.sort_unstable_by(|(_, one), (_, two)| compare(ranking, order, one, two));
        let skipped = match start {
            Start::Offset(offset) => *offset,
            Start::After(place) => films.partition_point(|(_, other)| {
                compare(ranking, order, other, &place.position).is_le()
            }),
        };
        films.into_iter().skip(skipped).take(limit).collect()
    }

    /// Walks the order from `start` on, without the displaced movies.
    fn walked(
        &self,
        ranking: Ranking,
        order: Order,
        start: &Start,
        displaced: &HashMap<u32, Position>,
        limit: usize,
    ) -> Vec<u32> {
        let (columns, sorted) = (&self.index.columns, self.index.order(ranking));
        match start {
            Start::Offset(offset) => {
                let limit = limit.min(self.count.saturating_sub(*offset));
                if offset * 2 <= self.count {
                    return self.skipped(sorted, order, *offset, limit);
                }
                // Walking back from the end is shorter.
                let behind = self.count.saturating_sub(offset + limit);
                let mut rows = self.skipped(sorted, order.reversed(), behind, limit);
                rows.reverse();
                rows
            }
            Start::After(WalkPlace { position, .. }) => {
                let place = sorted.place(|row| {
                    let ordering = columns.compare_to(ranking, row, position);
                    match order {
                        Order::Asc => ordering.is_le(),
                        Order::Desc => ordering.is_lt(),
                    }
                });
                let passes = |row| {
                    self.rows.contains(row)
                        && (displaced.is_empty() || !displaced.contains_key(&row))
                };
                sorted.walk(place, order, limit, passes)
            }
        }
    }

    /// Returns at most `limit` rows after `offset` others.
    fn skipped(&self, sorted: &SortedRows, order: Order, offset: usize, limit: usize) -> Vec<u32> {
        let (place, rest) = if self.count == self.index.count() {
            sorted.skip(offset, order, <[u32]>::len)
        } else {
            sorted.skip(offset, order, |rows| {
                rows.iter().filter(|row| self.rows.contains(**row)).count()
            })
        };
        let passes = |row| self.rows.contains(row);
        let mut rows = sorted.walk(place, order, rest + limit, passes);
        rows.split_off(rest.min(rows.len()))
    }

    /// Inserts the displaced movies into `films`, which are at most `limit`, at their former positions.
    fn insert_displaced(
        &self,
        mut films: Vec<(u32, Position)>,
        ranking: Ranking,
        order: Order,
        start: &Start,
        displaced: HashMap<u32, Position>,
        limit: usize,
    ) -> Vec<(u32, Position)> {
        let Start::After(WalkPlace { position, .. }) = start else {
            return films;
        };
        // A movie behind the last one of a full page belongs to a later page.
        let last = films.last().filter(|_| films.len() >= limit);
        let last = last.map(|(_, position)| position.clone());
        let before = films.len();
        films.extend(displaced.into_iter().filter(|(_, before)| {
            compare(ranking, order, before, position).is_gt()
                && last
                    .as_ref()
                    .is_none_or(|last| compare(ranking, order, before, last).is_lt())
        }));
        if films.len() > before {
            films.sort_unstable_by(|(_, one), (_, two)| compare(ranking, order, one, two));
            films.truncate(limit);
        }
        films
    }
}

/// Compares two positions in the direction of a walk.
fn compare(ranking: Ranking, order: Order, one: &Position, two: &Position) -> Ordering {
    match order {
        Order::Asc => Columns::compare_positions(ranking, one, two),
        Order::Desc => Columns::compare_positions(ranking, two, one),
    }
}
