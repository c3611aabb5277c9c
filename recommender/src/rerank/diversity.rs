//! Reranking for diversity.

/// The first `k` items of `ranked` reordered by maximal marginal relevance; `ranked` has items with their scores,
/// best first.
///
/// Carbonell and Goldstein, *The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing
/// Summaries*, SIGIR 1998: the next item is the one with the greatest
/// `(1 − d) · relevance − d · max similarity to the items selected so far`, where relevance is the score scaled to
/// 0..1 over `ranked` and d is `diversity`, 0 to 1. `similarity` must be at most 1. With d = 0 the order is kept; of
/// equal items the higher ranked one comes first. O(k · n) for n ranked items.
#[must_use]
pub fn mmr(
    ranked: &[(u32, f32)],
    diversity: f32,
    k: usize,
    similarity: impl Fn(u32, u32) -> f32,
) -> Vec<u32> {
    let (Some((_, best)), Some((_, worst))) = (ranked.first(), ranked.last()) else {
        return Vec::new();
    };
    let range = (best - worst).max(f32::MIN_POSITIVE);
    // Item, relevance, greatest similarity to a selected item.
    let mut left: Vec<(u32, f32, f32)> = ranked
        .iter()
        .map(|(item, score)| (*item, (score - worst) / range, f32::NEG_INFINITY))
        .collect();
    let mut selected = Vec::with_capacity(k.min(left.len()));
    while selected.len() < k && !left.is_empty() {
        let value = |(_, relevance, similarity): &(u32, f32, f32)| {
            if selected.is_empty() || diversity <= 0.0 {
                *relevance
            } else {
                (1.0 - diversity) * relevance - diversity * similarity
            }
        };
        let mut next = 0;
        for place in 1..left.len() {
            if value(&left[place]) > value(&left[next]) {
                next = place;
            }
        }
        let (item, _, _) = left.remove(next);
        selected.push(item);
        if diversity > 0.0 {
            for (other, _, greatest) in &mut left {
                *greatest = greatest.max(similarity(item, *other));
            }
        }
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items of the same ten are similar.
    fn similarity(a: u32, b: u32) -> f32 {
        if a / 10 == b / 10 { 0.9 } else { 0.0 }
    }

    const RANKED: [(u32, f32); 5] = [(10, 5.0), (11, 4.8), (12, 4.6), (20, 4.0), (30, 1.0)];

    #[test]
    fn without_diversity_the_order_is_kept() {
        assert_eq!(mmr(&RANKED, 0.0, 4, similarity), [10, 11, 12, 20]);
        assert!(mmr(&[], 0.5, 4, similarity).is_empty());
    }

    #[test]
    fn some_diversity_promotes_a_good_item_of_another_kind_but_not_a_bad_one() {
        assert_eq!(mmr(&RANKED, 0.3, 5, similarity), [10, 20, 11, 12, 30]);
    }

    #[test]
    fn full_diversity_places_every_kind_before_a_second_item_of_one() {
        assert_eq!(mmr(&RANKED, 1.0, 3, similarity), [10, 20, 30]);
    }
}
