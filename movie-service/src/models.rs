//! The domain types of the catalogue, used by every layer. They do no I/O; a type is also the wire or row type
//! where the shapes are the same.

mod image;
mod job;
mod listing;
mod movie;
mod state;

pub use filter::{Filter, FilterParams, MovieAttributes, day_number};
pub use image::{ImageFormat, ImageKey};
pub use job::{Item, Job, JobFailure, JobKind, MovieList, Parameters};
pub use listing::{FilmFacts, Includes, Order, SortBy};
pub use movie::{
    AlternativeTitle, Collection, Genre, GenreCount, Keyword, Movie, MovieId, MovieRef,
    MovieVersion, Names, NewMovie, Person, Provider, Stats, TranslatedTexts, Translation,
    is_imdb_id,
};
pub use state::{CacheState, Circuit, HostState, ImagesState};
