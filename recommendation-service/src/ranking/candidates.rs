//! The candidates of a list, and the selection of the best of them. Pure.

use std::{cmp::Ordering, collections::BinaryHeap};

use filter::{Bitmap, Filter};

use crate::read_model::{Catalogue, Preferences, Profile, Reaction};

/// Ratings are in single precision: 7.9 must not fail a lowest rating of 7.9.
const RATING_ROUNDING: f64 = 1e-5;
/// The rows per block of scoring: those of one word of a bitmap.
pub const BLOCK: usize = 64;
/// More than the error of a score by rounding to four decimals and by single precision.
const ROUNDING: f32 = 2e-4;

/// Removes from `rows` the movies that `preferences` rule out.
pub fn keep_preferred(catalogue: &Catalogue, preferences: &Preferences, rows: &mut Bitmap) {
    if let Some(language) = &preferences.preferred_language {
        let mut spoken = Bitmap::with_rows(catalogue.len());
        // If no movie has the language, no movie remains.
        if let Some(postings) = catalogue.in_language(language) {
            postings.union_into(&mut spoken);
        }
        rows.intersect(&spoken);
    }
    if preferences.min_rating > 0.0 {
        let least = preferences.min_rating;
        rows.retain(catalogue.ratings(), |rating| {
            f64::from(rating) + RATING_ROUNDING >= least
        });
    }
}

/// True if a list may contain movie `id`. Disliked movies are never included, completed or judged ones only
/// if `exclude_seen` is false.
pub fn may_show(profile: &Profile, id: i64, exclude_seen: bool) -> bool {
    profile.state(id).is_none_or(|state| {
        let is_disliked = state.reaction == Some(Reaction::Dislike);
        let is_left_out = exclude_seen && state.is_known();
        !is_disliked && !is_left_out
    })
}

/// Removes from `rows` the movies that `profile` must not be shown.
pub fn remove_known(
    catalogue: &Catalogue,
    profile: &Profile,
    exclude_seen: bool,
    rows: &mut Bitmap,
) {
    for (id, _) in profile.films() {
        if !may_show(profile, id, exclude_seen)
            && let Some(row) = catalogue.row(id)
        {
            rows.remove(u32::try_from(row).unwrap_or(u32::MAX));
        }
    }
}

/// The candidates of a list for `profile`.
pub fn candidates(
    catalogue: &Catalogue,
    profile: &Profile,
    filter: &Filter,
    exclude_seen: bool,
) -> Bitmap {
    let mut rows = if *filter == Filter::default() {
        catalogue.films().live().clone()
    } else {
        catalogue.select(filter)
    };
    if let Some(preferences) = profile.preferences() {
        keep_preferred(catalogue, preferences, &mut rows);
    }
    remove_known(catalogue, profile, exclude_seen, &mut rows);
    rows
}

/// The share of movies whose popularity may exceed [`robust_max_popularity`].
const OUTLIER_SHARE: f64 = 0.01;
/// The movies whose popularity is compared for it, in equal steps over all.
const MAX_SAMPLE: usize = 8192;

/// The popularity that all but a hundredth of `rows` stay below, rounded up: the largest of fewer than a hundred. Unlike
/// the largest it does not depend on one movie, nor on a few whose numbers come from another day. 0 without rows.
pub fn robust_max_popularity(catalogue: &Catalogue, rows: &Bitmap) -> f64 {
    let step = rows.len() / MAX_SAMPLE + 1;
    let mut values: Vec<f64> = rows
        .rows()
        .step_by(step)
        .map(|row| catalogue.popularity()[row as usize])
        .collect();
    let outliers = (values.len() as f64 * OUTLIER_SHARE) as usize;
    if values.is_empty() {
        return 0.0;
    }
    let (_, greatest, _) = values.select_nth_unstable_by(outliers, |one, two| two.total_cmp(one));
    *greatest
}

/// The largest popularity among `rows`; 0 without rows.
pub fn max_popularity(catalogue: &Catalogue, rows: &Bitmap) -> f64 {
    let mut most = 0.0_f64;
    let chunks = catalogue.popularity().chunks();
    let blocks = chunks.flat_map(|chunk| chunk.chunks(BLOCK));
    for (word, block) in rows.words().iter().zip(blocks) {
        match *word {
            0 => {}
            u64::MAX => {
                // Independent maxima, so that the comparisons do not form one dependency chain.
                let mut lanes = [0.0_f64; 8];
                for eight in block.chunks_exact(8) {
                    for (lane, popularity) in lanes.iter_mut().zip(eight) {
                        *lane = if *popularity > *lane {
                            *popularity
                        } else {
                            *lane
                        };
                    }
                }
                most = lanes.into_iter().fold(most, f64::max);
            }
            word => {
                for (bit, popularity) in block.iter().enumerate() {
                    if word >> bit & 1 == 1 {
                        most = most.max(*popularity);
                    }
                }
            }
        }
    }
    most
}

/// A ranked movie. Ordered by score, then popularity, then the lower id.
#[derive(Debug, Clone, Copy)]
pub struct Ranked {
    /// The row.
    pub row: usize,
    /// The score in ten-thousandths.
    pub score: i64,
    /// TMDB's popularity.
    pub popularity: f64,
    /// TMDB's id.
    pub id: i64,
}

impl Ord for Ranked {
    /// The worse movie is the greater, so that the heap's top is removed first.
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .cmp(&self.score)
            .then(other.popularity.total_cmp(&self.popularity))
            .then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

/// A score in ten-thousandths, rounded half away from zero.
pub fn rounded(score: f64) -> i64 {
    (score * 10_000.0).round() as i64
}

/// The best `limit` of `rows` by a `score` that is as cheap as its estimate, best first.
pub fn best_by(
    catalogue: &Catalogue,
    rows: &Bitmap,
    limit: usize,
    score: impl Fn(usize) -> f32,
) -> Vec<Ranked> {
    let estimate = |first: usize, scores: &mut [f32]| {
        for (place, out) in scores.iter_mut().enumerate() {
            *out = score(first + place);
        }
    };
    best(catalogue, rows, limit, estimate, |row| score(row).into())
}

/// The best `limit` of `rows`, best first.
///
/// `estimate` writes the scores of a block of rows, from the given one on, in single precision; `score` computes the
/// exact score of those that come near the best so far.
pub fn best(
    catalogue: &Catalogue,
    rows: &Bitmap,
    limit: usize,
    mut estimate: impl FnMut(usize, &mut [f32]),
    score: impl Fn(usize) -> f64,
) -> Vec<Ranked> {
    let mut heap: BinaryHeap<Ranked> = BinaryHeap::with_capacity(limit + 1);
    if limit == 0 {
        return Vec::new();
    }
    let mut least = f32::NEG_INFINITY;
    let mut scores = [0.0_f32; BLOCK];
    for (block, word) in rows.words().iter().enumerate() {
        let first = block * BLOCK;
        let count = BLOCK.min(catalogue.len().saturating_sub(first));
        if *word == 0 || count == 0 {
            continue;
        }
        let scores = &mut scores[..count];
        estimate(first, scores);
        let mut near = 0_u64;
        for (bit, score) in scores.iter().enumerate() {
            near |= u64::from(*score >= least) << bit;
        }
        near &= word;
        while near != 0 {
            let row = first + near.trailing_zeros() as usize;
            near &= near - 1;
            let ranked = Ranked {
                row,
                score: rounded(score(row)),
                popularity: catalogue.popularity()[row],
                id: catalogue.id(row),
            };
            if heap.len() < limit {
                heap.push(ranked);
            } else if heap.peek().is_some_and(|worst| ranked < *worst) {
                heap.pop();
                heap.push(ranked);
            }
            if heap.len() == limit {
                least = heap.peek().map_or(least, |worst| {
                    let worst = (worst.score as f64 / 10_000.0) as f32;
                    worst - ROUNDING - worst.abs() * 1e-5
                });
            }
        }
    }
    heap.into_sorted_vec()
}
