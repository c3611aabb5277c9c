//! Sets of rows: bitmaps, and posting lists that become a bitmap where it is smaller than
//! a list. Rows are plain numbers here.
//!
//! Compressed bitmaps would be larger: of a million movies, a person made forty. Such a set, spread over the
//! sixteen containers of a compressed bitmap, takes about a kilobyte there and 160 bytes as a list,
//! while the sets that requests combine are 125 kB of plain words, which are combined in
//! microseconds.

use std::sync::Arc;

use crate::column::{CHUNK_ROWS, Column};

/// A set of rows, a bit for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
}

fn place(row: u32) -> (usize, u64) {
    (row as usize / 64, 1 << (row % 64))
}

impl Bitmap {
    /// An empty set with capacity for `rows` rows.
    pub fn with_rows(rows: usize) -> Self {
        Self {
            words: vec![0; rows.div_ceil(64)],
        }
    }

    /// Adds `row`.
    pub fn insert(&mut self, row: u32) {
        let (word, bit) = place(row);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= bit;
    }

    /// Adds `rows`, which rise.
    fn insert_all(&mut self, rows: &[u32]) {
        let Some(last) = rows.last() else { return };
        let count = place(*last).0 + 1;
        if count > self.words.len() {
            self.words.resize(count, 0);
        }
        for row in rows {
            let (word, bit) = place(*row);
            if let Some(word) = self.words.get_mut(word) {
                *word |= bit;
            }
        }
    }

    /// Removes `row`.
    pub fn remove(&mut self, row: u32) {
        let (word, bit) = place(row);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
    }

    /// True if `row` is in the set.
    pub fn contains(&self, row: u32) -> bool {
        let (word, bit) = place(row);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The number of rows in the set.
    pub fn len(&self) -> usize {
        self.words
            .iter()
            .map(|word| word.count_ones() as usize)
            .sum()
    }

    /// True if the set is empty.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps the rows that are in `other` too.
    pub fn intersect(&mut self, other: &Self) {
        // Two plain loops, which compilers turn into vector instructions.
        let shared = self.words.len().min(other.words.len());
        let (both, beyond) = self.words.split_at_mut(shared);
        for (word, other) in both.iter_mut().zip(&other.words) {
            *word &= other;
        }
        beyond.fill(0);
    }

    /// Removes the rows of `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Adds the rows of `other`.
    pub fn union(&mut self, other: &Self) {
        if other.words.len() > self.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Keeps the rows whose value in `column` passes `test`. All values are tested, sixty-four at a
    /// time and without a branch, unless none of the sixty-four rows is in the set.
    pub fn retain<T: Copy>(&mut self, column: &Column<T>, test: impl Fn(T) -> bool) {
        const { assert!(CHUNK_ROWS.is_multiple_of(64)) };
        for (words, values) in self.words.chunks_mut(CHUNK_ROWS / 64).zip(column.chunks()) {
            let (blocks, rest) = values.as_chunks::<64>();
            for (word, block) in words.iter_mut().zip(blocks) {
                if *word != 0 {
                    *word &= passing(block, &test);
                }
            }
            if let (Some(word), false) = (words.get_mut(blocks.len()), rest.is_empty()) {
                let bits = rest.iter().enumerate();
                *word &= bits.fold(0, |passed, (bit, value)| {
                    passed | u64::from(test(*value)) << bit
                });
            }
        }
    }

    /// The rows, rising.
    pub fn rows(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(index, word)| {
            // Row numbers fit, since each was one when it was inserted.
            let base = u32::try_from(index * 64).unwrap_or(u32::MAX);
            let mut rest = *word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    base + bit
                })
            })
        })
    }

    /// The rows sixty-four to a word, the lowest in the lowest bit.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The memory of the set, in bytes.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// The values of `block` that pass `test`, the first in the lowest bit. The tests fill bytes, which compilers do with vector
/// instructions; eight bytes of 0 or 1 become eight bits by one multiplication, whose partial products do not overlap.
fn passing<T: Copy>(block: &[T; 64], test: impl Fn(T) -> bool) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let passed = block.map(|value| u8::from(test(value)));
    let (eights, _) = passed.as_chunks::<8>();
    let bytes = eights
        .iter()
        .map(|eight| u64::from_le_bytes(*eight).wrapping_mul(GATHER) >> 56);
    bytes.rev().fold(0, |bits, byte| bits << 8 | byte)
}

/// The fewest rows of a bitmap; a shorter posting list stays a list.
const MIN_DENSE_ROWS: usize = 1024;

/// A posting list: the rows of a facet.
#[derive(Debug, Clone)]
pub enum Postings {
    /// Few: the rows, rising.
    Sparse(Vec<u32>),
    /// Many: more than one row in thirty-two, from where a bitmap is smaller; with their number. Clones share the set
    /// until one of them changes it.
    Dense(Arc<Bitmap>, usize),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Sparse(Vec::new())
    }
}

impl Postings {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Sparse(rows) => rows.len(),
            Self::Dense(_, count) => *count,
        }
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds `row`, one of `of` rows in all.
    pub fn insert(&mut self, row: u32, of: usize) {
        match self {
            Self::Sparse(rows) => {
                // Loading brings rising rows.
                if rows.last().is_none_or(|last| *last < row) {
                    rows.push(row);
                } else if let Err(place) = rows.binary_search(&row) {
                    rows.insert(place, row);
                }
                if rows.len() >= MIN_DENSE_ROWS && rows.len() * 32 > of {
                    let mut bitmap = Bitmap::with_rows(of);
                    bitmap.insert_all(rows);
                    *self = Self::Dense(Arc::new(bitmap), rows.len());
                }
            }
            Self::Dense(bitmap, count) => {
                *count += usize::from(!bitmap.contains(row));
                Arc::make_mut(bitmap).insert(row);
            }
        }
    }

    /// Removes `row`, one of `of` rows in all.
    pub fn remove(&mut self, row: u32, of: usize) {
        match self {
            Self::Sparse(rows) => {
                if let Ok(place) = rows.binary_search(&row) {
                    rows.remove(place);
                }
            }
            Self::Dense(bitmap, count) => {
                *count -= usize::from(bitmap.contains(row));
                Arc::make_mut(bitmap).remove(row);
                // Well below the bound of `insert`, so that a set at the bound is not made over and over.
                if *count * 2 < MIN_DENSE_ROWS || *count * 64 < of {
                    *self = Self::Sparse(bitmap.rows().collect());
                }
            }
        }
    }

    /// Calls `visit` with each row, rising.
    pub fn for_each(&self, visit: impl FnMut(u32)) {
        match self {
            Self::Sparse(rows) => rows.iter().copied().for_each(visit),
            Self::Dense(bitmap, _) => bitmap.rows().for_each(visit),
        }
    }

    /// Adds the rows to `set`.
    pub fn union_into(&self, set: &mut Bitmap) {
        match self {
            Self::Sparse(rows) => set.insert_all(rows),
            Self::Dense(bitmap, _) => set.union(bitmap),
        }
    }

    /// Removes the rows from `set`.
    pub fn subtract_from(&self, set: &mut Bitmap) {
        match self {
            Self::Sparse(rows) => rows.iter().for_each(|row| set.remove(*row)),
            Self::Dense(bitmap, _) => set.subtract(bitmap),
        }
    }

    /// The memory of the rows, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Sparse(rows) => rows.capacity() * 4,
            Self::Dense(bitmap, _) => bitmap.bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bitmap(rows: &BTreeSet<u32>) -> Bitmap {
        let mut bitmap = Bitmap::default();
        rows.iter().for_each(|row| bitmap.insert(*row));
        bitmap
    }

    fn sets() -> impl Strategy<Value = BTreeSet<u32>> {
        prop::collection::btree_set(0..500_u32, 0..200)
    }

    #[test]
    fn rows_are_retained_in_every_chunk() {
        let rows = u32::try_from(2 * CHUNK_ROWS + 100).expect("few");
        let (mut all, mut column) = (Bitmap::default(), Column::default());
        for row in 0..rows {
            all.insert(row);
            column.push(row * 7 % 31);
        }
        all.retain(&column, |value| value > 20);
        let expected = (0..rows).filter(|row| row * 7 % 31 > 20);
        assert!(all.rows().eq(expected));
    }

    proptest! {
        #[test]
        fn bitmaps_are_sets(one in sets(), two in sets()) {
            let (left, right) = (bitmap(&one), bitmap(&two));
            prop_assert_eq!(left.len(), one.len());
            prop_assert_eq!(left.rows().collect::<Vec<_>>(), one.iter().copied().collect::<Vec<_>>());
            let mut both = left.clone();
            both.intersect(&right);
            prop_assert_eq!(both.rows().collect::<BTreeSet<_>>(), &one & &two);
            let mut less = left.clone();
            less.subtract(&right);
            prop_assert_eq!(less.rows().collect::<BTreeSet<_>>(), &one - &two);
            let mut either = left.clone();
            either.union(&right);
            prop_assert_eq!(either.rows().collect::<BTreeSet<_>>(), &one | &two);
            let mut column = Column::default();
            (0..500_u32).for_each(|row| column.push(row % 7));
            let mut kept = left;
            kept.retain(&column, |value| value > 3);
            prop_assert_eq!(
                kept.rows().collect::<Vec<_>>(),
                one.iter().copied().filter(|row| row % 7 > 3).collect::<Vec<_>>()
            );
        }

        #[test]
        fn postings_are_sets_at_every_size(steps in prop::collection::vec((any::<bool>(), 0..3000_u32), 0..8000)) {
            let (mut postings, mut truth) = (Postings::default(), BTreeSet::new());
            for (insert, row) in steps {
                if insert {
                    postings.insert(row, 3000);
                    truth.insert(row);
                } else {
                    postings.remove(row, 3000);
                    truth.remove(&row);
                }
                prop_assert_eq!(postings.len(), truth.len());
            }
            let mut set = Bitmap::default();
            postings.union_into(&mut set);
            let all: BTreeSet<u32> = (0..3000).collect();
            let mut rest = bitmap(&all);
            postings.subtract_from(&mut rest);
            prop_assert_eq!(rest.rows().collect::<BTreeSet<_>>(), &all - &truth);
            prop_assert_eq!(set.rows().collect::<BTreeSet<_>>(), truth);
        }
    }
}
