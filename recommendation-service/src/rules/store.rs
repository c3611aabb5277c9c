//! The versions of the rules: validated and stored.

use chassis::{clock::Clock, problem::FieldError};
use sqlx::PgPool;

use crate::rules::{RuleDraft, RuleSet, Weights, repository};

/// The largest absolute weight of a rule.
pub const MAX_WEIGHT: f64 = 10.0;
/// The longest name, in characters.
const MAX_NAME_LENGTH: usize = 100;
/// The longest note, in characters.
const MAX_NOTE_LENGTH: usize = 1000;

/// The reasons for which rules are not stored.
#[derive(Debug, thiserror::Error)]
pub enum RuleSetError {
    /// Fields are invalid.
    #[error("invalid rules")]
    Invalid(Vec<FieldError>),
    /// Another version is in force than the one that the rules should follow.
    #[error("version {known} is in force, not {expected}")]
    Outdated {
        /// The version in force.
        known: i64,
        /// The version that they should follow.
        expected: i64,
    },
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The versions of the rules; cheap to clone.
#[derive(Clone)]
pub struct RuleSets {
    pool: PgPool,
    clock: Clock,
}

impl RuleSets {
    /// The versions in `pool`.
    #[must_use]
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// A page of all versions, newest first, and their number.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if Postgres is unreachable.
    #[tracing::instrument(name = "service.rules.list", level = "debug", skip(self))]
    pub async fn list(&self, offset: i64, limit: i64) -> sqlx::Result<(Vec<RuleSet>, i64)> {
        repository::list_sets(&self.pool, offset, limit).await
    }

    /// Replaces all rules by `rules`; with `expected`, only if that version is in force.
    ///
    /// # Errors
    /// As [`RuleSetError`] says; then nothing has changed.
    #[tracing::instrument(
        name = "service.rules.put",
        level = "debug",
        skip_all,
        err(level = "debug")
    )]
    pub async fn put(
        &self,
        mut rules: Vec<RuleDraft>,
        note: String,
        created_by: Option<String>,
        expected: Option<i64>,
    ) -> Result<RuleSet, RuleSetError> {
        let mut errors = check(&rules);
        if note.chars().count() > MAX_NOTE_LENGTH || note.contains('\0') {
            let message = format!("must be at most {MAX_NOTE_LENGTH} characters without NUL");
            errors.push(FieldError::new("note", message));
        }
        if !errors.is_empty() {
            return Err(RuleSetError::Invalid(errors));
        }
        // Types are declared in alphabetical order.
        rules.sort_by_key(|rule| rule.rule_type as u8);
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

/// The errors of `rules`.
#[must_use]
pub fn check(rules: &[RuleDraft]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if rules.is_empty() {
        errors.push(FieldError::new("rules", "must name at least one rule"));
    }
    let mut seen = Vec::new();
    // Ten rules suffice: there are three types, so a duplicate has been reported by then.
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

/// The rule that a name must follow.
pub const NAME_RULE: &str = "must be 1 to 100 characters, none of them a control character";

/// True if `name` is valid.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let length = name.trim().chars().count();
    (1..=MAX_NAME_LENGTH).contains(&length)
        && name.chars().count() <= MAX_NAME_LENGTH
        && !name.chars().any(char::is_control)
}

/// The error of a rule's `weight`, if any, for the field `field`.
#[must_use]
pub fn check_weight(field: String, weight: f64) -> Option<FieldError> {
    let is_sane = weight.is_finite() && weight.abs() <= MAX_WEIGHT;
    (!is_sane).then(|| {
        let message = format!("must be a number from -{MAX_WEIGHT} to {MAX_WEIGHT}");
        FieldError::new(field, message)
    })
}

/// The errors of `weights`, for fields below `field`.
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
