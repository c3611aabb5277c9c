//! The page at `/` in a real browser: signing up, searching, liking, the list that follows, and the session after a reload.
//! No request leaves the machine, and the console has no errors.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::stage::{Browser, Page, Platform, PlatformOptions};

/// Writes texts into the fields of the form at `place` and sends it.
async fn submit(page: &Page, place: usize, fields: &Value) {
    page.evaluate(&format!(
        "(() => {{
            const form = document.querySelectorAll('main form')[{place}];
            for (const [name, text] of Object.entries({fields})) form.elements[name].value = text;
            form.requestSubmit();
            return true;
        }})()"
    ))
    .await;
}

async fn go(page: &Page, hash: &str) {
    page.evaluate(&format!("location.hash = {}; true", json!(hash)))
        .await;
}

async fn heading(page: &Page, text: &str) {
    let script = format!(
        "document.querySelector('main h1')?.textContent.includes({}) === true",
        json!(text)
    );
    page.until(&format!("the heading {text}"), &script).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_signs_up_searches_likes_and_gets_a_list() {
    let Some(browser) = Browser::start().await else {
        eprintln!("skipped: no Chromium; CHROMIUM may name one");
        return;
    };
    let options = PlatformOptions {
        auth_mode: "jwt",
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(2, options).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    let url = json!({"url": format!("{base}/#/")});
    page.call("Page.navigate", url.clone()).await;
    page.until(
        "the forms to sign in and up",
        "document.querySelectorAll('main form').length === 2",
    )
    .await;
    let account = json!({"username": "anna", "email": "anna@example.org", "password": "correct horse battery staple"});
    submit(&page, 1, &account).await;
    page.until("the header", "!!document.querySelector('#header nav')")
        .await;
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
    page.evaluate("document.querySelector('#header [role=option]').click(); true")
        .await;
    heading(&page, title).await;
    page.evaluate("document.querySelector('main .toggle').click(); true")
        .await;
    page.until(
        "the reaction",
        "document.querySelector('main .toggle').getAttribute('aria-pressed') === 'true'",
    )
    .await;
    for (hash, text) in [
        ("#/discover?genres=Drama", ""),
        ("#/me/taste", ""),
        ("#/together", ""),
        ("#/", ""),
    ] {
        go(&page, hash).await;
        heading(&page, text).await;
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
