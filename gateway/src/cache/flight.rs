//! Request collapsing (RFC 9211, "collapsed"): a request that needs a response which another has requested waits for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

use super::entry::Entry;

/// Requests that wait for one fetch; further ones ask the service themselves.
const MAX_FOLLOWERS: usize = 1024;

/// The state of a fetch.
#[derive(Clone)]
enum State {
    UnderWay,
    /// The response was stored.
    Stored(Arc<Entry>),
    /// The service failed.
    Failed,
    /// There is no response that others may use.
    Over,
}

/// The fetches under way of all threads, which further requests can join.
#[derive(Default)]
pub(crate) struct CollapsedRequests(Mutex<HashMap<FlightKey, Arc<Flight>>>);

/// The number of removals before the fetch, and the key of the response.
type FlightKey = (u64, String);

struct Flight {
    state: watch::Sender<State>,
    followers: AtomicUsize,
}

/// The role of a request in a fetch.
pub(crate) enum Role {
    /// It has to fetch.
    Leader(Leader),
    /// It waits for the leader's response.
    Follower(Follower),
    /// It has to ask the service itself, since too many wait.
    TooManyFollowers,
}

impl CollapsedRequests {
    /// Joins the fetch of `key`, or begins it.
    pub(crate) fn join(self: &Arc<Self>, key: FlightKey) -> Role {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            if flight.followers.fetch_add(1, Ordering::Relaxed) >= MAX_FOLLOWERS {
                flight.followers.fetch_sub(1, Ordering::Relaxed);
                return Role::TooManyFollowers;
            }
            return Role::Follower(Follower {
                state: flight.state.subscribe(),
                flight: Arc::clone(flight),
            });
        }
        let flight = Arc::new(Flight {
            state: watch::Sender::new(State::UnderWay),
            followers: AtomicUsize::new(0),
        });
        flights.insert(key.clone(), Arc::clone(&flight));
        Role::Leader(Leader {
            flights: Arc::clone(self),
            key,
            flight,
        })
    }
}

/// The duty to fetch. Dropped, it lets the followers ask the service themselves.
pub(crate) struct Leader {
    flights: Arc<CollapsedRequests>,
    key: FlightKey,
    flight: Arc<Flight>,
}

impl Leader {
    /// Gives `entry` to the followers.
    pub(crate) fn stored(self, entry: Arc<Entry>) {
        self.flight.state.send_replace(State::Stored(entry));
    }

    /// Tells the followers that the service failed.
    pub(crate) fn failed(self) {
        self.flight.state.send_replace(State::Failed);
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        let mut flights = self
            .flights
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        flights.remove(&self.key);
        drop(flights);
        self.flight.state.send_if_modified(|state| {
            let is_open = matches!(state, State::UnderWay);
            if is_open {
                *state = State::Over;
            }
            is_open
        });
    }
}

/// The end of a follower's wait.
pub(crate) enum Waited {
    /// The response.
    Stored(Arc<Entry>),
    /// The service failed for the leader.
    Failed,
    /// The request has to ask the service itself.
    Alone,
}

/// A request that waits.
pub(crate) struct Follower {
    state: watch::Receiver<State>,
    flight: Arc<Flight>,
}

impl Follower {
    /// Waits for the end of the fetch.
    pub(crate) async fn wait(mut self) -> Waited {
        let state = self
            .state
            .wait_for(|state| !matches!(state, State::UnderWay))
            .await;
        match state.as_deref() {
            Ok(State::Stored(entry)) => Waited::Stored(Arc::clone(entry)),
            Ok(State::Failed) => Waited::Failed,
            _ => Waited::Alone,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.flight.followers.fetch_sub(1, Ordering::Relaxed);
    }
}
