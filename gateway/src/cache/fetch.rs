//! One request to a service for a response that may be stored. It runs as a task, so that a client which hangs up does
//! not end it for the others that wait for the response.
//!
//! The request carries no credentials, cookie or host, so that a response does not depend on the principal even if a service
//! marks one as public by mistake. It does carry the forwarding and tracing headers (`X-Forwarded-For`, `X-Forwarded-Proto`,
//! `X-Request-Id`, `traceparent`), for the logs of services; they are not part of the key, and no response may depend on them.

use std::{
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::clock::Clock;
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{ACCEPT, ACCEPT_LANGUAGE, HeaderValue, IF_NONE_MATCH},
    http::uri::PathAndQuery,
};
use tokio::sync::oneshot;

use super::{
    ResponseCache,
    entry::{Entry, Sent, Storable},
    flight::Leader,
    store::{Key, Selected},
    tee::{TeeBody, tee},
};
use crate::{
    groups::count_fallback,
    message::Response,
    proxy::{Call, Failure, ForwardedHeaders, ResponseBody, Upstream},
};

/// A request for a response that may be stored.
pub(crate) struct Fetch {
    pub(crate) key: Key,
    pub(crate) selected: Selected,
    pub(crate) target: PathAndQuery,
    /// The instances by whose group the response is stored.
    pub(crate) upstream: Rc<Upstream>,
    /// The ordinary instances, if `upstream` is another group; what they respond is not stored.
    pub(crate) fallback: Option<Rc<Upstream>>,
    /// The stored response that the service may confirm.
    pub(crate) stale: Option<Arc<Entry>>,
    pub(crate) request_id: HeaderValue,
    pub(crate) traceparent: HeaderValue,
    /// For the logs of services only.
    pub(crate) forwarded_for: HeaderValue,
    pub(crate) protocol: HeaderValue,
    /// True if the time until the response is recorded.
    pub(crate) timed: bool,
    pub(crate) time_limit: Duration,
    pub(crate) clock: Clock,
}

/// The response of a service, its hop-by-hop headers removed.
pub(crate) enum Fetched {
    /// The stored response, which the service confirmed.
    Confirmed(Arc<Entry>),
    /// A response that is stored as its body is read.
    Stored(Response<TeeBody>),
    /// A response that is not stored.
    Passed(Response<ResponseBody>),
}

/// The failure of a request to a service.
pub(crate) enum FetchError {
    Failed(Failure),
    TimedOut,
}

/// A received head.
struct Received {
    response: Response<ResponseBody>,
    sent: Sent,
    /// True if the response is that of the group by which it would be stored.
    is_of_group: bool,
}

impl Fetch {
    /// Sends the request, stores the response if that is allowed, and passes it to `client`, which may be gone. `lead` is
    /// told about it. `_active` counts the task.
    pub(super) async fn run(
        self,
        cache: Arc<ResponseCache>,
        lead: Option<Leader>,
        client: oneshot::Sender<Result<Fetched, FetchError>>,
        _active: Weak<()>,
    ) {
        let removals = cache.store.removals(self.key.service);
        let received = tokio::time::timeout(self.time_limit, self.receive(&cache)).await;
        let received = received
            .map_err(|_| FetchError::TimedOut)
            .and_then(|received| received.map_err(FetchError::Failed));
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                lead.into_iter().for_each(Leader::failed);
                // The client may have hung up.
                let _ = client.send(Err(error));
                return;
            }
        };
        let (status, headers) = (received.response.status, &received.response.headers);
        if status == StatusCode::NOT_MODIFIED
            && let Some(stale) = &self.stale
            && let Some(entry) = stale.confirmed(headers, received.sent)
        {
            let entry = Arc::new(entry);
            cache
                .store
                .insert(&self.key, &self.selected, Arc::clone(&entry), removals);
            lead.into_iter()
                .for_each(|lead| lead.stored(Arc::clone(&entry)));
            let _ = client.send(Ok(Fetched::Confirmed(entry)));
            return;
        }
        let limit = cache.store.body_limit;
        let storable = Storable::of(status, headers, received.sent);
        let storable = storable.filter(|storable| {
            received.is_of_group
                && storable
                    .announced_length()
                    .is_none_or(|bytes| bytes <= limit)
        });
        let Some(storable) = storable else {
            if status.is_server_error() {
                lead.into_iter().for_each(Leader::failed);
            } else {
                drop(lead);
                if status.is_success() {
                    cache.store.remove(&self.key, &self.selected);
                }
            }
            let _ = client.send(Ok(Fetched::Passed(received.response)));
            return;
        };
        let (writer, body) = tee();
        let Response {
            status,
            headers,
            body: service_body,
        } = received.response;
        let response = Response {
            status,
            headers,
            body,
        };
        let _ = client.send(Ok(Fetched::Stored(response)));
        if let Some(whole) = writer.copy(service_body, limit).await {
            let body = Bytes::from(whole.into_boxed_slice());
            let entry = Arc::new(storable.with_body(body));
            cache
                .store
                .insert(&self.key, &self.selected, Arc::clone(&entry), removals);
            lead.into_iter()
                .for_each(|lead| lead.stored(Arc::clone(&entry)));
        }
    }

    /// The head of the response. If a 304 does not confirm the stored response, that is removed and the whole is requested.
    async fn receive(&self, cache: &ResponseCache) -> Result<Received, Failure> {
        let Some(stale) = &self.stale else {
            return self.send(None).await;
        };
        let received = self.send(stale.validator().as_ref()).await?;
        let response = &received.response;
        if response.status == StatusCode::NOT_MODIFIED
            && stale.confirmed(&response.headers, received.sent).is_none()
        {
            cache.store.remove(&self.key, &self.selected);
            return self.send(None).await;
        }
        Ok(received)
    }

    async fn send(&self, validator: Option<&HeaderValue>) -> Result<Received, Failure> {
        let mut headers = HeaderMap::with_capacity(3);
        let own = [
            (ACCEPT, self.selected.accept.as_ref()),
            (ACCEPT_LANGUAGE, self.selected.language.as_ref()),
            (IF_NONE_MATCH, validator),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        let call = Call {
            method: &Method::GET,
            target: &self.target,
            headers: &headers,
            forwarded: ForwardedHeaders {
                request_id: &self.request_id,
                traceparent: &self.traceparent,
                principal: None,
                forwarded_for: self.forwarded_for.clone(),
                real_ip: None,
                protocol: self.protocol.clone(),
                host: None,
            },
            body: None,
            upgrade: None,
            retryable: true,
            timed: self.timed,
        };
        let at = Instant::now();
        let mut is_of_group = true;
        let response = match (self.upstream.forward(&call).await, &self.fallback) {
            (Err(Failure::Unreachable(_)), Some(ordinary)) => {
                count_fallback(&self.upstream);
                is_of_group = false;
                ordinary.forward(&call).await?
            }
            (result, _) => result?,
        };
        let received = self.clock.now().into();
        let sent = Sent { at, received };
        Ok(Received {
            response,
            sent,
            is_of_group,
        })
    }
}
