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
fn discounts_equal_a_fit_to_scaled_users_and_items() {
    let all = matrix(3, &[&[0, 1], &[0, 1, 2], &[0], &[0, 2]]);
    let settings = EaseSettings {
        regularization: 2.0,
        user_discount: 0.3,
        item_discount: 0.4,
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
        row[place] += 2.0 * diagonal / 8.0;
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
        ..EaseSettings::plain(1.0)
    };
    let ease = Ease::fit(&all, &settings).expect("fits");
    let mut scores = [9.0; 4];
    ease.score(all.history(0), &mut scores);
    assert!(scores[0] > 0.0 && scores[1] > 0.0, "{scores:?}");
    assert_eq!(scores[2..], [0.0, 0.0]);
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let all = crate::testing::tastes(300, 120);
    let fit = || Ease::fit(&all, &EaseSettings::default()).expect("fits");
    assert!(on_threads(1, fit) == on_threads(3, fit));
}

#[test]
fn settings_out_of_range_are_rejected() {
    let all = matrix(2, &[&[0, 1]]);
    for regularization in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Ease::fit(&all, &EaseSettings::plain(regularization)).is_err());
    }
}

proptest! {
    #[test]
    fn contributions_add_up_to_the_score(all in interactions()) {
        let ease = Ease::fit(&all, &EaseSettings::default()).expect("fits");
        contributions_add_up(&ease, &all)?;
    }
}
