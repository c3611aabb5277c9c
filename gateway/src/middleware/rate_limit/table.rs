//! The leases of all clients, shared by all threads: sharded, bounded, with at most one pending lease request
//! for each client.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::OwnedNotified};

use super::lease::{Decision, Grant, Lease, LeaseRequest, Millis};
use crate::middleware::client_ip::ClientKey;

const SHARDS: usize = 16;

/// The leases of all clients.
pub(super) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    /// Randomly keyed, so that clients cannot choose their shard.
    hasher: RandomState,
    max_clients_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    clients: HashMap<ClientKey, Client>,
    /// Clients with the ends of their windows, oldest first. A client occurs again when its window is renewed.
    by_age: VecDeque<(ClientKey, Millis)>,
}

#[derive(Default)]
struct Client {
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

/// The exclusive right to request a lease for a client, until dropped.
pub(super) struct PendingLease<'a> {
    leases: &'a Leases,
    client: ClientKey,
    finished: Arc<Notify>,
}

impl Leases {
    /// Leases of at most `max_clients` clients.
    pub(super) fn new(max_clients: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            max_clients_per_shard: max_clients.div_ceil(SHARDS).max(1),
        }
    }

    /// Decides about one request of `client`.
    pub(super) fn look_up(&self, client: ClientKey, now: Millis) -> Lookup<'_> {
        let mut shard = self.shard(client);
        if let Some(known) = shard.clients.get_mut(&client) {
            return self.decide(client, known, now);
        }
        shard.evict(now, self.max_clients_per_shard);
        self.decide(client, shard.clients.entry(client).or_default(), now)
    }

    fn decide(&self, key: ClientKey, client: &mut Client, now: Millis) -> Lookup<'_> {
        if let Some(finished) = &client.pending {
            return Lookup::Wait(Arc::clone(finished).notified_owned());
        }
        match client.lease.decide(now) {
            Decision::Request(request) => {
                let finished = Arc::new(Notify::new());
                client.pending = Some(Arc::clone(&finished));
                let pending = PendingLease {
                    leases: self,
                    client: key,
                    finished,
                };
                Lookup::Request(request, pending)
            }
            decision => Lookup::Decided(decision),
        }
    }

    fn shard(&self, client: ClientKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(client);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        // A panic cannot leave a lease inconsistent.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Removes the windows that have ended, and the oldest ones while there are `max_clients`.
    fn evict(&mut self, now: Millis, max_clients: usize) {
        while let Some((client, ends)) = self.by_age.front().copied() {
            let is_full = self.clients.len() >= max_clients;
            if ends > now && !is_full {
                return;
            }
            self.by_age.pop_front();
            if let Entry::Occupied(entry) = self.clients.entry(client) {
                if entry.get().pending.is_some() {
                    // In use: consider it again later.
                    self.by_age.push_back((client, ends));
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
    ) -> Decision {
        self.update(request, |lease| lease.grant_locally(request, limit, window))
    }

    /// The caller's own token is taken under the same lock: with a limit of one, another request could otherwise
    /// take it first, forever.
    fn update(&self, request: LeaseRequest, change: impl FnOnce(&mut Lease)) -> Decision {
        let mut shard = self.leases.shard(self.client);
        let known = shard.clients.entry(self.client).or_default();
        let before = known.lease.ends();
        change(&mut known.lease);
        let ends = known.lease.ends();
        // As of the time of the request: a slow response must not end the window that it opens.
        let decision = known.lease.decide(request.at);
        if ends != before {
            shard.evict(request.at, usize::MAX);
            shard.by_age.push_back((self.client, ends));
        }
        decision
    }
}

impl Drop for PendingLease<'_> {
    fn drop(&mut self) {
        let mut shard = self.leases.shard(self.client);
        if let Some(known) = shard.clients.get_mut(&self.client) {
            known.pending = None;
            // An unused entry has no window by which it would be evicted.
            if known.lease == Lease::default() {
                shard.clients.remove(&self.client);
            }
        }
        drop(shard);
        self.finished.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::IpAddr::from(number.to_be_bytes()))
    }

    fn decide_locally(leases: &Leases, number: u32, now: Millis) -> Decision {
        match leases.look_up(client(number), now) {
            Lookup::Decided(decision) => decision,
            Lookup::Request(request, pending) => pending.grant_locally(request, 5, 1000),
            Lookup::Wait(_) => panic!("no other request is pending"),
        }
    }

    fn sizes(leases: &Leases) -> (usize, usize) {
        let mut clients = 0;
        let mut by_age = 0;
        for shard in &leases.shards {
            let shard = shard.lock().expect("not poisoned");
            clients += shard.clients.len();
            by_age += shard.by_age.len();
        }
        (clients, by_age)
    }

    #[test]
    fn the_oldest_clients_are_evicted_beyond_the_bound() {
        let leases = Leases::new(160);
        for number in 0..100_000 {
            let now = u64::from(number / 1000);
            assert!(matches!(
                decide_locally(&leases, number, now),
                Decision::Admitted { remaining: 4, .. }
            ));
        }
        let (clients, by_age) = sizes(&leases);
        assert!(clients <= 160, "{clients}");
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
        let (clients, _) = sizes(&leases);
        assert!((1001..=1020).contains(&clients), "{clients}");
        assert!(matches!(
            decide_locally(&leases, 0, 1700),
            Decision::Admitted { remaining: 3, .. }
        ));
    }

    #[tokio::test]
    async fn waiting_requests_continue_when_the_pending_one_is_dropped() {
        let leases = Leases::new(100);
        let Lookup::Request(_, pending) = leases.look_up(client(1), 0) else {
            panic!("there is no lease yet")
        };
        let Lookup::Wait(finished) = leases.look_up(client(1), 0) else {
            panic!("a request is pending")
        };
        drop(pending);
        finished.await;
        assert!(matches!(leases.look_up(client(1), 0), Lookup::Request(..)));
    }
}
