//! Data and checks shared by the tests of several models.

use proptest::{prelude::*, test_runner::TestCaseError};

use crate::{Interactions, Scorer};

/// An interaction matrix with one row per user; every weight is 1.
pub(super) fn matrix(items: usize, rows: &[&[u32]]) -> Interactions {
    let rows = rows.iter().map(|row| row.iter().map(|item| (*item, 1.0)));
    Interactions::from_rows(items, rows).expect("in range")
}

/// Users of two tastes, who interact with two films of three of the even or the odd ones.
pub(super) fn tastes(users: u32, items: u32) -> Interactions {
    let rows = (0..users).map(|user| {
        let likes =
            move |item: &u32| item % 2 == user % 2 && !(item / 2 + user / 2).is_multiple_of(3);
        (0..items).filter(likes).map(|item| (item, 1.0))
    });
    Interactions::from_rows(items as usize, rows).expect("in range")
}

/// A strategy for small random interaction matrices.
pub(super) fn interactions() -> impl Strategy<Value = Interactions> {
    let one = (0_u32..9, 0.5_f32..3.0);
    prop::collection::vec(prop::collection::vec(one, 0..7), 1..12)
        .prop_map(|rows| Interactions::from_rows(9, rows).expect("in range"))
}

#[cfg(feature = "learners")]
/// Runs `work` on so many threads.
pub(super) fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.expect("threads").install(work)
}

/// Checks that the explanation of every score has a contribution per item of the history, and adds up to the score.
pub(super) fn contributions_add_up(
    scorer: &dyn Scorer,
    all: &Interactions,
) -> Result<(), TestCaseError> {
    let mut scores = vec![0.0; scorer.items()];
    for history in all.histories() {
        scorer.score(history, &mut scores);
        for (item, score) in (0..).zip(&scores) {
            let why = scorer.explain(history, item);
            let known: Vec<u32> = why.contributions.iter().map(|one| one.item).collect();
            prop_assert_eq!(&known, history.items);
            let near = 1e-3 * (1.0 + score.abs());
            prop_assert!(
                (why.total() - score).abs() < near,
                "{} {}",
                why.total(),
                score
            );
        }
    }
    Ok(())
}
