//! Taste profiles: the scores of genres, keywords, people and languages, and users' edits of them.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    Problem,
    extract::{Bounded, Json, Path, Query},
    openapi::{BodyTooLarge, InvalidRequest},
    problem::FieldError,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{error::UserNotFound, user_movie::ListProblems};
use crate::{
    models::{NewTasteEdit, TagKey, TagKind, UserId},
    service::taste::Profile,
    state::AppState,
};

/// The number of tags of each kind without `limit`.
const DEFAULT_LIMIT: i64 = 50;
/// The maximum number of edits in one request.
const MAX_EDITS: usize = 100;

/// A user's score for a tag.
#[derive(Serialize, ToSchema)]
pub(super) struct TasteScoreResponse {
    /// The tag's TMDB id; languages have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    /// The name, or a language's ISO 639-1 code.
    name: String,
    /// The score; negative if the user dislikes movies with the tag. A like of today is 5.
    score: f64,
    /// True if the user set the score, false if it is computed from their actions.
    edited: bool,
}

/// A taste profile: scores by descending absolute value.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "half_life_days": 180.0,
    "genres": [{"id": 878, "name": "Science Fiction", "score": 12.5, "edited": false}],
    "keywords": [{"id": 310, "name": "artificial intelligence", "score": 7.0, "edited": false}],
    "people": [{"id": 6384, "name": "Keanu Reeves", "score": -3.0, "edited": true}],
    "languages": [{"name": "en", "score": 12.5, "edited": false}]
}))]
pub(super) struct TasteResponse {
    user_id: UserId,
    /// The half-life of an action's weight in days, counted from the user's newest action; 0 for no decay.
    half_life_days: f64,
    /// Genres.
    genres: Vec<TasteScoreResponse>,
    /// Keywords.
    keywords: Vec<TasteScoreResponse>,
    /// Directors and the first cast members.
    people: Vec<TasteScoreResponse>,
    /// Original languages.
    languages: Vec<TasteScoreResponse>,
}

impl TasteResponse {
    fn new(user_id: UserId, profile: Profile) -> Self {
        let mut response = Self {
            user_id,
            half_life_days: profile.half_life.days,
            genres: Vec::new(),
            keywords: Vec::new(),
            people: Vec::new(),
            languages: Vec::new(),
        };
        for (score, name) in profile.scores {
            let list = match score.key.kind() {
                TagKind::Genre => &mut response.genres,
                TagKind::Keyword => &mut response.keywords,
                TagKind::Person => &mut response.people,
                TagKind::Language => &mut response.languages,
            };
            list.push(TasteScoreResponse {
                id: match score.key {
                    TagKey::Numbered(_, id) => Some(id),
                    TagKey::Language(_) => None,
                },
                name,
                score: (score.score * 10_000.0).round() / 10_000.0,
                edited: score.edited,
            });
        }
        response
    }
}

/// The parameters of a taste profile.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TasteQuery {
    /// The maximum number of tags of each kind.
    #[param(inline, default = 50, example = 10)]
    limit: Option<Bounded<1, 1000>>,
}

impl TasteQuery {
    fn limit(&self) -> usize {
        let limit = self.limit.map_or(DEFAULT_LIMIT, Bounded::get);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

/// Edits of a taste profile.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"edits": [
    {"kind": "genre", "name": "Horror", "score": -20},
    {"kind": "person", "id": 6384, "score": null}
]}))]
pub(super) struct EditTasteRequest {
    /// 1 to 100 edits, at most one per tag.
    #[schema(min_items = 1, max_items = 100)]
    edits: Vec<NewTasteEdit>,
}

/// Get a taste profile
///
/// Returns the scores by which movies are recommended. Each of the user's actions adds its weight to the movie's genres,
/// keywords, people and language. The weight halves with every half-life before the user's newest action, down to an
/// eighth. An edit replaces the computed score.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/taste",
    tag = "taste",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), TasteQuery),
    responses(
        (status = 200, description = "the taste profile", body = TasteResponse),
        ListProblems
    )
)]
pub(super) async fn get_taste(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<TasteQuery>,
) -> Result<JsonBody<TasteResponse>, Problem> {
    let profile = state.tastes.get(user_id, query.limit()).await?;
    Ok(JsonBody(TasteResponse::new(user_id, profile)))
}

/// Edit a taste profile
///
/// Sets the scores of tags, or removes edits. A score that is set does not change with the user's actions.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}/taste",
    tag = "taste",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = EditTasteRequest,
    responses(
        (status = 200, description = "the new taste profile", body = TasteResponse),
        InvalidRequest, UserNotFound, BodyTooLarge,
    )
)]
pub(super) async fn edit_taste(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<EditTasteRequest>,
) -> Result<JsonBody<TasteResponse>, Problem> {
    if !(1..=MAX_EDITS).contains(&request.edits.len()) {
        let message = format!("must be 1 to {MAX_EDITS}");
        return Err(FieldError::new("edits", message).into());
    }
    state.tastes.edit(user_id, &request.edits).await?;
    let limit = TasteQuery { limit: None }.limit();
    let profile = state.tastes.get(user_id, limit).await?;
    Ok(JsonBody(TasteResponse::new(user_id, profile)))
}
