//! The composition root: builds every component of the service from its settings. Called once at start and by
//! tests; it contains no request logic.

use std::time::Duration;

use anyhow::Context;
use axum::Router;
use chassis::{
    Process, audit::AuditLog, client::Client, clock::Clock, config::ConfigError,
    feed::outbox::Outbox, health::Health, redis::Redis,
};

use crate::{
    client::{images::ImageHost, platform::Platform, tmdb::Tmdb},
    config::{Config, TmdbConfig},
    database::{self, Pools},
    handler,
    repository::SNAPSHOT,
    service::{
        cache::MovieCache,
        fetching::Fetching,
        hydration::Hydration,
        images::Images,
        jobs::Jobs,
        listing::Listing,
        matching::Matching,
        page_cache::PageCache,
        refresh::Refresh,
        schedule,
        search::{Search, popular::Popular},
        warm_pool::WarmPool,
    },
    state::{AppState, Services},
};

/// Migrates the database, then builds the routes and health checks.
///
/// # Errors
/// Fails if a setting is invalid, or if Postgres is unreachable or refuses a migration.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pools = database::open_pools(&config, &process.shutdown).await?;
    assemble(&process, pools)
}

/// Builds the routes and health checks over a migrated database.
pub fn assemble(process: &Process, pools: impl Into<Pools>) -> anyhow::Result<(Router, Health)> {
    let pools: Pools = pools.into();
    let config: Config = process.settings.read()?;
    config.check()?;
    let tmdb_config: TmdbConfig = process.settings.read()?;
    let language = tmdb_config.tmdb_language;
    let image_host = ImageHost::new(&config.tmdb_image_base_url, &tmdb_config)?;
    let tmdb = Tmdb::new(tmdb_config)?;
    let clock = Clock::system();
    let images = open_images(&config, &pools, image_host, &tmdb, &clock)?;
    let outbox = Outbox::new(
        pools.background.clone(),
        SNAPSHOT,
        config.change_retention(),
        &process.shutdown,
    );
    let redis =
        Redis::from_settings(&process.settings)?.ok_or(ConfigError::missing("redis_url"))?;
    let cache = MovieCache::start(
        redis.clone(),
        config.movie_cache_bytes,
        Duration::from_secs(config.movie_cache_ttl_seconds),
        outbox.clone(),
        &process.shutdown,
    );
    let listing = Listing::new(pools.catalogue.clone(), outbox.clone());
    listing.follow(&process.shutdown);
    let search = Search::start(
        pools.background.clone(),
        outbox.clone(),
        listing.clone(),
        config.search_directory(),
        &process.shutdown,
    );
    let popular = Popular::start(
        pools.searches.clone(),
        clock.clone(),
        config.search_popular_floor,
        &process.shutdown,
    );
    let fetching = Fetching::new(
        pools.background.clone(),
        tmdb.clone(),
        cache.clone(),
        Duration::from_secs(config.job_patience_seconds),
        config.include_adult,
    );
    let jobs = Jobs::start(
        pools.background.clone(),
        fetching,
        &config,
        &process.shutdown,
    );
    if tmdb.has_key() {
        let (warm_pool, refresh) = (
            WarmPool::new(&config),
            Refresh::new(pools.background.clone(), &config),
        );
        schedule::start(warm_pool, &jobs, &clock, &process.shutdown);
        schedule::start(refresh, &jobs, &clock, &process.shutdown);
    }
    let hydration = Hydration::new(
        pools.catalogue.clone(),
        cache,
        tmdb.clone(),
        clock,
        process.shutdown.clone(),
        &config,
    );
    let other = |service, url: &url::Url| Client::new(service, url.clone(), &process.config);
    let platform = Platform {
        preference_service: other("preference-service", &config.user_preference_service_url)?,
        recommendation_service: other(
            "recommendation-service",
            &config.recommendation_service_url,
        )?,
        timeout: Duration::from_millis(config.include_timeout_ms),
    };
    let audit = AuditLog::new(platform.preference_service.clone());
    let state = AppState::new(Services {
        language,
        matching: Matching::new(
            pools.catalogue.clone(),
            hydration.clone(),
            tmdb.clone(),
            Duration::from_secs(config.negative_cache_seconds),
        ),
        hydration,
        tmdb,
        images,
        platform,
        listing: listing.clone(),
        search: search.clone(),
        popular,
        pages: PageCache::new(config.movie_list_cache_bytes),
        jobs,
        // Leaves time to respond with the job before the request times out.
        import_wait: process.config.request_timeout().mul_f64(0.8),
    });
    let routes = handler::router(state, &process.config, audit).merge(outbox.router());
    let health = Health::default()
        .require("postgres", move || {
            chassis::postgres::check(pools.background.clone())
        })
        .require("list index", move || listing.clone().check())
        .report("search index", move || search.clone().check())
        .report("redis", move || redis.clone().check());
    Ok((routes, health))
}

/// Opens the cache of images, if there is a directory for it and a key of TMDB.
fn open_images(
    config: &Config,
    pools: &Pools,
    host: ImageHost,
    tmdb: &Tmdb,
    clock: &Clock,
) -> anyhow::Result<Images> {
    let Some(directory) = config.image_directory().filter(|_| tmdb.has_key()) else {
        return Ok(Images::none());
    };
    let missing_ttl = Duration::from_secs(config.negative_cache_seconds);
    let shown = directory.display().to_string();
    let (pool, max_bytes) = (pools.catalogue.clone(), config.image_cache_bytes);
    Images::open(pool, host, clock.clone(), directory, max_bytes, missing_ttl)
        .with_context(|| format!("IMAGE_CACHE_DIR {shown} cannot be used"))
}
