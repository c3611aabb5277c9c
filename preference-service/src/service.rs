//! What the service decides: who may be stored, what a film must be to be liked, and who is told.

pub mod catalogue;
pub mod interactions;
pub mod passwords;
pub mod users;
