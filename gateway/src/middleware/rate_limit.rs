//! The rate limits of clients, users, API keys and classes of routes: fixed windows that begin with the first request,
//! counted in Redis by one atomic script that grants tokens in small leases, so that most requests need no round trip.
//! Without Redis each gateway has its share of a limit; no request waits for Redis or fails because of it.

mod lease;
pub(crate) mod plans;
mod report;
mod rules;
mod table;

use std::{cell::Cell, rc::Rc, sync::Arc, time::Instant};

use chassis::{Problem, config::ConfigError, redis::Redis};
use metrics::Counter;

use self::{
    lease::{Decision, Grant, LeaseRequest, Millis, millis},
    rules::{Rule, Rules},
    table::{Leases, LimitKey, Lookup, PendingLease, Scope},
};
pub(crate) use self::{
    report::{LimitReport, UserLimits},
    rules::LimitStatus,
};
use crate::{
    config::{Config, WithoutRedis},
    middleware::{auth::Principal, client_ip::ClientKey},
    response::rate_limited,
    routes::RouteClass,
};

const SCRIPT: &str = include_str!("rate_limit/lease.lua");
/// While Redis is unavailable.
const CHECK_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);
/// The most limits that are counted at once: the user, the API key, the class of the route.
const MAX_LIMITS: usize = 3;

/// Requests that a limit refused.
const REFUSED_TOTAL: &str = "rate_limit_refused_total";
/// Leases that were granted without Redis.
const LOCAL_LEASES_TOTAL: &str = "rate_limit_local_leases_total";

/// Describes the metrics of this module.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        REFUSED_TOTAL,
        "Requests refused with 429 by a rate limit: client (its address), user (its plan), api_key, search, writes, imports"
    );
    metrics::describe_counter!(
        LOCAL_LEASES_TOTAL,
        "Leases of rate limits that the gateway granted itself, since Redis was unavailable"
    );
}

/// The limits and their usage; shared by all threads.
pub(crate) struct RateLimits {
    rules: Rules,
    started: Instant,
    clients: Leases,
    users: Leases,
    without_redis: WithoutRedis,
    /// The gateways that share the limits while Redis is unavailable.
    gateways: u64,
    local_leases: Counter,
}

impl RateLimits {
    /// The limits of `config`, with memory for `rate_limit_entries` clients and as many limits of users.
    ///
    /// # Errors
    /// Returns [`ConfigError::Invalid`] if a setting names a plan that does not exist.
    pub(crate) fn new(config: &Config) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self {
            rules: Rules::new(config)?,
            started: Instant::now(),
            clients: Leases::new(config.rate_limit_entries),
            users: Leases::new(config.rate_limit_entries),
            without_redis: config.rate_limit_without_redis,
            gateways: config.rate_limit_gateways,
            local_leases: metrics::counter!(LOCAL_LEASES_TOTAL),
        }))
    }

    fn now(&self) -> Millis {
        millis(self.started.elapsed())
    }
}

/// A limit of one client, user or API key.
#[derive(Clone, Copy)]
struct Limit<'a> {
    rule: &'a Rule,
    table: &'a Leases,
    key: LimitKey,
    owner: Owner,
}

/// The owner of limits; keys in Redis of one owner share a hash tag, so that a Cluster keeps them on one server.
#[derive(Clone, Copy)]
enum Owner {
    Client(ClientKey),
    User(u128),
}

impl Limit<'_> {
    fn redis_key(&self) -> String {
        match self.owner {
            Owner::Client(client) => format!("gateway:v2:limit:{client}"),
            Owner::User(user) => {
                let LimitKey { scope, id } = self.key;
                let scope = scope.name();
                match id == user {
                    true => format!("gateway:v2:limit:{{{user:032x}}}:{scope}"),
                    false => format!("gateway:v2:limit:{{{user:032x}}}:{scope}:{id:032x}"),
                }
            }
        }
    }
}

/// The rate limiter of one thread.
pub(crate) struct RateLimiter {
    limits: Arc<RateLimits>,
    redis: Option<Redis>,
    script: redis::Script,
    is_redis_down: Rc<Cell<bool>>,
}

/// The decision about a limit, and the time as of which it was made.
type Decided = (Decision, Millis);

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
    pub(crate) async fn count_client(
        &self,
        client: ClientKey,
    ) -> (Option<LimitStatus<'_>>, Result<(), Problem>) {
        self.count(&[Some(self.client_limit(client)), None, None])
            .await
    }

    /// Counts one request of `principal` to a route of `class` by all limits that it has: all of them admit it, or
    /// none counts it. The status is that of the limit with the fewest remaining requests; `None` if there is no limit.
    pub(crate) async fn count_user(
        &self,
        principal: &Principal,
        class: Option<RouteClass>,
    ) -> (Option<LimitStatus<'_>>, Result<(), Problem>) {
        let Some(rules) = &self.limits.rules.plan_of(principal).rules else {
            return (None, Ok(()));
        };
        let user = principal.limit_id;
        let class = class.and_then(|class| {
            let rule = rules.classes[class as usize].as_ref()?;
            Some(self.user_limit(user, rule, Scope::Class(class), user))
        });
        let api_key = principal.api_key_id.and_then(|id| {
            let rule = rules.api_key.as_ref()?;
            Some(self.user_limit(user, rule, Scope::ApiKey, id))
        });
        let user = self.user_limit(user, &rules.user, Scope::User, user);
        self.count(&[Some(user), api_key, class]).await
    }

    fn client_limit(&self, client: ClientKey) -> Limit<'_> {
        Limit {
            rule: &self.limits.rules.client,
            table: &self.limits.clients,
            key: LimitKey {
                scope: Scope::Client,
                id: client.to_bits(),
            },
            owner: Owner::Client(client),
        }
    }

    fn user_limit<'a>(&'a self, user: u128, rule: &'a Rule, scope: Scope, id: u128) -> Limit<'a> {
        Limit {
            rule,
            table: &self.limits.users,
            key: LimitKey { scope, id },
            owner: Owner::User(user),
        }
    }

    /// Counts one request by all of `limits`, or by none if one of them refuses it.
    async fn count<'a>(
        &self,
        limits: &[Option<Limit<'a>>; MAX_LIMITS],
    ) -> (Option<LimitStatus<'a>>, Result<(), Problem>) {
        let mut decided: [Option<Decided>; MAX_LIMITS] = [None; MAX_LIMITS];
        while limits
            .iter()
            .zip(&decided)
            .any(|(limit, decided)| limit.is_some() && decided.is_none())
        {
            self.decide(limits, &mut decided).await;
            let is_refused =
                |decided: &Option<Decided>| matches!(decided, Some((Decision::Refused { .. }, _)));
            if let Some(refusing) = decided.iter().position(is_refused) {
                return self.refuse(limits, &decided, refusing);
            }
        }
        let mut tightest: Option<LimitStatus<'a>> = None;
        for (limit, decided) in limits.iter().zip(decided) {
            if let (Some(limit), Some((Decision::Admitted { remaining, reset }, _))) =
                (limit, decided)
            {
                let status = LimitStatus {
                    rule: limit.rule,
                    remaining,
                    reset: reset.div_ceil(1000),
                };
                tightest = Some(tightest.map_or(status, |tightest| tightest.tighter(status)));
            }
        }
        (tightest, Ok(()))
    }

    /// Returns the tokens of the other limits and refuses the request.
    fn refuse<'a>(
        &self,
        limits: &[Option<Limit<'a>>; MAX_LIMITS],
        decided: &[Option<Decided>; MAX_LIMITS],
        refusing: usize,
    ) -> (Option<LimitStatus<'a>>, Result<(), Problem>) {
        for (limit, decided) in limits.iter().zip(decided) {
            if let (Some(limit), Some((Decision::Admitted { reset, .. }, at))) = (limit, decided) {
                limit.table.give_back(limit.key, at + reset);
            }
        }
        let (Some(limit), Some((Decision::Refused { reset }, _))) =
            (limits[refusing], decided[refusing])
        else {
            return (None, Ok(()));
        };
        limit.rule.refused.increment(1);
        let reset = reset.div_ceil(1000).max(1);
        let status = LimitStatus {
            rule: limit.rule,
            remaining: 0,
            reset,
        };
        (
            Some(status),
            Err(rate_limited("rate limit exceeded", reset)),
        )
    }

    /// Decides about the limits that are not decided yet, up to one that refuses: by their leases, then by one call of
    /// Redis for those that need a new lease. A limit may stay undecided.
    async fn decide(
        &self,
        limits: &[Option<Limit<'_>>; MAX_LIMITS],
        decided: &mut [Option<Decided>; MAX_LIMITS],
    ) {
        let mut pending: Vec<(usize, LeaseRequest, PendingLease<'_>)> = Vec::new();
        for (index, limit) in limits.iter().enumerate() {
            let Some(limit) = limit.as_ref().filter(|_| decided[index].is_none()) else {
                continue;
            };
            // Limits are requested in one order, so that requests do not wait for each other in a circle.
            loop {
                let now = self.limits.now();
                match limit.table.look_up(limit.key, now) {
                    Lookup::Decided(decision) => {
                        decided[index] = Some((decision, now));
                        if matches!(decision, Decision::Refused { .. }) {
                            return;
                        }
                        break;
                    }
                    Lookup::Request(request, lease) => {
                        pending.push((index, request, lease));
                        break;
                    }
                    Lookup::Wait(finished) => finished.await,
                }
            }
        }
        if pending.is_empty() {
            return;
        }
        // If this future is dropped, so is `pending`, which wakes the waiting requests.
        let grants = Box::pin(self.request_leases(limits, &pending)).await;
        for (number, (index, request, lease)) in pending.into_iter().enumerate() {
            let Some(Limit { rule, .. }) = limits[index] else {
                continue;
            };
            let grant = grants.as_ref().and_then(|grants| grants.get(number));
            let decision = match (grant, self.limits.without_redis) {
                (Some(grant), _) => lease.grant(request, *grant),
                (None, WithoutRedis::Open) if self.redis.is_some() => Decision::Admitted {
                    remaining: rule.max,
                    reset: rule.window,
                },
                (None, _) => {
                    self.limits.local_leases.increment(1);
                    lease.grant_locally(request, rule.max, rule.window, self.limits.gateways)
                }
            };
            if !matches!(decision, Decision::Request(_)) {
                decided[index] = Some((decision, request.at));
            }
        }
    }

    /// Requests leases from Redis, in the order of `pending`; `None` if it is unavailable.
    async fn request_leases(
        &self,
        limits: &[Option<Limit<'_>>; MAX_LIMITS],
        pending: &[(usize, LeaseRequest, PendingLease<'_>)],
    ) -> Option<Vec<Grant>> {
        let redis = self.available_redis()?;
        let mut call = self.script.prepare_invoke();
        for (index, request, _) in pending {
            let limit = limits[*index]?;
            call.key(limit.redis_key())
                .arg(limit.rule.max)
                .arg(limit.rule.window)
                .arg(request.taken)
                .arg(request.unreported)
                .arg(request.reset)
                .arg(request.window);
        }
        let Some(numbers) = redis.invoke::<Vec<u64>>(&call).await else {
            self.await_redis(redis.clone());
            return None;
        };
        let grants = numbers.chunks_exact(4).map(|numbers| Grant {
            granted: numbers[0],
            left: numbers[1],
            reset: numbers[2],
            window: numbers[3],
        });
        Some(grants.collect())
    }

    fn available_redis(&self) -> Option<&Redis> {
        self.redis.as_ref().filter(|_| !self.is_redis_down.get())
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
}
