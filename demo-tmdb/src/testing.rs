//! A demo-tmdb inside a test process, whose state a test changes through the control paths.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use chassis::shutdown::Shutdown;
use serde_json::Value;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use crate::{handler, runtime, server, settings::Settings, state::AppState};

/// A running demo-tmdb with state of its own. Its connections break when it is dropped.
pub struct DemoTmdb {
    /// Its address.
    pub address: SocketAddr,
    router: Router,
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
        let environment = settings.iter().copied();
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::parse(environment).expect("valid settings");
        let state = AppState::build(&settings).expect("the embedded catalogue");
        let router = handler::router(Arc::new(state));
        let listener = std::net::TcpListener::bind((settings.server_host.as_str(), 0))
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let runtime = runtime().expect("a runtime");
        let served = router.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            server::serve(listener, served, &Shutdown::default()).await;
        });
        Self {
            address,
            router,
            runtime: Some(runtime),
        }
    }

    /// The base URL of the API, as `TMDB_BASE_URL` takes it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/3", self.address)
    }

    /// The JSON body of the response of a control path, null if it is empty.
    ///
    /// # Panics
    /// If the status is not 2xx.
    pub fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body.to_owned()));
        let response = self.router.clone().oneshot(request.expect("a request"));
        let (sender, receiver) = mpsc::channel();
        let runtime = self.runtime.as_ref().expect("it is running");
        // The caller may be a task of another runtime, which must not enter this one.
        runtime.spawn(async move {
            let (head, body) = response.await.expect("a router never fails").into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("a whole body");
            sender.send((head.status, body))
        });
        let (status, body) = receiver.recv().expect("a response");
        let text = String::from_utf8_lossy(&body);
        assert!(status.is_success(), "{method} {path}: {text}");
        if body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&body).expect("JSON")
    }

    /// Replaces the active faults by those in `json`.
    pub fn faults(&self, json: &str) {
        self.control("DELETE", "/__faults", "");
        self.control("POST", "/__faults", json);
    }
}

impl Drop for DemoTmdb {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
