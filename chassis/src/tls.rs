//! TLS towards other services: the roots that their certificates are checked against, and the certificate by which this
//! process proves its identity. Used by [`crate::client`] and by the gateway's proxy, which also reads the certificate for
//! its own clients with it.

use std::{fs::File, io::Read};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::config::{ConfigError, ProcessConfig};

/// The size limit of a PEM file.
const MAX_PEM_BYTES: u64 = 1 << 20;

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
            let secret = parse_key(
                "SERVICE_TLS_KEY_FILE",
                key,
                &read("SERVICE_TLS_KEY_FILE", key)?,
            )?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|error| invalid("SERVICE_TLS_KEY_FILE", key, &error.to_string()))
        }
        _ => Err(ConfigError::Invalid(
            "SERVICE_TLS_CERT_FILE and SERVICE_TLS_KEY_FILE need each other".to_owned(),
        )),
    }
}

/// Makes ring the process's implementation of TLS's cryptography, for every TLS connection of the process.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The bytes of `file`, a PEM file that `setting` names.
///
/// # Errors
/// Returns a [`ConfigError`] that names the setting if the file cannot be read or has more than a mebibyte.
pub fn read(setting: &str, file: &str) -> Result<Vec<u8>, ConfigError> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(MAX_PEM_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| invalid(setting, file, &error.to_string()))?;
    if bytes.len() as u64 > MAX_PEM_BYTES {
        return Err(invalid(setting, file, "it has more than a mebibyte"));
    }
    Ok(bytes)
}

/// The certificates of `file`, a PEM file that `setting` names: at least one.
///
/// # Errors
/// Returns those of [`read`] and [`parse_certificates`].
pub fn certificates(
    setting: &str,
    file: &str,
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    parse_certificates(setting, file, &read(setting, file)?)
}

/// The certificates in `pem`, the content of `file`: at least one.
///
/// # Errors
/// Returns a [`ConfigError`] that names the setting if there is none, or one is malformed.
pub fn parse_certificates(
    setting: &str,
    file: &str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(setting, file, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(setting, file, "it has no certificate"));
    }
    Ok(certificates)
}

/// The private key in `pem`, the content of `file`.
///
/// # Errors
/// Returns a [`ConfigError`] that names the setting if there is none.
pub fn parse_key(
    setting: &str,
    file: &str,
    pem: &[u8],
) -> Result<PrivateKeyDer<'static>, ConfigError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| invalid(setting, file, &error.to_string()))
}

/// The error that `file`, which `setting` names, cannot be used for `reason`.
#[must_use]
pub fn invalid(setting: &str, file: &str, reason: &str) -> ConfigError {
    ConfigError::Invalid(format!("{setting}: {file} cannot be used: {reason}"))
}
