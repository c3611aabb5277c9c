//! Clients that were generated from the public OpenAPI document call the platform. `scripts/openapi-clients` generates
//! them and runs this test.

use std::{process::Command, time::Instant};

use crate::stage::{Platform, PlatformOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs generated clients; scripts/openapi-clients runs it"]
async fn generated_clients_get_what_the_document_promises() {
    let script = std::env::var_os("OPENAPI_CLIENTS").expect("OPENAPI_CLIENTS names a script");
    let platform = Platform::with_films(5, PlatformOptions::jwt()).await;
    let token = platform.token(&["--role", "admin", "--subject", "1"]);
    let started = Instant::now();
    let mut clients = Command::new("bash");
    clients
        .arg(script)
        .args([&platform.gateways[0].url(), &token]);
    let ended = tokio::task::spawn_blocking(move || clients.status());
    let status = ended.await.unwrap().expect("bash");
    println!("generated clients: {status} in {:?}", started.elapsed());
    assert!(status.success());
    assert_eq!(platform.errors_logged(), [""; 0]);
}
