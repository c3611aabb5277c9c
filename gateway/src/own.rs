//! What the gateway answers itself: health and metrics. Swagger UI has its own room.

use std::time::Duration;

use bytes::Bytes;
use chassis::health::{Dependency, Liveness, Readiness};
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{ACCEPT, HeaderValue},
    http::uri::PathAndQuery,
};

use crate::{
    answer::{self, Body},
    proxy::{Call, Forwarded, Upstream},
    routes::Service,
    worker::Worker,
};

/// The longest wait for something that the gateway depends on; shorter than any probe's own limit.
const CHECK_LIMIT: Duration = Duration::from_secs(1);

const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const READY: PathAndQuery = PathAndQuery::from_static("/health/ready");

/// `/health` and `/health/live`.
#[must_use]
pub fn health() -> Response<Body> {
    answer::json(StatusCode::OK, &Liveness::of(crate::NAME))
}

/// `/health/ready`: the gateway can work without any of what it reports, only worse.
pub async fn ready(worker: &Worker, request: &Asked<'_>) -> Response<Body> {
    let services = futures_util::future::join_all(worker.upstreams.iter().map(|upstream| {
        let service = upstream.service;
        async move { (service, check(upstream, request).await) }
    }));
    let redis = async {
        match &worker.redis {
            Some(redis) => redis.clone().check().await,
            None => Err("not configured: limits are counted by each gateway alone".to_owned()),
        }
    };
    let (redis, services) = tokio::join!(redis, services);
    let dependency = |name, result: Result<(), String>| Dependency {
        name,
        required: false,
        status: result.err().unwrap_or_else(|| "ok".to_owned()),
    };
    let stopping = worker.shared.shutdown.is_started();
    let mut dependencies = vec![dependency("redis", redis)];
    dependencies.extend(
        services
            .into_iter()
            .map(|(service, result)| dependency(service.name(), result)),
    );
    let report = Readiness {
        service: crate::NAME,
        status: if stopping { "stopping" } else { "ok" },
        dependencies,
    };
    let status = if stopping {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    answer::json(status, &report)
}

async fn check(upstream: &Upstream, request: &Asked<'_>) -> Result<(), String> {
    let target = READY;
    match tokio::time::timeout(CHECK_LIMIT, get(upstream, &target, request)).await {
        Ok(Ok(response)) if response.status().is_success() => Ok(()),
        Ok(Ok(response)) => Err(format!("answers {}", response.status().as_u16())),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(_) => Err("no answer within a second".to_owned()),
    }
}

/// On whose behalf the gateway asks a service something itself.
pub struct Asked<'a> {
    /// The request id.
    pub request_id: &'a HeaderValue,
    /// The trace.
    pub traceparent: &'a HeaderValue,
    /// The client's address.
    pub client: &'a HeaderValue,
}

/// Asks `upstream` for `target`.
///
/// # Errors
/// Why there is no answer.
pub async fn get(
    upstream: &Upstream,
    target: &PathAndQuery,
    asked: &Asked<'_>,
) -> Result<Response<Body>, crate::proxy::Failure> {
    let mut headers = HeaderMap::with_capacity(1);
    headers.insert(ACCEPT, answer::JSON);
    upstream
        .forward(&Call {
            method: &Method::GET,
            target,
            headers: &headers,
            forwarded: Forwarded {
                request_id: asked.request_id.clone(),
                traceparent: asked.traceparent.clone(),
                principal: None,
                client: asked.client.clone(),
                address: None,
                protocol: HeaderValue::from_static("http"),
                host: None,
            },
            body: None,
            retryable: true,
        })
        .await
}

/// The service whose name is `name`.
#[must_use]
pub fn service_named(name: &str) -> Option<Service> {
    Service::ALL
        .into_iter()
        .find(|service| service.name() == name)
}

/// `/metrics`.
#[must_use]
pub fn metrics(worker: &Worker) -> Response<Body> {
    let numbers = worker.shared.metrics.render();
    answer::of_type(PROMETHEUS, Bytes::from(numbers))
}
