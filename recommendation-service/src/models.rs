//! What recommendations speak of. No I/O, no SQL, no HTTP.

mod catalogue;
mod evidence;
mod experiment;
mod list;
mod poster;
mod profile;
mod revision;
mod rule;
mod tags;

pub use catalogue::{Candidate, Catalogue, Film, GenreSet, NO_DATE, Offer, Tag};
pub use evidence::{Evidence, affinity};
pub use experiment::{
    Experiment, ExperimentDraft, Layer, Participation, Served, Shown, Status, Variant,
};
pub use list::{FilmList, ListedFilm, PartWeights, Strategy};
pub use profile::{
    Interaction, Preferences, Profile, Reaction, Standing, TasteEdit, UserId, Users,
};
pub use recommender::taste::{HalfLife, LIKED_STARS};
pub use revision::Revision;
pub use rule::{Rule, RuleDraft, RuleSet, RuleType, Weights};
pub use tags::FilmTags;
