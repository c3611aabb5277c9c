//! Title search: an index of movies, people and keywords by all their names, in any script, with tolerance for
//! typing errors, half-typed words and other spellings. A library over tantivy; it holds no HTTP and no database.
//!
//! A query goes [`query`] → engine (retrieval, then ranking by names) → [`request`]; a document goes [`document`] →
//! [`index`]. Both are analysed by [`text`].

mod card;
mod columns;
mod dictionary;
mod distance;
mod docs;
pub mod document;
mod engine;
mod error;
pub mod eval;
mod find;
pub mod index;
pub mod query;
mod rank;
pub mod request;
mod retrieve;
mod schema;
mod suggest;
pub mod text;

pub use columns::Facets;
pub use document::{Document, Kind, Name, Role, fame};
pub use error::IndexError;
pub use index::{SearchIndex, Snapshot, Writer};
pub use request::{Effort, Hit, Place, Request, Results, Tolerance};
