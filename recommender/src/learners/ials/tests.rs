use proptest::prelude::*;

use super::*;
use crate::testing::{contributions_add_up, interactions, on_threads, tastes};

fn settings() -> IalsSettings {
    IalsSettings {
        dimensions: 8,
        regularization: 0.02,
        ..IalsSettings::default()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

/// The objective as it is defined above.
fn objective(all: &Interactions, s: &IalsSettings, users: &[f32], items: &[f32]) -> f64 {
    let rows = |vectors: &[f32]| -> Vec<Vec<f32>> {
        vectors.chunks(s.dimensions).map(<[f32]>::to_vec).collect()
    };
    let (users, items) = (rows(users), rows(items));
    let ridge = |all: &Interactions, vectors: &[Vec<f32>]| -> f64 {
        all.histories()
            .zip(vectors)
            .map(|(history, vector)| {
                let frequency = history.len() as f64 + s.unobserved_weight * all.items() as f64;
                frequency.powf(s.frequency_exponent) * dot(vector, vector)
            })
            .sum()
    };
    let mut sum = s.regularization * (ridge(all, &users) + ridge(&all.transpose(), &items));
    for (history, user) in all.histories().zip(&users) {
        for item in &items {
            sum += s.unobserved_weight * dot(user, item).powi(2);
        }
        for (item, weight) in history.iter() {
            sum += f64::from(weight) * (dot(user, &items[item as usize]) - 1.0).powi(2);
        }
    }
    sum
}

#[test]
fn every_epoch_lowers_the_objective() {
    let all = tastes(80, 40);
    let mut values = Vec::new();
    Ials::fit_watched(&all, &settings(), |_, users, items| {
        values.push(objective(&all, &settings(), users, items));
    })
    .expect("fits");
    assert_eq!(values.len(), settings().epochs);
    assert!(
        values.is_sorted_by(|before, after| after < before),
        "{values:?}"
    );
}

#[test]
fn folding_in_reproduces_the_fitted_user_factor() {
    let all = tastes(80, 40);
    let many = IalsSettings {
        epochs: 60,
        ..settings()
    };
    let mut fitted = Vec::new();
    let ials = Ials::fit_watched(&all, &many, |_, users, _| fitted = users.to_vec()).expect("fits");
    for (user, vector) in fitted.chunks(8).enumerate() {
        let folded = ials.fold_in(all.history(user));
        let away: Vec<f32> = folded.iter().zip(vector).map(|(a, b)| a - b).collect();
        let part = (dot(&away, &away) / dot(vector, vector)).sqrt();
        assert!(part < 0.02, "user {user} is {part} away");
    }
}

#[test]
fn items_of_the_users_taste_score_higher() {
    let all = tastes(80, 40);
    let ials = Ials::fit(&all, &settings()).expect("fits");
    let newcomer = History {
        items: &[0, 2, 4],
        weights: &[1.0; 3],
    };
    let mut scores = vec![0.0; 40];
    ials.score(newcomer, &mut scores);
    let mean = |odd: usize| scores.iter().skip(6 + odd).step_by(2).sum::<f32>() / 17.0;
    assert!(mean(0) > 2.0 * mean(1), "{} {}", mean(0), mean(1));
}

#[test]
fn the_result_depends_on_the_seed_but_not_on_the_number_of_threads() {
    let all = tastes(80, 40);
    let fit = |seed| {
        let settings = IalsSettings { seed, ..settings() };
        Ials::fit(&all, &settings).expect("fits")
    };
    assert!(on_threads(1, || fit(1)) == on_threads(3, || fit(1)));
    assert!(fit(1).factors != fit(2).factors);
}

#[test]
fn settings_out_of_range_are_rejected() {
    let all = tastes(4, 4);
    let with = |change: fn(&mut IalsSettings)| {
        let mut settings = settings();
        change(&mut settings);
        Ials::fit(&all, &settings)
    };
    assert!(with(|s| s.dimensions = 0).is_err());
    assert!(with(|s| s.epochs = 0).is_err());
    assert!(with(|s| s.regularization = 0.0).is_err());
    assert!(with(|s| s.unobserved_weight = f64::NAN).is_err());
}

#[test]
fn similar_items_are_those_of_the_same_taste() {
    let all = tastes(80, 40);
    let ials = Ials::fit(&all, &settings()).expect("fits");
    let ease = crate::Ease::fit(&all, &Default::default()).expect("fits");
    for scorer in [&ials as &dyn Scorer, &ease] {
        let similar = scorer.similar(4, 10);
        assert_eq!(similar.len(), 10);
        assert!(similar.iter().all(|(film, _)| film % 2 == 0 && *film != 4));
        assert!(similar.is_sorted_by(|a, b| a.1 >= b.1));
        assert!(scorer.similar(40, 10).is_empty());
    }
    let similarity = |one, other| ials.similarity(one, other).expect("both are known");
    assert!((similarity(4, 4) - 1.0).abs() < 1e-5);
    assert!(similarity(4, 6) > similarity(4, 7));
    assert_eq!(ials.similarity(4, 40), None);
}

proptest! {
    #[test]
    fn contributions_add_up_to_the_score(all in interactions()) {
        let ials = Ials::fit(&all, &settings()).expect("fits");
        contributions_add_up(&ials, &all)?;
    }
}
