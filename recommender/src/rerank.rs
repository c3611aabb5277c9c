//! Reordering of a ranked list.

pub mod diversity;
pub mod series;
