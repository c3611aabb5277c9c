//! The rules of the settings with all that counting a request by them needs, made once at the start.

use std::{collections::HashMap, io::Write as _, ops::Range, time::Duration};

use chassis::config::ConfigError;
use hyper::header::{HeaderName, HeaderValue};
use metrics::Counter;

use super::{
    REFUSED_TOTAL,
    lease::{Millis, millis},
    plans::Quota,
};
use crate::{
    config::Config,
    message::Headers,
    middleware::auth::{Principal, Role},
    routes::RouteClass,
};

const X_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const X_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The digits of the largest number.
const MAX_DIGITS: usize = 20;

/// A limit of a number of requests in a window.
pub(crate) struct Rule {
    /// Its name in headers, metrics and reports.
    pub(crate) name: &'static str,
    pub(crate) max: u64,
    pub(crate) window: Millis,
    max_header: HeaderValue,
    policy_header: HeaderValue,
    /// The beginning of `RateLimit`: the name, and the parameter before the requests that are left.
    state_prefix: String,
    pub(super) refused: Counter,
}

impl Rule {
    fn new(name: &'static str, Quota { max, seconds }: Quota) -> Self {
        let policy = format!("\"{name}\";q={max};w={seconds}");
        Self {
            name,
            max,
            window: millis(Duration::from_secs(seconds)),
            max_header: HeaderValue::from(max),
            policy_header: HeaderValue::try_from(policy)
                .unwrap_or_else(|_| HeaderValue::from_static("")),
            state_prefix: format!("\"{name}\";r="),
            refused: metrics::counter!(REFUSED_TOTAL, "limit" => name),
        }
    }
}

/// The state of a limit, for the headers of a response.
#[derive(Clone, Copy)]
pub(crate) struct LimitStatus<'a> {
    pub(crate) rule: &'a Rule,
    /// Requests that are left in this window.
    pub(crate) remaining: u64,
    /// Seconds until the window ends, rounded up.
    pub(crate) reset: u64,
}

impl<'a> LimitStatus<'a> {
    /// The one of both with fewer remaining requests, `self` if they are equal.
    pub(crate) fn tighter(self, other: LimitStatus<'a>) -> Self {
        match other.remaining < self.remaining {
            true => other,
            false => self,
        }
    }

    /// Adds the headers to a response.
    pub(crate) fn add_headers(self, headers: &mut Headers) {
        let Self {
            rule,
            remaining,
            reset,
        } = self;
        // The numbers stand in one header with parameters, and each in one of its own.
        let mut state = Vec::with_capacity(rule.state_prefix.len() + 2 * MAX_DIGITS);
        state.extend_from_slice(rule.state_prefix.as_bytes());
        let remaining = write_number(&mut state, remaining);
        state.extend_from_slice(b";t=");
        let reset = write_number(&mut state, reset);
        headers.insert(X_LIMIT, &rule.max_header);
        headers.insert(POLICY, &rule.policy_header);
        // Digits, and the prefix, which is a valid header, too.
        headers.insert_parsed(&X_REMAINING, &state[remaining]);
        headers.insert_parsed(&X_RESET, &state[reset]);
        headers.insert_parsed(&STATE, &state);
    }
}

/// Writes `number` in decimal digits; returns their place.
fn write_number(text: &mut Vec<u8>, number: u64) -> Range<usize> {
    let start = text.len();
    // A vector accepts all bytes.
    let _ = write!(text, "{number}");
    start..text.len()
}

/// A plan with its limits.
pub(crate) struct Plan {
    pub(crate) name: String,
    /// `None`: the plan has no limits at all.
    pub(super) rules: Option<PlanRules>,
}

/// The limits of a plan.
pub(super) struct PlanRules {
    pub(super) user: Rule,
    pub(super) api_key: Option<Rule>,
    /// Indexed by [`RouteClass`].
    pub(super) classes: [Option<Rule>; RouteClass::ALL.len()],
}

/// The rules of all limits.
pub(super) struct Rules {
    pub(super) client: Rule,
    plans: Vec<Plan>,
    /// Indexed by [`Role`].
    of_roles: [usize; Role::ALL.len()],
    of_users: HashMap<String, usize>,
}

impl Rules {
    /// The rules of `config`.
    ///
    /// # Errors
    /// Returns [`ConfigError::Invalid`] if a setting names a plan that does not exist.
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let find = |setting: &str, name: &str| {
            let index = config.plans.index(name);
            index.map_err(|reason| ConfigError::Invalid(format!("{setting}: {reason}")))
        };
        let client = Quota {
            max: config.rate_limit_max,
            seconds: config.rate_limit_window_seconds,
        };
        let limits = &config.route_limits.0;
        for plan in limits.iter().filter_map(|limit| limit.plan.as_deref()) {
            find("ROUTE_LIMITS", plan)?;
        }
        let class_rule = |plan: &str, class| {
            let of = |plan: Option<&str>| {
                let mut limits = limits.iter();
                limits.find(|limit| limit.class == class && limit.plan.as_deref() == plan)
            };
            let limit = of(Some(plan)).or_else(|| of(None))?;
            Some(Rule::new(class.name(), limit.quota.resolve(client)))
        };
        let plans = config.plans.0.iter().map(|(name, quota)| Plan {
            name: name.clone(),
            rules: quota.map(|quota| PlanRules {
                user: Rule::new("user", quota.resolve(client)),
                api_key: config
                    .api_key_limit
                    .map(|quota| Rule::new("api_key", quota.resolve(client))),
                classes: RouteClass::ALL.map(|class| class_rule(name, class)),
            }),
        });
        let mut of_roles = [0; Role::ALL.len()];
        for (index, name) in of_roles.iter_mut().zip(&config.role_plans.0) {
            *index = find("ROLE_PLANS", name)?;
        }
        let of_users = config.user_plans.0.iter();
        Ok(Self {
            client: Rule::new("client", client),
            plans: plans.collect(),
            of_roles,
            of_users: of_users
                .map(|(user, name)| Ok((user.clone(), find("USER_PLANS", name)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The plan of a user with `role`.
    pub(super) fn plan(&self, user: &str, role: Role) -> &Plan {
        let of_user = match self.of_users.is_empty() {
            true => None,
            false => self.of_users.get(user).copied(),
        };
        &self.plans[of_user.unwrap_or(self.of_roles[role as usize])]
    }

    /// The plan of `principal`.
    pub(super) fn plan_of(&self, principal: &Principal) -> &Plan {
        self.plan(&principal.subject, principal.role)
    }
}
