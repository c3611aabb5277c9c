//! The command that asks a running gateway for its readiness, over TLS if the settings name a certificate.

use std::{io, net::TcpStream, process::ExitCode, sync::Arc};

use chassis::{
    ProcessConfig, Settings,
    config::ConfigError,
    run::{report_ready, report_ready_over, usage_error},
    tls::{certificates, install_tls_provider},
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::config::{Config, DEFAULTS};

/// Exits with 0 if the gateway that runs with the same settings is ready, otherwise with 1.
pub(super) fn healthcheck() -> ExitCode {
    match settings() {
        Ok((process, None)) => report_ready(process.address()),
        Ok((process, Some(tls))) => {
            report_ready_over(process.address(), |stream| over(tls, stream))
        }
        Err(error) => usage_error(&error.to_string()),
    }
}

fn settings() -> Result<(ProcessConfig, Option<ClientConfig>), ConfigError> {
    let settings = Settings::load(DEFAULTS)?;
    let (process, own): (ProcessConfig, Config) = (settings.read()?, settings.read()?);
    let file = &own.tls_certificate_file;
    if file.is_empty() {
        return Ok((process, None));
    }
    install_tls_provider();
    let chain = certificates("TLS_CERTIFICATE_FILE", file)?;
    let builder = ClientConfig::builder();
    let verifier = ExactCertificate {
        certificate: chain.into_iter().next(),
        provider: Arc::clone(builder.crypto_provider()),
    };
    let client = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok((process, Some(client.with_no_client_auth())))
}

fn over(
    tls: ClientConfig,
    stream: TcpStream,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::from(stream.peer_addr()?.ip());
    let session = ClientConnection::new(Arc::new(tls), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}

/// Accepts the gateway's own certificate alone, whatever names it is for: the gateway is asked by its address.
#[derive(Debug)]
struct ExactCertificate {
    certificate: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ExactCertificate {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.certificate.as_ref() == Some(certificate) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(Error::General("another certificate".to_owned())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
