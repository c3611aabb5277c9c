//! HTTP serving: the layers of every request, and the accept loop.
//!
//! Outermost first: the announced end of connections → identity (request id, trace) → log and metrics →
//! panics become problems → load shed → internal token → body limit → the service's routes, each group with
//! its time limit. The identity is that far out because everything after it names the request; shedding comes
//! before the token because refusing must stay cheap.

mod unread_body;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    body::Body,
    extract::{DefaultBodyLimit, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{
    config::ProcessConfig,
    metrics::{
        HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_IN_FLIGHT, HTTP_REQUESTS_TOTAL, method_label,
    },
    problem::{CONTENT_TYPE_PROBLEM, Problem, from_status},
    shutdown::Shutdown,
    trace::{REQUEST_ID, TraceContext},
};

/// The time limit for a client to send a request's head.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a connected client has to begin a request once the process is stopping. Responses announce the end of
/// their connection in that time, so that a connection which is still open then has been idle for all of it: the gateway
/// sends nothing that it must not repeat over one that has been idle for half a second.
const LINGER_TIMEOUT: Duration = Duration::from_millis(600);
/// The header with the secret that authenticates services to each other.
pub const INTERNAL_TOKEN: &str = "x-internal-token";

/// The challenge (`WWW-Authenticate`) of a 401 for a missing or wrong [`INTERNAL_TOKEN`], by which the gateway tells a
/// fault of the deployment from one of its client.
pub const INTERNAL_CHALLENGE: &str = "InternalToken";

/// Wraps `routes` in the layers that every service has.
pub fn layers(routes: Router, config: &ProcessConfig) -> Router {
    let max_in_flight = config.max_requests_in_flight.min(Semaphore::MAX_PERMITS);
    let in_flight = Arc::new(Semaphore::new(max_in_flight));
    let routes = routes.fallback(|| async { from_status(StatusCode::NOT_FOUND) });
    let routes = body_limit(routes, config.body_limit_bytes);
    let routes = match &config.internal_token {
        Some(token) => routes.layer(from_fn_with_state(token.clone(), require_internal_token)),
        None => routes,
    };
    routes
        .layer(from_fn(require_known_coding))
        .layer(from_fn_with_state(in_flight, shed_load))
        .layer(CatchPanicLayer::custom(|_| {
            Problem::internal(&std::io::Error::other("the handler panicked")).into_response()
        }))
        .layer(from_fn(observe))
        .layer(from_fn(unread_body::announce_close))
}

/// The largest request body of a route, in bytes; an extension of its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// Limits request bodies of `routes` to `bytes`; a larger one becomes 413. The limit nearest to a route applies.
pub fn body_limit<S: Clone + Send + Sync + 'static>(routes: Router<S>, bytes: usize) -> Router<S> {
    routes
        .layer(DefaultBodyLimit::max(bytes))
        .layer(Extension(BodyLimit(bytes)))
}

/// Refuses transfer codings other than `chunked` (RFC 9112, 6.1): a body that is coded in another way would be taken
/// for its content.
///
/// # Errors
/// 501 if `Transfer-Encoding` names another coding, 400 if it names `chunked` twice.
pub fn check_transfer_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let mut codings = codings
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    let (mut known, mut unknown) = (0, 0);
    for coding in &mut codings {
        match coding.eq_ignore_ascii_case(b"chunked") {
            true => known += 1,
            false => unknown += 1,
        }
    }
    let close = HeaderValue::from_static("close");
    if unknown > 0 {
        let error = "transfer coding not implemented";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "not-implemented", error)
            .detail("send the body as it is, with Content-Length or with Transfer-Encoding: chunked")
            .header(header::CONNECTION, close));
    }
    if known > 1 {
        return Err(from_status(StatusCode::BAD_REQUEST)
            .error("malformed request")
            .detail("send Transfer-Encoding: chunked once")
            .header(header::CONNECTION, close));
    }
    Ok(())
}

/// Sets a time limit for `routes`, after which the client receives 504.
pub fn time_limit<S: Clone + Send + Sync + 'static>(
    routes: Router<S>,
    limit: Duration,
) -> Router<S> {
    routes.layer(from_fn(move |request: Request, next: Next| async move {
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::timed_out().into_response(),
        }
    }))
}

async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let context = TraceContext::from_headers(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let span = tracing::info_span!(
        "request",
        request_id = %context.request_id,
        trace_id = %context.trace_id(),
        %method,
        route,
    );
    metrics::gauge!(HTTP_REQUESTS_IN_FLIGHT).increment(1.0);
    let in_flight = InFlight;
    let response = context
        .clone()
        .scope(next.run(request))
        .instrument(span.clone())
        .await;
    drop(in_flight);
    let response = span.in_scope(|| finish(response, &context, &path));
    let status = response.status();
    let elapsed = started.elapsed();
    let method = method_label(&method);
    metrics::histogram!(HTTP_REQUEST_DURATION_SECONDS, "method" => method, "route" => route.clone())
        .record(elapsed.as_secs_f64());
    metrics::counter!(HTTP_REQUESTS_TOTAL, "method" => method, "route" => route.clone(), "status" => status.as_u16().to_string())
        .increment(1);
    let duration_ms = elapsed.as_secs_f64() * 1000.0;
    // Probes come every few seconds; successful ones are noise.
    if status.is_success() && (path.starts_with("/health") || path == "/metrics") {
        tracing::debug!(parent: &span, status = status.as_u16(), duration_ms, "request completed");
    } else {
        tracing::info!(parent: &span, status = status.as_u16(), duration_ms, "request completed");
    }
    response
}

/// Counts a request as in flight until dropped, also when the client disconnects.
struct InFlight;

impl Drop for InFlight {
    fn drop(&mut self) {
        metrics::gauge!(HTTP_REQUESTS_IN_FLIGHT).decrement(1.0);
    }
}

/// Writes the body of a problem and the request id.
fn finish(mut response: Response, context: &TraceContext, path: &str) -> Response {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let has_body =
            content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
        let own = response.extensions_mut().remove::<Problem>();
        if let Some(problem) = own.or_else(|| (!has_body).then(|| from_status(status))) {
            log_problem(&problem);
            let headers = response.headers_mut();
            headers.extend(problem.headers().clone());
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static(CONTENT_TYPE_PROBLEM),
            );
            headers.remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(problem.body(path, &context.request_id));
        }
    }
    if let Ok(value) = HeaderValue::from_str(&context.request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Logs the cause of a problem, once, at the edge.
pub fn log_problem(problem: &Problem) {
    let status = problem.status();
    if status.is_server_error() {
        let cause = problem.log_cause().unwrap_or("unknown");
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(problem = problem.slug(), cause, "request failed");
        } else {
            tracing::warn!(problem = problem.slug(), cause, "request failed");
        }
    } else {
        tracing::debug!(problem = problem.slug(), "request refused");
    }
}

async fn require_known_coding(request: Request, next: Next) -> Response {
    match check_transfer_coding(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn shed_load(
    State(in_flight): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let permit = in_flight.try_acquire();
    if permit.is_err() && !request.uri().path().starts_with("/health") {
        let error = "too many requests are under way";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", error)
            .detail("try again after the seconds that Retry-After gives")
            .retry_after(1)
            .into_response();
    }
    next.run(request).await
}

async fn require_internal_token(
    State(token): State<SecretString>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let open = path.starts_with("/health")
        || path == "/api/v1/health"
        || path == "/metrics"
        || path.starts_with("/.well-known/");
    let shown = request
        .headers()
        .get(INTERNAL_TOKEN)
        .map_or(&b""[..], HeaderValue::as_bytes);
    // In constant time, so that timing does not reveal the position of a difference.
    if open || bool::from(shown.ct_eq(token.expose_secret().as_bytes())) {
        return next.run(request).await;
    }
    let error = "this service answers the gateway alone";
    let challenge = HeaderValue::from_static(INTERNAL_CHALLENGE);
    Problem::new(StatusCode::UNAUTHORIZED, "internal-only", error)
        .detail("send the request to the gateway")
        .header(header::WWW_AUTHENTICATE, challenge)
        .into_response()
}

/// Adds `Connection: close` to responses once the process is stopping.
async fn announce_end(State(shutdown): State<Shutdown>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if shutdown.is_started() {
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Serves `app` on `listener` until the shutdown begins, then drains: a connection that is idle is
/// closed, a request in flight completes. True if all completed within the grace period.
#[expect(
    clippy::disallowed_methods,
    reason = "connections are awaited by the graceful shutdown"
)]
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: &ProcessConfig,
    shutdown: &Shutdown,
) -> bool {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(true);
    let app = app.layer(from_fn_with_state(shutdown.clone(), announce_end));
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(config.max_connections));
    let spawn = |stream: TcpStream, slot| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let (http, watcher, app) = (http.clone(), graceful.watcher(), app.clone());
        let until = shutdown.clone();
        tokio::spawn(async move {
            // hyper closes a connection silently if it is stopped before the first byte; a request on
            // an accepted connection must be served, so hyper receives it with the first byte.
            let linger = async {
                until.started().await;
                tokio::time::sleep(LINGER_TIMEOUT).await;
            };
            let is_readable = tokio::select! {
                readable = stream.readable() => readable.is_ok(),
                () = linger => false,
                () = tokio::time::sleep(HEAD_TIMEOUT) => false,
            };
            if is_readable {
                let service = TowerToHyperService::new(app);
                let connection = http.serve_connection(TokioIo::new(stream), service);
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "connection ended early");
                }
            }
            drop(slot);
        });
    };
    loop {
        let slot = tokio::select! {
            () = shutdown.started() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = shutdown.started() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => spawn(stream, slot.ok()),
            Err(error) => {
                // Out of file descriptors, most likely: give those in use a moment to close.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    // The kernel has accepted the connections in the backlog, so to their clients they are open.
    while let Some(Ok((stream, _))) = listener.accept().now_or_never() {
        spawn(stream, None);
    }
    drop(listener);
    // Connected clients may be about to send.
    tokio::time::sleep(LINGER_TIMEOUT).await;
    tokio::time::timeout(config.shutdown_grace(), graceful.shutdown())
        .await
        .is_ok()
}
