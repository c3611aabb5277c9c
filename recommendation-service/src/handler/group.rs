//! Lists for a group of users.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    caller::Caller,
    extract::{Bounded, Json, Query},
    language::{AcceptLanguage, ContentLanguage},
    openapi::InvalidRequest,
    problem::ProblemDocument,
    validate::{FieldError, Validator},
};
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError, movie_card::MovieCard, ranking_request::LanguageQuery,
        responses::NoSharedGroup,
    },
    ranking::{RecommendError, group::Method},
    read_model::UserId,
    reason::Reason,
    state::AppState,
};

const DEFAULT_LIMIT: i64 = 10;
const MAX_MOVIES: i64 = 100;
const MAX_MEMBERS: usize = 20;

/// A request for a list for a group: either `group_id` or `user_ids`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"group_id": 1, "method": "fairness", "limit": 10}))]
pub(super) struct GroupRequest {
    /// A group that the caller is a member of (`GET /api/v1/groups`); the list is for all its members.
    #[schema(minimum = 1)]
    group_id: Option<i64>,
    /// The caller, and users of one group of the caller, 1 to 20 in all, each once. Administrators may name any users.
    #[schema(value_type = Vec<Bounded<1, { i64::MAX }>>, inline, required = false, min_items = 1, max_items = 20)]
    user_ids: Option<Vec<i64>>,
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
    /// The group, if the request names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<i64>,
    /// The aggregation method.
    method: Method,
    /// The version of the learned models; null if none scored.
    model_version: Option<i64>,
    /// The time at which the list was made.
    #[schema(example = "2026-02-13T08:15:42Z")]
    generated_at: String,
}

/// The users that a list is for.
enum Audience {
    Group(i64),
    Users(Vec<UserId>),
}

/// Parses the users and the number of movies.
fn parse(request: &GroupRequest) -> Result<(Audience, usize), Vec<FieldError>> {
    let mut check = Validator::default();
    let audience = match (request.group_id, &request.user_ids) {
        (Some(id), None) => {
            check.require(id > 0, "group_id", "must be a group's id, 1 and up");
            Audience::Group(id)
        }
        (None, Some(ids)) => Audience::Users(parse_users(&mut check, ids)),
        (None, None) => {
            check.error("user_ids", "is required without group_id");
            Audience::Users(Vec::new())
        }
        (Some(_), Some(_)) => {
            check.error("user_ids", "must not be given with group_id");
            Audience::Users(Vec::new())
        }
    };
    let limit = request.limit.unwrap_or(DEFAULT_LIMIT);
    let message = format!("must be a whole number from 1 to {MAX_MOVIES}");
    check.require((1..=MAX_MOVIES).contains(&limit), "limit", message);
    check.finish((audience, usize::try_from(limit).unwrap_or_default()))
}

fn parse_users(check: &mut Validator, ids: &[i64]) -> Vec<UserId> {
    let message = format!("must be 1 to {MAX_MEMBERS} users");
    check.require((1..=MAX_MEMBERS).contains(&ids.len()), "user_ids", message);
    let mut members = Vec::with_capacity(MAX_MEMBERS);
    for (place, id) in ids.iter().enumerate().take(MAX_MEMBERS + 1) {
        let field = format!("user_ids[{place}]");
        match UserId::new(*id) {
            None => check.error(field, "must be a user's id, 1 and up"),
            Some(member) if members.contains(&member) => check.error(field, "is there already"),
            Some(member) => members.push(member),
        }
    }
    members
}

/// The users that the list is for, of whom the caller may see such a list.
async fn members_of(
    state: &AppState,
    caller: &Caller,
    audience: Audience,
) -> Result<Vec<UserId>, ApiError> {
    let own = caller.numeric_subject().and_then(UserId::new);
    let recommender = &state.recommender;
    match audience {
        Audience::Group(id) => {
            let own = own.ok_or(RecommendError::GroupNotFound)?;
            Ok(recommender.group_members(own, id).await?)
        }
        Audience::Users(users) if caller.is_admin => Ok(users),
        Audience::Users(users) => {
            let refusal = ApiError::Forbidden(
                "name yourself and members of one of your groups; POST /api/v1/groups/join accepts an invitation",
            );
            // Before any look-up of the others, so that the refusal does not tell which users exist.
            let Some(own) = own.filter(|own| users.contains(own)) else {
                return Err(refusal);
            };
            let may_see = users.len() == 1 || recommender.share_group(own, &users).await?;
            may_see.then_some(users).ok_or(refusal)
        }
    }
}

/// Recommend movies to a group
///
/// Ranks movies that no member has seen, judged or ruled out, the best for all first: for all members of a group of the
/// caller (`group_id`), or for the caller and some of them (`user_ids`). Users consented to such lists when they joined the
/// group, and end that by leaving it, which takes effect at once; anyone else is refused in the same way, whether or not they
/// exist. A movie that is missing from the list was seen, judged or ruled out by a member, or is beyond `limit`: the list
/// shows neither by whom nor which of these. All scores are rounded to tenths, and so is what the order follows, so that a
/// score reveals no opinion more exactly than `liking` does. The list is not stored.
#[utoipa::path(
    post,
    path = "/api/v1/recommendations/group",
    tag = "recommendations",
    params(LanguageQuery),
    request_body = GroupRequest,
    responses(
        (status = 200, description = "the list", body = GroupResponse, headers(("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        InvalidRequest, NoSharedGroup,
        (status = 404, description = "the caller is not a member of the group, or it does not exist: `group not found`; an administrator names a user who does not exist: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_group_list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<LanguageQuery>,
    AcceptLanguage(accepted): AcceptLanguage,
    Json(request): Json<GroupRequest>,
) -> Result<(ContentLanguage, JsonBody<GroupResponse>), ApiError> {
    let (audience, limit) = parse(&request).map_err(RecommendError::Invalid)?;
    let members = members_of(&state, &caller, audience).await?;
    let recommender = &state.recommender;
    let own = members
        .iter()
        .find(|member| caller.numeric_subject() == Some(member.get()));
    let preferred = own.and_then(|own| recommender.preferred_language(*own));
    let made = recommender
        .recommend_to_group(&members, request.method, limit)
        .await?;
    let language = state
        .languages
        .choose([query.language, accepted, preferred]);
    let catalogue = recommender.catalogue();
    let localized = catalogue.localized(language.primary());
    let films = made.films.into_iter().filter_map(|film| {
        let affinities = members.iter().zip(film.affinities);
        Some(GroupFilmResponse {
            film: MovieCard::new(&localized, catalogue.row(film.id)?),
            score: film.score,
            members: affinities
                .map(|(member, liking)| AffinityResponse {
                    user_id: member.get(),
                    liking,
                })
                .collect(),
            reason: Reason::text(&[film.reason], language.primary(), &localized),
        })
    });
    let body = GroupResponse {
        recommendations: films.collect(),
        group_id: request.group_id,
        method: request.method,
        model_version: made.model_version,
        generated_at: recommender.now().to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    Ok((ContentLanguage(language), JsonBody(body)))
}
