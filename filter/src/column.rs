//! A column of values by row, in chunks that clones share (copy on write). A clone copies one pointer per chunk;
//! the first write to a chunk that a clone still shares copies that chunk. So a reader keeps a consistent snapshot
//! for as long as it likes, and the writer never waits for it.

use std::{
    ops::{Index, IndexMut},
    sync::Arc,
};

/// The rows of a chunk, unless a column sets another number: a multiple of the 64 rows of a bitmap's word.
pub const CHUNK_ROWS: usize = 4096;

/// Values by row; see the module.
#[derive(Debug, Clone)]
pub struct Column<T, const ROWS: usize = CHUNK_ROWS> {
    /// All of `ROWS` values but the last, which has at least one.
    chunks: Vec<Arc<Vec<T>>>,
}

impl<T, const ROWS: usize> Default for Column<T, ROWS> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T, const ROWS: usize> Column<T, ROWS> {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            None => 0,
            Some((last, full)) => full.len() * ROWS + last.len(),
        }
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The value of `row`, if there is such a row.
    pub fn get(&self, row: usize) -> Option<&T> {
        self.chunks.get(row / ROWS)?.get(row % ROWS)
    }

    /// The values of the `count` rows from `first` on.
    ///
    /// # Panics
    /// If the rows are not all of one chunk.
    pub fn block(&self, first: usize, count: usize) -> &[T] {
        let start = first % ROWS;
        &self.chunks[first / ROWS][start..start + count]
    }

    /// The chunks, in the order of rows.
    pub fn chunks(&self) -> impl Iterator<Item = &[T]> {
        self.chunks.iter().map(|chunk| chunk.as_slice())
    }

    /// The values, in the order of rows.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The memory of the values in bytes, without what they point to.
    pub fn bytes(&self) -> usize {
        let values: usize = self.chunks.iter().map(|chunk| chunk.capacity()).sum();
        values * size_of::<T>() + self.chunks.len() * size_of::<[usize; 6]>()
    }
}

impl<T: Clone, const ROWS: usize> Column<T, ROWS> {
    /// Appends a row.
    pub fn push(&mut self, value: T) {
        match self.chunks.last_mut().filter(|last| last.len() < ROWS) {
            Some(last) => Arc::make_mut(last).push(value),
            None => self.chunks.push(Arc::new(vec![value])),
        }
    }

    /// Removes the last row.
    pub fn pop(&mut self) -> Option<T> {
        let last = Arc::make_mut(self.chunks.last_mut()?);
        let value = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        value
    }

    /// Removes `row`; the last row takes its place.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn swap_remove(&mut self, row: usize) {
        assert!(row < self.len(), "row {row} of {}", self.len());
        let last = self.pop();
        if row < self.len()
            && let Some(last) = last
        {
            self[row] = last;
        }
    }
}

impl<T, const ROWS: usize> Index<usize> for Column<T, ROWS> {
    type Output = T;

    fn index(&self, row: usize) -> &T {
        &self.chunks[row / ROWS][row % ROWS]
    }
}

impl<T: Clone, const ROWS: usize> IndexMut<usize> for Column<T, ROWS> {
    fn index_mut(&mut self, row: usize) -> &mut T {
        &mut Arc::make_mut(&mut self.chunks[row / ROWS])[row % ROWS]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_column_equals_a_vector_and_its_clones_stay_as_they_were(
            steps in prop::collection::vec((0..4, 0..30_usize), 0..80),
        ) {
            let (mut column, mut expected) = (Column::<usize, 4>::default(), Vec::new());
            let mut snapshots: Vec<(Column<usize, 4>, Vec<usize>)> = Vec::new();
            for (number, (step, row)) in steps.into_iter().enumerate() {
                match (step, row < expected.len()) {
                    (0, _) => {
                        column.push(number);
                        expected.push(number);
                    }
                    (1, true) => {
                        column[row] = number;
                        expected[row] = number;
                    }
                    (2, true) => {
                        column.swap_remove(row);
                        expected.swap_remove(row);
                    }
                    _ => snapshots.push((column.clone(), expected.clone())),
                }
                snapshots.push((column.clone(), expected.clone()));
                prop_assert_eq!(column.len(), expected.len());
            }
            for (column, expected) in snapshots {
                prop_assert_eq!(column.get(expected.len()), None);
                prop_assert_eq!(column.iter().copied().collect::<Vec<_>>(), expected);
            }
        }
    }
}
