//! The last layer of a request whose response may be stored: serves it from [`crate::cache`], or asks the service through
//! that. Other requests, and those that no stored response can serve, go to [`super::forward`].

use std::{borrow::Cow, rc::Rc, sync::Arc};

use bytes::Bytes;
use chassis::Problem;
use http_body_util::{Either, Full};
use hyper::{
    Method,
    header::{
        ACCEPT, CACHE_CONTROL, HeaderName, HeaderValue, IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
        RANGE, UPGRADE,
    },
    http::uri::PathAndQuery,
};

use super::RequestContext;
use crate::{
    cache::{
        Answer, AnswerError, CacheResult, Fetch, FetchError, Fetched, Key, Selected, ThreadCache,
        control::{RequestControl, for_one_client},
        entry::{Entry, is_not_modified, make_not_modified},
        not_cached,
    },
    groups::{RequestProperties, count_fallback},
    message::Response,
    middleware::auth::Principal,
    proxy::{
        Upstream,
        problem::{bad_gateway, timed_out, upstream_failed},
    },
    response::{Body, empty_body, stored_body, streamed},
    routes::{Access, Route, Service},
};

/// RFC 9211.
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// Values of `Cache-Status`: why the request was passed on.
const FWD_BYPASS: &str = "marquee; fwd=bypass";
const FWD_MISS: &str = "marquee; fwd=miss";
const FWD_REQUEST: &str = "marquee; fwd=request";
const FWD_STALE: &str = "marquee; fwd=stale";
/// Request headers that exclude a stored response.
const EXCLUDING: [HeaderName; 5] = [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE, UPGRADE];

/// A request as the cache sees it.
struct Wanted<'a> {
    service: Service,
    path: usize,
    target: &'a PathAndQuery,
    control: RequestControl,
    key: Key,
    selected: Selected,
    upstream: Rc<Upstream>,
    fallback: Option<Rc<Upstream>>,
    stored: Option<Arc<Entry>>,
}

/// A response, the way in which it was served, and its `Cache-Status`.
type Served = (Response<Body>, CacheResult, Cow<'static, str>);

impl RequestContext<'_> {
    /// Serves a request for `route`, whose path has the index `path`, from the cache or `service`.
    pub(super) async fn forward_shared(
        &mut self,
        route: &Route,
        path: usize,
        service: Service,
        target: &PathAndQuery,
        principal: Option<&Principal>,
    ) -> Result<Response<Body>, Problem> {
        let state = self.state;
        let Some(cache) = &state.cache else {
            let response = self.forward(route, path, service, target, principal).await;
            return response.map(|response| for_clients(route, response));
        };
        let control = RequestControl::of(&self.head.headers);
        let (served, result, status) = if control.no_store {
            (Ok(None), CacheResult::Bypass, FWD_REQUEST)
        } else if cache.is_uncacheable(path) && !control.only_if_cached {
            (Ok(None), CacheResult::Passed, FWD_MISS)
        } else if !self.may_use_stored() {
            (Ok(None), CacheResult::Bypass, FWD_BYPASS)
        } else {
            let wanted = self.wanted(path, service, target, principal, control, cache);
            let served = self.serve_shared(cache, wanted).await;
            (served, CacheResult::Passed, FWD_MISS)
        };
        let served = match served {
            Ok(Some(served)) => Ok(served),
            Ok(None) => {
                let response = self.forward(route, path, service, target, principal).await;
                response.map(|response| {
                    cache.note(path, response.status, &response.headers);
                    (response, result, Cow::Borrowed(status))
                })
            }
            Err(problem) => Err(problem),
        };
        let result = served
            .as_ref()
            .map_or(CacheResult::Failed, |(_, result, _)| *result);
        cache.count(path, route.path, result);
        self.cache_result = Some(result.name());
        let (response, _, status) = served?;
        let mut response = for_clients(route, response);
        let status = match status {
            Cow::Borrowed(status) => Some(HeaderValue::from_static(status)),
            Cow::Owned(status) => HeaderValue::try_from(status).ok(),
        };
        if let Some(status) = status {
            response.headers.append(CACHE_STATUS, status);
        }
        Ok(response)
    }

    /// True if the request is one for the whole response, which is the same for others.
    fn may_use_stored(&self) -> bool {
        let headers = &self.head.headers;
        let has_no_body = self
            .body
            .as_ref()
            .is_none_or(hyper::body::Body::is_end_stream);
        let is_for_events = headers.get_all(ACCEPT).iter().any(|accept| {
            let kinds = accept.as_bytes().split(|byte| *byte == b',');
            kinds
                .map(<[u8]>::trim_ascii)
                .any(|kind| kind.starts_with(b"text/event-stream"))
        });
        has_no_body && !is_for_events && !EXCLUDING.iter().any(|name| headers.contains_key(name))
    }

    fn wanted<'a>(
        &self,
        path: usize,
        service: Service,
        target: &'a PathAndQuery,
        principal: Option<&Principal>,
        control: RequestControl,
        cache: &ThreadCache,
    ) -> Wanted<'a> {
        let state = self.state;
        let ordinary = Rc::clone(&state.upstreams[service as usize]);
        let group = state.groups.find(&RequestProperties {
            service,
            path,
            headers: &self.head.headers,
            host: self.forwarded_host(),
            user: principal.map(|principal| principal.limit_id),
        });
        let (upstream, fallback) = match group {
            Some(group) if group.is_available() => (group, Some(ordinary)),
            Some(group) => {
                count_fallback(&group);
                (ordinary, None)
            }
            None => (ordinary, None),
        };
        let key = Key::new(service, &upstream.group, target);
        let selected = Selected::of(&self.head.headers);
        let stored = cache.find(&key, &selected);
        Wanted {
            service,
            path,
            target,
            control,
            key,
            selected,
            upstream,
            fallback,
            stored,
        }
    }

    /// Serves the request; `None` if it has to be passed on as if there were no cache.
    async fn serve_shared(
        &self,
        cache: &ThreadCache,
        wanted: Wanted<'_>,
    ) -> Result<Option<Served>, Problem> {
        let control = &wanted.control;
        if let Some(entry) = wanted
            .stored
            .as_ref()
            .filter(|entry| entry.is_fresh(control))
        {
            let status = format!("marquee; hit; ttl={}", entry.ttl());
            return Ok(Some((self.stored(entry), CacheResult::Hit, status.into())));
        }
        if control.only_if_cached {
            return Err(not_cached());
        }
        // Only the response to a GET can be stored.
        if self.head.method == Method::HEAD {
            return Ok(None);
        }
        if let Some(entry) = wanted
            .stored
            .as_ref()
            .filter(|entry| entry.is_usable_meanwhile(control))
        {
            let status = format!(
                "marquee; hit; ttl={}; detail=stale-while-revalidate",
                entry.ttl()
            );
            let served = (self.stored(entry), CacheResult::Stale, status.into());
            cache.refresh(self.fetch(wanted));
            return Ok(Some(served));
        }
        let stored = wanted.stored.clone();
        let usable = stored
            .as_ref()
            .filter(|entry| entry.is_usable_on_error(control));
        let fwd = match (&stored, control.no_cache) {
            (Some(_), true) => FWD_REQUEST,
            (Some(_), false) => FWD_STALE,
            (None, _) => FWD_MISS,
        };
        let (service, path, may_wait) = (wanted.service, wanted.path, !control.no_cache);
        let time_limit = self.state.shared.config.process.request_timeout();
        let fetch = self.fetch(wanted);
        let answer = cache.answer(fetch, may_wait, usable.is_some());
        let answer = tokio::time::timeout(time_limit, answer).await;
        let answer = answer.unwrap_or(Err(AnswerError::Fetch(FetchError::TimedOut)));
        let failed = |status: &str| {
            let entry = usable?;
            let status = format!("{fwd}; fwd-status={status}; detail=stale-if-error");
            Some((self.stored(entry), CacheResult::Stale, status.into()))
        };
        match answer {
            Ok(Answer::Fetched(Fetched::Confirmed(entry))) => {
                let status = format!("{fwd}; fwd-status=304; stored");
                let served = (self.stored(&entry), CacheResult::Confirmed, status.into());
                Ok(Some(served))
            }
            Ok(Answer::Fetched(Fetched::Stored(response))) => {
                let response = self.unless_known(response.map(stored_body));
                Ok(Some((
                    response,
                    CacheResult::Stored,
                    format!("{fwd}; stored").into(),
                )))
            }
            Ok(Answer::Fetched(Fetched::Passed(response))) => {
                let status = response.status;
                let is_failure = matches!(status.as_u16(), 500 | 502 | 503 | 504);
                if let Some(served) = is_failure.then(|| failed(status.as_str())).flatten() {
                    return Ok(Some(served));
                }
                let response = self.unless_known(response.map(streamed));
                cache.note(path, response.status, &response.headers);
                Ok(Some((response, CacheResult::Passed, fwd.into())))
            }
            Ok(Answer::Collapsed(entry)) => {
                let status = format!("{fwd}; collapsed");
                let served = (self.stored(&entry), CacheResult::Collapsed, status.into());
                Ok(Some(served))
            }
            Ok(Answer::Alone) => Ok(None),
            Err(AnswerError::Failed) => {
                failed("503").map_or_else(|| Err(bad_gateway(service)), |served| Ok(Some(served)))
            }
            Err(AnswerError::Fetch(FetchError::TimedOut)) => {
                failed("504").map_or_else(|| Err(timed_out(None)), |served| Ok(Some(served)))
            }
            Err(AnswerError::Fetch(FetchError::Failed(failure))) => {
                let problem = upstream_failed(service, &failure);
                let status = problem.status();
                failed(status.as_str()).map_or(Err(problem), |served| Ok(Some(served)))
            }
        }
    }

    fn fetch(&self, wanted: Wanted<'_>) -> Fetch {
        let shared = &self.state.shared;
        let forwarded = self.forwarded_headers(Access::AnyUser, None);
        Fetch {
            key: wanted.key,
            selected: wanted.selected,
            target: wanted.target.clone(),
            upstream: wanted.upstream,
            fallback: wanted.fallback,
            stale: wanted.stored,
            request_id: self.request_id.clone(),
            traceparent: self.traceparent.clone(),
            forwarded_for: forwarded.forwarded_for,
            protocol: forwarded.protocol,
            timed: !self.state.groups.is_empty(),
            time_limit: shared.config.process.request_timeout(),
            clock: shared.clock.clone(),
        }
    }

    /// The response of `entry`.
    fn stored(&self, entry: &Entry) -> Response<Body> {
        let response = entry.response(&self.head.headers);
        response.map(|body: Bytes| Either::Left(Full::new(body)))
    }

    /// `response`, or 304 if the client has it.
    fn unless_known(&self, mut response: Response<Body>) -> Response<Body> {
        if is_not_modified(&self.head.headers, response.status, &response.headers) {
            make_not_modified(&mut response);
            return response.map(|_| empty_body());
        }
        response
    }
}

/// The response as clients of `route` get it: one to authenticated callers may be stored by their own caches only.
fn for_clients(route: &Route, mut response: Response<Body>) -> Response<Body> {
    if route.access != Access::Public
        && let Some(value) = for_one_client(&response.headers)
    {
        response.headers.insert(CACHE_CONTROL, value);
    }
    response
}
