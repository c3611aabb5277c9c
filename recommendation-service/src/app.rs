//! The composition root: builds the services from the settings and starts the tasks that keep them current. Nothing is
//! constructed elsewhere.

use std::{sync::Arc, time::Duration};

use axum::Router;
use chassis::{
    Process,
    audit::AuditLog,
    client::Client,
    clock::Clock,
    feed::follow::{FeedState, follow},
    health::Health,
};
use chrono::TimeDelta;
use recommender::taste::HalfLife;
use sqlx::PgPool;

use crate::{
    config::Config,
    database::{self, Pools},
    experiments::{
        Experiments, explore::Explorer, impressions::Recorder, settle,
        store::EXPERIMENTS_REFRESH_INTERVAL, treatment::Treatments,
    },
    handler,
    ranking::{
        known_users::KnownUsers,
        recommender::{RULES_REFRESH_INTERVAL, Recommender, Sources},
        store::{ListStore, RetentionPolicy},
    },
    read_model::{
        Catalogue, Shared, Users,
        follow::{FeedProjection, ReadModel, refresh_factors},
    },
    registry::{LiveModels, Registry, schedule::keep_training, store::LIVE_REFRESH_INTERVAL},
    rules::store::RuleSets,
    state::{AppState, Services},
    words::Words,
};

/// The interval at which the content factors of movies are computed again if movies changed.
const FACTORS_REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// The interval at which the names that messages are searched for are collected again if movies changed.
const NAMES_REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Migrates the database, loads the read models and returns the routes and health checks.
///
/// # Errors
/// Returns an error if a setting is invalid or the database cannot be reached.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pools = database::open_pools(&config, &process.shutdown).await?;
    assemble(&process, pools, Clock::system()).await
}

/// As [`build`], over a migrated database.
pub async fn assemble(
    process: &Process,
    pools: Pools,
    clock: Clock,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let live = LiveModels::default();
    let models = Registry::new(
        pools.background.clone(),
        config.model_directory(),
        live.clone(),
    );
    models.refresh().await?;
    let shutdown = &process.shutdown;
    let (interval, what) = (LIVE_REFRESH_INTERVAL, "the live model");
    repeat(process, interval, what, models, |models| async move {
        models.refresh().await
    });
    shutdown.spawn(keep_training(
        pools.background.clone(),
        config,
        shutdown.clone(),
    ));
    assemble_with(process, pools, clock, live).await
}

/// Scores content by the weights that were fitted with the live models, or by the default ones.
fn use_weights(catalogue: &Shared<Arc<Catalogue>>, live: &LiveModels) {
    let fitted = live.own.read().as_ref().and_then(|own| own.content);
    let weights = fitted.unwrap_or_default();
    if *catalogue.snapshot().content_weights() != weights {
        refresh_factors(catalogue, Some(&weights));
    }
}

/// As [`assemble`], with the learned models in `trained` instead of those of the registry.
pub async fn assemble_with(
    process: &Process,
    pools: impl Into<Pools>,
    clock: Clock,
    trained: LiveModels,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pools: Pools = pools.into();
    let models = Registry::new(
        pools.admin.clone(),
        config.model_directory(),
        trained.clone(),
    );
    let process_config = &process.config;
    let movie_service = Client::new(
        "movie-service",
        config.movie_service_url.clone(),
        process_config,
    )?;
    let url = config.user_preference_service_url.clone();
    let preference_service = Client::new("preference-service", url, process_config)?;
    let audit = AuditLog::new(preference_service.clone());
    let shutdown = &process.shutdown;

    let catalogue = Shared::new(Arc::<Catalogue>::default());
    let languages = config.catalogue_languages.others();
    let movies_feed = project(
        process,
        &pools.background,
        movie_service,
        &catalogue,
        languages,
    )
    .await?;
    let users = Shared::new(Users::default());
    let users_feed = project(
        process,
        &pools.background,
        preference_service.clone(),
        &users,
        Vec::new(),
    );
    let users_feed = users_feed.await?;
    let (interval, own) = (LIVE_REFRESH_INTERVAL, (catalogue.clone(), trained.clone()));
    repeat(process, interval, "content weights", own, |own| {
        tokio::task::spawn_blocking(move || use_weights(&own.0, &own.1))
    });

    let recorder = Recorder::start(pools.background.clone(), shutdown);
    let experiments = Experiments::new(pools.admin.clone(), recorder, clock.clone());
    experiments.refresh().await?;
    let window_hours = i64::from(config.exploration_window_hours);
    let explorer = Explorer::new(
        pools.background.clone(),
        config.exploration()?,
        window_hours,
    );
    explorer.refresh().await?;
    let (state, stop) = (users_feed.clone(), shutdown.clone());
    shutdown.spawn(settle::settle(
        pools.background.clone(),
        state,
        clock.clone(),
        stop,
    ));
    let treatments = Treatments::new(experiments.clone(), explorer.clone());

    let retention = RetentionPolicy {
        ttl: TimeDelta::hours(config.list_ttl_hours.into()),
        max_lists: config.lists_at_most.into(),
    };
    let (stored, time) = (users.clone(), clock.clone());
    let lists = ListStore::new(pools.lists.clone(), stored, retention, time, shutdown);
    let sources = Sources {
        catalogue: catalogue.clone(),
        movies_feed: movies_feed.clone(),
        users: KnownUsers::new(users, preference_service),
        trained,
        lists,
        uses_content: config.content_model,
        half_life: HalfLife {
            days: config.taste_half_life_days.into(),
        },
        treatments: Some(treatments.clone()),
    };
    let recommender = Recommender::new(pools.lists.clone(), sources, clock.clone());
    recommender.refresh_rules().await?;
    let (interval, own) = (RULES_REFRESH_INTERVAL, recommender.clone());
    repeat(process, interval, "the rules", own, |own| async move {
        own.refresh_rules().await
    });
    let words = Words::new(
        catalogue.clone(),
        config
            .language_model(process.config.request_timeout())?
            .as_ref(),
        clock.clone(),
    )?;
    words.refresh();
    let own = words.clone();
    repeat(process, NAMES_REFRESH_INTERVAL, "names", own, |own| {
        tokio::task::spawn_blocking(move || own.refresh())
    });
    repeat(
        process,
        FACTORS_REFRESH_INTERVAL,
        "content factors",
        catalogue,
        |own| tokio::task::spawn_blocking(move || refresh_factors(&own, None)),
    );
    let (interval, own) = (EXPERIMENTS_REFRESH_INTERVAL, experiments.clone());
    let own = (own, treatments, models.clone());
    repeat(
        process,
        interval,
        "the experiments",
        own,
        |own| async move {
            let (experiments, treatments, models) = own;
            let refreshed = experiments.refresh().await;
            let load = |version: i64| models.version(version);
            treatments.refresh_versions(&load).await;
            refreshed
        },
    );
    repeat(
        process,
        interval,
        "impression counts",
        explorer,
        |own| async move { own.refresh().await },
    );

    let state = AppState::new(Services {
        recommender,
        rule_sets: RuleSets::new(pools.admin.clone(), clock),
        experiments,
        models,
        words,
        languages: config.catalogue_languages,
    });
    let routes = handler::router(state, &process.config, audit);
    let health = Health::default()
        .require("movie feed", move || movies_feed.clone().check())
        .require("preference feed", move || users_feed.clone().check())
        .require("postgres", move || {
            chassis::postgres::check(pools.background.clone())
        });
    Ok((routes, health))
}

/// Loads `model`, movies with titles in `languages`, and starts a task that keeps it current by the feed of `source`
/// until the shutdown.
async fn project<M: ReadModel>(
    process: &Process,
    pool: &PgPool,
    source: Client,
    model: &Shared<M>,
    languages: Vec<String>,
) -> sqlx::Result<FeedState> {
    let projection = FeedProjection::load(pool.clone(), model.clone(), languages);
    let projection = Arc::new(projection.await?);
    let (state, shutdown) = (FeedState::default(), &process.shutdown);
    shutdown.spawn(follow(source, projection, state.clone(), shutdown.clone()));
    Ok(state)
}

/// Starts a task that runs `work` on `state` in this `interval` until the shutdown. A failure is logged; what `work`
/// refreshes stays as it was.
fn repeat<S: Clone + Send + 'static, F, E>(
    process: &Process,
    interval: Duration,
    what: &'static str,
    state: S,
    work: impl Fn(S) -> F + Send + 'static,
) where
    F: Future<Output = Result<(), E>> + Send,
    E: std::fmt::Display,
{
    let shutdown = process.shutdown.clone();
    process.shutdown.spawn(async move {
        while !shutdown.sleep(interval).await {
            if let Err(error) = work(state.clone()).await {
                tracing::debug!(%error, "cannot refresh {what}, keeping the last state");
            }
        }
    });
}
