//! Fetches under way: a request that needs a response which another has requested waits for it.

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
const MAX_WAITERS: usize = 1024;

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

/// The fetches under way of all threads.
#[derive(Default)]
pub(crate) struct Flights(Mutex<HashMap<FlightKey, Arc<Flight>>>);

/// The number of removals before the fetch, and the key of the response.
type FlightKey = (u64, String);

struct Flight {
    state: watch::Sender<State>,
    waiters: AtomicUsize,
}

/// The part of a request in a fetch.
pub(crate) enum Part {
    /// It has to fetch.
    Lead(Lead),
    /// It waits.
    Wait(Waiter),
    /// Too many wait.
    Crowded,
}

impl Flights {
    /// Joins the fetch of `key`, or begins it.
    pub(crate) fn join(self: &Arc<Self>, key: FlightKey) -> Part {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&key) {
            if flight.waiters.fetch_add(1, Ordering::Relaxed) >= MAX_WAITERS {
                flight.waiters.fetch_sub(1, Ordering::Relaxed);
                return Part::Crowded;
            }
            return Part::Wait(Waiter {
                state: flight.state.subscribe(),
                flight: Arc::clone(flight),
            });
        }
        let flight = Arc::new(Flight {
            state: watch::Sender::new(State::UnderWay),
            waiters: AtomicUsize::new(0),
        });
        flights.insert(key.clone(), Arc::clone(&flight));
        Part::Lead(Lead {
            flights: Arc::clone(self),
            key,
            flight,
        })
    }
}

/// The duty to fetch. Dropped, it lets those that wait ask the service themselves.
pub(crate) struct Lead {
    flights: Arc<Flights>,
    key: FlightKey,
    flight: Arc<Flight>,
}

impl Lead {
    /// Gives `entry` to those that wait.
    pub(crate) fn stored(self, entry: Arc<Entry>) {
        self.flight.state.send_replace(State::Stored(entry));
    }

    /// Tells those that wait that the service failed.
    pub(crate) fn failed(self) {
        self.flight.state.send_replace(State::Failed);
    }
}

impl Drop for Lead {
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

/// The end of a wait.
pub(crate) enum Waited {
    /// The response.
    Stored(Arc<Entry>),
    /// The service failed for the one that fetched.
    Failed,
    /// The request has to ask the service itself.
    Alone,
}

/// A request that waits.
pub(crate) struct Waiter {
    state: watch::Receiver<State>,
    flight: Arc<Flight>,
}

impl Waiter {
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

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.waiters.fetch_sub(1, Ordering::Relaxed);
    }
}
