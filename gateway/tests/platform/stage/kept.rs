//! An HTTP client for drills, which tests of the gateway alone and of the platform share: it keeps its connections, never
//! sends a request twice, and reports every failure.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    client::conn::http1::{SendRequest, handshake},
    header::{CONNECTION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

/// The longest wait for a complete response.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The failure of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Failed {
    /// There is no connection.
    Connect,
    /// The connection ended before the head of the response.
    NoResponse,
    /// The body of the response broke off.
    Truncated,
    /// The response was not complete in time.
    Late,
}

/// Connections from one address to another, each used again as long as the server lets it.
pub(crate) struct KeptConnections {
    from: Ipv4Addr,
    to: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl KeptConnections {
    /// No connections yet, from the loopback address `from`.
    pub(crate) fn new(from: Ipv4Addr, to: SocketAddr) -> Self {
        Self {
            from,
            to,
            idle: Mutex::default(),
        }
    }

    /// Sends a request once, over an idle connection or a new one; returns the whole response.
    pub(crate) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, Failed> {
        let sending = self.exchange(request);
        let sent = tokio::time::timeout(MAX_WAIT, sending).await;
        sent.unwrap_or(Err(Failed::Late))
    }

    /// Closes the idle connections.
    pub(crate) fn close_idle(&self) {
        self.idle.lock().unwrap().clear();
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Failed> {
        let mut sender = match self.reuse().await {
            Some(sender) => sender,
            None => self.connect().await.map_err(|_| Failed::Connect)?,
        };
        let response = sender.send_request(request).await;
        let (head, body) = response.map_err(|_| Failed::NoResponse)?.into_parts();
        let body = body.collect().await.map_err(|_| Failed::Truncated)?;
        let is_last = head.headers.get(CONNECTION);
        if is_last.is_none_or(|value| value != "close") {
            self.idle.lock().unwrap().push(sender);
        }
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The connection that was used last, if it is open as far as is known.
    async fn reuse(&self) -> Option<SendRequest<Full<Bytes>>> {
        loop {
            let mut sender = self.idle.lock().unwrap().pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    async fn connect(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.from, 0).into())?;
        let stream = socket.connect(self.to).await?;
        stream.set_nodelay(true)?;
        let handshake = handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(io::Error::other)?;
        // Its errors are those of its requests.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }
}

/// A request with a token; a POST of JSON if there is a body.
pub(crate) fn request(path: &str, token: &str, body: Option<&str>) -> Request<Full<Bytes>> {
    let builder = Request::builder()
        .method(if body.is_some() { "POST" } else { "GET" })
        .uri(path)
        .header(HOST, "gateway")
        .header("authorization", format!("Bearer {token}"));
    let builder = match body {
        Some(_) => builder.header(CONTENT_TYPE, "application/json"),
        None => builder,
    };
    let body = Bytes::from(body.unwrap_or_default().to_owned());
    builder.body(Full::new(body)).unwrap()
}

/// The percentile of `times`, in milliseconds; 0 if there are none.
pub(crate) fn percentile_ms(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    let place = (last as f64 * part).round() as usize;
    times.get(place).map_or(0.0, Duration::as_secs_f64) * 1000.0
}
