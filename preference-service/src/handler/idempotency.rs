//! The `Idempotency-Key` middleware for POSTs: a request with a key is processed once, repetitions get the
//! stored response. Only successes are stored: a failed request changed nothing and may be repeated.

use std::borrow::Cow;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{idempotency_key, read_body},
};
use http_body_util::BodyExt;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::{
    models::{KeyState, KeyedRequest, StoredResponse, UserId},
    service::{attempts::client_subject, idempotency::Idempotency},
};

/// Marks the response to a sign-up, which belongs to the new user.
#[derive(Debug, Clone, Copy)]
pub(super) struct CreatedUser(pub(super) UserId);

chassis::problem_responses! {
    /// 409: the request with the key is still running.
    pub(super) KeyInUse = 409, "the request with this Idempotency-Key is still running";
}

/// The header field of a POST that is processed once, for its description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the middleware reads the header")]
pub(super) struct IdempotencyHeader {
    /// A request with the key of an earlier one gets the response of that one again.
    #[param(rename = "Idempotency-Key", example = "b3f1c2d4-first-try")]
    idempotency_key: Option<String>,
}

/// Marks a stored response.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Header fields that are stored with a response.
const STORED_HEADERS: [HeaderName; 2] = [header::CONTENT_TYPE, header::LOCATION];

/// Processes each keyed POST once.
pub(super) async fn idempotent(
    State(idempotency): State<Idempotency>,
    request: Request,
    next: Next,
) -> Response {
    if *request.method() != Method::POST {
        return next.run(request).await;
    }
    match idempotency_key(request.headers()) {
        Ok(Some(key)) => keyed(&idempotency, key, request, next)
            .await
            .unwrap_or_else(IntoResponse::into_response),
        Ok(None) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn keyed(
    idempotency: &Idempotency,
    key: String,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (head, body) = request.into_parts();
    let body = read_body(Request::from_parts(head.clone(), body)).await?;
    let caller = Caller::from_headers(&head.headers);
    let keyed = KeyedRequest {
        principal: sender(&caller),
        user_id: user_in(head.uri.path()).or_else(|| UserId::of(&caller)),
        key,
        hash: hash(&head.method, head.uri.path(), &without_password(&body)),
    };
    match idempotency.acquire(&keyed).await? {
        KeyState::Acquired => {}
        KeyState::Completed(response) => return Ok(replay(response)),
        KeyState::InProgress => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "idempotency-key-in-use",
                "the request with this Idempotency-Key is still running",
            )
            .detail("repeat the request after the number of seconds in Retry-After")
            .retry_after(1));
        }
        KeyState::Mismatch => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "this Idempotency-Key was used for another request",
            )
            .detail("use a new key for a new request"));
        }
    }
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    if !response.status().is_success() {
        idempotency.complete(&keyed, None, None).await;
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let created = head.extensions.get::<CreatedUser>();
    let created = created.map(|created| created.0);
    let body = body
        .collect()
        .await
        .map_err(|error| Problem::internal(&error))?
        .to_bytes();
    let stored = StoredResponse {
        status: head.status.as_u16(),
        headers: STORED_HEADERS
            .iter()
            .filter_map(|name| {
                let value = head.headers.get(name)?.to_str().ok()?;
                Some((name.to_string(), value.to_owned()))
            })
            .collect(),
        body: body.to_vec(),
    };
    idempotency.complete(&keyed, Some(&stored), created).await;
    Ok(Response::from_parts(head, Body::from(body)))
}

/// The sender of a request: anonymous ones are told apart by their addresses.
fn sender(caller: &Caller) -> String {
    match (&caller.subject, caller.address) {
        (Some(subject), _) => format!("user:{subject}"),
        (None, Some(address)) => format!("anonymous:{}", client_subject(address)),
        (None, None) => String::new(),
    }
}

/// The user whose path it is.
fn user_in(path: &str) -> Option<UserId> {
    let id = path.strip_prefix("/api/v1/users/")?.split('/').next()?;
    id.parse().ok().and_then(UserId::new)
}

/// Removes the password from a body before it is hashed: a fast hash of the password, stored for a day,
/// would defeat its argon2 hash.
fn without_password(body: &[u8]) -> Cow<'_, [u8]> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return Cow::Borrowed(body);
    };
    match fields.remove("password") {
        Some(_) => Cow::Owned(Value::Object(fields).to_string().into_bytes()),
        None => Cow::Borrowed(body),
    }
}

fn hash(method: &Method, path: &str, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    // Neither method nor path can contain a zero byte, so the separators are unambiguous.
    hash.update(method.as_str());
    hash.update([0]);
    hash.update(path);
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

fn replay(stored: StoredResponse) -> Response {
    let mut response = Response::new(Body::from(stored.body));
    *response.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, value) in stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_request_does_not_depend_on_its_password() {
        let hash = |body: &str| hash(&Method::POST, "/", &without_password(body.as_bytes()));
        let anna = hash(r#"{"username":"anna","password":"one"}"#);
        assert_eq!(anna, hash(r#"{"username":"anna","password":"two"}"#));
        assert_ne!(anna, hash(r#"{"username":"berta","password":"one"}"#));
        assert_ne!(hash("not JSON"), hash("neither"));
    }
}
