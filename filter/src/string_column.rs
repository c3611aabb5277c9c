//! A column of byte strings, without an allocation for each: a row costs eight bytes beside its own. Like
//! [`crate::Column`] it is in chunks that clones share (copy on write).

use crate::column::{CHUNK_ROWS, Column};

/// The bits of a span that hold its length; the others hold its start.
const LENGTH_BITS: u32 = 24;
/// The longest string in bytes; a longer one is cut off.
const MAX_LENGTH: usize = (1 << LENGTH_BITS) - 1;
/// Waste below this is not collected.
const MIN_WASTE: usize = 1 << 12;

/// Byte strings by row.
#[derive(Debug, Clone, Default)]
pub struct StringColumn {
    /// Of [`CHUNK_ROWS`] rows each but the last.
    chunks: Column<Chunk, 1>,
    rows: usize,
}

#[derive(Debug, Clone, Default)]
struct Chunk {
    bytes: Vec<u8>,
    spans: Vec<u64>,
    /// The number of bytes that belong to no row.
    waste: usize,
}

fn span(start: usize, length: usize) -> u64 {
    (start as u64) << LENGTH_BITS | length as u64
}

fn range(span: u64) -> std::ops::Range<usize> {
    // Both fitted into `usize` when the span was packed.
    let start = usize::try_from(span >> LENGTH_BITS).unwrap_or(usize::MAX);
    let length = usize::try_from(span).unwrap_or(usize::MAX) & MAX_LENGTH;
    start..start + length
}

impl StringColumn {
    /// The number of rows.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// True if there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The string of `row`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn get(&self, row: usize) -> &[u8] {
        let chunk = &self.chunks[row / CHUNK_ROWS];
        &chunk.bytes[range(chunk.spans[row % CHUNK_ROWS])]
    }

    /// Appends a row with `text`.
    pub fn push(&mut self, text: &[u8]) {
        let chunk = self.rows / CHUNK_ROWS;
        if chunk == self.chunks.len() {
            if let Some(full) = chunk.checked_sub(1) {
                self.chunks[full].bytes.shrink_to_fit();
            }
            self.chunks.push(Chunk::default());
        }
        let chunk = &mut self.chunks[chunk];
        let span = chunk.append(text);
        chunk.spans.push(span);
        self.rows += 1;
    }

    /// Replaces the string of `row` by `text`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn set(&mut self, row: usize, text: &[u8]) {
        self.chunks[row / CHUNK_ROWS].set(row % CHUNK_ROWS, text);
    }

    /// Removes `row`; the last row takes its place.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn swap_remove(&mut self, row: usize) {
        let last = self.rows - 1;
        if row != last {
            let text = self.get(last).to_vec();
            self.set(row, &text);
        }
        let chunk = &mut self.chunks[last / CHUNK_ROWS];
        if let Some(span) = chunk.spans.pop() {
            chunk.waste += range(span).len();
            chunk.collect_waste();
        }
        if chunk.spans.is_empty() {
            self.chunks.pop();
        }
        self.rows = last;
    }

    /// The memory of the strings in bytes.
    pub fn bytes(&self) -> usize {
        let chunks = self.chunks.iter();
        chunks
            .map(|chunk| chunk.bytes.capacity() + chunk.spans.capacity() * size_of::<u64>())
            .sum()
    }
}

impl Chunk {
    fn set(&mut self, row: usize, text: &[u8]) {
        let before = range(self.spans[row]);
        if text.len() <= before.len() {
            let start = before.start;
            self.bytes[start..start + text.len()].copy_from_slice(text);
            self.spans[row] = span(start, text.len());
            self.waste += before.len() - text.len();
        } else {
            self.waste += before.len();
            self.spans[row] = self.append(text);
        }
        self.collect_waste();
    }

    fn append(&mut self, text: &[u8]) -> u64 {
        let start = self.bytes.len();
        let text = &text[..text.len().min(MAX_LENGTH)];
        if start + text.len() > self.bytes.capacity() {
            // An eighth rather than all of it again: there are hundreds of chunks.
            self.bytes.reserve_exact(text.len().max(start / 8));
        }
        self.bytes.extend_from_slice(text);
        span(start, text.len())
    }

    /// Rewrites the bytes once half of them are waste.
    fn collect_waste(&mut self) {
        if self.waste < MIN_WASTE || self.waste * 2 < self.bytes.len() {
            return;
        }
        let mut bytes = Vec::with_capacity(self.bytes.len() - self.waste);
        for own in &mut self.spans {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[range(*own)]);
            *own = span(start, bytes.len() - start);
        }
        self.bytes = bytes;
        self.waste = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_equal_a_vector_of_strings_and_a_clone_stays_as_it_was(
            before in 0..5000_usize,
            steps in prop::collection::vec((0..3, 0..5000_usize, 0..6000_usize), 0..60),
        ) {
            let (mut strings, mut expected) = (StringColumn::default(), Vec::<Vec<u8>>::new());
            for number in 0..before {
                let text = vec![number.to_le_bytes()[0]; number % 3];
                strings.push(&text);
                expected.push(text);
            }
            let snapshot = (strings.clone(), expected.clone());
            for (number, (step, row, length)) in (0_u8..).zip(steps) {
                let text = vec![number; length];
                match (step, row < expected.len()) {
                    (0, _) => {
                        strings.push(&text);
                        expected.push(text);
                    }
                    (1, true) => {
                        strings.set(row, &text);
                        expected[row] = text;
                    }
                    (2, true) => {
                        strings.swap_remove(row);
                        expected.swap_remove(row);
                    }
                    _ => {}
                }
            }
            for (strings, expected) in [(strings, expected), snapshot] {
                prop_assert_eq!(strings.len(), expected.len());
                for (row, text) in expected.iter().enumerate() {
                    prop_assert_eq!(strings.get(row), &text[..]);
                }
                let kept: usize = expected.iter().map(Vec::len).sum();
                let held: usize = strings.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
                prop_assert!(held <= 2 * kept + 2 * (MIN_WASTE + 6000));
            }
        }
    }
}
