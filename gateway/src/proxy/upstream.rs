//! A service with its instances: chooses the instance of a request and limits retries.

use std::{cell::Cell, rc::Rc};

use rand::Rng;
use url::Url;

use super::{instance::Instance, settings::UpstreamSettings};
use crate::routes::Service;

/// Retries that each request adds to the budget: a fifth of one.
const RETRY_RATIO: f64 = 0.2;
/// The largest budget of retries.
const MAX_RETRY_BUDGET: f64 = 10.0;

/// A service with its instances, as one thread sees it.
pub(crate) struct Upstream {
    pub(crate) service: Service,
    pub(super) settings: Rc<UpstreamSettings>,
    instances: Vec<Rc<Instance>>,
    retry_budget: Cell<f64>,
}

impl Upstream {
    /// The instances of `service` at `urls`; those without a host are left out.
    pub(crate) fn new(service: Service, urls: &[Url], settings: &Rc<UpstreamSettings>) -> Self {
        Self {
            service,
            settings: Rc::clone(settings),
            instances: urls
                .iter()
                .filter_map(|url| Instance::new(url, Rc::clone(settings)))
                .collect(),
            retry_budget: Cell::new(MAX_RETRY_BUDGET),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.instances.len()
    }

    /// The instance for the next attempt: the less loaded of two random ones (Mitzenmacher, "The power of two
    /// choices in randomized load balancing", IEEE TPDS 2001). Those in `tried` and skipped ones come last.
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
            // All of them are skipped: take the one that is due first.
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

    /// Adds a request's share to the retry budget.
    pub(super) fn earn_retry(&self) {
        let budget = self.retry_budget.get() + RETRY_RATIO;
        self.retry_budget.set(budget.min(MAX_RETRY_BUDGET));
    }

    /// Takes one retry from the budget; false if it is used up.
    pub(super) fn spend_retry(&self) -> bool {
        let budget = self.retry_budget.get();
        let is_left = budget >= 1.0;
        if is_left {
            self.retry_budget.set(budget - 1.0);
        }
        is_left
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn close_unused(&self) {
        for instance in &self.instances {
            instance.close_unused();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(instances: usize) -> Upstream {
        let urls: Vec<Url> = (0..instances)
            .map(|number| format!("http://host{number}:1").parse().expect("a URL"))
            .collect();
        Upstream::new(Service::Movie, &urls, &Rc::default())
    }

    #[test]
    fn untried_instances_come_first_and_all_are_chosen() {
        let upstream = upstream(3);
        let mut tried = Vec::new();
        for _ in 0..3 {
            let next = Rc::clone(upstream.choose(&tried).expect("an instance"));
            assert!(!tried.iter().any(|t| Rc::ptr_eq(t, &next)));
            tried.push(next);
        }
        assert!(upstream.choose(&tried).is_some());
        let mut chosen_once = [false; 3];
        for _ in 0..1000 {
            let chosen = upstream.choose(&[]).expect("an instance");
            for (seen, instance) in chosen_once.iter_mut().zip(&upstream.instances) {
                *seen |= Rc::ptr_eq(instance, chosen);
            }
        }
        assert_eq!(chosen_once, [true; 3]);
    }

    #[test]
    fn retries_are_at_most_a_fifth_of_the_requests() {
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
