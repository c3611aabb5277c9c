//! Endpoints of preferences.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    Problem,
    extract::{Json, Path},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::error::UserNotFound;
use crate::{
    models::{NewPreferences, Preferences, UserId},
    state::AppState,
};

/// The name of a genre, for its description.
#[derive(ToSchema)]
#[schema(
    min_length = 1,
    max_length = 50,
    pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
)]
#[expect(
    dead_code,
    reason = "names are checked one by one, so that errors name theirs"
)]
struct GenreName(String);

/// Preferences to be set; an absent field is not set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "preferred_genres": ["Science Fiction", "Drama"],
    "preferred_language": "en",
    "min_rating": 6.5
}))]
pub(super) struct PreferencesRequest {
    /// Names of genres in any language that movies are translated into, at most 50 of at most 50 characters each.
    /// Synonyms and plurals are understood (`Sci-Fi`, `공상과학`; `romcom` is Romance and Comedy). They are stored by their
    /// names in the catalogue, each once; an unknown one is an error that names the nearest. While the catalogue has no
    /// movies, they are stored as they are.
    #[schema(inline, max_items = 50, value_type = Option<Vec<GenreName>>)]
    preferred_genres: Option<Vec<String>>,
    /// A language of two letters (ISO 639-1) in any case, such as `ko` or `ko-KR`, of which the region is dropped; not set
    /// if empty. Only movies in this language are recommended, and responses about the user's own movies are in it.
    #[schema(pattern = "^([A-Za-z]{2}([-_][A-Za-z0-9]{1,8})*)?$", example = "ko")]
    preferred_language: Option<String>,
    /// The lowest rating of recommended movies, 0 to 10; 0 if absent. TMDB's vote average must reach it, and so must, to one
    /// decimal, the weighted rating `(v · R + 100 · 6.5) ÷ (v + 100)` of `v` votes with the average `R`: a Bayesian average
    /// with 100 prior votes and the prior mean 6.5, by the formula of IMDb's Top 250. So a few votes do not suffice.
    #[schema(minimum = 0, maximum = 10)]
    min_rating: Option<f64>,
}

/// Get preferences
///
/// Returns the user's preferences; defaults (no genres, `en`, 0) if none were set.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/preferences",
    tag = "preferences",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the preferences", body = Preferences),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn get_preferences(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<JsonBody<Preferences>, Problem> {
    Ok(JsonBody(state.users.get_preferences(id).await?))
}

/// Set preferences
///
/// Replaces the user's preferences as a whole.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/preferences",
    tag = "preferences",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = PreferencesRequest,
    responses(
        (status = 200, description = "the new preferences", body = Preferences),
        InvalidRequest, UserNotFound, BodyTooLarge,
    )
)]
pub(super) async fn set_preferences(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    Json(request): Json<PreferencesRequest>,
) -> Result<JsonBody<Preferences>, Problem> {
    let preferences = NewPreferences::parse(
        request.preferred_genres.unwrap_or_default(),
        request.preferred_language.as_deref(),
        request.min_rating,
    )?;
    let preferences = state.users.replace_preferences(id, preferences).await?;
    Ok(JsonBody(preferences))
}
