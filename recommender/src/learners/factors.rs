//! Scores, explanations and similarity by factors.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};
use pulp::{Arch, Simd, WithSimd};

use crate::{Explanation, History, rank::top_k};

/// Item factors of 8 bits with a scale for each row, a row per item, with which all items are scored: the time of a score
/// is that of reading the factors, and these are a quarter as long as numbers of 32 bits.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RoundedFactors {
    dimensions: usize,
    /// Row-major: items × dimensions, each −127 to 127.
    values: Vec<i8>,
    /// The factor of an item is its values times this.
    scales: Vec<f32>,
}

/// The greatest value of a rounded factor.
const MAX_VALUE: f32 = 127.0;

impl RoundedFactors {
    /// Rounds `factors`, row-major: `items` × `dimensions`, in place, so that explanations by them add up to the scores by
    /// the result. Rounds each value to a multiple of about 1/127 of the greatest in its row; rounding again changes
    /// nothing.
    pub(super) fn new(factors: &mut [f32], items: usize, dimensions: usize) -> Self {
        let mut values = vec![0; factors.len()];
        let rows = factors.chunks_exact_mut(dimensions.max(1));
        let rounded = values.chunks_exact_mut(dimensions.max(1));
        let mut scales: Vec<f32> = rows
            .zip(rounded)
            .map(|(row, to)| round_to_bytes(row, to))
            .collect();
        scales.resize(items, 0.0);
        Self {
            dimensions,
            values,
            scales,
        }
    }

    /// Writes the scalar product of `vector` and each factor to `scores`, one per item. The error is about 10⁻⁵ of the
    /// product of their lengths.
    pub(super) fn score(&self, vector: &[f32], scores: &mut [f32]) {
        if self.dimensions == 0 {
            scores.fill(0.0);
            return;
        }
        let mut rounded = vec![0; vector.len()];
        let scale = round(vector, &mut rounded);
        Arch::new().dispatch(ScoreAll {
            factors: self,
            vector: &rounded,
            scale,
            scores,
        });
    }
}

/// The scores of all items, compiled for the vector instructions of the processor it runs on.
struct ScoreAll<'a> {
    factors: &'a RoundedFactors,
    vector: &'a [i16],
    /// The scale of `vector`.
    scale: f32,
    scores: &'a mut [f32],
}

impl WithSimd for ScoreAll<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let rows = self.factors.values.chunks_exact(self.factors.dimensions);
        let scaled = rows.zip(&self.factors.scales);
        for (score, (row, scale)) in self.scores.iter_mut().zip(scaled) {
            *score = self.scale * scale * rounded_product(row, self.vector) as f32;
        }
    }
}

/// Rounds `row` to multiples of a scale that is returned, and writes them to `row` too.
fn round_to_bytes(row: &mut [f32], rounded: &mut [i8]) -> f32 {
    let greatest = row
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    // Rounded up to 16 significant bits, so that each multiple is exact.
    let scale = f32::from_bits((greatest / MAX_VALUE).to_bits().saturating_add(0xff) & !0xff);
    if !scale.is_normal() {
        row.fill(0.0);
        return 0.0;
    }
    for (value, to) in row.iter_mut().zip(rounded) {
        *to = (*value / scale).round() as i8;
        *value = scale * f32::from(*to);
    }
    scale
}

/// Rounds `vector` to multiples of 1/32,767 of its length, and returns the length of such a multiple. So no sum of its
/// products with 2,048 values of 8 bits exceeds 2³¹, by the Cauchy–Schwarz inequality.
fn round(vector: &[f32], rounded: &mut [i16]) -> f32 {
    let length = product(vector, vector).sqrt();
    if length == 0.0 || !length.is_finite() {
        return 0.0;
    }
    let unit = f32::from(i16::MAX) / length;
    for (to, value) in rounded.iter_mut().zip(vector) {
        *to = (value * unit).round() as i16;
    }
    unit.recip()
}

#[inline(always)]
fn rounded_product(row: &[i8], vector: &[i16]) -> i32 {
    // Sums of pairs side by side, which processors have an instruction for.
    let mut lanes = [0_i32; 16];
    let multiply = |one: i8, other: i16| i32::from(i16::from(one)) * i32::from(other);
    let ((ones, rest), (others, other_rest)) = (row.as_chunks::<32>(), vector.as_chunks::<32>());
    for (one, other) in ones.iter().zip(others) {
        let pairs = one.as_chunks::<2>().0.iter().zip(other.as_chunks::<2>().0);
        for (lane, (one, other)) in lanes.iter_mut().zip(pairs) {
            *lane += multiply(one[0], other[0]) + multiply(one[1], other[1]);
        }
    }
    let rest = rest.iter().zip(other_rest);
    let rest: i32 = rest.map(|(one, other)| multiply(*one, *other)).sum();
    lanes.into_iter().sum::<i32>() + rest
}

/// Explanations of scores that are the product of a direction, one for each of `count` rows of `directions`, and the sum of
/// the history's vectors. `vector` returns the vector of an item with a weight, of `dimensions` values, and the factor that
/// the vector is multiplied by; `None` if the item contributes nothing.
pub(super) fn explain_by_products<'a>(
    history: History<'_>,
    (directions, count): (&[f32], usize),
    dimensions: usize,
    vector: impl Fn(u32, f32) -> Option<(&'a [f32], f32)>,
) -> Vec<Explanation> {
    let mut vectors = vec![0.0; history.items.len() * dimensions];
    let rows = vectors.chunks_exact_mut(dimensions.max(1));
    for (row, (item, weight)) in rows.zip(history.iter()) {
        if let Some((vector, scale)) = vector(item, weight) {
            for (to, value) in row.iter_mut().zip(vector) {
                *to = scale * value;
            }
        }
    }
    let width = history.items.len();
    let mut amounts = vec![0.0; count * width];
    matmul(
        MatMut::from_row_major_slice_mut(&mut amounts, count, width),
        Accum::Replace,
        MatRef::from_row_major_slice(directions, count, dimensions),
        MatRef::from_column_major_slice(&vectors, dimensions, width),
        1.0,
        Par::Seq,
    );
    // In the order of the history, for one row after the other.
    let mut amounts = amounts.into_iter();
    let mut next = || amounts.next().unwrap_or_default();
    (0..count)
        .map(|_| Explanation::new(history, |_, _| next()))
        .collect()
}

/// The cosine of two rows of `vectors`, which have this number of `dimensions`.
pub(super) fn cosine(vectors: &[f32], dimensions: usize, one: u32, other: u32) -> Option<f32> {
    let vector = |number: u32| vectors.chunks_exact(dimensions.max(1)).nth(number as usize);
    let (one, other) = (vector(one)?, vector(other)?);
    let lengths = product(one, one).sqrt() * product(other, other).sqrt();
    (lengths > 0.0).then(|| product(one, other) / lengths)
}

/// The scalar product of two vectors of one length.
pub(super) fn product(one: &[f32], other: &[f32]) -> f32 {
    // Sixteen sums side by side, as wide as processors add.
    let mut lanes = [0.0_f32; 16];
    let ((ones, rest), (others, other_rest)) = (one.as_chunks::<16>(), other.as_chunks::<16>());
    for (one, other) in ones.iter().zip(others) {
        for ((lane, one), other) in lanes.iter_mut().zip(one).zip(other) {
            *lane += one * other;
        }
    }
    let rest = rest.iter().zip(other_rest).map(|(one, other)| one * other);
    lanes.into_iter().sum::<f32>() + rest.sum::<f32>()
}

/// The `places` rows of `vectors` with the greatest cosine above 0 with row `item`, without it.
pub(super) fn similar_by_cosine(
    vectors: &[f32],
    dimensions: usize,
    item: u32,
    places: usize,
) -> Vec<(u32, f32)> {
    let Some(own) = vectors.chunks_exact(dimensions.max(1)).nth(item as usize) else {
        return Vec::new();
    };
    let length = product(own, own).sqrt();
    let scores: Vec<f32> = vectors
        .chunks_exact(dimensions)
        .map(|other| {
            let lengths = length * product(other, other).sqrt();
            if lengths > 0.0 {
                product(own, other) / lengths
            } else {
                0.0
            }
        })
        .collect();
    top_k(&scores, places, |other, score| score > 0.0 && other != item)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounding_moves_a_value_little_and_scores_are_those_of_the_rounded_factors(
            (dimensions, factors, vector) in (1..140_usize).prop_flat_map(|dimensions| {
                let value = -1e3_f32..1e3;
                let factors = prop::collection::vec(value.clone(), 3 * dimensions);
                (Just(dimensions), factors, prop::collection::vec(value, dimensions))
            }),
        ) {
            let mut scores = [0.0; 3];
            let mut rounded = factors.clone();
            let bytes = RoundedFactors::new(&mut rounded, 3, dimensions);
            bytes.score(&vector, &mut scores);
            for (row, exact) in rounded.chunks_exact(dimensions).zip(factors.chunks_exact(dimensions)) {
                let greatest = exact.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                for (value, exact) in row.iter().zip(exact) {
                    prop_assert!((value - exact).abs() <= 0.504 / 127.0 * greatest);
                }
            }
            for (row, score) in rounded.chunks_exact(dimensions).zip(scores) {
                let lengths = (product(row, row) * product(&vector, &vector)).sqrt();
                let error = (score - product(row, &vector)).abs();
                prop_assert!(error <= 2e-4 * lengths, "{} of {}", error, lengths);
            }
            let mut again = rounded.clone();
            prop_assert_eq!(RoundedFactors::new(&mut again, 3, dimensions), bytes);
            prop_assert_eq!(again, rounded);
        }
    }

    #[test]
    fn vectors_without_a_length_score_nothing() {
        for (mut factors, vector) in [([0.0; 4], [1.0; 4]), ([1.0; 4], [0.0; 4])] {
            let mut scores = [1.0];
            RoundedFactors::new(&mut factors, 1, 4).score(&vector, &mut scores);
            assert_eq!(scores, [0.0]);
        }
        let mut scores = [1.0];
        RoundedFactors::new(&mut [], 1, 0).score(&[], &mut scores);
        assert_eq!(scores, [0.0]);
    }

    #[test]
    fn the_largest_products_do_not_overflow() {
        let mut scores = [0.0];
        RoundedFactors::new(&mut [7.0; 2048], 1, 2048).score(&[-7.0; 2048], &mut scores);
        assert!((scores[0] + 49.0 * 2048.0).abs() < 49.0 * 2048.0 * 2e-2);
        RoundedFactors::new(&mut [7.0], 1, 1).score(&[-7.0], &mut scores);
        assert!((scores[0] + 49.0).abs() < 1e-3);
    }
}
