//! The rules: popularity, recency and genre match, each with a weight that administrators set. [`score`] computes
//! them, [`store`] validates and stores versions of them.

pub mod repository;
pub mod rule;
pub mod score;
pub mod store;

pub use rule::{Rule, RuleDraft, RuleSet, RuleType, Weights};
