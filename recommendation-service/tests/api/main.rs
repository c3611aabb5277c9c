//! The service over HTTP: the real router and a real database. `owner` plays the services that own movies and users.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests panic with the place of a failure, and their fakes need no production plumbing"
)]

mod admin_rules;
mod base;
mod commands;
mod experiments;
mod explanations;
mod group;
mod languages;
mod lists;
mod models;
mod openapi;
mod owner;
mod preview;
mod query;
mod recommendations;
mod replicas;
mod rules;
mod similar;
mod statements;
mod strategies;
mod taste_formula;

use std::{collections::HashMap, sync::Arc};

use axum::{Router, body::Body, http::Request};
use chassis::{
    Process, Settings,
    clock::Clock,
    testing::{TestResponse, eventually},
};
use chrono::{DateTime, TimeZone, Utc};
use owner::Owner;
use recommendation_service::registry::LiveModels;
use recommender::{
    Ease, EaseSettings, Ials, IalsSettings, Interactions, Popularity, TrainedModels,
    model_file::{Manifest, ModelParts},
};
use serde_json::{Value, json};
use sqlx::PgPool;

/// The service, and the owners of its data.
struct TestApp {
    app: Router,
    process: Process,
    movies: Owner,
    users: Owner,
}

/// Models of users who like movies of one parity, over the movies 1 to 12.
fn trained() -> Arc<TrainedModels> {
    let rows = (0..40_u32).map(|user| {
        let films = (0..12_u32)
            .filter(move |film| film % 2 == user % 2 && !(film / 2 + user / 2).is_multiple_of(3));
        films.map(|film| (film, 1.0))
    });
    let interactions = Interactions::from_rows(12, rows).unwrap();
    let ials = IalsSettings {
        dimensions: 8,
        ..IalsSettings::default()
    };
    let ease = EaseSettings::plain(2.0);
    let parts = ModelParts {
        films: (1..=12).collect(),
        popularity: Some(Arc::new(Popularity::fit(&interactions))),
        ease: Some(Arc::new(Ease::fit(&interactions, &ease).unwrap())),
        ials: Some(Arc::new(Ials::fit(&interactions, &ials).unwrap())),
        spectral: None,
    };
    let weights = [("ease", 0.7), ("ials", 0.3), ("familiarity", 2.0)];
    let manifest = Manifest {
        users: 1000,
        parameters: weights
            .map(|(name, value)| (format!("blend.{name}"), value))
            .into(),
        ..Manifest::default()
    };
    Arc::new(parts.into_trained(5, &manifest).unwrap())
}

/// The time of the tests' clock.
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

    /// As [`TestApp::ready`], with learned models.
    async fn trained(pool: &PgPool) -> Self {
        Self::trained_with(pool, &[]).await
    }

    /// As [`TestApp::trained`], with settings.
    async fn trained_with(pool: &PgPool, settings: &[(&str, &str)]) -> Self {
        let owners = (Owner::start().await, Owner::start().await);
        let test = Self::with(pool, owners.0, owners.1, Some(trained()), settings).await;
        test.until_ready().await;
        test
    }

    /// Another replica over `pool`.
    async fn beside(pool: &PgPool, movies: Owner, users: Owner) -> Self {
        Self::with(pool, movies, users, None, &[]).await
    }

    async fn with(
        pool: &PgPool,
        movies: Owner,
        users: Owner,
        trained: Option<Arc<TrainedModels>>,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::with_live(pool, movies, users, LiveModels::new(trained), settings).await
    }

    async fn with_live(
        pool: &PgPool,
        movies: Owner,
        users: Owner,
        live: LiveModels,
        settings: &[(&str, &str)],
    ) -> Self {
        let owners = [
            ("MOVIE_SERVICE_URL", movies.url()),
            ("USER_PREFERENCE_SERVICE_URL", users.url()),
        ];
        let settings = settings
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let environment: HashMap<String, String> = owners
            .into_iter()
            .chain(settings)
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let settings =
            Settings::merge(recommendation_service::config::DEFAULTS, &environment).unwrap();
        let process = Process::new(recommendation_service::NAME, settings).unwrap();
        let (routes, health) = recommendation_service::app::assemble_with(
            &process,
            pool.clone(),
            Clock::fixed(now()),
            live,
        )
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

    /// Stops the process, as a signal would.
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

    /// The response to `who`: a user's id, `admin`, or `""` for no principal.
    async fn get_as(&self, who: &str, path: &str) -> TestResponse {
        chassis::testing::send(&self.app, request(who, "GET", path, Body::empty())).await
    }

    async fn post_as(&self, who: &str, path: &str, body: Value) -> TestResponse {
        let body = Body::from(body.to_string());
        chassis::testing::send(&self.app, request(who, "POST", path, body)).await
    }
}

fn request(who: &str, method: &str, path: &str, body: Body) -> Request<Body> {
    let role = if who == "admin" { "admin" } else { "user" };
    let request = Request::builder().method(method).uri(path);
    let request = match who {
        "" => request,
        who => request.header(
            "x-principal",
            json!({"subject": who, "role": role}).to_string(),
        ),
    };
    request.body(body).unwrap()
}

/// The ids of a list; empty for a problem.
fn ids(body: &Value) -> Vec<i64> {
    let films = body["recommendations"].as_array();
    films
        .into_iter()
        .flatten()
        .map(|film| film["id"].as_i64().unwrap())
        .collect()
}
