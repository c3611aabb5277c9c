//! The limits of users in the settings: plans, the plan of each user, and the limits of API keys and classes of routes.
//! Read by [`crate::config`]; [`super::RateLimits`] turns them into rules.

use std::collections::HashMap;

use chassis::config::comma_separated;
use serde::{Deserialize, Deserializer, de::Error};

use crate::{middleware::auth::principal::Role, routes::RouteClass};

/// A number of requests in a window, such as `1000/60`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The requests, at least 1.
    pub max: u64,
    /// The length of a window, at least 1 second.
    pub seconds: u64,
}

/// A quota in the settings: a number of requests in a window, such as `1000/60`, or a multiple of the quota of a client
/// address, such as `10x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaSetting {
    /// The quota itself.
    Fixed(Quota),
    /// The factor, at least 1.
    Multiple(u64),
}

impl QuotaSetting {
    fn parse(text: &str) -> Result<Self, String> {
        let parse = |number: &str| number.trim().parse().ok().filter(|number| *number > 0);
        let setting = match (text.split_once('/'), text.strip_suffix('x')) {
            (Some((max, seconds)), _) => parse(max)
                .zip(parse(seconds))
                .map(|(max, seconds)| Self::Fixed(Quota { max, seconds })),
            (None, Some(factor)) => parse(factor).map(Self::Multiple),
            (None, None) => None,
        };
        setting.ok_or_else(|| {
            format!(
                "`{text}` must be requests/seconds, such as 1000/60, both at least 1, or a multiple of RATE_LIMIT_MAX, \
                 such as 10x"
            )
        })
    }

    /// The quota, if `client` is that of a client address.
    pub(super) fn resolve(self, client: Quota) -> Quota {
        match self {
            Self::Fixed(quota) => quota,
            Self::Multiple(factor) => Quota {
                max: client.max.saturating_mul(factor),
                ..client
            },
        }
    }
}

/// `None` for an empty text.
pub(crate) fn optional_quota<'de, D>(deserializer: D) -> Result<Option<QuotaSetting>, D::Error>
where
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    let text = text.trim();
    let quota = (!text.is_empty())
        .then(|| QuotaSetting::parse(text))
        .transpose();
    quota.map_err(D::Error::custom)
}

/// The plans by name; `None`: no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans(pub(super) Vec<(String, Option<QuotaSetting>)>);

impl<'de> Deserialize<'de> for Plans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut plans: Vec<(String, Option<QuotaSetting>)> = Vec::new();
        for word in comma_separated(deserializer)? {
            let (name, quota) = match word.split_once('=') {
                Some((name, quota)) => (name.trim(), Some(quota.trim())),
                None => (word.trim(), None),
            };
            let quota = quota.map(QuotaSetting::parse).transpose();
            let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            if name.is_empty() || !name.chars().all(is_name) {
                let reason = "names of plans have the characters a-z, 0-9 and _";
                return Err(D::Error::custom(format!("`{name}`: {reason}")));
            }
            if plans.iter().any(|(known, _)| known == name) {
                return Err(D::Error::custom(format!("`{name}` occurs twice")));
            }
            plans.push((name.to_owned(), quota.map_err(D::Error::custom)?));
        }
        Ok(Self(plans))
    }
}

impl Plans {
    /// The index of the plan `name`.
    ///
    /// # Errors
    /// A text that names the plans there are.
    pub(super) fn index(&self, name: &str) -> Result<usize, String> {
        let index = self.0.iter().position(|(known, _)| known == name);
        index.ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
            format!("`{name}` is not one of PLANS: {}", known.join(", "))
        })
    }
}

/// Pairs of a key and a value, such as `admin=unlimited`.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let words = comma_separated(deserializer)?.into_iter();
    words
        .map(|word| match word.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(D::Error::custom(format!("`{word}` must be key=value"))),
        })
        .collect()
}

/// The names of the plans of roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePlans(pub(super) [String; Role::ALL.len()]);

impl<'de> Deserialize<'de> for RolePlans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs: HashMap<String, String> = pairs(deserializer)?.into_iter().collect();
        let known = Role::ALL.map(Role::name);
        if let Some(role) = pairs.keys().find(|role| !known.contains(&role.as_str())) {
            return Err(D::Error::custom(format!("`{role}` is not a role")));
        }
        if let Some(role) = known.iter().find(|role| !pairs.contains_key(**role)) {
            return Err(D::Error::custom(format!("the role `{role}` has no plan")));
        }
        Ok(Self(known.map(|role| pairs[role].clone())))
    }
}

/// The names of the plans of single users, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPlans(pub(super) HashMap<String, String>);

impl<'de> Deserialize<'de> for UserPlans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut plans = HashMap::new();
        for (user, plan) in pairs(deserializer)? {
            if plans.insert(user.clone(), plan).is_some() {
                return Err(D::Error::custom(format!("`{user}` occurs twice")));
            }
        }
        Ok(Self(plans))
    }
}

/// The limits of classes of routes, for all plans or for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteLimits(pub(super) Vec<RouteLimit>);

/// The limit of one class of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteLimit {
    /// `None`: all plans that have none of their own.
    pub(super) plan: Option<String>,
    pub(super) class: RouteClass,
    pub(super) quota: QuotaSetting,
}

impl<'de> Deserialize<'de> for RouteLimits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut limits: Vec<RouteLimit> = Vec::new();
        for (key, quota) in pairs(deserializer)? {
            let (plan, name) = match key.split_once('.') {
                Some((plan, class)) => (Some(plan.to_owned()), class),
                None => (None, key.as_str()),
            };
            let class = RouteClass::ALL
                .into_iter()
                .find(|class| class.name() == name);
            let class = class.ok_or_else(|| {
                let known = RouteClass::ALL.map(RouteClass::name).join(", ");
                D::Error::custom(format!("`{name}` is not one of {known}"))
            })?;
            if limits
                .iter()
                .any(|known| (&known.plan, known.class) == (&plan, class))
            {
                return Err(D::Error::custom(format!("`{key}` occurs twice")));
            }
            let quota = QuotaSetting::parse(&quota).map_err(D::Error::custom)?;
            limits.push(RouteLimit { plan, class, quota });
        }
        Ok(Self(limits))
    }
}
