//! The layer around TMDB's paths: counts every call and applies the active faults.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse as _, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;

use super::error::TmdbError;
use crate::faults::Outcome;
use crate::server::ResetSwitch;
use crate::state::AppState;
use crate::stats::path_kind;

/// Counts a call and plays out the faults that strike it.
pub(super) async fn intercept(
    State(state): State<Arc<AppState>>,
    Extension(reset): Extension<ResetSwitch>,
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
    if let Some(outcome) = strike.outcome {
        state.stats().fault(outcome.kind().name());
    }
    let response = match strike.outcome {
        None => next.run(request).await,
        Some(Outcome::RateLimited { retry_after }) => TmdbError::TooManyRequests { retry_after }.into_response(),
        Some(Outcome::Status(status)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            TmdbError::Failure(status).into_response()
        }
        Some(Outcome::Truncated) => truncate(next.run(request).await).await,
        Some(Outcome::Malformed) => malform(next.run(request).await).await,
        Some(Outcome::Nonsense) => {
            Html("<!doctype html><title>Nonsense</title><p>This is not the answer to any question.</p>\n")
                .into_response()
        }
        Some(Outcome::Reset) => {
            reset.pull();
            call.end("reset");
            // Never arrives: writing it is what resets the connection.
            return StatusCode::NO_CONTENT.into_response();
        }
        // Ends only when the client goes away or we stop, which drops this future.
        Some(Outcome::Hang) => std::future::pending().await,
    };
    call.end(response.status().as_str());
    if response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json")
    {
        return with_tmdb_content_type(response);
    }
    response
}

/// TMDB names the character set and leaves out the space that others write.
fn with_tmdb_content_type(mut response: Response) -> Response {
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json;charset=utf-8"),
    );
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

/// The body of an answer that we made ourselves, and which is in memory already.
async fn whole_body(body: Body) -> Bytes {
    body.collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default()
}

/// Half of the JSON, as if it were all.
async fn malform(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = whole_body(body).await;
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::new(Full::new(body.slice(..body.len() / 2))))
}

/// Half of the JSON under the length of the whole, then the connection ends.
async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = whole_body(body).await;
    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    Response::from_parts(
        parts,
        Body::new(BrokenBody {
            half: Some(half),
            flushed: false,
        }),
    )
}

/// Sends what it has and then fails, which makes hyper close the connection.
struct BrokenBody {
    half: Option<Bytes>,
    flushed: bool,
}

impl HttpBody for BrokenBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        if !self.flushed {
            // Hyper flushes when a body has nothing yet; without this the first half would never leave.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(std::io::ErrorKind::UnexpectedEof.into())))
    }
}
