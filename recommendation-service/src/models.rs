//! What recommendations speak of. No I/O, no SQL, no HTTP.

mod catalogue;
mod profile;
mod rule;

pub use catalogue::{Candidate, Catalogue, Film, GenreSet, NO_DATE};
pub use profile::{
    Interaction, Preferences, Profile, Reaction, Standing, TasteEdit, UserId, Users,
};
pub use rule::{Rule, RuleType, Weights};
