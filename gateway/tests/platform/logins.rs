//! Logins without a password in a real browser: by a provider of OpenID Connect, and of a device that the user approves.

use std::time::{Duration, Instant};

use chassis::testing::free_port;
use serde_json::json;

use crate::{
    login_provider::{Fault, TestProvider},
    stage::{Browser, Page, Platform, PlatformOptions},
};

/// Sends the form of the view.
const SUBMIT: &str = "document.querySelector('main form').requestSubmit(); true";

async fn open(page: &Page, url: &str) {
    page.call("Page.navigate", json!({"url": "about:blank"}))
        .await;
    page.call("Page.navigate", json!({"url": url})).await;
}

/// Logs in by the provider's button and page.
async fn log_in(page: &Page, base: &str) {
    open(page, &format!("{base}/#/")).await;
    page.until(
        "the button of the provider",
        "document.querySelector('main a[data-provider=test]')?.textContent === 'Continue with Test'",
    )
    .await;
    page.evaluate("document.querySelector('main a[data-provider=test]').click(); true")
        .await;
    page.until(
        "the provider's page",
        "document.querySelector('h1')?.textContent === 'Test provider'",
    )
    .await;
    page.evaluate("document.querySelector('#agree').click(); true")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_logs_in_by_a_provider_and_approves_a_device() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let provider = TestProvider::start().await;
    let port = free_port();
    let base = format!("http://127.0.0.1:{port}");
    let options = PlatformOptions {
        gateway_port: port,
        settings: vec![
            ("PUBLIC_URL", base.clone()),
            ("OIDC_PROVIDERS", provider.setting()),
        ],
        ..PlatformOptions::jwt()
    };
    let platform = Platform::with_films(1, options).await;
    let page = browser.page().await;

    // The person does not agree: the page says so, and they may try again.
    provider.fail(Fault::Denied);
    log_in(&page, &base).await;
    page.until(
        "the refusal",
        "document.querySelector('#toasts')?.textContent.includes('did not permit') === true && location.hash === '#/'",
    )
    .await;
    provider.fail(None);
    log_in(&page, &base).await;
    page.until("the header", "!!document.querySelector('#header nav')")
        .await;
    let cookies = page.evaluate("document.cookie").await;
    assert_eq!(cookies, "", "scripts cannot read the cookies of a session");
    let who = page
        .evaluate("fetch('/session', {headers: {'X-Marquee': 'page'}}).then((r) => r.json())")
        .await;
    assert_eq!(who["user"]["role"], "user", "{who}");

    // A television asks for a login.
    let device = platform.client().bare();
    let body = json!({"client_id": "the television"});
    let codes = device.post("/api/v1/auth/device", body).await.expect(200);
    let poll = json!({
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": codes["device_code"],
        "client_id": "the television",
    });
    let polled = Instant::now();
    let pending = device.post("/api/v1/auth/token", poll.clone()).await;
    assert_eq!(pending.body["error"], "authorization_pending");
    open(&page, codes["verification_uri_complete"].as_str().unwrap()).await;
    page.until(
        "the code",
        "!!document.querySelector('main form [name=user_code]')?.value",
    )
    .await;
    page.evaluate(SUBMIT).await;
    page.until(
        "the name of the program",
        "document.querySelector('main')?.textContent.includes('the television') === true",
    )
    .await;
    page.evaluate(SUBMIT).await;
    page.until(
        "the approval",
        "document.querySelector('main [role=status]')?.textContent.includes('signed in') === true",
    )
    .await;
    // The interval of the device.
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(polled.elapsed())).await;
    let login = device.post("/api/v1/auth/token", poll).await.expect(200);
    let television = device.token(login["access_token"].as_str().unwrap());
    let me = television.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["id"].to_string(), who["user"]["id"].as_str().unwrap());
    page.assert_no_errors();
    assert_eq!(platform.errors_logged(), [""; 0]);
}
