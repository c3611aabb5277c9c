//! The audit log, as services use it that do not keep it: what an administrator does is recorded *before* it is done, by the
//! service that keeps the log, so that nothing is done without an entry. An entry states a request, not its success.

use std::time::Duration;

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::Method;
use serde::{Deserialize, Serialize};

use crate::{
    caller::Caller,
    client::{CallError, Client},
    problem::Problem,
};

/// The path of the service that keeps the log.
pub const AUDIT_PATH: &str = "/internal/v1/audit";
/// The time limit of an entry.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The longest path and query of an entry, in characters.
const MAX_TARGET_LENGTH: usize = 1000;

/// An entry, as it is sent to the service that keeps the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// The subject of the administrator's token.
    pub actor: String,
    /// The method and the pattern of the path.
    pub action: String,
    /// The path and the query of the request, at most 1000 characters.
    pub target: String,
}

/// The audit log of another service; cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    client: Client,
}

impl AuditLog {
    /// The log of the service behind `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn record(&self, record: &AuditRecord) -> Result<(), CallError> {
        let request = self.client.request(Method::POST, AUDIT_PATH, TIMEOUT);
        let response = request.json(record).send().await;
        let response = response.map_err(|error| self.client.unreachable(error))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(CallError::Status {
            service: self.client.service(),
            status: response.status().as_u16(),
        })
    }
}

/// A layer that records what administrators do by the routes below it, except what only reads. A request whose entry cannot be
/// written is refused with 503 and not carried out. Requests of other services are theirs to record.
pub async fn audited(State(log): State<AuditLog>, request: Request, next: Next) -> Response {
    let caller = Caller::from_headers(request.headers());
    let is_reading = [Method::GET, Method::HEAD].contains(request.method());
    if is_reading || caller.is_internal {
        return next.run(request).await;
    }
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or("unmatched", MatchedPath::as_str);
    let target = request.uri().path_and_query();
    let target = target.map_or("", |target| target.as_str());
    let record = AuditRecord {
        actor: caller.subject.unwrap_or_default(),
        action: format!("{} {route}", request.method()),
        target: target.chars().take(MAX_TARGET_LENGTH).collect(),
    };
    match log.record(&record).await {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::unavailable("the audit log")
            .cause(&error)
            .into_response(),
    }
}
