//! The settings of Redis, which every service that uses it reads. `config/default.toml` documents them.

use std::{fs, path::Path, time::Duration};

use redis::{ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, TlsCertificates};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::connection::Manager;
use crate::config::{ConfigError, Settings};

/// The default port of a Sentinel.
const SENTINEL_PORT: u16 = 26379;

/// The kind of Redis at [`RedisConfig::redis_url`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// One server.
    Standalone,
    /// Sentinels, which name the master.
    Sentinel,
    /// Some servers of a Cluster, which name all others.
    Cluster,
}

/// The settings of Redis.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "config/default.toml documents each setting")]
pub struct RedisConfig {
    pub redis_url: SecretString,
    pub redis_mode: RedisMode,
    pub redis_sentinel_master: String,
    pub redis_sentinel_username: String,
    pub redis_sentinel_password: SecretString,
    pub redis_tls_ca_cert_file: String,
    pub redis_tls_cert_file: String,
    pub redis_tls_key_file: String,
    pub redis_max_connections: usize,
    pub redis_timeout_ms: u64,
}

impl RedisConfig {
    /// Reads and validates the settings; `None` if `REDIS_URL` is empty.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the environment variable if a value is malformed or a certificate cannot
    /// be read.
    pub fn read(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let config: Self = settings.read()?;
        if config.redis_url.expose_secret().is_empty() {
            return Ok(None);
        }
        if config.redis_max_connections == 0 {
            return invalid("REDIS_MAX_CONNECTIONS must be at least 1");
        }
        Manager::new(&config, Duration::ZERO)?;
        Ok(Some(config))
    }

    /// The servers that the URL names; their hosts are separated by commas.
    pub(super) fn servers(&self) -> Result<Vec<ConnectionInfo>, ConfigError> {
        let url = self.redis_url.expose_secret();
        let authority = url.find("://").map_or(0, |at| at + 3);
        let path = url[authority..]
            .find(['/', '?', '#'])
            .map_or(url.len(), |at| authority + at);
        let hosts = url[..path].rfind('@').map_or(authority, |at| at + 1);
        let servers = url[hosts..path].split(',').map(|host| {
            let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| is_port(port));
            let port = match self.redis_mode {
                RedisMode::Sentinel if !has_port => format!(":{SENTINEL_PORT}"),
                _ => String::new(),
            };
            format!("{}{host}{port}{}", &url[..hosts], &url[path..]).into_connection_info()
        });
        let servers: Result<Vec<_>, _> = servers.collect();
        servers.map_err(|error| {
            ConfigError::Invalid(format!(
                "REDIS_URL must be a URL such as redis://127.0.0.1:6379/0, or empty: {error}"
            ))
        })
    }

    /// The certificates that the settings name; `None` for those of the system alone.
    pub(super) fn certificates(&self) -> Result<Option<TlsCertificates>, ConfigError> {
        let root_cert = pem("REDIS_TLS_CA_CERT_FILE", &self.redis_tls_ca_cert_file)?;
        let client_cert = pem("REDIS_TLS_CERT_FILE", &self.redis_tls_cert_file)?;
        let client_key = pem("REDIS_TLS_KEY_FILE", &self.redis_tls_key_file)?;
        let client_tls = match (client_cert, client_key) {
            (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig {
                client_cert,
                client_key,
            }),
            (None, None) => None,
            _ => return invalid("REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE need each other"),
        };
        if root_cert.is_none() && client_tls.is_none() {
            return Ok(None);
        }
        let is_tls =
            |server: &ConnectionInfo| matches!(server.addr(), ConnectionAddr::TcpTls { .. });
        if !self.servers()?.iter().all(is_tls) {
            return invalid("REDIS_TLS_… settings need a REDIS_URL that begins with rediss://");
        }
        Ok(Some(TlsCertificates {
            client_tls,
            root_cert,
        }))
    }
}

/// The content of the PEM file that the setting `name` names; `None` if it is empty.
fn pem(name: &str, file: &str) -> Result<Option<Vec<u8>>, ConfigError> {
    if file.is_empty() {
        return Ok(None);
    }
    match fs::read(Path::new(file)) {
        Ok(text)
            if text.starts_with(b"-----BEGIN ")
                || text.windows(12).any(|w| w == b"\n-----BEGIN ") =>
        {
            Ok(Some(text))
        }
        Ok(_) => invalid(&format!("{name}: {file} is not a PEM file")),
        Err(error) => invalid(&format!("{name}: {file} cannot be read: {error}")),
    }
}

fn invalid<T>(reason: &str) -> Result<T, ConfigError> {
    Err(ConfigError::Invalid(reason.to_owned()))
}
