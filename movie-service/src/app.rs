//! The composition root: what the service is made of, put together in one place.

use std::time::Duration;

use axum::Router;
use chassis::{
    Process,
    feed::outbox::Outbox,
    health::Health,
    redis::{RESPONSE_TIMEOUT, Redis},
};
use sqlx::PgPool;

use crate::{
    client::tmdb::Tmdb,
    config::{Config, TmdbConfig},
    database, handler,
    repository::SNAPSHOT,
    service::{cache::MovieCache, hydration::Hydration, listing::Listing, sync::Sync},
};

/// What handlers work with.
#[derive(Clone)]
pub struct AppState {
    /// Lists films.
    pub listing: Listing,
    /// Finds any film.
    pub hydration: Hydration,
    /// Feeds it.
    pub sync: Sync,
}

/// The service's routes and checks, its database brought up to date.
///
/// # Errors
/// Settings that are wrong, or a database that is not there.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pool = database::open(&config, &process.shutdown).await?;
    assemble(&process, pool)
}

/// The service over a database that is up to date.
///
/// # Errors
/// Settings that are wrong.
pub fn assemble(process: &Process, pool: PgPool) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let tmdb = Tmdb::new(process.settings.read::<TmdbConfig>()?)?;
    let outbox = Outbox::new(
        pool.clone(),
        SNAPSHOT,
        config.change_retention(),
        &process.shutdown,
    );
    let redis = Redis::lazy(&config.redis_url, RESPONSE_TIMEOUT)?;
    let cache = MovieCache::new(
        redis.clone(),
        config.movie_cache_bytes,
        Duration::from_secs(config.movie_cache_ttl_seconds),
    );
    cache.follow(&outbox, &process.shutdown);
    let listing = Listing::new(pool.clone(), outbox.clone());
    listing.follow(&process.shutdown);
    let state = AppState {
        hydration: Hydration::new(
            pool.clone(),
            cache,
            tmdb.clone(),
            outbox.clone(),
            process.shutdown.clone(),
            &config,
        ),
        listing: listing.clone(),
        sync: Sync::new(pool.clone(), tmdb, outbox.clone(), process.shutdown.clone()),
    };
    let routes = handler::router(state, &process.config).merge(outbox.router());
    let health = Health::default()
        .require("postgres", move || chassis::postgres::check(pool.clone()))
        .require("list index", move || listing.clone().check())
        .report("redis", move || redis.clone().check());
    Ok((routes, health))
}
