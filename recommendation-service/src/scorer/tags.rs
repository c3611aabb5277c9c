//! What films are about, as vectors: a place for each genre, keyword, person and language, weighed by how
//! few films have it.
//!
//! Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, 1988: a tag's weight is its
//! inverse document frequency, `ln(1 + films / films with it)`, here times a constant of its kind, and
//! vectors are compared by the cosine. Films are few words long, so a tag's own frequency is 1.

use std::collections::HashMap;

use filter::{Facet, Films, Kind};

/// How much a tag of this kind counts; none: it does not tell what a film is about.
fn of_kind(kind: Kind) -> Option<f32> {
    match kind {
        Kind::Genre | Kind::Keyword | Kind::Person => Some(1.0),
        // Nearly all films share few languages; who made a film says more of it.
        Kind::Language => Some(0.5),
        Kind::Country | Kind::Offer | Kind::Provider => None,
    }
}

/// The weight of `facet` among `films`; 0 for what does not tell what a film is about.
#[must_use]
pub fn weight(films: &Films, facet: Facet) -> f32 {
    let Some(kind) = of_kind(facet.0) else {
        return 0.0;
    };
    let having = films.count(facet).max(1) as f32;
    let all = films.rows() as f32;
    kind * (1.0 + all / having).ln()
}

/// The weights of all tags by their numbers.
#[must_use]
pub fn weights(films: &Films) -> Vec<f32> {
    (0..films.facets())
        .map(|number| {
            let facet = u32::try_from(number).ok().and_then(|n| films.facet(n));
            facet.map_or(0.0, |facet| weight(films, facet))
        })
        .collect()
}

/// The length of the vector of the film in `row`.
#[must_use]
pub fn norm(films: &Films, row: u32) -> f32 {
    length(films.numbers(row).into_iter().map(|number| {
        films
            .facet(number)
            .map_or(0.0, |facet| weight(films, facet))
    }))
}

/// As [`norm`], with the weights of all tags at hand.
#[must_use]
pub fn norm_by(films: &Films, row: u32, weights: &[f32]) -> f32 {
    let of = |number: u32| weights.get(number as usize).copied().unwrap_or_default();
    length(films.numbers(row).into_iter().map(of))
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
    pub fn of(films: &Films, row: u32, norm: f32) -> Self {
        if norm <= 0.0 {
            return Self::default();
        }
        let values = films.numbers(row).into_iter().filter_map(|number| {
            let weight = weight(films, films.facet(number)?);
            (weight > 0.0).then_some((number, weight / norm))
        });
        Self(values.collect())
    }

    /// Whether it has no place at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its places and values.
    pub fn iter(&self) -> impl Iterator<Item = (u32, f32)> {
        self.0.iter().copied()
    }

    /// The cosine with `other`, 0 to 1.
    #[must_use]
    pub fn cosine(&self, other: &Self) -> f32 {
        let (mut sum, mut theirs) = (0.0, other.0.iter().peekable());
        for (number, value) in &self.0 {
            while theirs.next_if(|(other, _)| other < number).is_some() {}
            if let Some((_, other)) = theirs.next_if(|(other, _)| other == number) {
                sum += value * other;
            }
        }
        sum
    }

    /// The place that adds most to the cosine with `other`.
    #[must_use]
    pub fn strongest(&self, other: &Self) -> Option<u32> {
        let theirs: HashMap<u32, f32> = other.iter().collect();
        self.iter()
            .filter_map(|(number, value)| Some((number, value * theirs.get(&number)?)))
            .max_by(|(_, one), (_, two)| one.total_cmp(two))
            .map(|(number, _)| number)
    }
}

/// How much a user likes each tag.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TagSums {
    sums: HashMap<u32, f32>,
}

impl TagSums {
    /// Adds `scale` times `vector`.
    pub fn add(&mut self, vector: &Vector, scale: f32) {
        for (number, value) in vector.iter() {
            *self.sums.entry(number).or_default() += scale * value;
        }
    }

    /// Adds `scale` at each place of `vector`, whatever its value there.
    pub fn add_each(&mut self, vector: &Vector, scale: f32) {
        for (number, _) in vector.iter() {
            *self.sums.entry(number).or_default() += scale;
        }
    }

    /// Puts `value` in the place of what adds up.
    pub fn set(&mut self, number: u32, value: f32) {
        self.sums.insert(number, value);
    }

    /// Whether it has no place at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Writes the product with each film's vector to `scores`, a row each. `norms` are the vectors' lengths.
    ///
    /// Goes through the films of each tag that the user has anything to do with, so it costs by how many
    /// these are.
    pub fn score(&self, films: &Films, norms: &[f32], scores: &mut [f32]) {
        scores.fill(0.0);
        // In the order of numbers, so that sums are the same in every process.
        let mut sums: Vec<(u32, f32)> = self.sums.iter().map(|(n, v)| (*n, *v)).collect();
        sums.sort_unstable_by_key(|(number, _)| *number);
        for (number, value) in sums {
            let Some(facet) = films.facet(number) else {
                continue;
            };
            let step = value * weight(films, facet);
            if step == 0.0 {
                continue;
            }
            if let Some(postings) = films.postings(facet) {
                postings.for_each(|row| {
                    if let Some(score) = scores.get_mut(row as usize) {
                        *score += step;
                    }
                });
            }
        }
        for (score, norm) in scores.iter_mut().zip(norms) {
            *score = if *norm > 0.0 { *score / norm } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use filter::Facts;
    use proptest::prelude::*;

    use super::*;

    fn films(all: &[Vec<i64>]) -> (Films, Vec<f32>) {
        let mut films = Films::default();
        for (row, keywords) in (0..).zip(all) {
            let keywords: Vec<_> = keywords
                .iter()
                .map(|id| (*id, id.to_string().into()))
                .collect();
            let facts = Facts {
                language: "en",
                keywords: &keywords,
                ..Facts::default()
            };
            films.put(row, &facts);
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
        assert_eq!(shared, Some((Kind::Keyword, 1)));
    }

    proptest! {
        #[test]
        fn scoring_all_films_at_once_is_the_cosine_with_each(
            all in prop::collection::vec(prop::collection::vec(1..12_i64, 0..5), 1..20),
            scales in prop::collection::vec(-3.0_f32..3.0, 20),
        ) {
            let (films, norms) = films(&all);
            let vectors: Vec<Vector> = (0..).zip(&norms).map(|(row, norm)| Vector::of(&films, row, *norm)).collect();
            let mut sums = TagSums::default();
            for (vector, scale) in vectors.iter().zip(&scales) {
                sums.add(vector, *scale);
            }
            let mut scores = vec![0.0; all.len()];
            sums.score(&films, &norms, &mut scores);
            for (vector, score) in vectors.iter().zip(scores) {
                let each: f32 = vectors.iter().zip(&scales).map(|(one, scale)| scale * one.cosine(vector)).sum();
                prop_assert!((each - score).abs() < 1e-3, "{} {}", each, score);
            }
        }
    }
}
