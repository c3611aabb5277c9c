//! What is asked of the list index: who passes a filter, and which films a page has.

use std::{borrow::Cow, cmp::Ordering, collections::HashMap, ops::ControlFlow};

use filter::{Bitmap, UnknownGenre};

use super::{
    index::{Columns, Index, Ranking},
    moves::Moment,
    position::Position,
    sorted::{Place, SortedRows},
};
use crate::models::{Filter, Order, SortBy};

/// With fewer films than this, they are sorted for the page; with more, the order is walked.
const FEW: usize = 1024;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// After so many films.
    Offset(usize),
    /// After this film.
    After {
        /// Where it stands, or stood.
        position: Position,
        /// When the walk began: films that moved since are met where they stood then.
        since: Moment,
    },
}

/// Films of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Slice {
    /// Their ids, in order.
    pub ids: Vec<i64>,
    /// Where each stands.
    pub positions: Vec<Position>,
    /// Whether others follow.
    pub more: bool,
}

/// The films that pass a filter.
#[derive(Debug)]
pub struct Selection<'a> {
    index: &'a Index,
    rows: Cow<'a, Bitmap>,
    count: usize,
}

impl Index {
    /// Genres in `filter` that do not exist. While no genres are known at all, none is unknown.
    #[must_use]
    pub fn unknown_genres(&self, filter: &Filter) -> Vec<UnknownGenre> {
        self.genre_names.unknown(filter)
    }

    /// The films that pass `filter`.
    #[must_use]
    pub fn select(&self, filter: &Filter) -> Selection<'_> {
        if *filter == Filter::default() {
            return Selection {
                index: self,
                rows: Cow::Borrowed(self.columns.films.live()),
                count: self.len(),
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
    /// How many films there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether the film `id` is among them.
    #[must_use]
    pub fn contains(&self, id: i64) -> bool {
        let row = self.index.row(id);
        row.is_some_and(|row| self.rows.contains(row))
    }

    /// At most `limit` films in order, from `start`.
    #[must_use]
    pub fn slice(&self, sort_by: SortBy, order: Order, start: &Start, limit: usize) -> Slice {
        let ranking = Ranking::of(sort_by, order);
        let displaced = self.displaced(sort_by, start);
        // One more than asked for tells whether others follow.
        let mut films = if self.count < FEW {
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

    /// The films that moved since the walk began, and where they stood then.
    fn displaced(&self, sort_by: SortBy, start: &Start) -> HashMap<u32, Position> {
        let Start::After { since, .. } = start else {
            return HashMap::new();
        };
        let stood = self.index.moves.since(*since).into_iter();
        stood
            .filter_map(|(id, standing)| {
                let row = self.index.row(id)?;
                let passes = self.rows.contains(row);
                passes.then(|| (row, standing.position(sort_by, id)))
            })
            .collect()
    }

    /// All films sorted, for few.
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
                let stood = displaced.get(&row).cloned();
                (
                    row,
                    stood.unwrap_or_else(|| self.index.position(sort_by, row)),
                )
            })
            .collect();
        films.sort_unstable_by(|(_, one), (_, two)| compare(ranking, order, one, two));
        let skipped = match start {
            Start::Offset(offset) => *offset,
            Start::After { position, .. } => {
                films.partition_point(|(_, other)| compare(ranking, order, other, position).is_le())
            }
        };
        films.into_iter().skip(skipped).take(limit).collect()
    }

    /// The films that the order has from `start` on, without those displaced.
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
                // The end is nearer.
                let behind = self.count.saturating_sub(offset + limit);
                let mut rows = self.skipped(sorted, order.reversed(), behind, limit);
                rows.reverse();
                rows
            }
            Start::After { position, .. } => {
                let place = sorted.place(|row| {
                    let standing = columns.compare_to(ranking, row, position);
                    match order {
                        Order::Asc => standing.is_le(),
                        Order::Desc => standing.is_lt(),
                    }
                });
                let passes = |row| {
                    self.rows.contains(row)
                        && (displaced.is_empty() || !displaced.contains_key(&row))
                };
                collect(sorted, place, order, limit, passes)
            }
        }
    }

    /// At most `limit` films after `offset` others.
    fn skipped(&self, sorted: &SortedRows, order: Order, offset: usize, limit: usize) -> Vec<u32> {
        let (place, rest) = if self.count == self.index.len() {
            sorted.skip(offset, order, <[u32]>::len)
        } else {
            sorted.skip(offset, order, |rows| {
                rows.iter().filter(|row| self.rows.contains(**row)).count()
            })
        };
        let passes = |row| self.rows.contains(row);
        let mut rows = collect(sorted, place, order, rest + limit, passes);
        rows.split_off(rest.min(rows.len()))
    }

    /// Puts those displaced among `films`, which are at most `limit`, where they stood.
    fn insert_displaced(
        &self,
        mut films: Vec<(u32, Position)>,
        ranking: Ranking,
        order: Order,
        start: &Start,
        displaced: HashMap<u32, Position>,
        limit: usize,
    ) -> Vec<(u32, Position)> {
        let Start::After { position, .. } = start else {
            return films;
        };
        // What stood behind the last of a full page is for later.
        let last = films.last().filter(|_| films.len() >= limit);
        let last = last.map(|(_, position)| position.clone());
        let before = films.len();
        films.extend(displaced.into_iter().filter(|(_, stood)| {
            compare(ranking, order, stood, position).is_gt()
                && last
                    .as_ref()
                    .is_none_or(|last| compare(ranking, order, stood, last).is_lt())
        }));
        if films.len() > before {
            films.sort_unstable_by(|(_, one), (_, two)| compare(ranking, order, one, two));
            films.truncate(limit);
        }
        films
    }
}

/// The first `limit` rows that pass, in a walk from `place`.
fn collect(
    sorted: &SortedRows,
    place: Place,
    order: Order,
    limit: usize,
    passes: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let mut rows = Vec::with_capacity(limit);
    if limit == 0 {
        return rows;
    }
    sorted.walk(Some(place), order, |row| {
        if passes(row) {
            rows.push(row);
        }
        if rows.len() == limit {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    rows
}

/// How two places follow each other in a walk.
fn compare(ranking: Ranking, order: Order, one: &Position, two: &Position) -> Ordering {
    match order {
        Order::Asc => Columns::compare_positions(ranking, one, two),
        Order::Desc => Columns::compare_positions(ranking, two, one),
    }
}
