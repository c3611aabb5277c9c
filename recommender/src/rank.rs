//! The best items by score.

use crate::History;

/// The `k` items with the greatest `scores` for which `is_candidate` holds, best first; of equal scores the
/// lower column first. O(n + k log k) for n scores.
#[must_use]
pub fn top_k(
    scores: &[f32],
    k: usize,
    mut is_candidate: impl FnMut(u32, f32) -> bool,
) -> Vec<(u32, f32)> {
    let mut left: Vec<(u32, f32)> = (0_u32..)
        .zip(scores.iter().copied())
        .filter(|(item, score)| is_candidate(*item, *score))
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if k < left.len() {
        left.select_nth_unstable_by(k, order);
        left.truncate(k);
    }
    left.sort_unstable_by(order);
    left
}

/// The `k` items with the greatest `scores` that are not in `history`, as [`top_k`].
#[must_use]
pub fn top_k_unseen(scores: &[f32], history: History<'_>, k: usize) -> Vec<(u32, f32)> {
    let mut known = history.items.iter().peekable();
    top_k(scores, k, |item, _| known.next_if_eq(&&item).is_none())
}
