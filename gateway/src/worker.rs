//! One thread of the gateway: its listener, its connections to clients and upstreams, and its own
//! half of the state. Nothing here is shared but what [`Shared`] holds.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chassis::{redis::Redis, shutdown::Shutdown};
use hyper::{header::HeaderValue, server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioTimer, server::graceful::GracefulShutdown};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use utoipa_swagger_ui::Config as SwaggerConfig;

use crate::{
    auth::{Authenticator, Keys, Strangers},
    client_ip::canonical,
    config::GatewayConfig,
    cors::Cors,
    handler,
    io::{Answering, ClientStream, InTurn},
    observe::Observer,
    proxy::{Upstream, UpstreamSettings},
    rate_limit::{Limits, RateLimiter},
    routes::{Service, Table},
};

/// How often idle connections are looked through.
const TIDY: Duration = Duration::from_secs(2);

/// What all threads share.
pub struct Shared {
    /// All settings.
    pub config: GatewayConfig,
    /// What is served.
    pub table: Table,
    /// Whose pages may call.
    pub cors: Cors,
    /// What tokens are verified with.
    pub keys: Arc<Keys>,
    /// Who showed API keys that are none.
    pub strangers: Arc<Strangers>,
    /// Who has used how much of the rate limit.
    pub limits: Arc<Limits>,
    /// Our own OpenAPI document.
    pub openapi: Bytes,
    /// How Swagger UI is set up.
    pub swagger: Arc<SwaggerConfig<'static>>,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Tells when to stop.
    pub shutdown: Shutdown,
}

/// What one thread works with.
pub struct Worker {
    /// What all threads share.
    pub shared: Arc<Shared>,
    /// Who callers are.
    pub authenticator: Authenticator,
    /// How often they may ask.
    pub limiter: RateLimiter,
    /// Redis, where it is configured.
    pub redis: Option<Redis>,
    /// The services, in the order of [`Service::ALL`].
    pub upstreams: [Upstream; Service::ALL.len()],
    /// Numbers and lines.
    pub observer: Observer,
    /// Requests that this thread may still take on.
    pub room: std::cell::Cell<usize>,
}

/// A client's connection.
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// The same, as a header.
    pub header: HeaderValue,
}

impl Worker {
    /// Made within the runtime and the thread that it belongs to.
    ///
    /// # Errors
    /// A Redis URL that is none, or a secret that cannot be a header.
    pub fn new(shared: Arc<Shared>) -> anyhow::Result<Rc<Self>> {
        let config = &shared.config.own;
        let redis = if config.redis_url.expose_secret().is_empty() {
            None
        } else {
            Some(Redis::lazy(&config.redis_url, config.redis_timeout())?)
        };
        let settings = Rc::new(upstream_settings(&shared.config)?);
        let upstreams = Service::ALL.map(|service| {
            let instances = match service {
                Service::Movie => &config.movie_service_url,
                Service::Preference => &config.user_preference_service_url,
                Service::Recommendation => &config.recommendation_service_url,
            };
            Upstream::new(service, instances.urls(), &settings)
        });
        let observer = Observer::new(
            shared.table.patterns().collect(),
            config.access_log,
            Duration::from_millis(config.access_log_slow_ms),
        );
        Ok(Rc::new(Self {
            authenticator: Authenticator::new(
                Arc::clone(&shared.keys),
                Arc::clone(&shared.strangers),
                config,
            ),
            limiter: RateLimiter::new(Arc::clone(&shared.limits), redis.clone()),
            redis,
            upstreams,
            observer,
            room: std::cell::Cell::new(share(
                shared.config.process.max_requests_in_flight,
                config.threads(),
            )),
            shared,
        }))
    }

    /// The instances of `service`.
    #[must_use]
    pub fn upstream(&self, service: Service) -> &Upstream {
        &self.upstreams[service as usize]
    }

    /// Serves connections of `listener` until the shutdown begins, then drains. True when all
    /// accepted requests were answered within the grace period.
    pub async fn serve(self: Rc<Self>, listener: TcpListener) -> bool {
        let process = &self.shared.config.process;
        let own = &self.shared.config.own;
        let shutdown = &self.shared.shutdown;
        let http = Rc::new(http(&self.shared.config));
        let graceful = GracefulShutdown::new();
        let slots = share(process.max_connections, own.threads());
        let slots = Arc::new(Semaphore::new(slots));
        self.clone().tidy();
        let stop = async {
            shutdown.started().await;
            // Those who watch the readiness get a moment to send their requests elsewhere.
            tokio::time::sleep(Duration::from_millis(own.shutdown_delay_ms)).await;
        };
        tokio::pin!(stop);
        loop {
            let slot = tokio::select! {
                () = &mut stop => break,
                slot = Arc::clone(&slots).acquire_owned() => slot,
            };
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => self.converse(stream, address, &http, &graceful, slot),
                Err(error) => {
                    // Out of file descriptors, most likely: give those in use a moment to close.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // What the kernel has accepted already would be reset with the listener.
        while let Some(Ok((stream, address))) =
            futures_util::FutureExt::now_or_never(listener.accept())
        {
            self.converse(stream, address, &http, &graceful, ());
        }
        drop(listener);
        tokio::time::timeout(process.shutdown_grace(), graceful.shutdown())
            .await
            .is_ok()
    }

    /// Serves one connection; `slot` is given back at its end.
    fn converse<S: 'static>(
        self: &Rc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        http: &http1::Builder,
        graceful: &GracefulShutdown,
        slot: S,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let stall = Duration::from_millis(self.shared.config.own.client_stall_timeout_ms);
        let ip = canonical(address.ip());
        let header = HeaderValue::try_from(ip.to_string())
            .unwrap_or_else(|_| HeaderValue::from_static("unknown"));
        let peer = Rc::new(Peer { ip, header });
        let answering = Answering::default();
        let worker = Rc::clone(self);
        let explain = move |status| handler::answer_malformed(&worker, ip, status);
        let stream = ClientStream::new(stream, stall, answering.clone(), explain);
        let worker = Rc::clone(self);
        let service = service_fn(move |request| {
            let (worker, peer) = (Rc::clone(&worker), Rc::clone(&peer));
            let turn = answering.begin();
            async move {
                let response = handler::handle(&worker, &peer, request).await;
                Ok::<_, Infallible>(response.map(|body| InTurn { body, turn }))
            }
        });
        let connection = http.serve_connection(stream, service);
        let connection = graceful.watch(connection);
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended early");
            }
            drop(slot);
        });
    }

    /// Closes connections to upstreams that are no longer needed, now and then.
    fn tidy(self: Rc<Self>) {
        tokio::task::spawn_local(async move {
            while !self.shared.shutdown.sleep(TIDY).await {
                for upstream in &self.upstreams {
                    upstream.close_unused();
                }
            }
        });
    }
}

fn http(config: &GatewayConfig) -> http1::Builder {
    let own = &config.own;
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(own.head_timeout_ms))
        .max_header_size(own.head_limit_bytes)
        // Also how much hyper holds of a body between reading and writing it.
        .max_buf_size(own.head_limit_bytes.max(64 * 1024));
    http
}

fn upstream_settings(config: &GatewayConfig) -> anyhow::Result<UpstreamSettings> {
    let own = &config.own;
    let internal_token = match &config.process.internal_token {
        Some(token) => {
            let mut header = HeaderValue::from_str(token.expose_secret())?;
            header.set_sensitive(true);
            Some(header)
        }
        None => None,
    };
    Ok(UpstreamSettings {
        connect_timeout: Duration::from_millis(own.upstream_connect_timeout_ms),
        stall_timeout: Duration::from_millis(own.upstream_stall_timeout_ms),
        idle_connections: own.upstream_idle_connections,
        idle_timeout: Duration::from_millis(own.upstream_idle_ms),
        failures_to_skip: own.upstream_failures_to_skip,
        skip: Duration::from_millis(own.upstream_skip_ms),
        internal_token,
    })
}

/// One thread's share of what the process may have.
fn share(all: usize, threads: usize) -> usize {
    all.div_ceil(threads.max(1)).max(1)
}
