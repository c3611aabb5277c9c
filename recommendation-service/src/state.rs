//! The state that handlers share, assembled by [`crate::app`]. It holds services only: no settings, no pools.

use std::sync::Arc;

use crate::{
    experiments::Experiments, language::DisplayLanguages, ranking::recommender::Recommender,
    registry::Registry, rules::store::RuleSets,
};

/// The services, shared by all requests.
pub type AppState = Arc<Services>;

/// The services that handlers call.
pub struct Services {
    /// Ranks movies and returns lists of them.
    pub recommender: Recommender,
    /// Stores versions of the rules.
    pub rule_sets: RuleSets,
    /// Runs experiments and reports their results.
    pub experiments: Experiments,
    /// The registry of learned models.
    pub models: Registry,
    /// The languages that responses can be in.
    pub languages: DisplayLanguages,
}
