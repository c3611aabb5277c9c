//! Which films a file has told of already: the first row of a film counts, so that reading the file
//! again finds what it left.

use std::collections::HashMap;

/// Ids in one block.
const BLOCK: i64 = 1 << 16;

/// A set of ids, a bit for each: as large as the range of ids asks for, however many rows there are.
/// TMDB's million and a half take 200 KB.
#[derive(Default)]
pub(super) struct Seen(HashMap<i64, Box<[u64]>>);

impl Seen {
    /// Adds `id`, from 0; false where it was there.
    pub(super) fn insert(&mut self, id: i64) -> bool {
        let words = usize::try_from(BLOCK / 64).unwrap_or_default();
        let block = self
            .0
            .entry(id / BLOCK)
            .or_insert_with(|| vec![0; words].into_boxed_slice());
        let place = usize::try_from(id % BLOCK).unwrap_or_default();
        let bit = 1_u64 << (place % 64);
        let is_new = block[place / 64] & bit == 0;
        block[place / 64] |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_new_once() {
        let mut seen = Seen::default();
        for id in [1, 63, 64, 65_535, 65_536, i64::from(i32::MAX)] {
            assert!(seen.insert(id), "{id}");
            assert!(!seen.insert(id), "{id}");
        }
    }
}
