//! Failures in the page: each has a state that says what is wrong, and what was asked for follows when the failure ends.

use serde_json::{Value, json};

use super::{PASSWORD, click, heading, send, show, sign_up, submit};
use crate::stage::{Browser, Page, Platform, PlatformOptions};

/// Requests that a client may send in a window of so many seconds.
const RATE_LIMIT: (u64, u64) = (300, 15);

async fn until_failed(page: &Page, kind: &str) {
    let script = format!("!!document.querySelector('main .state.failed.{kind}')");
    page.until(&format!("the state {kind}"), &script).await;
}

async fn until_well(page: &Page) {
    page.until(
        "recovery",
        "!document.querySelector('main .state.failed, main .loading') && !!document.querySelector('main h1')",
    )
    .await;
}

async fn go(page: &Page, hash: &str) {
    page.evaluate(&format!("location.hash = {}; true", json!(hash)))
        .await;
}

async fn delete_cookies(page: &Page, base: &str, names: &[&str]) {
    for name in names {
        page.call("Network.deleteCookies", json!({"name": name, "url": base}))
            .await;
        page.call(
            "Network.deleteCookies",
            json!({"name": name, "url": format!("{base}/session")}),
        )
        .await;
    }
}

async fn like(page: &Page) {
    click(page, "main .toggle").await;
}

async fn until_liked(page: &Page, is_liked: bool) {
    page.until(
        "the reaction",
        &format!(
            "document.querySelector('main .toggle').getAttribute('aria-pressed') === '{is_liked}'"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_have_states_and_end() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let options = PlatformOptions {
        rate_limit: RATE_LIMIT.0,
        rate_limit_window: RATE_LIMIT.1,
        ..PlatformOptions::jwt()
    };
    let mut platform = Platform::with_films(1, options).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    sign_up(&page, &base, "anna").await;
    show(&page, "#/").await;
    let movies = platform
        .movies
        .numbers("select id from movie order by popularity desc, id limit 3")
        .await;
    let movie = format!("/movies/{}", movies[0]);
    let movie = send(&page, "GET", &movie, Value::Null).await;
    let film = |place: usize| format!("#/film/{}", movies[place]);

    // The access token is gone; the refresh token makes another, and nothing shows.
    show(&page, &film(0)).await;
    delete_cookies(&page, &base, &["marquee_access"]).await;
    like(&page).await;
    until_liked(&page, true).await;
    let is_asked = page.evaluate("!!document.querySelector('dialog')").await;
    assert_eq!(is_asked, false);

    // Both are gone: the visitor signs in over the view, and their action follows.
    show(&page, &film(1)).await;
    page.evaluate("localStorage.removeItem('marquee.refreshed'); true")
        .await;
    delete_cookies(&page, &base, &["marquee_access", "marquee_refresh"]).await;
    like(&page).await;
    page.until("the form", "!!document.querySelector('dialog[open] form')")
        .await;
    let login = json!({"username": "anna", "password": PASSWORD});
    submit(&page, "dialog[open] form", &login).await;
    until_liked(&page, true).await;
    let me = send(&page, "GET", "/auth/me", Value::Null).await;
    let reactions = format!("/users/{}/reactions", me["id"]);
    let reactions = send(&page, "GET", &reactions, Value::Null).await;
    let liked: Vec<&Value> = reactions["reactions"].as_array().unwrap().iter().collect();
    assert_eq!(liked.len(), 2, "{reactions}");

    // The storage of settings is full, and has space again: the last value counts.
    let remembered = page
        .evaluate(
            "import('/page/settings.js').then(({ recall, remember }) => {
                const { setItem, removeItem } = Storage.prototype;
                const refuse = () => { throw new DOMException('full', 'QuotaExceededError'); };
                const values = [];
                const take = (value) => {
                    remember('test', value);
                    values.push(recall('test', 'none'));
                };
                Storage.prototype.setItem = refuse;
                take('one');
                Storage.prototype.setItem = setItem;
                take('two');
                Storage.prototype.removeItem = refuse;
                take(null);
                Storage.prototype.removeItem = removeItem;
                return values;
            })",
        )
        .await;
    assert_eq!(remembered, json!(["one", "two", "none"]));

    // The connection is lost, and comes back.
    let network = |is_offline: bool| json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
    page.call("Network.emulateNetworkConditions", network(true))
        .await;
    go(&page, &film(2)).await;
    until_failed(&page, "offline").await;
    page.call("Network.emulateNetworkConditions", network(false))
        .await;
    until_well(&page).await;

    // A service is away, and comes back.
    platform.recommendation_services[0].kill();
    go(&page, "#/").await;
    until_failed(&page, "away").await;
    platform.recommendation_services[0].restart();
    until_well(&page).await;

    // The client sent too many requests.
    let admin = platform.admin();
    loop {
        let batch = (0..50).map(|_| admin.get("/api/v1/genres"));
        let responses = futures_util::future::join_all(batch).await;
        if responses.iter().any(|response| response.status == 429) {
            break;
        }
    }
    go(&page, &film(0)).await;
    until_failed(&page, "limited").await;
    until_well(&page).await;
    heading(&page, movie["title"].as_str().unwrap()).await;
    assert_eq!(page.events("Runtime.exceptionThrown"), [Value::Null; 0]);
}
