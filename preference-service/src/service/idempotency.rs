//! Requests that are done once though they come twice.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::PgPool;

use crate::{
    models::{Begun, KeyedRequest, StoredAnswer},
    repository::idempotency,
};

/// How much longer than a request may take its key is held, so that a slow answer is not done twice.
const MARGIN: Duration = Duration::from_secs(5);

/// Known requests and their answers; cheap to clone.
#[derive(Clone)]
pub struct Idempotency {
    pool: PgPool,
    lease: Duration,
}

impl Idempotency {
    /// Those in `pool`, kept for `retention`; a request takes at most `time_limit`.
    #[must_use]
    pub fn new(
        pool: PgPool,
        time_limit: Duration,
        retention: Duration,
        shutdown: &Shutdown,
    ) -> Self {
        let expiring = pool.clone();
        let stopping = shutdown.clone();
        shutdown.spawn(async move {
            let every = (retention / 10).clamp(Duration::from_secs(1), Duration::from_secs(600));
            while !stopping.sleep(every).await {
                if let Err(error) = idempotency::expire(&expiring, retention).await {
                    tracing::debug!(%error, "cannot forget old idempotency keys");
                }
            }
        });
        Self {
            pool,
            lease: time_limit + MARGIN,
        }
    }

    /// What is known of `request`; from [`Begun::First`] on it is ours.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn begin(&self, request: &KeyedRequest) -> sqlx::Result<Begun> {
        idempotency::begin(&self.pool, request, self.lease).await
    }

    /// Ends a request that is ours: its answer is kept, or where it changed nothing its key is free.
    /// Should Postgres fail here, the key is free when its lease runs out.
    pub async fn end(&self, request: &KeyedRequest, answer: Option<&StoredAnswer>) {
        let ended = match answer {
            Some(answer) => idempotency::finish(&self.pool, request, answer).await,
            None => idempotency::release(&self.pool, request).await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "cannot keep the answer to a request with an idempotency key");
        }
    }
}
