//! The affinity of a user for movies, from what they did.

mod evidence;

pub use evidence::{Evidence, HalfLife, LIKED_STARS, liking, weight};
