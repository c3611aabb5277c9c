//! How good lists are, against what users went on to do.

use rayon::prelude::*;

use recommender::{History, Interactions};

use crate::evaluation::SHOWN;

/// The `places` films with the greatest scores that are not in `history`, best first; of equals the
/// one with the lower column.
#[must_use]
pub fn rank(scores: &[f32], history: History<'_>, places: usize) -> Vec<(u32, f32)> {
    let mut known = history.items.iter().peekable();
    let mut left: Vec<(u32, f32)> = (0_u32..)
        .zip(scores.iter().copied())
        .filter(|(item, _)| known.next_if_eq(&item).is_none())
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if places < left.len() {
        left.select_nth_unstable_by(places, order);
        left.truncate(places);
    }
    left.sort_unstable_by(order);
    left
}

/// A list by `list` for every user with films in `held_out`, from what `score` writes by what they have in
/// `train`, and of what must not be in it, which is in `hidden`; none for the others.
pub fn ranked(
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

/// What one list is worth at one length.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AtLength {
    /// Hits over the number held out.
    pub recall: f64,
    /// Hits over the number held out or the length, whichever is less.
    pub capped_recall: f64,
    /// Discounted gain over that of the best list of this length (Järvelin and Kekäläinen, ACM TOIS
    /// 2002), with gain 1 and discount log₂(1 + place).
    pub ndcg: f64,
    /// Mean of the precision at each hit, over the number held out or the length, whichever is less.
    pub average_precision: f64,
}

impl AtLength {
    /// Of the first `length` films of `list`, for `held_out` in ascending order, at least one.
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

/// Users by how many films they have in the training part.
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
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::New, Self::Light, Self::Heavy];

    /// That of a user with `films` films.
    #[must_use]
    pub fn of(films: usize) -> Self {
        match films {
            0..=20 => Self::New,
            21..=100 => Self::Light,
            _ => Self::Heavy,
        }
    }
}

/// What everybody's lists are measured by.
pub struct Catalogue {
    /// How many films somebody dealt with in the training part.
    films: usize,
    /// What it tells to see a film, in bits; see [`Figures::novelty`].
    bits: Vec<f64>,
}

impl Catalogue {
    /// That of `train`.
    #[must_use]
    pub fn new(train: &Interactions) -> Self {
        let counts = train.counts();
        let users = train.users().max(1) as f64;
        Self {
            films: counts.iter().filter(|count| **count > 0).count(),
            bits: counts
                .iter()
                .map(|count| (users / f64::from((*count).max(1))).log2())
                .collect(),
        }
    }
}

/// What a model's lists are worth, in the mean over users with films held out.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// At each length asked for.
    pub at: Vec<AtLength>,
    /// Of [`Cohort::ALL`]: how many users, and their figures at each length.
    pub cohorts: [(usize, Vec<AtLength>); 3],
    /// The share of the films that somebody dealt with in training which are among anybody's first 50.
    pub coverage: f64,
    /// The mean self-information, −log₂ of the share of users who dealt with it in training, of films
    /// among the first 50: Zhou et al., *Solving the Apparent Diversity-Accuracy Dilemma*, PNAS 2010.
    pub novelty: f64,
}

impl Figures {
    /// Of `lists`, one a user, by their films in `train` and `held_out`, at each of `lengths`.
    #[must_use]
    pub fn new(
        lists: &[Vec<u32>],
        train: &Interactions,
        held_out: &Interactions,
        catalogue: &Catalogue,
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
                bits += catalogue.bits[*item as usize];
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
            coverage: shown as f64 / catalogue.films.max(1) as f64,
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
    fn one_list_by_hand() {
        // Hits at places 1 and 3 of four, three held out.
        let at = AtLength::new(&[5, 1, 7, 2], &[5, 7, 9], 4);
        assert!(near(at.recall, 2.0 / 3.0));
        assert!(near(at.capped_recall, 2.0 / 3.0));
        let ideal = 1.0 + 1.0 / 3_f64.log2() + 0.5;
        assert!(near(at.ndcg, 1.5 / ideal));
        assert!(near(at.average_precision, (1.0 + 2.0 / 3.0) / 3.0));
    }

    #[test]
    fn a_list_shorter_than_what_is_held_out_can_be_perfect_by_capped_recall_and_ndcg_alone() {
        let at = AtLength::new(&[5, 7, 1], &[5, 7, 9], 2);
        assert!(near(at.recall, 2.0 / 3.0));
        assert!(near(at.capped_recall, 1.0));
        assert!(near(at.ndcg, 1.0));
        assert!(near(at.average_precision, 1.0));
    }

    #[test]
    fn the_best_that_are_not_known_are_ranked_and_of_equals_the_lower_column() {
        let history = History {
            items: &[1, 4],
            weights: &[1.0, 1.0],
        };
        let ranked = rank(&[0.5, 9.0, 2.0, 0.5, 8.0, 1.0], history, 3);
        assert_eq!(ranked, [(2, 2.0), (5, 1.0), (0, 0.5)]);
        assert_eq!(rank(&[1.0; 6], history, 100).len(), 4);
    }

    #[test]
    fn figures_are_means_over_users_and_cohorts_part_them() {
        let row = |items: &[u32]| items.iter().map(|item| (*item, 1.0)).collect::<Vec<_>>();
        let many: Vec<u32> = (0..25).collect();
        let train =
            Interactions::from_rows(30, [row(&[0]), row(&many), row(&[0, 1])]).expect("in range");
        let held =
            Interactions::from_rows(30, [row(&[1]), row(&[26]), row(&[])]).expect("in range");
        let lists = [vec![1, 2], vec![25, 26], vec![]];
        let figures = Figures::new(&lists, &train, &held, &Catalogue::new(&train), &[1, 2]);
        assert!(near(figures.at[0].recall, 0.5));
        assert!(near(figures.at[1].recall, 1.0));
        assert!(near(figures.at[1].ndcg, (1.0 + 1.0 / 3_f64.log2()) / 2.0));
        let [new, light, heavy] = &figures.cohorts;
        assert_eq!((new.0, light.0, heavy.0), (1, 1, 0));
        assert!(near(new.1[0].recall, 1.0) && near(light.1[0].recall, 0.0));
        // Four films shown of 25 that anybody dealt with; two of them by one user of three, one by
        // two, and those nobody dealt with count as by one.
        assert!(near(figures.coverage, 4.0 / 25.0));
        let bits = 1.5_f64.log2() + 3.0 * 3_f64.log2();
        assert!(near(figures.novelty, bits / 4.0));
    }
}
