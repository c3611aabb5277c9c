//! Clients of other systems: [`tmdb`] calls TMDB within the bounds of [`limits`], [`wire`] decodes its documents; [`images`]
//! fetches from its image host; [`platform`] calls the other services of the platform.

mod counts;
pub mod images;
pub mod limits;
pub mod platform;
pub mod tmdb;
pub mod wire;
