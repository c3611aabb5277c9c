//! Health reports: live means that the process responds, ready means that it can work now. The
//! service passes in the checks; none is known here.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use futures_util::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{metrics::DEPENDENCY_UP, shutdown::Shutdown};

/// The beginning of the status of an optional dependency that the settings leave out, which is no fault.
pub const NOT_CONFIGURED: &str = "not configured";

/// The time limit of one check; shorter than the time limits of probes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type RunCheck = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

struct Check {
    name: &'static str,
    /// True if the service cannot work without it.
    required: bool,
    run: RunCheck,
}

/// The checks of a service.
#[derive(Default)]
#[must_use]
pub struct Health {
    checks: Vec<Check>,
}

impl Health {
    /// Adds a check without which the service is not ready.
    pub fn require<F>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, true, Box::new(move || Box::pin(check())))
    }

    /// Adds a check that is reported, but does not affect readiness.
    pub fn report<F>(
        self,
        name: &'static str,
        check: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, false, Box::new(move || Box::pin(check())))
    }

    fn with(mut self, name: &'static str, required: bool, run: RunCheck) -> Self {
        self.checks.push(Check {
            name,
            required,
            run,
        });
        self
    }

    /// Runs all checks concurrently.
    pub async fn readiness(&self, service: &'static str, shutdown: &Shutdown) -> Readiness {
        let results = futures_util::future::join_all(self.checks.iter().map(|check| async move {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(reason)) => reason,
                Err(_) => "no response within a second".to_owned(),
            };
            Dependency {
                name: check.name,
                required: check.required,
                status: state,
            }
        }))
        .await;
        Readiness::of(service, results, shutdown.is_started())
    }
}

/// The body of `/health/ready`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// The service's name.
    pub service: &'static str,
    /// `ok`, `degraded` (a dependency that is not required fails), `unavailable` or `stopping`.
    pub status: &'static str,
    /// The results of the checks.
    pub dependencies: Vec<Dependency>,
}

impl Readiness {
    /// The report of `service` from the results of its checks, which become the gauge [`DEPENDENCY_UP`].
    pub fn of(service: &'static str, dependencies: Vec<Dependency>, is_stopping: bool) -> Self {
        for dependency in &dependencies {
            let up = if dependency.is_up() { 1.0 } else { 0.0 };
            metrics::gauge!(DEPENDENCY_UP, "dependency" => dependency.name).set(up);
        }
        let fails = |required: bool| {
            let mut failing = dependencies.iter().filter(|dependency| dependency.fails());
            failing.any(|dependency| dependency.required == required)
        };
        let status = match (is_stopping, fails(true), fails(false)) {
            (true, ..) => "stopping",
            (_, true, _) => "unavailable",
            (.., true) => "degraded",
            _ => "ok",
        };
        Self {
            service,
            status,
            dependencies,
        }
    }

    /// True if the service can work now, if only in part.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.status, "ok" | "degraded")
    }
}

/// The result of the check of a dependency.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dependency {
    /// Its name.
    pub name: &'static str,
    /// True if the service is not ready without it.
    pub required: bool,
    /// `ok`, or the reason of the failure.
    pub status: String,
}

impl Dependency {
    fn is_up(&self) -> bool {
        self.status == "ok"
    }

    fn fails(&self) -> bool {
        !self.is_up() && !self.status.starts_with(NOT_CONFIGURED)
    }
}

/// The body of `/health`, `/health/live` and `/api/v1/health`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Liveness {
    /// The service's name.
    #[schema(example = "movie-service")]
    pub service: &'static str,
    /// Always `ok`: a process that responds is alive.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The version of the program.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
}

impl Liveness {
    /// The report of `service`.
    pub fn of(service: &'static str) -> Self {
        Self {
            service,
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// The routes `/health`, `/health/live`, `/health/ready` and `/api/v1/health`.
pub fn router(service: &'static str, health: Health, shutdown: Shutdown) -> Router {
    let live = move || async move { Json(Liveness::of(service)) };
    let health = Arc::new(health);
    Router::new()
        .route("/health", get(live))
        .route("/health/live", get(live))
        .route("/api/v1/health", get(live))
        .route(
            "/health/ready",
            get(move || async move {
                let readiness = health.readiness(service, &shutdown).await;
                let status = if readiness.is_ready() {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                (status, Json(readiness)).into_response()
            }),
        )
}
