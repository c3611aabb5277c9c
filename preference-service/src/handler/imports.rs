//! The endpoints of imports: upload of files, list, get with progress, cancel; those of the report are in [`report`].
//! Mounted by [`super::router`].

pub(super) mod report;

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Multipart, Request, State, multipart::MultipartError},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    extract::{Path, Query, read_body},
    jobs::{LimitQuery, Prefer, ProgressRequest, accepted},
    openapi::{IdempotencyKeyReused, InvalidId},
    problem::{FieldError, ProblemDocument},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{error::ImportNotFound, idempotency::IdempotencyHeader, user_movie::ListProblems};
use crate::{
    models::{DateOrder, Import, ImportFormat, UserId},
    service::{admission::ImportAdmission, imports::ImportRequest},
    state::AppState,
};

/// Limits the number of concurrent uploads, whose bodies are held in memory.
pub(super) async fn limit_uploads(
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
        .detail("try again after the number of seconds in Retry-After")
        .retry_after(2)
        .into_response();
    };
    next.run(request).await
}

/// The query of an import request.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// True to count the changes without making them.
    #[param(default = false, example = true)]
    dry_run: Option<bool>,
    /// The format of a single file, if its header and its name do not identify it.
    #[param(inline, value_type = Option<ImportFormat>)]
    format: Option<String>,
    /// The order of day and month in dates as `3/1/2024`, which spreadsheets write, if no date of the files tells.
    #[param(inline, example = "month-first")]
    dates: Option<DateOrder>,
}

/// The files of an import, each as a part with a file name.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the multipart body, which is read part by part"
)]
pub(super) struct ImportForm {
    /// A zip, CSV or JSON file that a site exported. The file name may have a path.
    #[schema(value_type = Vec<String>, format = Binary)]
    file: Vec<Vec<u8>>,
}

/// Import a history
///
/// Imports the user's history from files that Letterboxd, IMDb, Trakt, TMDB, MovieLens, Simkl, Yamtrack or Movary exported, or
/// in the layout that Letterboxd imports, or from the JSON export of this service: send the zip, CSV or JSON file as the body, compressed by gzip or not, or several
/// as `multipart/form-data`. A file is recognized by all its columns, and by its name if they are those of several formats.
/// Deleted entries, lists, profiles and the like are skipped and named in `skipped_files`, series in `skipped_kinds`.
///
/// Each row counts from its date: newer actions of the user are kept, and a row without a date never replaces one with a
/// date. Ratings from 1 to 10 become half stars. For a MovieLens dataset, send the rows of one user, and `links.csv` as well.
///
/// The files are read before the response; rows that cannot be read are listed in `failures`, and the others are taken.
/// Movies are found by their ids, then by title and year, in the catalogue and at TMDB, and the rows are stored by a job that
/// survives restarts. Rows of movies that are not found wait: for the user to name the movie, and for it to come into the
/// catalogue. A user has at most one import at a time. At most 2000 files with 32 MiB each and 96 MiB together after
/// decompression are read; encrypted and nested archives are refused.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/imports",
    tag = "imports",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), IdempotencyHeader, ImportQuery),
    request_body(content((ImportForm = "multipart/form-data"), (Vec<u8> = "application/zip"), (String = "application/json"), (String = "text/csv", example = json!("Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n2024-05-02,The Matrix,1999,https://boxd.it/2a1m,4.5,,,2024-05-01\n")))),
    responses(
        (status = 202, description = "The import.", body = Import, headers(("Location" = String, description = "The path of the import."))),
        IdempotencyKeyReused,
        (status = 400, description = "No row can be taken, or a limit is exceeded; `errors` names the file, the line and the column.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "There is no such user: `user not found`.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "An import of the user has not ended; the member `job` contains it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The files are larger than 16 MiB.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_import(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<ImportQuery>,
    request: Request,
) -> Result<Response, Problem> {
    let invalid = |field: &str, message: String| Problem::from(FieldError::new(field, message));
    let format = query.format.as_deref().map(|name| {
        ImportFormat::parse(name).ok_or_else(|| {
            let known = ImportFormat::ALL.map(|known| known.to_string()).join(", ");
            invalid("format", format!("must be one of {known}"))
        })
    });
    let format = format.transpose()?;
    let files = read_files(request, &state.import_admission).await?;
    if files.is_empty() {
        return Err(invalid("file", "must be at least one file".to_owned()));
    }
    if format.is_some() && files.len() > 1 {
        let message =
            "applies to a single file: send the other files separately, or keep their names";
        return Err(invalid("format", message.to_owned()));
    }
    let request = ImportRequest {
        format,
        date_order: query.dates,
        dry_run: query.dry_run.unwrap_or(false),
    };
    let job = state.imports.create(user_id, files, request).await?;
    let location = format!("/api/v1/users/{user_id}/imports/{}", job.job_id);
    Ok(accepted(location, &job, Prefer::default()))
}

/// The files of a request, with their names.
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
        _ => FieldError::new("body", error.body_text()).into(),
    };
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| FieldError::new("Content-Type", error.body_text()))?;
    let mut files = Vec::new();
    while let Some(part) = form.next_field().await.map_err(broken)? {
        let Some(name) = part.file_name().map(str::to_owned) else {
            let field = part.name().unwrap_or("body").to_owned();
            let message = "is not a file: add a file name; parameters belong in the query";
            return Err(FieldError::new(field, message).into());
        };
        if files.len() == histories::MAX_FILES {
            let message = format!("must be at most {} files", histories::MAX_FILES);
            return Err(FieldError::new("file", message).into());
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
        "send at most {} bytes per request: the files separately, or parts of them",
        admission.max_bytes
    ))
}

/// The imports of a user.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"imports": []}))]
pub(super) struct ImportsResponse {
    /// The imports, the newest first, without `unmatched_titles` and `failures`.
    imports: Vec<Import>,
}

/// List imports
///
/// Returns the imports of a user, the newest first. Imports are deleted 30 days after their end.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports",
    tag = "imports",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), LimitQuery),
    responses(
        (status = 200, description = "The imports.", body = ImportsResponse),
        ListProblems
    )
)]
pub(super) async fn list_imports(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<LimitQuery>,
) -> Result<Json<ImportsResponse>, Problem> {
    let imports = state.imports.list(user_id, query.get()).await?;
    Ok(Json(ImportsResponse { imports }))
}

/// The path of an import.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserImport {
    /// The user's id.
    #[param(inline, example = 1)]
    pub(super) id: UserId,
    /// The id of the import.
    #[param(example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")]
    pub(super) job_id: Uuid,
}

/// Get an import
///
/// Returns an import with its progress. With `Accept: text/event-stream`, returns an event named `import`
/// with the same body after each progress, until the import has ended; a client whose stream ends earlier reconnects.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports/{job_id}",
    tag = "imports",
    params(UserImport),
    responses(
        (status = 200, description = "The import.", content((Import = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The import has ended, and `Last-Event-ID` names its last event."),
        InvalidId, ImportNotFound,
    )
)]
pub(super) async fn get_import(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
    request: ProgressRequest,
) -> Result<Response, Problem> {
    let UserImport { id, job_id } = path;
    let imports = state.imports.clone();
    let import = imports.get(id, job_id).await?;
    let changes = imports.changes();
    Ok(request.respond(import, changes, move || {
        let imports = imports.clone();
        async move { imports.get(id, job_id).await.ok() }
    }))
}

/// Cancel an import
///
/// Stops an import; stored rows are kept. Cancelling a cancelled import has no effect.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/imports/{job_id}/cancel",
    tag = "imports",
    params(UserImport),
    responses(
        (status = 200, description = "The import.", body = Import),
        InvalidId, ImportNotFound, IdempotencyKeyReused,
        (status = 409, description = "The import has already succeeded or failed; the member `job` contains it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is too large; none is needed.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel_import(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
) -> Result<Json<Import>, Problem> {
    Ok(Json(state.imports.cancel(path.id, path.job_id).await?))
}
