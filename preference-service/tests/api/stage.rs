//! Test fixtures: the service, and a fake movie-service.

mod login_provider;
mod movie_service;

use std::{collections::HashMap, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use chassis::{
    Process, Settings,
    testing::{TestResponse, eventually},
};
use preference_service::{NAME, app, config, database::Pools, handler};
use serde_json::{Value, json};
use sqlx::PgPool;

pub(crate) use self::{
    login_provider::{Fault, Person, TestProvider},
    movie_service::{Mood, MovieService},
};

/// The password of accounts with one.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The service under test; its background tasks end with it.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) pool: PgPool,
    process: Process,
}

impl TestApp {
    /// The service over `pool`, following `movies`.
    pub(crate) fn new(pool: &PgPool, movies: &MovieService) -> Self {
        Self::with(pool, movies, &[])
    }

    /// The service over `pool` with further settings.
    pub(crate) fn with(pool: &PgPool, movies: &MovieService, settings: &[(&str, &str)]) -> Self {
        Self::over(pool, pool.clone(), movies, settings)
    }

    /// The service over `pools` to the database of `pool`.
    pub(crate) fn over(
        pool: &PgPool,
        pools: impl Into<Pools>,
        movies: &MovieService,
        settings: &[(&str, &str)],
    ) -> Self {
        let url = movies.url();
        // Hashes are cheap in tests.
        let environment: HashMap<String, String> = [
            ("MOVIE_SERVICE_URL", url.as_str()),
            ("REDIS_URL", ""),
            ("ARGON2_MEMORY_KIB", "8"),
            ("ARGON2_ITERATIONS", "1"),
            ("ARGON2_WAIT_MS", "20000"),
            ("AUTH_MODE", "mock"),
            ("LOGIN_DELAY_MS", "0"),
            ("API_KEY_MAX_DAYS", "40000"),
            ("API_KEYS_WITHOUT_END", "true"),
        ]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let settings = Settings::merge(config::DEFAULTS, &environment).expect("settings");
        let config = settings.read().expect("settings");
        let process = Process::new(NAME, settings).expect("settings");
        let (routes, health) = app::assemble(&process, &config, pools).expect("a service");
        Self {
            router: process.application(routes, health, &handler::openapi()),
            pool: pool.clone(),
            process,
        }
    }

    /// The service over `pool`, beside a movie-service with the movies 603 and 604.
    pub(crate) async fn beside_movies(pool: &PgPool) -> (Self, MovieService) {
        let movies = MovieService::start().await;
        movies.sync(603, 1, "The Matrix");
        movies.sync(604, 1, "The Matrix Reloaded");
        (Self::new(pool, &movies), movies)
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        chassis::testing::get(&self.router, path).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::post(&self.router, path, body).await
    }

    /// Sends a request as the gateway does: of `principal` (id and role) from `address`.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Value,
        principal: Option<(i64, &str)>,
        address: Option<&str>,
    ) -> TestResponse {
        let principal =
            principal.map(|(id, role)| json!({"subject": id.to_string(), "role": role}));
        self.send_as(method, path, body, principal, address).await
    }

    /// As [`TestApp::send`], with the whole principal.
    pub(crate) async fn send_as(
        &self,
        method: &str,
        path: &str,
        body: Value,
        principal: Option<Value>,
        address: Option<&str>,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(principal) = principal {
            request = request.header("x-principal", principal.to_string());
        }
        if let Some(address) = address {
            request = request.header("x-real-ip", address);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = request.body(Body::from(body)).expect("a request");
        chassis::testing::send(&self.router, request).await
    }

    /// Signs up `name` with the password `PASSWORD`; returns the id.
    pub(crate) async fn account(&self, name: &str) -> i64 {
        let email = format!("{name}@example.org");
        let body = json!({"username": name, "email": email, "password": PASSWORD});
        let user = self.post("/api/v1/users", body).await.expect(201);
        user["id"].as_i64().expect("an id")
    }

    /// Sends a login.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> TestResponse {
        let body = json!({"username": name, "password": password});
        self.post("/api/v1/auth/token", body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::call(&self.router, Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::call(&self.router, Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        chassis::testing::call(&self.router, Method::DELETE, path, None).await
    }

    /// Signs up `name` without a password; returns the id.
    pub(crate) async fn user(&self, name: &str) -> i64 {
        let body = json!({"username": name, "email": format!("{name}@example.org")});
        let user = self.post("/api/v1/users", body).await.expect(201);
        user["id"].as_i64().expect("an id")
    }

    /// Stores an interaction; returns its id.
    pub(crate) async fn interact(&self, user: i64, kind: &str, movie: i64) -> i64 {
        let body = json!({"movie_id": movie, "interaction_type": kind});
        let path = format!("/api/v1/users/{user}/interactions");
        self.post(&path, body).await.expect(201)["id"]
            .as_i64()
            .expect("an id")
    }

    /// Counts the rows of `table`.
    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "user_account" => "select count(*) from user_account",
            "preference" => "select count(*) from preference",
            "interaction" => "select count(*) from interaction",
            "refresh_family" => "select count(*) from refresh_family",
            "signing_key" => "select count(*) from signing_key",
            "outbox" => "select count(*) from outbox",
            "user_movie" => "select count(*) from user_movie",
            other => panic!("no count of {other}"),
        };
        sqlx::query_scalar(statement)
            .fetch_one(&self.pool)
            .await
            .expect("a count")
    }

    /// Lists the movies of the projection: id, version, title.
    pub(crate) async fn films(&self) -> Vec<(i64, i64, String)> {
        sqlx::query_as("select id, version, title from movie where not removed order by id")
            .fetch_all(&self.pool)
            .await
            .expect("films")
    }

    /// Waits until the projection has `count` movies.
    pub(crate) async fn knows_films(&self, count: usize) {
        eventually("the movies are known", async || {
            self.films().await.len() == count
        })
        .await;
    }

    /// Stops the background tasks, as a stopping process does.
    pub(crate) async fn stop(self) {
        self.process.shutdown.start();
        assert!(self.process.shutdown.drain(Duration::from_secs(5)).await);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.process.shutdown.start();
    }
}

/// Asserts that `response` is a problem with `status` and the one-line text `error`; returns the fields of
/// its errors.
pub(crate) fn assert_problem(response: &TestResponse, status: u16, error: &str) -> Vec<String> {
    assert_eq!(response.status.as_u16(), status, "{}", response.text);
    assert_eq!(response.headers["content-type"], "application/problem+json");
    let body = &response.body;
    assert_eq!(body["error"], error, "{}", response.text);
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail", "instance", "request_id"] {
        let text = body[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{member} in {}", response.text);
    }
    body["errors"]
        .as_array()
        .map(|errors| {
            errors
                .iter()
                .filter_map(|error| error["field"].as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}
