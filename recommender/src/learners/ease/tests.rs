use proptest::prelude::*;

use super::*;
use crate::testing::{contributions_add_up, interactions, matrix, on_threads};

/// The inverse by Gauss–Jordan elimination.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let size = matrix.len();
    for (row, values) in matrix.iter_mut().enumerate() {
        values.extend((0..size).map(|column| f64::from(u8::from(row == column))));
    }
    for pivot in 0..size {
        let scale = matrix[pivot][pivot];
        matrix[pivot].iter_mut().for_each(|value| *value /= scale);
        let line = matrix[pivot].clone();
        for (row, values) in matrix.iter_mut().enumerate() {
            let factor = if row == pivot { 0.0 } else { values[pivot] };
            for (value, other) in values.iter_mut().zip(&line) {
                *value -= factor * other;
            }
        }
    }
    matrix.into_iter().map(|row| row[size..].to_vec()).collect()
}

#[test]
fn weights_match_the_closed_form_with_a_zero_diagonal() {
    let all = matrix(4, &[&[0, 1], &[0, 1, 2], &[1, 2], &[0, 3], &[3]]);
    let ease = Ease::fit(&all, &EaseSettings::plain(0.7)).expect("fits");
    let mut gram = vec![vec![0.0; 4]; 4];
    for history in all.histories() {
        for a in history.items {
            for b in history.items {
                gram[*a as usize][*b as usize] += 1.0;
            }
        }
    }
    for (place, row) in gram.iter_mut().enumerate() {
        row[place] += 0.7;
    }
    let p = inverse(gram);
    for (from, row) in p.iter().enumerate() {
        for (to, value) in row.iter().enumerate() {
            let wanted = if from == to { 0.0 } else { -value / p[to][to] };
            let weight = f64::from(ease.weight(from as u32, to as u32));
            assert!(
                (weight - wanted).abs() < 1e-6,
                "{from} {to}: {weight} {wanted}"
            );
        }
    }
}

#[test]
fn discounts_and_dropout_equal_a_fit_to_scaled_users_and_items() {
    let all = matrix(3, &[&[0, 1], &[0, 1, 2], &[0], &[0, 2]]);
    let settings = EaseSettings {
        regularization: 2.0,
        user_discount: 0.3,
        item_discount: 0.4,
        dropout: 0.25,
        ..EaseSettings::default()
    };
    let ease = Ease::fit(&all, &settings).expect("fits");
    let counts = [4.0, 2.0, 2.0_f64];
    let scale = counts.map(|count| (count / (8.0 / 3.0)).powf(-0.4));
    let mut gram = vec![vec![0.0; 3]; 3];
    for history in all.histories() {
        let share = (history.len() as f64).powf(-0.6);
        for a in history.items.iter().map(|a| *a as usize) {
            for b in history.items.iter().map(|b| *b as usize) {
                gram[a][b] += share * scale[a] * scale[b];
            }
        }
    }
    let diagonal: f64 = (0..3).map(|place| gram[place][place]).sum();
    for (place, row) in gram.iter_mut().enumerate() {
        // p / (1 − p) = 1 / 3.
        row[place] += row[place] / 3.0 + 2.0 * diagonal / 8.0;
    }
    let p = inverse(gram);
    for (from, to) in [(0, 1), (1, 0), (2, 1), (0, 2)] {
        let wanted = -scale[from] * p[from][to] / p[to][to];
        let weight = f64::from(ease.weight(from as u32, to as u32));
        assert!(
            (weight - wanted).abs() < 1e-6,
            "{from} {to}: {weight} {wanted}"
        );
    }
}

#[test]
fn items_that_are_not_covered_score_0() {
    let all = matrix(4, &[&[0, 1, 2], &[0, 1], &[0, 1], &[0, 2]]);
    let settings = EaseSettings {
        max_items: 2,
        neighbors: 0,
        ..EaseSettings::plain(1.0)
    };
    let ease = Ease::fit(&all, &settings).expect("fits");
    assert_eq!(ease.covered(), 2);
    let mut scores = [9.0; 4];
    ease.score(all.history(0), &mut scores);
    assert!(scores[0] > 0.0 && scores[1] > 0.0, "{scores:?}");
    assert_eq!(scores[2..], [0.0, 0.0]);
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let all = crate::testing::tastes(300, 120);
    for settings in [EaseSettings::default(), mostly_sparse(40, 12)] {
        let fit = || Ease::fit(&all, &settings).expect("fits");
        assert!(on_threads(1, fit) == on_threads(3, fit));
    }
}

fn mostly_sparse(max_items: usize, neighbors: usize) -> EaseSettings {
    EaseSettings {
        max_items,
        neighbors,
        ..EaseSettings::default()
    }
}

#[test]
fn the_size_of_batches_does_not_change_the_result() {
    let all = crate::testing::tastes(300, 120);
    let fit = |bytes| Ease::fit_in_batches(&all, &mostly_sparse(40, 12), bytes).expect("fits");
    assert!(fit(1) == fit(1 << 20));
}

#[test]
fn items_beyond_the_dense_ones_are_scored_and_count_in_histories() {
    let all = crate::testing::tastes(300, 120);
    let settings = mostly_sparse(40, 30);
    let ease = Ease::fit(&all, &settings).expect("fits");
    assert_eq!(ease.covered(), 120);
    let sparse: Vec<u32> = (0..120)
        .filter(|item| ease.place(*item).is_none())
        .collect();
    assert_eq!(sparse.len(), 80);
    for item in sparse {
        let history = crate::History {
            items: &[item],
            weights: &[1.0],
        };
        let mut scores = vec![0.0; 120];
        ease.score(history, &mut scores);
        let mean = |parity: u32| {
            let same = (0..120).filter(|other| other % 2 == parity && *other != item);
            same.map(|other| scores[other as usize]).sum::<f32>() / 59.0
        };
        assert!(mean(item % 2) > mean(1 - item % 2) + 1e-3, "{item}");
        let similar = ease.similar(item, 5);
        assert!(similar.len() == 5 && similar.iter().all(|(other, _)| other % 2 == item % 2));
    }
}

#[test]
fn sparse_weights_of_another_shape_are_rejected() {
    let sparse = |starts: &[u64], targets: &[u32], weights: &[f32]| {
        let ease = Ease::from_weights(3, vec![0], vec![0.0]).expect("sound");
        ease.with_sparse(SparseWeights {
            starts: starts.to_vec(),
            targets: targets.to_vec(),
            weights: weights.to_vec(),
        })
    };
    assert!(sparse(&[], &[], &[]).is_ok());
    let ease = sparse(&[0, 2, 2, 3], &[1, 2, 0], &[0.5, 0.25, 2.0]).expect("sound");
    assert_eq!(
        [ease.weight(0, 2), ease.weight(2, 0), ease.weight(1, 0)],
        [0.25, 2.0, 0.0]
    );
    for (starts, targets, weights) in [
        (&[][..], &[1][..], &[1.0][..]),
        (&[0, 1], &[1], &[1.0]),
        (&[1, 1, 1, 1], &[1], &[1.0]),
        (&[0, 2, 1, 1], &[1], &[1.0]),
        (&[0, u64::MAX, 1, 1], &[1], &[1.0]),
        (&[0, 1, 1, 1], &[3], &[1.0]),
        (&[0, 2, 2, 2], &[2, 1], &[1.0, 1.0]),
        (&[0, 2, 2, 2], &[1, 1], &[1.0, 1.0]),
        (&[0, 1, 1, 1], &[1], &[f32::NAN]),
        (&[0, 1, 1, 1], &[1], &[]),
    ] {
        assert!(
            sparse(starts, targets, weights).is_err(),
            "{starts:?} {targets:?}"
        );
    }
}

#[test]
fn settings_out_of_range_are_rejected() {
    let all = matrix(2, &[&[0, 1]]);
    for regularization in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Ease::fit(&all, &EaseSettings::plain(regularization)).is_err());
    }
    for dropout in [-0.1, 1.0, f64::NAN] {
        let settings = EaseSettings {
            dropout,
            ..EaseSettings::default()
        };
        assert!(Ease::fit(&all, &settings).is_err());
    }
}

proptest! {
    #[test]
    fn contributions_add_up_to_the_score(all in interactions()) {
        let ease = Ease::fit(&all, &EaseSettings::default()).expect("fits");
        contributions_add_up(&ease, &all)?;
    }

    #[test]
    fn contributions_of_sparse_weights_add_up_to_the_score(
        all in interactions(),
        max_items in 0_usize..9,
        neighbors in 0_usize..9,
    ) {
        let ease = Ease::fit(&all, &mostly_sparse(max_items, neighbors)).expect("fits");
        contributions_add_up(&ease, &all)?;
    }

    #[test]
    fn scores_are_explained_together_as_one_by_one(
        all in interactions(),
        items in prop::collection::vec(0_u32..9, 0..12),
        max_items in 0_usize..9,
        neighbors in 0_usize..9,
    ) {
        let ease = Ease::fit(&all, &mostly_sparse(max_items, neighbors)).expect("fits");
        for history in all.histories() {
            let one_by_one: Vec<_> = items.iter().map(|item| ease.explain(history, *item)).collect();
            prop_assert_eq!(ease.explain_all(history, &items), one_by_one);
        }
    }

    /// With no dense item each is regressed on all others; with one item beyond them the inverse is that of a block matrix.
    #[test]
    fn sparse_weights_equal_dense_ones_where_all_items_are_neighbors(
        all in interactions(),
        regularization in 0.5_f64..50.0,
    ) {
        let rows = all.histories().map(|history| history.iter().collect::<Vec<_>>());
        let every = vec![(0..9).map(|item| (item, 1.0)).collect::<Vec<_>>()];
        let all = Interactions::from_rows(9, rows.chain(every)).expect("in range");
        let fit = |max_items| {
            let settings = EaseSettings { regularization, ..mostly_sparse(max_items, 9) };
            Ease::fit(&all, &settings).expect("fits")
        };
        let dense = fit(9);
        for max_items in [0, 8] {
            let sparse = fit(max_items);
            for (from, to) in (0..81).map(|pair| (pair / 9, pair % 9)) {
                let (own, wanted) = (sparse.weight(from, to), dense.weight(from, to));
                prop_assert!((own - wanted).abs() < 1e-3, "{from} {to}: {own} {wanted}");
            }
        }
    }
}
