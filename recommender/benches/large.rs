//! EASE over a generated set of 60,000 films: time and peak memory of the fit, size of the model, latency of scores with
//! explanations for histories of 200 films, and NDCG@20 among the dense items beside EASE on these alone.
//!
//! `cargo bench -p recommender --bench large`; LARGE_FILMS and LARGE_USERS set other numbers, LARGE_COMPARE=0 leaves
//! the comparison out, which fits a second time.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on should say where, and it is read by people"
)]

use std::{hint::black_box, time::Instant};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};
use recommender::{
    Ease, EaseSettings, History, Interactions, Scorer,
    evaluation::{metrics::AtLength, process_memory_mib},
    rank::{top_k, top_k_unseen},
};

const TASTES: u32 = 40;

fn number(name: &str, default: u32) -> u32 {
    let given = std::env::var(name).ok();
    given.map_or(default, |value| value.parse().unwrap())
}

/// A number below `end`, small ones more often.
fn skewed(random: &mut ChaCha8Rng, end: u32) -> u32 {
    let uniform = f64::from(random.next_u32()) / 4_294_967_296.0;
    (uniform.powi(3) * f64::from(end)) as u32
}

/// A user with 10 to 149 films, two thirds of them from one of 40 tastes; a fifth is held out.
fn user(random: &mut ChaCha8Rng, films: u32) -> [Vec<(u32, f32)>; 2] {
    let taste = random.next_u32() % TASTES;
    let mut all: Vec<(u32, f32)> = (0..10 + skewed(random, 140))
        .map(|_| match random.next_u32() % 3 {
            0 => skewed(random, films),
            _ => skewed(random, films / TASTES) * TASTES + taste,
        })
        .map(|film| (film, 1.0))
        .collect();
    let held_out = all.split_off(all.len() * 4 / 5);
    [all, held_out]
}

/// The mean NDCG@20 of every tenth user among the items `listed`.
fn ndcg(
    scorer: &dyn Scorer,
    train: &Interactions,
    held_out: &Interactions,
    listed: &[bool],
) -> f64 {
    let mut scores = vec![0.0; scorer.items()];
    let (mut sum, mut users) = (0.0, 0);
    for user in (0..train.users()).step_by(10) {
        let known = train.history(user);
        let wanted = held_out.history(user).items.iter().copied();
        let wanted: Vec<u32> = wanted
            .filter(|item| listed[*item as usize] && known.items.binary_search(item).is_err())
            .collect();
        if wanted.is_empty() {
            continue;
        }
        scorer.score(known, &mut scores);
        for (score, listed) in scores.iter_mut().zip(listed) {
            if !listed {
                *score = f32::MIN;
            }
        }
        let list = top_k_unseen(&scores, known, 20);
        let list: Vec<u32> = list.into_iter().map(|(item, _)| item).collect();
        sum += AtLength::new(&list, &wanted, 20).ndcg;
        users += 1;
    }
    sum / f64::from(users)
}

fn latencies(ease: &Ease, films: u32) {
    let random = &mut ChaCha8Rng::seed_from_u64(7);
    let mut scores = vec![0.0; ease.items()];
    let mut times: Vec<f64> = (0..500)
        .map(|_| {
            let mut items: Vec<u32> = (0..260).map(|_| skewed(random, films)).collect();
            items.sort_unstable();
            items.dedup();
            items.truncate(200);
            let weights = vec![1.0; items.len()];
            let history = History {
                items: &items,
                weights: &weights,
            };
            let start = Instant::now();
            ease.score(history, &mut scores);
            let best = top_k(&scores, 50, |_, _| true);
            let best: Vec<u32> = best.into_iter().map(|(item, _)| item).collect();
            black_box(ease.explain_all(history, &best));
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    println!(
        "histories of 200 films, scores and 50 explanations: p50 {:.2} ms, p99 {:.2} ms",
        times[250], times[495]
    );
    let start = Instant::now();
    for item in (0..films).step_by((films / 100).max(1) as usize) {
        black_box(ease.similar(item, 20));
    }
    println!(
        "similar films: {:.2} ms",
        start.elapsed().as_secs_f64() * 10.0
    );
}

fn main() {
    let films = number("LARGE_FILMS", 60_000);
    let random = &mut ChaCha8Rng::seed_from_u64(1);
    let users = (0..number("LARGE_USERS", 150_000)).map(|_| user(random, films));
    let (rows, held_out): (Vec<_>, Vec<_>) = users.map(<[_; 2]>::into).unzip();
    let train = Interactions::from_rows(films as usize, rows).unwrap();
    let held_out = Interactions::from_rows(films as usize, held_out).unwrap();
    let settings = EaseSettings::default();
    println!(
        "{} users, {films} films, {} interactions; {} dense items, {} neighbors; {} MiB before",
        train.users(),
        train.len(),
        settings.max_items,
        settings.neighbors,
        process_memory_mib("VmRSS:").unwrap_or_default()
    );
    let start = Instant::now();
    let ease = Ease::fit(&train, &settings).unwrap();
    println!(
        "fit: {:.1} s, peak {} MiB; {} films have weights; {} MiB after",
        start.elapsed().as_secs_f64(),
        process_memory_mib("VmHWM:").unwrap_or_default(),
        ease.covered(),
        process_memory_mib("VmRSS:").unwrap_or_default()
    );
    latencies(&ease, films);
    if number("LARGE_COMPARE", 1) == 0 {
        return;
    }
    let alone = EaseSettings {
        neighbors: 0,
        ..settings
    };
    let start = Instant::now();
    let alone = Ease::fit(&train, &alone).unwrap();
    println!(
        "fit of the dense items alone: {:.1} s",
        start.elapsed().as_secs_f64()
    );
    let counts = train.counts();
    let mut ranked: Vec<usize> = (0..counts.len()).collect();
    ranked.sort_by_key(|item| (std::cmp::Reverse(counts[*item]), *item));
    let mut head = vec![false; counts.len()];
    for item in ranked.into_iter().take(settings.max_items) {
        head[item] = true;
    }
    let all = vec![true; counts.len()];
    for (name, listed) in [("dense items", &head), ("all films", &all)] {
        println!(
            "NDCG@20 among {name}: {:.4}, of EASE on the dense items alone {:.4}",
            ndcg(&ease, &train, &held_out, listed),
            ndcg(&alone, &train, &held_out, listed)
        );
    }
}
