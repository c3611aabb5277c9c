//! A column of byte strings in one piece of memory. A million small allocations cost more than what is in
//! them; here a row costs eight bytes beside its own.

/// Bits of a span that tell how long it is; the others tell where it begins.
const LENGTH_BITS: u32 = 24;
/// The longest string; what is longer is cut off.
const LONGEST: usize = (1 << LENGTH_BITS) - 1;
/// Less waste than this is left alone.
const LEAST_WASTE: usize = 1 << 16;

/// Byte strings, a row each.
#[derive(Debug, Clone, Default)]
pub struct StringColumn {
    bytes: Vec<u8>,
    spans: Vec<u64>,
    /// How many of the bytes no row has any more.
    waste: usize,
}

fn span(start: usize, length: usize) -> u64 {
    (start as u64) << LENGTH_BITS | length as u64
}

fn range(span: u64) -> std::ops::Range<usize> {
    // Both were of this size when they were put together.
    let start = usize::try_from(span >> LENGTH_BITS).unwrap_or(usize::MAX);
    let length = usize::try_from(span).unwrap_or(usize::MAX) & LONGEST;
    start..start + length
}

impl StringColumn {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// What is in `row`.
    ///
    /// # Panics
    /// Where there is no such row.
    #[must_use]
    pub fn get(&self, row: usize) -> &[u8] {
        &self.bytes[range(self.spans[row])]
    }

    /// A new row with `text`.
    pub fn push(&mut self, text: &[u8]) {
        let span = self.append(text);
        self.spans.push(span);
    }

    /// Puts `text` into `row`.
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn set(&mut self, row: usize, text: &[u8]) {
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
        self.tidy();
    }

    /// As [`Vec::swap_remove`].
    ///
    /// # Panics
    /// Where there is no such row.
    pub fn swap_remove(&mut self, row: usize) {
        self.waste += range(self.spans.swap_remove(row)).len();
        self.tidy();
    }

    /// How much memory they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<u64>()
    }

    fn append(&mut self, text: &[u8]) -> u64 {
        let start = self.bytes.len();
        let text = &text[..text.len().min(LONGEST)];
        self.bytes.extend_from_slice(text);
        span(start, text.len())
    }

    /// Writes all of it anew once a half of it is waste.
    fn tidy(&mut self) {
        if self.waste < LEAST_WASTE || self.waste * 2 < self.bytes.len() {
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
        fn they_are_what_a_vector_of_strings_would_be(
            steps in prop::collection::vec((0..3, 0..20_usize, 0..60_000_usize), 0..60),
        ) {
            let (mut strings, mut expected) = (StringColumn::default(), Vec::<Vec<u8>>::new());
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
                prop_assert_eq!(strings.len(), expected.len());
                for (row, text) in expected.iter().enumerate() {
                    prop_assert_eq!(strings.get(row), &text[..]);
                }
                let kept: usize = expected.iter().map(Vec::len).sum();
                prop_assert!(strings.bytes.len() <= 2 * kept + LEAST_WASTE + 60_000);
            }
        }
    }
}
