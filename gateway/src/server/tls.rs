//! TLS of clients: the certificate of the gateway, which is loaded again when its files change. Used by [`super`].

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chassis::{
    config::ConfigError,
    shutdown::Shutdown,
    tls::{install_tls_provider, invalid, parse_certificates, parse_key, read},
};
use hyper::header::HeaderValue;
use rustls::{ServerConfig, crypto::ring::Ticketer, server::ProducesTickets};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::config::Config;

const CERT_SETTING: &str = "TLS_CERTIFICATE_FILE";
const KEY_SETTING: &str = "TLS_KEY_FILE";
/// HTTP/2 in the negotiation of protocols (RFC 7301).
pub(super) const ALPN_HTTP2: &[u8] = b"h2";
/// The interval at which the files are read. They are loaded when two successive reads agree, so that a certificate is
/// not taken without the key that is written after it.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Loads of changed certificate files, by outcome (counter).
const CERTIFICATE_LOADS_TOTAL: &str = "tls_certificate_loads_total";
/// TLS handshakes that failed, by reason (counter).
pub(super) const HANDSHAKE_FAILURES_TOTAL: &str = "tls_handshake_failures_total";

/// Sets the help texts of this module's metrics.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        CERTIFICATE_LOADS_TOTAL,
        "Loads of changed TLS_CERTIFICATE_FILE and TLS_KEY_FILE, by outcome: loaded, failed (the previous certificate stays)"
    );
    metrics::describe_counter!(
        HANDSHAKE_FAILURES_TOTAL,
        "TLS handshakes of clients that failed, by reason: timeout, not_tls (a request in cleartext), failed"
    );
}

/// The certificate of the gateway and what goes with it.
pub(super) struct ServerTls {
    cert_file: String,
    key_file: String,
    /// `Strict-Transport-Security` of all responses.
    pub(super) hsts: Option<HeaderValue>,
    /// Encrypts the state of sessions for the client to keep: a resumed session survives a new certificate, and the
    /// gateway stores nothing.
    ticketer: Arc<dyn ProducesTickets>,
    /// The digest of the files at the start.
    initial: [u8; 32],
    current: RwLock<Arc<ServerConfig>>,
}

/// The content of the two files.
struct Files {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(cert_file: &str, key_file: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            certificates: read(CERT_SETTING, cert_file)?,
            key: read(KEY_SETTING, key_file)?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let parts = Sha256::new().chain_update((self.certificates.len() as u64).to_le_bytes());
        let parts = parts.chain_update(&self.certificates);
        parts.chain_update(&self.key).finalize().into()
    }

    fn config(
        &self,
        cert_file: &str,
        key_file: &str,
        ticketer: &Arc<dyn ProducesTickets>,
    ) -> Result<Arc<ServerConfig>, ConfigError> {
        let certificates = parse_certificates(CERT_SETTING, cert_file, &self.certificates)?;
        let key = parse_key(KEY_SETTING, key_file, &self.key)?;
        // TLS 1.3 and 1.2, the only versions that rustls has.
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(|error| invalid(KEY_SETTING, key_file, &error.to_string()))?;
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Arc::clone(ticketer);
        Ok(Arc::new(config))
    }
}

impl ServerTls {
    /// Reads the certificate that the settings name; `None` if they name none.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the setting if a file cannot be used or one of the two is missing.
    pub(super) fn new(config: &Config) -> Result<Option<Arc<Self>>, ConfigError> {
        let (cert_file, key_file) = (&config.tls_certificate_file, &config.tls_key_file);
        match (cert_file.is_empty(), key_file.is_empty()) {
            (true, true) => return Ok(None),
            (false, false) => {}
            _ => {
                return Err(ConfigError::Invalid(
                    "TLS_CERTIFICATE_FILE and TLS_KEY_FILE need each other".to_owned(),
                ));
            }
        }
        install_tls_provider();
        let ticketer = Ticketer::new().map_err(|error| {
            ConfigError::Invalid(format!("TLS_KEY_FILE: no session tickets: {error}"))
        })?;
        let files = Files::read(cert_file, key_file)?;
        let current = files.config(cert_file, key_file, &ticketer)?;
        let hsts = (config.hsts_seconds > 0)
            .then(|| HeaderValue::try_from(format!("max-age={}", config.hsts_seconds)))
            .and_then(Result::ok);
        Ok(Some(Arc::new(Self {
            cert_file: cert_file.clone(),
            key_file: key_file.clone(),
            hsts,
            ticketer,
            initial: files.digest(),
            current: RwLock::new(current),
        })))
    }

    /// An acceptor with the present certificate.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(&current))
    }

    /// Loads the files whenever their content changes, until the shutdown. Files that cannot be used are logged once.
    pub(super) async fn follow_files(self: Arc<Self>, shutdown: Shutdown) {
        let mut known = Ok(self.initial);
        let mut previous = known.clone();
        while !shutdown.sleep(CHECK_INTERVAL).await {
            let this = Arc::clone(&self);
            let read = move || Files::read(&this.cert_file, &this.key_file);
            let Ok(files) = tokio::task::spawn_blocking(read).await else {
                continue;
            };
            let content = files.as_ref().map(Files::digest);
            let content = content.map_err(ToString::to_string);
            let is_stable = content == previous;
            previous.clone_from(&content);
            if is_stable && content != known {
                known = content;
                self.load(files);
            }
        }
    }

    fn load(&self, files: Result<Files, ConfigError>) {
        let config =
            files.and_then(|files| files.config(&self.cert_file, &self.key_file, &self.ticketer));
        let outcome = match config {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                tracing::info!(file = self.cert_file, "a new certificate is in use");
                "loaded"
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate is not used");
                "failed"
            }
        };
        metrics::counter!(CERTIFICATE_LOADS_TOTAL, "outcome" => outcome).increment(1);
    }
}
