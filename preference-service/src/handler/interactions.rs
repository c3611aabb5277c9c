//! Interactions: what users do with films.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header::LINK},
};
use chassis::{
    extract::{Bounded, Json, Path, Query},
    paging::{Cursor, next_link},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{
    models::{
        Action, Interaction, InteractionId, InteractionType, MovieId, Progress, Rating,
        UnknownInteractionType, UserId,
    },
    service::writer::Command,
    state::AppState,
};

/// How many interactions a list has where the client does not say.
const DEFAULT_LIMIT: i64 = 50;

/// Something that a user does with a film.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"movie_id": 603, "interaction_type": "like"}))]
pub(super) struct CreateInteractionRequest {
    /// The film.
    // Anything is read at first: the original complains of the type before the film.
    #[serde(default)]
    #[schema(required, value_type = MovieId)]
    movie_id: Value,
    /// What the user does: `like`, `dislike`, `superlike`, `watchlist`, `watched`, `rating` or
    /// `progress`.
    #[serde(default)]
    #[schema(required, value_type = InteractionType)]
    interaction_type: String,
    /// Of a `rating`: 0.5 to 5 stars, in halves.
    #[schema(minimum = 0.5, maximum = 5, multiple_of = 0.5)]
    rating: Option<f64>,
    /// Of `progress`: where the user stopped.
    #[schema(minimum = 0)]
    position_seconds: Option<i32>,
    /// Of `progress`: how long the film is.
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

/// The interaction type that `name` is, of those that state something.
///
/// # Errors
/// It is none.
pub(super) fn statement(name: String) -> Result<InteractionType, ApiError> {
    let kind: InteractionType = name.parse()?;
    if InteractionType::statements().contains(&kind) {
        Ok(kind)
    } else {
        Err(UnknownInteractionType(name).into())
    }
}

/// The film that `value` names.
///
/// # Errors
/// It cannot be an id.
pub(super) fn movie_id(value: &Value) -> Result<MovieId, ApiError> {
    value
        .as_i64()
        .and_then(MovieId::new)
        .ok_or(ApiError::InvalidMovieId)
}

/// What an interaction of this type does, with the values that were given for it.
///
/// # Errors
/// A value that is missing or wrong, or that belongs to another type.
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
            let message = format!("belongs to the interaction type {kind_of} alone");
            errors.push(FieldError::new(name, message));
        }
    }
    match Action::of(kind, rating, progress) {
        Some(action) if errors.is_empty() => Ok(action),
        _ => Err(errors),
    }
}

/// What a rating must be.
pub(super) const RATING_RULE: &str = "must be a number of stars from 0.5 to 5, in halves";

/// How far a film was watched.
///
/// # Errors
/// The value that is missing or wrong.
pub(super) fn progress(
    position: Option<i32>,
    duration: Option<i32>,
) -> Result<Progress, FieldError> {
    let longest = Progress::LONGEST_SECONDS;
    let duration = duration
        .filter(|duration| (1..=longest).contains(duration))
        .ok_or_else(|| {
            let message = format!("must be a whole number from 1 to {longest}");
            FieldError::new("duration_seconds", message)
        })?;
    position
        .and_then(|position| Progress::new(position, duration))
        .ok_or_else(|| {
            let message = "must be a whole number from 0 to duration_seconds";
            FieldError::new("position_seconds", message)
        })
}

/// Something that a user did with a film.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "user_id": 1,
    "movie_id": 603,
    "interaction_type": "like",
    "occurred_at": "2026-02-13T08:15:42.123456Z",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct InteractionResponse {
    id: InteractionId,
    user_id: UserId,
    movie_id: MovieId,
    interaction_type: InteractionType,
    /// Of a rating: how many stars.
    #[serde(skip_serializing_if = "Option::is_none")]
    rating: Option<f64>,
    /// Of watching: where the user stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    position_seconds: Option<i32>,
    /// Of watching: how long the film is.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i32>,
    /// When the user did it.
    occurred_at: DateTime<Utc>,
    /// When it was stored.
    created_at: DateTime<Utc>,
}

impl From<Interaction> for InteractionResponse {
    fn from(interaction: Interaction) -> Self {
        Self {
            id: interaction.id,
            user_id: interaction.user_id,
            movie_id: interaction.movie_id,
            interaction_type: interaction.interaction_type,
            rating: interaction.rating.map(Rating::stars),
            position_seconds: interaction.progress.map(Progress::position_seconds),
            duration_seconds: interaction.progress.map(Progress::duration_seconds),
            occurred_at: interaction.occurred_at,
            created_at: interaction.created_at,
        }
    }
}

/// What a user did, newest first.
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
    interactions: Vec<InteractionResponse>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// How a list of interactions is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many interactions at most: 50 where not given.
    #[param(inline, example = 50)]
    limit: Option<Bounded<1, 1000>>,
    /// Interactions of this type alone.
    #[serde(rename = "type")]
    #[param(inline)]
    interaction_type: Option<InteractionType>,
    /// The `next_cursor` of the page before: goes on without skips or repeats while interactions
    /// come in.
    cursor: Option<String>,
}

/// Where a page of interactions begins: after this one.
#[derive(Serialize, Deserialize)]
struct Position {
    before: InteractionId,
}

impl Cursor for Position {}

/// A user's interactions
///
/// What the user did, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/interactions",
    tag = "interactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ListQuery),
    responses(
        (status = 200, description = "the interactions", body = InteractionsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; left out on the last")
        )),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_interactions(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<ListQuery>,
) -> Result<(HeaderMap, JsonBody<InteractionsResponse>), ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let before = query.cursor.as_deref().map(read_cursor).transpose()?;
    let page = state
        .interactions
        .list(user_id, query.interaction_type, before, limit)
        .await?
        .ok_or(ApiError::UserNotFound)?;
    let next_cursor = page.next.map(|before| Position { before }.encode());
    let mut headers = HeaderMap::new();
    if let Some(cursor) = &next_cursor {
        let link = next_link(
            &format!("/api/v1/users/{user_id}/interactions"),
            &[
                ("limit", Some(limit.to_string())),
                ("type", query.interaction_type.map(|kind| kind.to_string())),
                ("cursor", Some(cursor.clone())),
            ],
        );
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.insert(LINK, link);
        }
    }
    let body = InteractionsResponse {
        user_id,
        interactions: page.interactions.into_iter().map(Into::into).collect(),
        next_cursor,
    };
    Ok((headers, JsonBody(body)))
}

fn read_cursor(text: &str) -> Result<InteractionId, ApiError> {
    Position::decode(text)
        .map(|position| position.before)
        .ok_or_else(|| {
            ApiError::Invalid(vec![FieldError::new(
                "cursor",
                "must be the next_cursor of the page before",
            )])
        })
}

/// Record an interaction
///
/// Stores what the user does with the film. What stands so already is not stored again: the answer is
/// then the interaction that made it so.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/interactions",
    tag = "interactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateInteractionRequest,
    responses(
        (status = 201, description = "the interaction, stored", body = InteractionResponse),
        (status = 400, description = "the id, the type (`invalid interaction type: x`), the film's id (`invalid movie ID`) or a value is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_interaction(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateInteractionRequest>,
) -> Result<(StatusCode, JsonBody<InteractionResponse>), ApiError> {
    let command = request.parse(user_id)?;
    let written = state.interactions.record(command).await?;
    let interaction = written
        .interaction
        .ok_or(ApiError::NothingThere("interaction"))?;
    Ok((StatusCode::CREATED, JsonBody(interaction.into())))
}
