//! Ranking: lists of movies for a user, for a group, and like a movie. [`pipeline`] shows the steps on one page;
//! [`recommender`] calls it for handlers. Scores come from [`scoring`].

pub mod candidates;
mod common;
mod error;
pub mod group;
pub mod known_users;
pub mod list;
pub mod pipeline;
pub mod preview;
pub mod query;
pub mod recommender;
pub mod repository;
pub mod response_cache;
pub mod scoring;
mod series;
pub mod similar;
pub mod store;

pub use error::RecommendError;
pub use list::{FilmList, ListedFilm, PartWeights, Strategy};
