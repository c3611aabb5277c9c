//! Films for several people at once.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    extract::Json,
    problem::{FieldError, ProblemDocument},
};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        caller::Caller,
        error::ApiError,
        film::{FilmCard, decimal},
    },
    ranking::{group::Method, recommender::RecommendError},
    read_model::UserId,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
const MOST_FILMS: i64 = 100;
const FEWEST_MEMBERS: usize = 2;
const MOST_MEMBERS: usize = 20;

/// Who wants to see a film together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_ids": [1, 2, 3], "method": "fairness", "limit": 10}))]
pub(super) struct GroupRequest {
    /// 2 to 20 users, each once. Whoever is no administrator must be one of them.
    #[schema(min_items = 2, max_items = 20)]
    user_ids: Vec<i64>,
    /// How what each likes becomes what the group likes; `average` where not given.
    #[serde(default)]
    method: Method,
    /// How many films at most; 10 where not given.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<i64>,
}

/// How much a member likes a film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LikingResponse {
    /// Who.
    user_id: i64,
    /// What share of the films they like less, 0 to 1: in tenths, so that nobody learns much of somebody
    /// else; administrators get it in hundredths.
    #[schema(example = 0.9)]
    liking: f64,
}

/// A film for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupFilmResponse {
    #[serde(flatten)]
    film: FilmCard,
    /// What it is worth to the group by the method, to four decimals.
    #[schema(example = 1.85)]
    score: f64,
    /// How much each member likes it.
    members: Vec<LikingResponse>,
    /// Why, in words.
    #[schema(example = "something for all of you")]
    reason: String,
}

/// Films for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupResponse {
    /// The films, best first.
    recommendations: Vec<GroupFilmResponse>,
    /// By which method.
    method: Method,
    /// The version of the learned models that was asked; null where none was.
    model_version: Option<i64>,
    /// When the list was made.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
}

/// What is asked for.
fn parse(request: &GroupRequest) -> Result<(Vec<UserId>, usize), Vec<FieldError>> {
    let mut errors = Vec::new();
    let ids = &request.user_ids;
    if !(FEWEST_MEMBERS..=MOST_MEMBERS).contains(&ids.len()) {
        let message = format!("must be {FEWEST_MEMBERS} to {MOST_MEMBERS} users");
        errors.push(FieldError::new("user_ids", message));
    }
    let mut members = Vec::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate().take(MOST_MEMBERS + 1) {
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
    if !(1..=MOST_FILMS).contains(&limit) {
        let message = format!("must be a whole number from 1 to {MOST_FILMS}");
        errors.push(FieldError::new("limit", message));
    }
    if errors.is_empty() {
        Ok((members, usize::try_from(limit).unwrap_or_default()))
    } else {
        Err(errors)
    }
}

/// Recommend films to several people
///
/// Films that none of them knows and none rules out, the best for all first. A user may ask for a group that
/// they are in: of the others they learn no more than in tenths how much each may like a film, and neither
/// what they did nor why. The list is not kept.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/group",
    tag = "recommendations",
    request_body = GroupRequest,
    responses(
        (status = 200, description = "the list", body = GroupResponse),
        (status = 400, description = "a field is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "whoever asks is not in the group", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "a user does not exist; `errors` names which", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_group_list(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<GroupRequest>,
) -> Result<JsonBody<GroupResponse>, ApiError> {
    let (members, limit) = parse(&request).map_err(RecommendError::Invalid)?;
    let is_member = caller.id.is_some_and(|id| members.contains(&id));
    if !caller.is_admin && !is_member {
        return Err(ApiError::Forbidden(
            "a group is for its members; put your own id among user_ids",
        ));
    }
    let recommender = &state.recommender;
    let made = recommender
        .recommend_to_group(members, request.method, limit)
        .await?;
    let steps = if caller.is_admin { 100.0 } else { 10.0 };
    let catalogue = recommender.catalogue();
    let films = made.films.into_iter().filter_map(|film| {
        let likings = request.user_ids.iter().zip(film.likings);
        Some(GroupFilmResponse {
            film: FilmCard::new(&catalogue, catalogue.row(film.id)?),
            score: decimal(film.score),
            members: likings
                .map(|(user_id, liking)| LikingResponse {
                    user_id: *user_id,
                    liking: (f64::from(liking) * steps).round() / steps,
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
