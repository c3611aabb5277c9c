//! The report of `GET /api/v1/users/{id}/limits`: what is left of each limit, without counting the request.

use std::slice::from_ref;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Limit, RateLimiter, rules::PlanRules, table::Scope};
use crate::{
    middleware::{
        auth::{Principal, Role, limit_id},
        client_ip::ClientKey,
    },
    routes::RouteClass,
};

const SCRIPT: &str = include_str!("peek.lua");

/// The limits of a user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserLimits {
    /// The user.
    #[schema(example = 17)]
    pub(crate) user_id: u64,
    /// The name of the user's plan.
    #[schema(example = "free")]
    pub(crate) plan: String,
    /// The limits. A request is refused if any limit that counts it is used up.
    pub(crate) limits: Vec<LimitReport>,
}

/// The remaining quota of a limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LimitReport {
    /// The limit: `client` (the caller's address), `user` (all requests of the user), `api_key` (those with the API key
    /// of the request), `search`, `writes` or `imports` (those of the user to routes of the class).
    #[schema(example = "user")]
    pub(crate) name: &'static str,
    /// Requests in one window.
    #[schema(example = 1000)]
    pub(crate) limit: u64,
    /// The length of a window in seconds.
    #[schema(example = 60)]
    pub(crate) window_seconds: u64,
    /// Requests that are left in the present window.
    #[schema(example = 997)]
    pub(crate) remaining: u64,
    /// Seconds until a new window begins with all requests; 0 if none has been used.
    #[schema(example = 42)]
    pub(crate) reset_seconds: u64,
}

impl RateLimiter {
    /// The limits of `principal`, who sent the request from `client`.
    pub(crate) async fn own_limits(
        &self,
        user_id: u64,
        principal: &Principal,
        client: ClientKey,
    ) -> UserLimits {
        let client = self.client_limit(client);
        let mut limits = self.peek(from_ref(&client)).await;
        let plan = self.limits.rules.plan_of(principal);
        if let Some(rules) = &plan.rules {
            let own = self.user_limits(principal.limit_id, rules, principal.api_key_id);
            limits.extend(self.peek(&own).await);
        }
        UserLimits {
            user_id,
            plan: plan.name.clone(),
            limits,
        }
    }

    /// The limits of another user than the caller; without a plan of their own they have that of the role `user`.
    pub(crate) async fn limits_of(&self, user_id: u64) -> UserLimits {
        let subject = user_id.to_string();
        let plan = self.limits.rules.plan(&subject, Role::User);
        let limits = match &plan.rules {
            None => Vec::new(),
            Some(rules) => {
                let id = limit_id(subject.as_bytes());
                self.peek(&self.user_limits(id, rules, None)).await
            }
        };
        UserLimits {
            user_id,
            plan: plan.name.clone(),
            limits,
        }
    }

    /// The limits of `rules` for a user, the API key of the request and each class of routes.
    fn user_limits<'a>(
        &'a self,
        user: u128,
        rules: &'a PlanRules,
        api_key: Option<u128>,
    ) -> Vec<Limit<'a>> {
        let mut limits = vec![self.user_limit(user, &rules.user, Scope::User, user)];
        let api_key = api_key.zip(rules.api_key.as_ref());
        limits.extend(api_key.map(|(id, rule)| self.user_limit(user, rule, Scope::ApiKey, id)));
        let classes = RouteClass::ALL.into_iter().zip(&rules.classes);
        limits.extend(classes.filter_map(|(class, rule)| {
            Some(self.user_limit(user, rule.as_ref()?, Scope::Class(class), user))
        }));
        limits
    }

    /// The remaining quotas of `limits`, which have one owner: the requests that Redis has not granted yet, and those granted
    /// to this gateway that it has not used; without Redis, as far as this gateway knows.
    async fn peek(&self, limits: &[Limit<'_>]) -> Vec<LimitReport> {
        let used = self.peek_redis(limits).await;
        let now = self.limits.now();
        let reports = limits.iter().enumerate().map(|(index, limit)| {
            let max = limit.rule.max;
            let own = limit.table.peek(limit.key, now);
            let used = used.as_ref().and_then(|used| used.get(index));
            let (remaining, reset) = match (used, own) {
                (Some(&(used, reset)), own) if reset > 0 => {
                    let unused = own.map_or(0, |own| own.tokens);
                    (max.saturating_sub(used) + unused, reset)
                }
                (_, Some(own)) => (own.tokens + own.left, own.reset),
                (_, None) => (max, 0),
            };
            LimitReport {
                name: limit.rule.name,
                limit: max,
                window_seconds: limit.rule.window / 1000,
                remaining: remaining.min(max),
                reset_seconds: reset.div_ceil(1000),
            }
        });
        reports.collect()
    }

    /// For each limit the tokens that gateways have taken, and the milliseconds until its window ends, 0 without one.
    async fn peek_redis(&self, limits: &[Limit<'_>]) -> Option<Vec<(u64, u64)>> {
        let redis = self.available_redis()?;
        let script = redis::Script::new(SCRIPT);
        let mut call = script.prepare_invoke();
        for limit in limits {
            call.key(limit.redis_key());
        }
        let Some(numbers) = redis.invoke::<Vec<u64>>(&call).await else {
            self.await_redis(redis.clone());
            return None;
        };
        Some(
            numbers
                .chunks_exact(2)
                .map(|pair| (pair[0], pair[1]))
                .collect(),
        )
    }
}
