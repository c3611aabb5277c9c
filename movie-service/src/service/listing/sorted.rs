//! Rows in a sort order, in chunks: an insertion among millions takes microseconds, and a walk reads memory in
//! sequence. The order itself is an argument of each call. Used by [`super::index`].

use std::{cmp::Ordering, ops::ControlFlow};

use crate::models::Order;

/// A chunk that grows beyond this is split.
const MAX_CHUNK: usize = 1024;
/// The length of new chunks, which leaves capacity for insertions.
const INITIAL_CHUNK: usize = 768;

/// The rows.
#[derive(Debug, Clone, Default)]
pub struct SortedRows {
    chunks: Vec<Vec<u32>>,
}

/// A place between two rows: before `offset` in `chunk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    chunk: usize,
    offset: usize,
}

impl SortedRows {
    /// Takes rows that are in order.
    pub fn from_sorted(rows: &[u32]) -> Self {
        Self {
            chunks: rows.chunks(INITIAL_CHUNK).map(<[u32]>::to_vec).collect(),
        }
    }

    /// Returns the place after all rows for which `is_before` holds.
    pub fn place(&self, is_before: impl Fn(u32) -> bool) -> Place {
        let chunk = self
            .chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| is_before(*last)));
        let offset = self
            .chunks
            .get(chunk)
            .map_or(0, |chunk| chunk.partition_point(|row| is_before(*row)));
        Place { chunk, offset }
    }

    /// Inserts `row`; `compare` compares another row to it.
    pub fn insert(&mut self, row: u32, compare: impl Fn(u32) -> Ordering) {
        let Place { chunk, offset } = self.place(|other| compare(other) == Ordering::Less);
        // Behind the last row: at the end of the last chunk.
        let (chunk, offset) = match self.chunks.last() {
            None => {
                self.chunks.push(vec![row]);
                return;
            }
            Some(last) if chunk == self.chunks.len() => (chunk - 1, last.len()),
            Some(_) => (chunk, offset),
        };
        let list = &mut self.chunks[chunk];
        list.insert(offset, row);
        if list.len() > MAX_CHUNK {
            let half = list.split_off(list.len() / 2);
            self.chunks.insert(chunk + 1, half);
        }
    }

    /// Removes `row`; `compare` compares another row to it, by the key under which `row` was inserted.
    pub fn remove(&mut self, row: u32, compare: impl Fn(u32) -> Ordering) {
        let Place { chunk, offset } = self.place(|other| compare(other) == Ordering::Less);
        let Some(list) = self.chunks.get_mut(chunk) else {
            return;
        };
        if list.get(offset) == Some(&row) {
            list.remove(offset);
            if list.is_empty() {
                self.chunks.remove(chunk);
            }
        }
    }

    /// Walks in `direction` from `start` and returns the first `limit` rows that pass.
    pub fn walk(
        &self,
        start: Place,
        direction: Order,
        limit: usize,
        passes: impl Fn(u32) -> bool,
    ) -> Vec<u32> {
        let Place { chunk, offset } = start;
        let mut found = Vec::new();
        // Internal iteration: `next` of nested iterators costs a third more for pages far into a list.
        let visit = |row: &u32| {
            if found.len() < limit && passes(*row) {
                found.push(*row);
            }
            match found.len() < limit {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        };
        let (before, after) = self.chunks.split_at(chunk);
        let _ = match direction {
            Order::Asc => after.iter().flatten().skip(offset).try_for_each(visit),
            Order::Desc => {
                let within = after.first().map_or(&[][..], |list| &list[..offset]);
                let before = before.iter().rev().flat_map(|list| list.iter().rev());
                within.iter().rev().chain(before).try_for_each(visit)
            }
        };
        found
    }

    /// Returns the place before the chunk in which a walk in `direction` reaches `count` counted rows, and the number of
    /// counted rows to skip in it. `weigh` counts the rows of a chunk.
    pub fn skip(
        &self,
        count: usize,
        direction: Order,
        weigh: impl Fn(&[u32]) -> usize,
    ) -> (Place, usize) {
        let mut rest = count;
        let is_skipped = |list: &&Vec<u32>| {
            let weight = weigh(list);
            let is_skipped = rest >= weight;
            rest -= if is_skipped { weight } else { 0 };
            is_skipped
        };
        let chunks = self.chunks.iter();
        let chunk = match direction {
            Order::Asc => chunks.take_while(is_skipped).count(),
            Order::Desc => self.chunks.len() - chunks.rev().take_while(is_skipped).count(),
        };
        (Place { chunk, offset: 0 }, rest)
    }

    /// The memory that the rows take, in bytes.
    pub fn bytes(&self) -> usize {
        self.chunks
            .iter()
            .map(|chunk| chunk.capacity() * 4 + 24)
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn walked(rows: &SortedRows, start: Option<Place>, direction: Order) -> Vec<u32> {
        let start = start.unwrap_or(match direction {
            Order::Asc => Place {
                chunk: 0,
                offset: 0,
            },
            Order::Desc => rows.place(|_| true),
        });
        rows.walk(start, direction, usize::MAX, |_| true)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn rows_stay_sorted_and_walks_start_anywhere(
            first in prop::collection::btree_set(0..20_000_u32, 0..5000),
            steps in prop::collection::vec((any::<bool>(), 0..20_000_u32), 0..5000),
            entry in 0..20_000_u32,
            skipped in 0..6000_usize,
        ) {
            let mut truth: BTreeSet<u32> = first;
            let mut rows = SortedRows::from_sorted(&truth.iter().copied().collect::<Vec<_>>());
            for (insert, row) in steps {
                if insert && truth.insert(row) {
                    rows.insert(row, |other| other.cmp(&row));
                } else if !insert {
                    truth.remove(&row);
                    rows.remove(row, |other| other.cmp(&row));
                }
            }
            let up: Vec<u32> = truth.iter().copied().collect();
            let down: Vec<u32> = truth.iter().rev().copied().collect();
            prop_assert_eq!(walked(&rows, None, Order::Asc), up.clone());
            prop_assert_eq!(walked(&rows, None, Order::Desc), down.clone());
            let place = rows.place(|row| row < entry);
            let after: Vec<u32> = truth.range(entry..).copied().collect();
            let before: Vec<u32> = truth.range(..entry).rev().copied().collect();
            prop_assert_eq!(walked(&rows, Some(place), Order::Asc), after);
            prop_assert_eq!(walked(&rows, Some(place), Order::Desc), before);
            for (direction, all) in [(Order::Asc, up), (Order::Desc, down)] {
                let even = |row: &&u32| row.is_multiple_of(2);
                let (place, rest) = rows.skip(skipped, direction, |list| list.iter().filter(even).count());
                let met = all.iter().filter(even).count().min(skipped);
                let place = walked(&rows, Some(place), direction);
                let place: Vec<&u32> = place.iter().filter(even).skip(rest).collect();
                let expected: Vec<&u32> = all.iter().filter(even).skip(met).collect();
                prop_assert_eq!(place, expected);
            }
        }
    }
}
