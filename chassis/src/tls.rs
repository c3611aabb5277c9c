//! TLS towards other services: the roots that their certificates are checked against, and the certificate by which this
//! process proves its identity. Used by [`crate::client`] and by the gateway's proxy.

use std::path::Path;

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::config::{ConfigError, ProcessConfig};

/// The roots that certificates are checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots {
    /// Those of `service_tls_ca_cert_file` alone, or the system's if there is none: for services of the platform.
    Platform,
    /// Those of the system and of `service_tls_ca_cert_file`: for URLs that may lead out of the platform.
    All,
}

/// The TLS settings of a client, as `SERVICE_TLS_…` set them.
///
/// # Errors
/// Returns a [`ConfigError`] that names the setting if a file cannot be read, is not PEM or does not fit the others.
pub fn client_config(config: &ProcessConfig, roots: Roots) -> Result<ClientConfig, ConfigError> {
    install_tls_provider();
    let mut store = RootCertStore::empty();
    let own = &config.service_tls_ca_cert_file;
    if !own.is_empty() {
        for certificate in certificates("SERVICE_TLS_CA_CERT_FILE", own)? {
            store
                .add(certificate)
                .map_err(|error| invalid("SERVICE_TLS_CA_CERT_FILE", own, &error.to_string()))?;
        }
    }
    if own.is_empty() || roots == Roots::All {
        // Some of a system's roots may be malformed; a server whose root is missing is refused later.
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let builder = ClientConfig::builder().with_root_certificates(store);
    let (chain, key) = (&config.service_tls_cert_file, &config.service_tls_key_file);
    match (chain.is_empty(), key.is_empty()) {
        (true, true) => Ok(builder.with_no_client_auth()),
        (false, false) => {
            let certificates = certificates("SERVICE_TLS_CERT_FILE", chain)?;
            let secret = PrivateKeyDer::from_pem_file(Path::new(key))
                .map_err(|error| invalid("SERVICE_TLS_KEY_FILE", key, &error.to_string()))?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|error| invalid("SERVICE_TLS_KEY_FILE", key, &error.to_string()))
        }
        _ => Err(ConfigError::Invalid(
            "SERVICE_TLS_CERT_FILE and SERVICE_TLS_KEY_FILE need each other".to_owned(),
        )),
    }
}

/// Makes ring the process's implementation of TLS's cryptography, for every TLS client of the process.
pub(crate) fn install_tls_provider() {
    // An error means that a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The certificates of a PEM file, at least one.
fn certificates(setting: &str, file: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates = CertificateDer::pem_file_iter(Path::new(file))
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid(setting, file, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(setting, file, "it has no certificate"));
    }
    Ok(certificates)
}

fn invalid(setting: &str, file: &str, reason: &str) -> ConfigError {
    ConfigError::Invalid(format!("{setting}: {file} cannot be used: {reason}"))
}
