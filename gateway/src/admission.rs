//! Limits of what clients hold at a time: connections and requests in flight, of one client and of all. One
//! [`Admission`] of each kind per thread: [`crate::server`] admits connections, [`crate::pipeline`] requests.
//!
//! If all places are taken, the client that holds the most gives one up: a crowd from one address must not shut
//! out the others.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::poll_fn,
    rc::{Rc, Weak},
    task::{Poll, Waker},
};

use ahash::RandomState;
use metrics::Counter;
use tokio::sync::Notify;

use crate::middleware::client_ip::ClientKey;

/// Connections that the gateway closed to protect others, by reason (counter).
pub(crate) const CLIENT_CONNECTIONS_CLOSED_TOTAL: &str = "client_connections_closed_total";
/// Requests that the gateway refused, by reason (counter).
pub(crate) const REQUESTS_REFUSED_TOTAL: &str = "requests_refused_total";
/// Open connections of clients (gauge).
pub(crate) const CLIENT_CONNECTIONS: &str = "client_connections";

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(CLIENT_CONNECTIONS, "Open connections of clients");
    metrics::describe_counter!(
        CLIENT_CONNECTIONS_CLOSED_TOTAL,
        "Connections closed to protect others: client_limit (per-client limit reached), heaviest_client (all slots \
         in use; evicted from the client holding most), longest_idle (all slots in use, none held more than others), \
         cancelled_requests (HTTP/2: its client cancels most requests)"
    );
    metrics::describe_counter!(
        REQUESTS_REFUSED_TOTAL,
        "Requests refused by reason: auth (no valid token or not allowed), rate_limit (429 by a rate limit), \
         client_limit (per-client limit of requests in flight reached), total_limit (all slots in use), heaviest_client \
         (all slots in use; evicted from the client holding most), slow_body (its body came too slowly), breaker (no \
         instance responds), timeout (no response in time)"
    );
}

thread_local! {
    /// The counters by reason: refusals must cost little, and finding a counter by its label costs more than the rest.
    static REFUSED: RefCell<Vec<(&'static str, Counter)>> = const { RefCell::new(Vec::new()) };
}

/// Counts a request that is refused for `reason`.
pub(crate) fn count_refusal(reason: &'static str) {
    REFUSED.with_borrow_mut(|refused| {
        let known = refused.iter().position(|(known, _)| *known == reason);
        let index = known.unwrap_or_else(|| {
            let counter = metrics::counter!(REQUESTS_REFUSED_TOTAL, "reason" => reason);
            refused.push((reason, counter));
            refused.len() - 1
        });
        refused[index].1.increment(1);
    });
}

/// Counts the pipeline's responses in progress on a connection: one guard for each.
#[derive(Clone, Default)]
pub(crate) struct ResponseCounter(Rc<Progress>);

/// The progress of a connection.
#[derive(Default)]
pub(crate) struct Progress {
    begun: Cell<u64>,
    /// True if some of a request has been read that has not reached the pipeline.
    is_within_request: Cell<bool>,
}

impl ResponseCounter {
    /// Counts one more response, until the guard is dropped.
    pub(crate) fn begin(&self) -> Weak<Progress> {
        self.0.begun.set(self.0.begun.get() + 1);
        Rc::downgrade(&self.0)
    }

    pub(crate) fn is_idle(&self) -> bool {
        Rc::weak_count(&self.0) == 0
    }

    /// Responses so far, those in progress included.
    pub(crate) fn begun(&self) -> u64 {
        self.0.begun.get()
    }

    /// Notes if a new request comes next on the connection, or the rest of one.
    pub(crate) fn expect_request(&self, is_new: bool) {
        self.0.is_within_request.set(!is_new);
    }

    /// True if some of a request has been read and more is to come.
    pub(crate) fn is_within_request(&self) -> bool {
        self.0.is_within_request.get()
    }
}

/// A client's connection, as far as others may have to end it.
#[derive(Default)]
pub(crate) struct ConnectionHandle {
    pub(crate) responses: ResponseCounter,
    is_evicted: Cell<bool>,
    /// The task of the connection.
    waker: RefCell<Option<Waker>>,
}

impl ConnectionHandle {
    /// Completes when the connection has to make room.
    pub(crate) async fn evicted(&self) {
        poll_fn(|cx| {
            if self.is_evicted.get() {
                return Poll::Ready(());
            }
            let mut waker = self.waker.borrow_mut();
            if !waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn evict(&self) {
        self.is_evicted.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The reason why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The client holds as many as one client may.
    Client,
    /// All places are taken, by clients that hold no more than this one.
    Total,
}

impl Refusal {
    /// The label of the reason in metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Client => "client_limit",
            Self::Total => "total_limit",
        }
    }
}

/// The places of one kind in one thread.
pub(crate) struct Admission {
    max: usize,
    max_per_client: usize,
    /// The metric that counts evictions.
    evictions: &'static str,
    places: RefCell<Places>,
    released: Notify,
}

#[derive(Default)]
struct Places {
    /// Randomly keyed, so that clients cannot choose addresses that collide.
    by_client: HashMap<ClientKey, usize, RandomState>,
    slots: Vec<Option<Place>>,
    free: Vec<usize>,
    admitted: u64,
}

struct Place {
    /// The order of admission.
    number: u64,
    /// `None`: a trusted proxy, which stands for many clients.
    client: Option<ClientKey>,
    connection: Rc<ConnectionHandle>,
}

/// One place, until dropped.
pub(crate) struct Permit {
    admission: Rc<Admission>,
    slot: usize,
    number: u64,
}

impl Admission {
    /// `max` places, of which one client may hold `max_per_client`; `evictions` counts those that were taken away.
    pub(crate) fn new(max: usize, max_per_client: usize, evictions: &'static str) -> Rc<Self> {
        Rc::new(Self {
            max,
            max_per_client,
            evictions,
            places: RefCell::default(),
            released: Notify::new(),
        })
    }

    /// Takes a place for `client` on `connection`; without a client only the number of all is limited. If all places
    /// are taken, a connection of the client that holds the most is closed, or the one that has been idle for the
    /// longest time.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the client holds too many or no connection can be closed.
    pub(crate) fn admit(
        self: &Rc<Self>,
        client: Option<ClientKey>,
        connection: &Rc<ConnectionHandle>,
    ) -> Result<Permit, Refusal> {
        let mut places = self.places.borrow_mut();
        let held = client.map_or(0, |client| places.held_by(client));
        if held >= self.max_per_client {
            return Err(Refusal::Client);
        }
        if places.taken() >= self.max {
            let (victim, reason) = match places.heaviest(held + 1) {
                Some(victim) => (victim, "heaviest_client"),
                None => (places.longest_idle().ok_or(Refusal::Total)?, "longest_idle"),
            };
            if let Some(place) = places.release(victim) {
                place.connection.evict();
                metrics::counter!(self.evictions, "reason" => reason).increment(1);
            }
        }
        let (slot, number) = places.take(client, Rc::clone(connection));
        Ok(Permit {
            admission: Rc::clone(self),
            slot,
            number,
        })
    }

    /// Completes when a place has been released.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }
}

impl Places {
    fn taken(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn held_by(&self, client: ClientKey) -> usize {
        self.by_client.get(&client).copied().unwrap_or(0)
    }

    fn take(
        &mut self,
        client: Option<ClientKey>,
        connection: Rc<ConnectionHandle>,
    ) -> (usize, u64) {
        self.admitted += 1;
        let place = Place {
            number: self.admitted,
            client,
            connection,
        };
        if let Some(client) = client {
            *self.by_client.entry(client).or_default() += 1;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot] = Some(place);
                slot
            }
            None => {
                self.slots.push(Some(place));
                self.slots.len() - 1
            }
        };
        (slot, self.admitted)
    }

    fn release(&mut self, slot: usize) -> Option<Place> {
        let place = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        if let Some(client) = place.client
            && let Some(held) = self.by_client.get_mut(&client)
        {
            *held -= 1;
            if *held == 0 {
                self.by_client.remove(&client);
            }
        }
        Some(place)
    }

    /// The place to be given up by the client that holds the most, if that is more than `least`: an idle connection's
    /// before one with a request in flight, the oldest first.
    fn heaviest(&self, least: usize) -> Option<usize> {
        let (heaviest, held) = self.by_client.iter().max_by_key(|(_, held)| **held)?;
        if *held <= least {
            return None;
        }
        let of_heaviest = self
            .places()
            .filter(|(_, place)| place.client == Some(*heaviest));
        let oldest = of_heaviest
            .min_by_key(|(_, place)| (!place.connection.responses.is_idle(), place.number));
        oldest.map(|(slot, _)| slot)
    }

    fn longest_idle(&self) -> Option<usize> {
        let idle = self
            .places()
            .filter(|(_, place)| place.connection.responses.is_idle());
        idle.min_by_key(|(_, place)| place.number)
            .map(|(slot, _)| slot)
    }

    fn places(&self) -> impl Iterator<Item = (usize, &Place)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(slot, place)| Some((slot, place.as_ref()?)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut places = self.admission.places.borrow_mut();
        // The place of an evicted connection may be another's already.
        let slot = places.slots[self.slot].as_ref();
        if slot.is_some_and(|place| place.number == self.number) {
            places.release(self.slot);
            self.admission.released.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn client(number: u8) -> Option<ClientKey> {
        Some(ClientKey::of([10, 0, 0, number].into()))
    }

    fn admission(max: usize, max_per_client: usize) -> Rc<Admission> {
        Admission::new(max, max_per_client, "evictions_of_a_test_total")
    }

    fn idle() -> Rc<ConnectionHandle> {
        Rc::default()
    }

    fn is_evicted(connection: &Rc<ConnectionHandle>) -> bool {
        connection.evicted().now_or_never().is_some()
    }

    #[test]
    fn a_client_holds_no_more_than_its_share() {
        let admission = admission(10, 2);
        let first = admission.admit(client(1), &idle()).expect("a place");
        let _second = admission.admit(client(1), &idle()).expect("a place");
        assert_eq!(
            admission.admit(client(1), &idle()).err(),
            Some(Refusal::Client)
        );
        let _other = admission.admit(client(2), &idle()).expect("a place");
        drop(first);
        assert!(admission.admit(client(1), &idle()).is_ok());
        for _ in 0..5 {
            std::mem::forget(admission.admit(None, &idle()).expect("a place of a proxy"));
        }
    }

    #[test]
    fn the_heaviest_client_makes_room_with_its_oldest_idle_connection() {
        let admission = admission(4, 4);
        let connections = [idle(), idle(), idle()];
        let busy = connections[0].responses.begin();
        let permits: Vec<_> = connections
            .iter()
            .map(|connection| admission.admit(client(1), connection).expect("a place"))
            .collect();
        let _second = admission.admit(client(2), &idle()).expect("the last place");
        let _third = admission
            .admit(client(3), &idle())
            .expect("a place of client 1");
        assert_eq!(
            [0, 1, 2].map(|n| is_evicted(&connections[n])),
            [false, true, false]
        );
        drop((busy, permits));
        assert_eq!(admission.places.borrow().taken(), 2);
        assert_eq!(admission.places.borrow().by_client.len(), 2);
    }

    #[test]
    fn among_equals_the_longest_idle_connection_makes_room_and_a_busy_one_never() {
        let admission = admission(2, 2);
        let connections = [idle(), idle()];
        let busy = connections[0].responses.begin();
        let _permits: Vec<_> = connections
            .iter()
            .zip(1..)
            .map(|(connection, number)| {
                admission
                    .admit(client(number), connection)
                    .expect("a place")
            })
            .collect();
        let newest = idle();
        let _busy = (busy, newest.responses.begin());
        let _third = admission.admit(client(3), &newest).expect("a place");
        assert_eq!([0, 1].map(|n| is_evicted(&connections[n])), [false, true]);
        assert_eq!(
            admission.admit(client(4), &idle()).err(),
            Some(Refusal::Total)
        );
    }
}
