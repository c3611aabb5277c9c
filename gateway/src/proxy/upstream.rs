//! A group of instances of a service, the ordinary ones or another: chooses the instance of a request and limits retries.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::header::HeaderValue;
use rand::Rng;
use rustls::ClientConfig;
use url::Url;

use super::{breaker::BREAKER_OPENED_TOTAL, instance::Instance, upstream_metrics::UpstreamMetrics};
use crate::{config::GatewayConfig, routes::Service};

/// The group of the instances that the settings name.
pub(crate) const DEFAULT_GROUP: &str = "default";
/// Retry tokens that each request adds to the budget (a token bucket).
const RETRY_RATIO: f64 = 0.18;
/// The largest budget of retries, and that of a thread which has sent no request.
const MAX_RETRY_BUDGET: f64 = 10.0;
/// The interval between two log lines about a refused internal token of a service.
const TOKEN_LOG_INTERVAL: Duration = Duration::from_secs(60);
/// The times of the latest of these lines; shared by all threads.
static TOKEN_LOGGED: Mutex<[Option<Instant>; Service::ALL.len()]> = Mutex::new([None; 3]);

/// A group of instances of a service, as one thread sees it.
pub(crate) struct Upstream {
    pub(crate) service: Service,
    /// The name of the group.
    pub(crate) group: String,
    pub(super) config: Arc<GatewayConfig>,
    /// `X-Internal-Token`, which services require of their callers.
    pub(super) internal_token: Option<HeaderValue>,
    pub(super) instances: Vec<Rc<Instance>>,
    pub(super) retries: RetryBudget,
    pub(super) metrics: UpstreamMetrics,
}

/// The number of retries that may be sent: each request earns a part of one. A thread begins with a budget that its
/// first requests earn afterwards: without `debt`, retries never exceed [`MAX_RETRY_BUDGET`] or the share [`RETRY_RATIO`] of
/// all requests, whichever is more.
pub(super) struct RetryBudget {
    left: Cell<f64>,
    /// The part of the first budget that has not been earned.
    owed: Cell<f64>,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self {
            left: Cell::new(MAX_RETRY_BUDGET),
            owed: Cell::new(MAX_RETRY_BUDGET),
        }
    }
}

impl RetryBudget {
    /// Adds a request's share.
    pub(super) fn earn(&self) {
        let owed = self.owed.get();
        if owed > 0.0 {
            self.owed.set(owed - RETRY_RATIO);
        } else {
            let left = self.left.get() + RETRY_RATIO;
            self.left.set(left.min(MAX_RETRY_BUDGET));
        }
    }

    /// Takes one retry; false if the budget is used up. Up to `debt` may be taken before they are earned.
    pub(super) fn spend(&self, debt: f64) -> bool {
        let left = self.left.get();
        let is_left = left + debt >= 1.0;
        if is_left {
            self.left.set(left - 1.0);
        }
        is_left
    }
}

impl Upstream {
    /// The `group` of instances of `service` at `urls`; those without a host are left out. `tls` is for those at https URLs.
    pub(crate) fn new(
        service: Service,
        group: &str,
        urls: &[Url],
        config: &Arc<GatewayConfig>,
        tls: Option<&Arc<ClientConfig>>,
        internal_token: Option<HeaderValue>,
    ) -> Self {
        Self {
            service,
            group: group.to_owned(),
            config: Arc::clone(config),
            internal_token,
            instances: urls
                .iter()
                .filter_map(|url| Instance::new(url, Arc::clone(config), tls))
                .collect(),
            retries: RetryBudget::default(),
            metrics: UpstreamMetrics::new(service, group),
        }
    }

    /// True if there is an instance that responds, as far as is known.
    pub(crate) fn is_available(&self) -> bool {
        let mut instances = self.instances.iter();
        instances.any(|instance| !instance.breaker.is_open() && instance.skipped_until().is_none())
    }

    /// The instance for the next attempt: the less loaded of two random ones (Mitzenmacher, "The power of two
    /// choices in randomized load balancing", IEEE TPDS 2001). Those that refused one come after others, and those in
    /// `tried` and skipped ones last.
    pub(super) fn choose(&self, tried: &[Rc<Instance>]) -> Option<&Rc<Instance>> {
        if let [only] = self.instances.as_slice() {
            return Some(only);
        }
        let untried = |instance: &&Rc<Instance>| !tried.iter().any(|t| Rc::ptr_eq(t, instance));
        let mut open: Vec<&Rc<Instance>> = self
            .instances
            .iter()
            .filter(|instance| !instance.breaker.is_open())
            .filter(|instance| instance.skipped_until().is_none())
            .filter(untried)
            .collect();
        if open.iter().any(|instance| !instance.refuses()) {
            open.retain(|instance| !instance.refuses());
        }
        match open.as_slice() {
            // All of them are skipped: take the one that is due first.
            [] => self
                .instances
                .iter()
                .filter(untried)
                .min_by_key(|instance| (instance.breaker.is_open(), instance.skipped_until()))
                .or_else(|| self.instances.first()),
            [only] => Some(only),
            _ => {
                let mut random = rand::rng();
                let first = random.random_range(0..open.len());
                let second = (first + random.random_range(1..open.len())) % open.len();
                let (first, second) = (open[first], open[second]);
                let now = Instant::now();
                Some(if second.load(now) < first.load(now) {
                    second
                } else {
                    first
                })
            }
        }
    }

    /// Logs that the service refuses the internal token, unless that was logged recently.
    pub(super) fn log_token_refused(&self) {
        let mut logged = TOKEN_LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = &mut logged[self.service as usize];
        if latest.is_none_or(|latest| latest.elapsed() >= TOKEN_LOG_INTERVAL) {
            *latest = Some(Instant::now());
            let service = self.service.name();
            tracing::error!(
                service,
                "the internal token is refused; set the same INTERNAL_TOKEN for both"
            );
        }
    }

    /// Probes the instances that do not respond, each in a task of its own.
    pub(crate) fn probe_silent(&self) {
        let probe_after = Duration::from_millis(self.config.own.upstream_probe_after_ms);
        for instance in &self.instances {
            if instance.breaker.begin_probe(probe_after) {
                let group = self.group.clone();
                tokio::task::spawn_local(probe(Rc::clone(instance), self.service, group));
            }
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn close_unused(&self) {
        for instance in &self.instances {
            instance.close_unused();
        }
    }
}

async fn probe(instance: Rc<Instance>, service: Service, group: String) {
    let lives = instance.is_responsive().await;
    if !instance.breaker.probed(lives) {
        return;
    }
    let (service, address) = (service.name(), instance.address());
    if lives {
        tracing::info!(service, group, instance = %address, "an instance responds again");
    } else {
        tracing::warn!(service, group, instance = %address, "an instance does not respond");
        metrics::counter!(BREAKER_OPENED_TOTAL, "service" => service, "group" => group)
            .increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_at_most_a_fifth_of_the_requests() {
        let budget = RetryBudget::default();
        let mut granted = 0;
        for requests in 1..=1000 {
            budget.earn();
            while budget.spend(0.0) {
                granted += 1;
            }
            assert!(granted <= 10.max(requests / 5), "{granted} of {requests}");
        }
        assert!(granted >= 175, "{granted}");
        // A debt is granted once.
        assert!((0..5).all(|_| budget.spend(5.0)));
        assert!(!budget.spend(5.0));
    }
}
