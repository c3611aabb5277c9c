//! Assignment of users to the variants of an experiment by a salted hash: every replica assigns a user alike at any
//! time, and nothing has to be stored.

use sha2::{Digest, Sha256};

/// Two independent positions of a user in an experiment, each uniform in 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Assignment {
    /// The share of traffic above which the user takes part; a user stays in while the share grows.
    pub entry: f64,
    /// The position among the variants, see [`pick`]; independent of the share of traffic.
    pub position: f64,
}

/// The assignment of `user` in the experiment with this `salt`: the first two 64-bit words of
/// SHA-256(salt ‖ 0 ‖ user), each as a fraction of its range. Experiments with different salts are
/// independent of each other.
#[must_use]
pub fn assign(salt: &str, user: i64) -> Assignment {
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
    Assignment {
        entry: fraction(0),
        position: fraction(8),
    }
}

/// The index among `weights` that `position`, in 0..1, falls to, with its share of their sum: its propensity.
/// `None` if no weight is above 0.
#[must_use]
pub fn pick(weights: &[f64], position: f64) -> Option<(usize, f64)> {
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
        if position * total < passed {
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
    fn assignments_are_uniform_and_independent_across_salts() {
        let users = 20_000;
        let mut cells = [[0_u32; 4]; 4];
        let mut across = [[0_u32; 4]; 4];
        let quarter = |fraction: f64| (fraction * 4.0) as usize;
        for user in 1..=users {
            let one = assign("one", user);
            let two = assign("two", user);
            cells[quarter(one.entry)][quarter(one.position)] += 1;
            across[quarter(one.position)][quarter(two.position)] += 1;
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
    fn an_assignment_never_changes() {
        let known = assign("salt", 7);
        assert_eq!(known, assign("salt", 7));
        assert_eq!(
            (known.entry, known.position),
            (0.009186915121522476, 0.5623816679331737)
        );
    }

    proptest! {
        #[test]
        fn each_variant_gets_exactly_its_share(
            weights in prop::collection::vec(0.0..5.0_f64, 1..6), position in 0.0..1.0_f64,
        ) {
            match pick(&weights, position) {
                Some((index, share)) => {
                    prop_assert!(weights[index] > 0.0 && share > 0.0 && share <= 1.0 + 1e-12);
                    let before: f64 = weights[..index].iter().sum::<f64>() / weights.iter().sum::<f64>();
                    prop_assert!(before <= position + 1e-9 && position <= before + share + 1e-9);
                }
                None => prop_assert!(weights.iter().all(|weight| *weight <= 0.0)),
            }
        }
    }
}
