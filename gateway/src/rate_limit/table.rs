//! The leases of all clients, shared by all threads: sharded, bounded, one question to Redis at a
//! time for each client.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, futures::OwnedNotified};

use super::lease::{Decision, Grant, Lease, Millis, Question};
use crate::client_ip::ClientKey;

const SHARDS: usize = 16;

/// The leases of all clients.
pub(super) struct Leases {
    shards: [Mutex<Shard>; SHARDS],
    /// Random, so that nobody can choose addresses that fall into one shard.
    hasher: RandomState,
    entries_per_shard: usize,
}

#[derive(Default)]
struct Shard {
    clients: HashMap<ClientKey, Client>,
    /// Clients in the order in which their windows were begun. One whose window was renewed since
    /// stands here again.
    begun: VecDeque<(ClientKey, Millis)>,
}

#[derive(Default)]
struct Client {
    lease: Lease,
    /// Set while a question is under way; told when it is answered.
    asking: Option<Arc<Notify>>,
}

/// What a look at a client's lease brings.
pub(super) enum Looked<'a> {
    /// All that is needed was here.
    Decided(Decision),
    /// Redis must be asked, by whoever gets this.
    Ask(Question, Asking<'a>),
    /// Somebody asks already; look again after this.
    Wait(OwnedNotified),
}

/// The right to ask for a client, and the duty to tell what came of it.
pub(super) struct Asking<'a> {
    leases: &'a Leases,
    client: ClientKey,
    answered: Arc<Notify>,
}

impl Leases {
    /// Room for `entries` clients.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            entries_per_shard: entries.div_ceil(SHARDS).max(1),
        }
    }

    /// Decides about one request of `client`.
    pub(super) fn look(&self, client: ClientKey, now: Millis) -> Looked<'_> {
        let mut shard = self.shard(client);
        if let Some(known) = shard.clients.get_mut(&client) {
            if let Some(answered) = &known.asking {
                return Looked::Wait(Arc::clone(answered).notified_owned());
            }
            let decision = known.lease.decide(now);
            let Decision::Ask(question) = decision else {
                return Looked::Decided(decision);
            };
            let answered = Arc::new(Notify::new());
            known.asking = Some(Arc::clone(&answered));
            return Looked::Ask(question, self.asking(client, answered));
        }
        shard.make_room(now, self.entries_per_shard);
        let answered = Arc::new(Notify::new());
        let mut known = Client {
            lease: Lease::default(),
            asking: Some(Arc::clone(&answered)),
        };
        let decision = known.lease.decide(now);
        shard.clients.insert(client, known);
        match decision {
            Decision::Ask(question) => Looked::Ask(question, self.asking(client, answered)),
            decided => Looked::Decided(decided),
        }
    }

    fn asking(&self, client: ClientKey, answered: Arc<Notify>) -> Asking<'_> {
        Asking {
            leases: self,
            client,
            answered,
        }
    }

    fn shard(&self, client: ClientKey) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(client);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        // A count is never half written, so a panic elsewhere does not spoil it.
        self.shards[index]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// Forgets windows that have ended, and, if that is not enough, the oldest.
    fn make_room(&mut self, now: Millis, entries: usize) {
        while let Some((client, ends)) = self.begun.front().copied() {
            let crowded = self.clients.len() >= entries;
            if ends > now && !crowded {
                return;
            }
            self.begun.pop_front();
            if let Entry::Occupied(entry) = self.clients.entry(client) {
                if entry.get().asking.is_some() {
                    // In use: its turn comes again.
                    self.begun.push_back((client, ends));
                    return;
                }
                let renewed = entry.get().lease.ends() != ends;
                if !renewed {
                    entry.remove();
                }
            }
        }
    }
}

impl Asking<'_> {
    /// Redis has answered; decides about the request that asked.
    pub(super) fn grant(self, question: Question, grant: Grant) -> Decision {
        self.update(question, |lease| lease.grant(question, grant))
    }

    /// Redis is away; decides about the request that asked.
    pub(super) fn alone(self, question: Question, limit: u64, window: Millis) -> Decision {
        self.update(question, |lease| lease.alone(question, limit, window))
    }

    /// The token of the request that asked is taken within the lock: with a limit of one, a
    /// neighbour could otherwise take it first, for ever.
    fn update(&self, question: Question, change: impl FnOnce(&mut Lease)) -> Decision {
        let mut shard = self.leases.shard(self.client);
        let known = shard.clients.entry(self.client).or_default();
        let before = known.lease.ends();
        change(&mut known.lease);
        let ends = known.lease.ends();
        // Decided as of the question: a slow answer must not end the window that it opens.
        let decision = known.lease.decide(question.at);
        if ends != before {
            shard.make_room(question.at, usize::MAX);
            shard.begun.push_back((self.client, ends));
        }
        decision
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let mut shard = self.leases.shard(self.client);
        if let Some(known) = shard.clients.get_mut(&self.client) {
            known.asking = None;
            // Nobody was told anything, and nothing else would ever remove it.
            if known.lease == Lease::default() {
                shard.clients.remove(&self.client);
            }
        }
        drop(shard);
        self.answered.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> ClientKey {
        ClientKey::of(std::net::IpAddr::from(number.to_be_bytes()))
    }

    fn look_alone(leases: &Leases, number: u32, now: Millis) -> Decision {
        match leases.look(client(number), now) {
            Looked::Decided(decision) => decision,
            Looked::Ask(question, asking) => asking.alone(question, 5, 1000),
            Looked::Wait(_) => panic!("nobody else asks"),
        }
    }

    fn known(leases: &Leases) -> (usize, usize) {
        let mut clients = 0;
        let mut begun = 0;
        for shard in &leases.shards {
            let shard = shard.lock().expect("not poisoned");
            clients += shard.clients.len();
            begun += shard.begun.len();
        }
        (clients, begun)
    }

    #[test]
    fn clients_beyond_the_bound_push_out_the_oldest() {
        let leases = Leases::new(160);
        for number in 0..100_000 {
            let now = u64::from(number / 1000);
            assert!(matches!(
                look_alone(&leases, number, now),
                Decision::Admitted { remaining: 4, .. }
            ));
        }
        let (clients, begun) = known(&leases);
        assert!(clients <= 160, "{clients}");
        assert!(begun <= 320, "{begun}");
    }

    #[test]
    fn windows_that_have_ended_are_forgotten_and_renewed_ones_are_not() {
        let leases = Leases::new(100_000);
        for number in 0..1000 {
            look_alone(&leases, number, 0);
        }
        // The first renews its window, the others are over.
        look_alone(&leases, 0, 1500);
        for number in 1000..2000 {
            look_alone(&leases, number, 1600);
        }
        let (clients, _) = known(&leases);
        assert!((1001..=1020).contains(&clients), "{clients}");
        assert!(matches!(
            look_alone(&leases, 0, 1700),
            Decision::Admitted { remaining: 3, .. }
        ));
    }

    #[tokio::test]
    async fn whoever_waits_goes_on_when_the_one_who_asks_gives_up() {
        let leases = Leases::new(100);
        let Looked::Ask(_, asking) = leases.look(client(1), 0) else {
            panic!("nothing is known")
        };
        let Looked::Wait(answered) = leases.look(client(1), 0) else {
            panic!("somebody asks")
        };
        drop(asking);
        answered.await;
        assert!(matches!(leases.look(client(1), 0), Looked::Ask(..)));
    }
}
