//! Support for tests of the services: calls of a router, a private Redis, a TCP proxy that can be cut.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, StatusCode};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, PgPool, SqlSafeStr as _, Statement as _,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tower::ServiceExt;

mod contract;

pub use self::contract::assert_documented;

/// The documents of the services.
const SERVICES: [&str; 3] = [
    "movie-service",
    "preference-service",
    "recommendation-service",
];

/// A response with its body.
#[derive(Debug)]
pub struct TestResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is not JSON.
    pub body: Value,
    /// The body as text.
    pub text: String,
}

impl TestResponse {
    /// The body, if the status is `status`.
    ///
    /// # Panics
    /// If the status differs.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.body
    }
}

/// Sends one request to `app`, without a network.
///
/// # Panics
/// If the path is invalid or the body ends early.
pub async fn call(app: &Router, method: Method, path: &str, body: Option<Value>) -> TestResponse {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body));
    send(app, request.expect("a request")).await
}

/// Sends `request` to `app`, without a network.
///
/// # Panics
/// If the body ends early, or the response is not as the committed OpenAPI documents describe it.
pub async fn send(app: &Router, request: Request<Body>) -> TestResponse {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = app
        .clone()
        .oneshot(request)
        .await
        .expect("a router never fails");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a whole body").to_bytes();
    let response = TestResponse {
        status: head.status,
        headers: head.headers,
        body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    };
    assert_documented(&SERVICES, &method, &path, &response);
    response
}

/// A GET on `app`.
pub async fn get(app: &Router, path: &str) -> TestResponse {
    call(app, Method::GET, path, None).await
}

/// A POST of `body` on `app`.
pub async fn post(app: &Router, path: &str, body: Value) -> TestResponse {
    call(app, Method::POST, path, Some(body)).await
}

/// Waits until `condition` holds, polling every few milliseconds.
///
/// # Panics
/// If it does not hold within 20 seconds; `what` describes the condition.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let started = std::time::Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "timed out waiting for: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// If the machine has none.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}

/// A Redis server that belongs to one test and ends with it.
pub struct RedisServer {
    child: Option<Child>,
    port: u16,
}

impl RedisServer {
    /// Starts one on a free port. `REDIS_SERVER` names the program, by default `redis-server`.
    pub fn start() -> Self {
        let mut server = Self {
            child: None,
            port: free_port(),
        };
        server.resume();
        server
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Requires `password` of new connections.
    ///
    /// # Panics
    /// If the server does not accept the command.
    pub fn require_password(&self, password: &str) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let command = format!("CONFIG SET requirepass {password}\r\n");
        let mut response = [0; 5];
        stream.write_all(command.as_bytes()).expect("a command");
        stream.read_exact(&mut response).expect("a response");
        assert_eq!(&response, b"+OK\r\n");
    }

    /// Kills it with all its data.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same port.
    ///
    /// # Panics
    /// If it does not accept connections within ten seconds.
    pub fn resume(&mut self) {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(PathBuf::from(program))
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--port", &self.port.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server; scripts/test.sh installs it");
        self.child = Some(child);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        for _ in 0..1000 {
            if std::net::TcpStream::connect(address).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("redis-server does not come up");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A TCP proxy of a server that can be cut and restored, to test a service without the server.
pub struct TcpProxy {
    address: SocketAddr,
    /// Connections end when it changes.
    is_cut: watch::Sender<bool>,
}

impl TcpProxy {
    /// A proxy of `target`.
    ///
    /// # Panics
    /// If no port is free.
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let is_cut = watch::Sender::new(false);
        let connections = is_cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut hung_up = connections.subscribe();
                if *hung_up.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(target).await {
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                            _ = hung_up.changed() => {}
                        }
                    }
                });
            }
        });
        Self { address, is_cut }
    }

    /// The address of the proxy.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections, and new ones as they are accepted.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets connections through again.
    pub fn restore(&self) {
        self.is_cut.send_replace(false);
    }
}

/// Compares `openapi/<name>.json` at the top of the workspace with the generated document;
/// `UPDATE_OPENAPI=1` writes it instead.
///
/// # Panics
/// If they differ.
pub fn assert_openapi_is_committed(name: &str, document: &utoipa::openapi::OpenApi) {
    let path = contract::path(name);
    let made = document.to_pretty_json().expect("a document") + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &made).expect("the folder openapi");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "openapi/{name}.json differs from the generated document; run the tests with UPDATE_OPENAPI=1"
    );
}

/// Prepares every statement of `<manifest_dir>/.sqlx` on `pool`, whose schema is the migrated one, so that what builds
/// were checked against cannot differ from what the migrations make.
///
/// # Panics
/// A statement does not prepare, or its result has other columns or parameters than when it was described
/// (`scripts/sqlx-prepare` describes them again).
pub async fn assert_statements_prepare(pool: &PgPool, manifest_dir: &str) {
    let mut connection = pool.acquire().await.expect("a connection");
    let mut prepared = 0;
    for entry in std::fs::read_dir(PathBuf::from(manifest_dir).join(".sqlx")).expect(".sqlx") {
        let path = entry.expect("a file").path();
        let described: Value =
            serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        let sql = described["query"].as_str().expect("a statement");
        let statement = connection
            .prepare(AssertSqlSafe(sql.to_owned()).into_sql_str())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}\n{sql}", path.display()));
        let columns = statement.columns().iter().map(|column| column.name());
        let known = described["describe"]["columns"].as_array();
        let known = known.expect("columns").iter();
        let known = known.filter_map(|column| column["name"].as_str());
        assert!(columns.eq(known), "the columns of\n{sql}");
        let parameters = match statement.parameters() {
            Some(Either::Left(types)) => types.len(),
            Some(Either::Right(count)) => count,
            None => 0,
        };
        let known = described["describe"]["parameters"]["Left"].as_array();
        assert_eq!(
            Some(parameters),
            known.map(Vec::len),
            "the parameters of\n{sql}"
        );
        prepared += 1;
    }
    assert!(prepared > 0, "no statement in {manifest_dir}/.sqlx");
}
