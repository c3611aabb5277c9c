//! Reordering of a ranked list.

pub mod diversity;
