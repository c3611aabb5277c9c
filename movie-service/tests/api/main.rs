//! Tests of the service over HTTP: the real router, a real database, and demo-tmdb.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test that cannot go on should say where"
)]

mod feed;
mod hydration;
mod images;
mod includes;
mod jobs;
mod languages;
mod lists;
mod matching;
mod metrics;
mod movies;
mod openapi;
mod postgres_away;
mod refresh;
mod search;
mod select;
mod state;
mod statements;
mod sync;
mod walk;
mod warm_pool;

use std::{collections::HashMap, sync::Arc};

use axum::Router;
use chassis::{
    Process, Settings,
    testing::{TestResponse, get},
};
use demo_tmdb::testing::DemoTmdb;
use serde_json::{Value, json};
use sqlx::PgPool;

/// The service and its TMDB.
struct TestApp {
    app: Router,
    tmdb: Arc<DemoTmdb>,
}

impl TestApp {
    /// The service over `pool`, with an empty catalogue.
    fn new(pool: &PgPool) -> Self {
        Self::with(pool, &[])
    }

    fn with(pool: &PgPool, settings: &[(&str, &str)]) -> Self {
        Self::beside(pool, Arc::new(DemoTmdb::start()), settings)
    }

    /// Another process of the service over `pool`, with the same TMDB.
    fn beside(pool: &PgPool, tmdb: Arc<DemoTmdb>, settings: &[(&str, &str)]) -> Self {
        let mut environment = HashMap::from([
            ("TMDB_BASE_URL".to_owned(), tmdb.url()),
            ("TMDB_API_KEY".to_owned(), "test".to_owned()),
            ("TMDB_RATE_LIMIT_PER_SECOND".to_owned(), "10000".to_owned()),
            ("TMDB_RETRY_BASE_MS".to_owned(), "1".to_owned()),
            // No movies but those that a test requests.
            ("WARM_POOL_INTERVAL_SECONDS".to_owned(), "0".to_owned()),
            ("MOVIE_REFRESH_DAYS".to_owned(), "0".to_owned()),
            // Unreachable: tests must not share movies.
            ("REDIS_URL".to_owned(), "redis://127.0.0.1:1/0".to_owned()),
        ]);
        for (name, value) in settings {
            environment.insert((*name).to_owned(), (*value).to_owned());
        }
        let settings = Settings::merge(movie_service::config::DEFAULTS, &environment).unwrap();
        let process = Process::new(movie_service::NAME, settings).unwrap();
        let (routes, health) = movie_service::app::assemble(&process, pool.clone()).unwrap();
        let app = process.application(routes, health, &movie_service::handler::openapi());
        Self { app, tmdb }
    }

    /// The service with the first `pages` pages of movies.
    async fn synced(pool: &PgPool, pages: u32) -> Self {
        let test = Self::new(pool);
        test.sync(pages).await.expect(200);
        test
    }

    async fn sync(&self, pages: u32) -> TestResponse {
        self.post(&format!("/api/v1/admin/sync?pages={pages}"))
            .await
    }

    async fn get(&self, path: &str) -> TestResponse {
        get(&self.app, path).await
    }

    async fn post(&self, path: &str) -> TestResponse {
        chassis::testing::post(&self.app, path, json!({})).await
    }

    /// The ids of a list.
    async fn ids(&self, path: &str) -> Vec<i64> {
        ids(&self.get(path).await.expect(200))
    }
}

fn ids(list: &Value) -> Vec<i64> {
    let films = list["data"].as_array().unwrap();
    films
        .iter()
        .map(|film| film["id"].as_i64().unwrap())
        .collect()
}
