//! The way of a request through the gateway, in order: identity, numbers, sanity, CORS, room, rate
//! limit, authentication, policy, and then to whoever answers. What refuses a request stands before
//! what costs more.

use std::{net::IpAddr, panic::AssertUnwindSafe, rc::Rc, time::Duration};

use bytes::Bytes;
use chassis::{Problem, problem::from_status, trace::RequestContext};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use hyper::{
    Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{ALLOW, CACHE_CONTROL, EXPECT, HOST, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
};

use crate::{
    answer::{Body, NO_STORE, Refusal, refuse},
    client_ip::{ClientKey, X_FORWARDED_FOR, client_ip},
    observe::Line,
    own::{self, Asked},
    proxy::{
        BodyState, Call, ClientBody, Failure, Forwarded, X_FORWARDED_HOST, X_FORWARDED_PROTO,
        X_REQUEST_ID, clean_answer,
    },
    rate_limit::Standing,
    routes::{Access, Found, Route, Service, Target, TimeLimit},
    sanity, swagger,
    worker::{Peer, Worker},
};

/// What is read of the body of a refused request, so that the client gets to see the refusal: bytes,
/// and how long.
const LINGER_BYTES: usize = 4 << 20;
const LINGER_TIME: Duration = Duration::from_secs(2);

/// A request on its way.
struct Passage<'a> {
    worker: &'a Worker,
    peer: &'a Peer,
    head: Parts,
    context: RequestContext,
    request_id: HeaderValue,
    client: IpAddr,
    /// Taken by whoever reads it.
    body: Option<Incoming>,
    /// Where the client stands with its rate limit, once it was counted.
    standing: Option<Standing>,
}

/// Answers one request, whatever it is.
pub async fn handle(worker: &Worker, peer: &Peer, request: Request<Incoming>) -> Response<Body> {
    let started = std::time::Instant::now();
    let (head, body) = request.into_parts();
    let context = RequestContext::from_headers(&head.headers);
    let request_id = HeaderValue::try_from(context.request_id.as_str())
        .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    let trusted = &worker.shared.config.own.trusted_proxies;
    let client = client_ip(peer.ip, &head.headers, trusted);

    let target = sanity::check(&head, worker.shared.config.own.target_limit_bytes);
    let path = target.as_ref().map_or("", PathAndQuery::path);
    let found = worker.shared.table.find(&head.method, path);
    let observed = worker.observer.begin(started, &head.method, found.path());
    let origin = worker.shared.cors.allowed(&head.headers);
    let mut passage = Passage {
        worker,
        peer,
        head,
        context,
        request_id,
        client,
        body: Some(body),
        standing: None,
    };
    let answered = match &target {
        Ok(target) => {
            // A bug of ours must end one request, not a connection with others behind it.
            let caught = AssertUnwindSafe(passage.pass(target, &found)).catch_unwind();
            caught.await.unwrap_or_else(|_| Err(panicked()))
        }
        Err(problem) => Err(problem.clone().into()),
    };
    passage.linger();

    let mut cause = None;
    let mut response = answered.unwrap_or_else(|refusal| {
        cause = refusal.problem.log_cause().map(str::to_owned);
        let path = passage.head.uri.path();
        refuse(refusal, path, &passage.context.request_id)
    });
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, passage.request_id);
    if let Some(standing) = passage.standing {
        worker.limiter.decorate(standing, headers);
    }
    worker.shared.cors.decorate(origin, headers);
    observed.finish(&Line {
        request_id: &passage.context.request_id,
        trace_id: &passage.context.trace_id,
        client: passage.client,
        status: response.status(),
        cause: cause.as_deref(),
    });
    response
}

fn panicked() -> Refusal {
    Problem::internal(&std::io::Error::other("the handler panicked")).into()
}

impl Passage<'_> {
    async fn pass(
        &mut self,
        target: &PathAndQuery,
        found: &Found<'_, '_>,
    ) -> Result<Response<Body>, Refusal> {
        let worker = self.worker;
        let cors = &worker.shared.cors;
        if let Some(response) = cors.preflight(&self.head.method, &self.head.headers) {
            return Ok(response);
        }
        let is_probe = matches!(
            found,
            Found::Route { route, .. } if matches!(route.target, Target::Health | Target::Ready)
        );
        let _room = if is_probe {
            None
        } else {
            Some(Room::take(worker)?)
        };
        if !is_probe {
            let (standing, admitted) = worker.limiter.count(ClientKey::of(self.client)).await;
            self.standing = Some(standing);
            admitted?;
        }
        let access = match found {
            Found::Route { route, .. } => route.access,
            // Whoever has no token learns nothing of what there is.
            _ => Access::AnyUser,
        };
        let open =
            access == Access::Public || (access == Access::Operator && self.may_read_metrics());
        let principal = if open {
            None
        } else {
            Some(worker.authenticator.authenticate(&self.head.headers)?)
        };
        let (route, parameter) = match *found {
            Found::Route {
                route, parameter, ..
            } => (route, parameter),
            Found::OtherMethod { allow, .. } => {
                let problem = from_status(StatusCode::METHOD_NOT_ALLOWED);
                return Err(Refusal::with(problem, ALLOW, allow.clone()));
            }
            Found::Nothing => return Err(from_status(StatusCode::NOT_FOUND).into()),
        };
        if let Some(principal) = &principal {
            worker
                .authenticator
                .authorize(principal, route.access, parameter)?;
        }
        let traceparent = HeaderValue::try_from(self.context.traceparent())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        match route.target {
            Target::Upstream(service) => {
                let principal = principal.as_deref().map(|principal| &principal.header);
                self.forward(route, service, target, principal, traceparent)
                    .await
            }
            Target::Health => Ok(own::health()),
            Target::Ready => {
                let asked = self.asked(&traceparent);
                Ok(own::ready(worker, &asked).await)
            }
            Target::Metrics => Ok(own::metrics(worker)),
            Target::SwaggerRedirect => Ok(swagger::redirect()),
            Target::Swagger => swagger::file(worker, parameter),
            Target::Document => {
                let asked = self.asked(&traceparent);
                swagger::document(worker, parameter, &asked).await
            }
        }
    }

    /// Networks may read the metrics; a request that came through a proxy in such a network does not
    /// come from it.
    fn may_read_metrics(&self) -> bool {
        let headers = &self.head.headers;
        let own = &self.worker.shared.config.own;
        let direct = !headers.contains_key(X_FORWARDED_FOR)
            && !headers.contains_key(hyper::header::FORWARDED);
        direct && own.metrics_networks.contain(self.peer.ip)
    }

    fn asked<'b>(&'b self, traceparent: &'b HeaderValue) -> Asked<'b> {
        Asked {
            request_id: &self.request_id,
            traceparent,
            client: &self.peer.header,
        }
    }

    async fn forward(
        &mut self,
        route: &Route,
        service: Service,
        target: &PathAndQuery,
        principal: Option<&HeaderValue>,
        traceparent: HeaderValue,
    ) -> Result<Response<Body>, Refusal> {
        let body = self.client_body()?;
        let call = Call {
            method: &self.head.method,
            target,
            headers: &self.head.headers,
            forwarded: self.forwarded(principal, traceparent),
            body: body.as_ref(),
            retryable: route.retryable,
        };
        let config = &self.worker.shared.config;
        let limit = match route.time_limit {
            TimeLimit::Ordinary => config.process.request_timeout(),
            TimeLimit::Sync => Duration::from_millis(config.own.sync_timeout_ms),
        };
        let upstream = self.worker.upstream(service);
        let answered = tokio::time::timeout(limit, upstream.forward(&call)).await;
        let mut response = match answered {
            Ok(Ok(response)) => response,
            Ok(Err(failure)) => {
                self.body = body.and_then(|body| body.take());
                return Err(failed(service, &failure));
            }
            Err(_) => {
                let slow_client = body.is_some_and(|body| body.state() == BodyState::Begun);
                return Err(timed_out(slow_client));
            }
        };
        let headers = response.headers_mut();
        clean_answer(headers);
        if !route.cacheable && !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        Ok(response)
    }

    /// The request's body, if it has one.
    fn client_body(&mut self) -> Result<Option<Rc<ClientBody>>, Refusal> {
        let limit = self.worker.shared.config.process.body_limit_bytes as u64;
        let Some(body) = self.body.take_if(|body| !body.is_end_stream()) else {
            return Ok(None);
        };
        // A length that is announced need not be waited for.
        if body.size_hint().lower() > limit {
            self.body = Some(body);
            return Err(from_status(StatusCode::PAYLOAD_TOO_LARGE).into());
        }
        Ok(Some(ClientBody::new(body, limit)))
    }

    fn forwarded<'b>(
        &'b self,
        principal: Option<&'b HeaderValue>,
        traceparent: HeaderValue,
    ) -> Forwarded<'b> {
        let headers = &self.head.headers;
        let trusted = self
            .worker
            .shared
            .config
            .own
            .trusted_proxies
            .contain(self.peer.ip);
        let told = |name| if trusted { headers.get(name) } else { None };
        let chain: Vec<&str> = if trusted {
            let lines = headers.get_all(X_FORWARDED_FOR).iter();
            lines.filter_map(|line| line.to_str().ok()).collect()
        } else {
            Vec::new()
        };
        let client = if chain.is_empty() {
            self.peer.header.clone()
        } else {
            HeaderValue::try_from(format!("{}, {}", chain.join(", "), self.peer.ip))
                .unwrap_or_else(|_| self.peer.header.clone())
        };
        Forwarded {
            request_id: self.request_id.clone(),
            traceparent,
            principal,
            client,
            protocol: told(&X_FORWARDED_PROTO)
                .cloned()
                .unwrap_or_else(|| HeaderValue::from_static("http")),
            host: told(&X_FORWARDED_HOST).or_else(|| headers.get(HOST)),
        }
    }

    /// Reads on for a while when a request was refused before its body was read: closing now would
    /// reset the connection, and the client would not see why.
    fn linger(&mut self) {
        let Some(body) = self.body.take_if(|body| !body.is_end_stream()) else {
            return;
        };
        // Reading would ask a waiting client for its body.
        if self.head.headers.contains_key(EXPECT) {
            return;
        }
        tokio::task::spawn_local(tokio::time::timeout(LINGER_TIME, discard(body)));
    }
}

async fn discard(mut body: Incoming) {
    let mut left = LINGER_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// One of the requests that a thread takes on at once, until dropped.
struct Room<'a>(&'a Worker);

impl<'a> Room<'a> {
    fn take(worker: &'a Worker) -> Result<Self, Refusal> {
        match worker.room.get().checked_sub(1) {
            Some(left) => {
                worker.room.set(left);
                Ok(Self(worker))
            }
            None => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many requests are under way",
            )
            .detail("try again after the seconds that Retry-After gives")
            .retry_after(1)
            .into()),
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.room.set(self.0.room.get() + 1);
    }
}

fn timed_out(slow_client: bool) -> Refusal {
    if slow_client {
        return Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "request-timeout",
            "the request body took too long",
        )
        .detail("send the body faster, or less of it")
        .into();
    }
    Problem::timed_out().into()
}

/// The problem that `failure` of `service` is for the client, who learns nothing of what is inside.
#[must_use]
pub fn failed(service: Service, failure: &Failure) -> Refusal {
    let what = match service {
        Service::Movie => "the film service",
        Service::Preference => "the user service",
        Service::Recommendation => "the recommendation service",
    };
    let problem = match failure {
        Failure::Unreachable(_) => Problem::unavailable(what),
        Failure::Nonsense(_) | Failure::Switching => Problem::new(
            StatusCode::BAD_GATEWAY,
            "bad-gateway",
            format!("{what} gave no usable answer"),
        )
        .detail("this is our fault; try again, and tell us the request_id if it stays"),
        Failure::BodyTooLarge => from_status(StatusCode::PAYLOAD_TOO_LARGE),
        Failure::BodyBroken => from_status(StatusCode::BAD_REQUEST)
            .error("invalid request body")
            .detail("the body ended before its end; send it again"),
    };
    problem.cause(failure).into()
}

impl Found<'_, '_> {
    /// Which path of the table it is.
    fn path(&self) -> Option<usize> {
        match self {
            Self::Route { path, .. } | Self::OtherMethod { path, .. } => Some(*path),
            Self::Nothing => None,
        }
    }
}
