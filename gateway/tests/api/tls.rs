//! TLS towards services: their certificates are verified, and the gateway proves its identity to those that require it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chassis::{ProcessConfig, Settings, client::Client};
use reqwest::Method;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::{
    certificates::Certificates,
    stage::{MAX_WAIT, Stage, TestResponse, settings},
};

/// A service that speaks TLS alone and responds to each request with `{}`, if `with_clients` only to clients with a
/// certificate.
fn serve_tls(certificates: &Certificates, with_clients: bool) -> SocketAddr {
    // The process's provider.
    let _ = chassis::client::http();
    let read = |name: &str| {
        CertificateDer::pem_file_iter(certificates.path(name))
            .unwrap()
            .collect::<Result<Vec<_>, _>>()
            .unwrap()
    };
    let builder = ServerConfig::builder();
    let builder = if with_clients {
        let mut roots = RootCertStore::empty();
        roots.add(read("root.crt").remove(0)).unwrap();
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
            .build()
            .unwrap();
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let key = PrivateKeyDer::from_pem_file(certificates.path("host.key")).unwrap();
    let config = Arc::new(builder.with_single_cert(read("host.crt"), key).unwrap());
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
            let config = Arc::clone(&config);
            std::thread::spawn(move || {
                let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
                let mut head = Vec::new();
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
                    }
                }
            });
        }
    });
    address
}

/// The status of a request through a gateway whose services are all at `url`, and the state of its first service.
async fn through(url: &str, more: &[(&str, &str)]) -> (u16, String) {
    let urls = [
        ("MOVIE_SERVICE_URL", url),
        ("USER_PREFERENCE_SERVICE_URL", url),
        ("RECOMMENDATION_SERVICE_URL", url),
    ];
    let settings = [&urls[..], more].concat();
    let stage = Stage::new(([127, 0, 0, 1], 1).into(), &settings);
    let ready = stage.get("/health/ready").await.json();
    let state = ready["dependencies"][1]["status"]
        .as_str()
        .unwrap()
        .to_owned();
    (stage.get("/api/v1/movies").await.status, state)
}

#[tokio::test(flavor = "multi_thread")]
async fn services_at_https_urls_are_verified_by_the_named_roots() {
    let certificates = Certificates::new();
    let address = serve_tls(&certificates, false);
    let (by_address, by_name) = (
        format!("https://{address}"),
        format!("https://localhost:{}", address.port()),
    );
    let (root, other) = (
        certificates.file("root.crt"),
        certificates.file("other.crt"),
    );
    for url in [&by_address, &by_name] {
        let (status, state) = through(url, &[("SERVICE_TLS_CA_CERT_FILE", &root)]).await;
        assert_eq!((status, state.as_str()), (200, "ok"), "{url}");
    }
    let (status, _) = through(&by_address, &[("SERVICE_TLS_CA_CERT_FILE", &other)]).await;
    assert_eq!(status, 503, "another root");
    let (status, _) = through(&by_address, &[]).await;
    assert_eq!(status, 503, "the system's roots");
    let (status, _) = through(&format!("http://{address}"), &[]).await;
    assert_ne!(status, 200, "without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_require_a_certificate_get_the_gateways() {
    let certificates = Certificates::new();
    let url = format!("https://{}", serve_tls(&certificates, true));
    let (root, host, key) = (
        certificates.file("root.crt"),
        certificates.file("host.crt"),
        certificates.file("host.key"),
    );
    let trusted = ("SERVICE_TLS_CA_CERT_FILE", root.as_str());
    let own = [
        trusted,
        ("SERVICE_TLS_CERT_FILE", &host),
        ("SERVICE_TLS_KEY_FILE", &key),
    ];
    assert_eq!(through(&url, &own).await.0, 200);
    assert_ne!(
        through(&url, &[trusted]).await.0,
        200,
        "without a certificate"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn services_call_each_other_over_tls_by_the_same_settings() {
    let certificates = Certificates::new();
    let address = serve_tls(&certificates, true);
    let files = [
        ("SERVICE_TLS_CA_CERT_FILE", certificates.file("root.crt")),
        ("SERVICE_TLS_CERT_FILE", certificates.file("host.crt")),
        ("SERVICE_TLS_KEY_FILE", certificates.file("host.key")),
    ];
    let config = |count: usize| -> ProcessConfig {
        let files: Vec<(&str, &str)> = files[..count]
            .iter()
            .map(|(name, file)| (*name, file.as_str()))
            .collect();
        let settings: Settings = settings(address, &files);
        settings.read().unwrap()
    };
    let status = async |config: &ProcessConfig| {
        let base = format!("https://{address}").parse().unwrap();
        let client = Client::new("a-service", base, config)?;
        let request = client.request(Method::GET, "/x", Duration::from_secs(5));
        anyhow::Ok(request.send().await?.status().as_u16())
    };
    assert_eq!(status(&config(3)).await.unwrap(), 200);
    assert!(status(&config(1)).await.is_err(), "without a certificate");
    assert!(status(&config(0)).await.is_err(), "without the root");
    let error = status(&config(2))
        .await
        .expect_err("a certificate without its key");
    assert!(
        error.to_string().contains("SERVICE_TLS_KEY_FILE"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn public_keys_may_be_at_an_https_url_of_the_platform() {
    let certificates = Certificates::new();
    let jwks = format!("https://{}/jwks.json", serve_tls(&certificates, false));
    let root = certificates.file("root.crt");
    // The document is `{}`, which has no keys: it was fetched if the gateway starts and cannot verify.
    let settings = [
        ("JWKS_URL", jwks.as_str()),
        ("SERVICE_TLS_CA_CERT_FILE", &root),
    ];
    let stage = Stage::with_echo(&settings).await;
    let response = TestResponse::of(stage.bare(Method::GET, "/health")).await;
    assert_eq!(response.status, 200);
}
