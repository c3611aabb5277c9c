//! Lists for a group of users.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    caller::Caller,
    extract::{Json, Query},
    language::{AcceptLanguage, ContentLanguage},
    openapi::InvalidRequest,
    validate::{FieldError, Validator},
};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError,
        may_see,
        movie_card::MovieCard,
        ranking_request::LanguageQuery,
        responses::{NotThatUser, UserNotFound},
    },
    ranking::{RecommendError, group::Method},
    read_model::UserId,
    reason::Reason,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
const MAX_MOVIES: i64 = 100;
const MAX_MEMBERS: usize = 20;

/// A request for a list for a group.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_ids": [1, 2, 3], "method": "fairness", "limit": 10}))]
pub(super) struct GroupRequest {
    /// The members, 1 to 20, each once. Only administrators may name other users than themselves.
    #[schema(min_items = 1, max_items = 20)]
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
    /// The share of movies that they like less, 0 to 1, to tenths, which protects the member's privacy.
    #[schema(example = 0.9)]
    liking: f64,
}

/// A movie for a group.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GroupFilmResponse {
    #[serde(flatten)]
    film: MovieCard,
    /// The score of the group by the method, to tenths: of the members' scores in standard deviations, which are in
    /// tenths too; with `fairness` relative to the first movie.
    #[schema(example = 1.9)]
    score: f64,
    /// The affinity of each member.
    members: Vec<AffinityResponse>,
    /// The reason, in words: Korean if that is the display language, else English.
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
    let mut check = Validator::default();
    let ids = &request.user_ids;
    let message = format!("must be 1 to {MAX_MEMBERS} users");
    check.require((1..=MAX_MEMBERS).contains(&ids.len()), "user_ids", message);
    let mut members = Vec::with_capacity(ids.len());
    for (place, id) in ids.iter().enumerate().take(MAX_MEMBERS + 1) {
        let field = format!("user_ids[{place}]");
        match UserId::new(*id) {
            None => check.error(field, "must be a user's id, 1 and up"),
            Some(member) if members.contains(&member) => check.error(field, "is there already"),
            Some(member) => members.push(member),
        }
    }
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
    let message = format!("must be a whole number from 1 to {MAX_MOVIES}");
    check.require((1..=MAX_MOVIES).contains(&limit), "limit", message);
    check.finish((members, usize::try_from(limit).unwrap_or_default()))
}

/// Recommend movies to a group
///
/// Ranks movies that no member has seen, judged or ruled out, the best for all first. Since the list reveals what members
/// like and have seen, only administrators may name other users; a group of the caller alone is open to all. All scores
/// are rounded to tenths, and so is what the order follows. The list is not stored.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/group",
    tag = "recommendations",
    params(LanguageQuery),
    request_body = GroupRequest,
    responses(
        (status = 200, description = "the list", body = GroupResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, NotThatUser, UserNotFound,
    )
)]
pub(super) async fn create_group_list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<LanguageQuery>,
    AcceptLanguage(accepted): AcceptLanguage,
    Json(request): Json<GroupRequest>,
) -> Result<(ContentLanguage, JsonBody<GroupResponse>), ApiError> {
    let (members, limit) = parse(&request).map_err(RecommendError::Invalid)?;
    // Before any look-up, so that the refusal does not tell which users exist.
    if !members.iter().all(|member| may_see(&caller, member.get())) {
        return Err(ApiError::Forbidden(
            "only administrators may name other users; name your own id alone",
        ));
    }
    let recommender = &state.recommender;
    let own = members
        .iter()
        .find(|member| caller.numeric_subject() == Some(member.get()));
    let preferred = own.and_then(|own| recommender.preferred_language(*own));
    let made = recommender
        .recommend_to_group(members, request.method, limit)
        .await?;
    let language = state
        .languages
        .choose([query.language, accepted, preferred]);
    let catalogue = recommender.catalogue();
    let localized = catalogue.localized(language.primary());
    let films = made.films.into_iter().filter_map(|film| {
        let affinities = request.user_ids.iter().zip(film.affinities);
        Some(GroupFilmResponse {
            film: MovieCard::new(&localized, catalogue.row(film.id)?),
            score: film.score,
            members: affinities
                .map(|(user_id, liking)| AffinityResponse {
                    user_id: *user_id,
                    liking,
                })
                .collect(),
            reason: Reason::text(&[film.reason], language.primary(), &localized),
        })
    });
    let body = GroupResponse {
        recommendations: films.collect(),
        method: request.method,
        model_version: made.model_version,
        generated_at: recommender.now().to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    Ok((ContentLanguage(language), JsonBody(body)))
}
