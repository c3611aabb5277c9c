//! For the other services, which take in lists that users bring along: which films those mean. The
//! gateway never routes here.

use axum::{Json, extract::State};
use chassis::{extract, problem::FieldError};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::{
    models::{MovieId, is_imdb_id},
    service::matching::{Match, Wanted},
    state::AppState,
};

/// How many films may be asked about at once.
const MOST_FILMS: usize = 1000;
/// How many may be fetched from TMDB for one question.
const MOST_FETCHED: usize = 200;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchRequest {
    movies: Vec<WantedRequest>,
    /// How many films that are not in the catalogue may be fetched; none where not given.
    #[serde(default)]
    fetch: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedRequest {
    tmdb_id: Option<MovieId>,
    imdb_id: Option<String>,
    title: Option<String>,
    year: Option<i32>,
}

#[derive(Debug, Serialize)]
pub(super) struct MatchResponse {
    /// In the order of the question.
    matches: Vec<MatchedFilm>,
    /// How many films were looked for at TMDB.
    fetched: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum MatchedFilm {
    /// The film.
    Id(MovieId),
    /// Why it is none: `unknown`, `ambiguous`, or `deferred`: not asked for yet.
    Unmatched(&'static str),
}

impl From<Match> for MatchedFilm {
    fn from(found: Match) -> Self {
        match found {
            Match::Found(id) => Self::Id(id),
            Match::Unknown => Self::Unmatched("unknown"),
            Match::Ambiguous => Self::Unmatched("ambiguous"),
            Match::Deferred => Self::Unmatched("deferred"),
        }
    }
}

/// Which film of the catalogue each of the question is.
pub(super) async fn match_movies(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<MatchRequest>,
) -> Result<Json<MatchResponse>, ApiError> {
    let mut errors = Vec::new();
    if request.movies.len() > MOST_FILMS {
        let message = format!("must be at most {MOST_FILMS} films");
        errors.push(FieldError::new("movies", message));
    }
    if request.fetch > MOST_FETCHED {
        let message = format!("must be at most {MOST_FETCHED}");
        errors.push(FieldError::new("fetch", message));
    }
    let mut wanted = Vec::with_capacity(request.movies.len());
    for (place, film) in request.movies.into_iter().enumerate() {
        let mut wrong = |field: &str, message: String| {
            errors.push(FieldError::new(format!("movies[{place}].{field}"), message));
        };
        if film.imdb_id.as_deref().is_some_and(|id| !is_imdb_id(id)) {
            wrong("imdb_id", "must be `tt` and seven to ten digits".to_owned());
        }
        let title = film.title.as_deref().unwrap_or_default();
        if title.contains('\0') || title.chars().count() > LONGEST_TITLE {
            let message = format!("must be at most {LONGEST_TITLE} characters without NUL");
            wrong("title", message);
        }
        if film.year.is_some_and(|year| !(0..=9999).contains(&year)) {
            wrong("year", "must be from 0 to 9999".to_owned());
        }
        wanted.push(Wanted {
            tmdb_id: film.tmdb_id,
            imdb_id: film.imdb_id,
            title: film.title,
            year: film.year,
        });
    }
    if !errors.is_empty() {
        return Err(ApiError::Invalid(errors));
    }
    let (matches, fetched) = state.matching.find(&wanted, request.fetch).await?;
    Ok(Json(MatchResponse {
        matches: matches.into_iter().map(Into::into).collect(),
        fetched,
    }))
}
