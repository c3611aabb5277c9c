//! Interactions: recording a user's action on a movie, and the log of them.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Bounded, Json, Path, Query},
    paging::Cursor,
    problem::FieldError,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    error::ApiError,
    user_movie::{ListProblems, SetProblems, decode_cursor, link_header},
};
use crate::{
    models::{
        Action, Interaction, InteractionId, InteractionType, MovieId, Progress, Rating,
        UnknownInteractionType, UserId,
    },
    service::writer::Command,
    state::AppState,
};

/// The number of interactions in a list without `limit`.
const DEFAULT_LIMIT: i64 = 50;

/// A user's action on a movie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"movie_id": 603, "interaction_type": "like"}))]
pub(super) struct CreateInteractionRequest {
    /// The movie.
    // Any value is accepted at first: the original reports an invalid type before an invalid movie.
    #[serde(default)]
    #[schema(required, value_type = MovieId)]
    movie_id: Value,
    /// The action: `like`, `dislike`, `superlike`, `watchlist`, `watched`, `rating` or `progress`.
    #[serde(default)]
    #[schema(required, value_type = InteractionType)]
    interaction_type: String,
    /// Stars of a `rating`, 0.5 to 5 in steps of 0.5.
    #[schema(minimum = 0.5, maximum = 5, multiple_of = 0.5)]
    rating: Option<f64>,
    /// The playback position of `progress`.
    #[schema(minimum = 0)]
    position_seconds: Option<i32>,
    /// The movie's runtime of `progress`.
    #[schema(minimum = 1, maximum = 604_800)]
    duration_seconds: Option<i32>,
}

impl CreateInteractionRequest {
    fn parse(self, user_id: UserId) -> Result<Command, ApiError> {
        let kind = statement(self.interaction_type)?;
        let movie_id = movie_id(&self.movie_id)?;
        let action = action(
            kind,
            self.rating,
            self.position_seconds,
            self.duration_seconds,
        )
        .map_err(ApiError::Invalid)?;
        Ok(Command::now(user_id, movie_id, action))
    }
}

/// Parses the type of an action that sets a value.
///
/// # Errors
/// [`ApiError`] of an unknown type if `name` is not one of them.
pub(super) fn statement(name: String) -> Result<InteractionType, ApiError> {
    let kind: InteractionType = name.parse()?;
    if InteractionType::statements().contains(&kind) {
        Ok(kind)
    } else {
        Err(UnknownInteractionType(name).into())
    }
}

/// Parses a movie's id.
///
/// # Errors
/// [`ApiError::InvalidMovieId`] if `value` is not a positive integer.
pub(super) fn movie_id(value: &Value) -> Result<MovieId, ApiError> {
    value
        .as_i64()
        .and_then(MovieId::new)
        .ok_or(ApiError::InvalidMovieId)
}

/// Returns the action of this type with the given values.
///
/// # Errors
/// A [`FieldError`] for each value that is missing or invalid, or that belongs to another type.
pub(super) fn action(
    kind: InteractionType,
    stars: Option<f64>,
    position: Option<i32>,
    duration: Option<i32>,
) -> Result<Action, Vec<FieldError>> {
    let mut errors = Vec::new();
    let rating = (kind == InteractionType::Rating)
        .then(|| {
            let rating = stars.and_then(Rating::from_stars);
            if rating.is_none() {
                errors.push(FieldError::new("rating", RATING_RULE));
            }
            rating
        })
        .flatten();
    let progress = (kind == InteractionType::Progress)
        .then(|| {
            progress(position, duration)
                .map_err(|error| errors.push(error))
                .ok()
        })
        .flatten();
    for (name, given, kind_of) in [
        ("rating", stars.is_some(), InteractionType::Rating),
        (
            "position_seconds",
            position.is_some(),
            InteractionType::Progress,
        ),
        (
            "duration_seconds",
            duration.is_some(),
            InteractionType::Progress,
        ),
    ] {
        if given && kind != kind_of {
            let message = format!("is only allowed for the interaction type {kind_of}");
            errors.push(FieldError::new(name, message));
        }
    }
    match Action::of(kind, rating, progress) {
        Some(action) if errors.is_empty() => Ok(action),
        _ => Err(errors),
    }
}

/// The message about an invalid rating.
pub(super) const RATING_RULE: &str = "must be a number of stars from 0.5 to 5, in halves";

/// Returns the progress at `position` of `duration` seconds.
///
/// # Errors
/// A [`FieldError`] for the value that is missing or invalid.
pub(super) fn progress(
    position: Option<i32>,
    duration: Option<i32>,
) -> Result<Progress, FieldError> {
    let max = Progress::MAX_DURATION_SECONDS;
    let duration = duration
        .filter(|duration| (1..=max).contains(duration))
        .ok_or_else(|| {
            let message = format!("must be a whole number from 1 to {max}");
            FieldError::new("duration_seconds", message)
        })?;
    position
        .and_then(|position| Progress::new(position, duration))
        .ok_or_else(|| {
            let message = "must be a whole number from 0 to duration_seconds";
            FieldError::new("position_seconds", message)
        })
}

/// A page of a user's interactions, newest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "interactions": [{
        "id": 1,
        "user_id": 1,
        "movie_id": 603,
        "interaction_type": "like",
        "occurred_at": "2026-02-13T08:15:42.123456Z",
        "created_at": "2026-02-13T08:15:42.123456Z"
    }]
}))]
pub(super) struct InteractionsResponse {
    user_id: UserId,
    /// The interactions.
    interactions: Vec<Interaction>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// The parameters of a list of interactions.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The page size: 50 by default.
    #[param(inline, example = 50)]
    limit: Option<Bounded<1, 1000>>,
    /// Lists only interactions of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    interaction_type: Option<InteractionType>,
    /// The `next_cursor` of the previous page. Pages neither skip nor repeat items while interactions are recorded.
    cursor: Option<String>,
}

/// The cursor of a page: it begins after this interaction.
#[derive(Serialize, Deserialize)]
struct Position {
    before: InteractionId,
}

impl Cursor for Position {}

/// List interactions
///
/// Lists the user's interactions, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/interactions",
    tag = "interactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ListQuery),
    responses(
        (status = 200, description = "the interactions", body = InteractionsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last")
        )),
        ListProblems
    )
)]
pub(super) async fn list_interactions(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<ListQuery>,
) -> Result<(HeaderMap, JsonBody<InteractionsResponse>), ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let before = decode_cursor::<Position>(query.cursor.as_deref())?;
    let page = state
        .interactions
        .list(
            user_id,
            query.interaction_type,
            before.map(|position| position.before),
            limit,
        )
        .await?;
    let last = page.items.last().filter(|_| page.has_more);
    let next_cursor = last.map(|last| Position { before: last.id }.encode());
    let path = format!("/api/v1/users/{user_id}/interactions");
    let parameters = [
        ("limit", Some(limit.to_string())),
        ("type", query.interaction_type.map(|kind| kind.to_string())),
    ];
    let headers = link_header(&path, &parameters, next_cursor.as_deref());
    let body = InteractionsResponse {
        user_id,
        interactions: page.items,
        next_cursor,
    };
    Ok((headers, JsonBody(body)))
}

/// Record an interaction
///
/// Stores the user's action on the movie. An action that changes nothing is not stored again: the response is then the
/// earlier interaction. The type is checked first (`invalid interaction type: x`), then the movie's id
/// (`invalid movie ID`), then the values.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/interactions",
    tag = "interactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateInteractionRequest,
    responses(
        (status = 201, description = "the interaction", body = Interaction),
        SetProblems
    )
)]
pub(super) async fn create_interaction(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateInteractionRequest>,
) -> Result<(StatusCode, JsonBody<Interaction>), ApiError> {
    let command = request.parse(user_id)?;
    let written = state.interactions.record(command).await?;
    let interaction = written
        .interaction
        .ok_or(ApiError::NothingThere("interaction"))?;
    Ok((StatusCode::CREATED, JsonBody(interaction)))
}
