//! The endpoints of an import's report: movies that were not found, with their resolution, and failures. Mounted by
//! [`crate::handler::router`].

use axum::{Json as JsonBody, extract::State, http::HeaderMap};
use chassis::{
    Problem,
    extract::{Bounded, Json, Path, Query},
    openapi::InvalidId,
    paging::Cursor,
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    super::user_movie::{decode_cursor, link_header},
    UserImport,
};
use crate::{
    handler::error::ImportNotFound,
    models::{ImportFailure, MovieId, UnmatchedTitle, UserId},
    state::AppState,
};

/// The number of items in a page without `limit`.
const DEFAULT_LIMIT: i64 = 100;

/// The page of a report.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::handler) struct ReportQuery {
    /// The page size.
    #[param(inline, default = 100, example = 10)]
    limit: Option<Bounded<1, 1000>>,
    /// The `next_cursor` of the previous page.
    #[param(example = "eyJhZnRlciI6MX0")]
    cursor: Option<String>,
}

/// The cursor of a page: it begins after this number.
#[derive(Default, Serialize, Deserialize)]
struct Position {
    after: i32,
}

impl Cursor for Position {}

impl ReportQuery {
    fn limit(&self) -> i64 {
        self.limit.map_or(DEFAULT_LIMIT, Bounded::get)
    }

    fn after(&self) -> Result<i32, Problem> {
        let position = decode_cursor::<Position>(self.cursor.as_deref())?;
        Ok(position.unwrap_or_default().after)
    }

    /// The header of a page of `list` and the cursor of the next page, which begins after `last`.
    fn next(
        &self,
        path: &UserImport,
        list: &str,
        last: Option<i32>,
    ) -> (HeaderMap, Option<String>) {
        let next_cursor = last.map(|after| Position { after }.encode());
        let UserImport { id, job_id } = path;
        let path = format!("/api/v1/users/{id}/imports/{job_id}/{list}");
        let parameters = [("limit", Some(self.limit().to_string()))];
        (
            link_header(&path, &parameters, next_cursor.as_deref()),
            next_cursor,
        )
    }
}

/// A page of the movies that an import did not find.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"unmatched_titles": [], "next_cursor": null}))]
pub(in crate::handler) struct UnmatchedResponse {
    /// The movies.
    unmatched_titles: Vec<UnmatchedTitle>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// List movies that an import did not find
///
/// Lists each movie once, with the place of its first row, the number of rows and the movies that it may be. Those that a
/// user named since have a `movie_id`.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports/{job_id}/unmatched",
    tag = "imports",
    params(UserImport, ReportQuery),
    responses(
        (status = 200, description = "The movies.", body = UnmatchedResponse, headers(("Link" = String, description = "The next page, `rel=\"next\"`; absent on the last."))),
        InvalidId, ImportNotFound,
    )
)]
pub(in crate::handler) async fn list_unmatched(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
    Query(query): Query<ReportQuery>,
) -> Result<(HeaderMap, JsonBody<UnmatchedResponse>), Problem> {
    let imports = &state.imports;
    let page = imports
        .list_unmatched(path.id, path.job_id, query.after()?, query.limit())
        .await?;
    let last = page.items.last().filter(|_| page.has_more);
    let (headers, next_cursor) = query.next(&path, "unmatched", last.and_then(|title| title.n));
    let body = UnmatchedResponse {
        unmatched_titles: page.items,
        next_cursor,
    };
    Ok((headers, JsonBody(body)))
}

/// A page of the failures of an import.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"failures": [], "next_cursor": null}))]
pub(in crate::handler) struct FailuresResponse {
    /// The failures.
    failures: Vec<ImportFailure>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// List failures of an import
///
/// Lists the rows and files that could not be read or stored. Rows about a movie with the same fault are one failure.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/imports/{job_id}/failures",
    tag = "imports",
    params(UserImport, ReportQuery),
    responses(
        (status = 200, description = "The failures.", body = FailuresResponse, headers(("Link" = String, description = "The next page, `rel=\"next\"`; absent on the last."))),
        InvalidId, ImportNotFound,
    )
)]
pub(in crate::handler) async fn list_failures(
    State(state): State<AppState>,
    Path(path): Path<UserImport>,
    Query(query): Query<ReportQuery>,
) -> Result<(HeaderMap, JsonBody<FailuresResponse>), Problem> {
    let after = query.after()?;
    let imports = &state.imports;
    let page = imports
        .list_failures(path.id, path.job_id, after, query.limit())
        .await?;
    let count = i32::try_from(page.items.len()).unwrap_or(i32::MAX);
    let last = page.has_more.then(|| after.saturating_add(count));
    let (headers, next_cursor) = query.next(&path, "failures", last);
    let body = FailuresResponse {
        failures: page.items,
        next_cursor,
    };
    Ok((headers, JsonBody(body)))
}

/// The path of a movie that an import did not find.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::handler) struct UnmatchedPath {
    /// The user's id.
    #[param(inline, example = 1)]
    id: UserId,
    /// The id of the import.
    #[param(example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")]
    job_id: Uuid,
    /// The number of the movie in the list.
    #[param(example = 1, minimum = 1)]
    n: i32,
}

/// The movie of a title that an import did not find.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tmdb_id": 603}))]
pub(in crate::handler) struct ResolutionRequest {
    /// TMDB's id. A movie that the catalogue does not have is fetched.
    tmdb_id: MovieId,
}

/// Name the movie of a title
///
/// Names the movie of a title that an import did not find: the rows that wait for it are stored. Naming the same movie again
/// has no effect.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}/imports/{job_id}/unmatched/{n}",
    tag = "imports",
    params(UnmatchedPath),
    request_body = ResolutionRequest,
    responses(
        (status = 200, description = "The title with its movie.", body = UnmatchedTitle),
        (status = 400, description = "An id is invalid, or a field is unknown.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "The user has no such import (`import not found`), the import no such title (`unmatched title not found`), or neither the catalogue nor TMDB such a movie (`movie not found`).", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The import is a dry run, or another movie was named for the title.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "The body is larger than allowed.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(in crate::handler) async fn resolve_unmatched(
    State(state): State<AppState>,
    Path(path): Path<UnmatchedPath>,
    Json(request): Json<ResolutionRequest>,
) -> Result<JsonBody<UnmatchedTitle>, Problem> {
    let UnmatchedPath { id, job_id, n } = path;
    let title = state.imports.resolve(id, job_id, n, request.tmdb_id);
    Ok(JsonBody(title.await?))
}
