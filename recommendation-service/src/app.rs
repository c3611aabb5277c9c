//! The composition root: what the service is made of, put together in one place.

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
use recommender::TrainedModels;
use sqlx::PgPool;

use crate::{
    config::Config,
    database, handler,
    models::{Catalogue, HalfLife, Users},
    service::{
        experiments::{EXPERIMENTS_REFRESH, Experiments, recorder::Recorder, settler},
        exploration::Explorer,
        lists::{Keeping, Lists},
        models::{self, Models},
        read_model::{Keeper, Shared},
        recommender::{RULES_REFRESH, Recommender, Sources},
        rule_sets::RuleSets,
        schedule::keep_training,
        trials::Trials,
    },
};

/// How often the catalogue is looked at for films whose tags changed.
const SETTLE: Duration = Duration::from_secs(60);

/// What handlers work with.
pub type AppState = Arc<Services>;

/// What the service is made of.
pub struct Services {
    /// Makes lists.
    pub recommender: Recommender,
    /// Puts rules.
    pub rule_sets: RuleSets,
    /// Runs experiments.
    pub experiments: Experiments,
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
    let live = Shared::new(None);
    let models = Models::new(pool.clone(), config.model_directory(), live.clone());
    models.refresh().await?;
    let shutdown = &process.shutdown;
    shutdown.spawn(keep_models(models, process.clone()));
    shutdown.spawn(keep_training(pool.clone(), config, shutdown.clone()));
    assemble_with(process, pool, clock, live).await
}

/// As [`assemble`], with the learned models in `trained`, whatever the registry says.
///
/// # Errors
/// Settings that are wrong, or a database that does not answer.
pub async fn assemble_with(
    process: &Process,
    pool: PgPool,
    clock: Clock,
    trained: Shared<Option<Arc<TrainedModels>>>,
) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let models = Models::new(pool.clone(), config.model_directory(), trained.clone());
    let exploration = config.exploration()?;
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
    let recorder = Recorder::start(pool.clone(), shutdown);
    let experiments = Experiments::new(pool.clone(), recorder, clock.clone());
    experiments.refresh().await?;
    let window_hours = i64::from(config.exploration_window_hours);
    let explorer = Explorer::new(pool.clone(), exploration, window_hours);
    explorer.refresh().await?;
    shutdown.spawn(settler::settle(
        pool.clone(),
        users_feed.clone(),
        clock.clone(),
        shutdown.clone(),
    ));
    let rule_sets = RuleSets::new(pool.clone(), clock.clone());
    let lists = Lists::new(
        pool.clone(),
        users.clone(),
        Keeping {
            time: TimeDelta::hours(config.list_ttl_hours.into()),
            most: config.lists_at_most.into(),
        },
        clock.clone(),
        shutdown,
    );
    let sources = Sources {
        catalogue,
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
    let trials = Trials::new(experiments.clone(), explorer.clone());
    let recommender = Recommender::new(pool.clone(), sources, clock)
        .await?
        .with_trials(trials.clone());
    shutdown.spawn(settle(recommender.clone(), process.clone()));
    shutdown.spawn(keep_rules(recommender.clone(), process.clone()));
    shutdown.spawn(keep_experiments(
        experiments.clone(),
        explorer,
        trials,
        models.clone(),
        process.clone(),
    ));
    let state = AppState::new(Services {
        recommender,
        rule_sets,
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

async fn keep_experiments(
    experiments: Experiments,
    explorer: Explorer,
    trials: Trials,
    models: Models,
    process: Process,
) {
    let load = |version: i64| models.version(version);
    while !process.shutdown.sleep(EXPERIMENTS_REFRESH).await {
        if let Err(error) = experiments.refresh().await {
            tracing::debug!(%error, "cannot read the experiments again, going on with those known");
        }
        trials.refresh_versions(&load).await;
        if let Err(error) = explorer.refresh().await {
            tracing::debug!(%error, "cannot read how films did, going on with what is known");
        }
    }
}

async fn settle(recommender: Recommender, process: Process) {
    while !process.shutdown.sleep(SETTLE).await {
        let recommender = recommender.clone();
        // A million films take a quarter of a second.
        let done = tokio::task::spawn_blocking(move || recommender.settle()).await;
        if let Err(error) = done {
            tracing::warn!(%error, "cannot weigh tags anew");
        }
    }
}
