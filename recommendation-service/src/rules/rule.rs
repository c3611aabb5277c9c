//! The types of the rules.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The value that a rule takes of a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum RuleType {
    /// The share of the movie's genres that the user prefers.
    GenreMatch,
    /// The popularity relative to the other candidates.
    Popularity,
    /// The recency of the release.
    Recency,
}

/// A rule and its weight.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Rule {
    /// The id.
    #[schema(example = 1)]
    pub id: i64,
    /// The name.
    #[schema(example = "Popularity Score")]
    pub name: String,
    /// The weight: the score of a movie whose value is 1.
    #[schema(example = 0.4)]
    pub weight: f64,
    /// The value that it takes.
    pub rule_type: RuleType,
    /// True if the rule is active.
    #[schema(example = true)]
    pub is_active: bool,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
}

/// A rule as an administrator puts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleDraft {
    /// The name.
    #[schema(
        example = "Popularity Score",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub name: String,
    /// The value that it takes; each type once.
    pub rule_type: RuleType,
    /// The weight, which may be negative.
    #[schema(example = 0.4, minimum = -10.0, maximum = 10.0)]
    pub weight: f64,
    /// True if the rule is active; true if not given.
    #[serde(default = "yes")]
    #[schema(example = true, default = true)]
    pub is_active: bool,
}

fn yes() -> bool {
    true
}

/// A version of the rules.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuleSet {
    /// The version, from 1; the highest is in force.
    #[schema(example = 2)]
    pub version: i64,
    /// The rules, active or not, by type.
    pub rules: Vec<RuleDraft>,
    /// The administrator's note; empty if none.
    pub note: String,
    /// The administrator who put it; null if the gateway named none.
    pub created_by: Option<String>,
    /// The time at which it was put.
    pub created_at: DateTime<Utc>,
}

/// The weights of the active rules; 0 for an inactive rule.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = RuleWeights)]
pub struct Weights {
    /// The weight of popularity.
    #[schema(example = 0.4, minimum = -10.0, maximum = 10.0)]
    pub popularity: f64,
    /// The weight of recency.
    #[schema(example = 0.3, minimum = -10.0, maximum = 10.0)]
    pub recency: f64,
    /// The weight of the genre match.
    #[schema(example = 0.3, minimum = -10.0, maximum = 10.0)]
    pub genre_match: f64,
}

impl Weights {
    /// The weights of those of `rules` that are active.
    pub fn of(rules: &[Rule]) -> Self {
        let active = rules.iter().filter(|rule| rule.is_active);
        Self::sum(active.map(|rule| (rule.rule_type, rule.weight)))
    }

    /// The weights of those of `rules` that would be active.
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
