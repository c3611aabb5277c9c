//! The last layer of a request that a service serves: its body and headers, the time limit, and the problem
//! that a failure becomes.

use std::{pin::pin, rc::Rc, time::Duration};

use chassis::Problem;
use hyper::{
    Method, StatusCode, Version,
    body::Body as _,
    header::{CACHE_CONTROL, CONNECTION, HOST, HeaderValue},
    http::uri::PathAndQuery,
};

use super::RequestContext;
use crate::{
    groups::{RequestProperties, count_fallback},
    message::Response,
    middleware::{auth::Principal, client_ip::X_FORWARDED_FOR},
    proxy::{
        Call, Failure, ForwardedHeaders, MinRate, RequestBody, ResponseBody, X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
        problem::{timed_out, upstream_failed},
        upgrade::UpgradeSlot,
    },
    response::{Body, NO_STORE, streamed},
    routes::{Access, Limits, Route, Service},
};

impl RequestContext<'_> {
    /// Sends the request, whose path has the index `path`, to `service` or the group that the rules choose, and returns its response, whose body is streamed.
    pub(super) async fn forward(
        &mut self,
        route: &Route,
        path: usize,
        service: Service,
        target: &PathAndQuery,
        principal: Option<&Principal>,
    ) -> Result<Response<Body>, Problem> {
        let config = &self.state.shared.config;
        let place = self.admit_websocket()?;
        let upgrade = place.is_some().then(UpgradeSlot::default);
        let body = self.take_body(match route.limits {
            Limits::Import => config.own.import_body_limit_bytes as u64,
            Limits::Ordinary | Limits::Sync => config.process.body_limit_bytes as u64,
        })?;
        let call = Call {
            method: &self.head.method,
            target,
            headers: &self.head.headers,
            forwarded: self
                .forwarded_headers(route.access, principal.map(|principal| &principal.header)),
            body: body.as_ref(),
            upgrade: upgrade.as_ref(),
            retryable: route.retryable,
            timed: !self.state.groups.is_empty(),
        };
        let time_limit = match route.limits {
            Limits::Ordinary => config.process.request_timeout(),
            Limits::Sync | Limits::Import => Duration::from_millis(config.own.sync_timeout_ms),
        };
        let user = principal.map(|principal| principal.limit_id);
        let mut timer = self.peer.timer.take();
        let result = {
            let sending = pin!(self.send(&call, service, path, user));
            timer
                .limit((self.started + time_limit).into(), sending)
                .await
        };
        self.peer.timer.set(timer);
        let mut response = match result {
            Some(Ok(response)) => response.map(streamed),
            Some(Err(failure)) => {
                self.body = body.and_then(|body| body.take());
                return Err(upstream_failed(service, &failure));
            }
            None => return Err(timed_out(body.map(|body| body.state()))),
        };
        let headers = &mut response.headers;
        // The service has not waited for all of the body: what is left of it would stand before the next request.
        let is_early = body.as_ref().is_some_and(|body| !body.is_complete());
        if is_early && self.head.version != Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let service_side = upgrade.and_then(|upgrade| upgrade.take());
        if let (Some(place), Some(side)) = (place, service_side) {
            self.open_websocket(place, side, route, service, headers);
        }
        if !route.cacheable && !headers.contains(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
        if route.method != Method::GET {
            self.invalidate(route, path, service, target, response.status);
        }
        Ok(response)
    }

    /// Removes stored responses after a request for `route` that may have changed them: those to requests for the same path,
    /// and those of a service at which an administrator changed something.
    fn invalidate(
        &self,
        route: &Route,
        path: usize,
        service: Service,
        target: &PathAndQuery,
        status: StatusCode,
    ) {
        let shared = &self.state.shared;
        let Some(cache) = shared.cache.as_ref() else {
            return;
        };
        if !status.is_success() && !status.is_redirection() {
            return;
        }
        if route.access == Access::Admin {
            cache.invalidate(service, None);
        } else if shared.router.is_shared(path) {
            cache.invalidate(service, Some(target.path()));
        }
    }

    /// Sends `call` to the group that the rules choose. While no instance of that can be used, the ordinary ones serve it.
    async fn send(
        &self,
        call: &Call<'_>,
        service: Service,
        path: usize,
        user: Option<u128>,
    ) -> Result<Response<ResponseBody>, Failure> {
        let ordinary = self.state.upstream(service);
        let group = self.state.groups.find(&RequestProperties {
            service,
            path,
            headers: call.headers,
            host: call.forwarded.host,
            user,
        });
        let Some(group) = group else {
            return ordinary.forward(call).await;
        };
        if group.is_available() {
            match group.forward(call).await {
                // No instance has received it, or none of them responded to a request that may be repeated.
                Err(Failure::Unreachable(_)) => {}
                result => return result,
            }
        }
        count_fallback(&group);
        ordinary.forward(call).await
    }

    /// Takes the body, if there is one, unless its announced length exceeds `limit`.
    fn take_body(&mut self, limit: u64) -> Result<Option<Rc<RequestBody>>, Problem> {
        match self.body.take_if(|body| !body.is_end_stream()) {
            None => Ok(None),
            Some(body) if body.size_hint().lower() > limit => {
                self.body = Some(body);
                Err(Problem::body_too_large(limit))
            }
            Some(body) => {
                let own = &self.state.shared.config.own;
                let min_rate = MinRate {
                    grace: Duration::from_millis(own.body_grace_ms),
                    bytes_per_second: own.body_min_bytes_per_second,
                };
                Ok(Some(RequestBody::new(body, limit, min_rate)))
            }
        }
    }

    pub(super) fn forwarded_headers<'b>(
        &'b self,
        access: Access,
        principal: Option<&'b HeaderValue>,
    ) -> ForwardedHeaders<'b> {
        let headers = &self.head.headers;
        let trusted = &self.state.shared.config.own.trusted_proxies;
        let trusted = trusted.contain(self.peer.ip).then_some(headers);
        let chain: Vec<&str> = trusted
            .into_iter()
            .flat_map(|headers| headers.get_all(X_FORWARDED_FOR))
            .filter_map(|line| line.to_str().ok())
            .collect();
        let forwarded_for = if chain.is_empty() {
            self.peer.header.clone()
        } else {
            HeaderValue::try_from(format!("{}, {}", chain.join(", "), self.peer.ip))
                .unwrap_or_else(|_| self.peer.header.clone())
        };
        ForwardedHeaders {
            request_id: &self.request_id,
            traceparent: &self.traceparent,
            principal,
            forwarded_for,
            real_ip: self.real_ip(access),
            protocol: trusted
                .and_then(|headers| headers.get(X_FORWARDED_PROTO).cloned())
                .unwrap_or_else(|| HeaderValue::from_static(self.peer.scheme)),
            host: self.forwarded_host(),
        }
    }

    /// The host that the client requested.
    pub(super) fn forwarded_host(&self) -> Option<&HeaderValue> {
        let headers = &self.head.headers;
        let trusted = &self.state.shared.config.own.trusted_proxies;
        let stated = trusted
            .contain(self.peer.ip)
            .then(|| headers.get(X_FORWARDED_HOST));
        stated.flatten().or_else(|| headers.get(HOST))
    }

    /// The client's address, for services that count attempts to log in or sign up by it.
    fn real_ip(&self, access: Access) -> Option<HeaderValue> {
        if !matches!(access, Access::Public | Access::SignUp) {
            return None;
        }
        if self.client == self.peer.ip {
            return Some(self.peer.header.clone());
        }
        HeaderValue::try_from(self.client.to_string()).ok()
    }
}
