//! Many interactions at once, each with an answer of its own.

use axum::{Json as JsonBody, extract::State, http::StatusCode};
use chassis::{
    Problem,
    extract::{Json, parse_json},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    caller::Caller,
    error::ApiError,
    interactions::{InteractionResponse, action, movie_id, statement},
};
use crate::{
    models::{InteractionType, MovieId, UserId},
    service::writer::{Command, Written},
    state::AppState,
};

/// How many interactions there may be at once.
const MOST_EVENTS: usize = 1000;
/// Before this year nobody watched films.
const FIRST_YEAR: i32 = 1888;

/// What users do with films.
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

/// Something that a user does with a film, or did.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Event {
    /// Who: the caller where not given. Only administrators may name somebody else.
    user_id: Option<UserId>,
    /// The film.
    #[serde(default)]
    #[schema(required, value_type = MovieId)]
    movie_id: Value,
    /// What: `like`, `dislike`, `superlike`, `watchlist`, `watched`, `rating` or `progress`.
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
    /// When it happened, where that was not just now. What is older than what is known of the same
    /// changes nothing.
    occurred_at: Option<DateTime<Utc>>,
}

impl Event {
    fn parse(self, caller: &Caller) -> Result<Command, Problem> {
        let kind = statement(self.interaction_type)?;
        let movie_id = movie_id(&self.movie_id)?;
        let user_id = self.user_id.or(caller.id).ok_or_else(|| {
            let message = "is required, as the caller is no user";
            Problem::invalid(vec![FieldError::new("user_id", message)])
        })?;
        let action = action(
            kind,
            self.rating,
            self.position_seconds,
            self.duration_seconds,
        )
        .map_err(Problem::invalid)?;
        if self.occurred_at.is_some_and(|at| at.year() < FIRST_YEAR) {
            let message = format!("must not be before {FIRST_YEAR}");
            return Err(Problem::invalid(vec![FieldError::new(
                "occurred_at",
                message,
            )]));
        }
        if !(caller.is_internal || caller.is_admin || caller.id == Some(user_id)) {
            let detail = "only administrators record what others do; leave user_id out";
            return Err(
                Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(detail),
            );
        }
        Ok(Command {
            user_id,
            movie_id,
            action,
            occurred_at: self.occurred_at,
            film_known: false,
        })
    }
}

/// What became of the interactions.
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
            "detail": "no film of the catalogue has this id; GET /api/v1/movies lists those there are",
            "error": "movie not found"}
    ],
    "succeeded": 1,
    "failed": 1
}))]
pub(super) struct BatchResponse {
    /// One for each interaction, in the order of the request.
    results: Vec<EventResult>,
    /// How many are 200 or 201.
    succeeded: usize,
    /// How many are not.
    failed: usize,
}

/// What became of an interaction.
#[derive(Serialize, ToSchema)]
struct EventResult {
    /// Its place in the request, from 0.
    index: usize,
    /// 201: stored; 200: it stood so already, or something newer is known; otherwise as if it had been
    /// sent alone.
    #[schema(example = 201)]
    status: u16,
    /// Of 201 and 200: the interaction, or the earlier one that stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    interaction: Option<InteractionResponse>,
    #[serde(flatten)]
    problem: Option<EventProblem>,
}

/// Why an interaction was not stored.
#[derive(Serialize, ToSchema)]
struct EventProblem {
    /// What kind of problem it is: a stable relative URI.
    r#type: String,
    /// The kind in words.
    title: String,
    /// How to mend it.
    detail: String,
    /// The problem in one line.
    error: String,
    /// The fields that are wrong, where fields are.
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
            interaction: None,
            problem: Some(EventProblem {
                r#type,
                title,
                detail,
                error,
                errors,
            }),
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
            interaction: written.interaction.map(Into::into),
            problem: None,
        }
    }
}

/// Record many interactions
///
/// Stores what users do with films, each as if it had been sent alone: one that is wrong does not keep the
/// others from being stored. Users record what they do themselves; administrators what anybody does.
#[utoipa::path(
    post,
    path = "/api/v1/interactions/batch",
    tag = "interactions",
    request_body = BatchRequest,
    responses(
        (status = 200, description = "what became of each", body = BatchResponse),
        (status = 400, description = "the body is no list of 1 to 1000 interactions", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn record_batch(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<BatchRequest>,
) -> Result<JsonBody<BatchResponse>, ApiError> {
    let events = request.interactions;
    if !(1..=MOST_EVENTS).contains(&events.len()) {
        let message = format!("must be 1 to {MOST_EVENTS} interactions");
        return Err(ApiError::Invalid(vec![FieldError::new(
            "interactions",
            message,
        )]));
    }
    let mut results: Vec<Option<EventResult>> = Vec::with_capacity(events.len());
    let (mut places, mut commands) = (Vec::new(), Vec::new());
    for (index, event) in events.into_iter().enumerate() {
        let parsed =
            parse_json::<Event>(event.get().as_bytes()).and_then(|event| event.parse(&caller));
        results.push(match parsed {
            Ok(command) => {
                places.push(index);
                commands.push(command);
                None
            }
            Err(problem) => Some(EventResult::of_problem(index, &problem)),
        });
    }
    let recorded = state.interactions.record_all(commands).await;
    for (index, result) in places.into_iter().zip(recorded) {
        results[index] = Some(match result {
            Ok(written) => EventResult::of_written(index, written),
            Err(error) => {
                let problem = Problem::from(ApiError::from(error));
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
        .filter(|result| result.problem.is_none())
        .count();
    Ok(JsonBody(BatchResponse {
        failed: results.len() - succeeded,
        succeeded,
        results,
    }))
}
