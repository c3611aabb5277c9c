//! The profile of one user.

use std::collections::HashMap;

use super::{
    ContentWeights, ItemFactors, TagIndex, TagVector,
    weights::{ClosenessSums, Kernels},
};

/// The contribution of one item of a history to the profile of a tag that it has.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TagEvidence {
    /// The position of the item in the history.
    position: u32,
    /// The contribution to content: the weight of the item times its value of the tag.
    content: f32,
    /// The contribution to taste: the weight of the item.
    taste: f32,
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

/// An item of a history with a weight above 0.
#[derive(Debug, Clone, Copy, PartialEq)]
struct LikedItem {
    /// The position of the item in the history.
    position: usize,
    factors: ItemFactors,
    weight: f32,
}

/// The affinities of one user for tags, and the items of their history.
///
/// The score of an item by content is its prominence times the sum of the prior, of weight · cosine over the history, and
/// of weight · (closeness + floor) over the items of the history with a weight above 0: a dislike says something about the
/// tags of an item, and little about its time. The score by taste is the prominence times the scalar product of the item's
/// vector with the user's affinities; the affinity for a tag is the sum of the weights of the items with it, or the value
/// that the user states.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagProfile {
    /// By tag, then by position in the history.
    evidence: Vec<TagEvidence>,
    /// By tag.
    tags: Vec<ProfileTag>,
    liked: Vec<LikedItem>,
    kernels: Kernels,
    closeness: ClosenessSums,
    floor: f32,
    /// The prior, and the floors of the whole history.
    constant: f32,
}

/// The scores of one item; see [`TagProfile::explain`].
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Explained {
    /// The score by content.
    pub content: f32,
    /// The score by taste.
    pub taste: f32,
    /// The part of taste that comes from affinities that the user states.
    pub stated: f32,
}

impl TagProfile {
    /// The profile of a user with this `history`, items with their tag vectors and weights, and these `stated` affinities
    /// by tag.
    #[must_use]
    pub fn new<'a>(
        weights: &ContentWeights,
        history: impl IntoIterator<Item = (&'a TagVector, ItemFactors, f32)>,
        stated: &HashMap<u32, f32>,
    ) -> Self {
        let mut by_tag: Vec<(u32, TagEvidence)> = Vec::new();
        let mut liked = Vec::new();
        for (position, (vector, factors, weight)) in (0..).zip(history) {
            if weight > 0.0 {
                liked.push(LikedItem {
                    position: position as usize,
                    factors,
                    weight,
                });
            }
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
        let kernels = weights.kernels();
        Self {
            evidence: by_tag.into_iter().map(|(_, evidence)| evidence).collect(),
            tags,
            closeness: kernels.sums(liked.iter().map(|item| (&item.factors, item.weight))),
            constant: weights.prior
                + weights.floor * liked.iter().map(|item| item.weight).sum::<f32>(),
            liked,
            kernels,
            floor: weights.floor,
        }
    }

    /// The scores of all items by content and by taste; `items` has the factors of each.
    ///
    /// Visits the items of each tag of the profile, so it costs as much as there are of these.
    #[must_use]
    pub fn score(&self, index: &impl TagIndex, items: &[ItemFactors]) -> [Vec<f32>; 2] {
        // Interleaved, so that both sums of an item share a cache line.
        let mut sums = vec![[0.0_f32; 2]; items.len()];
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
        let scale = |sum: f32, norm: f32| if norm > 0.0 { sum / norm } else { 0.0 };
        let scores = sums.iter().zip(items).map(|(sums, item)| {
            let content = scale(sums[0], item.norm) + self.closeness.of(item) + self.constant;
            let taste = scale(sums[1], item.norm);
            (item.prominence * content, item.prominence * taste)
        });
        let (content, taste) = scores.unzip();
        [content, taste]
    }

    /// The scores of an item with this `vector` and these factors; calls `visit` with the position, the contribution to
    /// content and that to taste of each item of the history, several times if they share several tags.
    pub fn explain(
        &self,
        vector: &TagVector,
        item: &ItemFactors,
        mut visit: impl FnMut(usize, f32, f32),
    ) -> Explained {
        let mut explained = Explained {
            content: self.constant,
            ..Explained::default()
        };
        for (value, stated, evidence) in self.matches(vector) {
            explained.stated += stated.unwrap_or_default() * value;
            // A stated affinity replaces that of the history.
            let of_history = if stated.is_some() { 0.0 } else { value };
            for one in evidence {
                let (content, taste) = (one.content * value, one.taste * of_history);
                explained.content += content;
                explained.taste += taste;
                visit(
                    one.position as usize,
                    item.prominence * content,
                    item.prominence * taste,
                );
            }
        }
        for known in &self.liked {
            let closeness = known.weight * self.kernels.closeness(&known.factors, item);
            explained.content += closeness;
            let all = closeness + known.weight * self.floor;
            visit(known.position, item.prominence * all, 0.0);
        }
        Explained {
            content: item.prominence * explained.content,
            taste: item.prominence * (explained.taste + explained.stated),
            stated: item.prominence * explained.stated,
        }
    }

    /// The tags that `vector` shares with the profile: its value of the tag, the affinity that the user states for
    /// it if any, and the evidence of their history.
    fn matches<'a>(
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
