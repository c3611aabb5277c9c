//! Which users take part in an experiment, and in which variant: decided by a keyed hash, so that every
//! replica says the same of a user at any time, and nothing need be stored to know it.

use sha2::{Digest, Sha256};

/// Where a user stands in an experiment: two independent places in 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The user takes part once the share of traffic is above this, and stays in while it grows.
    pub entry: f64,
    /// Where among the variants; it has nothing to do with the share of traffic.
    pub place: f64,
}

/// Where `user` stands in the experiment with this `salt`: the first two words of
/// SHA-256(salt ‖ 0 ‖ user), each as a fraction of its range. Experiments with different salts are
/// independent of each other.
#[must_use]
pub fn bucket(salt: &str, user: i64) -> Bucket {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update([0]);
    hash.update(user.to_be_bytes());
    let digest = hash.finalize();
    let fraction = |from: usize| {
        let word = digest[from..from + 8]
            .iter()
            .fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
        // 53 bits: every fraction is exact, and none rounds up to 1.
        (word >> 11) as f64 / (1_u64 << 53) as f64
    };
    Bucket {
        entry: fraction(0),
        place: fraction(8),
    }
}

/// Which of `weights` the `place`, in 0..1, falls to, and what share of all it has: its propensity.
/// None where no weight is above 0.
#[must_use]
pub fn pick(weights: &[f64], place: f64) -> Option<(usize, f64)> {
    let total: f64 = weights.iter().sum();
    let mut passed = 0.0;
    let mut last = None;
    for (index, weight) in weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0.0)
    {
        passed += weight;
        last = Some((index, weight / total));
        if place * total < passed {
            return last;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_are_even_and_salts_independent() {
        let users = 20_000;
        let mut cells = [[0_u32; 4]; 4];
        let mut across = [[0_u32; 4]; 4];
        let quarter = |fraction: f64| (fraction * 4.0) as usize;
        for user in 1..=users {
            let one = bucket("one", user);
            let two = bucket("two", user);
            cells[quarter(one.entry)][quarter(one.place)] += 1;
            across[quarter(one.place)][quarter(two.place)] += 1;
        }
        for table in [cells, across] {
            // χ² with 15 degrees of freedom is above 37.7 once in a thousand times.
            let expected = users as f64 / 16.0;
            let cells = table.iter().flatten();
            let chi: f64 = cells
                .map(|count| (f64::from(*count) - expected).powi(2) / expected)
                .sum();
            assert!(chi < 37.7, "{chi} {table:?}");
        }
    }

    #[test]
    fn a_bucket_never_moves() {
        let known = bucket("salt", 7);
        assert_eq!(known, bucket("salt", 7));
        assert_eq!(
            (known.entry, known.place),
            (0.009186915121522476, 0.5623816679331737)
        );
    }

    proptest! {
        #[test]
        fn variants_get_their_shares_and_nothing_else(
            weights in prop::collection::vec(0.0..5.0_f64, 1..6), place in 0.0..1.0_f64,
        ) {
            match pick(&weights, place) {
                Some((index, share)) => {
                    prop_assert!(weights[index] > 0.0 && share > 0.0 && share <= 1.0 + 1e-12);
                    let before: f64 = weights[..index].iter().sum::<f64>() / weights.iter().sum::<f64>();
                    prop_assert!(before <= place + 1e-9 && place <= before + share + 1e-9);
                }
                None => prop_assert!(weights.iter().all(|weight| *weight <= 0.0)),
            }
        }
    }
}
