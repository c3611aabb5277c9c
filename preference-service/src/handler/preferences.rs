//! Preferences: what a user says they like.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    extract::{Json, Path},
    problem::ProblemDocument,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{
    models::{NewPreferences, Preferences, UserId},
    state::AppState,
};

/// What clients are shown where no language is set, as the original does.
const DEFAULT_LANGUAGE: &str = "en";

/// What a user likes; what is left out is not set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "preferred_genres": ["Science Fiction", "Drama"],
    "preferred_language": "en",
    "min_rating": 6.5
}))]
pub(super) struct PreferencesRequest {
    /// Names of genres: at most 50 of at most 50 characters each. One that comes twice, in upper or
    /// lower case, counts once.
    #[schema(max_items = 50)]
    preferred_genres: Option<Vec<String>>,
    /// A language in two lower-case letters (ISO 639-1); empty: not set.
    #[schema(pattern = "^([a-z]{2})?$")]
    preferred_language: Option<String>,
    /// The lowest average rating to be shown, 0 to 10; 0 where left out.
    #[schema(minimum = 0, maximum = 10)]
    min_rating: Option<f64>,
}

/// What a user likes.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "user_id": 1,
    "preferred_genres": ["Science Fiction", "Drama"],
    "preferred_language": "en",
    "min_rating": 6.5,
    "updated_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct PreferencesResponse {
    /// The preferences' own id; 0 where none were ever set.
    id: i64,
    user_id: UserId,
    /// Names of genres, in the user's order.
    preferred_genres: Vec<String>,
    /// Two letters (ISO 639-1); `en` where none is set.
    preferred_language: String,
    /// The lowest average rating to be shown, 0 to 10.
    min_rating: f64,
    /// When they were set; where they never were, when the user signed up.
    updated_at: DateTime<Utc>,
}

impl From<Preferences> for PreferencesResponse {
    fn from(preferences: Preferences) -> Self {
        Self {
            id: preferences.id.unwrap_or(0),
            user_id: preferences.user_id,
            preferred_genres: preferences.genres,
            preferred_language: preferences
                .language
                .unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned()),
            min_rating: preferences.min_rating,
            updated_at: preferences.updated_at,
        }
    }
}

/// A user's preferences
///
/// What the user said they like; defaults (no genres, `en`, 0) where they said nothing.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/preferences",
    tag = "preferences",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the preferences", body = PreferencesResponse),
        (status = 400, description = "the id cannot be one: `invalid user ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_preferences(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<JsonBody<PreferencesResponse>, ApiError> {
    let preferences = state.users.find_preferences(id).await?;
    Ok(JsonBody(preferences.ok_or(ApiError::UserNotFound)?.into()))
}

/// Set a user's preferences
///
/// Replaces the whole: what the request leaves out is no longer set.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/preferences",
    tag = "preferences",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = PreferencesRequest,
    responses(
        (status = 200, description = "the preferences, stored", body = PreferencesResponse),
        (status = 400, description = "the id or a field is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_preferences(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    Json(request): Json<PreferencesRequest>,
) -> Result<JsonBody<PreferencesResponse>, ApiError> {
    let preferences = NewPreferences::parse(
        request.preferred_genres.unwrap_or_default(),
        request.preferred_language.as_deref(),
        request.min_rating,
    )
    .map_err(ApiError::Invalid)?;
    let preferences = state.users.replace_preferences(id, &preferences).await?;
    Ok(JsonBody(preferences.ok_or(ApiError::UserNotFound)?.into()))
}
