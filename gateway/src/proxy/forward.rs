//! One request to a service, with as many tries as are safe.
//!
//! A connection that was idle may have been closed by the other side at the very moment at which it
//! is used again. That is nobody's failure, so it must not become one: what was not written is sent
//! again whatever it is; what was written is sent again if twice does no harm; what may not be sent
//! twice goes over connections that were used a moment ago, or over new ones.

use std::{io, rc::Rc, time::Duration};

use hyper::{HeaderMap, Method, Request, Response, StatusCode, Uri, http::uri::PathAndQuery};

use super::{
    body::{BodyState, ClientBody, ToUpstream, UpstreamBody},
    connection::{Instance, Lease, SendFailure},
    headers::{Forwarded, to_upstream},
    upstream::Upstream,
};
use crate::answer::Body;

/// How long a connection may have been idle to carry what must not be sent twice.
const FRESH: Duration = Duration::from_millis(500);
/// Tries at most, over all instances.
const TRIES: usize = 4;

/// A request to a service.
pub struct Call<'a> {
    /// The method.
    pub method: &'a Method,
    /// What is asked for.
    pub target: &'a PathAndQuery,
    /// The client's headers.
    pub headers: &'a HeaderMap,
    /// What the service is told besides.
    pub forwarded: Forwarded<'a>,
    /// The client's body; none where it sent none.
    pub body: Option<&'a Rc<ClientBody>>,
    /// Whether sending it twice does no harm.
    pub retryable: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No instance can be connected to.
    #[error("cannot connect")]
    Unreachable(#[source] io::Error),
    /// The connection ended before the answer, or what came is not HTTP.
    #[error("no usable answer")]
    Nonsense(#[source] hyper::Error),
    /// The upstream wants to speak another protocol, which nobody asked for.
    #[error("unasked switch of protocols")]
    Switching,
    /// The client's body is too large.
    #[error("the request body is too large")]
    BodyTooLarge,
    /// The client's body broke off.
    #[error("the request body broke off")]
    BodyBroken,
}

impl Upstream {
    /// Sends `call` to one of the instances and returns the head of its answer, whose body follows as
    /// it comes.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn forward(&self, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        self.earn_retry();
        let mut tried: Vec<Rc<Instance>> = Vec::new();
        let mut reuse = true;
        for attempt in 1.. {
            let Some(instance) = self.choose(&tried) else {
                return Err(Failure::Unreachable(io::ErrorKind::NotFound.into()));
            };
            let last = attempt >= TRIES;
            let reused = if reuse {
                self.reuse(instance, call)
            } else {
                None
            };
            let was_reused = reused.is_some();
            let mut lease = match reused {
                Some(lease) => lease,
                None => match instance.connect().await {
                    Ok(lease) => lease,
                    Err(error) => {
                        tried.push(Rc::clone(instance));
                        if last || tried.len() >= self.len() || !self.spend_retry() {
                            return Err(Failure::Unreachable(error));
                        }
                        continue;
                    }
                },
            };
            let failure = match lease.send(self.request(call, instance)).await {
                Ok(response) => return self.answer(response, lease),
                Err(failure) => failure,
            };
            if let Some(state) = call.body.map(|body| body.state()) {
                match state {
                    BodyState::TooLarge => return Err(Failure::BodyTooLarge),
                    BodyState::Broken => return Err(Failure::BodyBroken),
                    _ => {}
                }
            }
            let again = !last && self.may_repeat(call, &failure, was_reused);
            if !again {
                return Err(Failure::Nonsense(failure.error));
            }
            tracing::debug!(error = %failure.error, was_reused, "sending a request again");
            // If one idle connection was stale, so are most likely the others.
            reuse = false;
            if !was_reused {
                tried.push(Rc::clone(instance));
            }
        }
        unreachable!("the last try returns")
    }

    fn reuse(&self, instance: &Rc<Instance>, call: &Call<'_>) -> Option<Lease> {
        let max_idle = if call.retryable {
            self.settings.idle_timeout
        } else {
            FRESH
        };
        instance.reuse(max_idle)
    }

    /// Whether the request may be sent once more. A stale connection costs nothing of the budget,
    /// since it cannot happen twice to one request; a new connection that breaks does.
    fn may_repeat(&self, call: &Call<'_>, failure: &SendFailure, was_reused: bool) -> bool {
        let whole = call
            .body
            .is_none_or(|body| body.state() == BodyState::Whole);
        let harmless = failure.unsent || (call.retryable && !failure.error.is_parse());
        whole && harmless && (was_reused || self.spend_retry())
    }

    fn request(&self, call: &Call<'_>, instance: &Instance) -> Request<ToUpstream> {
        let body = call.body.map_or(ToUpstream::Empty, |body| {
            ToUpstream::Client(Rc::clone(body))
        });
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = Uri::from(call.target.clone());
        *request.headers_mut() = to_upstream(
            call.headers,
            &call.forwarded,
            &instance.host_header,
            self.settings.internal_token.as_ref(),
        );
        request
    }

    fn answer(
        &self,
        response: Response<hyper::body::Incoming>,
        lease: Lease,
    ) -> Result<Response<Body>, Failure> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::Switching);
        }
        Ok(response.map(|body| {
            let body = UpstreamBody::new(body, lease, self.settings.stall_timeout);
            Body::Upstream(Box::new(body))
        }))
    }
}
