//! What the catalogue speaks of. No I/O, no SQL, no TMDB: those bring and take these.

mod dump;
mod job;
mod listing;
mod movie;

pub use dump::DumpMovie;
pub use filter::{AllOf, AnyOf, Filter, FilterParams, Term, day_number};
pub use job::{Item, Job, JobFailure, JobKind, MovieList, Parameters};
pub use listing::{FilmFacts, Includes, ListedMovie, NamedId, Order, SortBy};
pub use movie::{
    AlternativeTitle, Genre, Keyword, Movie, MovieDetail, MovieId, MovieRef, MovieVersion,
    NewMovie, Person, Provider, Stats, is_imdb_id,
};
