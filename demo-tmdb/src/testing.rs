//! A demo-tmdb inside a test process, and an HTTP client that shows exactly what came over the wire: real clients
//! repair or hide the very faults that are tested.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{handler, runtime, server, settings::Settings, state::AppState};

/// The time limit of a request; a test that would wait forever fails instead.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A running demo-tmdb with state of its own. Its connections break when it is dropped.
pub struct DemoTmdb {
    client: Client,
    runtime: Option<Runtime>,
}

impl DemoTmdb {
    /// Starts one on a free port, with default settings.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one on a free port, with the settings that the program would read from these environment variables.
    ///
    /// # Panics
    /// If a setting is invalid or no port is free.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let settings = Settings::parse(|key| {
            let (_, value) = settings.iter().find(|(name, _)| *name == key)?;
            Some((*value).to_owned())
        })
        .expect("valid settings");
        let state = Arc::new(AppState::build(&settings).expect("the embedded catalogue"));
        let listener = std::net::TcpListener::bind((settings.host.as_str(), 0))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let runtime = runtime().expect("a runtime");
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            server::serve(listener, handler::router(state), std::future::pending()).await;
        });
        Self {
            client: Client { address },
            runtime: Some(runtime),
        }
    }
}

impl Drop for DemoTmdb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::ops::Deref for DemoTmdb {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A response as it came over the wire.
pub struct RawResponse {
    /// The status code.
    pub status: u16,
    /// The status line and the header lines.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The value of header `name`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client of the demo-tmdb at an address.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// The address of demo-tmdb.
    pub address: SocketAddr,
}

impl Client {
    /// The base URL of the API, as `TMDB_BASE_URL` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/3", self.address)
    }

    /// Sends a request and reads the response until the connection ends. `headers` are whole lines.
    ///
    /// # Errors
    /// Returns the kind of the connection's error.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<RawResponse, ErrorKind> {
        self.send_within(method, path, headers, body, REQUEST_TIMEOUT)
    }

    /// Sends a request like [`Client::send`], with a time limit for each read.
    ///
    /// # Errors
    /// Returns the kind of the connection's error.
    ///
    /// # Panics
    /// If the response has no HTTP head.
    pub fn send_within(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
        timeout: Duration,
    ) -> Result<RawResponse, ErrorKind> {
        let mut stream = TcpStream::connect(self.address).map_err(|error| error.kind())?;
        stream
            .set_read_timeout(Some(timeout))
            .expect("a timeout that is not zero");
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream
            .write_all(request.as_bytes())
            .map_err(|error| error.kind())?;
        let mut bytes = Vec::new();
        stream
            .read_to_end(&mut bytes)
            .map_err(|error| error.kind())?;
        let end = bytes
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .ok_or(ErrorKind::UnexpectedEof)?;
        let head = String::from_utf8(bytes[..end].to_vec()).expect("an ASCII head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status");
        Ok(RawResponse {
            status,
            head,
            body: bytes.split_off(end + 4),
        })
    }

    /// Gets `path` (below `/3`, with or without a query) with an API key.
    ///
    /// # Panics
    /// If the connection fails.
    pub fn get(&self, path: &str) -> RawResponse {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.send("GET", &format!("/3{path}{separator}api_key=any"), "", "")
            .expect("a response")
    }

    /// The JSON body of a GET that must succeed.
    ///
    /// # Panics
    /// If the status is not 200.
    pub fn json(&self, path: &str) -> Value {
        let response = self.get(path);
        assert_eq!(
            response.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&response.body)
        );
        response.json()
    }

    /// The JSON body of a call of a control path, null if it is empty.
    ///
    /// # Panics
    /// If the status is not 2xx.
    pub fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let response = self.send(method, path, "", body).expect("a response");
        assert!(
            (200..300).contains(&response.status),
            "{method} {path}: {}",
            String::from_utf8_lossy(&response.body)
        );
        if response.body.is_empty() {
            Value::Null
        } else {
            response.json()
        }
    }

    /// Replaces the active faults by those in `json`.
    pub fn faults(&self, json: &str) {
        self.control("DELETE", "/__faults", "");
        self.control("POST", "/__faults", json);
    }

    /// The movie ids on one page of a list.
    pub fn ids(&self, path: &str) -> Vec<i64> {
        ids(&self.json(path))
    }

    /// The movie ids of all pages of a list.
    ///
    /// # Panics
    /// If the totals disagree with the pages.
    pub fn all_ids(&self, path: &str) -> Vec<i64> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let mut all = Vec::new();
        for page in 1.. {
            let body = self.json(&format!("{path}{separator}page={page}"));
            assert_eq!(body["page"], page);
            all.extend(ids(&body));
            if page >= body["total_pages"].as_i64().expect("a number") {
                assert_eq!(body["total_results"], all.len());
                return all;
            }
        }
        unreachable!("pages end")
    }
}

fn ids(page: &Value) -> Vec<i64> {
    let results = page["results"].as_array().expect("a list");
    results
        .iter()
        .map(|film| film["id"].as_i64().expect("an id"))
        .collect()
}
