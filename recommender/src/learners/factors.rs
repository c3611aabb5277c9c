//! Scores and similarity by factors.

use faer::{Accum, MatMut, MatRef, Par, linalg::matmul::matmul};

use crate::rank::top_k;

/// Writes the scalar product of `vector` and each row of `factors` to `scores`.
pub(super) fn score_by_products(factors: &[f32], vector: &[f32], scores: &mut [f32]) {
    let (items, dimensions) = (scores.len(), vector.len());
    matmul(
        MatMut::from_row_major_slice_mut(scores, items, 1),
        Accum::Replace,
        MatRef::from_row_major_slice(factors, items, dimensions),
        MatRef::from_column_major_slice(vector, dimensions, 1),
        1.0,
        Par::Seq,
    );
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
