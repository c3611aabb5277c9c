//! Interactions: recording a user's action on a movie, and the log of them.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    Problem,
    extract::{Bounded, Json, Path, Query},
    openapi::IdempotencyKeyReused,
    paging::Cursor,
    validate::{FieldError, Validator},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{
    idempotency::{IdempotencyHeader, KeyInUse},
    user_movie::{ListProblems, SetProblems, decode_cursor, link_header},
};
use crate::{
    error::Error,
    models::{
        Action, Interaction, InteractionId, InteractionType, MovieId, Progress, Rating, UserId,
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
    #[schema(required, value_type = StatementType)]
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

/// The type of an action that is reported: those of removals are recorded by the endpoints that remove.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case", example = "like")]
#[expect(dead_code, reason = "describes a field that is read as text")]
pub(super) enum StatementType {
    /// Likes the movie.
    Like,
    /// Dislikes the movie.
    Dislike,
    /// Likes the movie very much.
    Superlike,
    /// Adds the movie to the watchlist.
    Watchlist,
    /// Watched the movie to its end, or nearly so.
    Watched,
    /// Rated the movie.
    Rating,
    /// Watched a part of the movie.
    Progress,
}

/// The whole number that a value of JSON is, in whatever way it is written: `603.0` is 603.
fn whole_number(value: &Value) -> Option<i64> {
    /// Beyond this, floating-point numbers are not exact.
    const MAX_EXACT: f64 = 9_007_199_254_740_992.0;
    value.as_i64().or_else(|| {
        let number = value.as_f64()?;
        let is_whole = number.fract() == 0.0 && number.abs() <= MAX_EXACT;
        is_whole.then_some(number as i64)
    })
}

/// Validates the fields of an interaction, in the order in which the original reports them.
///
/// # Errors
/// [`Error::UnknownInteractionType`] if the type is not one that sets a value, [`Error::InvalidMovieId`] if `movie_id` is
/// not a positive integer, [`Error::Invalid`] if a value is missing or invalid, or belongs to another type.
pub(super) fn parse(
    interaction_type: String,
    movie_id: &Value,
    rating: Option<f64>,
    position: Option<i32>,
    duration: Option<i32>,
) -> Result<(MovieId, Action), Error> {
    let kind = InteractionType::parse_statement(interaction_type)?;
    let movie_id = whole_number(movie_id)
        .and_then(MovieId::new)
        .ok_or(Error::InvalidMovieId)?;
    let action = action(kind, rating, position, duration)?;
    Ok((movie_id, action))
}

fn action(
    kind: InteractionType,
    stars: Option<f64>,
    position: Option<i32>,
    duration: Option<i32>,
) -> Result<Action, Vec<FieldError>> {
    let mut check = Validator::default();
    let (is_rating, is_progress) = (
        kind == InteractionType::Rating,
        kind == InteractionType::Progress,
    );
    let mut rating = None;
    if is_rating {
        rating = check.take(
            "rating",
            stars.and_then(Rating::from_stars).ok_or(RATING_RULE),
        );
    }
    let progress = is_progress.then(|| progress(position, duration));
    let progress = match progress.transpose() {
        Ok(progress) => progress,
        Err(error) => {
            check.extend([error]);
            None
        }
    };
    for (field, is_misplaced, owner) in [
        ("rating", stars.is_some() && !is_rating, "rating"),
        (
            "position_seconds",
            position.is_some() && !is_progress,
            "progress",
        ),
        (
            "duration_seconds",
            duration.is_some() && !is_progress,
            "progress",
        ),
    ] {
        let message = format!("is only allowed for the interaction type {owner}");
        check.require(!is_misplaced, field, message);
    }
    // Without an action a value is missing, which is reported above.
    let action = Action::of(kind, rating, progress).ok_or_else(Vec::new);
    check.finish(action)?
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
    /// The page size.
    #[param(inline, default = 50, example = 10)]
    limit: Option<Bounded<1, 1000>>,
    /// Lists only interactions of this type.
    #[serde(rename = "type")]
    #[param(inline)]
    interaction_type: Option<InteractionType>,
    /// The `next_cursor` of the previous page. Pages neither skip nor repeat items while interactions are recorded.
    #[param(example = "eyJiZWZvcmUiOjF9")]
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
) -> Result<(HeaderMap, JsonBody<InteractionsResponse>), Problem> {
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
    params(("id" = UserId, Path, description = "The user's id.", example = 1), IdempotencyHeader),
    request_body = CreateInteractionRequest,
    responses(
        (status = 201, description = "the interaction", body = Interaction),
        KeyInUse, IdempotencyKeyReused, SetProblems
    )
)]
pub(super) async fn create_interaction(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateInteractionRequest>,
) -> Result<(StatusCode, JsonBody<Interaction>), Problem> {
    let (movie_id, action) = parse(
        request.interaction_type,
        &request.movie_id,
        request.rating,
        request.position_seconds,
        request.duration_seconds,
    )?;
    let command = Command::now(user_id, movie_id, action);
    let written = state.interactions.record(command).await?;
    let interaction = written.interaction.ok_or(Error::NotSet("interaction"))?;
    Ok((StatusCode::CREATED, JsonBody(interaction)))
}
