//! The leases of all limits of one kind, shared by all threads: sharded, bounded, with at most one pending lease request
//! for each limit.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry as MapEntry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ahash::RandomState;
use tokio::sync::{Notify, futures::OwnedNotified};

use super::lease::{Decision, Grant, Lease, LeaseRequest, Millis, Remainder};
use crate::routes::RouteClass;

const SHARDS: usize = 16;

/// The requests that a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Those of a client address.
    Client,
    /// Those of a user.
    User,
    /// Those with an API key.
    ApiKey,
    /// Those of a user to routes of a class.
    Class(RouteClass),
}

impl Scope {
    /// Its name in keys of Redis.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Class(class) => class.name(),
        }
    }
}

/// The identity of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LimitKey {
    pub(super) scope: Scope,
    /// The client, user or API key.
    pub(super) id: u128,
}

/// The leases of limits.
pub(super) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    /// Randomly keyed, so that users cannot choose their shard.
    hasher: RandomState,
    max_limits_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    limits: HashMap<LimitKey, Entry, RandomState>,
    /// Limits with the ends of their windows, oldest first. A limit occurs again when its window is renewed.
    by_age: VecDeque<(LimitKey, Millis)>,
}

#[derive(Default)]
struct Entry {
    lease: Lease,
    /// Set while a lease request is pending; notified at its end.
    pending: Option<Arc<Notify>>,
}

/// The result of [`Leases::look_up`].
pub(super) enum Lookup<'a> {
    /// The lease decides.
    Decided(Decision),
    /// The caller must request a lease from Redis.
    Request(LeaseRequest, PendingLease<'a>),
    /// Another request is pending; look up again after it.
    Wait(OwnedNotified),
}

/// The exclusive right to request a lease for a limit, until dropped.
pub(super) struct PendingLease<'a> {
    leases: &'a Leases,
    key: LimitKey,
    finished: Arc<Notify>,
}

impl Leases {
    /// Leases of at most `max_limits` limits.
    pub(super) fn new(max_limits: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            max_limits_per_shard: max_limits.div_ceil(SHARDS).max(1),
        }
    }

    /// Decides about one request that the limit `key` counts.
    pub(super) fn look_up(&self, key: LimitKey, now: Millis) -> Lookup<'_> {
        let mut shard = self.shard(key);
        if let Some(known) = shard.limits.get_mut(&key) {
            return self.decide(key, known, now);
        }
        shard.evict(now, self.max_limits_per_shard);
        self.decide(key, shard.limits.entry(key).or_default(), now)
    }

    fn decide(&self, key: LimitKey, entry: &mut Entry, now: Millis) -> Lookup<'_> {
        if let Some(finished) = &entry.pending {
            return Lookup::Wait(Arc::clone(finished).notified_owned());
        }
        match entry.lease.decide(now) {
            Decision::Request(request) => {
                let finished = Arc::new(Notify::new());
                entry.pending = Some(Arc::clone(&finished));
                let pending = PendingLease {
                    leases: self,
                    key,
                    finished,
                };
                Lookup::Request(request, pending)
            }
            decision => Lookup::Decided(decision),
        }
    }

    /// Takes a token back whose request another limit refused; `ends` is the end of its window.
    pub(super) fn give_back(&self, key: LimitKey, ends: Millis) {
        if let Some(known) = self.shard(key).limits.get_mut(&key) {
            known.lease.give_back(ends);
        }
    }

    /// The remaining quota of a limit; `None` without a window.
    pub(super) fn peek(&self, key: LimitKey, now: Millis) -> Option<Remainder> {
        let shard = self.shard(key);
        shard.limits.get(&key)?.lease.remainder(now)
    }

    fn shard(&self, key: LimitKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        // A panic cannot leave a lease inconsistent.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Removes the windows that have ended, and the oldest ones while there are `max_limits`.
    fn evict(&mut self, now: Millis, max_limits: usize) {
        while let Some((key, ends)) = self.by_age.front().copied() {
            let is_full = self.limits.len() >= max_limits;
            if ends > now && !is_full {
                return;
            }
            self.by_age.pop_front();
            if let MapEntry::Occupied(entry) = self.limits.entry(key) {
                if entry.get().pending.is_some() {
                    // In use: consider it again later.
                    self.by_age.push_back((key, ends));
                    return;
                }
                let is_renewed = entry.get().lease.ends() != ends;
                if !is_renewed {
                    entry.remove();
                }
            }
        }
    }
}

impl PendingLease<'_> {
    /// Applies the response of Redis and decides about the caller's request.
    pub(super) fn grant(self, request: LeaseRequest, grant: Grant) -> Decision {
        self.update(request, |lease| lease.grant(request, grant))
    }

    /// Grants tokens without Redis and decides about the caller's request.
    pub(super) fn grant_locally(
        self,
        request: LeaseRequest,
        limit: u64,
        window: Millis,
        gateways: u64,
    ) -> Decision {
        self.update(request, |lease| {
            lease.grant_locally(request, limit, window, gateways);
        })
    }

    /// The caller's own token is taken under the same lock: with a limit of one, another request could otherwise
    /// take it first, forever.
    fn update(&self, request: LeaseRequest, change: impl FnOnce(&mut Lease)) -> Decision {
        let mut shard = self.leases.shard(self.key);
        let known = shard.limits.entry(self.key).or_default();
        let before = known.lease.ends();
        change(&mut known.lease);
        let ends = known.lease.ends();
        // As of the time of the request: a slow response must not end the window that it opens.
        let decision = known.lease.decide_granted(request.at);
        if ends != before {
            shard.evict(request.at, usize::MAX);
            shard.by_age.push_back((self.key, ends));
        }
        decision
    }
}

impl Drop for PendingLease<'_> {
    fn drop(&mut self) {
        let mut shard = self.leases.shard(self.key);
        if let Some(known) = shard.limits.get_mut(&self.key) {
            known.pending = None;
            // An unused entry has no window by which it would be evicted.
            if known.lease == Lease::default() {
                shard.limits.remove(&self.key);
            }
        }
        drop(shard);
        self.finished.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> LimitKey {
        LimitKey {
            scope: Scope::Client,
            id: number.into(),
        }
    }

    fn decide_locally(leases: &Leases, number: u32, now: Millis) -> Decision {
        match leases.look_up(key(number), now) {
            Lookup::Decided(decision) => decision,
            Lookup::Request(request, pending) => pending.grant_locally(request, 5, 1000, 1),
            Lookup::Wait(_) => panic!("no other request is pending"),
        }
    }

    fn sizes(leases: &Leases) -> (usize, usize) {
        let mut limits = 0;
        let mut by_age = 0;
        for shard in &leases.shards {
            let shard = shard.lock().expect("not poisoned");
            limits += shard.limits.len();
            by_age += shard.by_age.len();
        }
        (limits, by_age)
    }

    #[test]
    fn the_oldest_limits_are_evicted_beyond_the_bound() {
        let leases = Leases::new(160);
        for number in 0..100_000 {
            let now = u64::from(number / 1000);
            assert!(matches!(
                decide_locally(&leases, number, now),
                Decision::Admitted { remaining: 4, .. }
            ));
        }
        let (limits, by_age) = sizes(&leases);
        assert!(limits <= 160, "{limits}");
        assert!(by_age <= 320, "{by_age}");
    }

    #[test]
    fn ended_windows_are_evicted_and_renewed_ones_are_not() {
        let leases = Leases::new(100_000);
        for number in 0..1000 {
            decide_locally(&leases, number, 0);
        }
        // The first window is renewed, the others have ended.
        decide_locally(&leases, 0, 1500);
        for number in 1000..2000 {
            decide_locally(&leases, number, 1600);
        }
        let (limits, _) = sizes(&leases);
        assert!((1001..=1020).contains(&limits), "{limits}");
        assert!(matches!(
            decide_locally(&leases, 0, 1700),
            Decision::Admitted { remaining: 3, .. }
        ));
    }

    #[tokio::test]
    async fn waiting_requests_continue_when_the_pending_one_is_dropped() {
        let leases = Leases::new(100);
        let Lookup::Request(_, pending) = leases.look_up(key(1), 0) else {
            panic!("there is no lease yet")
        };
        let Lookup::Wait(finished) = leases.look_up(key(1), 0) else {
            panic!("a request is pending")
        };
        drop(pending);
        finished.await;
        assert!(matches!(leases.look_up(key(1), 0), Lookup::Request(..)));
    }
}
