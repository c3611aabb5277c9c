//! TLS of clients: versions of TLS and HTTP, certificates that change or cannot be used, handshakes that do not end.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use chassis::testing::eventually;
use reqwest::Method;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    version::{TLS12, TLS13},
};

use crate::{
    certificates::Certificates,
    commands::{refused, run},
    stage::{MAX_WAIT, Stage, TestResponse, raw, read_rest, status_of},
};

pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

const GET: &str = "GET /api/v1/movies HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// A client that trusts the root of `certificates`.
pub(crate) fn client_config(
    certificates: &Certificates,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    // The process's provider.
    let _ = chassis::client::http();
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(certificates.path("root.crt")).unwrap();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_protocol_versions(versions)
        .with_root_certificates(roots)
        .with_no_client_auth();
    let protocols = protocols
        .iter()
        .map(|protocol| protocol.as_bytes().to_vec());
    config.alpn_protocols = protocols.collect();
    Arc::new(config)
}

fn handshake(config: Arc<ClientConfig>, mut stream: TcpStream) -> std::io::Result<TlsStream> {
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = ClientConnection::new(config, name).unwrap();
    while session.is_handshaking() {
        session.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(session, stream))
}

pub(crate) fn connect(
    address: SocketAddr,
    certificates: &Certificates,
) -> std::io::Result<TlsStream> {
    let config = client_config(certificates, &[&TLS13, &TLS12], &["http/1.1"]);
    handshake(config, TcpStream::connect(address)?)
}

/// Sends `request` and reads to the end.
fn exchange(stream: &mut TlsStream, request: &[u8]) -> String {
    stream.write_all(request).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    String::from_utf8(response).unwrap()
}

/// The settings of a gateway with the certificate `host` of `certificates`, and `more`.
pub(crate) fn with_tls<'a>(
    files: &'a [String; 2],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let tls = [
        ("TLS_CERTIFICATE_FILE", &*files[0]),
        ("TLS_KEY_FILE", &*files[1]),
    ];
    [&tls[..], more].concat()
}

pub(crate) fn files(certificates: &Certificates) -> [String; 2] {
    [certificates.file("host.crt"), certificates.file("host.key")]
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_over_tls_and_services_learn_of_it() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let stage = Stage::with_echo(&with_tls(&files, &[("HSTS_SECONDS", "3600")])).await;
    let token = stage.token("1", gateway::Role::Admin);
    for versions in [&[&TLS12][..], &[&TLS13], &[&TLS12, &TLS13]] {
        for protocols in [&["http/1.1"][..], &[]] {
            let config = client_config(&certificates, versions, protocols);
            let stream = TcpStream::connect(stage.address).unwrap();
            let mut stream = handshake(config, stream).unwrap();
            let request = format!("{GET}Authorization: Bearer {token}\r\n\r\n");
            let response = exchange(&mut stream, request.as_bytes());
            assert_eq!(status_of(&response), 200, "{response}");
            assert!(
                response.contains("strict-transport-security: max-age=3600\r\n"),
                "{response}"
            );
            assert!(
                response.contains(r#""x-forwarded-proto":["https"]"#),
                "{response}"
            );
            assert!(
                response.contains(r#""x-forwarded-host":["localhost"]"#),
                "{response}"
            );
        }
    }
    // Of a malformed request, too, the client receives a problem.
    let mut stream = connect(stage.address, &certificates).unwrap();
    let response = exchange(&mut stream, b"GET / HTTP/1.1\nHost: x\n\n");
    assert_eq!(status_of(&response), 400, "{response}");
    assert!(response.contains("application/problem+json"), "{response}");
    // An unknown protocol is refused in the handshake.
    let config = client_config(&certificates, &[&TLS13], &["spdy/3"]);
    assert!(handshake(config, TcpStream::connect(stage.address).unwrap()).is_err());
}

/// A hello of a client that speaks TLS up to `minor` of version 3, without extensions.
fn old_hello(minor: u8) -> Vec<u8> {
    let mut hello = vec![3, minor];
    hello.extend_from_slice(&[7; 32]);
    // No session; two cipher suites (RSA with AES); no compression.
    hello.extend_from_slice(&[0, 0, 4, 0, 0x2f, 0, 0x35, 1, 0]);
    let mut message = vec![1, 0, 0, u8::try_from(hello.len()).unwrap()];
    message.extend_from_slice(&hello);
    let mut record = vec![22, 3, 1, 0, u8::try_from(message.len()).unwrap()];
    record.extend_from_slice(&message);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_of_tls_and_cleartext_are_refused() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let stage = Stage::with_echo(&with_tls(&files, &[])).await;
    // SSL 3.0, TLS 1.0, TLS 1.1.
    for minor in [0, 1, 2] {
        let mut stream = TcpStream::connect(stage.address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.write_all(&old_hello(minor)).unwrap();
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        // A fatal alert and nothing else.
        assert_eq!(
            (response.first(), response.get(5)),
            (Some(&21), Some(&2)),
            "{response:?}"
        );
        assert_eq!(response.len(), 7, "{response:?}");
    }
    let response = raw(stage.address, HEALTH);
    assert_eq!(status_of(&response), 400, "{response}");
    assert!(response.contains("TLS required"), "{response}");
    assert!(response.contains("x-request-id"), "{response}");
    let mut stream = connect(stage.address, &certificates).unwrap();
    assert_eq!(status_of(&exchange(&mut stream, HEALTH)), 200);
}

/// The certificate that the gateway shows to a new connection, if it is of one of the roots.
fn shown(address: SocketAddr, certificates: &[&Certificates]) -> Option<usize> {
    let trusts = |certificates: &&Certificates| connect(address, certificates).is_ok();
    certificates.iter().position(trusts)
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_certificates_are_loaded_and_unusable_ones_are_not() {
    let (first, second) = (Certificates::new(), Certificates::new());
    let files = files(&first);
    let stage = Stage::with_echo(&with_tls(&files, &[])).await;
    let replace = |name: &str, content: &[u8]| {
        // As deployments do it: the file is complete whenever it is there.
        let new = first.path("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, first.path(name)).unwrap();
    };
    assert_eq!(shown(stage.address, &[&first, &second]), Some(0));
    let mut before = connect(stage.address, &first).unwrap();
    let old_key = first.read("host.key");
    replace("host.crt", &second.read("host.crt"));
    replace("host.key", &second.read("host.key"));
    eventually("the new certificate", || async {
        shown(stage.address, &[&first, &second]) == Some(1)
    })
    .await;
    // The connection of before goes on.
    assert_eq!(status_of(&exchange(&mut before, HEALTH)), 200);
    let metrics = async || {
        let mut stream = connect(stage.address, &second).unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        exchange(&mut stream, request)
    };
    let failed = r#"tls_certificate_loads_total{outcome="failed"} "#;
    // A key of another certificate, then no certificate at all.
    let count = |metrics: &str| -> u64 {
        let rest = metrics.split(failed).nth(1).unwrap_or("0\n");
        rest.lines().next().unwrap().parse().unwrap()
    };
    let mut failures = count(&metrics().await);
    for (name, content) in [("host.key", &old_key[..]), ("host.crt", b"nonsense")] {
        replace(name, content);
        eventually("the failure is counted", || async {
            count(&metrics().await) > failures
        })
        .await;
        failures = count(&metrics().await);
        assert_eq!(shown(stage.address, &[&first, &second]), Some(1), "{name}");
    }
}

#[test]
fn unusable_certificates_prevent_the_start() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let (certificate, key) = (
        ("TLS_CERTIFICATE_FILE", &*files[0]),
        ("TLS_KEY_FILE", &*files[1]),
    );
    let other = certificates.file("other.key");
    let settings = certificates.file("settings");
    for (settings, named) in [
        (&[certificate][..], "TLS_KEY_FILE"),
        (&[key], "TLS_CERTIFICATE_FILE"),
        (
            &[("TLS_CERTIFICATE_FILE", "/nowhere"), key],
            "TLS_CERTIFICATE_FILE",
        ),
        (
            &[("TLS_CERTIFICATE_FILE", &settings), key],
            "TLS_CERTIFICATE_FILE",
        ),
        (&[certificate, ("TLS_KEY_FILE", "/nowhere")], "TLS_KEY_FILE"),
        (&[certificate, ("TLS_KEY_FILE", &files[0])], "TLS_KEY_FILE"),
        (&[certificate, ("TLS_KEY_FILE", &other)], "TLS_KEY_FILE"),
    ] {
        refused(&run(&[], settings), named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_healthcheck_asks_over_tls() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let stage = Stage::with_echo(&with_tls(&files, &[])).await;
    let port = stage.address.port().to_string();
    let settings = with_tls(&files, &[("SERVER_PORT", &port)]);
    assert!(run(&["healthcheck"], &settings).status.success());
    let in_cleartext = run(&["healthcheck"], &[("SERVER_PORT", &port)]);
    assert!(!in_cleartext.status.success());
    let other = Certificates::new();
    let other_files = self::files(&other);
    let settings = with_tls(&other_files, &[("SERVER_PORT", &port)]);
    assert!(!run(&["healthcheck"], &settings).status.success());
}

/// Connections on which a handshake has not begun, or does not end.
fn unfinished(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let connect = |sent: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.write_all(&old_hello(3)[..sent]).unwrap();
        stream
    };
    (0..count).map(connect).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_end_hold_places_of_their_client_alone() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let settings = [
        ("WORKER_THREADS", "1"),
        ("HEAD_TIMEOUT_MS", "600000"),
        ("MAX_CONNECTIONS_PER_CLIENT", "10"),
    ];
    let stage = Stage::with_echo(&with_tls(&files, &settings)).await;
    let _most = unfinished(stage.address, 9);
    for _ in 0..3 {
        // The place of the connection before is free soon after its end.
        eventually("a handshake", || async {
            connect(stage.address, &certificates)
                .is_ok_and(|mut stream| status_of(&exchange(&mut stream, HEALTH)) == 200)
        })
        .await;
    }
    eventually("the last place is taken", || async {
        std::mem::forget(unfinished(stage.address, 1));
        connect(stage.address, &certificates).is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_have_a_time_limit() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let settings = with_tls(&files, &[("HEAD_TIMEOUT_MS", "300")]);
    let stage = Stage::with_echo(&settings).await;
    for mut stream in unfinished(stage.address, 10) {
        let end = stream.read(&mut [0; 64]);
        let is_reset = |error: std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(end.map_or_else(is_reset, |count| count == 0), "still open");
    }
    let mut stream = connect(stage.address, &certificates).unwrap();
    assert_eq!(status_of(&exchange(&mut stream, HEALTH)), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_were_accepted_before_the_shutdown_are_served() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let stage = Stage::with_echo(&with_tls(&files, &[])).await;
    let accepted = TcpStream::connect(stage.address).unwrap();
    let mut used = connect(stage.address, &certificates).unwrap();
    used.write_all(&HEALTH[..20]).unwrap();
    stage.stop();
    let config = client_config(&certificates, &[&TLS13], &["http/1.1"]);
    let mut accepted = handshake(config, accepted).unwrap();
    assert_eq!(status_of(&exchange(&mut accepted, HEALTH)), 200);
    assert_eq!(status_of(&exchange(&mut used, &HEALTH[20..])), 200);
    assert!(stage.join().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_certificate_there_is_neither_tls_nor_a_claim_of_it() {
    let certificates = Certificates::new();
    let stage = Stage::with_echo(&[("HSTS_SECONDS", "3600")]).await;
    assert!(connect(stage.address, &certificates).is_err());
    let response = TestResponse::of(stage.call(Method::GET, "/api/v1/movies")).await;
    assert_eq!(response.header("strict-transport-security"), "");
    assert_eq!(response.json()["headers"]["x-forwarded-proto"][0], "http");
    let mut stream = TcpStream::connect(stage.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    stream.write_all(HEALTH).unwrap();
    assert_eq!(status_of(&read_rest(&mut stream)), 200);
}
