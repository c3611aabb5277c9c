//! TMDB, the only thing outside that this service talks to: [`tmdb`] asks it within the bounds that
//! [`limits`] keep, [`wire`] reads what it says.

pub mod limits;
pub mod tmdb;
pub mod wire;
