//! Recommender systems on implicit feedback: learners that score every item of a catalogue for one user, their blend,
//! reranking for diversity, offline evaluation, and the mathematics of online experiments.
//!
//! No network, no database, no clock and no global state: interactions, time and random numbers are arguments. Items are
//! columns, numbered from 0; the caller maps them to its own identifiers.
//!
//! # Fit and recommend
//!
//! ```
//! # #[cfg(feature = "learners")] {
//! use std::sync::Arc;
//! use recommender::{
//!     Blend, Ease, EaseSettings, History, Ials, IalsSettings, Interactions, Part, Popularity, Scorer,
//!     rank::top_k_unseen, rerank::diversity::mmr,
//! };
//!
//! // A row per user: items with weights above 0. The two groups of users share no item.
//! let rows = [vec![0, 1], vec![0, 1, 2], vec![1, 2], vec![3, 4], vec![3, 4, 5], vec![4, 5]];
//! let rows = rows.map(|items| items.into_iter().map(|item| (item, 1.0)));
//! let interactions = Interactions::from_rows(6, rows)?;
//!
//! let ease = Ease::fit(&interactions, &EaseSettings::plain(1.0))?;
//! let ials = Ials::fit(&interactions, &IalsSettings { dimensions: 4, ..IalsSettings::default() })?;
//! let part = |scorer: Arc<dyn Scorer>, weight, personal| Part { scorer, weight, personal };
//! let blend = Blend::new(
//!     vec![
//!         part(Arc::new(Popularity::fit(&interactions)), 1.0, false),
//!         part(Arc::new(ease), 0.6, true),
//!         part(Arc::new(ials), 0.4, true),
//!     ],
//!     1.0,
//! )?;
//!
//! // A user who was not in the training data.
//! let history = History { items: &[0, 1], weights: &[1.0, 1.0] };
//! let mut scores = vec![0.0; blend.items()];
//! blend.score(history, &mut scores);
//! let ranked = top_k_unseen(&scores, history, 3);
//! assert_eq!(ranked[0].0, 2);
//!
//! // Contributions add up to the score.
//! let why = blend.explain(history, 2);
//! assert!((why.total() - scores[2]).abs() < 1e-3);
//!
//! let diverse = mmr(&ranked, 0.3, 2, |a, b| blend.similarity(a, b).unwrap_or_default());
//! assert_eq!(diverse.len(), 2);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Evaluate
//!
//! ```
//! # #[cfg(feature = "learners")] {
//! use recommender::{
//!     Popularity, Scorer,
//!     evaluation::{
//!         metrics::{Figures, ItemPopularity, lists},
//!         split::{Dataset, Event, Split},
//!     },
//!     rank::top_k_unseen,
//! };
//!
//! let event = |user, item| Event { user, item, rating: None, weight: 1.0, time: Some(item as i64) };
//! let events = (0..20).flat_map(|user| (0..10).map(move |item| event(user, (user + item) % 12)));
//! let data = Dataset::by_time(events.collect(), Split::default())?;
//!
//! let model = Popularity::fit(&data.train);
//! let score = |history: recommender::History<'_>, scores: &mut [f32]| model.score(history, scores);
//! let top = lists(score, &data.train, &data.train, &data.test, |scores, seen| {
//!     top_k_unseen(scores, seen, 5).into_iter().map(|(item, _)| item).collect()
//! });
//! let popularity = ItemPopularity::new(&data.train);
//! let figures = Figures::new(&top, &data.train, &data.test, &popularity, &[5]);
//! assert!((0.0..=1.0).contains(&figures.at[0].ndcg));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Run an A/B test
//!
//! ```
//! use recommender::experiments::{
//!     assignment::{assign, pick},
//!     confidence_sequence::Verdict,
//!     estimators::TreatmentEffect,
//! };
//!
//! // Planned with 2000 users, half of them treated, at an error of 0.05.
//! let mut effect = TreatmentEffect::new(0.5, 2000.0, 0.05);
//! for user in 0..2000 {
//!     let assigned = assign("salt of the experiment", user);
//!     let (variant, _propensity) = pick(&[0.5, 0.5], assigned.position).expect("weights above 0");
//!     let is_treated = variant == 1;
//!     // One treated user in two has an outcome, and one of the others in ten.
//!     let outcome = if user % if is_treated { 2 } else { 10 } == 0 { 1.0 } else { 0.0 };
//!     effect.push(is_treated, outcome);
//! }
//! // Valid at any time, however often it is looked at.
//! let interval = effect.interval(0.05).expect("users");
//! assert_eq!(Verdict::of(interval), Verdict::Better);
//! ```

#[cfg(feature = "learners")]
pub mod base;
pub mod blend;
pub mod content;
#[cfg(feature = "learners")]
pub mod evaluation;
pub mod experiments;
pub mod interactions;
pub mod learners;
#[cfg(feature = "learners")]
pub mod model_file;
#[cfg(feature = "learners")]
pub mod movielens;
pub mod projected;
pub mod rank;
pub mod rerank;
pub mod scorer;
pub mod standardize;
pub mod taste;
#[cfg(test)]
#[cfg_attr(
    not(feature = "learners"),
    expect(dead_code, reason = "most of it is for tests of learners")
)]
mod testing;
pub mod trained;

pub use blend::{Blend, Part};
pub use interactions::{History, InteractionError, Interactions};
#[cfg(feature = "learners")]
pub use learners::{Ease, EaseSettings, Ials, IalsSettings, Spectral, SpectralSettings};
pub use learners::{FitError, Popularity};
pub use projected::Projected;
pub use scorer::{Contribution, Explanation, Scorer};
pub use standardize::{Standardization, add_standardized, standardize};
pub use trained::{ModelName, TrainedModel, TrainedModels};
