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
    app::AppState,
    models::{Interaction, InteractionId, InteractionType, MovieId, NewInteraction, UserId},
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
    /// What the user does.
    #[serde(default)]
    #[schema(required, value_type = InteractionType)]
    interaction_type: String,
}

impl CreateInteractionRequest {
    fn parse(self, user_id: UserId) -> Result<NewInteraction, ApiError> {
        Ok(NewInteraction {
            user_id,
            interaction_type: self.interaction_type.parse()?,
            movie_id: self
                .movie_id
                .as_i64()
                .and_then(MovieId::new)
                .ok_or(ApiError::InvalidMovieId)?,
        })
    }
}

/// Something that a user did with a film.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "user_id": 1,
    "movie_id": 603,
    "interaction_type": "like",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct InteractionResponse {
    id: InteractionId,
    user_id: UserId,
    movie_id: MovieId,
    interaction_type: InteractionType,
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
/// Adds to the log of what the user did with films; nothing that was there before is changed.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/interactions",
    tag = "interactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateInteractionRequest,
    responses(
        (status = 201, description = "the interaction, stored", body = InteractionResponse),
        (status = 400, description = "the id, the type (`invalid interaction type: x`) or the film's id (`invalid movie ID`) is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_interaction(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateInteractionRequest>,
) -> Result<(StatusCode, JsonBody<InteractionResponse>), ApiError> {
    let interaction = request.parse(user_id)?;
    let interaction = state.interactions.record(interaction).await?;
    Ok((StatusCode::CREATED, JsonBody(interaction.into())))
}
