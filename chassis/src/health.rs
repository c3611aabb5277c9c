//! Health: alive means that the process answers, ready means that it can do its work now. What
//! "can" means is a list of checks that the service hands in.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use utoipa::ToSchema;

use crate::shutdown::Shutdown;

/// Longest wait for one check; shorter than any probe's own time limit.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

struct Check {
    name: &'static str,
    /// Whether the service cannot work without it.
    required: bool,
    run: Box<dyn Fn() -> CheckFuture + Send + Sync>,
}

/// The checks of a service.
#[derive(Default)]
pub struct Health {
    checks: Vec<Check>,
}

impl Health {
    /// Without `name` the service is not ready.
    #[must_use]
    pub fn require<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, true, check)
    }

    /// `name` is reported, but the service works without it.
    #[must_use]
    pub fn report<F, Fut>(self, name: &'static str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.with(name, false, check)
    }

    fn with<F, Fut>(mut self, name: &'static str, required: bool, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.checks.push(Check {
            name,
            required,
            run: Box::new(move || Box::pin(check())),
        });
        self
    }

    /// Runs all checks at once.
    pub async fn readiness(&self, service: &'static str, shutdown: &Shutdown) -> Readiness {
        let results = futures_util::future::join_all(self.checks.iter().map(|check| async move {
            let state = match tokio::time::timeout(CHECK_TIMEOUT, (check.run)()).await {
                Ok(Ok(())) => "ok".to_owned(),
                Ok(Err(reason)) => reason,
                Err(_) => "no answer within a second".to_owned(),
            };
            Dependency {
                name: check.name,
                required: check.required,
                status: state,
            }
        }))
        .await;
        let stopping = shutdown.is_started();
        let works = results
            .iter()
            .all(|dependency| !dependency.required || dependency.status == "ok");
        Readiness {
            service,
            status: match (stopping, works) {
                (true, _) => "stopping",
                (false, true) => "ok",
                (false, false) => "unavailable",
            },
            dependencies: results,
        }
    }
}

/// What `/health/ready` answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// The service's name.
    pub service: &'static str,
    /// `ok`, `unavailable` or `stopping`.
    pub status: &'static str,
    /// What it depends on.
    pub dependencies: Vec<Dependency>,
}

/// Something that a service depends on.
#[derive(Debug, Serialize, ToSchema)]
pub struct Dependency {
    /// Its name.
    pub name: &'static str,
    /// Whether the service is not ready without it.
    pub required: bool,
    /// `ok`, or why not.
    pub status: String,
}

/// What `/health`, `/health/live` and `/api/v1/health` answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Liveness {
    /// The service's name.
    #[schema(example = "movie-service")]
    pub service: &'static str,
    /// Always `ok`: a process that answers is alive.
    #[schema(example = "ok")]
    pub status: &'static str,
    /// The version of the program.
    #[schema(example = "0.1.0")]
    pub version: &'static str,
}

impl Liveness {
    /// The report of `service`.
    #[must_use]
    pub fn of(service: &'static str) -> Self {
        Self {
            service,
            status: "ok",
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// `/health`, `/health/live`, `/health/ready` and the original's `/api/v1/health`.
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
                let status = if readiness.status == "ok" {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                (status, Json(readiness)).into_response()
            }),
        )
}
