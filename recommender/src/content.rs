//! Content-based scoring by tags: sparse item vectors, and the profile of one user over tags.
//!
//! Tags are whatever describes an item (genres, keywords, people), numbered from 0. Two models use them, neither of
//! which needs fitting, and both of which score an item that has no interactions yet: *content* compares an item
//! with the items of a user's history, *taste* with the affinity of the user for single tags.
//!
//! Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, Information Processing & Management
//! 24 (5), 1988: the weight of a tag is its inverse document frequency ([`inverse_document_frequency`]), and vectors
//! are compared by the cosine. The term frequency of a tag is 1.

use std::collections::HashMap;

/// The weight of content beside learned models in a blend, unless it is chosen on validation data.
pub const CONTENT_WEIGHT: f32 = 0.25;
/// The weight of taste beside learned models in a blend, unless it is chosen on validation data.
pub const TASTE_WEIGHT: f32 = 0.15;
/// The number of items with tags after which content and taste have half their full weight.
pub const FAMILIARITY: f32 = 3.0;

/// `ln(1 + items / items_with_tag)`.
#[must_use]
pub fn inverse_document_frequency(items: usize, items_with_tag: usize) -> f32 {
    (1.0 + items as f32 / items_with_tag.max(1) as f32).ln()
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

/// The tag vector of one item, of norm 1: tags in ascending order with their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagVector(Vec<(u32, f32)>);

impl TagVector {
    /// The vector with these `weights` by tag, in ascending order of tags, divided by their `norm`; empty if that
    /// is 0. Weights of 0 are left out.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = (u32, f32)>, norm: f32) -> Self {
        if norm <= 0.0 {
            return Self::default();
        }
        let values = weights
            .into_iter()
            .filter_map(|(tag, weight)| (weight > 0.0).then_some((tag, weight / norm)));
        Self(values.collect())
    }

    /// True if it has no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cosine similarity with `other`, 0 to 1.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.shared(other).map(|(_, product)| product).sum()
    }

    /// The tag that adds most to the cosine similarity with `other`.
    #[must_use]
    pub fn strongest_shared(&self, other: &Self) -> Option<u32> {
        self.shared(other)
            .max_by(|(_, one), (_, two)| one.total_cmp(two))
            .map(|(tag, _)| tag)
    }

    /// The tags of both, with the products of their values.
    fn shared(&self, other: &Self) -> impl Iterator<Item = (u32, f32)> {
        let mut theirs = other.0.iter().peekable();
        self.0.iter().filter_map(move |(tag, value)| {
            while theirs.next_if(|(other, _)| other < tag).is_some() {}
            let (_, other) = theirs.next_if(|(other, _)| other == tag)?;
            Some((*tag, value * other))
        })
    }
}

/// The contribution of one item of a history to the profile of a tag that it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TagEvidence {
    /// The position of the item in the history.
    pub position: u32,
    /// The contribution to content: the weight of the item times its value of the tag.
    pub content: f32,
    /// The contribution to taste: the weight of the item.
    pub taste: f32,
}

/// The profile of one tag.
#[derive(Debug, Clone, Copy, PartialEq)]
struct ProfileTag {
    tag: u32,
    /// The range of [`TagProfile::evidence`] that it sums up.
    evidence: (u32, u32),
    content: f32,
    taste: f32,
    /// True if `taste` is stated by the user, and replaces the sum over the evidence.
    is_stated: bool,
}

/// The affinity of one user for each tag, with the items of their history that it comes from.
///
/// The score of an item by content is the sum over the history of weight · cosine. Its score by taste is the scalar
/// product of its vector with the user's affinities; the affinity for a tag is the sum of the weights of the items
/// with it, or the value that the user states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagProfile {
    /// By tag, then by position in the history.
    evidence: Vec<TagEvidence>,
    /// By tag.
    tags: Vec<ProfileTag>,
}

impl TagProfile {
    /// The profile of a user with this `history`, tag vectors with weights, and these `stated` affinities by tag.
    #[must_use]
    pub fn new<'a>(
        history: impl IntoIterator<Item = (&'a TagVector, f32)>,
        stated: &HashMap<u32, f32>,
    ) -> Self {
        let mut by_tag: Vec<(u32, TagEvidence)> = Vec::new();
        for (position, (vector, weight)) in (0..).zip(history) {
            by_tag.extend(vector.0.iter().map(|(tag, value)| {
                let evidence = TagEvidence {
                    position,
                    content: weight * value,
                    taste: weight,
                };
                (*tag, evidence)
            }));
        }
        by_tag.sort_unstable_by_key(|(tag, evidence)| (*tag, evidence.position));
        let mut tags: Vec<ProfileTag> = Vec::new();
        for (at, (tag, evidence)) in (0..).zip(&by_tag) {
            match tags.last_mut().filter(|last| last.tag == *tag) {
                Some(last) => {
                    last.evidence.1 = at + 1;
                    last.content += evidence.content;
                    last.taste += evidence.taste;
                }
                None => tags.push(ProfileTag {
                    tag: *tag,
                    evidence: (at, at + 1),
                    content: evidence.content,
                    taste: evidence.taste,
                    is_stated: false,
                }),
            }
        }
        for (tag, value) in stated {
            let place = tags
                .binary_search_by_key(tag, |one| one.tag)
                .unwrap_or_else(|place| {
                    let new = ProfileTag {
                        tag: *tag,
                        evidence: (0, 0),
                        content: 0.0,
                        taste: 0.0,
                        is_stated: true,
                    };
                    tags.insert(place, new);
                    place
                });
            tags[place].taste = *value;
            tags[place].is_stated = true;
        }
        Self {
            evidence: by_tag.into_iter().map(|(_, evidence)| evidence).collect(),
            tags,
        }
    }

    /// The scores of all items by content and by taste; `norms` are the norms of their tag weights, one per item.
    ///
    /// Visits the items of each tag of the profile, so it costs as much as there are of these.
    #[must_use]
    pub fn score(&self, index: &impl TagIndex, norms: &[f32]) -> [Vec<f32>; 2] {
        // Interleaved, so that both sums of an item share a cache line.
        let mut sums = vec![[0.0_f32; 2]; norms.len()];
        for tag in &self.tags {
            let weight = index.weight(tag.tag);
            let steps = [tag.content * weight, tag.taste * weight];
            if steps != [0.0; 2] {
                index.for_each_item(tag.tag, |item| {
                    if let Some(sums) = sums.get_mut(item as usize) {
                        sums[0] += steps[0];
                        sums[1] += steps[1];
                    }
                });
            }
        }
        [0, 1].map(|which| {
            let scores = sums.iter().zip(norms);
            let scaled = |(sums, norm): (&[f32; 2], &f32)| match *norm {
                norm if norm > 0.0 => sums[which] / norm,
                _ => 0.0,
            };
            scores.map(scaled).collect()
        })
    }

    /// The tags that `vector` shares with the profile: its value of the tag, the affinity that the user states for
    /// it if any, and the evidence of their history.
    pub fn matches<'a>(
        &'a self,
        vector: &'a TagVector,
    ) -> impl Iterator<Item = (f32, Option<f32>, &'a [TagEvidence])> {
        let mut rest = self.tags.as_slice();
        vector.0.iter().filter_map(move |(tag, value)| {
            rest = &rest[rest.partition_point(|one| one.tag < *tag)..];
            let one = rest.first().filter(|one| one.tag == *tag)?;
            let evidence = one.evidence.0 as usize..one.evidence.1 as usize;
            let stated = one.is_stated.then_some(one.taste);
            Some((*value, stated, &self.evidence[evidence]))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The items of each tag.
    struct Postings {
        items: usize,
        by_tag: HashMap<u32, Vec<u32>>,
    }

    impl TagIndex for Postings {
        fn weight(&self, tag: u32) -> f32 {
            let having = self.by_tag.get(&tag);
            having.map_or(0.0, |having| {
                inverse_document_frequency(self.items, having.len())
            })
        }

        fn for_each_item(&self, tag: u32, visit: impl FnMut(u32)) {
            self.by_tag
                .get(&tag)
                .into_iter()
                .flatten()
                .copied()
                .for_each(visit);
        }
    }

    /// An index of items with these tags, ascending, their norms and their vectors.
    fn index(items: &[Vec<u32>]) -> (Postings, Vec<f32>, Vec<TagVector>) {
        let mut by_tag: HashMap<u32, Vec<u32>> = HashMap::new();
        for (item, tags) in (0..).zip(items) {
            tags.iter()
                .for_each(|tag| by_tag.entry(*tag).or_default().push(item));
        }
        let index = Postings {
            items: items.len(),
            by_tag,
        };
        let weights = |tags: &Vec<u32>| {
            tags.iter()
                .map(|tag| (*tag, index.weight(*tag)))
                .collect::<Vec<_>>()
        };
        let norms: Vec<f32> = items
            .iter()
            .map(|tags| norm(weights(tags).into_iter().map(|(_, weight)| weight)))
            .collect();
        let vectors = items
            .iter()
            .zip(&norms)
            .map(|(tags, norm)| TagVector::new(weights(tags), *norm))
            .collect();
        (index, norms, vectors)
    }

    #[test]
    fn sharing_a_rare_tag_makes_items_more_similar_than_sharing_a_frequent_one() {
        let items = [vec![1, 2], vec![1, 3], vec![2, 4], vec![2, 5], vec![2, 6]];
        let (_, _, vectors) = index(&items);
        assert!(vectors[0].cosine(&vectors[1]) > vectors[0].cosine(&vectors[2]));
        assert!((vectors[0].cosine(&vectors[0]) - 1.0).abs() < 1e-6);
        assert_eq!(vectors[0].strongest_shared(&vectors[1]), Some(1));
    }

    proptest! {
        #[test]
        fn scoring_all_items_at_once_equals_scoring_each_and_stated_affinities_win(
            items in prop::collection::vec(prop::collection::btree_set(0..12_u32, 0..5), 1..20),
            weights in prop::collection::vec(-3.0_f32..3.0, 20),
            stated in prop::collection::hash_map(0..14_u32, -2.0_f32..2.0, 0..3),
        ) {
            let items: Vec<Vec<u32>> = items.into_iter().map(|tags| tags.into_iter().collect()).collect();
            let (index, norms, vectors) = index(&items);
            let profile = TagProfile::new(vectors.iter().zip(weights.iter().copied()), &stated);
            let [content, taste] = profile.score(&index, &norms);
            for ((vector, content), taste) in vectors.iter().zip(content).zip(taste) {
                let each: f32 = vectors.iter().zip(&weights).map(|(one, weight)| weight * one.cosine(vector)).sum();
                prop_assert!((each - content).abs() < 1e-3, "{} {}", each, content);
                let explained: f32 = profile.matches(vector)
                    .map(|(value, _, evidence)| value * evidence.iter().map(|one| one.content).sum::<f32>())
                    .sum();
                prop_assert!((explained - content).abs() < 1e-3, "{} {}", explained, content);
                let affinity = |tag: u32| -> f32 {
                    let all = vectors.iter().zip(&weights);
                    let having = all.filter(|(one, _)| one.0.iter().any(|(other, _)| *other == tag));
                    having.map(|(_, weight)| weight).sum()
                };
                let each: f32 = vector.0.iter()
                    .map(|(tag, value)| value * stated.get(tag).copied().unwrap_or_else(|| affinity(*tag)))
                    .sum();
                prop_assert!((each - taste).abs() < 1e-3, "{} {}", each, taste);
            }
        }
    }
}
