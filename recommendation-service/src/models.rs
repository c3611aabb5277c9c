//! What recommendations speak of. No I/O, no SQL, no HTTP.

mod catalogue;
mod experiment;
mod profile;
mod rule;

pub use catalogue::{Candidate, Catalogue, Film, GenreSet, NO_DATE};
pub use experiment::{
    Experiment, ExperimentDraft, Layer, Participation, Served, Shown, Status, Variant,
};
pub use profile::{
    Interaction, Preferences, Profile, Reaction, Standing, TasteEdit, UserId, Users,
};
pub use rule::{Rule, RuleDraft, RuleSet, RuleType, Weights};
