//! HTTP/2 of clients, in cleartext and over TLS: what HTTP/1.1 promises holds, on one connection for many requests.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, response::IntoResponse};
use bytes::Bytes;
use chassis::testing::eventually;
use futures_util::future::join_all;
use gateway::Role;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use hyper::{Method, Request, Response, Version};
use rustls::{pki_types::ServerName, version::TLS13};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::Certificates,
    client_tls::{client_config, files, with_tls},
    stage::{MAX_WAIT, Stage, blocked_service, echo, large_body, serve},
};

const MOVIES: &str = "/api/v1/movies";

/// A connection of HTTP/2.
#[derive(Clone)]
struct Connection {
    requests: SendRequest<Bytes>,
    token: String,
}

/// A complete response.
struct Received {
    response: Response<()>,
    body: Bytes,
}

impl Received {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    #[track_caller]
    fn assert_problem(&self, status: u16) {
        assert_eq!(self.status(), status, "{:?}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert_eq!(problem["request_id"], self.header("x-request-id"));
    }
}

impl Connection {
    /// A connection in cleartext, by prior knowledge.
    async fn new(stage: &Stage) -> Self {
        let stream = TcpStream::connect(stage.address).await.unwrap();
        Self::over(stream, stage).await
    }

    async fn over<S>(stream: S, stage: &Stage) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self {
            requests,
            token: stage.token("1", Role::Admin),
        }
    }

    fn request(&self, method: Method, path: &str) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = format!("http://localhost:1{path}").parse().unwrap();
        *request.version_mut() = Version::HTTP_2;
        let token = format!("Bearer {}", self.token).parse().unwrap();
        request.headers_mut().insert("authorization", token);
        request
    }

    async fn send(
        &self,
        request: Request<()>,
        is_complete: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        requests.send_request(request, is_complete)
    }

    async fn call(&self, request: Request<()>) -> Result<Received, h2::Error> {
        let (response, _) = self.send(request, true).await?;
        receive(response).await
    }

    async fn get(&self, path: &str) -> Received {
        let call = self.call(self.request(Method::GET, path));
        timeout(MAX_WAIT, call)
            .await
            .expect("a response in time")
            .expect("a response")
    }
}

async fn receive(response: ResponseFuture) -> Result<Received, h2::Error> {
    let (head, mut stream) = response.await?.into_parts();
    let mut body = Vec::new();
    while let Some(piece) = next(&mut stream).await? {
        body.extend_from_slice(&piece);
    }
    Ok(Received {
        response: Response::from_parts(head, ()),
        body: body.into(),
    })
}

async fn next(stream: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(piece) = stream.data().await.transpose()? else {
        return Ok(None);
    };
    stream.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection_and_reach_services_as_http1() {
    let stage = Stage::with_echo(&[]).await;
    let connection = Connection::new(&stage).await;
    let calls = (0..90).map(|number| {
        let mut request = connection.request(Method::GET, &format!("{MOVIES}?page={number}"));
        let headers = request.headers_mut();
        headers.insert("x-request-id", format!("mine-{number}").parse().unwrap());
        headers.append("cookie", "a=1".parse().unwrap());
        headers.append("cookie", "b=2".parse().unwrap());
        headers.append("te", "trailers".parse().unwrap());
        let connection = connection.clone();
        async move { connection.call(request).await.expect("a response") }
    });
    for (number, received) in join_all(calls).await.iter().enumerate() {
        assert_eq!(received.status(), 200);
        assert_eq!(received.header("x-request-id"), format!("mine-{number}"));
        assert_eq!(received.response.version(), Version::HTTP_2);
        for name in ["connection", "keep-alive", "transfer-encoding"] {
            assert_eq!(received.header(name), "");
        }
        let seen = received.json();
        assert_eq!(seen["target"], format!("{MOVIES}?page={number}"));
        let headers = &seen["headers"];
        assert_eq!(
            headers["x-forwarded-host"],
            serde_json::json!(["localhost:1"])
        );
        assert_eq!(headers["x-forwarded-proto"], serde_json::json!(["http"]));
        assert_eq!(headers["cookie"], serde_json::json!(["a=1; b=2"]));
        assert_eq!(headers["te"], Value::Null);
        assert_eq!(headers["host"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_agrees_on_http2() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let stage = Stage::with_echo(&with_tls(&files, &[("HSTS_SECONDS", "60")])).await;
    let config = client_config(&certificates, &[&TLS13], &["h2", "http/1.1"]);
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let connection = Connection::over(stream, &stage).await;
    let received = connection.get(MOVIES).await;
    assert_eq!(received.status(), 200);
    assert_eq!(received.header("strict-transport-security"), "max-age=60");
    assert_eq!(received.json()["headers"]["x-forwarded-proto"][0], "https");
    connection.get("/nothing").await.assert_problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_their_limits_and_refusals_are_problems() {
    let settings = [
        ("BODY_LIMIT_BYTES", "300000"),
        ("BODY_GRACE_MS", "500"),
        ("BODY_MIN_BYTES_PER_SECOND", "100000"),
    ];
    let stage = Stage::with_echo(&settings).await;
    let connection = Connection::new(&stage).await;
    let post = || connection.request(Method::POST, "/api/v1/users");
    // Larger than the window, in pieces as the client likes.
    for (size, status) in [(0, 200), (1, 200), (250_000, 200), (400_000, 413)] {
        let (response, mut body) = connection.send(post(), false).await.unwrap();
        let received = tokio::spawn(receive(response));
        let mut rest = Bytes::from(vec![b'x'; size]);
        while !rest.is_empty() {
            body.reserve_capacity(rest.len());
            let capacity = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
            // The gateway has refused the rest.
            let Some(Ok(capacity)) = capacity else {
                break;
            };
            if body.send_data(rest.split_to(capacity), false).is_err() {
                break;
            }
        }
        let _ = body.send_data(Bytes::new(), true);
        let received = timeout(MAX_WAIT, received)
            .await
            .unwrap()
            .unwrap()
            .expect("a response");
        if status == 200 {
            assert_eq!(received.json()["length"], size);
        } else {
            received.assert_problem(status);
        }
    }
    // Its announced length is too large; it never comes; it comes too slowly.
    let mut announced = post();
    announced
        .headers_mut()
        .insert("content-length", "400000".parse().unwrap());
    let (response, _announced) = connection.send(announced, false).await.unwrap();
    receive(response)
        .await
        .expect("a response")
        .assert_problem(413);
    let (response, _slow) = connection.send(post(), false).await.unwrap();
    receive(response)
        .await
        .expect("a response")
        .assert_problem(408);
    // A body that the client breaks off ends with its request alone.
    let (response, mut broken) = connection.send(post(), false).await.unwrap();
    broken.send_data(Bytes::from_static(b"{"), false).unwrap();
    broken.send_reset(h2::Reason::CANCEL);
    assert!(receive(response).await.is_err());
    assert_eq!(connection.get(MOVIES).await.status(), 200);
    let mut anonymous = connection.request(Method::GET, MOVIES);
    anonymous.headers_mut().remove("authorization");
    connection
        .call(anonymous)
        .await
        .unwrap()
        .assert_problem(401);
    let connect = {
        let mut request = connection.request(Method::CONNECT, "");
        *request.uri_mut() = "localhost:1".parse().unwrap();
        request
    };
    connection.call(connect).await.unwrap().assert_problem(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_streamed_and_head_has_no_body() {
    let app = Router::new()
        .route(
            "/api/v1/movies",
            axum::routing::get(|| async { large_body(64) }),
        )
        .fallback(|| async { "x".repeat(100) });
    let stage = Stage::new(serve(app).await, &[("COMPRESSION", "")]);
    let connection = Connection::new(&stage).await;
    let received = connection.get(MOVIES).await;
    assert_eq!(received.body.len(), 64 * 64 * 1024);
    let head = connection.request(Method::HEAD, "/api/v1/movies/1");
    let received = connection.call(head).await.unwrap();
    assert_eq!(
        (received.status(), received.header("content-length")),
        (200, "100")
    );
    assert!(received.body.is_empty());
    let head = connection.request(Method::HEAD, "/");
    let received = connection.call(head).await.unwrap();
    let page = connection.get("/").await;
    assert_eq!(
        received.header("content-length"),
        page.body.len().to_string()
    );
    assert!(received.body.is_empty() && !page.body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_when_they_come_beside_other_requests() {
    let go = Arc::new(Notify::new());
    let next_event = Arc::clone(&go);
    let events = move || {
        let next_event = Arc::clone(&next_event);
        let events = futures_util::stream::unfold(0, move |number| {
            let next_event = Arc::clone(&next_event);
            async move {
                if number > 0 {
                    next_event.notified().await;
                }
                let event = format!("data: {number}\n\n");
                Some((Ok::<_, Infallible>(event), number + 1))
            }
        });
        async {
            (
                [("content-type", "text/event-stream")],
                Body::from_stream(events),
            )
                .into_response()
        }
    };
    let app = echo().route("/api/v1/movies", axum::routing::get(events));
    // A pause of the service is not one of the client.
    let stage = Stage::new(serve(app).await, &[("CLIENT_STALL_TIMEOUT_MS", "300")]);
    let connection = Connection::new(&stage).await;
    let (response, _) = connection
        .send(connection.request(Method::GET, MOVIES), true)
        .await
        .unwrap();
    let mut stream = response.await.unwrap().into_body();
    let (mut text, mut expected) = (Vec::new(), String::new());
    for number in 0..3 {
        expected += &format!("data: {number}\n\n");
        while text != expected.as_bytes() {
            let event = timeout(MAX_WAIT, next(&mut stream))
                .await
                .expect("an event in time");
            text.extend_from_slice(&event.unwrap().expect("an event"));
        }
        assert_eq!(connection.get("/api/v1/movies/1").await.status(), 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
        go.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_no_more_requests_in_flight_than_over_http1() {
    let (app, go, count) = blocked_service();
    let settings = [
        ("WORKER_THREADS", "1"),
        ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "3"),
    ];
    let stage = Stage::new(serve(app).await, &settings);
    let connection = Connection::new(&stage).await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let request = connection.request(Method::GET, MOVIES);
        calls.push(connection.send(request, true).await.unwrap().0);
    }
    eventually("all are under way", || async {
        count.load(Ordering::SeqCst) == 3
    })
    .await;
    connection.get(MOVIES).await.assert_problem(429);
    // A cancelled request gives its place to another.
    drop(calls.pop());
    let request = || connection.request(Method::GET, MOVIES);
    eventually("its place is free", || async {
        let (response, _) = connection.send(request(), true).await.unwrap();
        let waiting = timeout(Duration::from_millis(200), receive(response)).await;
        waiting.is_err()
    })
    .await;
    go.notify_waiters();
    for call in calls {
        assert_eq!(&receive(call).await.unwrap().body[..], b"completed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shutdown_serves_every_request_that_it_has_accepted() {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let app = Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            "completed"
        }
    });
    let stage = Stage::new(serve(app).await, &[]);
    let served = Arc::new(AtomicUsize::new(0));
    let mut clients = Vec::new();
    for _ in 0..8 {
        let connection = Connection::new(&stage).await;
        for _ in 0..4 {
            let (connection, served) = (connection.clone(), Arc::clone(&served));
            clients.push(tokio::spawn(async move {
                loop {
                    match connection
                        .call(connection.request(Method::GET, MOVIES))
                        .await
                    {
                        Ok(received) => {
                            assert_eq!(&received.body[..], b"completed");
                            served.fetch_add(1, Ordering::SeqCst);
                        }
                        // GOAWAY: the request was not processed and may be sent elsewhere.
                        Err(error) => {
                            let is_goaway = error.is_go_away() && error.is_remote();
                            assert!(is_goaway || is_closed(&error), "{error:?}");
                            assert_eq!(
                                error.reason().unwrap_or(h2::Reason::NO_ERROR),
                                h2::Reason::NO_ERROR
                            );
                            return;
                        }
                    }
                }
            }));
        }
    }
    eventually("load", || async { served.load(Ordering::SeqCst) > 100 }).await;
    stage.stop();
    for client in clients {
        timeout(MAX_WAIT, client)
            .await
            .expect("an end in time")
            .unwrap();
    }
    assert!(stage.join().await);
    let counts = (seen.load(Ordering::SeqCst), served.load(Ordering::SeqCst));
    assert_eq!(
        counts.0, counts.1,
        "requests of the service, responses of the clients"
    );
    println!(
        "GOAWAY under load: {} requests reached the service, {} responses came back",
        counts.0, counts.1
    );
}

/// True if a request was not sent, since the connection had ended.
fn is_closed(error: &h2::Error) -> bool {
    error.is_io() || error.reason().is_none()
}
