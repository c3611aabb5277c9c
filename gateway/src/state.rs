//! The state of the gateway: what all threads share, and what each thread has for itself, so that requests
//! hold locks only for look-ups in memory (rate limits, caches, keys, revocations). Built by [`crate::server`].

use std::{cell::Cell, net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use chassis::{
    Process,
    client::secret_header,
    clock::Clock,
    config::ConfigError,
    redis::{Redis, RedisConfig},
    shutdown::Shutdown,
    tls::{Roots, client_config},
};
use hyper::header::HeaderValue;
use metrics_exporter_prometheus::PrometheusHandle;
use rustls::ClientConfig;

use crate::{
    admission::{
        Admission, CLIENT_CONNECTIONS_CLOSED_TOTAL, ConnectionHandle, Permit,
        REQUESTS_REFUSED_TOTAL,
    },
    cache::{ResponseCache, ThreadCache},
    config::{AuthMode, GatewayConfig},
    groups::{GroupSource, ThreadGroups},
    lazy_timer::LazyTimer,
    middleware::{
        access_log::AccessLog,
        auth::{Authenticator, InvalidKeyLimiter, Keys, Revocations, refresh_revocations},
        compression::Compression,
        cors::Cors,
        rate_limit::{RateLimiter, RateLimits},
    },
    proxy::{DEFAULT_GROUP, Upstream},
    readiness::ReadinessCheck,
    routes::{Router, Service},
    websocket::{Tunnel, WebSockets},
};

/// The state that all threads share.
pub(crate) struct SharedState {
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) router: Router,
    pub(crate) cors: Cors,
    pub(crate) keys: Arc<Keys>,
    /// TLS towards services at https URLs, if there are any.
    pub(crate) upstream_tls: Option<Arc<ClientConfig>>,
    /// Other instances of services, and the rules that lead to them.
    pub(crate) groups: Arc<GroupSource>,
    pub(crate) invalid_keys: Arc<InvalidKeyLimiter>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) rate_limits: Arc<RateLimits>,
    /// `None` if it is off.
    pub(crate) cache: Option<Arc<ResponseCache>>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) shutdown: Shutdown,
    pub(crate) clock: Clock,
}

impl SharedState {
    /// The state of a gateway that has served no request.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if certificates or the file of routes cannot be read, or a plan does not exist.
    pub(crate) fn new(process: Process, config: GatewayConfig) -> Result<Self, ConfigError> {
        let config = Arc::new(config);
        let own = &config.own;
        let clock = Clock::system();
        let upstream_tls = upstream_tls(&config)?;
        Ok(Self {
            router: Router::new(),
            cors: Cors::new(&own.cors_origins),
            keys: Arc::new(Keys::new(&config, clock.clone())?),
            groups: GroupSource::new(&config, upstream_tls.as_ref())?,
            upstream_tls,
            invalid_keys: Arc::default(),
            revocations: Arc::default(),
            rate_limits: RateLimits::new(own)?,
            cache: ResponseCache::new(own.cache_max_bytes, own.cache_entry_max_bytes),
            metrics: process.metrics,
            shutdown: process.shutdown,
            clock,
            config,
        })
    }

    /// Starts the task that keeps the list of revocations current. In mock mode there are none.
    pub(crate) fn start_revocations(&self) {
        let interval = Duration::from_secs(self.config.own.revocation_refresh_seconds);
        if self.config.own.auth_mode == AuthMode::Mock || interval.is_zero() {
            return;
        }
        self.shutdown.spawn(refresh_revocations(
            Arc::clone(&self.revocations),
            self.config.own.user_preference_service_url.clone(),
            self.config.process.clone(),
            interval,
            self.shutdown.clone(),
        ));
    }

    /// One thread's share of a limit of the process, at least 1.
    pub(crate) fn share_per_thread(&self, limit: usize) -> usize {
        limit.div_ceil(self.config.own.threads().max(1)).max(1)
    }
}

fn upstream_tls(config: &GatewayConfig) -> Result<Option<Arc<ClientConfig>>, ConfigError> {
    let own = &config.own;
    let mut urls = [
        &own.movie_service_url,
        &own.user_preference_service_url,
        &own.recommendation_service_url,
    ]
    .into_iter()
    .flatten();
    if urls.all(|url| url.scheme() == "http") {
        return Ok(None);
    }
    client_config(&config.process, Roots::Platform).map(|tls| Some(Arc::new(tls)))
}

/// The state of one thread.
pub(crate) struct ThreadState {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) authenticator: Authenticator,
    pub(crate) rate_limiter: RateLimiter,
    pub(crate) redis: Option<Redis>,
    /// The services, in the order of [`Service::ALL`].
    pub(crate) upstreams: [Rc<Upstream>; Service::ALL.len()],
    pub(crate) groups: Rc<ThreadGroups>,
    /// `None` if it is off.
    pub(crate) cache: Option<ThreadCache>,
    pub(crate) access_log: AccessLog,
    pub(crate) compression: Compression,
    /// The connections of the thread.
    pub(crate) connections: Rc<Admission>,
    /// Its requests in flight.
    pub(crate) requests: Rc<Admission>,
    pub(crate) websockets: WebSockets,
    pub(crate) readiness: ReadinessCheck,
    /// True once the process stops: connections end with their next response.
    pub(crate) is_stopping: Cell<bool>,
    /// True once its listener is about to close.
    pub(crate) is_draining: Cell<bool>,
}

/// The peer of a client connection.
pub(crate) struct Peer {
    pub(crate) ip: IpAddr,
    /// The address as a header.
    pub(crate) header: HeaderValue,
    /// The scheme of its requests: `http`, or `https` over TLS.
    pub(crate) scheme: &'static str,
    /// The connection; of HTTP/2 the request, so that one gives way alone.
    pub(crate) connection: Rc<ConnectionHandle>,
    /// The timer of its request, kept for the next one.
    pub(crate) timer: Cell<LazyTimer>,
    /// The place that a request of HTTP/2 holds until its response is sent: one connection may have many.
    pub(crate) permit: Cell<Option<Permit>>,
    /// The WebSocket that the connection becomes after the response.
    pub(crate) tunnel: Cell<Option<Box<Tunnel>>>,
}

impl ThreadState {
    /// Creates the state within the thread and the runtime that it belongs to.
    ///
    /// # Errors
    /// Returns an error if a certificate for Redis cannot be read or the internal token cannot be a header.
    pub(crate) fn new(shared: Arc<SharedState>) -> anyhow::Result<Rc<Self>> {
        let config = &shared.config.own;
        let redis = config.redis.clone().map(|redis| {
            Redis::lazy(&RedisConfig {
                redis_max_connections: shared.share_per_thread(redis.redis_max_connections),
                ..redis
            })
        });
        let redis = redis.transpose()?;
        let internal_token = shared.config.process.internal_token.as_ref();
        let internal_token = internal_token.map(secret_header).transpose()?;
        let upstreams = Service::ALL.map(|service| {
            let instances = match service {
                Service::Movie => &config.movie_service_url,
                Service::Preference => &config.user_preference_service_url,
                Service::Recommendation => &config.recommendation_service_url,
            };
            let tls = shared.upstream_tls.as_ref();
            Rc::new(Upstream::new(
                service,
                DEFAULT_GROUP,
                instances,
                &shared.config,
                tls,
                internal_token.clone(),
            ))
        });
        let process = &shared.config.process;
        let connections = Admission::new(
            shared.share_per_thread(process.max_connections),
            shared.share_per_thread(config.max_connections_per_client),
            CLIENT_CONNECTIONS_CLOSED_TOTAL,
        );
        let requests = Admission::new(
            shared.share_per_thread(process.max_requests_in_flight),
            shared.share_per_thread(config.max_requests_in_flight_per_client),
            REQUESTS_REFUSED_TOTAL,
        );
        let websockets = WebSockets::new(
            match config.max_websockets {
                0 => 0,
                max => shared.share_per_thread(max),
            },
            shared.share_per_thread(config.max_websockets_per_client),
            config,
        );
        Ok(Rc::new(Self {
            authenticator: Authenticator::new(
                Arc::clone(&shared.keys),
                Arc::clone(&shared.invalid_keys),
                Arc::clone(&shared.revocations),
                shared.clock.clone(),
                config,
            ),
            rate_limiter: RateLimiter::new(Arc::clone(&shared.rate_limits), redis.clone()),
            redis,
            upstreams,
            cache: (shared.cache.clone())
                .map(|cache| ThreadCache::new(cache, shared.router.patterns().len())),
            groups: ThreadGroups::new(
                Arc::clone(&shared.groups),
                Arc::clone(&shared.config),
                internal_token,
            ),
            access_log: AccessLog::new(
                shared.router.patterns().collect(),
                config.access_log,
                Duration::from_millis(config.access_log_slow_ms),
                config.access_log_sample_percent,
            ),
            compression: Compression::new(config),
            connections,
            requests,
            websockets,
            readiness: ReadinessCheck::default(),
            is_stopping: Cell::new(false),
            is_draining: Cell::new(false),
            shared,
        }))
    }

    pub(crate) fn upstream(&self, service: Service) -> &Upstream {
        &self.upstreams[service as usize]
    }
}
