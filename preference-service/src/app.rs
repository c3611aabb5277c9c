//! The composition root: the only place where services are constructed and background tasks started.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

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
    redis::Redis,
};

use crate::{
    client::MovieService,
    config::{AuthMode, Config},
    database::{self, Pools},
    handler,
    repository::{changes::SNAPSHOT, chart_mirror::ChartMirror},
    service::{
        admin::Administration,
        admission::{ChartStreams, ImportAdmission},
        api_keys::ApiKeys,
        attempts::AttemptLimiter,
        auth::Auth,
        catalogue::{Catalogue, CatalogueProjection},
        chart_keeper::ChartKeeper,
        charts::Charts,
        confirmation::Confirmation,
        device_grants::DeviceGrants,
        email_verification::EmailVerification,
        groups::Groups,
        idempotency::Idempotency,
        imports::Imports,
        interactions::Interactions,
        login_limits::LoginLimits,
        oidc::{Oidc, OidcParts},
        passwords::Passwords,
        signing::SigningKeys,
        stats::Stats,
        taste::Tastes,
        users::{Users, fill_in_skeletons},
        viewings::UserViewings,
        webhooks::Webhooks,
        writer::Writer,
    },
    state::{AppState, Services},
};

/// Wrong passwords in `current_password` per user and window; a new login makes them unnecessary.
const MAX_CONFIRMATIONS: u64 = 10;
/// Logins on a known device per window; beyond them it is unknown.
const MAX_DEVICE_ATTEMPTS: u64 = 10;
/// Links that verify an address, per user and window.
const MAX_MAILS: u64 = 5;
const MAIL_WINDOW_SECONDS: u64 = 3600;
/// Codes of invitations that a user may try in a window.
const MAX_INVALID_CODES: u64 = 20;
const INVALID_CODE_WINDOW_SECONDS: u64 = 900;
/// Devices of one client address that may ask for a login in a window.
const MAX_DEVICE_GRANTS: u64 = 30;
/// Codes of devices that a user may try in a window.
const MAX_USER_CODES: u64 = 20;
const DEVICE_GRANT_WINDOW_SECONDS: u64 = 900;

/// Migrates the database and returns the routes and health checks of the service.
///
/// # Errors
/// Returns an error if settings are invalid, Postgres is unreachable, or signing keys are unusable.
pub async fn build(process: Process) -> anyhow::Result<(Router, Health)> {
    let config: Config = process.settings.read()?;
    let pools = database::open_pools(&config, &process.shutdown).await?;
    SigningKeys::new(pools.logins.clone(), Clock::system(), &config)?
        .prepare()
        .await?;
    assemble(&process, &config, pools)
}

/// Returns the routes and health checks of the service over a migrated database.
///
/// # Errors
/// Returns an error if settings are invalid.
pub fn assemble(
    process: &Process,
    config: &Config,
    pools: impl Into<Pools>,
) -> anyhow::Result<(Router, Health)> {
    let pools: Pools = pools.into();
    let clock = Clock::system();
    let outbox = Outbox::new(
        pools.background.clone(),
        SNAPSHOT,
        config.change_retention(),
        &process.shutdown,
    );
    let movie_service = Client::new(
        "movie-service",
        config.movie_service_url.clone(),
        &process.config,
    )?;
    let feed = FeedState::default();
    let arrived = watch::Sender::new(());
    process.shutdown.spawn(follow(
        movie_service.clone(),
        Arc::new(CatalogueProjection::new(
            pools.background.clone(),
            arrived.clone(),
        )),
        feed.clone(),
        process.shutdown.clone(),
    ));
    let movie_service = MovieService::new(movie_service, config.movie_service_timeout());
    let catalogue = Catalogue::new(pools.activity.clone(), movie_service.clone());
    let writer = Writer::start(&pools.activity, &outbox, config.writer());
    let redis = Redis::from_settings(&process.settings)?;
    let (mirror, checked_redis) = (redis.clone().map(ChartMirror::new), redis.clone());
    if let Some(mirror) = mirror.clone() {
        let keeper = ChartKeeper::new(
            pools.background.clone(),
            outbox.clone(),
            mirror,
            &process.shutdown,
        );
        process.shutdown.spawn(keeper.run());
    }
    let join_attempts = AttemptLimiter::new(
        "group-join",
        MAX_INVALID_CODES,
        INVALID_CODE_WINDOW_SECONDS,
        redis.clone(),
    );
    let email_verification = EmailVerification::start(
        pools.users.clone(),
        outbox.clone(),
        AttemptLimiter::new("mail", MAX_MAILS, MAIL_WINDOW_SECONDS, redis.clone()),
        config,
        &process.shutdown,
    )?;
    let window = DEVICE_GRANT_WINDOW_SECONDS;
    let device_starts =
        AttemptLimiter::new("device-grant", MAX_DEVICE_GRANTS, window, redis.clone());
    let device_tries = AttemptLimiter::new("user-code", MAX_USER_CODES, window, redis.clone());
    let oidc_starts = AttemptLimiter::new(
        "oidc",
        config.oidc_logins_per_address,
        config.login_window_seconds,
        redis.clone(),
    );
    let email = email_verification.clone();
    let (users, auth, confirmation) = accounts(
        process,
        config,
        &pools,
        &outbox,
        redis,
        clock.clone(),
        email,
    )?;
    let device_grants = DeviceGrants {
        pool: pools.logins.clone(),
        auth: auth.clone(),
        confirmation: confirmation.clone(),
        starts: device_starts,
        tries: device_tries,
        public_url: config.public_url.clone(),
        clock: clock.clone(),
    };
    let oidc = Oidc::new(
        OidcParts {
            pool: pools.logins.clone(),
            auth: auth.clone(),
            confirmation: confirmation.clone(),
            email_verification: email_verification.clone(),
            outbox: outbox.clone(),
            starts: oidc_starts,
            clock: clock.clone(),
        },
        config,
    )?;
    let interactions = Interactions::new(pools.activity.clone(), catalogue.clone(), writer.clone());
    let state = AppState::new(Services {
        clock: clock.clone(),
        users,
        auth,
        oidc,
        device_grants,
        public_url: config.public_url.clone(),
        needs_password: config.auth_mode == AuthMode::Jwt,
        api_key_limits: config.api_key_limits(),
        administration: Administration::new(
            pools.users.clone(),
            confirmation.clone(),
            config.access_ttl_seconds,
        ),
        api_keys: ApiKeys::new(pools.logins.clone(), confirmation.clone()),
        email_verification,
        groups: Groups::new(pools.users.clone(), join_attempts),
        stats: Stats::new(pools.aggregates.clone(), catalogue.clone()),
        tastes: Tastes::new(
            pools.activity.clone(),
            outbox.clone(),
            config.taste_half_life(),
            clock.clone(),
        ),
        imports: Imports::start(
            pools.background.clone(),
            catalogue.clone(),
            writer.clone(),
            clock.clone(),
            config,
            arrived.subscribe(),
            &process.shutdown,
        ),
        import_admission: ImportAdmission::new(config.import_body_limit_bytes),
        viewings: UserViewings::new(
            pools.activity.clone(),
            catalogue.clone(),
            interactions.clone(),
        ),
        webhooks: Webhooks::start(
            pools.activity.clone(),
            catalogue,
            interactions.clone(),
            confirmation,
            arrived.subscribe(),
            &process.shutdown,
        ),
        interactions,
        charts: Charts::new(pools.aggregates.clone(), mirror, movie_service, clock),
        chart_streams: ChartStreams::new(outbox.subscribe(), &process.shutdown),
        idempotency: Idempotency::start(
            pools.activity.clone(),
            process.config.request_timeout(),
            config.idempotency_retention(),
            &process.shutdown,
        ),
    });
    // The paths of the feed wait and stream, so the time limit of requests does not apply to them.
    let routes = handler::router(state, &process.config).merge(outbox.router());
    let health = Health::default()
        .require("postgres", move || {
            chassis::postgres::check(pools.background.clone())
        })
        // Without the feed the service requests each movie, so it stays ready.
        .report("movie feed", move || feed.clone().check())
        // Without Redis charts come from Postgres, and attempts are counted by each process.
        .report("redis", move || {
            let without = "attempts are counted by each process alone";
            Redis::check_optional(checked_redis.clone(), without)
        });
    Ok((routes, health))
}

/// The services of users and logins, which share the hashing of passwords.
fn accounts(
    process: &Process,
    config: &Config,
    pools: &Pools,
    outbox: &Outbox,
    redis: Option<Redis>,
    clock: Clock,
    email_verification: EmailVerification,
) -> anyhow::Result<(Users, Auth, Confirmation)> {
    let passwords = Passwords::new(config)?;
    let limiter = |kind, limit, seconds| AttemptLimiter::new(kind, limit, seconds, redis.clone());
    let login_limiter = |kind, limit| limiter(kind, limit, config.login_window_seconds);
    let confirmation = Confirmation::new(
        pools.logins.clone(),
        passwords.clone(),
        login_limiter("password", MAX_CONFIRMATIONS),
        clock.clone(),
    );
    process.shutdown.spawn(fill_in_skeletons(
        pools.background.clone(),
        process.shutdown.clone(),
    ));
    let users = Users::new(
        pools.users.clone(),
        outbox.clone(),
        passwords.clone(),
        confirmation.clone(),
        email_verification,
        limiter(
            "sign-up",
            config.sign_ups_per_address,
            config.sign_up_window_seconds,
        ),
        process.shutdown.clone(),
    )
    .with_bulk_pool(pools.background.clone());
    let limits = LoginLimits {
        by_name_and_address: login_limiter("pair", config.login_attempts_per_account),
        by_name: login_limiter("account", config.login_attempts_per_account),
        by_address: login_limiter("address", config.login_attempts_per_address),
        by_device: login_limiter("device", MAX_DEVICE_ATTEMPTS),
        delay: Duration::from_millis(config.login_delay_ms),
    };
    let keys = SigningKeys::new(pools.logins.clone(), clock.clone(), config)?;
    let auth = Auth::new(pools.logins.clone(), passwords, keys, limits, clock, config);
    Ok((users, auth, confirmation))
}
