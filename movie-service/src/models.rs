//! What the catalogue speaks of. No I/O, no SQL, no TMDB: those bring and take these.

mod job;
mod movie;

pub use job::{Job, JobFailure, JobStatus};
pub use movie::{
    AlternativeTitle, Genre, Keyword, Movie, MovieDetail, MovieId, MovieRef, NewMovie, Person,
    Provider,
};
