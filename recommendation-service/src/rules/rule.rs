//! The rules by which films are scored.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
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

/// A rule as somebody puts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDraft {
    /// Its name.
    #[schema(example = "Popularity Score", min_length = 1, max_length = 100)]
    pub name: String,
    /// What it looks at; each type once.
    pub rule_type: RuleType,
    /// What a film that fulfils it wholly gains; below 0: loses.
    #[schema(example = 0.4, minimum = -10.0, maximum = 10.0)]
    pub weight: f64,
    /// Whether it counts; it does where not given.
    #[serde(default = "yes")]
    #[schema(example = true, default = true)]
    pub is_active: bool,
}

fn yes() -> bool {
    true
}

/// The rules as they were from some time on.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleSet {
    /// Which set it is, from 1; the highest is in force.
    #[schema(example = 2)]
    pub version: i64,
    /// The rules, active or not, by type.
    pub rules: Vec<RuleDraft>,
    /// What its maker says of it; empty where nothing.
    pub note: String,
    /// Who put it; null where the gateway told of nobody.
    pub created_by: Option<String>,
    /// When it was put.
    pub created_at: DateTime<Utc>,
}

/// The weights of the active rules; 0 for a rule that is not active.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = RuleWeights)]
pub struct Weights {
    /// Of popularity.
    #[schema(example = 0.4, minimum = -10.0, maximum = 10.0)]
    pub popularity: f64,
    /// Of recency.
    #[schema(example = 0.3, minimum = -10.0, maximum = 10.0)]
    pub recency: f64,
    /// Of the match of genres.
    #[schema(example = 0.3, minimum = -10.0, maximum = 10.0)]
    pub genre_match: f64,
}

impl Weights {
    /// The weights of those of `rules` that are active.
    #[must_use]
    pub fn of(rules: &[Rule]) -> Self {
        let active = rules.iter().filter(|rule| rule.is_active);
        Self::sum(active.map(|rule| (rule.rule_type, rule.weight)))
    }

    /// The weights of those of `rules` that would be active.
    #[must_use]
    pub fn of_drafts(rules: &[RuleDraft]) -> Self {
        let active = rules.iter().filter(|rule| rule.is_active);
        Self::sum(active.map(|rule| (rule.rule_type, rule.weight)))
    }

    fn sum(rules: impl Iterator<Item = (RuleType, f64)>) -> Self {
        let mut weights = Self::default();
        for (rule_type, weight) in rules {
            match rule_type {
                RuleType::Popularity => weights.popularity = weight,
                RuleType::Recency => weights.recency = weight,
                RuleType::GenreMatch => weights.genre_match = weight,
            }
        }
        weights
    }
}
