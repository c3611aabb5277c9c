//! The page at `/` in a real browser: signing up, searching, liking, the list that follows, and the session after a reload.
//! No request leaves the machine, and the console has no errors.
//!
//! [`accessibility`] runs axe in every view, [`hostile`] shows markup and scripts as text, [`posters`] covers images, [`states`]
//! failures, [`together`] the deck of a group on two devices.

mod accessibility;
mod hostile;
mod posters;
mod states;
mod together;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::stage::{Browser, Page, Platform, PlatformOptions};

const PASSWORD: &str = "correct horse battery staple";
/// True if nothing of the view is loading.
const IS_LOADED: &str =
    "!!document.querySelector('main h1') && !document.querySelector('[aria-busy], .loading')";

/// Writes texts into the fields of the form at `place` and sends it.
async fn submit(page: &Page, place: &str, fields: &Value) {
    page.evaluate(&format!(
        "(() => {{
            const form = document.querySelector({});
            for (const [name, text] of Object.entries({fields})) form.elements[name].value = text;
            form.requestSubmit();
            return true;
        }})()",
        json!(place)
    ))
    .await;
}

/// Shows the view at `hash` and waits until all of it is loaded.
async fn show(page: &Page, hash: &str) {
    page.evaluate(&format!("location.hash = {}; true", json!(hash)))
        .await;
    // The view is drawn by an event that follows.
    page.evaluate("new Promise((done) => setTimeout(done, 50))")
        .await;
    page.until(&format!("the view {hash}"), IS_LOADED).await;
}

/// Clicks the first element of `selector`.
async fn click(page: &Page, selector: &str) {
    let script = format!("document.querySelector({}).click(); true", json!(selector));
    page.evaluate(&script).await;
}

async fn heading(page: &Page, text: &str) {
    let script = format!(
        "document.querySelector('main h1')?.textContent.includes({}) === true",
        json!(text)
    );
    page.until(&format!("the heading {text}"), &script).await;
}

/// Opens the page without a session and signs up.
async fn sign_up(page: &Page, base: &str, name: &str) {
    page.call("Page.navigate", json!({"url": format!("{base}/#/")}))
        .await;
    page.until(
        "the forms to sign in and up",
        "document.querySelectorAll('main form').length === 2",
    )
    .await;
    let email = format!("{name}@example.org");
    let account = json!({"username": name, "email": email, "password": PASSWORD});
    submit(page, "main section section:last-child form", &account).await;
    page.until("the header", "!!document.querySelector('#header nav')")
        .await;
}

/// Sends a request with the session of the page; returns the body of its response, which must be a success.
async fn send(page: &Page, method: &str, path: &str, body: Value) -> Value {
    let body = match body {
        Value::Null => "undefined".to_owned(),
        Value::String(text) => json!(text).to_string(),
        other => json!(other.to_string()).to_string(),
    };
    let response = page
        .evaluate(&format!(
            "fetch('/api/v1{path}', {{ method: '{method}', body: {body}, headers: {{ 'X-Marquee': 'page' }} }})
                .then(async (response) => ({{ status: response.status, text: await response.text() }}))"
        ))
        .await;
    let text = response["text"].as_str().unwrap_or_default();
    let status = response["status"].as_u64().unwrap();
    assert!(
        (200..300).contains(&status),
        "{method} {path}: {status} {text}"
    );
    serde_json::from_str(text).unwrap_or_default()
}

/// Imports Letterboxd's `watched.csv` for `user`, and waits for the end.
async fn import(page: &Page, user: i64, csv: &str) {
    let path = format!("/users/{user}/imports");
    let started = send(
        page,
        "POST",
        &format!("{path}?format=letterboxd-watched"),
        json!(csv),
    )
    .await;
    let id = started["job_id"].as_str().unwrap();
    page.until(
        "the import",
        &format!(
            "fetch('/api/v1{path}/{id}', {{ headers: {{ 'X-Marquee': 'page' }} }})
            .then((response) => response.json()).then((job) => job.status === 'succeeded')"
        ),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_signs_up_searches_likes_and_gets_a_list() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let platform = Platform::with_films(2, PlatformOptions::jwt()).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    sign_up(&page, &base, "anna").await;
    let cookies = page.evaluate("document.cookie").await;
    assert_eq!(cookies, "", "scripts cannot read the cookies of a session");
    page.until(
        "cards",
        "document.querySelectorAll('main a[href^=\"#/film/\"]').length >= 5",
    )
    .await;

    // Search as you type: the title of a movie of the catalogue.
    let titles = platform
        .movies
        .numbers("select id from movie order by popularity desc")
        .await;
    let movie = platform
        .admin()
        .get(&format!("/api/v1/movies/{}", titles[0]))
        .await
        .expect(200);
    let title = movie["title"].as_str().unwrap();
    page.evaluate(&format!(
        "(() => {{
            const input = document.querySelector('#header input[role=combobox]');
            input.focus();
            input.value = {};
            input.dispatchEvent(new Event('input', {{ bubbles: true }}));
            return true;
        }})()",
        json!(title)
    ))
    .await;
    page.until(
        "suggestions",
        "document.querySelectorAll('#header [role=option]').length > 0",
    )
    .await;
    click(&page, "#header [role=option]").await;
    heading(&page, title).await;
    click(&page, "main .toggle").await;
    page.until(
        "the reaction",
        "document.querySelector('main .toggle').getAttribute('aria-pressed') === 'true'",
    )
    .await;
    let typed = "document.querySelector('#header input[role=combobox]').value";
    for (hash, query) in [
        ("#/search?q=the", "the"),
        ("#/discover?genres=Drama", ""),
        ("#/me/taste", ""),
        ("#/together", ""),
        ("#/", ""),
    ] {
        show(&page, hash).await;
        assert_eq!(page.evaluate(typed).await, query, "{hash}");
    }
    // The session outlives the page.
    page.call("Page.reload", json!({})).await;
    page.until("the header", "!!document.querySelector('#header nav')")
        .await;
    page.until(
        "cards",
        "document.querySelectorAll('main a[href^=\"#/film/\"]').length >= 5",
    )
    .await;
    if let Some(path) = std::env::var_os("PLATFORM_SCREENSHOT") {
        page.screenshot(&PathBuf::from(path)).await;
    }
    page.assert_no_request_left(&base);
    page.assert_no_errors();
    assert_eq!(platform.errors_logged(), [""; 0]);
}
