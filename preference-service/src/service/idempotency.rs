//! Idempotency keys: a keyed request is processed once, later ones replay its response. Called by the
//! middleware [`crate::handler`] puts around POSTs that create something.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::PgPool;

use crate::{
    models::{KeyState, KeyedRequest, StoredResponse, UserId},
    repository::idempotency,
};

/// The time that a lease outlasts the request's time limit, so that a slow request is not repeated.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// The keys and their responses; cheap to clone.
#[derive(Clone)]
pub struct Idempotency {
    pool: PgPool,
    lease: Duration,
}

impl Idempotency {
    /// The keys in `pool`, deleted after `retention`; a request takes at most `request_timeout`.
    pub fn start(
        pool: PgPool,
        request_timeout: Duration,
        retention: Duration,
        shutdown: &Shutdown,
    ) -> Self {
        let (cleaned, stopping) = (pool.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let interval = (retention / 10).clamp(Duration::from_secs(1), Duration::from_secs(600));
            while !stopping.sleep(interval).await {
                if let Err(error) = idempotency::delete_expired(&cleaned, retention).await {
                    tracing::debug!(%error, "cannot delete expired idempotency keys");
                }
            }
        });
        Self {
            pool,
            lease: request_timeout + LEASE_MARGIN,
        }
    }

    /// Leases the key of `request` if it is free; returns its state.
    #[tracing::instrument(name = "service.idempotency.acquire", level = "debug", skip_all)]
    pub async fn acquire(&self, request: &KeyedRequest) -> sqlx::Result<KeyState> {
        idempotency::acquire(&self.pool, request, self.lease).await
    }

    /// Stores the response to an acquired request, which may have created a user, or releases its key if `response` is `None`. If
    /// Postgres fails, the key is free when its lease expires.
    #[tracing::instrument(name = "service.idempotency.complete", level = "debug", skip_all)]
    pub async fn complete(
        &self,
        request: &KeyedRequest,
        response: Option<&StoredResponse>,
        created: Option<UserId>,
    ) {
        let completed = match response {
            Some(response) => idempotency::complete(&self.pool, request, response, created).await,
            None => idempotency::release(&self.pool, request).await,
        };
        if let Err(error) = completed {
            tracing::warn!(%error, "cannot store the response to a request with an idempotency key");
        }
    }
}
