use std::collections::HashMap;

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

/// An index of items with these tags, ascending, their factors and their vectors.
fn index(items: &[(Vec<u32>, Properties)]) -> (Postings, Vec<ItemFactors>, Vec<TagVector>) {
    let mut by_tag: HashMap<u32, Vec<u32>> = HashMap::new();
    for (item, (tags, _)) in (0..).zip(items) {
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
    let factors: Vec<ItemFactors> = items
        .iter()
        .map(|(tags, properties)| {
            let norm = norm(weights(tags).into_iter().map(|(_, weight)| weight));
            ContentWeights::default().describe(properties, norm)
        })
        .collect();
    let vectors = items
        .iter()
        .zip(&factors)
        .map(|((tags, _), factors)| TagVector::new(weights(tags), factors.norm))
        .collect();
    (index, factors, vectors)
}

fn released(year: f32) -> Properties {
    Properties {
        year: Some(year),
        votes: 2000.0,
        average: 7.0,
        ..Properties::default()
    }
}

#[test]
fn sharing_a_rare_tag_makes_items_more_similar_than_sharing_a_frequent_one() {
    let items = [[1, 2], [1, 3], [2, 4], [2, 5], [2, 6]];
    let (_, _, vectors) = index(&items.map(|tags| (tags.to_vec(), released(2000.0))));
    assert!(vectors[0].cosine(&vectors[1]) > vectors[0].cosine(&vectors[2]));
    assert!((vectors[0].cosine(&vectors[0]) - 1.0).abs() < 1e-6);
}

#[test]
fn among_items_with_the_same_tags_near_and_well_known_ones_are_more_similar() {
    let famous = Properties {
        votes: 20_000.0,
        ..released(1999.0)
    };
    let unknown_year = Properties {
        year: None,
        ..released(1999.0)
    };
    let items = [
        released(1999.0),
        released(2001.0),
        released(1931.0),
        famous,
        unknown_year,
    ];
    let (index, factors, vectors) = index(&items.map(|properties| (vec![1], properties)));
    let history = [(&vectors[0], factors[0], 1.0)];
    let own = TagProfile::new(&ContentWeights::default(), history, &HashMap::new());
    let [content, _] = own.score(&index, &factors);
    assert!(content[3] > content[1], "{content:?}");
    assert!(content[1] > content[2], "{content:?}");
    assert!(content[2] >= content[4], "{content:?}");
    let dislike = [(&vectors[0], factors[0], -1.0)];
    let weights = ContentWeights {
        prior: 0.0,
        ..ContentWeights::default()
    };
    let own = TagProfile::new(&weights, dislike, &HashMap::new());
    let [disliked, _] = own.score(&index, &factors);
    let by_tags = -factors[2].prominence;
    assert!((disliked[2] - by_tags).abs() < 1e-5, "{disliked:?}");
}

fn properties() -> impl Strategy<Value = Properties> {
    let year = prop::option::of(1870.0_f32..2150.0);
    let runtime = prop::option::of(0.0_f32..900.0);
    (year, 0.0_f32..1e6, 0.0_f32..10.0, 0.0_f32..1e4, runtime).prop_map(
        |(year, votes, average, popularity, runtime)| Properties {
            year,
            votes,
            average,
            popularity,
            runtime,
        },
    )
}

proptest! {
    #[test]
    fn scoring_all_items_at_once_equals_explaining_each_and_stated_affinities_win(
        items in prop::collection::vec((prop::collection::btree_set(0..12_u32, 0..5), properties()), 1..20),
        weights in prop::collection::vec(-3.0_f32..3.0, 20),
        stated in prop::collection::hash_map(0..14_u32, -2.0_f32..2.0, 0..3),
    ) {
        let items: Vec<(Vec<u32>, Properties)> =
            items.into_iter().map(|(tags, properties)| (tags.into_iter().collect(), properties)).collect();
        let (index, factors, vectors) = index(&items);
        let history = vectors.iter().zip(&factors).zip(&weights);
        let history = history.map(|((vector, factors), weight)| (vector, *factors, *weight));
        let own = ContentWeights::default();
        let profile = TagProfile::new(&own, history, &stated);
        let [content, taste] = profile.score(&index, &factors);
        for (((vector, item), content), taste) in vectors.iter().zip(&factors).zip(content).zip(taste) {
            let (mut by_content, mut by_taste) = (0.0, 0.0);
            let why = profile.explain(vector, item, |position, content, taste| {
                assert!(position < items.len());
                by_content += content;
                by_taste += taste;
            });
            prop_assert!((why.content - content).abs() < 1e-3, "{} {}", why.content, content);
            prop_assert!((why.taste - taste).abs() < 1e-3, "{} {}", why.taste, taste);
            let prior = own.prior * item.prominence;
            prop_assert!((by_content + prior - content).abs() < 1e-3, "{} {}", by_content, content);
            prop_assert!((by_taste + why.stated - taste).abs() < 1e-3, "{} {}", by_taste, taste);
            let all = vectors.iter().zip(&weights);
            let disliked = all.map(|(one, weight)| (one, *item, weight.min(0.0)));
            let cosines: f32 = disliked.clone().map(|(one, _, weight)| weight * one.cosine(vector)).sum();
            let without_prior = ContentWeights { prior: 0.0, ..own };
            let tags_alone = TagProfile::new(&without_prior, disliked, &HashMap::new());
            let alone = tags_alone.explain(vector, item, |_, _, _| {}).content;
            prop_assert!((alone - item.prominence * cosines).abs() < 1e-3, "{} {}", alone, cosines);
            let affinity = |tag: u32| -> f32 {
                let all = vectors.iter().zip(&weights);
                let having = all.filter(|(one, _)| one.0.iter().any(|(other, _)| *other == tag));
                having.map(|(_, weight)| weight).sum()
            };
            let each: f32 = vector.0.iter()
                .map(|(tag, value)| value * stated.get(tag).copied().unwrap_or_else(|| affinity(*tag)))
                .sum();
            prop_assert!((item.prominence * each - taste).abs() < 1e-3, "{} {}", each, taste);
        }
    }
}
