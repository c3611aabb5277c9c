//! One film.

use axum::{Json, extract::State};
use chassis::{extract::Path, problem::ProblemDocument};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::ApiError,
    movies::{POSTER_BASE, day, image},
};
use crate::{
    app::AppState,
    models::{Movie, MovieId},
};

/// TMDB's host of images, with the width that a film shows its backdrop in.
const BACKDROP_BASE: &str = "https://image.tmdb.org/t/p/w780";

/// A film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovieResponse {
    /// TMDB's id.
    id: MovieId,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// What it is about; empty where unknown.
    overview: String,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// Names of its genres, alphabetical.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// The film's own language, ISO 639-1.
    #[schema(example = "en")]
    language: String,
    /// Minutes; 0 where unknown.
    #[schema(example = 136)]
    duration: i32,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty where there is none.
    #[schema(example = "")]
    poster_url: String,
    /// The backdrop, 780 pixels wide; empty where there is none.
    #[schema(example = "")]
    backdrop_url: String,
    /// Where to watch or book it: TMDB's page.
    #[schema(example = "https://www.themoviedb.org/movie/603/watch")]
    booking_url: String,
    /// The title in the film's own language.
    #[schema(example = "The Matrix")]
    original_title: String,
    /// TMDB's average vote, 0 to 10.
    #[schema(example = 7.9)]
    vote_average: f64,
    /// How many voted.
    #[schema(example = 13000)]
    vote_count: i32,
    /// When TMDB was last asked about it.
    synced_at: DateTime<Utc>,
}

impl From<Movie> for MovieResponse {
    fn from(movie: Movie) -> Self {
        Self {
            id: movie.id,
            release_date: day(movie.release_date),
            duration: movie.runtime.unwrap_or(0),
            popularity: movie.popularity,
            poster_url: image(POSTER_BASE, movie.poster_path.as_deref()),
            backdrop_url: image(BACKDROP_BASE, movie.backdrop_path.as_deref()),
            booking_url: format!("https://www.themoviedb.org/movie/{}/watch", movie.id),
            title: movie.title,
            overview: movie.overview,
            genres: movie.genres,
            language: movie.original_language,
            original_title: movie.original_title,
            vote_average: movie.vote_average,
            vote_count: movie.vote_count,
            synced_at: movie.synced_at,
        }
    }
}

/// Get a film
///
/// Everything that the catalogue tells of a film.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}",
    tag = "movies",
    params(("id" = MovieId, Path, description = "TMDB's id of the film", example = 603)),
    responses(
        (status = 200, description = "the film", body = MovieResponse, headers(("ETag" = String, description = "of this answer"))),
        (status = 304, description = "the film is as `If-None-Match` names it"),
        (status = 400, description = "the id is not a number from 1", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the catalogue has no such film", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_movie(
    State(state): State<AppState>,
    Path(id): Path<MovieId>,
) -> Result<Json<MovieResponse>, ApiError> {
    let movie = state
        .catalogue
        .find(id)
        .await?
        .ok_or(ApiError::MovieNotFound)?;
    Ok(Json(movie.into()))
}
