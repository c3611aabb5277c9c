//! Raw HTTP exchanges: ordinary clients correct or refuse the invalid requests of these tests.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use chassis::testing::TestResponse;
use reqwest::{
    StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// The longest wait for a response.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The result of an exchange.
#[derive(Debug)]
pub(crate) enum RawResponse {
    /// An HTTP response.
    Http(TestResponse),
    /// The connection was closed without a response.
    Closed,
    /// Bytes that are not HTTP, or none in time.
    NotHttp(String),
}

/// The client's behaviour after its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It waits.
    Open,
    /// It closes its side before the request is complete.
    HalfClose,
}

/// Sends `request` to `address` unchanged; reads until the peer closes or the response is complete.
pub(crate) async fn exchange(address: SocketAddr, request: Vec<u8>, ending: Ending) -> RawResponse {
    tokio::task::spawn_blocking(move || exchange_blocking(address, &request, ending))
        .await
        .unwrap()
}

fn exchange_blocking(address: SocketAddr, request: &[u8], ending: Ending) -> RawResponse {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    stream.set_write_timeout(Some(MAX_WAIT)).unwrap();
    // A server may respond before it has read the whole request.
    let _ = stream.write_all(request);
    if ending == Ending::HalfClose {
        let _ = stream.shutdown(Shutdown::Write);
    }
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if bytes.is_empty() && is_timeout(&error) => {
                return RawResponse::NotHttp("nothing in time".to_owned());
            }
            Err(_) => break,
        }
        if let Some(response) = parse(&bytes, false) {
            let _ = stream.shutdown(Shutdown::Both);
            return RawResponse::Http(response);
        }
    }
    match parse(&bytes, true) {
        Some(response) => RawResponse::Http(response),
        None if bytes.is_empty() => RawResponse::Closed,
        None => RawResponse::NotHttp(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// The first response in `bytes`, if it is complete. Without a length it ends with the connection.
fn parse(bytes: &[u8], ended: bool) -> Option<TestResponse> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()?
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| StatusCode::from_bytes(rest.get(..3)?.as_bytes()).ok())?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        headers.append(
            HeaderName::from_bytes(name.as_bytes()).ok()?,
            HeaderValue::from_str(value.trim()).ok()?,
        );
    }
    let rest = &bytes[end + 4..];
    if status.is_informational() {
        return parse(rest, ended);
    }
    let length = headers
        .get("content-length")
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let body = match length {
        Some(length) => rest.get(..length)?,
        None if ended => rest,
        None => return None,
    };
    Some(TestResponse {
        status,
        headers,
        body: serde_json::from_slice(body).unwrap_or_default(),
        text: String::from_utf8_lossy(body).into_owned(),
    })
}
