//! Sessions of the page at `/`: logins whose tokens are in cookies that scripts cannot read. Programs use `auth/token`.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE},
    },
    response::{AppendHeaders, IntoResponse},
};
use chassis::{
    Problem,
    caller::Caller,
    cookie::{self, ACCESS_COOKIE, REFRESH_COOKIE, find, is_of_page},
    extract::Json,
    openapi::{BodyTooLarge, InvalidRequest},
    problem::ProblemDocument,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::{LogInRequest, log_in_at};
use crate::{error::Error, models::User, service::auth::Login, state::AppState};

/// The user of a session.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"user": {
    "id": 1,
    "username": "anna",
    "email": "anna@example.org",
    "role": "user",
    "created_at": "2026-02-13T08:15:42.123456Z"
}}))]
pub(super) struct SessionResponse {
    /// The user.
    user: User,
}

pub(super) type SetCookies = AppendHeaders<[(HeaderName, HeaderValue); 3]>;

/// The headers that set the cookies of a session: of the access token, and of the refresh token for sessions alone.
fn cookies(
    headers: &HeaderMap,
    [access, refresh]: [(&str, u32); 2],
) -> Result<SetCookies, Problem> {
    let cookie = |name: &str, (token, seconds): (&str, u32), path: &str| {
        let cookie = cookie::set(headers, (name, token), path, seconds);
        cookie.map_err(|error| Problem::internal(&error))
    };
    Ok(AppendHeaders([
        (SET_COOKIE, cookie(ACCESS_COOKIE, access, "/")?),
        (SET_COOKIE, cookie(REFRESH_COOKIE, refresh, "/session")?),
        // Responses with tokens must not be stored by caches (RFC 6749, 5.1).
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]))
}

/// The headers that make a login the session of a browser.
pub(super) fn session_cookies(
    state: &AppState,
    headers: &HeaderMap,
    login: &Login,
) -> Result<SetCookies, Problem> {
    let refresh_seconds = state.auth.refresh_ttl_seconds();
    let tokens = [
        (login.access_token.as_str(), login.expires_in),
        (login.refresh_token.as_str(), refresh_seconds),
    ];
    cookies(headers, tokens)
}

/// The session of a login: its user, and its tokens as cookies.
fn session(
    state: &AppState,
    headers: &HeaderMap,
    login: Login,
) -> Result<(SetCookies, JsonBody<SessionResponse>), Problem> {
    let cookies = session_cookies(state, headers, &login)?;
    Ok((cookies, JsonBody(SessionResponse { user: login.user })))
}

/// Refuses requests that other sites may have caused.
fn require_page(headers: &HeaderMap) -> Result<(), Problem> {
    if is_of_page(headers) {
        return Ok(());
    }
    let detail = "send the header `X-Marquee: page` from the same origin; programs use POST /api/v1/auth/token";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(detail))
}

/// Begin a session
///
/// Logs the page at `/` in: as `POST /api/v1/auth/token`, but the tokens are set as cookies that scripts cannot read and other
/// sites cannot use. Requests of the page to the API are authenticated by them if they have the header `X-Marquee`.
#[utoipa::path(
    post,
    path = "/session",
    tag = "auth",
    security(()),
    params(("X-Marquee" = String, Header, description = "Any text; other sites cannot send it.", example = "page")),
    request_body = LogInRequest,
    responses(
        (status = 200, description = "the user; the tokens are in cookies", body = SessionResponse, headers(
            ("Set-Cookie" = String, description = "the tokens")
        )),
        InvalidRequest,
        (status = 401, description = "invalid username or password: `wrong username or password`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "another site may have sent the request", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
        (status = 429, description = "too many attempts for this username or from this address", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "too many passwords are being checked", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn begin_session(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<LogInRequest>,
) -> Result<impl IntoResponse, Problem> {
    require_page(&headers)?;
    let (login, set_device) = log_in_at("/session", &state, &caller, &headers, request).await?;
    let (cookies, user) = session(&state, &headers, login)?;
    Ok((cookies, AppendHeaders(set_device), user))
}

/// Refresh a session
///
/// Sets new cookies for those of a session, whose access token has expired. A refresh token counts once, so that a page must
/// not send it twice at the same time.
#[utoipa::path(
    post,
    path = "/session/refresh",
    tag = "auth",
    security(()),
    params(("X-Marquee" = String, Header, description = "Any text; other sites cannot send it.", example = "page")),
    responses(
        (status = 200, description = "the user; the new tokens are in cookies", body = SessionResponse, headers(
            ("Set-Cookie" = String, description = "the tokens")
        )),
        InvalidRequest,
        (status = 401, description = "there is no session, or it has expired", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "another site may have sent the request", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn refresh_session(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<(SetCookies, JsonBody<SessionResponse>), Problem> {
    require_page(&headers)?;
    let token = find(&headers, REFRESH_COOKIE).ok_or(Error::InvalidRefreshToken)?;
    let login = state.auth.refresh(token).await?;
    session(&state, &headers, login)
}

/// End a session
///
/// Logs the page out and removes its cookies. No session is not an error.
#[utoipa::path(
    delete,
    path = "/session",
    tag = "auth",
    security(()),
    params(("X-Marquee" = String, Header, description = "Any text; other sites cannot send it.", example = "page")),
    responses(
        (status = 204, description = "the session has ended", headers(
            ("Set-Cookie" = String, description = "removes the cookies")
        )),
        InvalidRequest,
        (status = 403, description = "another site may have sent the request", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn end_session(
    State(state): State<AppState>,
    headers: HeaderMap,
) -> Result<(StatusCode, SetCookies), Problem> {
    require_page(&headers)?;
    if let Some(token) = find(&headers, REFRESH_COOKIE) {
        state.auth.log_out(token).await?;
    }
    Ok((StatusCode::NO_CONTENT, cookies(&headers, [("", 0); 2])?))
}
