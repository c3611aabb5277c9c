//! Content-based scoring: sparse item vectors over tags, and the profile of one user.
//!
//! Tags are whatever describes an item (genres, keywords, people), numbered from 0. Two models use them, and both score
//! an item that has no interactions yet: *content* compares an item with the items of a user's history, by tags and by
//! nearness in other properties, *taste* with the affinity of the user for single tags. [`ContentWeights`] has the formula.
//!
//! Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, Information Processing & Management
//! 24 (5), 1988: the weight of a tag is its inverse document frequency ([`inverse_document_frequency`]) times the factor
//! of its kind, and vectors are compared by the cosine. The term frequency of a tag is 1.

mod fit;
mod profile;
#[cfg(test)]
mod tests;
mod vector;
mod weights;

pub use fit::{ContentWeight, fit};
pub use profile::{Explained, TagProfile};
pub use vector::TagVector;
pub use weights::{Closeness, ContentWeights, ItemFactors, Properties};

/// The weight of content beside learned models in a blend, unless it is chosen on validation data.
pub const CONTENT_WEIGHT: f32 = 0.25;
/// The weight of taste beside learned models in a blend, unless it is chosen on validation data.
pub const TASTE_WEIGHT: f32 = 0.15;
/// The number of items with tags after which content and taste have half their full weight.
pub const FAMILIARITY: f32 = 0.5;
/// The weight of a tag that all items have: little, since it tells none apart.
const MIN_FREQUENCY_WEIGHT: f32 = 0.1;
/// The largest weight. Without it the rare tags of a large catalogue would outweigh its genres.
const MAX_FREQUENCY_WEIGHT: f32 = 6.0;

/// `0.1 + ln(items ÷ items_with_tag)`, at most 6.
#[must_use]
pub fn inverse_document_frequency(items: usize, items_with_tag: usize) -> f32 {
    let frequency = items as f32 / items_with_tag.max(1) as f32;
    (MIN_FREQUENCY_WEIGHT + frequency.max(1.0).ln()).min(MAX_FREQUENCY_WEIGHT)
}

/// The Euclidean norm of `weights`.
#[must_use]
pub fn norm(weights: impl Iterator<Item = f32>) -> f32 {
    weights.map(|weight| weight * weight).sum::<f32>().sqrt()
}

/// An inverted index: the items of each tag.
pub trait TagIndex {
    /// The weight of `tag`; 0 if it is unknown or does not describe an item.
    fn weight(&self, tag: u32) -> f32;

    /// Calls `visit` with each item that has `tag`.
    fn for_each_item(&self, tag: u32, visit: impl FnMut(u32));
}
