//! The ids that a file has contained so far; only the first row of a movie is imported.

use std::collections::HashMap;

/// Ids in one block.
const BLOCK: i64 = 1 << 16;

/// A bitmap of ids in blocks: TMDB's million and a half take 200 KB, and one large id does not take more.
#[derive(Default)]
pub(super) struct Seen(HashMap<i64, Box<[u64]>>);

impl Seen {
    /// Adds `id`, from 0; false if it was there.
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
