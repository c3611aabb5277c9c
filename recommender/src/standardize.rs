//! Standardization, which makes scores of different models comparable.

use crate::History;

/// The shift and scale that bring the scores of one user to mean 0 and variance 1 over the items that are not in their
/// history: those would stretch the scale, and are not recommended.
///
/// The scale is 0 if all scores are equal up to rounding.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standardization {
    /// The mean that is subtracted first.
    pub mean: f32,
    /// The factor that is applied then.
    pub scale: f32,
}

/// Deviations below this share of the largest score are rounding errors.
const ROUNDING: f64 = 1e-5;

/// The standardization of `scores`, those of the user with this `history`. O(n), without allocation.
#[must_use]
pub fn standardize(scores: &[f32], history: History<'_>) -> Standardization {
    let known = || {
        history
            .items
            .iter()
            .filter_map(|item| scores.get(*item as usize))
    };
    let count = scores.len().saturating_sub(known().count());
    if count == 0 {
        return Standardization::default();
    }
    let mean = sum(scores, known(), |score| score) / count as f64;
    let shift = mean as f32;
    let square = |score: f32| (score - shift) * (score - shift);
    let variance = sum(scores, known(), square) / count as f64;
    let deviation = variance.max(0.0).sqrt();
    // Over the history too, since its scores have the same rounding errors.
    let mut lanes = [0.0_f32; 8];
    let (eights, rest) = scores.as_chunks::<8>();
    for eight in eights {
        for (most, score) in lanes.iter_mut().zip(eight) {
            *most = most.max(score.abs());
        }
    }
    let largest = lanes
        .iter()
        .chain(rest)
        .fold(0.0_f32, |most, score| most.max(score.abs()));
    let scale = if deviation > ROUNDING * f64::from(largest) && deviation > 1e-30 {
        (1.0 / deviation) as f32
    } else {
        0.0
    };
    Standardization { mean: shift, scale }
}

/// The sum of `term` over `scores`, without the `known` among them.
fn sum<'a>(
    scores: &[f32],
    known: impl Iterator<Item = &'a f32>,
    term: impl Fn(f32) -> f32 + Copy,
) -> f64 {
    let blocks = scores.chunks(1024).map(|block| {
        // Eight sums side by side: one alone would wait for each addition.
        let mut lanes = [0.0_f32; 8];
        let (eights, rest) = block.as_chunks::<8>();
        for eight in eights {
            for (lane, score) in lanes.iter_mut().zip(eight) {
                *lane += term(*score);
            }
        }
        let lanes: f64 = lanes.into_iter().map(f64::from).sum();
        lanes
            + rest
                .iter()
                .map(|score| f64::from(term(*score)))
                .sum::<f64>()
    });
    blocks.sum::<f64>() - known.map(|score| f64::from(term(*score))).sum::<f64>()
}

/// Adds `weight` times the standardized `scores` to `sums`.
pub fn add_standardized(sums: &mut [f32], scores: &[f32], standard: Standardization, weight: f32) {
    let scale = weight * standard.scale;
    for (sum, score) in sums.iter_mut().zip(scores) {
        *sum += scale * (score - standard.mean);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scores_of_unseen_items_get_mean_0_and_variance_1(
            mut scores in prop::collection::vec(-5.0_f32..5.0, 12..3000),
            shift in -3.0_f32..3.0,
        ) {
            scores.iter_mut().for_each(|score| *score += shift);
            let history = History { items: &[0, 3, 7], weights: &[1.0; 3] };
            scores[3] = 1000.0;
            let mut own = vec![0.0; scores.len()];
            add_standardized(&mut own, &scores, standardize(&scores, history), 1.0);
            let left: Vec<f64> = (0_u32..).zip(own).filter(|(item, _)| !history.items.contains(item))
                .map(|(_, score)| f64::from(score)).collect();
            let count = left.len() as f64;
            let mean = left.iter().sum::<f64>() / count;
            let variance = left.iter().map(|score| score * score).sum::<f64>() / count;
            prop_assert!(mean.abs() < 1e-2, "{}", mean);
            prop_assert!((variance - 1.0).abs() < 1e-2, "{}", variance);
        }
    }

    #[test]
    fn equal_scores_add_nothing() {
        let unknown = History {
            items: &[],
            weights: &[],
        };
        let mut sums = [0.5; 3];
        add_standardized(&mut sums, &[0.1; 3], standardize(&[0.1; 3], unknown), 2.0);
        assert_eq!(sums, [0.5; 3]);
    }
}
