//! Lists for a user.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::{
    caller::Caller,
    extract::{Path, parse_query},
    language::{AcceptLanguage, ContentLanguage, Language},
    openapi::InvalidRequest,
    paging::Cursor,
    validate::Validator,
};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    handler::{
        error::ApiError,
        may_see,
        movie_card::{ExplanationResponse, MovieCard, decimal, reason},
        ranking_request::{LIMITS, ListCursor, RecommendationsQuery},
        responses::{ListNotFound, NotTrained, UserNotFound},
    },
    ranking::{RecommendError, Strategy, recommender::Page},
    read_model::{Localized, UserId},
    state::AppState,
};

/// A recommended movie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendationResponse {
    #[serde(flatten)]
    film: MovieCard,
    /// The score, to four decimals.
    #[schema(example = 0.5213)]
    score: f64,
    /// The reason, in words: Korean if that is the display language, else English.
    #[schema(example = "because you liked The Matrix Reloaded, also with Keanu Reeves")]
    reason: String,
    /// True if the movie was on the user's watchlist when the list was made.
    #[schema(example = false)]
    bookmarked: bool,
    #[serde(flatten)]
    explanation: ExplanationResponse,
}

/// The model that scored movies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelResponse {
    /// The version of the learned models; null if none scored.
    #[schema(example = 3)]
    version: Option<i64>,
    /// The strategy that scored movies: `rules` if `blend` was requested and nothing is known of the user yet.
    strategy: Strategy,
}

/// A list for a user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RecommendationsResponse {
    /// The user.
    user_id: UserId,
    /// The movies, best first.
    recommendations: Vec<RecommendationResponse>,
    /// The time at which the list was made.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
    /// The strategy that scored movies.
    strategy: Strategy,
    /// The learned models that scored movies.
    model: ModelResponse,
    /// The id of the list, for `GET /recommendations/{list_id}`.
    list_id: Uuid,
    /// The cursor of the next page; null on the last one.
    next_cursor: Option<String>,
    /// The time of the newest interaction of the user that the list reflects; null without interactions.
    fresh_as_of: Option<DateTime<Utc>>,
}

/// The movies of `page`.
pub(super) fn films(
    localized: &Localized<'_>,
    page: &Page,
    explain: bool,
) -> Vec<RecommendationResponse> {
    let list = &page.list;
    page.places
        .iter()
        .filter_map(|place| {
            let film = &list.films[*place];
            Some(RecommendationResponse {
                film: MovieCard::new(localized, localized.catalogue.row(film.id)?),
                score: decimal(film.score),
                reason: reason(localized, film),
                bookmarked: film.bookmarked,
                explanation: match explain {
                    true => ExplanationResponse::new(localized, list, film),
                    false => ExplanationResponse::default(),
                },
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

fn body(
    state: &AppState,
    user_id: UserId,
    page: &Page,
    explain: bool,
    language: Language,
) -> Bytes {
    let list = &page.list;
    let catalogue = state.recommender.catalogue();
    let response = RecommendationsResponse {
        user_id,
        recommendations: films(&catalogue.localized(language.primary()), page, explain),
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

fn json(language: Language, body: Bytes) -> Response {
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([kind], ContentLanguage(language), body).into_response()
}

/// Recommend movies to a user
///
/// Ranks the whole catalogue for the user, without movies that they have seen or judged, and without those that their
/// language and lowest rating rule out. The newest interaction counts. A list has at most 200 movies, with `diversity`
/// 100.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/recommendations",
    tag = "recommendations",
    params(("id" = UserId, Path, description = "The user's id", example = 1), RecommendationsQuery),
    responses(
        (status = 200, description = "the list", body = RecommendationsResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, UserNotFound, NotTrained,
    )
)]
pub(super) async fn list_recommendations(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    AcceptLanguage(accepted): AcceptLanguage,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let raw = raw.unwrap_or_default();
    // One of few, since cached responses are kept by it.
    let accepted = accepted.map(|accepted| state.languages.choose([Some(accepted), None, None]));
    if let Some((body, language)) = state.recommender.cached_response(id, &raw, accepted) {
        return Ok(json(language, body));
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
    let preferred = recommender.preferred_language(id);
    let language = state
        .languages
        .choose([request.language, accepted, preferred]);
    let body = body(&state, id, &page, request.explain, language);
    recommender.cache_response(id, &raw, accepted, &page, (&body, language));
    Ok(json(language, body))
}

/// The parameters of a replay.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ReplayQuery {
    /// The display language (BCP 47), as of the list: titles, genres and reasons are in it where known. The default is
    /// that of `Accept-Language`, then the user's `preferred_language`, else the catalogue's own.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
    /// The page size, 1 to 100; that of the list if not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
    /// The `next_cursor` of the previous page.
    #[param(example = "eyJmcm9tIjoxMH0")]
    cursor: Option<String>,
    /// Adds the explanation of each score.
    #[param(value_type = Option<bool>, default = true, example = false)]
    explain: Option<String>,
}

/// Get a list again
///
/// Returns the same movies in the same order, with the same scores and explanations. Movies that no longer exist are
/// left out; so are, after the first page, those that the user must not be shown any more. A list is visible to its
/// user and to administrators, and stored for some days.
#[utoipa::path(
    get,
    path = "/api/v1/recommendations/{list_id}",
    tag = "recommendations",
    params(("list_id" = Uuid, Path, description = "The list's id", example = "8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0"), ReplayQuery),
    responses(
        (status = 200, description = "the list", body = RecommendationsResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, ListNotFound,
    )
)]
pub(super) async fn get_recommendation_list(
    State(state): State<AppState>,
    caller: Caller,
    Path(list_id): Path<String>,
    AcceptLanguage(accepted): AcceptLanguage,
    RawQuery(raw): RawQuery,
) -> Result<Response, ApiError> {
    let query: ReplayQuery = parse_query(&raw.unwrap_or_default())?;
    let mut check = Validator::default();
    let message = "must be the list_id of a list, such as 8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0";
    let list_id = Uuid::parse_str(&list_id).map_err(|_| message);
    let list_id = check.take("list_id", list_id).unwrap_or_default();
    let limit = check.integer("limit", query.limit.as_deref(), LIMITS);
    let explain = check.boolean("explain", query.explain.as_deref());
    let cursor = ListCursor::parse(&mut check, query.cursor.as_deref());
    let is_of_list = cursor.is_none_or(|cursor| cursor.list == list_id);
    check.require(is_of_list, "cursor", "must be of this list");
    check.finish(()).map_err(RecommendError::Invalid)?;
    let from = cursor.map_or(0, |cursor| cursor.from);
    let may_see = |id| may_see(&caller, id);
    let page = state
        .recommender
        .replay(list_id, from, limit, may_see)
        .await?;
    let user_id = UserId::new(page.list.user_id).ok_or(RecommendError::ListNotFound)?;
    let preferred = state.recommender.preferred_language(user_id);
    let language = state
        .languages
        .choose([query.language, accepted, preferred]);
    let body = body(&state, user_id, &page, explain.unwrap_or(true), language);
    Ok(json(language, body))
}
