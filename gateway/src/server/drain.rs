//! The shutdown of connections: used by [`super::accept`] once the process stops. Requests that have arrived are
//! served, idle connections are closed, and clients that have just connected get time to send their request.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Poll, ready},
    time::Duration,
};

use hyper_util::server::graceful::GracefulConnection;
use tokio::{net::TcpListener, sync::Notify};

use crate::{admission::ResponseCounter, waker_set::WakerSet};

/// The time that a client has to begin its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Enough for the event loop to report what has arrived on idle connections.
const ARRIVED_TIMEOUT: Duration = Duration::from_millis(1);

/// Tells the connections of one thread that the process stops.
#[derive(Default)]
pub(super) struct Drain(Rc<State>);

#[derive(Default)]
struct State {
    is_stopping: Cell<bool>,
    waiting: WakerSet,
    watchers: Cell<usize>,
    ended: Notify,
}

impl Drain {
    /// A watcher for one connection.
    pub(super) fn watcher(&self) -> Watcher {
        let state = Rc::clone(&self.0);
        state.watchers.set(state.watchers.get() + 1);
        Watcher { state, place: None }
    }

    /// Begins the shutdown of all connections and waits until they have ended.
    pub(super) async fn finish(&self) {
        self.0.is_stopping.set(true);
        self.0.waiting.wake_all();
        while self.0.watchers.get() > 0 {
            self.0.ended.notified().await;
        }
    }
}

/// A connection's view of [`Drain`].
pub(super) struct Watcher {
    state: Rc<State>,
    place: Option<usize>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.state.waiting.leave(&mut self.place);
        let others = self.state.watchers.get().saturating_sub(1);
        self.state.watchers.set(others);
        if others == 0 {
            self.state.ended.notify_one();
        }
    }
}

impl Watcher {
    /// Returns once the process stops.
    pub(super) async fn stopped(&mut self) {
        poll_fn(|cx| {
            if self.state.is_stopping.get() {
                return Poll::Ready(());
            }
            self.state.waiting.wait(&mut self.place, cx);
            Poll::Pending
        })
        .await;
    }

    /// Returns once the process stops and no request has come in the time that a client has to begin one, on a connection
    /// whose requests `responses` counts.
    pub(super) async fn stopped_idle(&mut self, responses: &ResponseCounter) {
        self.stopped().await;
        tokio::time::sleep(idle_timeout(responses.begun())).await;
    }

    /// Runs `handshake` for at most `timeout`, and no longer than a client has for its first request once the process
    /// stops; `None` if it takes longer.
    pub(super) async fn limit_handshake<F: Future>(
        &mut self,
        timeout: Duration,
        handshake: F,
    ) -> Option<F::Output> {
        let limit = async {
            tokio::select! {
                () = tokio::time::sleep(timeout) => {}
                () = self.stopped() => tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await,
            }
        };
        tokio::select! {
            biased;
            completed = handshake => Some(completed),
            () = limit => None,
        }
    }

    /// Runs `connection`, whose requests `responses` counts, until it ends or is shut down.
    ///
    /// # Errors
    /// Returns those of the connection.
    pub(super) async fn run<C: GracefulConnection>(
        &mut self,
        mut connection: Pin<&mut C>,
        responses: &ResponseCounter,
    ) -> Result<(), C::Error> {
        tokio::select! {
            biased;
            served = &mut connection => return served,
            () = self.stopped() => {}
        }
        // hyper closes a connection at once if it has read nothing of a request, even if one has arrived.
        let begun = responses.begun();
        let mut timer = pin!(tokio::time::sleep(idle_timeout(begun)));
        let ended = poll_fn(|cx| {
            if let Poll::Ready(served) = connection.as_mut().poll(cx) {
                return Poll::Ready(Some(served));
            }
            if responses.is_idle() && responses.begun() == begun {
                ready!(timer.as_mut().poll(cx));
                // The time limit of heads ends a request that has begun.
                if responses.is_within_request() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(None)
        });
        match ended.await {
            Some(served) => served,
            None => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    /// Runs `connection` of HTTP/2, whose requests `responses` counts, until it ends. Shuts it down if the process stops, if
    /// it has been idle for `keep_alive`, or once `unwanted` returns: `GOAWAY` names the last request that is served, and
    /// those before it are.
    ///
    /// # Errors
    /// Returns those of the connection.
    pub(super) async fn run_http2<C: GracefulConnection>(
        &mut self,
        mut connection: Pin<&mut C>,
        responses: &ResponseCounter,
        keep_alive: Duration,
        unwanted: impl Future<Output = ()>,
    ) -> Result<(), C::Error> {
        let stopped = async {
            self.stopped().await;
            if responses.begun() == 0 {
                tokio::time::sleep(FIRST_REQUEST_TIMEOUT).await;
            }
        };
        tokio::select! {
            biased;
            served = &mut connection => return served,
            () = stopped => {}
            () = unwanted => {}
            () = idle(responses, keep_alive) => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            served = &mut connection => served,
            // The client does not acknowledge the shutdown.
            () = idle(responses, FIRST_REQUEST_TIMEOUT) => Ok(()),
        }
    }
}

/// The time that a client has to begin a request on an idle connection once the process stops, after `begun` requests.
fn idle_timeout(begun: u64) -> Duration {
    match begun {
        0 => FIRST_REQUEST_TIMEOUT,
        _ => ARRIVED_TIMEOUT,
    }
}

/// Returns when no response has been in progress for `timeout`, within twice that time.
async fn idle(responses: &ResponseCounter, timeout: Duration) {
    loop {
        let (was_idle, begun) = (responses.is_idle(), responses.begun());
        tokio::time::sleep(timeout).await;
        if was_idle && responses.is_idle() && responses.begun() == begun {
            return;
        }
    }
}

/// Makes the kernel ignore new connections at `listener`, while handshakes that have begun continue: their clients
/// would lose a connection that is closed with the listener. Clients repeat an ignored attempt after a second, and find
/// another process at the port, or none.
///
/// # Errors
/// Returns an error if the system does not support it.
pub(super) fn ignore_new_connections(listener: &TcpListener) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use socket2::{SockFilter, SockRef};
        // A program of classic BPF over the TCP header: drops segments with SYN.
        SockRef::from(listener).attach_filter(&[
            // Loads the byte with the flags.
            SockFilter::new(0x30, 0, 0, 13),
            // SYN set: to the last instruction.
            SockFilter::new(0x45, 1, 0, 0x02),
            // Keeps all bytes.
            SockFilter::new(0x06, 0, 0, u32::MAX),
            // Keeps none.
            SockFilter::new(0x06, 0, 0, 0),
        ])
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = listener;
        Err(io::ErrorKind::Unsupported.into())
    }
}
