//! Lists that are not five times the same film.

/// Reorders `ranked`, films with their scores from the best, so that each place weighs how good a film
/// is against how much it is like one already chosen, and gives the first `places`.
///
/// Carbonell and Goldstein, *The Use of MMR, Diversity-Based Reranking for Reordering Documents and
/// Producing Summaries*, SIGIR 1998: the next film is the one with the greatest
/// `(1 − d) · relevance − d · max similarity to those chosen`, where relevance is the score brought to
/// 0..1 over `ranked`, d is `diversity`, 0 to 1, and `similarity` is at most 1. At d = 0 nothing moves;
/// of equals the one that was ahead stays ahead.
#[must_use]
pub fn rerank(
    ranked: &[(u32, f32)],
    diversity: f32,
    places: usize,
    similarity: impl Fn(u32, u32) -> f32,
) -> Vec<u32> {
    let (Some((_, best)), Some((_, worst))) = (ranked.first(), ranked.last()) else {
        return Vec::new();
    };
    let range = (best - worst).max(f32::MIN_POSITIVE);
    let mut left: Vec<(u32, f32, f32)> = ranked
        .iter()
        .map(|(item, score)| (*item, (score - worst) / range, f32::NEG_INFINITY))
        .collect();
    let mut chosen = Vec::with_capacity(places.min(left.len()));
    while chosen.len() < places && !left.is_empty() {
        let value = |(_, relevance, likeness): &(u32, f32, f32)| {
            let likeness = if chosen.is_empty() { 0.0 } else { *likeness };
            (1.0 - diversity) * relevance - diversity * likeness
        };
        let mut next = 0;
        for place in 1..left.len() {
            if value(&left[place]) > value(&left[next]) {
                next = place;
            }
        }
        let (item, _, _) = left.remove(next);
        chosen.push(item);
        if diversity > 0.0 {
            for (other, _, likeness) in &mut left {
                *likeness = likeness.max(similarity(item, *other));
            }
        } else {
            for (_, _, likeness) in &mut left {
                *likeness = 0.0;
            }
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Films of the same ten are alike.
    fn alike(a: u32, b: u32) -> f32 {
        if a / 10 == b / 10 { 0.9 } else { 0.0 }
    }

    const RANKED: [(u32, f32); 5] = [(10, 5.0), (11, 4.8), (12, 4.6), (20, 4.0), (30, 1.0)];

    #[test]
    fn without_diversity_nothing_moves() {
        assert_eq!(rerank(&RANKED, 0.0, 4, alike), [10, 11, 12, 20]);
        assert!(rerank(&[], 0.5, 4, alike).is_empty());
    }

    #[test]
    fn with_some_the_next_best_of_another_kind_comes_forward_but_not_a_bad_one() {
        assert_eq!(rerank(&RANKED, 0.3, 5, alike), [10, 20, 11, 12, 30]);
    }

    #[test]
    fn with_all_of_it_every_kind_comes_before_a_second_of_one() {
        assert_eq!(rerank(&RANKED, 1.0, 3, alike), [10, 20, 30]);
    }
}
