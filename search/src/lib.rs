//! Title search: an index of movies, people and keywords by all their names, in any script, with tolerance for
//! typing errors, half-typed words and other spellings. A library over tantivy; it holds no HTTP and no database.
//!
//! A query goes [`query`] → [`engine`] (retrieval by [`retrieve`], ranking by [`rank`]) → results; a document goes
//! [`document`] → [`index`]. Both are analysed by [`text`].

mod card;
mod columns;
pub mod document;
pub mod engine;
pub mod eval;
mod find;
pub mod index;
pub mod query;
mod rank;
mod retrieve;
pub mod text;

pub use columns::Facets;
pub use document::{Document, Kind, Name, Role, renown};
pub use engine::{Hit, Place, Request, Results};
pub use index::{IndexError, SearchIndex, Snapshot, Writer};
