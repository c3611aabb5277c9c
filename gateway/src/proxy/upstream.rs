//! A service with its instances: which of them is asked next, and how many second tries it may cause.

use std::{cell::Cell, rc::Rc, time::Duration};

use hyper::header::HeaderValue;
use rand::Rng;
use url::Url;

use super::connection::Instance;
use crate::routes::Service;

/// What a request earns for the second tries of others: a fifth of one.
const RETRY_SHARE: f64 = 0.2;
/// Second tries that may come at once after a quiet time.
const RETRY_BURST: f64 = 10.0;

/// How upstreams are treated.
#[derive(Debug, Clone)]
pub struct UpstreamSettings {
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// How long an upstream may pause within a body.
    pub stall_timeout: Duration,
    /// Idle connections kept to one instance.
    pub idle_connections: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Failed connects in a row after which an instance is passed over.
    pub failures_to_skip: u32,
    /// For how long it is.
    pub skip: Duration,
    /// What services ask of whoever calls them.
    pub internal_token: Option<HeaderValue>,
}

/// A service with its instances, as one thread sees it.
pub struct Upstream {
    /// Which service.
    pub service: Service,
    pub(super) settings: Rc<UpstreamSettings>,
    instances: Vec<Rc<Instance>>,
    retries: Cell<f64>,
}

impl Upstream {
    /// The instances of `service` at `urls`; one whose URL has no host is left out.
    #[must_use]
    pub fn new(service: Service, urls: &[Url], settings: &Rc<UpstreamSettings>) -> Self {
        Self {
            service,
            settings: Rc::clone(settings),
            instances: urls
                .iter()
                .filter_map(|url| Instance::new(url, Rc::clone(settings)))
                .collect(),
            retries: Cell::new(RETRY_BURST),
        }
    }

    /// How many instances it has.
    pub(super) fn len(&self) -> usize {
        self.instances.len()
    }

    /// The instance to ask: the less busy of two drawn by lot, so that no two gateways fall upon the
    /// same one. Those in `tried`, and those that are passed over, come last.
    pub(super) fn choose(&self, tried: &[Rc<Instance>]) -> Option<&Rc<Instance>> {
        if let [only] = self.instances.as_slice() {
            return Some(only);
        }
        let untried = |instance: &&Rc<Instance>| !tried.iter().any(|t| Rc::ptr_eq(t, instance));
        let open: Vec<&Rc<Instance>> = self
            .instances
            .iter()
            .filter(|instance| instance.skipped_until().is_none())
            .filter(untried)
            .collect();
        match open.as_slice() {
            // All fail: the one whose pause ends first is asked all the same.
            [] => self
                .instances
                .iter()
                .filter(untried)
                .min_by_key(|instance| instance.skipped_until())
                .or_else(|| self.instances.first()),
            [only] => Some(only),
            _ => {
                let mut random = rand::rng();
                let first = random.random_range(0..open.len());
                let second = (first + random.random_range(1..open.len())) % open.len();
                let (first, second) = (open[first], open[second]);
                Some(if second.load() < first.load() {
                    second
                } else {
                    first
                })
            }
        }
    }

    /// Counts a request.
    pub(super) fn earn_retry(&self) {
        self.retries
            .set((self.retries.get() + RETRY_SHARE).min(RETRY_BURST));
    }

    /// Whether one more second try may be made; if so, counts it.
    pub(super) fn spend_retry(&self) -> bool {
        let left = self.retries.get();
        if left < 1.0 {
            return false;
        }
        self.retries.set(left - 1.0);
        true
    }

    /// Closes connections that were not used for long.
    pub fn close_unused(&self) {
        for instance in &self.instances {
            instance.close_unused();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(instances: usize) -> Upstream {
        let settings = Rc::new(UpstreamSettings {
            connect_timeout: Duration::from_secs(1),
            stall_timeout: Duration::from_secs(1),
            idle_connections: 1,
            idle_timeout: Duration::from_secs(1),
            failures_to_skip: 3,
            skip: Duration::from_secs(1),
            internal_token: None,
        });
        let urls: Vec<Url> = (0..instances)
            .map(|number| format!("http://host{number}:1").parse().expect("a URL"))
            .collect();
        Upstream::new(Service::Movie, &urls, &settings)
    }

    #[test]
    fn what_was_tried_comes_last_and_everything_is_drawn() {
        let upstream = upstream(3);
        let mut tried = Vec::new();
        for _ in 0..3 {
            let next = Rc::clone(upstream.choose(&tried).expect("an instance"));
            assert!(!tried.iter().any(|t| Rc::ptr_eq(t, &next)));
            tried.push(next);
        }
        assert!(upstream.choose(&tried).is_some());
        let mut drawn = [false; 3];
        for _ in 0..1000 {
            let chosen = upstream.choose(&[]).expect("an instance");
            for (seen, instance) in drawn.iter_mut().zip(&upstream.instances) {
                *seen |= Rc::ptr_eq(instance, chosen);
            }
        }
        assert_eq!(drawn, [true; 3]);
    }

    #[test]
    fn second_tries_are_a_fifth_of_the_requests() {
        let upstream = upstream(1);
        while upstream.spend_retry() {}
        let mut granted = 0;
        for _ in 0..1000 {
            upstream.earn_retry();
            granted += u32::from(upstream.spend_retry());
        }
        assert!((195..=200).contains(&granted), "{granted}");
    }
}
