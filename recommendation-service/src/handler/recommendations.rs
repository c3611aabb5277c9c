//! Lists of films for a user.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::{
    extract::{Path, parse_query},
    paging::Cursor,
    problem::ProblemDocument,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    handler::{
        caller::Caller,
        error::ApiError,
        film::{ExplanationResponse, FilmCard, decimal},
        ranking_request::{ListCursor, Reader, RecommendationsQuery},
    },
    ranking::{
        Strategy,
        recommender::{Page, RecommendError},
    },
    read_model::{Catalogue, UserId},
    state::AppState,
};

/// A film, and why it is recommended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendationResponse {
    #[serde(flatten)]
    film: FilmCard,
    /// What it scored, to four decimals.
    #[schema(example = 0.5213)]
    score: f64,
    /// Why, in words.
    #[schema(example = "because you liked The Matrix Reloaded, popular now")]
    reason: String,
    /// Why it has this score; where `explain` was asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationResponse>,
}

/// By what films were scored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelResponse {
    /// The version of the learned models; null where none were asked.
    #[schema(example = 3)]
    version: Option<i64>,
    /// The strategy: `rules` where `blend` was asked for and there is nothing else to go by yet.
    strategy: Strategy,
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
    /// By what.
    model: ModelResponse,
    /// Shows this list again: `GET /recommendations/{list_id}`.
    list_id: Uuid,
    /// Leads to the next page of this list; null on the last one.
    next_cursor: Option<String>,
    /// The newest interaction of the user that the list knows; null where there is none.
    fresh_as_of: Option<DateTime<Utc>>,
}

/// The films of `page`.
pub(super) fn films(
    catalogue: &Catalogue,
    page: &Page,
    explain: bool,
) -> Vec<RecommendationResponse> {
    let list = &page.list;
    page.places
        .iter()
        .filter_map(|place| {
            let film = &list.films[*place];
            Some(RecommendationResponse {
                film: FilmCard::new(catalogue, catalogue.row(film.id)?),
                score: decimal(film.score),
                reason: film.reason.clone(),
                explanation: explain.then(|| ExplanationResponse::new(catalogue, list, film)),
            })
        })
        .collect()
}

impl ModelResponse {
    pub(super) fn new(page: &Page) -> Self {
        Self {
            version: page.list.model_version,
            strategy: page.list.strategy,
        }
    }
}

fn body(state: &AppState, user_id: UserId, page: &Page, explain: bool) -> Bytes {
    let list = &page.list;
    let catalogue = state.recommender.catalogue();
    let response = RecommendationsResponse {
        user_id,
        recommendations: films(&catalogue, page, explain),
        generated_at: list.created_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        strategy: list.strategy,
        model: ModelResponse::new(page),
        list_id: list.id,
        next_cursor: page.next.map(|from| {
            let cursor = ListCursor {
                list: list.id,
                from,
            };
            cursor.encode()
        }),
        fresh_as_of: list.fresh_as_of,
    };
    serde_json::to_vec(&response).unwrap_or_default().into()
}

fn json(body: Bytes) -> Response {
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([kind], body).into_response()
}

/// Recommend films to a user
///
/// The best films of the whole catalogue for the user, less those that the user has seen or judged,
/// and those that their language and lowest rating rule out. What the user did a moment ago counts. A list
/// has at most 200 films, with `diversity` 100.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/recommendations",
    tag = "recommendations",
    params(("id" = UserId, Path, description = "The user's id", example = 1), RecommendationsQuery),
    responses(
        (status = 200, description = "the list", body = RecommendationsResponse),
        (status = 400, description = "the id or a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the strategy needs a learned model, and none is live", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_recommendations(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let raw = raw.unwrap_or_default();
    if let Some(body) = state.recommender.cached_response(id, &raw) {
        return Ok(json(body));
    }
    let query: RecommendationsQuery = parse_query(&raw)?;
    let request = query.parse().map_err(RecommendError::Invalid)?;
    let recommender = &state.recommender;
    let page = match request.cursor {
        None => recommender.recommend(id, request.ranking).await?,
        Some(ListCursor { list, from }) => {
            recommender
                .continue_list(id, list, from, &request.ranking)
                .await?
        }
    };
    let body = body(&state, id, &page, request.explain);
    recommender.cache_response(id, &raw, &page, &body);
    Ok(json(body))
}

/// How a list is shown again.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplayQuery {
    /// How many films at most; as many as the list was asked for where not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Whether each film comes with why it has its score: `true` where not given.
    #[param(value_type = Option<bool>)]
    explain: Option<String>,
}

/// Show a list again
///
/// The same films in the same order, with the same scores for the same reasons. Films that exist no more are
/// left out; so are, of what comes after the first page, those that the user must not be shown any more. A list
/// is for its user and for administrators, and kept for some days.
#[utoipa::path(
    get,
    path = "/api/v1/recommendations/{list_id}",
    tag = "recommendations",
    params(("list_id" = Uuid, Path, description = "The list's id", example = "8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0"), ReplayQuery),
    responses(
        (status = 200, description = "the list", body = RecommendationsResponse),
        (status = 400, description = "a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such list for whoever asks", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_recommendation_list(
    State(state): State<AppState>,
    caller: Caller,
    Path(list_id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query: ReplayQuery = parse_query(&raw.unwrap_or_default())?;
    let mut reader = Reader { errors: Vec::new() };
    let list_id = Uuid::parse_str(&list_id).unwrap_or_else(|_| {
        let message = "must be the list_id of a list, such as 8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0";
        reader
            .errors
            .push(chassis::problem::FieldError::new("list_id", message));
        Uuid::nil()
    });
    let limit = reader.limit(query.limit.as_ref());
    let explain = reader.switch("explain", query.explain.as_ref(), true);
    let cursor = reader.cursor(query.cursor.as_ref());
    if cursor.is_some_and(|cursor| cursor.list != list_id) {
        let message = "is of another list";
        reader
            .errors
            .push(chassis::problem::FieldError::new("cursor", message));
    }
    if !reader.errors.is_empty() {
        return Err(RecommendError::Invalid(reader.errors).into());
    }
    let from = cursor.map_or(0, |cursor| cursor.from);
    let may_see = |id| caller.may_see(id);
    let page = state
        .recommender
        .replay(list_id, from, limit, may_see)
        .await?;
    let user_id = UserId::new(page.list.user_id).ok_or(RecommendError::ListNotFound)?;
    Ok(json(body(&state, user_id, &page, explain)))
}
