//! Metrics of recommendation lists against held-out interactions.

use rayon::prelude::*;

use crate::{History, Interactions};

/// The positions of a list that coverage and novelty are measured on.
pub const SHOWN: usize = 50;

/// The list of every user with items in `held_out`; empty for the others. `score` writes the scores for a history of
/// `train`; `list` makes a list from these and the items of `hidden`, which must not be in it. Users are in parallel.
pub fn lists(
    score: impl Fn(History<'_>, &mut [f32]) + Sync,
    train: &Interactions,
    hidden: &Interactions,
    held_out: &Interactions,
    list: impl Fn(&[f32], History<'_>) -> Vec<u32> + Sync,
) -> Vec<Vec<u32>> {
    (0..held_out.users())
        .into_par_iter()
        .map_init(
            || vec![0.0; train.items()],
            |scores, user| {
                if held_out.history(user).is_empty() {
                    return Vec::new();
                }
                score(train.history(user), scores);
                list(scores, hidden.history(user))
            },
        )
        .collect()
}

/// The metrics of one list at one length.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AtLength {
    /// Hits over the number held out.
    pub recall: f64,
    /// Hits over the smaller of the number held out and the length.
    pub capped_recall: f64,
    /// NDCG with gain 1 and discount log₂(1 + position): Järvelin and Kekäläinen, *Cumulated Gain-Based Evaluation
    /// of IR Techniques*, ACM TOIS 20 (4), 2002.
    pub ndcg: f64,
    /// The sum of the precisions at each hit, over the smaller of the number held out and the length.
    pub average_precision: f64,
}

impl AtLength {
    /// The metrics of the first `length` items of `list`; `held_out` must ascend and not be empty.
    #[must_use]
    pub fn new(list: &[u32], held_out: &[u32], length: usize) -> Self {
        let discount = |place: usize| 1.0 / ((place + 2) as f64).log2();
        let mut hits = 0_u32;
        let mut gain = 0.0;
        let mut precisions = 0.0;
        for (place, item) in list.iter().take(length).enumerate() {
            if held_out.binary_search(item).is_ok() {
                hits += 1;
                gain += discount(place);
                precisions += f64::from(hits) / (place + 1) as f64;
            }
        }
        let possible = held_out.len().min(length);
        let ideal: f64 = (0..possible).map(discount).sum();
        Self {
            recall: f64::from(hits) / held_out.len() as f64,
            capped_recall: f64::from(hits) / possible as f64,
            ndcg: gain / ideal,
            average_precision: precisions / possible as f64,
        }
    }

    fn add(&mut self, other: &Self) {
        self.recall += other.recall;
        self.capped_recall += other.capped_recall;
        self.ndcg += other.ndcg;
        self.average_precision += other.average_precision;
    }

    fn divide(&mut self, by: f64) {
        self.recall /= by;
        self.capped_recall /= by;
        self.ndcg /= by;
        self.average_precision /= by;
    }
}

/// Users by the number of their items in the training part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cohort {
    /// At most 20.
    New,
    /// 21 to 100.
    Light,
    /// More.
    Heavy,
}

impl Cohort {
    /// All cohorts, in order.
    pub const ALL: [Self; 3] = [Self::New, Self::Light, Self::Heavy];

    /// The cohort of a user with so many items.
    #[must_use]
    pub fn of(items: usize) -> Self {
        match items {
            0..=20 => Self::New,
            21..=100 => Self::Light,
            _ => Self::Heavy,
        }
    }
}

/// The popularity of items in the training part, which coverage and novelty are measured by.
pub struct ItemPopularity {
    /// The number of items with an interaction in the training part.
    items: usize,
    /// The self-information of each item in bits; see [`Figures::novelty`].
    bits: Vec<f64>,
}

impl ItemPopularity {
    /// The popularity in `train`.
    #[must_use]
    pub fn new(train: &Interactions) -> Self {
        let counts = train.counts();
        let users = train.users().max(1) as f64;
        Self {
            items: counts.iter().filter(|count| **count > 0).count(),
            bits: counts
                .iter()
                .map(|count| (users / f64::from((*count).max(1))).log2())
                .collect(),
        }
    }
}

/// The metrics of a model: means over the users with held-out items.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// At each requested length.
    pub at: Vec<AtLength>,
    /// Of each of [`Cohort::ALL`]: the number of users, and the metrics at each length.
    pub cohorts: [(usize, Vec<AtLength>); 3],
    /// The share of the items of the training part that are among the first [`SHOWN`] of any list, 0 to 1.
    pub coverage: f64,
    /// The mean self-information in bits, −log₂ of the share of users with the item in training, of the first
    /// [`SHOWN`] items: Zhou et al., *Solving the Apparent Diversity-Accuracy Dilemma*, PNAS 2010.
    pub novelty: f64,
}

impl Figures {
    /// The metrics of `lists`, one per user, at each of `lengths`.
    #[must_use]
    pub fn new(
        lists: &[Vec<u32>],
        train: &Interactions,
        held_out: &Interactions,
        popularity: &ItemPopularity,
        lengths: &[usize],
    ) -> Self {
        let none = || vec![AtLength::default(); lengths.len()];
        let mut cohorts = [(0, none()), (0, none()), (0, none())];
        let mut shown = vec![false; train.items()];
        let mut bits = 0.0;
        let mut places = 0_usize;
        for (user, list) in lists.iter().enumerate() {
            let held_out = held_out.history(user).items;
            if held_out.is_empty() {
                continue;
            }
            let (users, sums) = &mut cohorts[Cohort::of(train.history(user).len()) as usize];
            *users += 1;
            for (sum, length) in sums.iter_mut().zip(lengths) {
                sum.add(&AtLength::new(list, held_out, *length));
            }
            for item in list.iter().take(SHOWN) {
                shown[*item as usize] = true;
                bits += popularity.bits[*item as usize];
                places += 1;
            }
        }
        let mut at = none();
        for (_, sums) in &cohorts {
            at.iter_mut().zip(sums).for_each(|(all, sum)| all.add(sum));
        }
        let users: usize = cohorts.iter().map(|(users, _)| users).sum();
        at.iter_mut()
            .for_each(|all| all.divide(users.max(1) as f64));
        for (users, sums) in &mut cohorts {
            let users = (*users).max(1) as f64;
            sums.iter_mut().for_each(|sum| sum.divide(users));
        }
        let shown = shown.iter().filter(|shown| **shown).count();
        Self {
            at,
            cohorts,
            coverage: shown as f64 / popularity.items.max(1) as f64,
            novelty: bits / places.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn one_list_matches_values_computed_by_hand() {
        // Hits at places 1 and 3 of four, three held out.
        let at = AtLength::new(&[5, 1, 7, 2], &[5, 7, 9], 4);
        assert!(near(at.recall, 2.0 / 3.0));
        assert!(near(at.capped_recall, 2.0 / 3.0));
        let ideal = 1.0 + 1.0 / 3_f64.log2() + 0.5;
        assert!(near(at.ndcg, 1.5 / ideal));
        assert!(near(at.average_precision, (1.0 + 2.0 / 3.0) / 3.0));
    }

    #[test]
    fn a_list_shorter_than_the_held_out_items_is_perfect_by_capped_recall_and_ndcg() {
        let at = AtLength::new(&[5, 7, 1], &[5, 7, 9], 2);
        assert!(near(at.recall, 2.0 / 3.0));
        assert!(near(at.capped_recall, 1.0));
        assert!(near(at.ndcg, 1.0));
        assert!(near(at.average_precision, 1.0));
    }

    #[test]
    fn figures_are_means_over_users_in_total_and_by_cohort() {
        let row = |items: &[u32]| items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>();
        let many: Vec<u32> = (0..25).collect();
        let train =
            Interactions::from_rows(30, [row(&[0]), row(&many), row(&[0, 1])]).expect("in range");
        let held =
            Interactions::from_rows(30, [row(&[1]), row(&[26]), row(&[])]).expect("in range");
        let lists = [vec![1, 2], vec![25, 26], vec![]];
        let figures = Figures::new(&lists, &train, &held, &ItemPopularity::new(&train), &[1, 2]);
        assert!(near(figures.at[0].recall, 0.5));
        assert!(near(figures.at[1].recall, 1.0));
        assert!(near(figures.at[1].ndcg, (1.0 + 1.0 / 3_f64.log2()) / 2.0));
        let [new, light, heavy] = &figures.cohorts;
        assert_eq!((new.0, light.0, heavy.0), (1, 1, 0));
        assert!(near(new.1[0].recall, 1.0) && near(light.1[0].recall, 0.0));
        // Four items shown of 25 with interactions: two by one user of three, one by two; without interactions counts as one.
        assert!(near(figures.coverage, 4.0 / 25.0));
        let bits = 1.5_f64.log2() + 3.0 * 3_f64.log2();
        assert!(near(figures.novelty, bits / 4.0));
    }
}
