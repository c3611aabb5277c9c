//! The state of the gateway: what all threads share, and what each thread has for itself, so that requests
//! wait for no lock but that of the rate limit. Built by [`crate::server`].

use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use chassis::{Process, clock::Clock, redis::Redis, shutdown::Shutdown};
use hyper::header::HeaderValue;
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;

use crate::{
    config::GatewayConfig,
    middleware::{
        access_log::AccessLog,
        auth::{Authenticator, InvalidKeyLimiter, Keys},
        cors::Cors,
        rate_limit::{RateLimiter, RateLimits},
    },
    proxy::{Upstream, UpstreamSettings},
    routes::{Router, Service},
};

/// The state that all threads share.
pub struct SharedState {
    /// All settings.
    pub config: GatewayConfig,
    /// The routes.
    pub router: Router,
    /// The origins whose pages may call the API.
    pub cors: Cors,
    /// The keys of tokens.
    pub keys: Arc<Keys>,
    /// The counts of invalid API keys.
    pub invalid_keys: Arc<InvalidKeyLimiter>,
    /// The rate limit and its usage.
    pub rate_limits: Arc<RateLimits>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// Signals the end of the process.
    pub shutdown: Shutdown,
    /// The time of day.
    pub clock: Clock,
}

impl SharedState {
    /// The state of a gateway that has served no request.
    #[must_use]
    pub fn new(process: Process, config: GatewayConfig) -> Self {
        let own = &config.own;
        let clock = Clock::system();
        Self {
            router: Router::new(),
            cors: Cors::new(&own.cors_origins),
            keys: Arc::new(Keys::new(own, clock.clone())),
            invalid_keys: Arc::default(),
            rate_limits: RateLimits::new(
                own.rate_limit_max,
                own.rate_limit_window(),
                own.rate_limit_entries,
            ),
            metrics: process.metrics,
            shutdown: process.shutdown,
            clock,
            config,
        }
    }

    /// One thread's share of a limit of the process, at least 1.
    #[must_use]
    pub fn share_per_thread(&self, limit: usize) -> usize {
        limit.div_ceil(self.config.own.threads().max(1)).max(1)
    }
}

/// The state of one thread.
pub struct ThreadState {
    /// The state that all threads share.
    pub shared: Arc<SharedState>,
    /// Authenticates callers.
    pub authenticator: Authenticator,
    /// Limits the requests of clients.
    pub rate_limiter: RateLimiter,
    /// The connection to Redis, if it is configured.
    pub redis: Option<Redis>,
    /// The services, in the order of [`Service::ALL`].
    pub upstreams: [Upstream; Service::ALL.len()],
    /// Metrics and logs of requests.
    pub access_log: AccessLog,
    /// The number of requests that the thread may accept in addition to those in flight.
    pub in_flight_capacity: Cell<usize>,
}

/// The peer of a client connection.
pub struct Peer {
    /// The address.
    pub ip: IpAddr,
    /// The address as a header.
    pub header: HeaderValue,
}

impl ThreadState {
    /// Creates the state within the thread and the runtime that it belongs to.
    ///
    /// # Errors
    /// Returns an error if the Redis URL is invalid or the internal token cannot be a header.
    pub fn new(shared: Arc<SharedState>) -> anyhow::Result<Rc<Self>> {
        let config = &shared.config.own;
        let redis = if config.redis_url.expose_secret().is_empty() {
            None
        } else {
            Some(Redis::lazy(&config.redis_url, config.redis_timeout())?)
        };
        let settings = Rc::new(UpstreamSettings::new(&shared.config)?);
        let upstreams = Service::ALL.map(|service| {
            let instances = match service {
                Service::Movie => &config.movie_service_url,
                Service::Preference => &config.user_preference_service_url,
                Service::Recommendation => &config.recommendation_service_url,
            };
            Upstream::new(service, instances.urls(), &settings)
        });
        let max_in_flight = shared.config.process.max_requests_in_flight;
        Ok(Rc::new(Self {
            authenticator: Authenticator::new(
                Arc::clone(&shared.keys),
                Arc::clone(&shared.invalid_keys),
                shared.clock.clone(),
                config,
            ),
            rate_limiter: RateLimiter::new(Arc::clone(&shared.rate_limits), redis.clone()),
            redis,
            upstreams,
            access_log: AccessLog::new(
                shared.router.patterns().collect(),
                config.access_log,
                Duration::from_millis(config.access_log_slow_ms),
            ),
            in_flight_capacity: Cell::new(shared.share_per_thread(max_in_flight)),
            shared,
        }))
    }

    /// The instances of `service`.
    #[must_use]
    pub fn upstream(&self, service: Service) -> &Upstream {
        &self.upstreams[service as usize]
    }
}
