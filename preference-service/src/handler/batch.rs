//! Batches of interactions, with a result for each.

use axum::{Json as JsonBody, extract::State, http::StatusCode};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, parse_json},
    openapi::IdempotencyKeyReused,
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    idempotency::{IdempotencyHeader, KeyInUse},
    interactions::{StatementType, parse},
};
use crate::{
    models::{Interaction, MovieId, UserId},
    service::writer::{Command, Written},
    state::AppState,
};

/// The maximum number of interactions in a batch.
const MAX_EVENTS: usize = 1000;
/// The year of the first movie.
const MIN_YEAR: i32 = 1888;

/// A batch of users' actions on movies.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"interactions": [
    {"movie_id": 603, "interaction_type": "like"},
    {"movie_id": 604, "interaction_type": "rating", "rating": 3.5, "occurred_at": "2026-02-13T08:15:42Z"}
]}))]
pub(super) struct BatchRequest {
    /// The interactions, in their order.
    #[schema(min_items = 1, max_items = 1000, value_type = Vec<Event>)]
    interactions: Vec<Box<RawValue>>,
}

/// A user's action on a movie, present or past.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Event {
    /// The user: the caller by default. Only administrators may record for other users.
    user_id: Option<UserId>,
    /// The movie.
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
    /// The time of a past action. An action older than the known state changes nothing.
    occurred_at: Option<DateTime<Utc>>,
}

impl Event {
    fn parse(self, caller: &Caller) -> Result<Command, Problem> {
        let (movie_id, action) = parse(
            self.interaction_type,
            &self.movie_id,
            self.rating,
            self.position_seconds,
            self.duration_seconds,
        )?;
        let own_id = UserId::of(caller);
        let user_id = self.user_id.or(own_id).ok_or_else(|| {
            let message = "is required, because the caller is not a user";
            FieldError::new("user_id", message)
        })?;
        if self.occurred_at.is_some_and(|at| at.year() < MIN_YEAR) {
            let message = format!("must not be before {MIN_YEAR}");
            return Err(FieldError::new("occurred_at", message).into());
        }
        if !(caller.is_internal || caller.is_admin || own_id == Some(user_id)) {
            let detail = "only administrators record interactions of other users; omit user_id";
            return Err(
                Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(detail),
            );
        }
        Ok(Command {
            user_id,
            movie_id,
            action,
            occurred_at: self.occurred_at,
            is_movie_known: false,
        })
    }
}

/// The results of a batch.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "results": [
        {"index": 0, "status": 201, "interaction": {
            "id": 1,
            "user_id": 1,
            "movie_id": 603,
            "interaction_type": "like",
            "occurred_at": "2026-02-13T08:15:42.123456Z",
            "created_at": "2026-02-13T08:15:42.123456Z"
        }},
        {"index": 1, "status": 404, "type": "/problems/movie-not-found", "title": "Movie not found",
            "detail": "no movie of the catalogue has this id; GET /api/v1/movies lists the movies",
            "error": "movie not found"}
    ],
    "succeeded": 1,
    "failed": 1
}))]
pub(super) struct BatchResponse {
    /// The result of each interaction, in the order of the request.
    results: Vec<EventResult>,
    /// The number of results with status 200 or 201.
    succeeded: usize,
    /// The number of all others.
    failed: usize,
}

/// The result of one interaction; with the members of a problem if it was not stored.
#[derive(Default, Serialize, ToSchema)]
struct EventResult {
    /// The index in the request, from 0.
    index: usize,
    /// 201: stored; 200: nothing changed, because the state was already so or newer; otherwise the status of the same
    /// interaction sent alone.
    #[schema(example = 201)]
    status: u16,
    /// The interaction, or the earlier one that led to the state, if the status is 201 or 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction: Option<Interaction>,
    /// The problem type: a stable relative URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    r#type: Option<String>,
    /// The title of the problem type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    title: Option<String>,
    /// The correction that it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    detail: Option<String>,
    /// The problem in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    error: Option<String>,
    /// The invalid fields, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl EventResult {
    fn of_problem(index: usize, problem: &Problem) -> Self {
        let ProblemDocument {
            r#type,
            title,
            status,
            detail,
            errors,
            error,
            ..
        } = problem.document("", "");
        let prefix = format!("interactions[{index}]");
        let errors = errors
            .into_iter()
            .map(|wrong| match wrong.field.as_str() {
                "body" => FieldError::new(&prefix, wrong.message),
                field => FieldError::new(format!("{prefix}.{field}"), wrong.message),
            })
            .collect();
        Self {
            index,
            status,
            r#type: Some(r#type),
            title: Some(title),
            detail: Some(detail),
            error: Some(error),
            errors,
            ..Self::default()
        }
    }

    fn of_written(index: usize, written: Written) -> Self {
        let status = if written.changed {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        Self {
            index,
            status: status.as_u16(),
            interaction: written.interaction,
            ..Self::default()
        }
    }
}

/// Record a batch of interactions
///
/// Stores users' actions on movies, each as if it had been sent alone: an invalid one does not keep the others from
/// being stored. Users record their own actions, administrators those of any user.
#[utoipa::path(
    post,
    path = "/api/v1/interactions/batch",
    tag = "interactions",
    params(IdempotencyHeader),
    request_body = BatchRequest,
    responses(
        (status = 200, description = "the result of each interaction", body = BatchResponse),
        KeyInUse, IdempotencyKeyReused,
        (status = 400, description = "the body is not a list of 1 to 1000 interactions", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn record_batch(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<BatchRequest>,
) -> Result<JsonBody<BatchResponse>, Problem> {
    let events = request.interactions;
    if !(1..=MAX_EVENTS).contains(&events.len()) {
        let message = format!("must be 1 to {MAX_EVENTS} interactions");
        return Err(FieldError::new("interactions", message).into());
    }
    let mut results: Vec<Option<EventResult>> = Vec::with_capacity(events.len());
    let (mut positions, mut commands) = (Vec::new(), Vec::new());
    for (index, event) in events.into_iter().enumerate() {
        let parsed =
            parse_json::<Event>(event.get().as_bytes()).and_then(|event| event.parse(&caller));
        results.push(match parsed {
            Ok(command) => {
                positions.push(index);
                commands.push(command);
                None
            }
            Err(problem) => Some(EventResult::of_problem(index, &problem)),
        });
    }
    let recorded = state.interactions.record_all(commands).await;
    for (index, result) in positions.into_iter().zip(recorded) {
        results[index] = Some(match result {
            Ok(written) => EventResult::of_written(index, written),
            Err(error) => {
                let problem = Problem::from(error);
                if problem.status().is_server_error() {
                    chassis::server::log_problem(&problem);
                }
                EventResult::of_problem(index, &problem)
            }
        });
    }
    let results: Vec<EventResult> = results.into_iter().flatten().collect();
    let succeeded = results
        .iter()
        .filter(|result| result.error.is_none())
        .count();
    Ok(JsonBody(BatchResponse {
        failed: results.len() - succeeded,
        succeeded,
        results,
    }))
}
