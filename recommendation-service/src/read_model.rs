//! The read models: the catalogue and the users as ranking reads them, in memory, written by the change feeds of the
//! services that own the data. Nothing here ranks, and nothing but [`follow`] writes.

mod affinity;
pub mod catalogue;
pub mod film;
pub mod follow;
pub mod genres;
mod leads;
mod poster;
pub mod profile;
pub mod rating;
mod related;
pub mod repository;
mod revision;
pub mod snapshot;
mod tags;
mod translations;
pub mod users;

pub use affinity::{affinities, affinity};
pub use catalogue::{Candidate, Catalogue, NO_DATE};
pub use film::{Film, Offer, Tag};
pub use genres::{GenreSet, Genres};
pub use leads::Leads;
pub use profile::{
    Interaction, InteractionState, Preferences, Profile, Reaction, TasteEdit, UserId,
};
pub use related::Related;
pub use revision::Revision;
pub use snapshot::Shared;
pub use translations::{Localized, Title};
pub use users::Users;
