//! Who this service asks. TMDB: [`tmdb`] asks it within the bounds that [`limits`] keep, [`wire`] reads what
//! it says. [`platform`]: the other services of ours.

pub mod limits;
pub mod platform;
pub mod tmdb;
pub mod wire;
