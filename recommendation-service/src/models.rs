//! What recommendations speak of. No I/O, no SQL, no HTTP.

mod catalogue;
mod evidence;
mod experiment;
mod genres;
mod list;
mod poster;
mod profile;
mod revision;
mod rule;
mod tags;

pub use catalogue::{Candidate, Catalogue, Film, NO_DATE, Offer, Tag};
pub use evidence::{Evidence, HalfLife, LIKED_STARS, liking, weight};
pub use experiment::{
    Experiment, ExperimentDraft, Layer, Participation, Served, Shown, Status, Variant,
};
pub use genres::{GenreSet, Genres};
pub use list::{FilmList, ListedFilm, PartWeights, Strategy};
pub use profile::{
    Interaction, Preferences, Profile, Reaction, Standing, TasteEdit, UserId, Users,
};
pub use revision::Revision;
pub use rule::{Rule, RuleDraft, RuleSet, RuleType, Weights};
pub use tags::FilmTags;
