//! How often one client may ask: a fixed window that begins with the first request, counted in Redis
//! by one atomic script that hands out tokens in small leases, so that most requests need no round
//! trip. Without Redis each gateway counts for itself; nobody waits for it and nothing fails.

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
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};

use self::{
    lease::{Decision, Grant, Question},
    table::{Leases, Looked},
};
use crate::{answer::Refusal, client_ip::ClientKey};

const SCRIPT: &str = include_str!("rate_limit/lease.lua");
/// While Redis is away it is looked for this often, apart from any request.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The limit and who has used how much of it; shared by all threads.
pub struct Limits {
    max: u64,
    window: Duration,
    started: Instant,
    leases: Leases,
    max_header: HeaderValue,
    policy_header: HeaderValue,
}

impl Limits {
    /// `max` requests of one client in each `window`, for at most `entries` clients at once.
    #[must_use]
    pub fn new(max: u64, window: Duration, entries: usize) -> Arc<Self> {
        let policy = format!("\"client\";q={max};w={}", window.as_secs());
        Arc::new(Self {
            max,
            window,
            started: Instant::now(),
            leases: Leases::new(entries),
            max_header: HeaderValue::from(max),
            policy_header: HeaderValue::try_from(policy)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
        })
    }

    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

/// What the client is told about its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that may follow in this window.
    pub remaining: u64,
    /// Seconds until the window ends, rounded up.
    pub reset: u64,
}

/// The limit as one thread enforces it.
pub struct RateLimiter {
    limits: Arc<Limits>,
    redis: Option<Redis>,
    script: redis::Script,
    away: Rc<Cell<bool>>,
}

impl RateLimiter {
    /// Counts in `redis`, or here alone where there is none.
    #[must_use]
    pub fn new(limits: Arc<Limits>, redis: Option<Redis>) -> Self {
        Self {
            limits,
            redis,
            script: redis::Script::new(SCRIPT),
            away: Rc::default(),
        }
    }

    /// Counts one request of `client`. The standing goes into the headers of its answer, whether it
    /// is admitted or not.
    pub async fn count(&self, client: ClientKey) -> (Standing, Result<(), Refusal>) {
        loop {
            let decision = match self.limits.leases.look(client, self.limits.now()) {
                Looked::Decided(decision) => decision,
                Looked::Ask(question, asking) => {
                    // Whoever is waiting for this answer goes on when `asking` is dropped, even
                    // when our own client has gone away meanwhile.
                    match self.ask(client, question).await {
                        Some(grant) => asking.grant(question, grant),
                        None => asking.alone(question, self.limits.max, millis(self.limits.window)),
                    }
                }
                Looked::Wait(answered) => {
                    answered.await;
                    continue;
                }
            };
            match decision {
                Decision::Admitted { remaining, reset } => {
                    let reset = reset.div_ceil(1000);
                    return (Standing { remaining, reset }, Ok(()));
                }
                Decision::Refused { reset } => {
                    let reset = reset.div_ceil(1000).max(1);
                    let standing = Standing {
                        remaining: 0,
                        reset,
                    };
                    return (standing, Err(refused(reset).into()));
                }
                Decision::Ask(_) => {}
            }
        }
    }

    /// Asks Redis; `None` where it is away.
    async fn ask(&self, client: ClientKey, question: Question) -> Option<Grant> {
        let redis = self.redis.as_ref()?;
        if self.away.get() {
            return None;
        }
        let mut call = self.script.prepare_invoke();
        call.key(format!("gateway:v1:limit:{client}"))
            .arg(self.limits.max)
            .arg(millis(self.limits.window))
            .arg(question.taken)
            .arg(question.unreported)
            .arg(question.reset);
        let Some((granted, left, reset)) = redis.invoke::<(u64, u64, u64)>(&call).await else {
            self.look_for_redis(redis.clone());
            return None;
        };
        Some(Grant {
            granted,
            left,
            reset,
        })
    }

    /// From now on requests do not wait for Redis; a task of its own notices when it is back.
    fn look_for_redis(&self, redis: Redis) {
        if self.away.replace(true) {
            return;
        }
        let away = Rc::clone(&self.away);
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                if redis.clone().check().await.is_ok() {
                    away.set(false);
                    return;
                }
            }
        });
    }

    /// Writes `standing` into the headers of an answer.
    pub fn decorate(&self, standing: Standing, headers: &mut HeaderMap) {
        let Standing { remaining, reset } = standing;
        headers.insert(X_LIMIT, self.limits.max_header.clone());
        headers.insert(POLICY, self.limits.policy_header.clone());
        // Written once; the two numbers in it are headers of their own.
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

fn refused(reset: u64) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "rate limit exceeded",
    )
    .detail("try again after the seconds that Retry-After gives")
    .retry_after(reset)
    .member("retry_after", reset)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
