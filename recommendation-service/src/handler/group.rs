//! Lists for a group of users.

use axum::{Json as JsonBody, extract::State};
use chassis::{caller::Caller, extract::Json, openapi::InvalidRequest, problem::FieldError};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError,
        movie_card::{MovieCard, decimal},
        responses::{NotMember, UserNotFound},
    },
    ranking::{RecommendError, group::Method},
    read_model::UserId,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
const MAX_MOVIES: i64 = 100;
const MIN_MEMBERS: usize = 2;
const MAX_MEMBERS: usize = 20;

/// A request for a list for a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_ids": [1, 2, 3], "method": "fairness", "limit": 10}))]
pub(super) struct GroupRequest {
    /// The members, 2 to 20, each once. A caller who is no administrator must be one of them.
    #[schema(min_items = 2, max_items = 20)]
    user_ids: Vec<i64>,
    /// The aggregation of the members' scores; `average` if not given.
    #[serde(default)]
    method: Method,
    /// The number of movies, 1 to 100; 10 if not given.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// The affinity of a member for a movie.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LikingResponse)]
pub(super) struct AffinityResponse {
    /// The member.
    user_id: i64,
    /// The share of movies that they like less, 0 to 1: rounded to tenths, to protect the member's privacy;
    /// administrators get hundredths.
    #[schema(example = 0.9)]
    liking: f64,
}

/// A movie for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupFilmResponse {
    #[serde(flatten)]
    film: MovieCard,
    /// The score of the group by the method, to four decimals.
    #[schema(example = 1.85)]
    score: f64,
    /// The affinity of each member.
    members: Vec<AffinityResponse>,
    /// The reason, in words.
    #[schema(example = "something for all of you")]
    reason: String,
}

/// A list for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupResponse {
    /// The movies, best first.
    recommendations: Vec<GroupFilmResponse>,
    /// The aggregation method.
    method: Method,
    /// The version of the learned models; null if none scored.
    model_version: Option<i64>,
    /// The time at which the list was made.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
}

/// Parses the members and the number of movies.
fn parse(request: &GroupRequest) -> Result<(Vec<UserId>, usize), Vec<FieldError>> {
    let mut errors = Vec::new();
    let ids = &request.user_ids;
    if !(MIN_MEMBERS..=MAX_MEMBERS).contains(&ids.len()) {
        let message = format!("must be {MIN_MEMBERS} to {MAX_MEMBERS} users");
        errors.push(FieldError::new("user_ids", message));
    }
    let mut members = Vec::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate().take(MAX_MEMBERS + 1) {
        let field = format!("user_ids[{place}]");
        match UserId::new(*id) {
            None => errors.push(FieldError::new(field, "must be a user's id, 1 and up")),
            Some(member) if members.contains(&member) => {
                errors.push(FieldError::new(field, "is there already"));
            }
            Some(member) => members.push(member),
        }
    }
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_MOVIES).contains(&limit) {
        let message = format!("must be a whole number from 1 to {MAX_MOVIES}");
        errors.push(FieldError::new("limit", message));
    }
    if errors.is_empty() {
        Ok((members, usize::try_from(limit).unwrap_or_default()))
    } else {
        Err(errors)
    }
}

/// Recommend movies to a group
///
/// Ranks movies that no member has seen, judged or ruled out, the best for all first. A caller must be a member: of the
/// others they learn no more than an affinity rounded to tenths, and neither interactions nor explanations. The list is
/// not stored.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/group",
    tag = "recommendations",
    request_body = GroupRequest,
    responses(
        (status = 200, description = "the list", body = GroupResponse),
        InvalidRequest, NotMember, UserNotFound,
    )
)]
pub(super) async fn create_group_list(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<GroupRequest>,
) -> Result<JsonBody<GroupResponse>, ApiError> {
    let (members, limit) = parse(&request).map_err(RecommendError::Invalid)?;
    let id = caller.numeric_subject().and_then(UserId::new);
    let is_member = id.is_some_and(|id| members.contains(&id));
    if !caller.is_admin && !is_member {
        return Err(ApiError::Forbidden(
            "only members of a group get its list; add your own id to user_ids",
        ));
    }
    let recommender = &state.recommender;
    let made = recommender
        .recommend_to_group(members, request.method, limit)
        .await?;
    let steps = if caller.is_admin { 100.0 } else { 10.0 };
    let catalogue = recommender.catalogue();
    let films = made.films.into_iter().filter_map(|film| {
        let affinities = request.user_ids.iter().zip(film.affinities);
        Some(GroupFilmResponse {
            film: MovieCard::new(&catalogue, catalogue.row(film.id)?),
            score: decimal(film.score),
            members: affinities
                .map(|(user_id, affinity)| AffinityResponse {
                    user_id: *user_id,
                    liking: (f64::from(affinity) * steps).round() / steps,
                })
                .collect(),
            reason: film.reason.to_owned(),
        })
    });
    Ok(JsonBody(GroupResponse {
        recommendations: films.collect(),
        method: request.method,
        model_version: made.model_version,
        generated_at: recommender.now().to_rfc3339_opts(SecondsFormat::Secs, true),
    }))
}
