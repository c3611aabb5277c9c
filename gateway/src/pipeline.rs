//! The layers that a request passes, in order. Called by [`crate::server`] for each request.
//!
//! 1. identity: request id, trace, client address
//! 2. request target and transfer coding: refuses ambiguous ones
//! 3. access log: metrics and a log line when the response is ready
//! 4. CORS: responds to preflight requests
//! 5. overload: refuses more than `max_requests_in_flight`, and more of one client than its share
//! 6. rate limit of the client address
//! 7. authentication
//! 8. rate limits of the user, the API key and the class of the route; authorization
//! 9. the handler: a service by [`crate::proxy`], for some routes through [`crate::cache`], or one of [`crate::endpoints`]
//! 10. compression of the response
//!
//! A layer that refuses requests comes before those that cost more.

mod drain_body;
mod forward;
mod shared;
mod websocket;

use std::{net::IpAddr, panic::AssertUnwindSafe, time::Instant};

use chassis::{Problem, problem::from_status, server::check_transfer_coding, trace::TraceContext};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use hyper::{
    StatusCode, Version,
    body::Incoming,
    header::{ALLOW, FORWARDED, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
};

use crate::{
    admission::{Permit, Refusal, count_refusal},
    config::AuthMode,
    endpoints::{health, limits, metrics, page, swagger},
    message::Response,
    middleware::{
        access_log::Outcome,
        auth::{Principal, authorize},
        client_ip::{ClientKey, X_FORWARDED_FOR, client_ip},
        compression::strong_if_match,
        rate_limit::LimitStatus,
        request_target,
        server_timing::ServerTiming,
    },
    proxy::{X_REQUEST_ID, internal::InternalCall},
    response::{Body, rate_limited, refusal},
    routes::{Access, Handler, Match, Route, Service},
    state::{Peer, ThreadState},
};

/// The problem type of requests beyond `max_requests_in_flight`.
const OVERLOADED: &str = "overloaded";

/// A request and what the layers have found out about it.
struct RequestContext<'a> {
    state: &'a ThreadState,
    peer: &'a Peer,
    head: Parts,
    /// `None` without one. Taken by the layer that reads it.
    body: Option<Incoming>,
    trace: TraceContext,
    request_id: HeaderValue,
    traceparent: HeaderValue,
    client: IpAddr,
    /// Set by the rate limits: the status of the limit with the fewest remaining requests.
    limit: Option<LimitStatus<'a>>,
    /// `None` unless the client asks for it.
    timing: Option<Box<ServerTiming>>,
    started: Instant,
    /// The time of day of its arrival.
    now: DateTime<Utc>,
    /// Set by the cache: the way in which it served the request.
    cache_result: Option<&'static str>,
}

/// Serves the request `head` with `body`.
pub(crate) async fn serve(
    state: &ThreadState,
    peer: &Peer,
    mut head: Parts,
    body: Option<Incoming>,
) -> Response<Body> {
    let started = Instant::now();
    let shared = &state.shared;
    let own = &shared.config.own;
    let adapted = match head.version {
        Version::HTTP_2 => request_target::adapt_http2(&mut head, own.head_limit_bytes),
        _ => Ok(()),
    };
    let now = shared.clock.now();
    let trace = TraceContext::at(&head.headers, now);
    let client = client_ip(peer.ip, &head.headers, &own.trusted_proxies);

    let target = adapted
        .and_then(|()| request_target::normalize(&head, own.target_limit_bytes))
        .and_then(|target| check_transfer_coding(&head.headers).map(|()| target));
    let path = target.as_ref().map_or("", PathAndQuery::path);
    let matched = shared.router.find(&head.method, path);
    let route = matched.and_then(|matched| matched.route);
    let matched_path = matched.map(|matched| matched.path);
    let entry = state.access_log.begin(started, &head.method, matched_path);
    let origin = shared.cors.allowed_origin(&head.headers);
    let mut context = RequestContext {
        state,
        peer,
        body,
        request_id: header(trace.request_id.as_str()),
        traceparent: header(trace.traceparent()),
        trace,
        client,
        limit: None,
        timing: ServerTiming::requested(&head.headers, started),
        started,
        now,
        cache_result: None,
        head,
    };
    let result = match &target {
        Ok(target) => {
            // A panic must fail one request, not the connection with the requests behind it.
            let result = AssertUnwindSafe(context.run(target, matched)).catch_unwind();
            result.await.unwrap_or_else(|_| {
                let panic = std::io::Error::other("the pipeline panicked");
                Err(Problem::internal(&panic))
            })
        }
        Err(problem) => Err(problem.clone()),
    };
    context.drain_body();

    let mut is_upstream_failure = route
        .is_some_and(|route| matches!(route.handler, Handler::Upstream(_) | Handler::Document));
    let mut cause = None;
    let mut response = result.unwrap_or_else(|problem| {
        is_upstream_failure &= problem.slug() != OVERLOADED;
        cause = problem.log_cause().map(str::to_owned);
        refusal(&problem, context.head.uri.path(), &context.trace.request_id)
    });
    let headers = &mut response.headers;
    headers.insert(X_REQUEST_ID, &context.request_id);
    if let Some(limit) = context.limit {
        limit.add_headers(headers);
    }
    shared.cors.add_headers(origin, headers);
    let file = matched.and_then(|matched| {
        let route = matched.route.filter(|route| route.is_file())?;
        Some((route.path, matched.parameter))
    });
    let (method, headers) = (&context.head.method, &context.head.headers);
    response = (state.compression)
        .apply(method, headers, file, response)
        .await;
    if let Some(timing) = &context.timing {
        timing.add_header(&mut response.headers);
    }
    entry.finish(&Outcome {
        trace: &context.trace,
        client,
        status: response.status,
        is_upstream_failure,
        cause: cause.as_deref(),
        cache: context.cache_result,
    });
    response
}

fn header(text: impl TryInto<HeaderValue>) -> HeaderValue {
    // Request ids and traces are restricted to characters that headers allow.
    text.try_into()
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

impl RequestContext<'_> {
    /// Passes the request through the layers from CORS on.
    async fn run(
        &mut self,
        target: &PathAndQuery,
        matched: Option<Match<'_, '_>>,
    ) -> Result<Response<Body>, Problem> {
        let state = self.state;
        let cors = &state.shared.cors;
        if let Some(response) = cors.preflight(&self.head.method, &self.head.headers) {
            return Ok(response);
        }
        let route = matched.and_then(|matched| matched.route);
        let is_probe =
            route.is_some_and(|route| matches!(route.handler, Handler::Health | Handler::Ready));
        let client = ClientKey::of(self.client);
        let _permit = if is_probe {
            None
        } else {
            let permit = admit(state, client, self.peer)?;
            if !route.is_some_and(Route::is_free) {
                let (limit, admitted) = state.rate_limiter.count_client(client).await;
                self.limit = limit;
                admitted.inspect_err(|_| count_refusal("rate_limit"))?;
                self.end_phase("limits");
            }
            match self.head.version {
                Version::HTTP_2 => {
                    self.peer.permit.set(Some(permit));
                    None
                }
                _ => Some(permit),
            }
        };
        // Which paths exist is not public.
        let access = route.map_or(Access::AnyUser, |route| route.access);
        let headers = &self.head.headers;
        let is_open = state.authenticator.is_open(access, headers)
            || (access == Access::Operator && self.may_read_metrics());
        let principal = if is_open {
            None
        } else {
            let service = state.upstream(Service::Preference);
            let call = self.internal_call();
            let caller = state
                .authenticator
                .authenticate(headers, self.now, client, service, &call);
            let caller = caller.await.inspect_err(count_denial)?;
            self.end_phase("auth");
            let admitted = self.count_user(&caller, route).await;
            admitted.inspect_err(|_| count_refusal("rate_limit"))?;
            self.end_phase("limits");
            Some(caller)
        };
        let Some(Match {
            parameter,
            allow,
            path,
            ..
        }) = matched
        else {
            return Err(from_status(StatusCode::NOT_FOUND));
        };
        let Some(route) = route else {
            let problem = from_status(StatusCode::METHOD_NOT_ALLOWED);
            return Err(problem.header(ALLOW, allow.clone()));
        };
        if let Some(principal) = &principal {
            authorize(principal, route, parameter).inspect_err(count_denial)?;
        }
        if state.compression.is_on() {
            strong_if_match(&mut self.head.headers);
        }
        let response = match route.handler {
            Handler::Upstream(service) if route.shared => {
                // Boxed, so that the state of other requests need not have room for it.
                Box::pin(self.forward_shared(route, path, service, target, principal.as_deref()))
                    .await
            }
            Handler::Upstream(service) => {
                self.forward(route, path, service, target, principal.as_deref())
                    .await
            }
            Handler::Health => Ok(health::live()),
            Handler::Ready => Ok(Box::pin(health::ready(state, &self.internal_call())).await),
            Handler::Metrics => Ok(metrics::render(state)),
            Handler::SwaggerRedirect => Ok(swagger::redirect()),
            Handler::Swagger => swagger::file(parameter),
            Handler::Page => page::file(parameter, &self.head.headers),
            Handler::PageSession => Box::pin(self.page_session(client)).await,
            Handler::UserLimits => {
                let limiter = &state.rate_limiter;
                let principal = principal.as_deref();
                Box::pin(limits::of_user(limiter, parameter, principal, client)).await
            }
            Handler::Document => {
                Box::pin(swagger::document(state, parameter, &self.internal_call())).await
            }
        };
        self.end_phase(match route.handler {
            Handler::Upstream(_) => "upstream",
            _ => "endpoint",
        });
        response
    }

    /// Ends a phase of the request, if the client asks for the times.
    fn end_phase(&mut self, name: &'static str) {
        if let Some(timing) = &mut self.timing {
            timing.end_phase(name);
        }
    }

    /// Counts the request towards the limits of `caller`.
    async fn count_user(
        &mut self,
        caller: &Principal,
        route: Option<&Route>,
    ) -> Result<(), Problem> {
        // A user whose limit is used up may learn when it ends.
        if route.is_some_and(|route| route.is_free() || route.handler == Handler::UserLimits) {
            return Ok(());
        }
        let class = route.and_then(|route| route.class);
        let limiter = &self.state.rate_limiter;
        let (limit, admitted) = limiter.count_user(caller, class).await;
        self.limit = match (self.limit, limit) {
            (Some(client), Some(user)) if admitted.is_ok() => Some(client.tighter(user)),
            (client, user) => user.or(client),
        };
        admitted
    }

    /// `GET /session`: the user of the session cookies; in mock mode nobody, since the page chooses.
    ///
    /// # Errors
    /// 502 or 503 if the access token cannot be verified now: the page must not take that for the end of the session.
    async fn page_session(&self, client: ClientKey) -> Result<Response<Body>, Problem> {
        let state = self.state;
        let mode = state.shared.config.own.auth_mode;
        let principal = match mode {
            AuthMode::Mock => None,
            AuthMode::Jwt => {
                let call = self.internal_call();
                let service = state.upstream(Service::Preference);
                let authenticator = &state.authenticator;
                let caller = authenticator.authenticate(
                    &self.head.headers,
                    self.now,
                    client,
                    service,
                    &call,
                );
                match caller.await {
                    Ok(principal) => Some(principal),
                    // A session that is missing, has expired or is suspended is not an error here.
                    Err(problem) if problem.status().is_client_error() => None,
                    Err(problem) => return Err(problem),
                }
            }
        };
        Ok(page::session(mode, principal.as_deref()))
    }

    /// True if the peer is in a network that may read the metrics and sent the request itself: a proxy in such a
    /// network forwards requests from elsewhere.
    fn may_read_metrics(&self) -> bool {
        let headers = &self.head.headers;
        let is_forwarded = headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED);
        let networks = &self.state.shared.config.own.metrics_networks;
        !is_forwarded && networks.contain(self.peer.ip)
    }

    fn internal_call(&self) -> InternalCall<'_> {
        InternalCall {
            request_id: &self.request_id,
            traceparent: &self.traceparent,
            peer: &self.peer.header,
        }
    }
}

/// Counts the refusal of a caller. A key that cannot be verified now is not the caller's.
fn count_denial(problem: &Problem) {
    if problem.status().is_client_error() {
        count_refusal("auth");
    }
}

/// Takes one of the places of requests in flight.
fn admit(state: &ThreadState, client: ClientKey, peer: &Peer) -> Result<Permit, Problem> {
    let admitted = state.requests.admit(Some(client), &peer.connection);
    admitted.map_err(|refusal| {
        let of_client = "too many requests of this client are under way";
        refused(refusal, of_client, "too many requests are under way")
    })
}

/// Counts `refusal`; the problem is 429 with the text `of_client` or 503 with the text `of_all`.
fn refused(refusal: Refusal, of_client: &'static str, of_all: &'static str) -> Problem {
    count_refusal(refusal.reason());
    match refusal {
        Refusal::Client => rate_limited(of_client, 1),
        Refusal::Total => Problem::new(StatusCode::SERVICE_UNAVAILABLE, OVERLOADED, of_all)
            .detail("retry after the seconds in Retry-After")
            .retry_after(1),
    }
}
