//! Connections that a handler can have reset. Called by the program and by [`crate::testing`]; the responses belong to
//! the handlers.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use chassis::shutdown::Shutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// The grace period of open requests; the whole shutdown takes less than two seconds.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Serves until the shutdown starts, then gives open requests a grace period.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: &Shutdown) {
    let service = router.into_make_service_with_connect_info::<ResetSwitch>();
    let until = shutdown.clone();
    let served = axum::serve(SwitchedListener(listener), service)
        .with_graceful_shutdown(async move { until.started().await });
    let timeout = async {
        shutdown.started().await;
        tokio::time::sleep(SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        _ = served.into_future() => {}
        () = timeout => tracing::info!("open requests are aborted"),
    }
}

struct SwitchedListener(TcpListener);

impl Listener for SwitchedListener {
    type Io = SwitchedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (SwitchedStream, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small responses should leave at once; without this a client sees delays of no fault that was requested.
        let _ = stream.set_nodelay(true);
        let reset = ResetSwitch::default();
        (SwitchedStream { stream, reset }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, SwitchedListener>> for ResetSwitch {
    fn connect_info(stream: IncomingStream<'_, SwitchedListener>) -> Self {
        stream.io().reset.clone()
    }
}

/// Lets a handler reset the connection of its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct ResetSwitch(Arc<AtomicBool>);

impl ResetSwitch {
    /// Makes the next write fail and the peer see a reset.
    pub(crate) fn pull(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A TCP stream that can be made to end in a reset.
#[derive(Debug)]
struct SwitchedStream {
    stream: TcpStream,
    reset: ResetSwitch,
}

impl SwitchedStream {
    /// Fails if the switch is pulled; closing the socket then sends RST instead of FIN.
    fn check(&self) -> io::Result<()> {
        if self.reset.0.load(Ordering::Acquire) {
            self.stream.set_zero_linger()?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for SwitchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for SwitchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
