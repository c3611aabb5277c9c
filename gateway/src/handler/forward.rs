//! The last step of a request that a service answers: its body and headers put in order, the time
//! limit, and what a failure is for the client.

use std::{rc::Rc, time::Duration};

use chassis::{Problem, problem::from_status};
use hyper::{
    Response, StatusCode,
    body::Body as _,
    header::{CACHE_CONTROL, HOST, HeaderValue},
    http::uri::PathAndQuery,
};

use super::Passage;
use crate::{
    answer::{Body, NO_STORE, Refusal},
    client_ip::X_FORWARDED_FOR,
    proxy::{
        BodyState, Call, ClientBody, Failure, Forwarded, X_FORWARDED_HOST, X_FORWARDED_PROTO,
        clean_answer,
    },
    routes::{Access, BodyLimit, Route, Service, TimeLimit},
};

const MIB: u64 = 1 << 20;

impl Passage<'_> {
    /// Sends the request to `service` and returns its answer, whose body follows as it comes.
    pub(super) async fn forward(
        &mut self,
        route: &Route,
        service: Service,
        target: &PathAndQuery,
        principal: Option<&HeaderValue>,
        traceparent: HeaderValue,
    ) -> Result<Response<Body>, Refusal> {
        let body_limit = self.body_limit(route);
        let body = self.client_body(body_limit)?;
        let call = Call {
            method: &self.head.method,
            target,
            headers: &self.head.headers,
            forwarded: self.forwarded(route.access, principal, traceparent),
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
                return Err(match failure {
                    Failure::BodyTooLarge => too_large(body_limit).into(),
                    failure => failed(service, &failure),
                });
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

    /// How large the request's body may be, in bytes.
    fn body_limit(&self, route: &Route) -> u64 {
        let config = &self.worker.shared.config;
        match route.body_limit {
            BodyLimit::Ordinary => config.process.body_limit_bytes as u64,
            BodyLimit::Import => config.own.import_body_limit_bytes as u64,
        }
    }

    /// The request's body, if it has one.
    fn client_body(&mut self, limit: u64) -> Result<Option<Rc<ClientBody>>, Refusal> {
        let Some(body) = self.body.take_if(|body| !body.is_end_stream()) else {
            return Ok(None);
        };
        // A length that is announced need not be waited for.
        if body.size_hint().lower() > limit {
            self.body = Some(body);
            return Err(too_large(limit).into());
        }
        Ok(Some(ClientBody::new(body, limit)))
    }

    fn forwarded<'b>(
        &'b self,
        access: Access,
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
            address: self.address(access),
            protocol: told(&X_FORWARDED_PROTO)
                .cloned()
                .unwrap_or_else(|| HeaderValue::from_static("http")),
            host: told(&X_FORWARDED_HOST).or_else(|| headers.get(HOST)),
        }
    }
}

impl Passage<'_> {
    /// The client's address, for a service that has nothing else to count attempts by.
    fn address(&self, access: Access) -> Option<HeaderValue> {
        if !matches!(access, Access::Public | Access::SignUp) {
            return None;
        }
        if self.client == self.peer.ip {
            return Some(self.peer.header.clone());
        }
        HeaderValue::try_from(self.client.to_string()).ok()
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

fn too_large(limit: u64) -> Problem {
    let most = match limit % MIB {
        0 => format!("send at most {} MiB", limit / MIB),
        _ => format!("send at most {limit} bytes"),
    };
    from_status(StatusCode::PAYLOAD_TOO_LARGE).detail(most)
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
