//! Endpoints of logins by other issuers: the providers, the way there and the way back. Browsers are led on by redirects; programs
//! that accept JSON receive it.

use axum::{
    Json as JsonBody,
    extract::{RawQuery, State},
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, HeaderName, HeaderValue, LOCATION, SET_COOKIE},
    },
    response::{AppendHeaders, IntoResponse, Response},
};
use chassis::{
    Problem,
    caller::Caller,
    cookie,
    extract::{Path, Query},
    openapi::InvalidRequest,
    problem::{FieldError, ProblemDocument},
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::{no_store::NO_STORE, session::session_cookies};
use crate::{
    error::Error,
    models::{LOGIN_TTL_SECONDS, parse_return_to},
    service::{
        auth::Login,
        oidc::{BegunLogin, Callback},
    },
    state::AppState,
};

/// A redirection that is not stored: its status, `Cache-Control` and `Location`.
type Redirection = (
    StatusCode,
    [(HeaderName, &'static str); 1],
    [(HeaderName, HeaderValue); 1],
);

/// The cookie that binds a login to the browser that began it.
const LOGIN_COOKIE: &str = "marquee_oidc";

/// A provider with which people can log in.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginProviderResponse {
    /// Its name in paths.
    name: String,
    /// Its name for people.
    label: String,
    /// The path at which a browser begins the login.
    login: String,
}

/// The login providers.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"providers": [
    {"name": "google", "label": "Google", "login": "/api/v1/auth/oidc/google/login"}
]}))]
pub(super) struct LoginProvidersResponse {
    /// In the order in which to show them.
    providers: Vec<LoginProviderResponse>,
}

/// The options of a login.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LoginQuery {
    /// The path of ours to which a browser returns; `/` if not given.
    #[param(
        example = "/",
        max_length = 500,
        pattern = r"^/([!-.0-?A-\[\]-~][!-?A-\[\]-~]*)?$"
    )]
    return_to: Option<String>,
}

/// The parameters with which a provider sends a browser back; others are ignored.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read one by one")]
pub(super) struct CallbackQuery {
    /// The state of the login.
    #[param(example = "Xq3p0aJ")]
    state: Option<String>,
    /// The authorization code.
    #[param(example = "SplxlOBeZQQYbYS6WxSbIA")]
    code: Option<String>,
    /// The error, instead of a code.
    #[param(example = "access_denied")]
    error: Option<String>,
    /// The issuer (RFC 9207).
    #[param(example = "https://accounts.google.com")]
    iss: Option<String>,
}

/// The way to a provider.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"authorization_url": "https://accounts.google.com/o/oauth2/v2/auth?response_type=code&client_id=…"}))]
pub(super) struct AuthorizationResponse {
    /// The page of the provider, to be opened in the browser that has the cookie of this response.
    pub(super) authorization_url: String,
}

/// True if the client is a browser that shows a page.
fn is_browser(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

/// True if the client is a program that asks for JSON.
fn wants_json(headers: &HeaderMap) -> bool {
    accepts(headers, "application/json") && !is_browser(headers)
}

fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let lines = headers.get_all(ACCEPT).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|range| {
            let name = range.split(';').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(kind)
        })
}

fn see_other(location: &str) -> Result<Redirection, Problem> {
    let location = HeaderValue::try_from(location);
    let location = location.map_err(|error| Problem::internal(&error))?;
    Ok((StatusCode::SEE_OTHER, NO_STORE, [(LOCATION, location)]))
}

/// The response to a failed login: the page with a code for browsers, otherwise a problem.
fn failure(headers: &HeaderMap, error: Error) -> Result<Response, Problem> {
    if !is_browser(headers) {
        return Err(error.into());
    }
    let code = match &error {
        Error::LoginRefused(refusal) => refusal.code(),
        Error::Suspended(_) => "suspended",
        Error::TooManyAttempts(_) => "rate_limited",
        Error::TooManyIdentities => "too_many",
        Error::ProviderUnavailable(_) | Error::ProviderNotFound => "unavailable",
        _ => return Err(error.into()),
    };
    Ok(see_other(&format!("/#/?login_error={code}"))?.into_response())
}

/// The header that sets the cookie of a begun login, or removes it.
pub(super) fn login_cookie(
    headers: &HeaderMap,
    provider: &str,
    secret: Option<&str>,
) -> Result<AppendHeaders<[(HeaderName, HeaderValue); 1]>, Problem> {
    let path = format!("/api/v1/auth/oidc/{provider}/callback");
    let (value, seconds) = secret.map_or(("", 0), |secret| (secret, LOGIN_TTL_SECONDS));
    let cookie = cookie::set_for_return(headers, (LOGIN_COOKIE, value), &path, seconds);
    let cookie = cookie.map_err(|error| Problem::internal(&error))?;
    Ok(AppendHeaders([(SET_COOKIE, cookie)]))
}

/// The path to which a login returns.
pub(super) fn return_path(return_to: Option<&str>) -> Result<String, Problem> {
    parse_return_to(return_to).ok_or_else(|| {
        let message = "must be a path of this site that begins with one /, at most 500 characters";
        Problem::invalid(vec![FieldError::new("return_to", message)])
    })
}

/// List login providers
///
/// Returns the providers with which people can log in beside a password.
#[utoipa::path(
    get,
    path = "/api/v1/auth/oidc",
    tag = "auth",
    security(()),
    responses((status = 200, description = "the providers", body = LoginProvidersResponse))
)]
pub(super) async fn list_login_providers(
    State(state): State<AppState>,
) -> JsonBody<LoginProvidersResponse> {
    let providers = state
        .oidc
        .providers()
        .map(|provider| LoginProviderResponse {
            login: format!("/api/v1/auth/oidc/{}/login", provider.name),
            name: provider.name.clone(),
            label: provider.label.clone(),
        });
    JsonBody(LoginProvidersResponse {
        providers: providers.collect(),
    })
}

/// Begin a login by a provider
///
/// Leads a browser to the provider's page, by the authorization code flow with PKCE; a program that accepts JSON alone receives
/// the URL. The response sets a cookie without which the callback refuses the login.
#[utoipa::path(
    get,
    path = "/api/v1/auth/oidc/{provider}/login",
    tag = "auth",
    security(()),
    params(("provider" = String, Path, description = "The provider's name.", example = "google"), LoginQuery),
    responses(
        (status = 200, description = "the provider's page, for clients that accept JSON and no HTML", body = AuthorizationResponse),
        (status = 303, description = "to the provider's page; for browsers after a failure to `/#/?login_error={code}`"),
        InvalidRequest,
        (status = 404, description = "no provider has this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "too many logins were begun at this address", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "the provider is unavailable", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn begin_login(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    Path(provider): Path<String>,
    Query(query): Query<LoginQuery>,
) -> Result<Response, Problem> {
    let return_to = return_path(query.return_to.as_deref())?;
    let begun = state.oidc.begin(&provider, return_to, caller.address).await;
    let BegunLogin {
        authorization_url,
        browser_secret,
    } = match begun {
        Ok(begun) => begun,
        Err(error) => return failure(&headers, error),
    };
    let cookie = login_cookie(&headers, &provider, Some(&browser_secret))?;
    if wants_json(&headers) {
        let body = JsonBody(AuthorizationResponse {
            authorization_url: authorization_url.into(),
        });
        return Ok((cookie, NO_STORE, body).into_response());
    }
    let redirection = see_other(authorization_url.as_str())?;
    Ok((cookie, redirection).into_response())
}

/// End a login by a provider
///
/// The page to which the provider sends the browser back. Exchanges the code, verifies the ID token, and begins the same session
/// as `POST /session`; a program that accepts JSON alone receives tokens as from `POST /api/v1/auth/token`. A new person gets
/// an account without a password. An account with the same e-mail address is linked only if the provider vouches for the
/// address, its owner has verified it here, and they are no moderator or administrator. A login is valid once, for 10 minutes,
/// in the browser that began it.
#[utoipa::path(
    get,
    path = "/api/v1/auth/oidc/{provider}/callback",
    tag = "auth",
    security(()),
    params(("provider" = String, Path, description = "The provider's name.", example = "google"), CallbackQuery),
    responses(
        (status = 200, description = "the tokens and the user, for clients that accept JSON and no HTML", body = Login),
        (status = 204, description = "an identity was linked, for clients that accept JSON and no HTML"),
        (status = 303, description = "to the page, logged in by cookies; for browsers after a refusal to `/#/?login_error={code}`", headers(
            ("Set-Cookie" = String, description = "the tokens")
        )),
        (status = 400, description = "the login is unknown, used, of another browser or issuer, or its code or token is not acceptable: `code` names the reason", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "the person did not agree at the provider, the account is suspended, or it is an administrator's", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "no provider has this name", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "an account has the e-mail address and cannot be linked by it, the provider states none, or its account is linked to another", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "the provider is unavailable", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn finish_login(
    State(state): State<AppState>,
    headers: HeaderMap,
    Path(provider): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let callback = parse_callback(query.as_deref().unwrap_or_default());
    let browser = cookie::find(&headers, LOGIN_COOKIE);
    let finished = state.oidc.finish(&provider, callback, browser).await;
    let finished = match finished {
        Ok(finished) => finished,
        Err(error) => return failure(&headers, error),
    };
    let forget = login_cookie(&headers, &provider, None)?;
    let response = match (finished.login, wants_json(&headers)) {
        (Some(login), true) => (forget, NO_STORE, JsonBody(login)).into_response(),
        (None, true) => (StatusCode::NO_CONTENT, forget).into_response(),
        (Some(login), false) => {
            let cookies = session_cookies(&state, &headers, &login)?;
            let redirection = see_other(&finished.return_to)?;
            (cookies, forget, redirection).into_response()
        }
        (None, false) => {
            let redirection = see_other(&finished.return_to)?;
            (forget, redirection).into_response()
        }
    };
    Ok(response)
}

/// Reads the parameters of a callback. Providers add others; one that is given twice (RFC 6749, 3.1) counts as absent.
fn parse_callback(query: &str) -> Callback {
    let once = |name: &str| {
        let pairs = form_urlencoded::parse(query.as_bytes());
        let mut values = pairs.filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value.into_owned());
        value.filter(|value| values.next().is_none() && !value.contains('\0'))
    };
    Callback {
        state: once("state"),
        code: once("code"),
        error: once("error"),
        issuer: once("iss"),
    }
}
