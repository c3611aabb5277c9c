//! The layer around TMDB's paths: counts every call and applies the active faults.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode, response::Parts};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};

use super::error::TmdbError;
use crate::faults::Kind;
use crate::server::ResetSwitch;
use crate::state::AppState;
use crate::stats::path_kind;

/// The size of what `oversized` adds.
const OVERSIZE_MIB: usize = 16;

/// Counts a call and plays out the faults that strike it.
pub(super) async fn intercept(
    State(state): State<Arc<AppState>>,
    ConnectInfo(reset): ConnectInfo<ResetSwitch>,
    request: Request,
    next: Next,
) -> Response {
    let uri = request.uri();
    let mut call = Call::begin(Arc::clone(&state), uri.path());
    let path_and_query = uri.path_and_query().map_or("", |text| text.as_str());
    let strike = state.faults().strike(path_and_query);
    if strike.delayed {
        state.stats().fault("latency");
        tokio::time::sleep(strike.delay).await;
    }
    let fault = strike.outcome;
    if let Some(fault) = &fault {
        state.stats().fault(fault.kind.name());
    }
    let response = match fault.as_ref().map(|fault| fault.kind) {
        None | Some(Kind::Latency) => next.run(request).await,
        Some(Kind::RateLimited) => TmdbError::TooManyRequests {
            retry_after: fault.and_then(|fault| fault.retry_after),
        }
        .into_response(),
        Some(Kind::Status) => {
            let status = fault.and_then(|fault| fault.status);
            TmdbError::Failure(status.unwrap_or(500)).into_response()
        }
        Some(Kind::Truncated) => truncate(next.run(request).await).await,
        Some(Kind::Malformed) => malform(next.run(request).await).await,
        Some(Kind::Oversized) => pad(next.run(request).await),
        Some(Kind::Nonsense) => {
            Html("<!doctype html><title>Nonsense</title><p>This is not the response to any request.</p>\n")
                .into_response()
        }
        Some(Kind::Reset) => {
            reset.pull();
            call.end("reset");
            // Never arrives: writing it is what resets the connection.
            return StatusCode::NO_CONTENT.into_response();
        }
        // Ends only when the client goes away or we stop, which drops this future.
        Some(Kind::Hang) => std::future::pending().await,
    };
    call.end(response.status().as_str());
    with_tmdb_content_type(response)
}

/// TMDB names the character set of JSON, without the space that others write.
fn with_tmdb_content_type(mut response: Response) -> Response {
    if let Some(kind) = response.headers_mut().get_mut(CONTENT_TYPE)
        && kind == "application/json"
    {
        *kind = HeaderValue::from_static("application/json;charset=utf-8");
    }
    response
}

/// A call that is being counted; one that is dropped before its end was abandoned by its client.
struct Call {
    state: Arc<AppState>,
    ended: bool,
}

impl Call {
    fn begin(state: Arc<AppState>, path: &str) -> Self {
        state.stats().begin(path_kind(path));
        Self {
            state,
            ended: false,
        }
    }

    fn end(&mut self, status: &str) {
        self.ended = true;
        self.state.stats().end(status.to_owned());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.state.stats().end("abandoned".to_owned());
        }
    }
}

/// The body with zeros behind it.
fn pad(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let zeros = stream::iter((0..OVERSIZE_MIB).map(|_| Ok(Bytes::from_static(&[0; 1024 * 1024]))));
    Response::from_parts(
        parts,
        Body::from_stream(body.into_data_stream().chain(zeros)),
    )
}

/// Half of the JSON, as if it were all.
async fn malform(response: Response) -> Response {
    let (mut parts, half, _) = halve(response).await;
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(half))
}

/// Half of the JSON under the length of the whole, then the connection ends.
async fn truncate(response: Response) -> Response {
    let (mut parts, half, length) = halve(response).await;
    parts.headers.insert(CONTENT_LENGTH, length.into());
    let half = stream::iter([Ok(half)]);
    // Hyper sends the first half only when the body has nothing ready; after an error it closes the connection.
    let error = stream::once(async {
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::UnexpectedEof))
    });
    Response::from_parts(parts, Body::from_stream(half.chain(error)))
}

/// The head of a response of our own, which is in memory already, half of its body, and the length of the whole.
async fn halve(response: Response) -> (Parts, Bytes, usize) {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    (parts, body.slice(..body.len() / 2), body.len())
}
