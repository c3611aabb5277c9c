//! The service as its users see it: HTTP in, HTTP out, on the real router and a real database.
//! Who owns films and users is played by `owner`.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod models;
mod openapi;
mod owner;
mod recommendations;
mod replicas;
mod rules;

use std::collections::HashMap;

use axum::Router;
use chassis::{Process, Settings, clock::Clock, testing::eventually};
use chrono::{DateTime, TimeZone, Utc};
use owner::Owner;
use sqlx::PgPool;

/// The service, and who it learns from.
struct TestApp {
    app: Router,
    process: Process,
    movies: Owner,
    users: Owner,
}

/// The instant at which the tests' clock stands.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap()
}

impl TestApp {
    /// The service over `pool`, ready.
    async fn ready(pool: &PgPool) -> Self {
        let test = Self::beside(pool, Owner::start().await, Owner::start().await).await;
        test.until_ready().await;
        test
    }

    /// Another process of the service over `pool`.
    async fn beside(pool: &PgPool, movies: Owner, users: Owner) -> Self {
        let environment = HashMap::from([
            ("MOVIE_SERVICE_URL".to_owned(), movies.url()),
            ("USER_PREFERENCE_SERVICE_URL".to_owned(), users.url()),
        ]);
        let settings =
            Settings::merge(recommendation_service::config::DEFAULTS, &environment).unwrap();
        let process = Process::new(recommendation_service::NAME, settings).unwrap();
        let (routes, health) =
            recommendation_service::app::assemble(&process, pool.clone(), Clock::fixed(now()))
                .await
                .unwrap();
        let openapi = recommendation_service::handler::openapi();
        let app = process.application(routes, health, &openapi);
        Self {
            app,
            process,
            movies,
            users,
        }
    }

    async fn until_ready(&self) {
        eventually("ready", async || {
            chassis::testing::get(&self.app, "/health/ready")
                .await
                .status
                == 200
        })
        .await;
    }

    /// Ends the process, as a signal would.
    async fn stop(self) -> (Owner, Owner) {
        self.process.shutdown.start();
        assert!(
            self.process
                .shutdown
                .drain(std::time::Duration::from_secs(5))
                .await
        );
        (self.movies, self.users)
    }
}
