//! The composition root: what the service is made of, put together in one place.

use std::sync::Arc;

use axum::Router;
use chassis::{
    Process,
    client::Client,
    clock::Clock,
    feed::follow::{FeedState, follow},
    health::Health,
};
use sqlx::PgPool;

use crate::{
    config::Config,
    database, handler,
    models::{Catalogue, Users},
    service::{
        models::{self, Models},
        read_model::{Keeper, Shared},
        recommender::{RULES_REFRESH, Recommender},
        schedule::keep_training,
    },
};

/// What handlers work with.
#[derive(Clone)]
pub struct AppState {
    /// Makes lists.
    pub recommender: Recommender,
    /// The learned models that are live.
    pub models: Models,
}

/// The service's routes and checks, its database brought up to date and its read models loaded.
///
/// # Errors
/// Settings that are wrong, or a database that is not there.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pool = database::open(&config, &process.shutdown).await?;
    assemble(&process, pool, Clock::system()).await
}

/// The service over a database that is up to date.
///
/// # Errors
/// Settings that are wrong, or a database that does not answer.
pub async fn assemble(
    process: &Process,
    pool: PgPool,
    clock: Clock,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let models = Models::new(pool.clone(), config.model_directory());
    models.refresh().await?;
    process
        .shutdown
        .spawn(keep_models(models.clone(), process.clone()));
    process.shutdown.spawn(keep_training(
        pool.clone(),
        config.clone(),
        process.shutdown.clone(),
    ));
    let token = process.config.internal_token.as_ref();
    let movie_service = Client::new("movie-service", config.movie_service_url, token)?;
    let preference_service = Client::new(
        "preference-service",
        config.user_preference_service_url,
        token,
    )?;
    let catalogue = Shared::new(Catalogue::default());
    let users = Shared::new(Users::default());
    let movies_feed = FeedState::default();
    let users_feed = FeedState::default();
    let shutdown = &process.shutdown;
    let keeper = Keeper::load(pool.clone(), catalogue.clone()).await?;
    shutdown.spawn(follow(
        movie_service,
        Arc::new(keeper),
        movies_feed.clone(),
        shutdown.clone(),
    ));
    let keeper = Keeper::load(pool.clone(), users.clone()).await?;
    shutdown.spawn(follow(
        preference_service.clone(),
        Arc::new(keeper),
        users_feed.clone(),
        shutdown.clone(),
    ));
    let recommender = Recommender::new(
        pool.clone(),
        catalogue,
        users,
        preference_service,
        movies_feed.clone(),
        clock,
    )
    .await?;
    shutdown.spawn(keep_rules(recommender.clone(), process.clone()));
    let routes = handler::router(
        AppState {
            recommender,
            models,
        },
        &process.config,
    );
    let health = Health::default()
        .require("movie feed", move || movies_feed.clone().check())
        .require("preference feed", move || users_feed.clone().check())
        .require("postgres", move || chassis::postgres::check(pool.clone()));
    Ok((routes, health))
}

async fn keep_models(models: Models, process: Process) {
    while !process.shutdown.sleep(models::REFRESH).await {
        if let Err(error) = models.refresh().await {
            tracing::debug!(%error, "cannot ask which model is live, going on with the one that was");
        }
    }
}

async fn keep_rules(recommender: Recommender, process: Process) {
    while !process.shutdown.sleep(RULES_REFRESH).await {
        if let Err(error) = recommender.refresh_rules().await {
            tracing::debug!(%error, "cannot read the rules again, going on with those known");
        }
    }
}
