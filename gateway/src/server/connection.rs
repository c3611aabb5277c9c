//! One connection of a client, from its acceptance to its end: TLS, the version of HTTP, requests, shutdown. Called by
//! [`super`] for each accepted connection.

use std::{
    cell::Cell,
    convert::Infallible,
    future::poll_fn,
    io,
    net::{Shutdown, SocketAddr},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    Request, body::Incoming, header::HeaderValue, rt::Write, server::conn::http1 as hyper_http1,
    service::service_fn, upgrade::OnUpgrade,
};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::server::TlsStream;

use super::{
    client_stream::{ClientStream, Timeouts},
    drain::{Drain, Watcher},
    http1, http2, malformed,
    shared::SharedHttp,
    tls::{ALPN_HTTP2, HANDSHAKE_FAILURES_TOTAL, ServerTls},
    tunnel::{self, TunnelTimeouts},
    unread::UnreadStream,
};
use crate::{
    admission::{CLIENT_CONNECTIONS, ConnectionHandle, Permit},
    pipeline,
    socket::Socket,
    state::{Peer, ThreadState},
    websocket::End,
};

/// The time and the bytes for which the rest of a request in cleartext is read: closing immediately would reset the
/// connection before the client has read the refusal.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);
const MAX_LINGER_READS: usize = 64;

/// The connections of one thread.
pub(super) struct Connections {
    http: Rc<SharedHttp>,
    /// `None`: cleartext.
    tls: Option<Arc<ServerTls>>,
    /// Serves the requests of HTTP/1.1 that [`http1`] does not.
    any_http1: hyper_http1::Builder,
    tunnel_timeouts: TunnelTimeouts,
    pub(super) drain: Drain,
}

/// The reason why a TLS handshake failed.
enum HandshakeFailure {
    /// The client sent a request in cleartext.
    NotTls(Socket),
    Failed(io::Error),
}

impl Connections {
    /// No connections of the thread with `state`, with TLS if there is a certificate.
    pub(super) fn new(state: Rc<ThreadState>, tls: Option<Arc<ServerTls>>) -> Rc<Self> {
        let own = &state.shared.config.own;
        let mut any_http1 = hyper_http1::Builder::new();
        // The stream limits the time of heads.
        any_http1
            .header_read_timeout(None)
            .max_header_size(own.head_limit_bytes)
            // Also the size of hyper's buffers for bodies.
            .max_buf_size(own.head_limit_bytes.max(64 * 1024));
        let timeouts = Timeouts {
            write: Duration::from_millis(own.client_stall_timeout_ms),
            head: Duration::from_millis(own.head_timeout_ms),
            keep_alive: Duration::from_millis(own.keep_alive_timeout_ms),
        };
        let tunnel_timeouts = TunnelTimeouts::new(&state.shared.config);
        let http = Rc::new(SharedHttp {
            state,
            timeouts,
            hsts: tls.as_ref().and_then(|tls| tls.hsts.clone()),
        });
        Rc::new(Self {
            http,
            tls,
            any_http1,
            tunnel_timeouts,
            drain: Drain::default(),
        })
    }

    /// Serves a connection from `address` in a task of its own, which holds `permit`.
    pub(super) fn serve(
        self: &Rc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        connection: Rc<ConnectionHandle>,
        permit: Option<Permit>,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let ip = address.ip().to_canonical();
        let header = HeaderValue::try_from(ip.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let peer = Rc::new(Peer {
            ip,
            header,
            scheme: if self.tls.is_some() { "https" } else { "http" },
            connection: Rc::clone(&connection),
            timer: Cell::default(),
            permit: Cell::default(),
            tunnel: Cell::default(),
        });
        let this = Rc::clone(self);
        let watcher = self.drain.watcher();
        metrics::gauge!(CLIENT_CONNECTIONS).increment(1.0);
        tokio::task::spawn_local(async move {
            let served = async {
                match &this.tls {
                    None => {
                        this.serve_cleartext(Socket::new(stream), &peer, watcher)
                            .await
                    }
                    // Boxed, so that connections in cleartext are small.
                    Some(tls) => {
                        Box::pin(this.serve_tls(tls, Socket::new(stream), &peer, watcher)).await
                    }
                }
            };
            tokio::select! {
                biased;
                () = connection.evicted() => {}
                () = served => {}
            }
            metrics::gauge!(CLIENT_CONNECTIONS).decrement(1.0);
            drop(permit);
        });
    }

    async fn serve_cleartext(&self, stream: Socket, peer: &Rc<Peer>, mut watcher: Watcher) {
        let http2 = self.serve_http1(stream, peer, &mut watcher, true).await;
        if let Some(stream) = http2 {
            Box::pin(http2::serve(&self.http, stream, peer, watcher)).await;
        }
    }

    async fn serve_tls(
        &self,
        tls: &ServerTls,
        stream: Socket,
        peer: &Rc<Peer>,
        mut watcher: Watcher,
    ) {
        let handshake = handshake(tls, stream);
        let completed = watcher
            .limit_handshake(self.http.timeouts.head, handshake)
            .await;
        let reason = match completed {
            Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2) => {
                return http2::serve(&self.http, stream, peer, watcher).await;
            }
            Some(Ok(stream)) => {
                self.serve_http1(stream, peer, &mut watcher, false).await;
                return;
            }
            None => "timeout",
            Some(Err(HandshakeFailure::NotTls(stream))) => {
                let response = malformed::not_tls(&self.http.state, peer.ip);
                let refused = refuse(stream.stream(), &response);
                if let Ok(Err(error)) = tokio::time::timeout(LINGER_TIMEOUT, refused).await {
                    tracing::debug!(%error, "cannot refuse a request in cleartext");
                }
                "not_tls"
            }
            Some(Err(HandshakeFailure::Failed(error))) => {
                tracing::debug!(%error, "TLS handshake failed");
                "failed"
            }
        };
        metrics::counter!(HANDSHAKE_FAILURES_TOTAL, "reason" => reason).increment(1);
    }

    /// Serves a connection of HTTP/1.1 until it ends. Returns the stream if the client speaks HTTP/2 instead, which it may
    /// if `may_be_http2`.
    async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stream: S,
        peer: &Rc<Peer>,
        watcher: &mut Watcher,
        may_be_http2: bool,
    ) -> Option<UnreadStream<S>> {
        let (stream, received) = http1::serve(&self.http, stream, peer, watcher).await?;
        let may_be_http2 = may_be_http2 && peer.connection.responses.begun() == 0;
        let stream = UnreadStream::new(stream, received);
        // Boxed, so that other connections are small.
        Box::pin(self.serve_any_http1(stream, peer, watcher, may_be_http2)).await
    }

    /// Serves a connection with requests of any kind like [`Self::serve_http1`].
    async fn serve_any_http1<S: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stream: UnreadStream<S>,
        peer: &Rc<Peer>,
        watcher: &mut Watcher,
        may_be_http2: bool,
    ) -> Option<UnreadStream<S>> {
        let responses = &peer.connection.responses;
        let explain = {
            let (state, ip) = (Rc::clone(&self.http.state), peer.ip);
            move |status| malformed::response(&state, ip, status)
        };
        let strict = self.http.state.shared.config.own.strict_line_ends;
        let stream = ClientStream::new(
            stream,
            self.http.timeouts,
            responses.clone(),
            strict,
            may_be_http2,
            explain,
        );
        let has_upgrade = Cell::new(false);
        let service = service_fn(|request: Request<Incoming>| {
            let guard = responses.begin();
            if request.extensions().get::<OnUpgrade>().is_some() {
                has_upgrade.set(true);
            }
            async move {
                let (head, body) = request.into_parts();
                // Boxed, so that idle connections have no room for it.
                let serving = Box::pin(pipeline::serve(&self.http.state, peer, head, Some(body)));
                let mut response = serving.await;
                // hyper knows which request is the last one.
                http1::finish(&self.http, &mut response, false);
                let response = response.map(|body| {
                    // The response is in progress until its body, which owns the guard, is dropped.
                    body.map_err(move |error| {
                        let _ = &guard;
                        error
                    })
                });
                Ok::<_, Infallible>(hyper::Response::from(response))
            }
        });
        let mut serving = self.any_http1.serve_connection(stream, service);
        if let Err(error) = watcher.run(Pin::new(&mut serving), responses).await {
            tracing::debug!(%error, "client connection failed");
            if let Some(mut tunnel) = peer.tunnel.take() {
                tunnel.record.end = End::Client;
            }
            return None;
        }
        let hyper_http1::Parts {
            mut io, read_buf, ..
        } = serving.into_parts();
        if let Some(tunnel) = peer.tunnel.take() {
            // In progress, so that the connection does not count as idle.
            let _guard = responses.begin();
            let timeouts = self.tunnel_timeouts;
            // Boxed, so that other connections are small.
            Box::pin(tunnel::run(
                tunnel,
                io.into_inner(),
                &read_buf,
                timeouts,
                watcher,
            ))
            .await;
            return None;
        }
        if has_upgrade.get() {
            // hyper leaves the end to the protocol that it expects to follow.
            let end = poll_fn(|cx| Pin::new(&mut io).poll_shutdown(cx));
            if let Err(error) = end.await {
                tracing::debug!(%error, "client connection failed");
            }
        }
        io.into_http2()
            .map(|(stream, opening)| stream.unread(opening))
    }
}

async fn handshake(tls: &ServerTls, stream: Socket) -> Result<TlsStream<Socket>, HandshakeFailure> {
    // Methods are in capitals; a TLS record begins with a control character.
    let mut first = [0];
    match stream.stream().peek(&mut first).await {
        Ok(0) => {
            return Err(HandshakeFailure::Failed(
                io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        Ok(_) if first[0].is_ascii_uppercase() => return Err(HandshakeFailure::NotTls(stream)),
        Ok(_) => {}
        Err(error) => return Err(HandshakeFailure::Failed(error)),
    }
    let accepted = tls.acceptor().accept(stream).await;
    accepted.map_err(HandshakeFailure::Failed)
}

/// Sends `response`, and reads what the client still sends.
async fn refuse(stream: &TcpStream, response: &[u8]) -> io::Result<()> {
    stream.writable().await?;
    // The buffer of a new connection has space for all of it.
    stream.try_write(response)?;
    SockRef::from(stream).shutdown(Shutdown::Write)?;
    let mut buffer = [0; 4096];
    for _ in 0..MAX_LINGER_READS {
        stream.readable().await?;
        match stream.try_read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
