//! The rules by which films are scored.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RuleType {
    /// How many of the film's genres the user prefers.
    GenreMatch,
    /// How popular the film is among those that could be recommended.
    Popularity,
    /// How lately the film was released.
    Recency,
}

/// A rule and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Rule {
    /// Its id.
    #[schema(example = 1)]
    pub id: i64,
    /// Its name.
    #[schema(example = "Popularity Score")]
    pub name: String,
    /// What a film that fulfils it wholly gains.
    #[schema(example = 0.4)]
    pub weight: f64,
    /// What it looks at.
    pub rule_type: RuleType,
    /// Whether it counts.
    #[schema(example = true)]
    pub is_active: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// The weights of the active rules; 0 for a rule that is not active.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weights {
    /// Of popularity.
    pub popularity: f64,
    /// Of recency.
    pub recency: f64,
    /// Of the match of genres.
    pub genre_match: f64,
}

impl Weights {
    /// The weights of those of `rules` that are active.
    #[must_use]
    pub fn of(rules: &[Rule]) -> Self {
        let mut weights = Self::default();
        for rule in rules.iter().filter(|rule| rule.is_active) {
            match rule.rule_type {
                RuleType::Popularity => weights.popularity = rule.weight,
                RuleType::Recency => weights.recency = rule.weight,
                RuleType::GenreMatch => weights.genre_match = rule.weight,
            }
        }
        weights
    }
}
