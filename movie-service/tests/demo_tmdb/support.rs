//! A demo-tmdb of its own for each test, and an HTTP client simple enough to show exactly what came over the wire:
//! real clients repair or hide the very faults that are tested here.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Nothing here takes longer; a test that would wait forever fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A running demo-tmdb, ended when it goes out of scope.
pub(crate) struct DemoTmdb {
    pub(crate) child: Child,
    address: SocketAddr,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl DemoTmdb {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut child = command(settings)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("demo-tmdb starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("demo-tmdb says where it listens");
        let address = line
            .trim()
            .strip_prefix("listening on http://")
            .unwrap_or_else(|| panic!("unexpected first line {line:?}"))
            .parse()
            .expect("an address");
        Self { child, address }
    }

    /// Where clients find the API.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/3", self.address)
    }

    /// A request as it is given; the answer is read until the connection ends.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Answer, ErrorKind> {
        self.send_within(method, path, headers, body, PATIENCE)
    }

    pub(crate) fn send_within(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
        patience: Duration,
    ) -> Result<Answer, ErrorKind> {
        let mut stream = TcpStream::connect(self.address).map_err(|error| error.kind())?;
        stream
            .set_read_timeout(Some(patience))
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
        Ok(Answer {
            status,
            head,
            body: bytes.split_off(end + 4),
        })
    }

    /// GET with a key; `path` is below `/3` and may have a query.
    pub(crate) fn get(&self, path: &str) -> Answer {
        let separator = if path.contains('?') { '&' } else { '?' };
        self.send("GET", &format!("/3{path}{separator}api_key=any"), "", "")
            .expect("an answer")
    }

    /// The body of a GET that must work.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(
            answer.status,
            200,
            "{path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    /// A control call that must work.
    pub(crate) fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.send(method, path, "", body).expect("an answer");
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            String::from_utf8_lossy(&answer.body)
        );
        if answer.body.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }

    /// Only these faults from now on.
    pub(crate) fn faults(&self, json: &str) {
        self.control("DELETE", "/__faults", "");
        self.control("POST", "/__faults", json);
    }

    /// Ids on one page of a list.
    pub(crate) fn ids(&self, path: &str) -> Vec<i64> {
        ids(&self.json(path))
    }

    /// Every id of a list, page by page.
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

    pub(crate) fn signal_term(&self) {
        // The standard library can only kill outright.
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill runs").success());
    }

    /// How it ended, within a time.
    pub(crate) fn wait(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let since = Instant::now();
        while since.elapsed() < patience {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for DemoTmdb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with a clean environment, so that nothing of the developer's own settings leaks in.
pub(crate) fn command(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo-tmdb"));
    command
        .env_clear()
        .env("SERVER_PORT", "0")
        .envs(settings.iter().copied());
    command
}

pub(crate) fn ids(page: &Value) -> Vec<i64> {
    let results = page["results"].as_array().expect("a list");
    results
        .iter()
        .map(|film| film["id"].as_i64().expect("an id"))
        .collect()
}
