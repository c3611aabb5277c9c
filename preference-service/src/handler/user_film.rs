//! The path of what a user has to do with a film.

use axum::{extract::FromRequestParts, http::request::Parts};
use chassis::{Problem, extract::Path, problem::FieldError};
use serde::{
    Deserialize,
    de::value::{self, StrDeserializer},
};
use utoipa::IntoParams;

use crate::models::{MovieId, UserId};

/// The path of what a user has to do with a film.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserFilm {
    /// The user's id.
    #[param(inline, example = 1)]
    pub(super) id: UserId,
    /// The film's id, TMDB's.
    #[param(inline, example = 603)]
    pub(super) movie_id: MovieId,
}

impl<S: Send + Sync> FromRequestParts<S> for UserFilm {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Words {
            id: String,
            movie_id: String,
        }
        // Read one by one, so that the one that is wrong can be named.
        fn id<'a, T: Deserialize<'a>>(field: &str, word: &'a str) -> Result<T, Problem> {
            T::deserialize(StrDeserializer::<value::Error>::new(word)).map_err(|error| {
                let text = error.to_string();
                Problem::invalid(vec![FieldError::new(field, text.clone())]).error(text)
            })
        }
        let Path(words) = Path::<Words>::from_request_parts(parts, state).await?;
        Ok(Self {
            id: id("id", &words.id)?,
            movie_id: id("movie_id", &words.movie_id)?,
        })
    }
}
