//! The composition root: builds the services from the settings and starts the tasks that keep them current. Nothing is
//! constructed elsewhere.

use std::{sync::Arc, time::Duration};

use axum::Router;
use chassis::{
    Process,
    client::Client,
    clock::Clock,
    feed::follow::{FeedState, follow},
    health::Health,
};
use chrono::TimeDelta;
use recommender::{TrainedModels, taste::HalfLife};
use sqlx::PgPool;

use crate::{
    config::Config,
    database,
    experiments::{
        Experiments, explore::Explorer, impressions::Recorder, settle,
        store::EXPERIMENTS_REFRESH_INTERVAL, treatment::Treatments,
    },
    handler,
    ranking::{
        recommender::{RULES_REFRESH_INTERVAL, Recommender, Sources},
        store::{ListStore, RetentionPolicy},
    },
    read_model::{
        Catalogue, Shared, Users,
        follow::{FeedProjection, refresh_norms},
    },
    registry::{Registry, schedule::keep_training, store::LIVE_REFRESH_INTERVAL},
    rules::store::RuleSets,
    state::{AppState, Services},
};

/// The interval at which the norms of tag vectors are computed again if movies changed.
const NORMS_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// Migrates the database, loads the read models and returns the routes and health checks.
///
/// # Errors
/// Returns an error if a setting is invalid or the database cannot be reached.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pool = database::open(&config, &process.shutdown).await?;
    assemble(&process, pool, Clock::system()).await
}

/// As [`build`], over a migrated database.
///
/// # Errors
/// Returns an error if a setting is invalid or the database cannot be reached.
pub async fn assemble(
    process: &Process,
    pool: PgPool,
    clock: Clock,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let live = Shared::new(None);
    let models = Registry::new(pool.clone(), config.model_directory(), live.clone());
    models.refresh().await?;
    let shutdown = &process.shutdown;
    let refresh = move || {
        let models = models.clone();
        async move { models.refresh().await }
    };
    repeat(process, LIVE_REFRESH_INTERVAL, "the live model", refresh);
    shutdown.spawn(keep_training(pool.clone(), config, shutdown.clone()));
    assemble_with(process, pool, clock, live).await
}

/// As [`assemble`], with the learned models in `trained` instead of those of the registry.
///
/// # Errors
/// Returns an error if a setting is invalid or the database cannot be reached.
pub async fn assemble_with(
    process: &Process,
    pool: PgPool,
    clock: Clock,
    trained: Shared<Option<Arc<TrainedModels>>>,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let models = Registry::new(pool.clone(), config.model_directory(), trained.clone());
    let token = process.config.internal_token.as_ref();
    let movie_service = Client::new("movie-service", config.movie_service_url.clone(), token)?;
    let url = config.user_preference_service_url.clone();
    let preference_service = Client::new("preference-service", url, token)?;
    let shutdown = &process.shutdown;

    let catalogue = Shared::new(Arc::<Catalogue>::default());
    let movies_feed = FeedState::default();
    let projection = Arc::new(FeedProjection::load(pool.clone(), catalogue.clone()).await?);
    let (state, stop) = (movies_feed.clone(), shutdown.clone());
    shutdown.spawn(follow(movie_service, projection, state, stop));
    let users = Shared::new(Users::default());
    let users_feed = FeedState::default();
    let projection = Arc::new(FeedProjection::load(pool.clone(), users.clone()).await?);
    let (source, state, stop) = (
        preference_service.clone(),
        users_feed.clone(),
        shutdown.clone(),
    );
    shutdown.spawn(follow(source, projection, state, stop));

    let recorder = Recorder::start(pool.clone(), shutdown);
    let experiments = Experiments::new(pool.clone(), recorder, clock.clone());
    experiments.refresh().await?;
    let window_hours = i64::from(config.exploration_window_hours);
    let explorer = Explorer::new(pool.clone(), config.exploration()?, window_hours);
    explorer.refresh().await?;
    let (state, stop) = (users_feed.clone(), shutdown.clone());
    shutdown.spawn(settle::settle(pool.clone(), state, clock.clone(), stop));
    let treatments = Treatments::new(experiments.clone(), explorer.clone());

    let retention = RetentionPolicy {
        ttl: TimeDelta::hours(config.list_ttl_hours.into()),
        max_lists: config.lists_at_most.into(),
    };
    let (stored, time) = (users.clone(), clock.clone());
    let lists = ListStore::new(pool.clone(), stored, retention, time, shutdown);
    let sources = Sources {
        catalogue: catalogue.clone(),
        movies_feed: movies_feed.clone(),
        users,
        preference_service,
        trained,
        lists,
        uses_content: config.content_model,
        half_life: HalfLife {
            days: config.taste_half_life_days.into(),
        },
    };
    let recommender = Recommender::new(pool.clone(), sources, clock.clone())
        .await?
        .with_treatments(treatments.clone());
    refresh(process, &recommender, &catalogue);
    refresh_experiments(process, &experiments, explorer, treatments, &models);

    let state = AppState::new(Services {
        recommender,
        rule_sets: RuleSets::new(pool.clone(), clock),
        experiments,
        models,
    });
    let routes = handler::router(state, &process.config);
    let health = Health::default()
        .require("movie feed", move || movies_feed.clone().check())
        .require("preference feed", move || users_feed.clone().check())
        .require("postgres", move || chassis::postgres::check(pool.clone()));
    Ok((routes, health))
}

/// Starts a task that runs `work` in this `interval` until the shutdown. A failure is logged; what `work` refreshes
/// stays as it was.
fn repeat<F, E>(
    process: &Process,
    interval: Duration,
    what: &'static str,
    work: impl Fn() -> F + Send + 'static,
) where
    F: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display,
{
    let shutdown = process.shutdown.clone();
    process.shutdown.spawn(async move {
        while !shutdown.sleep(interval).await {
            if let Err(error) = work().await {
                tracing::debug!(%error, "cannot refresh {what}, keeping the last state");
            }
        }
    });
}

fn refresh(process: &Process, recommender: &Recommender, catalogue: &Shared<Arc<Catalogue>>) {
    let recommender = recommender.clone();
    repeat(process, RULES_REFRESH_INTERVAL, "the rules", move || {
        let recommender = recommender.clone();
        async move { recommender.refresh_rules().await }
    });
    let catalogue = catalogue.clone();
    repeat(process, NORMS_REFRESH_INTERVAL, "norms", move || {
        let catalogue = catalogue.clone();
        tokio::task::spawn_blocking(move || refresh_norms(&catalogue))
    });
}

fn refresh_experiments(
    process: &Process,
    experiments: &Experiments,
    explorer: Explorer,
    treatments: Treatments,
    models: &Registry,
) {
    let (experiments, models) = (experiments.clone(), models.clone());
    let interval = EXPERIMENTS_REFRESH_INTERVAL;
    repeat(process, interval, "the experiments", move || {
        let (experiments, treatments) = (experiments.clone(), treatments.clone());
        let models = models.clone();
        async move {
            let refreshed = experiments.refresh().await;
            let load = |version: i64| models.version(version);
            treatments.refresh_versions(&load).await;
            refreshed
        }
    });
    repeat(process, interval, "impression counts", move || {
        let explorer = explorer.clone();
        async move { explorer.refresh().await }
    });
}
