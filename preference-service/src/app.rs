//! The composition root: what the service is made of, put together in one place.

use std::sync::Arc;

use axum::Router;
use chassis::{
    Process,
    client::Client,
    clock::Clock,
    feed::{
        follow::{FeedState, follow},
        outbox::Outbox,
    },
    health::Health,
};
use sqlx::PgPool;

use crate::{
    client::MovieService,
    config::Config,
    database, handler,
    repository::{changes::SNAPSHOT, chart_mirror::ChartMirror},
    service::{
        admission::{ChartStreams, ImportAdmission},
        api_keys::ApiKeys,
        attempts::Attempts,
        auth::Auth,
        catalogue::{Catalogue, CatalogueProjection},
        chart_keeper::ChartKeeper,
        charts::Charts,
        idempotency::Idempotency,
        imports::Imports,
        interactions::Interactions,
        passwords::Passwords,
        signing::SigningKeys,
        stats::Stats,
        taste::Tastes,
        users::Users,
        writer::Writer,
    },
    state::{AppState, Services},
};

/// The service's routes and checks, its database brought up to date.
///
/// # Errors
/// Settings that are wrong, or a database that is not there.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pool = database::open(&config, &process.shutdown).await?;
    SigningKeys::new(pool.clone(), &config)?.prepare().await?;
    assemble(&process, &config, pool)
}

/// The service over a database that is up to date.
///
/// # Errors
/// Settings that cannot work.
pub fn assemble(
    process: &Process,
    config: &Config,
    pool: PgPool,
) -> anyhow::Result<(Router, Health)> {
    let clock = Clock::system();
    let outbox = Outbox::new(
        pool.clone(),
        SNAPSHOT,
        config.change_retention(),
        &process.shutdown,
    );
    let movie_service = Client::new(
        "movie-service",
        config.movie_service_url.clone(),
        process.config.internal_token.as_ref(),
    )?;
    let feed = FeedState::default();
    process.shutdown.spawn(follow(
        movie_service.clone(),
        Arc::new(CatalogueProjection::new(pool.clone())),
        feed.clone(),
        process.shutdown.clone(),
    ));
    let movie_service = MovieService::new(movie_service, config.movie_service_timeout());
    let catalogue = Catalogue::new(pool.clone(), movie_service.clone());
    let writer = Writer::start(&pool, &outbox, config.writer());
    let redis = config.redis()?;
    let mirror = redis.clone().map(ChartMirror::new);
    if let Some(mirror) = mirror.clone() {
        let keeper = ChartKeeper::new(pool.clone(), outbox.clone(), mirror, &process.shutdown);
        process.shutdown.spawn(keeper.run());
    }
    let passwords = Passwords::new(config)?;
    let attempts =
        |kind, limit| Attempts::new(kind, limit, config.login_window_seconds, redis.clone());
    let state = AppState::new(Services {
        users: Users::new(
            pool.clone(),
            outbox.clone(),
            passwords.clone(),
            attempts("password", config.login_attempts_per_account),
            Attempts::new(
                "sign-up",
                config.sign_ups_per_address,
                config.sign_up_window_seconds,
                redis.clone(),
            ),
        ),
        auth: Auth::new(
            pool.clone(),
            passwords,
            SigningKeys::new(pool.clone(), config)?,
            (
                attempts("account", config.login_attempts_per_account),
                attempts("address", config.login_attempts_per_address),
            ),
            config,
        ),
        api_keys: ApiKeys::new(pool.clone()),
        stats: Stats::new(pool.clone(), catalogue.clone()),
        tastes: Tastes::new(
            pool.clone(),
            outbox.clone(),
            config.taste_half_life(),
            clock.clone(),
        ),
        imports: Imports::start(
            pool.clone(),
            catalogue.clone(),
            writer.clone(),
            config,
            &process.shutdown,
        ),
        import_admission: ImportAdmission::new(config.import_body_limit_bytes),
        interactions: Interactions::new(pool.clone(), catalogue, writer),
        charts: Charts::new(pool.clone(), mirror, movie_service, clock.clone()),
        chart_streams: ChartStreams::new(outbox.subscribe(), &process.shutdown),
        idempotency: Idempotency::new(
            pool.clone(),
            process.config.request_timeout(),
            config.idempotency_retention(),
            &process.shutdown,
        ),
    });
    // The feed's own paths wait and stream, so they stand outside the ordinary time limit.
    let routes = handler::router(state, &process.config).merge(outbox.router());
    let health = Health::default()
        .require("postgres", move || chassis::postgres::check(pool.clone()))
        // Without the feed each film is asked for, so that the service works all the same.
        .report("movie feed", move || feed.clone().check());
    Ok((routes, health))
}
