//! Histories that users bring along from elsewhere: sent, looked at, called off.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chassis::{
    Problem,
    extract::{AcceptsEventStream, Bounded, Path, Query, read_body},
    problem::{FieldError, ProblemDocument},
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::ApiError;
use crate::{
    models::{Import, ImportFormat, UserId},
    service::{
        admission::ImportAdmission,
        imports::{Imports, Moved},
    },
    state::AppState,
};

/// Files in one import at most.
const MOST_FILES: usize = 12;
/// How many imports are listed where the client does not say.
const DEFAULT_LIMIT: i64 = 20;
/// A stream of events ends after this long; its reader comes again by itself.
const LONGEST_STREAM: Duration = Duration::from_secs(600);
/// A stream says that it is alive this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Lets few imports be sent at once, whose bodies are large.
pub(super) async fn few_at_once(
    State(admission): State<ImportAdmission>,
    request: Request,
    next: Next,
) -> Response {
    if *request.method() != Method::POST {
        return next.run(request).await;
    }
    let Some(_permit) = admission.admit_upload() else {
        return Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many imports are being sent",
        )
        .detail("try again after the seconds that Retry-After gives")
        .retry_after(2)
        .into_response();
    };
    next.run(request).await
}

/// How a history is taken over.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// Whether to tell what would change, without changing it: not where not given.
    #[param(example = false)]
    dry_run: Option<bool>,
    /// What the only file holds, where its heading and its name leave a choice.
    #[param(inline, value_type = Option<ImportFormat>)]
    format: Option<String>,
}

/// The files of a history, each a part of its own with its name.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it is read part by part, and described by this")]
pub(super) struct ImportForm {
    /// CSV as Letterboxd, IMDb, Trakt or MovieLens export it.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<Vec<u8>>,
}

/// Import a history
///
/// Takes over what the user did elsewhere, from files that Letterboxd, IMDb, Trakt or MovieLens export:
/// send the CSV files as they are, several as `multipart/form-data`, or one as the body. Which is which is
/// told by their headings, and by the names of Letterboxd's. A row counts from the day that it tells: what
/// the user did here later stands. Ratings of ten points become half stars. Of a MovieLens dataset, send
/// `links.csv` along, and the rows of one user.
///
/// The files are checked at once; films are found, by their ids, then by title and year, and the rest is done,
/// by a job that survives restarts. One import of a user goes on at a time.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/imports",
    tag = "imports",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ImportQuery),
    request_body(content((ImportForm = "multipart/form-data"), (String = "text/csv", example = json!("Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n2024-05-02,The Matrix,1999,https://boxd.it/2a1m,4.5,,,2024-05-01\n")))),
    responses(
        (status = 202, description = "the job", body = Import, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "a file is none that is known, or rows of it are wrong; `errors` names file, line and column", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "an import of the user is under way; `job` tells how far it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the files are larger than 16 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_import(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let invalid =
        |field: &str, message: String| Problem::invalid(vec![FieldError::new(field, message)]);
    let format = query.format.as_deref().map(|name| {
        ImportFormat::parse(name).ok_or_else(|| {
            let known = ImportFormat::ALL.map(ImportFormat::as_str).join(", ");
            invalid("format", format!("must be one of {known}"))
        })
    });
    let format = format.transpose()?;
    let files = read_files(request, &state.import_admission).await?;
    if files.is_empty() {
        return Err(invalid("file", "must be at least one CSV file".to_owned()));
    }
    if format.is_some() && files.len() > 1 {
        let message = "is for one file alone: send the others by themselves, or keep their names";
        return Err(invalid("format", message.to_owned()));
    }
    let dry_run = query.dry_run.unwrap_or(false);
    let job = state
        .imports
        .create(user_id, files, format, dry_run)
        .await
        .map_err(ApiError::from)?;
    let location = format!("/api/v1/users/{user_id}/imports/{}", job.job_id);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(job),
    )
        .into_response())
}

/// The files that a request brings, with their names.
async fn read_files(
    request: Request,
    admission: &ImportAdmission,
) -> Result<Vec<(String, Bytes)>, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let is_form = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
    if !is_form {
        let body = read_body(request).await;
        let body = body.map_err(|problem| match problem.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(admission),
            _ => problem,
        })?;
        return Ok(if body.is_empty() {
            Vec::new()
        } else {
            vec![(String::new(), body)]
        });
    }
    let broken = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(admission),
        _ => Problem::invalid(vec![FieldError::new("body", error.body_text())]),
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| {
            Problem::invalid(vec![FieldError::new("Content-Type", error.body_text())])
        })?;
    let mut files = Vec::new();
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let Some(name) = part.file_name().map(str::to_owned) else {
            let field = part.name().unwrap_or("body").to_owned();
            let message = "is no file: give it a file name, and settings in the query";
            return Err(Problem::invalid(vec![FieldError::new(field, message)]));
        };
        if files.len() == MOST_FILES {
            let message = format!("must be at most {MOST_FILES} files");
            return Err(Problem::invalid(vec![FieldError::new("file", message)]));
        }
        files.push((name, part.bytes().await.map_err(broken)?));
    }
    Ok(files)
}

fn too_large(admission: &ImportAdmission) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body-too-large",
        "request body too large",
    )
    .detail(format!(
        "send at most {} bytes at once: the files one by one, or parts of them",
        admission.max_bytes()
    ))
}

/// How many imports to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportsQuery {
    /// How many imports to list; 20 where not given.
    #[param(inline, required = false, example = 20)]
    limit: Option<Bounded<1, 100>>,
}

/// Imports of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"imports": []}))]
pub(super) struct ImportsResponse {
    /// The newest first, without `unmatched_titles` and `failures`.
    imports: Vec<Import>,
}

/// List imports
///
/// A user's imports, the newest first. Those that ended long ago are forgotten.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports",
    tag = "imports",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ImportsQuery),
    responses(
        (status = 200, description = "the imports", body = ImportsResponse),
        (status = 400, description = "the id or a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_imports(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<ImportsQuery>,
) -> Result<Json<ImportsResponse>, ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let imports = state.imports.list(user_id, limit).await?;
    Ok(Json(ImportsResponse { imports }))
}

/// The path of an import.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserImport {
    /// The user's id.
    #[param(inline, example = 1)]
    id: UserId,
    /// The job's id.
    #[param(example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")]
    job_id: Uuid,
}

/// Get an import
///
/// How far an import is. With `Accept: text/event-stream`, an event named `import` whenever it moves, the
/// same as the answer otherwise, until it has ended; a reader whose stream ends earlier comes again.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports/{job_id}",
    tag = "imports",
    params(UserImport),
    responses(
        (status = 200, description = "the import", content((Import = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "the import has ended, and `Last-Event-ID` says that the reader of events knows"),
        (status = 400, description = "an id is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the user has no such import", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_import(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
    AcceptsEventStream(wants_events): AcceptsEventStream,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let import = state.imports.find(path.id, path.job_id).await?;
    if !wants_events {
        return Ok(Json(import).into_response());
    }
    let known = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    if import.status.is_ended() && known == Some(event_id(&import).as_str()) {
        // The only answer after which a reader of events does not come again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let Some(place) = state.import_admission.admit_stream() else {
        let full = Problem::unavailable("a place among the readers of events");
        return Ok(full.into_response());
    };
    let watch = Watch {
        moved: state.imports.moved(),
        imports: state.imports.clone(),
        next: Some(import.clone()),
        told: import,
        until: Instant::now() + LONGEST_STREAM,
        _place: place,
    };
    let mut response = Sse::new(events(watch))
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response();
    response.headers_mut().insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    Ok(response)
}

/// Cancel an import
///
/// Calls an import off; what is done stays. One that is called off already stays so.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/imports/{job_id}/cancel",
    tag = "imports",
    params(UserImport),
    responses(
        (status = 200, description = "the import", body = Import),
        (status = 400, description = "an id is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the user has no such import", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "it has ended already; `job` tells how", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is too large; it needs none", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel_import(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
) -> Result<Json<Import>, ApiError> {
    Ok(Json(state.imports.cancel(path.id, path.job_id).await?))
}

/// Changes with every step of the import.
fn event_id(import: &Import) -> String {
    format!(
        "{}-{}-{}",
        import.status.as_str(),
        import.processed,
        import.updated_at.timestamp_micros()
    )
}

struct Watch {
    imports: Imports,
    moved: Moved,
    /// What is to be told next.
    next: Option<Import>,
    /// What was told last.
    told: Import,
    until: Instant,
    _place: OwnedSemaphorePermit,
}

/// The import as it is, then whenever it moves, until it has ended.
fn events(watch: Watch) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(watch, |mut watch| async move {
        let import = match watch.next.take() {
            Some(import) => import,
            None => watch.next_change().await?,
        };
        let event = Event::default()
            .event("import")
            .id(event_id(&import))
            .json_data(&import)
            .unwrap_or_default();
        watch.told = import;
        Some((Ok(event), watch))
    })
}

impl Watch {
    async fn next_change(&mut self) -> Option<Import> {
        while !self.told.status.is_ended() && Instant::now() < self.until {
            self.moved.next().await;
            if self.moved.is_stopping() {
                return None;
            }
            // The reader comes again, when Postgres has; of a user who is gone there is no more to tell.
            let import = self.imports.find(self.told.user_id, self.told.job_id);
            let import = import.await.ok()?;
            if import != self.told {
                return Some(import);
            }
        }
        None
    }
}
