//! Taste: what a user's films have in common, and what they say of it themselves.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    extract::{Bounded, Json, Path, Query},
    problem::{FieldError, ProblemDocument},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{
    models::{TagKey, TagKind, UserId},
    service::taste::{NewTasteEdit, Profile},
    state::AppState,
};

/// How many tags of each kind are shown where the client does not say.
const DEFAULT_LIMIT: i64 = 50;
/// Edits in one request at most.
const MOST_EDITS: usize = 100;

/// How much a user likes what films are about.
#[derive(Serialize, ToSchema)]
pub(super) struct TasteScoreResponse {
    /// TMDB's id; languages have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    /// The name; of a language its ISO 639-1 code.
    name: String,
    /// How much they like it; below zero: they do not.
    score: f64,
    /// Whether they said so themselves, rather than by what they do.
    edited: bool,
}

/// A user's taste: scores from what they do, the strongest first, be it for or against.
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
    /// After so many days what was done weighs half; 0: it keeps its weight.
    half_life_days: f64,
    /// Genres.
    genres: Vec<TasteScoreResponse>,
    /// Keywords.
    keywords: Vec<TasteScoreResponse>,
    /// Directors, and the first of the cast.
    people: Vec<TasteScoreResponse>,
    /// The languages in which films were made.
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

/// How taste is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TasteQuery {
    /// How many tags of each kind at most: 50 where not given.
    #[param(inline, example = 50)]
    limit: Option<Bounded<1, 1000>>,
}

impl TasteQuery {
    fn limit(&self) -> usize {
        let limit = self.limit.map_or(DEFAULT_LIMIT, Bounded::get);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }
}

/// What a user says of one tag.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TasteEditRequest {
    kind: TagKind,
    /// TMDB's id of a genre, keyword or person.
    id: Option<i64>,
    /// In place of the id: the name, if only one has it; of a language its ISO 639-1 code.
    name: Option<String>,
    /// How much the user likes it, -100 to 100; null takes back what was said.
    #[serde(deserialize_with = "nullable")]
    #[schema(required, value_type = Option<f64>, minimum = -100, maximum = 100)]
    score: Option<f64>,
}

/// Reads null as a value of its own: a field without a default must be there, even so.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(deserializer)
}

/// What a user says of their taste.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"edits": [
    {"kind": "genre", "name": "Horror", "score": -20},
    {"kind": "person", "id": 6384, "score": null}
]}))]
pub(super) struct EditTasteRequest {
    /// 1 to 100 edits, each of another tag.
    #[schema(min_items = 1, max_items = 100)]
    edits: Vec<TasteEditRequest>,
}

/// A user's taste
///
/// What the user's films have in common. Each thing that they did with a film adds its weight to the
/// film's genres, keywords, people and language, and loses half of it with every half-life. An edit
/// stands in place of what adds up.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/taste",
    tag = "taste",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), TasteQuery),
    responses(
        (status = 200, description = "the taste", body = TasteResponse),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_taste(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<TasteQuery>,
) -> Result<JsonBody<TasteResponse>, ApiError> {
    let profile = state.tastes.of(user_id, query.limit()).await?;
    Ok(JsonBody(TasteResponse::new(user_id, profile)))
}

/// Edit a user's taste
///
/// Pins the scores of tags, or takes pins back. A pinned score stands whatever the user does.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}/taste",
    tag = "taste",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = EditTasteRequest,
    responses(
        (status = 200, description = "the taste as it is now", body = TasteResponse),
        (status = 400, description = "the id or an edit is wrong, or a field is unknown; nothing is stored", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn edit_taste(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<EditTasteRequest>,
) -> Result<JsonBody<TasteResponse>, ApiError> {
    if !(1..=MOST_EDITS).contains(&request.edits.len()) {
        let message = format!("must be 1 to {MOST_EDITS}");
        return Err(ApiError::Invalid(vec![FieldError::new("edits", message)]));
    }
    let edits: Vec<NewTasteEdit> = request
        .edits
        .into_iter()
        .map(|edit| NewTasteEdit {
            kind: edit.kind,
            id: edit.id,
            name: edit.name,
            score: edit.score,
        })
        .collect();
    state.tastes.edit(user_id, &edits).await?;
    let limit = TasteQuery { limit: None }.limit();
    let profile = state.tastes.of(user_id, limit).await?;
    Ok(JsonBody(TasteResponse::new(user_id, profile)))
}
