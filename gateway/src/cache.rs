//! The shared cache of responses to GETs (RFC 9111), with one request to a service for all clients that need the same
//! response at the same time. [`crate::pipeline`] calls it for the routes that [`crate::routes`] marks, after
//! authentication, authorization and limits: a stored response is subject to them like any other.
//!
//! [`store`] holds the responses of all threads, [`entry`] decides which are stored and how old they are, [`flight`] collapses
//! requests, [`fetch`] asks the service through [`crate::proxy`].

pub(crate) mod control;
pub(crate) mod entry;
mod fetch;
mod flight;
mod metrics;
mod store;
pub(crate) mod tee;

use std::{cell::Cell, rc::Rc, sync::Arc};

use chassis::Problem;
use hyper::StatusCode;
use tokio::sync::oneshot;

use self::{
    control::ResponseControl,
    entry::Entry,
    flight::{CollapsedRequests, Role, Waited},
    metrics::{Results, count_invalidation, set_size},
    store::Store,
};
pub(crate) use self::{
    fetch::{Fetch, FetchError, Fetched},
    metrics::{CacheResult, describe_metrics},
    store::{Key, Selected},
};
use crate::{message::Headers, routes::Service};

/// Fetches of one thread at a time; further requests go to the services as if there were no cache.
const MAX_FETCHES: usize = 512;
/// Those of them that no client waits for.
const MAX_REFRESHES: usize = 64;

/// Consecutive 200 responses that shared caches may not store, after which requests for their path bypass the cache.
const MIN_UNCACHEABLE: u8 = 8;

/// The cache of all threads.
pub(crate) struct ResponseCache {
    store: Store,
    collapsed: Arc<CollapsedRequests>,
}

impl ResponseCache {
    /// A cache for `bytes` of responses, each with a body of at most `body_limit`; `None` for 0.
    pub(crate) fn new(bytes: u64, body_limit: u64) -> Option<Arc<Self>> {
        let body_limit = usize::try_from(body_limit.min(bytes / 2)).unwrap_or(usize::MAX);
        (bytes > 0).then(|| {
            Arc::new(Self {
                store: Store::new(bytes, body_limit),
                collapsed: Arc::default(),
            })
        })
    }

    /// Sets the gauges of its size.
    pub(crate) fn report_size(&self) {
        set_size(self.store.size());
    }

    /// Joins the fetch of the same response, or begins it. One that began before a removal may bring the state from before it.
    fn join(&self, fetch: &Fetch) -> Role {
        let removals = self.store.removals(fetch.key.service);
        let key = fetch.key.fetch(&fetch.selected);
        self.collapsed.join((removals, key))
    }

    /// Removes the responses to requests for `path` of `service`, or all of the service, after a request changed something
    /// (RFC 9111, section 4.4).
    pub(crate) fn invalidate(&self, service: Service, path: Option<&str>) {
        self.store.remove_all(service, path);
        count_invalidation(service.name());
    }
}

/// The cache as one thread uses it.
pub(crate) struct ThreadCache {
    pub(crate) shared: Arc<ResponseCache>,
    results: Results,
    /// Indexed by path: the latest consecutive 200 responses that shared caches may not store.
    uncacheable: Vec<Cell<u8>>,
    /// One weak reference for each fetch.
    fetches: Rc<()>,
    /// One weak reference for each fetch that no client waits for.
    refreshes: Rc<()>,
}

/// The result of a request to a service, perhaps another client's.
pub(crate) enum Answer {
    Fetched(Fetched),
    /// The response to another client's request.
    Collapsed(Arc<Entry>),
    /// The request has to be sent as if there were no cache.
    Alone,
}

/// A failure to answer.
pub(crate) enum AnswerError {
    Fetch(FetchError),
    /// The service failed for the client whose request this one waited for, and there is a stored response to use.
    Failed,
}

impl ThreadCache {
    /// The cache of a thread that counts requests for `paths` paths.
    pub(crate) fn new(shared: Arc<ResponseCache>, paths: usize) -> Self {
        Self {
            shared,
            results: Results::new(paths),
            uncacheable: (0..paths).map(|_| Cell::new(0)).collect(),
            fetches: Rc::default(),
            refreshes: Rc::default(),
        }
    }

    /// The stored response to a request for `key` with the `selected` headers, fresh or stale.
    pub(crate) fn find(&self, key: &Key, selected: &Selected) -> Option<Arc<Entry>> {
        self.shared.store.find(key, selected)
    }

    /// Notes whether shared caches may store a response with `status` and `headers` to a request for `path`. Requests for a
    /// path without such responses do not wait for each other in vain.
    pub(crate) fn note(&self, path: usize, status: StatusCode, headers: &Headers) {
        if status == StatusCode::OK
            && let Some(uncacheable) = self.uncacheable.get(path)
        {
            uncacheable.set(match ResponseControl::of(headers).is_shared {
                true => 0,
                false => uncacheable.get().saturating_add(1),
            });
        }
    }

    /// True if shared caches may not store any of the latest responses to requests for `path`.
    pub(crate) fn is_uncacheable(&self, path: usize) -> bool {
        let uncacheable = self.uncacheable.get(path);
        uncacheable.is_some_and(|count| count.get() >= MIN_UNCACHEABLE)
    }

    /// Counts a request for `route`, whose path has the index `path`.
    pub(crate) fn count(&self, path: usize, route: &'static str, result: CacheResult) {
        self.results.count(path, route, result);
    }

    /// Fetches a response in the background, unless that is under way or too many are.
    pub(crate) fn refresh(&self, fetch: Fetch) {
        if Rc::weak_count(&self.refreshes) >= MAX_REFRESHES {
            return;
        }
        if let Role::Leader(lead) = self.shared.join(&fetch) {
            let (client, _) = oneshot::channel();
            let active = Rc::downgrade(&self.refreshes);
            let run = fetch.run(Arc::clone(&self.shared), Some(lead), client, active);
            tokio::task::spawn_local(run);
        }
    }

    /// Fetches a response, or waits for that to the same request of another client if `may_wait`. If the service fails for
    /// that client, so does the wait of those that `has_stale`, which need not ask it again.
    ///
    /// # Errors
    /// Returns an [`AnswerError`] if the service fails.
    pub(crate) async fn answer(
        &self,
        fetch: Fetch,
        may_wait: bool,
        has_stale: bool,
    ) -> Result<Answer, AnswerError> {
        if Rc::weak_count(&self.fetches) >= MAX_FETCHES {
            return Ok(Answer::Alone);
        }
        let lead = match may_wait {
            false => None,
            true => match self.shared.join(&fetch) {
                Role::Leader(lead) => Some(lead),
                Role::TooManyFollowers => return Ok(Answer::Alone),
                Role::Follower(follower) => match follower.wait().await {
                    Waited::Stored(entry) => return Ok(Answer::Collapsed(entry)),
                    Waited::Failed if has_stale => return Err(AnswerError::Failed),
                    Waited::Failed | Waited::Alone => return Ok(Answer::Alone),
                },
            },
        };
        let (client, result) = oneshot::channel();
        let active = Rc::downgrade(&self.fetches);
        tokio::task::spawn_local(fetch.run(Arc::clone(&self.shared), lead, client, active));
        match result.await {
            Ok(Ok(fetched)) => Ok(Answer::Fetched(fetched)),
            Ok(Err(error)) => Err(AnswerError::Fetch(error)),
            // The task panicked, or the runtime ends.
            Err(_) => Ok(Answer::Alone),
        }
    }
}

/// 504: the client wants a stored response only, and there is none (RFC 9111, section 5.2.1.7).
pub(crate) fn not_cached() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not-cached",
        "no stored response",
    )
    .detail("there is no stored response that is fresh; send the request without only-if-cached")
}
