//! Sets of rules: checked, put with a version, and tried out.

use chassis::{clock::Clock, problem::FieldError};
use sqlx::PgPool;

use crate::rules::{RuleDraft, RuleSet, RuleType, Weights, repository};

/// The largest weight of a rule, either way.
pub const MOST_WEIGHT: f64 = 10.0;
/// The longest name, in characters.
const LONGEST_NAME: usize = 100;
/// The longest note, in characters.
const LONGEST_NOTE: usize = 1000;

/// Why rules were not put.
#[derive(Debug, thiserror::Error)]
pub enum RuleSetError {
    /// Fields are wrong.
    #[error("invalid rules")]
    Invalid(Vec<FieldError>),
    /// Somebody else put rules meanwhile.
    #[error("version {known} is in force, not {expected}")]
    Outdated {
        /// The version in force.
        known: i64,
        /// The one that was meant.
        expected: i64,
    },
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Puts sets of rules; cheap to clone.
#[derive(Clone)]
pub struct RuleSets {
    pool: PgPool,
    clock: Clock,
}

impl RuleSets {
    /// Keeps them in `pool`.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// A part of all sets, the newest first, and how many there are.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(&self, offset: i64, limit: i64) -> sqlx::Result<(Vec<RuleSet>, i64)> {
        repository::list_sets(&self.pool, offset, limit).await
    }

    /// Puts `rules` in the place of all that are. With `expected`, only where that version is in force.
    ///
    /// # Errors
    /// As [`RuleSetError`] says; nothing has changed.
    pub async fn put(
        &self,
        mut rules: Vec<RuleDraft>,
        note: String,
        created_by: Option<String>,
        expected: Option<i64>,
    ) -> Result<RuleSet, RuleSetError> {
        let mut errors = check(&rules);
        if note.chars().count() > LONGEST_NOTE || note.contains('\0') {
            let message = format!("must be at most {LONGEST_NOTE} characters without NUL");
            errors.push(FieldError::new("note", message));
        }
        if !errors.is_empty() {
            return Err(RuleSetError::Invalid(errors));
        }
        rules.sort_by_key(|rule| order(rule.rule_type));
        let mut transaction = self.pool.begin().await?;
        let known = repository::lock_version(&mut transaction).await?;
        if let Some(expected) = expected.filter(|expected| *expected != known) {
            return Err(RuleSetError::Outdated { known, expected });
        }
        let set = RuleSet {
            version: known + 1,
            rules,
            note,
            created_by,
            created_at: self.clock.now(),
        };
        repository::put(&mut transaction, &set).await?;
        transaction.commit().await?;
        Ok(set)
    }
}

/// In the order of their names, as `/rules` lists them.
fn order(rule_type: RuleType) -> u8 {
    match rule_type {
        RuleType::GenreMatch => 0,
        RuleType::Popularity => 1,
        RuleType::Recency => 2,
    }
}

/// What is wrong with `rules`.
#[must_use]
pub fn check(rules: &[RuleDraft]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if rules.is_empty() {
        errors.push(FieldError::new("rules", "must name at least one rule"));
    }
    let mut seen = Vec::new();
    // There are only so many types: what comes after has been named already.
    for (index, rule) in rules.iter().enumerate().take(10) {
        let field = |name: &str| format!("rules[{index}].{name}");
        if !is_name(&rule.name) {
            errors.push(FieldError::new(field("name"), NAME_RULE));
        }
        errors.extend(check_weight(field("weight"), rule.weight));
        if seen.contains(&rule.rule_type) {
            errors.push(FieldError::new(field("rule_type"), "must be named once"));
        }
        seen.push(rule.rule_type);
    }
    errors
}

/// What a name must be.
pub const NAME_RULE: &str = "must be 1 to 100 characters, none of them a control character";

/// Whether `name` can be one.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let length = name.trim().chars().count();
    (1..=LONGEST_NAME).contains(&length)
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(char::is_control)
}

/// What is wrong with a rule's `weight`, of the name `field`.
#[must_use]
pub fn check_weight(field: String, weight: f64) -> Option<FieldError> {
    let is_sane = weight.is_finite() && weight.abs() <= MOST_WEIGHT;
    (!is_sane).then(|| {
        let message = format!("must be a number from -{MOST_WEIGHT} to {MOST_WEIGHT}");
        FieldError::new(field, message)
    })
}

/// What is wrong with `weights`, of the name `field`.
#[must_use]
pub fn check_weights(field: &str, weights: Weights) -> Vec<FieldError> {
    [
        ("popularity", weights.popularity),
        ("recency", weights.recency),
        ("genre_match", weights.genre_match),
    ]
    .into_iter()
    .filter_map(|(name, weight)| check_weight(format!("{field}.{name}"), weight))
    .collect()
}
