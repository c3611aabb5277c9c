//! demo-tmdb in the process of the test and as a process of its own, and a client that shows exactly what came over the
//! wire: real clients repair or hide the very faults that are tested.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The time limit of a request; a test that would wait forever fails instead.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A demo-tmdb in this process, with its client.
pub(crate) struct DemoTmdb {
    client: Client,
    _server: demo_tmdb::testing::DemoTmdb,
}

impl DemoTmdb {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let server = demo_tmdb::testing::DemoTmdb::start_with(settings);
        Self {
            client: Client {
                address: server.address,
            },
            _server: server,
        }
    }
}

impl std::ops::Deref for DemoTmdb {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// A demo-tmdb in a process of its own, killed when it goes out of scope.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) client: Client,
}

impl Program {
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut child = command(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("demo-tmdb starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("demo-tmdb prints its address");
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap_or_else(|| panic!("unexpected first line {line:?}"))
            .parse()
            .expect("an address");
        let client = Client { address };
        Self { child, client }
    }

    pub(crate) fn terminate(&self) {
        // The standard library can only send SIGKILL.
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// The exit status, if the process ends within `timeout`.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < timeout {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with a clean environment, so that the developer's own settings cannot change a test.
pub(crate) fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-tmdb"));
    command
        .env_clear()
        .env("SERVER_PORT", "0")
        .envs(settings.iter().copied());
    command
}

/// A response as it came over the wire.
pub(crate) struct RawResponse {
    /// The status code.
    pub(crate) status: u16,
    /// The status line and the header lines.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl RawResponse {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The value of header `name`.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A client of the demo-tmdb at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// The address of demo-tmdb.
    pub(crate) address: SocketAddr,
}

impl Client {
    /// The base URL of the API, as `TMDB_BASE_URL` takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/3", self.address)
    }

    /// Sends a request and reads the response until the connection ends. `headers` are whole lines.
    pub(crate) fn send(
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
    /// # Panics
    /// If the response has no HTTP head.
    pub(crate) fn send_within(
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
    pub(crate) fn get(&self, path: &str) -> RawResponse {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.send("GET", &format!("/3{path}{separator}api_key=any"), "", "")
            .expect("a response")
    }

    /// The JSON body of a GET that must succeed.
    pub(crate) fn json(&self, path: &str) -> Value {
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
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Value {
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
    pub(crate) fn faults(&self, json: &str) {
        self.control("DELETE", "/__faults", "");
        self.control("POST", "/__faults", json);
    }

    /// The movie ids on one page of a list.
    pub(crate) fn ids(&self, path: &str) -> Vec<i64> {
        ids(&self.json(path))
    }

    /// The movie ids of all pages of a list.
    pub(crate) fn all_ids(&self, path: &str) -> Vec<i64> {
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
