//! Fitting the weights of the content model anew to the history of an instance, once it has enough: lists from a few of
//! each user's movies are judged by the others. One half of the users is fitted to, the other decides whether the new
//! weights are better. [`super::fit`] calls it before it fits the learned models.

use std::collections::HashSet;

use recommender::{
    History, Interactions,
    content::{ContentWeights, fit},
    rank::top_k_unseen,
};

use super::tags::Tags;
use crate::cli::print;

/// The numbers of known movies of a list, as newcomers have them.
const KNOWN: [usize; 3] = [1, 3, 10];
/// The movies that a user must have beyond the known ones.
const MIN_HELD_OUT: usize = 5;
/// The length of lists that are judged.
const LENGTH: usize = 10;
/// The least users of each half.
const MIN_USERS: usize = 100;
/// The most users of each half; for large catalogues fewer, so that a judgement takes seconds.
const MAX_USERS: usize = 300;
/// Movies times users of a judgement.
const MAX_WORK: usize = 30_000_000;
/// The improvement of the judgement that makes new weights better, since the default ones rest on more users.
const MIN_GAIN: f64 = 0.01;

/// A user's movies in an order without meaning, the same at every training.
struct Judge {
    columns: Vec<u32>,
}

impl Judge {
    /// The columns of `history`, ordered by a hash, if they are enough.
    fn new(user: usize, history: History<'_>) -> Option<Self> {
        let mut columns: Vec<u32> = history.items.to_vec();
        if columns.len() < KNOWN[0] + MIN_HELD_OUT {
            return None;
        }
        columns.sort_by_key(|column| mixed((user as u64) << 32 | u64::from(*column)));
        Some(Self { columns })
    }

    /// The share of `LENGTH` recommended movies that are among the user's other ones, by number of known movies.
    fn hits(&self, tags: &Tags) -> [Option<f64>; KNOWN.len()] {
        KNOWN.map(|count| {
            let (known, others) = self.columns.split_at_checked(count)?;
            if others.len() < MIN_HELD_OUT {
                return None;
            }
            let mut known = known.to_vec();
            known.sort_unstable();
            let weights = vec![1.0; known.len()];
            let history = History {
                items: &known,
                weights: &weights,
            };
            let [content, _] = tags.score(history);
            let others: HashSet<u32> = others.iter().copied().collect();
            let listed = top_k_unseen(&content, history, LENGTH);
            let hits = listed.iter().filter(|(item, _)| others.contains(item));
            Some(hits.count() as f64 / LENGTH.min(others.len()) as f64)
        })
    }
}

/// The bits of `value` mixed (the finalizer of SplitMix64: Steele, Lea and Flood, OOPSLA 2014).
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// The mean over the numbers of known movies of the mean over the users.
fn judgement(users: &[Judge], tags: &Tags) -> f64 {
    let mut sums = [(0.0, 0.0_f64); KNOWN.len()];
    for user in users {
        for (sum, hits) in sums.iter_mut().zip(user.hits(tags)) {
            if let Some(hits) = hits {
                sum.0 += hits;
                sum.1 += 1.0;
            }
        }
    }
    let means = sums.iter().map(|(sum, users)| sum / users.max(1.0));
    means.sum::<f64>() / KNOWN.len() as f64
}

/// The weights of the content model that suit the users of `interactions` better than the default ones; `None` if they are
/// too few, or none are better. `tags` has those weights afterwards.
pub(super) fn refit(tags: &mut Tags, interactions: &Interactions) -> Option<ContentWeights> {
    let max = (MAX_WORK / tags.movies().max(1)).clamp(MIN_USERS, MAX_USERS);
    let mut order: Vec<usize> = (0..interactions.users()).collect();
    order.sort_by_key(|user| mixed(*user as u64));
    let judges = order
        .into_iter()
        .filter_map(|user| Judge::new(user, interactions.history(user)));
    let mut fitted: Vec<Judge> = judges.take(2 * max).collect();
    let deciding = fitted.split_off(fitted.len() / 2);
    if fitted.len() < MIN_USERS {
        return None;
    }
    let start = *tags.weights();
    let weights = fit(start, |weights| {
        tags.set_weights(weights);
        judgement(&fitted, tags)
    });
    let mut decide = |weights: &ContentWeights| {
        tags.set_weights(weights);
        judgement(&deciding, tags)
    };
    let (before, after) = (decide(&start), decide(&weights));
    let is_better = after > before * (1.0 + MIN_GAIN);
    let (state, chosen) = match is_better {
        true => ("fitted anew", weights),
        false => ("as before", start),
    };
    tags.set_weights(&chosen);
    print(&format!(
        "content: hits@{LENGTH} {before:.4}, with fitted weights {after:.4}: the weights are {state}"
    ));
    is_better.then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_model::{Catalogue, Film, Tag};

    const MOVIES: u32 = 120;

    /// Movies of one of 12 people each, of 3 genres and 5 keywords at random.
    fn catalogue() -> Catalogue {
        let mut catalogue = Catalogue::default();
        for id in 1..=i64::from(MOVIES) {
            let tag = |of: u64, count: u64, first: i64| {
                let one = first + (mixed(of * 1000 + id as u64) % count) as i64;
                vec![Tag {
                    id: one,
                    name: format!("Tag {one}"),
                    ..Tag::default()
                }]
            };
            catalogue.upsert(&Film {
                id,
                version: 1,
                title: format!("Movie {id}"),
                original_language: "en".to_owned(),
                vote_average: 7.0,
                vote_count: 1000,
                genres: tag(1, 3, 1),
                keywords: tag(2, 5, 100),
                people: vec![Tag {
                    id: 200 + id % 12,
                    name: format!("Person {}", id % 12),
                    ..Tag::default()
                }],
                ..Film::default()
            });
        }
        catalogue
    }

    /// Users who like the movies that have the same remainder by `modulus`.
    fn interactions(users: u32, modulus: u32) -> Interactions {
        let rows = (0..users).map(|user| {
            let liked = (0..MOVIES).filter(move |item| (item + 1) % modulus == user % modulus);
            liked.map(|item| (item, 1.0))
        });
        Interactions::from_rows(MOVIES as usize, rows).expect("sound")
    }

    fn tags() -> Tags {
        let ids: Vec<u64> = (1..=u64::from(MOVIES)).collect();
        Tags::new(catalogue(), &ids)
    }

    #[test]
    fn what_the_users_go_by_gains_weight() {
        let mut tags = tags();
        let before = *tags.weights();
        let fitted = refit(&mut tags, &interactions(240, 12)).expect("better weights");
        assert!(fitted.person / fitted.keyword > 1.5 * before.person / before.keyword);
        assert_eq!(*tags.weights(), fitted);
    }

    #[test]
    fn too_few_users_change_nothing() {
        let mut tags = tags();
        let before = *tags.weights();
        assert_eq!(refit(&mut tags, &interactions(120, 12)), None);
        assert_eq!(*tags.weights(), before);
    }
}
