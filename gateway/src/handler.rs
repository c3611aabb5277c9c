//! The way of a request through the gateway, in order: identity, numbers, sanity, CORS, room, rate
//! limit, authentication, policy, and then to whoever answers. What refuses a request stands before
//! what costs more.

mod forward;
mod linger;
mod malformed;

use std::{net::IpAddr, panic::AssertUnwindSafe};

use chassis::{Problem, problem::from_status, trace::TraceContext};
use futures_util::FutureExt;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
};

pub use self::{forward::failed, malformed::answer_malformed};
use crate::{
    answer::{Body, Refusal, refuse},
    client_ip::{ClientKey, X_FORWARDED_FOR, client_ip},
    observe::Line,
    own::{self, Asked},
    proxy::X_REQUEST_ID,
    rate_limit::Standing,
    routes::{Access, Found, Service, Target},
    sanity, swagger,
    worker::{Peer, Worker},
};

/// A request on its way.
struct Passage<'a> {
    worker: &'a Worker,
    peer: &'a Peer,
    head: Parts,
    context: TraceContext,
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
    let context = TraceContext::from_headers(&head.headers);
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
        let open = worker.authenticator.is_open(access, &self.head.headers)
            || (access == Access::Operator && self.may_read_metrics());
        let traceparent = HeaderValue::try_from(self.context.traceparent())
            .unwrap_or_else(|_| HeaderValue::from_static(""));
        let principal = if open {
            None
        } else {
            let client = ClientKey::of(self.client);
            let service = worker.upstream(Service::Preference);
            let (headers, asked) = (&self.head.headers, self.asked(&traceparent));
            let caller = worker
                .authenticator
                .authenticate(headers, client, service, &asked);
            Some(caller.await?)
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
                .authorize(principal, route, parameter)?;
        }
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

impl Found<'_, '_> {
    /// Which path of the table it is.
    fn path(&self) -> Option<usize> {
        match self {
            Self::Route { path, .. } | Self::OtherMethod { path, .. } => Some(*path),
            Self::Nothing => None,
        }
    }
}
