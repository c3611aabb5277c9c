//! `/health`, `/health/live` and `/health/ready`: liveness and readiness of the gateway.

use std::time::Duration;

use chassis::{
    health::{Dependency, Liveness, Readiness},
    redis::Redis,
};
use hyper::{StatusCode, http::uri::PathAndQuery};

use crate::{
    message::Response,
    proxy::{Upstream, internal::InternalCall},
    response::{Body, json},
    state::ThreadState,
};

/// The time limit of one check; shorter than that of any probe.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// `/health` and `/health/live`.
pub(crate) fn live() -> Response<Body> {
    json(StatusCode::OK, &Liveness::of(crate::NAME))
}

/// `/health/ready`: 200 unless the gateway is stopping. No dependency is required: without one of them the
/// gateway still serves the other routes.
pub(crate) async fn ready(state: &ThreadState, call: &InternalCall<'_>) -> Response<Body> {
    let check = state.readiness.current();
    let report = check.get_or_init(|| check_all(state, call)).await;
    let code = match report.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    json(code, report)
}

async fn check_all(state: &ThreadState, call: &InternalCall<'_>) -> Readiness {
    let services =
        futures_util::future::join_all(state.upstreams.iter().map(async |upstream| {
            dependency(upstream.service.name(), check(upstream, call).await)
        }));
    let without = "limits are counted by each gateway alone";
    let redis = Redis::check_optional(state.redis.clone(), without);
    let (redis, services) = tokio::join!(redis, services);
    let mut dependencies = vec![dependency("redis", redis)];
    dependencies.extend(services);
    let is_stopping = state.shared.shutdown.is_started();
    Readiness::of(crate::NAME, dependencies, is_stopping)
}

fn dependency(name: &'static str, result: Result<(), String>) -> Dependency {
    Dependency {
        name,
        required: false,
        status: result.err().unwrap_or_else(|| "ok".to_owned()),
    }
}

async fn check(upstream: &Upstream, call: &InternalCall<'_>) -> Result<(), String> {
    let target = PathAndQuery::from_static("/health/ready");
    match tokio::time::timeout(CHECK_TIMEOUT, call.get(upstream, &target)).await {
        Ok(Ok(response)) if response.status.is_success() => Ok(()),
        Ok(Ok(response)) => Err(format!("status {}", response.status.as_u16())),
        Ok(Err(failure)) => Err(failure.to_string()),
        Err(_) => Err("no response within a second".to_owned()),
    }
}
