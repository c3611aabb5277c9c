//! Instance groups: other instances of a service, to which rules send some of its requests, a canary's for example. [`file`]
//! reads groups and rules from `routes_file`, [`reload`] does so again on SIGHUP, [`crate::pipeline`] asks for the group of
//! each request.
//!
//! Each thread has the rules in its own state and exchanges them between two requests, so that no request waits for a lock.
//! A request that is under way keeps the group that it was sent to.

mod file;
mod reload;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use chassis::shutdown::Shutdown;
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};
use rustls::ClientConfig;
use url::Url;

pub(crate) use self::reload::GroupSource;
use crate::{config::GatewayConfig, proxy::Upstream, routes::Service};

/// Requests that went to the ordinary instances because no instance of their group could be used (counter).
const FALLBACKS_TOTAL: &str = "upstream_group_fallbacks_total";
/// Reads of the routes file, by result (counter).
const RELOADS_TOTAL: &str = "routes_reloads_total";
/// Rules in force (gauge).
const RULES: &str = "routes_in_force";

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        FALLBACKS_TOTAL,
        "Requests of a group that its service's ordinary instances served, since no instance of the group could be used"
    );
    metrics::describe_counter!(
        RELOADS_TOTAL,
        "Reads of ROUTES_FILE by result: applied, refused (it is invalid, and the routes before it stay in force)"
    );
    metrics::describe_gauge!(RULES, "Routes of ROUTES_FILE that are in force");
}

/// The groups and rules of a file, shared by all threads.
pub(crate) struct GroupRules {
    groups: Vec<Group>,
    rules: Vec<Rule>,
    /// For each path of the router the rules that may apply to it, in their order, as indices.
    by_path: Vec<Vec<usize>>,
    /// TLS towards instances at https URLs, if there are any.
    tls: Option<Arc<ClientConfig>>,
}

/// The instances of a group.
#[derive(PartialEq, Eq)]
struct Group {
    name: String,
    service: Service,
    urls: Vec<Url>,
}

/// The conditions under which a request goes to a group; all of them must hold.
struct Rule {
    /// The index of the group.
    group: usize,
    service: Service,
    /// In lower case, without a port.
    host: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Option<Share>,
}

/// A share of the users: those whose place within the group's own order is below `percent`.
struct Share {
    /// Odd, so that distinct users keep distinct places; differs by group, so that groups have different users.
    multiplier: u64,
    percent: f64,
}

impl Share {
    /// `user` is a [`crate::middleware::auth::limit_id`], whose bits are uniform.
    fn contains(&self, user: u128) -> bool {
        let [.., b0, b1, b2, b3, b4, b5, b6, b7] = user.to_be_bytes();
        let user = u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);
        let [b0, b1, b2, b3, ..] = user.wrapping_mul(self.multiplier).to_be_bytes();
        let place = f64::from(u32::from_be_bytes([b0, b1, b2, b3])) / (f64::from(u32::MAX) + 1.0);
        place * 100.0 < self.percent
    }
}

/// The properties of a request that rules compare.
pub(crate) struct RequestProperties<'a> {
    pub(crate) service: Service,
    /// The index of its path in the router.
    pub(crate) path: usize,
    pub(crate) headers: &'a HeaderMap,
    /// The host that the client requested.
    pub(crate) host: Option<&'a HeaderValue>,
    /// The [`crate::middleware::auth::limit_id`] of the caller.
    pub(crate) user: Option<u128>,
}

impl RequestProperties<'_> {
    fn is_for_host(&self, expected: &str) -> bool {
        let host = self.host.and_then(|host| host.to_str().ok());
        host.is_some_and(|host| {
            let name = match host.rsplit_once(':') {
                Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
                _ => host,
            };
            name.trim_end_matches('.').eq_ignore_ascii_case(expected)
        })
    }

    fn has_header(&self, name: &HeaderName, value: &HeaderValue) -> bool {
        self.headers.get_all(name).iter().any(|own| own == value)
    }
}

impl Rule {
    fn applies(&self, request: &RequestProperties<'_>) -> bool {
        let has_headers =
            || (self.headers.iter()).all(|(name, value)| request.has_header(name, value));
        let is_user = |share: &Share| request.user.is_some_and(|user| share.contains(user));
        self.service == request.service
            && (self.host.as_ref()).is_none_or(|host| request.is_for_host(host))
            && has_headers()
            && self.users.as_ref().is_none_or(is_user)
    }
}

impl GroupRules {
    /// The index of the group of the first rule that applies.
    fn find(&self, request: &RequestProperties<'_>) -> Option<usize> {
        let candidates = self.by_path.get(request.path)?;
        let mut rules = candidates.iter().map(|index| &self.rules[*index]);
        rules
            .find(|rule| rule.applies(request))
            .map(|rule| rule.group)
    }
}

/// The groups of one thread.
pub(crate) struct ThreadGroups {
    source: Arc<GroupSource>,
    config: Arc<GatewayConfig>,
    internal_token: Option<HeaderValue>,
    /// `None` if there is no rule.
    in_force: RefCell<Option<Rc<InForce>>>,
}

/// Rules with the instances that they lead to.
struct InForce {
    rules: Arc<GroupRules>,
    /// In the order of the groups.
    upstreams: Vec<Rc<Upstream>>,
}

impl ThreadGroups {
    /// The groups that `source` has now; requests to them carry `internal_token`.
    pub(crate) fn new(
        source: Arc<GroupSource>,
        config: Arc<GatewayConfig>,
        internal_token: Option<HeaderValue>,
    ) -> Rc<Self> {
        let groups = Rc::new(Self {
            source,
            config,
            internal_token,
            in_force: RefCell::default(),
        });
        groups.apply(groups.source.current());
        groups
    }

    /// Puts each new set of rules in force, until the shutdown.
    pub(crate) async fn follow(self: Rc<Self>, shutdown: Shutdown) {
        let mut changes = self.source.changes();
        loop {
            self.apply(self.source.current());
            tokio::select! {
                () = shutdown.started() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
        }
    }

    /// The group of a request; `None`: its service's ordinary instances.
    pub(crate) fn find(&self, request: &RequestProperties<'_>) -> Option<Rc<Upstream>> {
        let groups = self.in_force.borrow();
        let groups = groups.as_ref()?;
        let group = groups.rules.find(request)?;
        groups.upstreams.get(group).cloned()
    }

    /// True if there is no rule, so that no request has a group.
    pub(crate) fn is_empty(&self) -> bool {
        self.in_force.borrow().is_none()
    }

    /// All groups.
    pub(crate) fn upstreams(&self) -> Vec<Rc<Upstream>> {
        let groups = self.in_force.borrow();
        groups
            .as_ref()
            .map_or_else(Vec::new, |groups| groups.upstreams.clone())
    }

    /// Puts `rules` in force. A group that has not changed keeps its connections, latencies and breakers.
    fn apply(&self, rules: Option<Arc<GroupRules>>) {
        let Some(rules) = rules.filter(|rules| !rules.rules.is_empty()) else {
            self.in_force.borrow_mut().take();
            return;
        };
        let before = self.in_force.borrow().clone();
        let kept = |group: &Group| {
            let before = before.as_ref()?;
            let known = before.rules.groups.iter().position(|own| own == group)?;
            before.upstreams.get(known).cloned()
        };
        let upstreams = rules.groups.iter().map(|group| {
            kept(group).unwrap_or_else(|| {
                Rc::new(Upstream::new(
                    group.service,
                    &group.name,
                    &group.urls,
                    &self.config,
                    rules.tls.as_ref(),
                    self.internal_token.clone(),
                ))
            })
        });
        let upstreams = upstreams.collect();
        let in_force = Rc::new(InForce { rules, upstreams });
        self.in_force.replace(Some(in_force));
    }
}

/// Counts a request that leaves its `group` for the ordinary instances.
pub(crate) fn count_fallback(group: &Upstream) {
    let service = group.service.name();
    metrics::counter!(FALLBACKS_TOTAL, "service" => service, "group" => group.group.to_string())
        .increment(1);
}
