//! One request to a service, with as many attempts as are safe.
//!
//! A service may close an idle connection at the moment at which it is reused. That must not fail the
//! request: a request that was not written is sent again, and so is a written one that is idempotent. Other
//! requests are sent over new or recently used connections only.

use std::{
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use chassis::server::INTERNAL_CHALLENGE;
use hyper::{HeaderMap, Method, StatusCode, header::WWW_AUTHENTICATE, http::uri::PathAndQuery};

use super::{
    breaker::BREAKER_REFUSED_TOTAL,
    errors::Http1Error,
    headers::{ForwardedHeaders, write_request_headers},
    http1::RequestHead,
    instance::{Connection, Instance, SendFailure},
    request_body::{RequestBody, RequestBodyState},
    response_body::ResponseBody,
    upgrade::{UpgradeSlot, is_accepted, write_switch},
    upstream::Upstream,
};
use crate::message::Response;

/// The longest idle time of a connection that carries a request which must not be sent twice.
const MAX_IDLE_NOT_RETRYABLE: Duration = Duration::from_millis(500);
const MAX_ATTEMPTS: usize = 4;
/// The longest wait before the first retry of a request whose response failed; twice as long before each further one.
const MAX_FIRST_WAIT: Duration = Duration::from_millis(25);

/// A request to a service.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a PathAndQuery,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) forwarded: ForwardedHeaders<'a>,
    pub(crate) body: Option<&'a Rc<RequestBody>>,
    /// The place for the service's side of the WebSocket whose handshake the request is; `None`: it is none.
    pub(crate) upgrade: Option<&'a UpgradeSlot>,
    /// True if the request may be sent again after it was written.
    pub(crate) retryable: bool,
    /// True if the time until the response is recorded.
    pub(crate) timed: bool,
}

/// The failure to get a response from a service.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No instance accepts a connection.
    #[error("cannot connect")]
    Unreachable(#[source] io::Error),
    /// No instance responds to anything.
    #[error("no instance responds")]
    Unresponsive,
    /// The connection ended before the response, or the response is not HTTP.
    #[error("no usable response")]
    Unusable(#[source] Http1Error),
    /// The service switched protocols without being requested to, or to another one.
    #[error("unrequested switch of protocols")]
    SwitchingProtocols,
    /// The service requires another internal token than the gateway's.
    #[error("the internal token is refused")]
    TokenRefused,
    /// The client's body exceeds its limit.
    #[error("the request body has more than {limit} bytes")]
    BodyTooLarge { limit: u64 },
    /// The client sends its body too slowly.
    #[error("the request body comes too slowly")]
    BodyTooSlow,
    /// The client's body broke off or is malformed.
    #[error("the request body broke off")]
    BodyBroken,
}

impl Upstream {
    /// Sends `call` to one of the instances and returns the head of the response, whose body is streamed.
    ///
    /// # Errors
    /// Returns a [`Failure`] if no attempt gives a usable response or the client's body fails.
    pub(crate) async fn forward(&self, call: &Call<'_>) -> Result<Response<ResponseBody>, Failure> {
        let record = self.metrics.begin(call.timed);
        let result = self.attempt(call).await;
        let status = result.as_ref().map(|response| response.status);
        record.finish(status.ok());
        result
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Response<ResponseBody>, Failure> {
        self.retries.earn();
        let mut tried: Vec<Rc<Instance>> = Vec::new();
        let mut may_reuse = true;
        for attempt in 1.. {
            let Some(instance) = self.choose(&tried) else {
                return Err(Failure::Unreachable(io::ErrorKind::NotFound.into()));
            };
            if instance.breaker.is_open() {
                return Err(self.unresponsive());
            }
            let is_last = attempt >= MAX_ATTEMPTS;
            let max_idle = match call.retryable {
                true => instance.idle_timeout(),
                false => MAX_IDLE_NOT_RETRYABLE,
            };
            let mut now = Instant::now();
            let reused = may_reuse.then(|| instance.reuse(max_idle, now)).flatten();
            let was_reused = reused.is_some();
            let mut connection = match reused {
                Some(connection) => connection,
                // Boxed, as all that is rare: the state of each request would have room for it.
                None => match Box::pin(instance.connect()).await {
                    Ok(connection) => {
                        now = Instant::now();
                        connection
                    }
                    Err(error) => {
                        tried.push(Rc::clone(instance));
                        if is_last || !self.may_try_another(&tried) {
                            return Err(Failure::Unreachable(error));
                        }
                        self.metrics.count_retry("connect");
                        continue;
                    }
                },
            };
            let head = self.head(call, instance);
            let body = call.body.cloned();
            let failure = match connection.send(call.method, head, body, now).await {
                Ok((response, _)) if response.status == StatusCode::SWITCHING_PROTOCOLS => {
                    return match call.upgrade.filter(|_| is_accepted(&response)) {
                        Some(slot) => Ok(slot.accept(response, connection)),
                        None => Err(Failure::SwitchingProtocols),
                    };
                }
                Ok((response, _)) if is_token_refused(&response) => {
                    self.log_token_refused();
                    return Err(Failure::TokenRefused);
                }
                // An instance that is starting or overloaded refuses what another may serve.
                Ok((response, responded)) if response.status == StatusCode::SERVICE_UNAVAILABLE => {
                    instance.refused();
                    tried.push(Rc::clone(instance));
                    let may_repeat = call.retryable && is_unread(call);
                    if is_last || !may_repeat || !self.may_try_another(&tried) {
                        return self.passed_on(response, responded, connection);
                    }
                    self.metrics.count_retry("refused");
                    continue;
                }
                Ok((response, responded)) => {
                    return self.passed_on(response, responded, connection);
                }
                Err(failure) => failure,
            };
            match call.body.map(|body| (body.state(), body.limit)) {
                Some((RequestBodyState::TooLarge, limit)) => {
                    return Err(Failure::BodyTooLarge { limit });
                }
                Some((RequestBodyState::TooSlow, _)) => return Err(Failure::BodyTooSlow),
                Some((RequestBodyState::Broken, _)) => return Err(Failure::BodyBroken),
                _ => {}
            }
            let is_unresponsive = instance.breaker.is_open();
            let is_only = is_unresponsive && self.instances.len() == 1;
            if is_last || is_only || !self.may_retry(call, &failure, was_reused) {
                return Err(match is_unresponsive {
                    true => self.unresponsive(),
                    false => Failure::Unusable(failure.error),
                });
            }
            tracing::debug!(error = %failure.error, was_reused, "retrying an upstream request");
            // If one idle connection was closed, the others most likely are, too.
            may_reuse = false;
            if was_reused {
                self.metrics.count_retry("reused");
            } else {
                self.metrics.count_retry("failed");
                tried.push(Rc::clone(instance));
                // What failed for many at once must not return from all of them at once.
                let longest = MAX_FIRST_WAIT * (1 << (attempt.min(MAX_ATTEMPTS) - 1));
                tokio::time::sleep(longest.mul_f64(rand::random())).await;
            }
        }
        unreachable!("the last attempt returns")
    }

    /// The response, which began at the time `responded`, with its body streamed over `connection`.
    fn passed_on(
        &self,
        response: Response<()>,
        responded: Instant,
        connection: Connection,
    ) -> Result<Response<ResponseBody>, Failure> {
        let stall_timeout = Duration::from_millis(self.config.own.upstream_stall_timeout_ms);
        let body = ResponseBody::new(connection, responded.into(), stall_timeout)
            .map_err(Failure::Unusable)?;
        Ok(response.map(|()| body))
    }

    /// Takes a retry from the budget if there is an instance that is not in `tried`.
    fn may_try_another(&self, tried: &[Rc<Instance>]) -> bool {
        tried.len() < self.instances.len() && self.may_spend(0.0)
    }

    /// A request that did not leave over a closed idle connection costs nothing, since that cannot happen twice to it. One
    /// that was written may have reached the service: it costs a retry, but a service that restarts closes all idle
    /// connections at once, so as many may be taken in advance.
    fn may_retry(&self, call: &Call<'_>, failure: &SendFailure, was_reused: bool) -> bool {
        let is_malformed = matches!(failure.error, Http1Error::Malformed(_));
        let is_safe = failure.unsent || (call.retryable && !is_malformed);
        let idle = self.config.own.upstream_idle_connections * self.instances.len();
        let debt = if was_reused { idle as f64 } else { 0.0 };
        let is_free = was_reused && failure.unsent;
        is_unread(call) && is_safe && (is_free || self.may_spend(debt))
    }

    /// Takes a retry from the budget, or one of `debt` in advance.
    fn may_spend(&self, debt: f64) -> bool {
        let is_left = self.retries.spend(debt);
        if !is_left {
            self.metrics.count_refused_retry();
        }
        is_left
    }

    /// Counts a request that fails because no instance responds.
    fn unresponsive(&self) -> Failure {
        let (service, group) = (self.service.name(), self.group.clone());
        metrics::counter!(BREAKER_REFUSED_TOTAL, "service" => service, "group" => group)
            .increment(1);
        Failure::Unresponsive
    }

    /// The head of the request to `instance`, written anew for each attempt.
    fn head(&self, call: &Call<'_>, instance: &Instance) -> RequestHead {
        let body = call.body.map(Rc::as_ref);
        RequestHead::new(call.method, call.target, body, |headers| {
            let token = self.internal_token.as_ref();
            write_request_headers(
                headers,
                call.headers,
                &call.forwarded,
                &instance.host_header,
                token,
            );
            if call.upgrade.is_some() {
                write_switch(headers);
            }
        })
    }
}

/// True if the request has no body, or nothing of it has been read.
fn is_unread(call: &Call<'_>) -> bool {
    let is_unread = |body: &Rc<RequestBody>| body.state() == RequestBodyState::Unread;
    call.body.is_none_or(is_unread)
}

/// True if the service refuses the gateway, not its client.
fn is_token_refused(response: &Response<()>) -> bool {
    let challenge = || response.headers.get(WWW_AUTHENTICATE);
    response.status == StatusCode::UNAUTHORIZED
        && challenge()
            .is_some_and(|challenge| challenge.as_bytes() == INTERNAL_CHALLENGE.as_bytes())
}
