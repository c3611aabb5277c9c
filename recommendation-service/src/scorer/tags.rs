//! What films are about, as vectors: a place for each genre, keyword, person and language, weighed by how
//! few films have it. Two models go by them, of which neither needs training, and which know a film that
//! nobody has seen yet: content, by the films that a user dealt with, and taste, by what they like of tags.
//!
//! Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, 1988: a tag's weight is its
//! inverse document frequency, `ln(1 + films / films with it)`, here times a constant of its kind, and
//! vectors are compared by the cosine. Films are few words long, so a tag's own frequency is 1.

use std::collections::HashMap;

use filter::{FacetKind, FilterIndex};

/// How much content and taste count beside learned models, unless it is learned too.
pub const CONTENT_WEIGHT: f32 = 0.25;
/// As [`CONTENT_WEIGHT`], of taste.
pub const TASTE_WEIGHT: f32 = 0.15;
/// After how many films content and taste have half their say.
pub const FAMILIARITY: f32 = 3.0;

/// How much a tag of this kind counts; none: it does not tell what a film is about.
fn of_kind(kind: FacetKind) -> Option<f32> {
    match kind {
        FacetKind::Genre | FacetKind::Keyword | FacetKind::Person => Some(1.0),
        // Nearly all films share few languages; who made a film says more of it.
        FacetKind::Language => Some(0.5),
        FacetKind::Country | FacetKind::Offer | FacetKind::Provider => None,
    }
}

/// The weight of the tag with this number among `films`; 0 for what does not tell what a film is about.
#[must_use]
pub fn weight(films: &FilterIndex, number: u32) -> f32 {
    let Some(kind) = films.facet(number).and_then(|facet| of_kind(facet.0)) else {
        return 0.0;
    };
    let having = films.postings(number).map_or(0, |rows| rows.len()).max(1) as f32;
    let all = films.rows() as f32;
    kind * (1.0 + all / having).ln()
}

/// The weights of all tags by their numbers.
#[must_use]
pub fn weights(films: &FilterIndex) -> Vec<f32> {
    let numbers = (0..films.facet_count()).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    numbers.map(|number| weight(films, number)).collect()
}

/// The length of the vector of the film in `row`.
#[must_use]
pub fn norm(films: &FilterIndex, row: u32) -> f32 {
    let numbers = films.facet_ids(row).into_iter();
    length(numbers.map(|number| weight(films, number)))
}

/// As [`norm`], with the weights of all tags at hand.
#[must_use]
pub fn norm_by(films: &FilterIndex, row: u32, weights: &[f32]) -> f32 {
    let of = |number: u32| weights.get(number as usize).copied().unwrap_or_default();
    length(films.facet_ids(row).into_iter().map(of))
}

fn length(weights: impl Iterator<Item = f32>) -> f32 {
    weights.map(|weight| weight * weight).sum::<f32>().sqrt()
}

/// A film's vector, of length 1: numbers of tags, rising, with their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Vector(Vec<(u32, f32)>);

impl Vector {
    /// The vector of the film in `row`, whose length is `norm`; empty where that is 0.
    #[must_use]
    pub fn of(films: &FilterIndex, row: u32, norm: f32) -> Self {
        if norm <= 0.0 {
            return Self::default();
        }
        let values = films.facet_ids(row).into_iter().filter_map(|number| {
            let weight = weight(films, number);
            (weight > 0.0).then_some((number, weight / norm))
        });
        Self(values.collect())
    }

    /// Whether it has no place at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The cosine with `other`, 0 to 1.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        self.shared(other).map(|(_, product)| product).sum()
    }

    /// The place that adds most to the cosine with `other`.
    #[must_use]
    pub fn strongest(&self, other: &Self) -> Option<u32> {
        self.shared(other)
            .max_by(|(_, one), (_, two)| one.total_cmp(two))
            .map(|(number, _)| number)
    }

    /// The places that both have, with the products of the values there.
    fn shared(&self, other: &Self) -> impl Iterator<Item = (u32, f32)> {
        let mut theirs = other.0.iter().peekable();
        self.0.iter().filter_map(move |(number, value)| {
            while theirs.next_if(|(other, _)| other < number).is_some() {}
            let (_, other) = theirs.next_if(|(other, _)| other == number)?;
            Some((*number, value * other))
        })
    }
}

/// What one film of a user says of a tag that it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saying {
    /// The film's place among the user's.
    pub owner: u32,
    /// What it adds to how much its content speaks for the tag: the film's weight times its value there.
    pub content: f32,
    /// What it adds to the user's taste for the tag: the film's weight.
    pub taste: f32,
}

/// What is said of one tag.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Said {
    number: u32,
    /// Where what films say begins, and ends.
    films: (u32, u32),
    content: f32,
    taste: f32,
    /// Whether the user says it, so that what their films say of taste does not count.
    is_edited: bool,
}

/// How much a user likes each tag, and by which of their films.
///
/// A film's score by content is the sum over the user's films of weight · cosine. By taste it is the product
/// of its vector with the user's taste, which is for each tag the sum of the weights of their films that
/// have it, or what they say themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserTags {
    /// By tag, then by film.
    sayings: Vec<Saying>,
    /// By number.
    tags: Vec<Said>,
}

impl UserTags {
    /// Of a user with `films`, vectors with weights, who says of some tags how much they like them.
    #[must_use]
    pub fn new<'a>(
        films: impl IntoIterator<Item = (&'a Vector, f32)>,
        edits: &HashMap<u32, f32>,
    ) -> Self {
        let mut numbered: Vec<(u32, Saying)> = Vec::new();
        for (owner, (vector, weight)) in (0..).zip(films) {
            numbered.extend(vector.0.iter().map(|(number, value)| {
                let saying = Saying {
                    owner,
                    content: weight * value,
                    taste: weight,
                };
                (*number, saying)
            }));
        }
        numbered.sort_unstable_by_key(|(number, saying)| (*number, saying.owner));
        let mut tags: Vec<Said> = Vec::new();
        for (at, (number, saying)) in (0..).zip(&numbered) {
            match tags.last_mut().filter(|said| said.number == *number) {
                Some(said) => {
                    said.films.1 = at + 1;
                    said.content += saying.content;
                    said.taste += saying.taste;
                }
                None => tags.push(Said {
                    number: *number,
                    films: (at, at + 1),
                    content: saying.content,
                    taste: saying.taste,
                    is_edited: false,
                }),
            }
        }
        for (number, value) in edits {
            match tags.binary_search_by_key(number, |said| said.number) {
                Ok(place) => {
                    tags[place].taste = *value;
                    tags[place].is_edited = true;
                }
                Err(place) => tags.insert(
                    place,
                    Said {
                        number: *number,
                        films: (0, 0),
                        content: 0.0,
                        taste: *value,
                        is_edited: true,
                    },
                ),
            }
        }
        Self {
            sayings: numbered.into_iter().map(|(_, saying)| saying).collect(),
            tags,
        }
    }

    /// The scores of all films by content and by taste, a row each. `norms` are the lengths of the films'
    /// vectors.
    ///
    /// Goes through the films of each tag that the user has anything to do with, so it costs by how many
    /// these are.
    #[must_use]
    pub fn score(&self, films: &FilterIndex, norms: &[f32]) -> [Vec<f32>; 2] {
        // Side by side, so that a film's two sums are one place in memory.
        let mut sums = vec![[0.0_f32; 2]; norms.len()];
        for said in &self.tags {
            let weight = weight(films, said.number);
            let steps = [said.content * weight, said.taste * weight];
            if steps != [0.0; 2]
                && let Some(postings) = films.postings(said.number)
            {
                postings.for_each(|row| {
                    if let Some(sums) = sums.get_mut(row as usize) {
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

    /// What is said of the tags of a film with this vector, tag by tag: the value there, the user's own word
    /// for it if there is one, and what each of their films says.
    pub fn of<'a>(
        &'a self,
        vector: &'a Vector,
    ) -> impl Iterator<Item = (f32, Option<f32>, &'a [Saying])> {
        let mut rest = self.tags.as_slice();
        vector.0.iter().filter_map(move |(number, value)| {
            rest = &rest[rest.partition_point(|said| said.number < *number)..];
            let said = rest.first().filter(|said| said.number == *number)?;
            let films = said.films.0 as usize..said.films.1 as usize;
            let edit = said.is_edited.then_some(said.taste);
            Some((*value, edit, &self.sayings[films]))
        })
    }
}

#[cfg(test)]
mod tests {
    use filter::MovieAttributes;
    use proptest::prelude::*;

    use super::*;

    fn films(all: &[Vec<i64>]) -> (FilterIndex, Vec<f32>) {
        let mut films = FilterIndex::default();
        for (row, keywords) in (0..).zip(all) {
            let keywords: Vec<_> = keywords
                .iter()
                .map(|id| (*id, id.to_string().into()))
                .collect();
            let facts = MovieAttributes {
                language: "en",
                keywords: &keywords,
                ..MovieAttributes::default()
            };
            films.upsert(row, &facts);
        }
        let weights = weights(&films);
        let norms = (0..)
            .zip(all)
            .map(|(row, _)| norm_by(&films, row, &weights));
        let norms = norms.collect();
        (films, norms)
    }

    #[test]
    fn a_rare_tag_in_common_makes_more_alike_than_a_frequent_one() {
        let (films, norms) = films(&[vec![1, 2], vec![1, 3], vec![2, 4], vec![2, 5], vec![2, 6]]);
        let vector = |row: u32| Vector::of(&films, row, norms[row as usize]);
        assert!(vector(0).cosine(&vector(1)) > vector(0).cosine(&vector(2)));
        assert!((vector(0).cosine(&vector(0)) - 1.0).abs() < 1e-6);
        let shared = vector(0).strongest(&vector(1)).and_then(|n| films.facet(n));
        assert_eq!(shared, Some((FacetKind::Keyword, 1)));
    }

    proptest! {
        #[test]
        fn all_films_at_once_score_as_each_by_itself_and_the_users_word_stands(
            all in prop::collection::vec(prop::collection::vec(1..12_i64, 0..5), 1..20),
            scales in prop::collection::vec(-3.0_f32..3.0, 20),
            edits in prop::collection::hash_map(0..14_u32, -2.0_f32..2.0, 0..3),
        ) {
            let (films, norms) = films(&all);
            let vectors: Vec<Vector> = (0..).zip(&norms).map(|(row, norm)| Vector::of(&films, row, *norm)).collect();
            let tags = UserTags::new(vectors.iter().zip(scales.iter().copied()), &edits);
            let [content, taste] = tags.score(&films, &norms);
            for ((vector, content), taste) in vectors.iter().zip(content).zip(taste) {
                let each: f32 = vectors.iter().zip(&scales).map(|(one, scale)| scale * one.cosine(vector)).sum();
                prop_assert!((each - content).abs() < 1e-3, "{} {}", each, content);
                let told: f32 = tags.of(vector)
                    .map(|(value, _, films)| value * films.iter().map(|one| one.content).sum::<f32>())
                    .sum();
                prop_assert!((told - content).abs() < 1e-3, "{} {}", told, content);
                let liked = |number: u32| -> f32 {
                    let all = vectors.iter().zip(&scales);
                    let having = all.filter(|(one, _)| one.0.iter().any(|(other, _)| *other == number));
                    having.map(|(_, scale)| scale).sum()
                };
                let each: f32 = vector.0.iter()
                    .map(|(number, value)| value * edits.get(number).copied().unwrap_or_else(|| liked(*number)))
                    .sum();
                prop_assert!((each - taste).abs() < 1e-3, "{} {}", each, taste);
            }
        }
    }
}
