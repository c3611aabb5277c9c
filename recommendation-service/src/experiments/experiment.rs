//! The types of experiments: the variants that are compared, the users who take part, and the lists they were served.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;

use crate::{ranking::Strategy, rules::Weights};

/// The settings in which the variants of an experiment may differ. One experiment runs in a layer at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Layer {
    /// `strategy`, `model_version` and `blend`.
    Ranking,
    /// `rules`.
    Rules,
    /// `exploration`.
    Exploration,
}

impl Layer {
    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ranking => "ranking",
            Self::Rules => "rules",
            Self::Exploration => "exploration",
        }
    }
}

/// The status of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Running.
    Running,
    /// Stopped. Users who took part already are still counted when their windows end.
    Stopped,
}

/// A variant: settings of ranking, and the share of users who get them. Settings that are not given stay as they are
/// without the experiment; the first variant is the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The name.
    #[schema(
        example = "control",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub name: String,
    /// The weight; the variant's share of the users who take part is its weight over the sum of all weights.
    #[serde(default = "one")]
    #[schema(example = 1.0, minimum = 0.001, maximum = 1000.0, default = 1.0)]
    pub weight: f64,
    /// The strategy that scores movies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The version of the learned models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub model_version: Option<i64>,
    /// The weights of the parts of the blend, of `learned`, `content`, `taste` and `rules`; 1 is the default, also for
    /// parts that are not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<BTreeMap<String, f64>>,
    /// The weights of the rules; a rule that is not named has weight 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Weights>,
    /// The share of positions that explore, 0 to 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.0, maximum = 0.5)]
    pub exploration: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// An experiment as an administrator creates or changes it.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PutExperimentRequest, example = json!({
    "name": "flat-weights",
    "layer": "rules",
    "traffic": 0.5,
    "variants": [
        {"name": "as it is", "rules": {"popularity": 0.4, "recency": 0.3, "genre_match": 0.3}},
        {"name": "flat", "rules": {"popularity": 0.3, "recency": 0.3, "genre_match": 0.3}},
    ],
}))]
pub struct ExperimentDraft {
    /// The name.
    #[schema(
        example = "flat-weights",
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u001F\u007F-\u009F]*$"
    )]
    pub name: String,
    /// The status; `stopped` needs no other field than the name.
    #[schema(inline)]
    pub status: Option<Status>,
    /// The hypothesis, for people.
    #[schema(max_length = 1000, pattern = r"^[^\u0000]*$")]
    pub description: Option<String>,
    /// The layer that the variants differ in; `ranking` if not given. Fixed while it runs.
    #[schema(inline)]
    pub layer: Option<Layer>,
    /// The share of all users who take part, 0 to 1; 1 if not given. It may grow and shrink while the experiment runs;
    /// no user ever changes the variant.
    #[schema(example = 0.5, minimum = 0.0, maximum = 1.0)]
    pub traffic: Option<f64>,
    /// The window after a user's first list within which outcomes count, in hours; 168 if not given. Fixed while it
    /// runs.
    #[schema(example = 168, minimum = 1, maximum = 2160)]
    pub outcome_window_hours: Option<i64>,
    /// The number of outcomes of a user that count as 1, fewer as their share of it; 1 if not given, so that the mean
    /// is the share of users with any outcome. Fixed while it runs.
    #[schema(example = 1, minimum = 1, maximum = 100)]
    pub outcome_cap: Option<i32>,
    /// The planned number of users; 2000 if not given. The confidence sequences are narrowest there, and valid for any
    /// number. Fixed while it runs.
    #[schema(example = 2000, minimum = 10, maximum = 100_000_000)]
    pub planned_users: Option<i32>,
    /// The probability of a wrong verdict at any time, over all variants; 0.05 if not given. Fixed while it runs.
    #[schema(example = 0.05, minimum = 0.0001, maximum = 0.2)]
    pub alpha: Option<f64>,
    /// The variants, two to ten, the control first. Fixed while it runs.
    #[schema(min_items = 2, max_items = 10)]
    pub variants: Option<Vec<Variant>>,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Experiment {
    /// The id; a name that is used again gets another one.
    #[schema(example = 1)]
    pub id: i64,
    /// The name.
    #[schema(example = "flat-weights")]
    pub name: String,
    /// The hypothesis.
    pub description: String,
    /// The status.
    pub status: Status,
    /// The layer that the variants differ in.
    pub layer: Layer,
    /// The share of users who take part.
    #[schema(example = 0.5)]
    pub traffic: f64,
    /// The window after a user's first list within which outcomes count, in hours.
    #[schema(example = 168)]
    pub outcome_window_hours: i64,
    /// The number of outcomes of a user that count as 1.
    #[schema(example = 1)]
    pub outcome_cap: i32,
    /// The number of users at which the confidence sequences are narrowest.
    #[schema(example = 2000)]
    pub planned_users: i32,
    /// The highest probability of a wrong verdict.
    #[schema(example = 0.05)]
    pub alpha: f64,
    /// The control first.
    #[schema(value_type = Vec<Variant>)]
    pub variants: Json<Vec<Variant>>,
    /// The administrator who created it; null if the gateway named none.
    pub created_by: Option<String>,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The time of the last change.
    pub updated_at: DateTime<Utc>,
    /// The time of the stop; null while it runs.
    pub stopped_at: Option<DateTime<Utc>>,
    /// The key of the hash that assigns users.
    #[serde(skip)]
    pub salt: String,
}

impl Experiment {
    /// The weights of the variants.
    pub fn weights(&self) -> Vec<f64> {
        self.variants.iter().map(|variant| variant.weight).collect()
    }
}

/// The participation of a user in an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participation {
    /// The experiment.
    pub experiment_id: i64,
    /// The name.
    pub experiment: String,
    /// The index of the variant, from 0.
    pub variant: usize,
    /// The variant's name.
    pub variant_name: String,
    /// The layer that it changes.
    pub layer: Layer,
    /// The window within which outcomes count, in hours.
    pub outcome_window_hours: i64,
}

/// A movie in a list that was served.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shown {
    /// TMDB's id.
    pub movie_id: i64,
    /// The position in the list, from 1, counted over all pages.
    pub position: i32,
    /// The propensity: the probability that this movie, and no other, stood there; above 0, at most 1.
    pub propensity: f64,
    /// True if exploration put it there.
    pub is_explored: bool,
}

/// A list that was served.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Served {
    /// The user.
    pub user_id: i64,
    /// The time.
    pub at: DateTime<Utc>,
    /// The user's experiments.
    pub participations: Vec<Participation>,
    /// The movies.
    pub films: Vec<Shown>,
    /// The window within which outcomes count for the movies themselves, in hours; `None` if they do not.
    pub film_window_hours: Option<i64>,
}
