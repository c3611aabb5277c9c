//! Experiments: what is compared, and with whom.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ranking::Strategy, rules::Weights};

/// What the variants of an experiment may differ in. One experiment runs in a layer at a time.
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
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ranking => "ranking",
            Self::Rules => "rules",
            Self::Exploration => "exploration",
        }
    }
}

/// Whether an experiment goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It does.
    Running,
    /// It does not. Who took part already is still counted when their time is over.
    Stopped,
}

/// One way of making lists, and how many users get it. What is not given is as it is without the
/// experiment; the first variant is the control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name.
    #[schema(example = "control", min_length = 1, max_length = 100)]
    pub name: String,
    /// Its share of the users that take part is this over the sum of all weights.
    #[serde(default = "one")]
    #[schema(example = 1.0, minimum = 0.001, maximum = 1000.0, default = 1.0)]
    pub weight: f64,
    /// How films are scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The version of the learned model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_version: Option<i64>,
    /// How much each part of the blend counts, of `learned`, `content`, `taste` and `rules`; 1 is as
    /// usual, and what a part that is not named counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blend: Option<BTreeMap<String, f64>>,
    /// What each rule weighs; a rule that is not named weighs 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Weights>,
    /// The share of places that films are shown in to learn about them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.0, maximum = 0.5)]
    pub exploration: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// What somebody wants of an experiment.
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
    /// Its name.
    #[schema(example = "flat-weights", min_length = 1, max_length = 100)]
    pub name: String,
    /// `stopped` needs nothing else than the name.
    #[schema(inline)]
    pub status: Option<Status>,
    /// What is asked, for people.
    #[schema(max_length = 1000)]
    pub description: Option<String>,
    /// What the variants differ in; `ranking` where not given. Fixed while it runs.
    #[schema(inline)]
    pub layer: Option<Layer>,
    /// The share of all users that take part, 0 to 1; all where not given. It may grow and shrink while
    /// the experiment runs; nobody ever changes their variant.
    #[schema(example = 0.5, minimum = 0.0, maximum = 1.0)]
    pub traffic: Option<f64>,
    /// For how long after their first list what users do is counted; 168 where not given. Fixed while
    /// it runs.
    #[schema(example = 168, minimum = 1, maximum = 2160)]
    pub outcome_window_hours: Option<i64>,
    /// So many outcomes of a user count as 1, fewer as their share of it; 1 where not given, so that the
    /// mean is the share of users with any. Fixed while it runs.
    #[schema(example = 1, minimum = 1, maximum = 100)]
    pub outcome_cap: Option<i32>,
    /// About so many users are planned; 2000 where not given. The intervals are narrowest there, and
    /// valid with any number. Fixed while it runs.
    #[schema(example = 2000, minimum = 10, maximum = 100_000_000)]
    pub planned_users: Option<i32>,
    /// How likely a wrong verdict may be, ever, over all variants; 0.05 where not given. Fixed while it
    /// runs.
    #[schema(example = 0.05, minimum = 0.0001, maximum = 0.2)]
    pub alpha: Option<f64>,
    /// Two to ten, the control first. Fixed while it runs.
    pub variants: Option<Vec<Variant>>,
}

/// An experiment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Experiment {
    /// Its id; a name that is used again gets another.
    #[schema(example = 1)]
    pub id: i64,
    /// Its name.
    #[schema(example = "flat-weights")]
    pub name: String,
    /// What is asked.
    pub description: String,
    /// Whether it goes on.
    pub status: Status,
    /// What the variants differ in.
    pub layer: Layer,
    /// The share of users that take part.
    #[schema(example = 0.5)]
    pub traffic: f64,
    /// For how long after their first list what users do is counted.
    #[schema(example = 168)]
    pub outcome_window_hours: i64,
    /// So many outcomes of a user count as 1.
    #[schema(example = 1)]
    pub outcome_cap: i32,
    /// With how many users the intervals are narrowest.
    #[schema(example = 2000)]
    pub planned_users: i32,
    /// How likely a wrong verdict is at most.
    #[schema(example = 0.05)]
    pub alpha: f64,
    /// The control first.
    pub variants: Vec<Variant>,
    /// Who made it; null where the gateway told of nobody.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was changed last.
    pub updated_at: DateTime<Utc>,
    /// When it was stopped; null while it runs.
    pub stopped_at: Option<DateTime<Utc>>,
    /// Keys the hash that deals users out.
    #[serde(skip)]
    pub salt: String,
}

impl Experiment {
    /// The weights of the variants.
    #[must_use]
    pub fn weights(&self) -> Vec<f64> {
        self.variants.iter().map(|variant| variant.weight).collect()
    }
}

/// A user's part in an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Participation {
    /// The experiment.
    pub experiment_id: i64,
    /// Its name.
    pub experiment: String,
    /// Which of the variants, from 0.
    pub variant: usize,
    /// The variant's name.
    pub variant_name: String,
    /// What it changes.
    pub layer: Layer,
    /// For how long what the user does is counted, in hours.
    pub outcome_window_hours: i64,
}

/// A film in a list that was served.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    /// TMDB's id.
    pub movie_id: i64,
    /// Where in the list, from 1; of a later page, after those of the pages before.
    pub position: i32,
    /// The chance that this film, and no other, stood there; above 0, at most 1.
    pub propensity: f64,
    /// Whether it was shown to learn about it.
    pub is_explored: bool,
}

/// A list that was served.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// To whom.
    pub user_id: i64,
    /// When.
    pub at: DateTime<Utc>,
    /// What the user took part in.
    pub participations: Vec<Participation>,
    /// The films.
    pub films: Vec<Shown>,
    /// For how many hours what the user does is counted for the films; none: they are not counted.
    pub film_window_hours: Option<i64>,
}
