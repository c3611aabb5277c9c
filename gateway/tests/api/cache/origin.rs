//! A service whose responses a test sets, holds back and counts.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request, http::HeaderMap, response::Response};
use chassis::testing::eventually;
use tokio::sync::Semaphore;

use crate::stage::{TestResponse, serve};

pub(super) const MOVIES: &str = "/api/v1/movies";
pub(super) const PUBLIC: (&str, &str) = ("cache-control", "public, max-age=60");

/// `Cache-Status` after the name of the cache.
pub(super) fn status(response: &TestResponse) -> &str {
    let status = response.header("cache-status");
    status.strip_prefix("marquee; ").unwrap_or(status)
}

/// A request that the service has received.
#[derive(Clone)]
pub(super) struct Seen {
    headers: HeaderMap,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("ASCII"))
    }
}

struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    echoes_identity: bool,
}

struct State {
    seen: Mutex<Vec<Seen>>,
    reply: Mutex<Reply>,
    /// One permit for each response, unless responses are not held.
    go: Semaphore,
}

/// The service.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    state: Arc<State>,
}

impl Origin {
    /// A service that responds with `body` and the number of the request, at once.
    pub(super) async fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let origin = Self::held(status, headers, body).await;
        origin.release(Semaphore::MAX_PERMITS);
        origin
    }

    /// A service that responds to GETs when it is released.
    pub(super) async fn held(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let state = Arc::new(State {
            seen: Mutex::default(),
            reply: Mutex::new(reply(status, headers, body)),
            go: Semaphore::new(0),
        });
        let shared = Arc::clone(&state);
        let app =
            Router::new().fallback(move |request: Request| respond(Arc::clone(&shared), request));
        Self {
            address: serve(app).await,
            state,
        }
    }

    /// Changes the responses from now on.
    pub(super) fn set(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        *self.state.reply.lock().unwrap() = reply(status, headers, body);
    }

    /// Adds the principal and the cookies of the request to the body.
    pub(super) fn echo_identity(&self) {
        self.state.reply.lock().unwrap().echoes_identity = true;
    }

    /// Lets `responses` go.
    pub(super) fn release(&self, responses: usize) {
        self.state.go.add_permits(responses);
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// Waits until the service has received `count` requests.
    pub(super) async fn until(&self, count: usize) {
        eventually("the service receives the requests", async || {
            self.count() >= count
        })
        .await;
    }
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Reply {
        status,
        headers: headers.collect(),
        body: body.to_owned(),
        echoes_identity: false,
    }
}

async fn respond(state: Arc<State>, request: Request) -> Response {
    let headers = request.headers().clone();
    let number = {
        let mut seen = state.seen.lock().unwrap();
        seen.push(Seen {
            headers: headers.clone(),
        });
        seen.len()
    };
    if request.method() == "GET" {
        state.go.acquire().await.unwrap().forget();
    }
    let reply = state.reply.lock().unwrap();
    let mut body = reply.body.clone();
    if reply.echoes_identity {
        let names = ["x-principal", "cookie"];
        let identity = names
            .iter()
            .filter_map(|name| headers.get(*name)?.to_str().ok());
        let identity = identity.collect::<Vec<_>>().join(" ");
        body = format!(
            "{body} {}",
            if identity.is_empty() {
                "no one"
            } else {
                &identity
            }
        );
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    // A service that supports it says that nothing has changed.
    let tag = reply
        .headers
        .iter()
        .find(|(name, _)| name == "etag")
        .map(|(_, tag)| tag.as_str());
    let known = headers
        .get("if-none-match")
        .and_then(|known| known.to_str().ok());
    if known.is_some() && known == tag {
        return response.status(304).body(Body::empty()).unwrap();
    }
    response
        .body(Body::from(format!("{body} {number}")))
        .unwrap()
}
