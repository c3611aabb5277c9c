//! The rate limit of clients: a fixed window that begins with the first request, counted in Redis by one atomic
//! script that grants tokens in small leases, so that most requests need no round trip. Without Redis each
//! gateway counts alone; no request waits for Redis or fails because of it.

mod lease;
mod table;

use std::{
    cell::Cell,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use chassis::{Problem, redis::Redis};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use self::{
    lease::{Decision, Grant, LeaseRequest},
    table::{Leases, Lookup},
};
use crate::{middleware::client_ip::ClientKey, response::rate_limited};

const SCRIPT: &str = include_str!("rate_limit/lease.lua");
/// While Redis is unavailable.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The limit and its usage by each client; shared by all threads.
pub(crate) struct RateLimits {
    max: u64,
    window: Duration,
    started: Instant,
    leases: Leases,
    max_header: HeaderValue,
    policy_header: HeaderValue,
}

impl RateLimits {
    /// A limit of `max` requests of one client in each `window`, with memory for `max_clients` clients.
    pub(crate) fn new(max: u64, window: Duration, max_clients: usize) -> Arc<Self> {
        let policy = format!("\"client\";q={max};w={}", window.as_secs());
        Arc::new(Self {
            max,
            window,
            started: Instant::now(),
            leases: Leases::new(max_clients),
            max_header: HeaderValue::from(max),
            policy_header: HeaderValue::try_from(policy)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
        })
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

/// The state of a client's limit, for the headers of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitStatus {
    /// Requests that are left in this window.
    pub(crate) remaining: u64,
    /// Seconds until the window ends, rounded up.
    pub(crate) reset: u64,
}

/// The rate limiter of one thread.
pub(crate) struct RateLimiter {
    limits: Arc<RateLimits>,
    redis: Option<Redis>,
    script: redis::Script,
    is_redis_down: Rc<Cell<bool>>,
}

impl RateLimiter {
    /// A rate limiter that counts in `redis`, or in this process alone without it.
    pub(crate) fn new(limits: Arc<RateLimits>, redis: Option<Redis>) -> Self {
        Self {
            limits,
            redis,
            script: redis::Script::new(SCRIPT),
            is_redis_down: Rc::default(),
        }
    }

    /// Counts one request of `client`, and refuses it with 429 if the limit is used up. The status belongs into
    /// the headers of the response in both cases.
    pub(crate) async fn count(&self, client: ClientKey) -> (LimitStatus, Result<(), Problem>) {
        loop {
            let decision = match self.limits.leases.look_up(client, self.limits.now()) {
                Lookup::Decided(decision) => decision,
                Lookup::Request(request, pending) => {
                    // If this future is dropped, so is `pending`, which wakes the waiting requests.
                    match self.request_lease(client, request).await {
                        Some(grant) => pending.grant(request, grant),
                        None => pending.grant_locally(
                            request,
                            self.limits.max,
                            millis(self.limits.window),
                        ),
                    }
                }
                Lookup::Wait(finished) => {
                    finished.await;
                    continue;
                }
            };
            match decision {
                Decision::Admitted { remaining, reset } => {
                    let reset = reset.div_ceil(1000);
                    return (LimitStatus { remaining, reset }, Ok(()));
                }
                Decision::Refused { reset } => {
                    let reset = reset.div_ceil(1000).max(1);
                    let remaining = 0;
                    let refusal = rate_limited("rate limit exceeded", reset);
                    return (LimitStatus { remaining, reset }, Err(refusal));
                }
                Decision::Request(_) => {}
            }
        }
    }

    /// Requests a lease from Redis; `None` if it is unavailable.
    async fn request_lease(&self, client: ClientKey, request: LeaseRequest) -> Option<Grant> {
        let redis = self.redis.as_ref()?;
        if self.is_redis_down.get() {
            return None;
        }
        let mut call = self.script.prepare_invoke();
        call.key(format!("gateway:v1:limit:{client}"))
            .arg(self.limits.max)
            .arg(millis(self.limits.window))
            .arg(request.taken)
            .arg(request.unreported)
            .arg(request.reset);
        let Some((granted, left, reset)) = redis.invoke::<(u64, u64, u64)>(&call).await else {
            self.await_redis(redis.clone());
            return None;
        };
        Some(Grant {
            granted,
            left,
            reset,
        })
    }

    /// Makes requests skip Redis until a background task finds it available again.
    fn await_redis(&self, redis: Redis) {
        if self.is_redis_down.replace(true) {
            return;
        }
        let is_redis_down = Rc::clone(&self.is_redis_down);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(CHECK_INTERVAL).await;
                if redis.clone().check().await.is_ok() {
                    is_redis_down.set(false);
                    return;
                }
            }
        });
    }

    /// Adds the headers of `status` to a response.
    pub(crate) fn add_headers(&self, status: LimitStatus, headers: &mut HeaderMap) {
        let LimitStatus { remaining, reset } = status;
        headers.insert(X_LIMIT, self.limits.max_header.clone());
        headers.insert(POLICY, self.limits.policy_header.clone());
        // One allocation: the headers with a single number are slices of it.
        let state = Bytes::from(format!("\"client\";r={remaining};t={reset}"));
        let after = |letter: &[u8; 2]| {
            let start = state.windows(2).position(|pair| pair == letter)? + 2;
            let length = state[start..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
            Some(state.slice(start..start + length))
        };
        for (name, text) in [
            (X_REMAINING, after(b"r=")),
            (X_RESET, after(b"t=")),
            (STATE, Some(state.clone())),
        ] {
            let value = text.map(HeaderValue::from_maybe_shared);
            if let Some(Ok(value)) = value {
                headers.insert(name, value);
            }
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
