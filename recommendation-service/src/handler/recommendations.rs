//! Lists of films for a user.

use axum::{Json, extract::State};
use chassis::{
    extract::{Bounded, Path, Query},
    problem::ProblemDocument,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{
    app::AppState,
    models::{Served, Shown, UserId},
    service::{experiments::Assignment, recommender::Recommendation},
};

const DEFAULT_LIMIT: i64 = 10;
/// TMDB's host of images, with the width that lists show a poster in.
const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";

/// How films are scored.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Strategy {
    /// By popularity, recency and genre, with the weights of `/rules`.
    Rules,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RecommendationsQuery {
    /// How many films at most; 10 where not given.
    #[param(inline, required = false, example = 10)]
    limit: Option<Bounded<1, 100>>,
    /// How films are scored.
    #[param(inline)]
    strategy: Option<Strategy>,
}

/// A film, and why it is recommended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendationResponse {
    /// TMDB's id.
    #[schema(example = 603)]
    id: i64,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// Names of its genres, alphabetical.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty where there is none.
    #[schema(example = "")]
    poster_url: String,
    /// What it scored, to four decimals.
    #[schema(example = 0.5213)]
    score: f64,
    /// Why, in words.
    #[schema(example = "highly popular, matches your preferred genres")]
    reason: String,
}

/// A list of films for a user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendationsResponse {
    /// For whom.
    user_id: UserId,
    /// The films, best first.
    recommendations: Vec<RecommendationResponse>,
    /// When the list was made.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
    /// How films were scored.
    strategy: Strategy,
    /// The newest interaction of the user that the list knows; null where there is none.
    fresh_as_of: Option<DateTime<Utc>>,
}

impl From<Recommendation> for RecommendationResponse {
    fn from(film: Recommendation) -> Self {
        Self {
            id: film.id,
            title: film.title,
            release_date: film
                .release_date
                .map(|date| date.to_string())
                .unwrap_or_default(),
            genres: film.genres,
            popularity: film.popularity,
            poster_url: film
                .poster_path
                .map(|path| format!("{POSTER_BASE}{path}"))
                .unwrap_or_default(),
            score: film.score,
            reason: film.reason,
        }
    }
}

/// Recommend films to a user
///
/// The best films of the whole catalogue for the user, less those that the user has seen or judged,
/// and those that their language and lowest rating rule out.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/recommendations",
    tag = "recommendations",
    params(("id" = UserId, Path, description = "The user's id", example = 1), RecommendationsQuery),
    responses(
        (status = 200, description = "the list", body = RecommendationsResponse),
        (status = 400, description = "the id or a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_recommendations(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    Query(query): Query<RecommendationsQuery>,
) -> Result<Json<RecommendationsResponse>, ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let limit = usize::try_from(limit).unwrap_or_default();
    let assignment = match query.strategy {
        Some(_) => Assignment::default(),
        None => state.experiments.assign(id),
    };
    let list = state
        .recommender
        .recommend(id, limit, assignment.rules)
        .await?;
    state.experiments.record(Served {
        user_id: id.get(),
        at: list.generated_at,
        participations: assignment.participations,
        films: (1..)
            .zip(&list.recommendations)
            .map(|(position, film)| Shown {
                movie_id: film.id,
                position,
                propensity: 1.0,
                is_explored: false,
            })
            .collect(),
        film_window_hours: None,
    });
    Ok(Json(RecommendationsResponse {
        user_id: id,
        recommendations: list.recommendations.into_iter().map(Into::into).collect(),
        generated_at: list.generated_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        strategy: query.strategy.unwrap_or(Strategy::Rules),
        fresh_as_of: list.fresh_as_of,
    }))
}
