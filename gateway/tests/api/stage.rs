//! The fixtures of the tests: a gateway, fake services, tokens, raw connections.

use std::{
    collections::HashMap,
    convert::Infallible,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Json, Router, body::Body, extract::Request, response::IntoResponse};
use bytes::Bytes;
use chassis::{Process, Settings, clock::Clock};
use futures_util::StreamExt;
use gateway::{
    Role,
    config::{Config, DEFAULTS},
    server::Gateway,
    sign_token,
};
use http_body_util::BodyExt;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

pub const SECRET: &str = "a secret of the tests, which is long enough";
pub const ADMIN: &str = "1";
/// Longer than any successful operation takes.
pub const MAX_WAIT: Duration = Duration::from_secs(10);

/// Settings of a gateway whose services are all at `upstream`, with `more` on top.
pub fn settings(upstream: SocketAddr, more: &[(&str, &str)]) -> Settings {
    let url = format!("http://{upstream}");
    let mut all: HashMap<String, String> = [
        ("SERVER_PORT", "0"),
        ("WORKER_THREADS", "2"),
        ("JWT_SECRET", SECRET),
        ("REDIS_URL", ""),
        // The fakes of most tests count requests.
        ("REVOCATION_REFRESH_SECONDS", "0"),
        ("CACHE_MAX_BYTES", "0"),
        ("RATE_LIMIT_MAX", "1000000"),
        ("INTERNAL_TOKEN", "between services"),
        ("MOVIE_SERVICE_URL", &url),
        ("USER_PREFERENCE_SERVICE_URL", &url),
        ("RECOMMENDATION_SERVICE_URL", &url),
    ]
    .iter()
    .chain(more)
    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
    .collect();
    all.entry("SHUTDOWN_GRACE_SECONDS".to_owned())
        .or_insert_with(|| "5".to_owned());
    Settings::merge(DEFAULTS, &all).expect("settings")
}

/// A gateway that runs until it is dropped.
pub struct Stage {
    gateway: Option<Gateway>,
    config: Config,
    pub address: SocketAddr,
    pub http: Client,
}

impl Stage {
    /// A gateway in front of `upstream`.
    pub fn new(upstream: SocketAddr, more: &[(&str, &str)]) -> Self {
        let settings = settings(upstream, more);
        let config = settings.read().expect("settings");
        let process = Process::new(gateway::NAME, settings).expect("settings");
        let gateway = Gateway::start(process).expect("a gateway");
        let http = chassis::client::http()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(MAX_WAIT)
            .build()
            .expect("a client");
        Self {
            address: gateway.address(),
            gateway: Some(gateway),
            config,
            http,
        }
    }

    /// A gateway in front of an [`echo`] as all services.
    pub async fn with_echo(more: &[(&str, &str)]) -> Self {
        Self::new(serve(echo()).await, more)
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A token that is valid for a minute.
    pub fn token(&self, subject: &str, role: Role) -> String {
        self.token_for(60, subject, role)
    }

    /// A token that is valid for so many seconds.
    pub fn token_for(&self, seconds: u64, subject: &str, role: Role) -> String {
        sign_token(&self.config, &Clock::system(), subject, role, seconds).expect("a token")
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path))
    }

    /// A request of an administrator.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path)
            .bearer_auth(self.token(ADMIN, Role::Admin))
    }

    /// A GET of an administrator.
    pub async fn get(&self, path: &str) -> TestResponse {
        TestResponse::of(self.call(Method::GET, path)).await
    }

    /// Begins the shutdown.
    pub fn stop(&self) {
        self.gateway.as_ref().expect("a running gateway").stop();
    }

    /// Waits for the end; true if all accepted requests were served.
    pub async fn join(mut self) -> bool {
        let gateway = self.gateway.take().expect("a running gateway");
        tokio::task::spawn_blocking(|| gateway.join())
            .await
            .unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(gateway) = &self.gateway {
            gateway.stop();
        }
    }
}

/// A complete response.
#[derive(Debug)]
pub struct TestResponse {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl TestResponse {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("a response");
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.expect("a body"),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The problem, after asserting that it is complete and has this status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        for member in ["type", "title", "detail", "instance", "error"] {
            assert!(problem[member].is_string(), "{member} of {problem}");
        }
        problem
    }
}

/// Serves `app` on a port of its own until the test ends.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A service that lives and responds when notified, and the number of requests that it has received.
pub fn blocked_service() -> (Router, Arc<Notify>, Arc<AtomicUsize>) {
    let (go, waiting) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (released, count) = (Arc::clone(&go), Arc::clone(&waiting));
    let live = axum::routing::get(|| async {});
    let app = Router::new().route("/health/live", live).fallback(move || {
        let (released, count) = (Arc::clone(&released), Arc::clone(&count));
        async move {
            let released = released.notified();
            count.fetch_add(1, Ordering::SeqCst);
            released.await;
            "completed"
        }
    });
    (app, go, waiting)
}

/// A service whose responses have no end, the number of requests that it has received, and that of responses that were
/// given up.
pub fn endless_service() -> (Router, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    /// Dropped with the body of a response.
    struct Ended(Arc<AtomicUsize>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (begin, end) = (Arc::clone(&begun), Arc::clone(&ended));
    let app = Router::new().fallback(move || {
        begin.fetch_add(1, Ordering::SeqCst);
        let guard = Ended(Arc::clone(&end));
        async move {
            let stream = futures_util::stream::repeat_with(move || {
                let _ = &guard;
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65536]))
            });
            Body::from_stream(stream)
        }
    });
    (app, begun, ended)
}

/// A service that responds with the request that it received.
pub fn echo() -> Router {
    Router::new().fallback(|request: Request| async move {
        let (head, body) = request.into_parts();
        let mut headers: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in &head.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        // A truncated body is an error.
        let Ok(body) = body.collect().await else {
            return ([("x-body", "broken")], Json(Value::Null)).into_response();
        };
        let body = body.to_bytes();
        Json(json!({
            "method": head.method.as_str(),
            "target": head.uri.to_string(),
            "headers": headers,
            "length": body.len(),
            "body": String::from_utf8_lossy(&body[..body.len().min(1000)]),
        }))
        .into_response()
    })
}

/// A body of `chunks` pieces of 64 KiB, generated as it is read.
pub fn large_body(chunks: usize) -> Body {
    let chunk = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    let stream =
        futures_util::stream::iter((0..chunks).map(move |_| Ok::<_, Infallible>(chunk.clone())));
    Body::from_stream(stream.boxed())
}

/// A service that may violate HTTP: `script` gets each connection with its number, from 0, on a thread of its own.
pub struct Scripted {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    /// Messages of the scripts.
    pub messages: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    pub fn new(
        script: impl Fn(usize, TcpStream, &Mutex<Vec<String>>) + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let messages: Arc<Mutex<Vec<String>>> = Arc::default();
        let (count, log, script) = (
            Arc::clone(&connections),
            Arc::clone(&messages),
            Arc::new(script),
        );
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
                let (log, script) = (Arc::clone(&log), Arc::clone(&script));
                std::thread::spawn(move || script(number, stream, &log));
            }
        });
        Self {
            address,
            connections,
            messages,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Reads the head of a request; empty at the end of the connection.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return String::new(),
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Responds with 200 and `body`.
pub fn respond_ok(stream: &mut TcpStream, body: &str) {
    let text = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

/// Writes `bytes` to `address` and reads until the end, or until a second has passed without more.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    // The gateway may close the connection before all is written.
    let _ = stream.write_all(bytes);
    read_rest(&mut stream)
}

/// Reads until the end, or until the read times out.
pub fn read_rest(stream: &mut (impl Read + ?Sized)) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The status of a raw response; 0 if there is none.
pub fn status_of(response: &str) -> u16 {
    response
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or(0)
}
