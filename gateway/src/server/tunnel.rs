//! A WebSocket between a client and a service: copies bytes both ways until both sides have ended, one of them fails or
//! accepts nothing, nothing is sent for too long, or the process stops. Called by [`super::connection`].
//!
//! The gateway does not read the frames. So it cannot send a Close frame of its own: at a limit it ends both connections.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, sleep},
};

use super::{drain::Watcher, stall::StallTimer};
use crate::{
    config::GatewayConfig,
    websocket::{End, Tunnel},
};

/// The bytes of one direction that are held for a side that accepts less than the other sends.
const BUFFER_BYTES: usize = 16 * 1024;
/// The time limit of the orderly end of a connection.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limits of a WebSocket.
#[derive(Debug, Clone, Copy)]
pub(super) struct TunnelTimeouts {
    /// No byte in either direction.
    idle: Duration,
    /// The client accepts nothing.
    client_stall: Duration,
    /// The service accepts nothing.
    service_stall: Duration,
    /// From the beginning of the shutdown.
    shutdown: Duration,
}

impl TunnelTimeouts {
    pub(super) fn new(config: &GatewayConfig) -> Self {
        let grace = config.process.shutdown_grace();
        Self {
            idle: Duration::from_secs(config.own.websocket_idle_seconds),
            client_stall: Duration::from_millis(config.own.client_stall_timeout_ms),
            service_stall: Duration::from_millis(config.own.upstream_stall_timeout_ms),
            // The end must not exceed the grace period of the process.
            shutdown: grace.saturating_sub(2 * END_TIMEOUT).max(grace / 2),
        }
    }
}

/// Runs `tunnel` between `client`, of which `early` was read before the switch, and its service to its end.
pub(super) async fn run<C: AsyncRead + AsyncWrite + Unpin>(
    mut tunnel: Box<Tunnel>,
    mut client: C,
    early: &[u8],
    timeouts: TunnelTimeouts,
    watcher: &mut Watcher,
) {
    // RFC 6455, 4.1: a client has to wait. What it sent may have been meant as a request.
    if !early.is_empty() {
        tunnel.record.end = End::EarlyData;
        shut_down(&mut client).await;
        return;
    }
    let Some(side) = &mut tunnel.service_side else {
        return;
    };
    let service = &mut side.stream;
    let mut to_service = Direction::new(timeouts.service_stall, &[]);
    let mut to_client = Direction::new(timeouts.client_stall, &side.early);
    let mut stopped = pin!(async {
        watcher.stopped().await;
        sleep(timeouts.shutdown).await;
    });
    let mut idle = pin!(sleep(timeouts.idle));
    let mut active = Instant::now();
    let mut first = None;
    let record = &mut tunnel.record;
    let end = poll_fn(|cx| {
        let before = to_service.bytes + to_client.bytes;
        let service_fed = to_service.poll(cx, &mut client, service);
        let client_fed = to_client.poll(cx, service, &mut client);
        if to_service.bytes + to_client.bytes != before {
            active = Instant::now();
            record.bytes_to_service = to_service.bytes;
            record.bytes_to_client = to_client.bytes;
        }
        if to_service.is_ending() {
            first.get_or_insert(End::Client);
        }
        if to_client.is_ending() {
            first.get_or_insert(End::Service);
        }
        for (fed, (from, to)) in [
            (&service_fed, (End::Client, End::Service)),
            (&client_fed, (End::Service, End::Client)),
        ] {
            match fed {
                Poll::Ready(Err(Fault::Read)) => return Poll::Ready(from),
                Poll::Ready(Err(Fault::Write)) => return Poll::Ready(to),
                Poll::Ready(Err(Fault::Stalled)) => return Poll::Ready(End::Stalled),
                _ => {}
            }
        }
        if service_fed.is_ready() && client_fed.is_ready() {
            return Poll::Ready(first.unwrap_or(End::Client));
        }
        if stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(End::Shutdown);
        }
        while idle.as_mut().poll(cx).is_ready() {
            let until = active + timeouts.idle;
            if idle.deadline() >= until {
                return Poll::Ready(End::Idle);
            }
            idle.as_mut().reset(until);
        }
        Poll::Pending
    });
    let end = end.await;
    tunnel.record.end = end;
    if matches!(end, End::Idle | End::Shutdown) {
        tokio::join!(shut_down(&mut client), shut_down(service));
    }
}

/// Ends a connection, so that its peer learns of it.
async fn shut_down(stream: &mut (impl AsyncWrite + Unpin)) {
    let end = poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx));
    if let Ok(Err(error)) = tokio::time::timeout(END_TIMEOUT, end).await {
        tracing::debug!(%error, "cannot end the connection of a WebSocket");
    }
}

/// The failure of one direction.
enum Fault {
    Read,
    Write,
    Stalled,
}

/// The bytes of one direction under way.
struct Direction {
    buffer: Box<[u8]>,
    /// The bytes of the buffer that are to be written.
    held: std::ops::Range<usize>,
    /// Bytes written so far.
    bytes: u64,
    state: State,
    stall_timeout: Duration,
    stall: StallTimer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Bytes have been written that the sink may hold back.
    Flushing,
    /// The source has ended; the sink is told.
    Ending,
    Ended,
}

impl Direction {
    /// A direction in which `early` has been read.
    fn new(stall_timeout: Duration, early: &[u8]) -> Self {
        let mut buffer = early.to_vec();
        buffer.resize(early.len().max(BUFFER_BYTES), 0);
        Self {
            buffer: buffer.into(),
            held: 0..early.len(),
            bytes: 0,
            state: State::Open,
            stall_timeout,
            stall: StallTimer::default(),
        }
    }

    /// True if the source has ended.
    fn is_ending(&self) -> bool {
        matches!(self.state, State::Ending | State::Ended)
    }

    /// Copies from `source` to `sink`; ready at the end of the source, which `sink` has been told.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut (impl AsyncRead + Unpin),
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), Fault>> {
        loop {
            if !self.held.is_empty() {
                let bytes = &self.buffer[self.held.clone()];
                let written = Pin::new(&mut *sink).poll_write(cx, bytes);
                let count = ready!(self.limit(cx, written))?;
                if count == 0 {
                    return Poll::Ready(Err(Fault::Write));
                }
                self.held.start += count;
                self.bytes += count as u64;
                self.state = State::Flushing;
                continue;
            }
            match self.state {
                State::Open => {
                    let mut read = ReadBuf::new(&mut self.buffer);
                    let result = ready!(Pin::new(&mut *source).poll_read(cx, &mut read));
                    let count = read.filled().len();
                    if result.is_err() {
                        return Poll::Ready(Err(Fault::Read));
                    }
                    match count {
                        0 => self.state = State::Ending,
                        _ => self.held = 0..count,
                    }
                }
                // TLS holds back what the socket does not accept.
                State::Flushing => {
                    let flushed = Pin::new(&mut *sink).poll_flush(cx);
                    ready!(self.limit(cx, flushed))?;
                    self.state = State::Open;
                }
                State::Ending => {
                    let shut_down = Pin::new(&mut *sink).poll_shutdown(cx);
                    ready!(self.limit(cx, shut_down))?;
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Fails an operation of the sink that is pending for too long.
    fn limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<Result<T, Fault>> {
        let limited = self.stall.limit(cx, self.stall_timeout, result);
        limited.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Fault::Stalled,
            _ => Fault::Write,
        })
    }
}
