//! Connections of the pool: how each kind of Redis is connected, and when a connection is checked before its use.
//! Used by [`super::Redis`] only.

use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, Pipeline, RedisError,
    RedisFuture, TlsCertificates, TlsMode, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::{ClusterClient, ClusterClientBuilder},
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use super::{CONNECT_TIMEOUT, RedisConfig, RedisMode};
use crate::config::ConfigError;

/// A connection that was idle for longer is checked before its next use: servers and firewalls close idle ones.
const MAX_UNCHECKED_IDLE: Duration = Duration::from_secs(1);

/// A connection to the server, to the master of a Sentinel set, or to all servers of a Cluster.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// True if it replaces lost connections by itself, as a Cluster's does for each server.
    pub(super) fn reconnects_itself(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(server) => server.req_packed_command(command),
            Self::Cluster(cluster) => cluster.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(server) => server.req_packed_commands(commands, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(commands, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(server) => server.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Opens and checks connections. Those to a Sentinel set and a Cluster are opened here, because the managers of
/// deadpool-redis take neither certificates nor time limits for them.
pub(super) enum Manager {
    Standalone(Box<deadpool_redis::Manager>),
    Sentinel(Box<Mutex<SentinelClient>>, AsyncConnectionConfig),
    Cluster(Box<ClusterClient>),
}

impl Manager {
    /// Connects as `config` requests, without a connection yet.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is invalid or a certificate cannot be read.
    pub(super) fn new(config: &RedisConfig, timeout: Duration) -> Result<Self, ConfigError> {
        crate::tls::install_tls_provider();
        let servers = config.servers()?;
        let certificates = config.certificates()?;
        let connecting = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(timeout));
        let manager = match (config.redis_mode, &servers[..]) {
            (RedisMode::Standalone, [server]) => standalone(server, certificates, connecting)
                .map(|manager| Self::Standalone(Box::new(manager))),
            (RedisMode::Standalone, _) => {
                let reason = "REDIS_URL names several servers, which needs another REDIS_MODE";
                return Err(ConfigError::Invalid(reason.to_owned()));
            }
            (RedisMode::Sentinel, servers) => sentinel(config, servers, certificates)
                .map(|client| Self::Sentinel(Box::new(Mutex::new(client)), connecting)),
            (RedisMode::Cluster, servers) => cluster(servers, certificates, timeout)
                .map(|client| Self::Cluster(Box::new(client))),
        };
        manager.map_err(|error| ConfigError::Invalid(format!("REDIS_URL: {error}")))
    }
}

fn standalone(
    server: &ConnectionInfo,
    certificates: Option<TlsCertificates>,
    connecting: AsyncConnectionConfig,
) -> Result<deadpool_redis::Manager, RedisError> {
    let client = match certificates {
        Some(certificates) => Client::build_with_tls(server.clone(), certificates)?,
        None => Client::open(server.clone())?,
    };
    let server = client.get_connection_info().clone();
    deadpool_redis::Manager::new_with_config(server, connecting)
}

/// A client of the Sentinels `servers`, and of the master that they name.
fn sentinel(
    config: &RedisConfig,
    servers: &[ConnectionInfo],
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let mut builder = SentinelClientBuilder::new(
        servers.iter().map(|server| server.addr().clone()),
        &config.redis_sentinel_master,
        SentinelServerType::Master,
    )?;
    if let [server, ..] = servers {
        let settings = server.redis_settings();
        builder = builder.set_client_to_redis_db(settings.db());
        if let Some(username) = settings.username() {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_redis_password(password);
        }
        if let ConnectionAddr::TcpTls { .. } = server.addr() {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
    }
    if !config.redis_sentinel_username.is_empty() {
        builder = builder.set_client_to_sentinel_username(&config.redis_sentinel_username);
    }
    let password = config.redis_sentinel_password.expose_secret();
    if !password.is_empty() {
        builder = builder.set_client_to_sentinel_password(password);
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()
}

/// A client of the Cluster to which `servers` belong. A Cluster has no numbered databases.
fn cluster(
    servers: &[ConnectionInfo],
    certificates: Option<TlsCertificates>,
    timeout: Duration,
) -> Result<ClusterClient, RedisError> {
    let servers = servers.iter().map(|server| {
        let settings = server.redis_settings().clone().set_db(0);
        server.clone().set_redis_settings(settings)
    });
    let mut builder = ClusterClientBuilder::new(servers)
        .connection_timeout(CONNECT_TIMEOUT)
        .response_timeout(timeout);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    builder.build()
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = RedisError;

    async fn create(&self) -> Result<Connection, RedisError> {
        match self {
            Self::Standalone(manager) => managed::Manager::create(&**manager)
                .await
                .map(Connection::Server),
            Self::Sentinel(client, config) => client
                .lock()
                .await
                .get_async_connection_with_config(config)
                .await
                .map(Connection::Server),
            Self::Cluster(client) => client.get_async_connection().await.map(Connection::Cluster),
        }
    }

    async fn recycle(
        &self,
        connection: &mut Connection,
        metrics: &Metrics,
    ) -> RecycleResult<RedisError> {
        if metrics.last_used() < MAX_UNCHECKED_IDLE {
            return Ok(());
        }
        match (self, connection) {
            (Self::Standalone(manager), Connection::Server(server)) => {
                manager.recycle(server, metrics).await
            }
            (_, Connection::Server(server)) => redis::cmd("PING")
                .exec_async(server)
                .await
                .map_err(RecycleError::Backend),
            (_, Connection::Cluster(_)) => Ok(()),
        }
    }
}
