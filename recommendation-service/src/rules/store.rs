//! The versions of the rules: validated and stored.

use chassis::{
    clock::Clock,
    validate::{FieldError, Validator},
};
use sqlx::PgPool;

use crate::rules::{RuleDraft, RuleSet, Weights, repository};

/// The range of weights of a rule.
const WEIGHTS: std::ops::RangeInclusive<f64> = -10.0..=10.0;
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
    pub fn new(pool: PgPool, clock: Clock) -> Self {
        Self { pool, clock }
    }

    /// A page of all versions, newest first, and their number.
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
        let mut check = Validator::default();
        check_rules(&mut check, &rules);
        check.require(
            note.chars().count() <= MAX_NOTE_LENGTH && !note.contains('\0'),
            "note",
            format!("must be at most {MAX_NOTE_LENGTH} characters without NUL"),
        );
        check.finish(()).map_err(RuleSetError::Invalid)?;
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

/// Checks `rules`.
pub fn check_rules(check: &mut Validator, rules: &[RuleDraft]) {
    check.require(!rules.is_empty(), "rules", "must name at least one rule");
    // Ten rules suffice: there are three types, so a duplicate has been reported by then.
    for (index, rule) in rules.iter().enumerate().take(10) {
        let field = |name: &str| format!("rules[{index}].{name}");
        check.require(is_name(&rule.name), field("name"), NAME_RULE);
        check.number(&field("weight"), Some(rule.weight), WEIGHTS);
        let mut before = rules[..index].iter();
        let is_first = before.all(|one| one.rule_type != rule.rule_type);
        check.require(is_first, field("rule_type"), "must be named once");
    }
}

/// The rule that a name must follow.
pub const NAME_RULE: &str = "must be 1 to 100 characters, none of them a control character";

/// True if `name` is valid.
pub fn is_name(name: &str) -> bool {
    let length = name.trim().chars().count();
    (1..=MAX_NAME_LENGTH).contains(&length)
        && name.chars().count() <= MAX_NAME_LENGTH
        && !name.chars().any(char::is_control)
}

/// Checks `weights`, whose fields are below `field`.
pub fn check_weights(check: &mut Validator, field: &str, weights: Weights) {
    for (name, weight) in [
        ("popularity", weights.popularity),
        ("recency", weights.recency),
        ("genre_match", weights.genre_match),
    ] {
        check.number(&format!("{field}.{name}"), Some(weight), WEIGHTS);
    }
}
