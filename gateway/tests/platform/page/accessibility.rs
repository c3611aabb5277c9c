//! Axe (axe-core) in every view of the page, signed out, as a user and as an administrator, in both themes, narrow and wide.
//!
//! `AXE_SCRIPT` names axe's script; `PAGE_SCREENSHOTS`, if it is set, a folder for a picture of each view.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{IS_LOADED, PASSWORD, click, import, send, show, sign_up, submit};
use crate::stage::{Browser, Page, Platform, PlatformOptions};

const RUN_AXE: &str = "axe.run(document, { resultTypes: ['violations'] }).then((result) =>
    result.violations.flatMap(({ id, nodes }) =>
        nodes.map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary}: ${node.html.slice(0, 200)}`)))";
const WIDTHS: [u64; 2] = [360, 1600];
const THEMES: [&str; 2] = ["light", "dark"];

/// Shows the page in a width and a theme, without animations.
async fn emulate(page: &Page, width: u64, theme: &str) {
    let metrics = json!({"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": false});
    page.call("Emulation.setDeviceMetricsOverride", metrics)
        .await;
    let features = json!({"features": [
        {"name": "prefers-color-scheme", "value": theme},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]});
    page.call("Emulation.setEmulatedMedia", features).await;
}

/// Runs axe on what is shown in every width and theme; adds what it finds to `found`. Nothing scrolls sideways either.
async fn check(page: &Page, axe: &str, name: &str, found: &mut Vec<String>) {
    for width in WIDTHS {
        for theme in THEMES {
            emulate(page, width, theme).await;
            page.evaluate(
                "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))",
            )
            .await;
            let place = format!("{name}, {width} px, {theme}");
            let is_there = page.evaluate("typeof axe === 'object'").await;
            if is_there != true {
                page.evaluate(&format!("{axe}; true")).await;
            }
            let violations = page.evaluate(RUN_AXE).await;
            for violation in violations.as_array().expect("a list") {
                found.push(format!("{place}: {}", violation.as_str().unwrap()));
            }
            let overflow = page
                .evaluate(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth",
                )
                .await;
            if overflow != 0 {
                found.push(format!("{place}: {overflow} px wider than the window"));
            }
            if let Some(folder) = std::env::var_os("PAGE_SCREENSHOTS") {
                let file = format!("{name}-{width}-{theme}.png");
                page.screenshot(&PathBuf::from(folder).join(file)).await;
            }
        }
    }
    emulate(page, 1600, "light").await;
}

/// Gives a user likes, ratings, viewings, a watchlist, an import with a movie that is unknown, and a group.
async fn act(page: &Page, user: i64, movies: &[i64]) -> i64 {
    for (place, movie) in movies.iter().take(12).enumerate() {
        let reaction = json!({"movie_id": movie, "interaction_type": if place % 4 == 3 { "dislike" } else { "like" }});
        send(
            page,
            "POST",
            &format!("/users/{user}/interactions"),
            reaction,
        )
        .await;
        let rating = json!({"rating": 2.0 + (place % 6) as f64 / 2.0});
        send(
            page,
            "PUT",
            &format!("/users/{user}/ratings/{movie}"),
            rating,
        )
        .await;
        let viewing =
            json!({"movie_id": movie, "day": format!("2025-{:02}-15", 1 + place), "rating": 4.5});
        send(page, "POST", &format!("/users/{user}/viewings"), viewing).await;
    }
    for movie in movies.iter().skip(12).take(4) {
        send(
            page,
            "PUT",
            &format!("/users/{user}/bookmarks/{movie}"),
            Value::Null,
        )
        .await;
    }
    let csv = "Date,Name,Year,Letterboxd URI\n2025-01-01,No Such Movie,1971,https://boxd.it/a\n2025-01-02,Inception,2010,https://boxd.it/b\n";
    import(page, user, csv).await;
    let group = send(page, "POST", "/groups", json!({"name": "Movie night"})).await;
    group["id"].as_i64().unwrap()
}

/// Opens a dialog by a click, checks it, and closes it.
async fn check_dialog(page: &Page, axe: &str, opener: &str, name: &str, found: &mut Vec<String>) {
    click(page, opener).await;
    page.until(name, "!!document.querySelector('dialog[open]')")
        .await;
    page.until(name, IS_LOADED).await;
    check(page, axe, name, found).await;
    page.evaluate("document.querySelector('dialog[open]').close(); true")
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs axe-core; scripts/openapi-clients runs it"]
async fn no_view_has_a_violation_of_accessibility_rules() {
    let script = std::env::var_os("AXE_SCRIPT").expect("AXE_SCRIPT names axe's script");
    let axe = std::fs::read_to_string(script).expect("axe's script");
    let Some(browser) = Browser::start().await else {
        return;
    };
    let platform = Platform::with_films(5, PlatformOptions::jwt()).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    let mut found = Vec::new();
    page.call("Page.navigate", json!({"url": format!("{base}/#/")}))
        .await;
    page.until(
        "the forms",
        "document.querySelectorAll('main form').length === 2",
    )
    .await;
    check(&page, &axe, "sign-in", &mut found).await;
    sign_up(&page, &base, "anna").await;
    let movies = platform
        .movies
        .numbers("select id from movie order by popularity desc, id limit 40")
        .await;
    let me = send(&page, "GET", "/auth/me", Value::Null).await;
    let group = act(&page, me["id"].as_i64().unwrap(), &movies).await;
    let credits = send(
        &page,
        "GET",
        &format!("/movies/{}?include=credits", movies[0]),
        Value::Null,
    )
    .await;
    let person = credits["credits"][0]["id"].as_i64().unwrap();
    for (name, hash) in [
        ("for-you", "#/".to_owned()),
        ("movie", format!("#/film/{}", movies[0])),
        ("person", format!("#/person/{person}")),
        ("search", "#/search?q=the".to_owned()),
        ("search-nothing", "#/search?q=xqzwv".to_owned()),
        ("discover", "#/discover".to_owned()),
        (
            "discover-filtered",
            "#/discover?genres=Drama&vote_average_min=7".to_owned(),
        ),
        ("lists", "#/me/lists".to_owned()),
        ("taste", "#/me/taste".to_owned()),
        ("history", "#/me/history".to_owned()),
        ("import", "#/me/import".to_owned()),
        ("data", "#/me/data".to_owned()),
        ("media-servers", "#/me/webhooks".to_owned()),
        ("logins", "#/me/logins".to_owned()),
        ("together", "#/together".to_owned()),
        ("deck", format!("#/together/{group}")),
        ("device", "#/device".to_owned()),
        ("no-such-view", "#/nothing".to_owned()),
    ] {
        show(&page, &hash).await;
        check(&page, &axe, name, &mut found).await;
    }
    show(&page, "#/").await;
    check_dialog(&page, &axe, "main .card-actions .link", "why", &mut found).await;
    show(&page, "#/me/data").await;
    check_dialog(
        &page,
        &axe,
        "main .button.danger[type=button]",
        "erase",
        &mut found,
    )
    .await;
    // Korean, which is set in other fonts and has other lengths.
    click(&page, "#header .settings button").await;
    page.until("Korean", "document.documentElement.lang === 'ko'")
        .await;
    page.until("Korean", IS_LOADED).await;
    show(&page, "#/").await;
    check(&page, &axe, "for-you-korean", &mut found).await;
    click(&page, "#header .settings button").await;
    page.until("English", "document.documentElement.lang === 'en'")
        .await;
    // Signed out below by a request that the page does not know of: none of its own may be under way.
    page.until("English", IS_LOADED).await;

    platform.preference_service.run(&["admin", "grant", "anna"]);
    page.evaluate("fetch('/session', { method: 'DELETE', headers: { 'X-Marquee': 'page' } }).then(() => { localStorage.clear(); return true; })")
        .await;
    page.call("Page.reload", json!({})).await;
    page.until(
        "the forms",
        "document.querySelectorAll('main form').length === 2",
    )
    .await;
    let login = json!({"username": "anna", "password": PASSWORD});
    submit(&page, "main section section form", &login).await;
    page.until(
        "administration",
        "!!document.querySelector('#header nav a[href=\"#/admin\"]')",
    )
    .await;
    let experiment = json!({"name": "flat-weights", "description": "Genres alone do as well.", "variants": [
        {"name": "control", "weight": 1}, {"name": "genres", "weight": 1, "strategy": "rules"}
    ]});
    send(&page, "PUT", "/admin/experiments", experiment).await;
    // Somebody whom an administrator can suspend.
    sign_up(&browser.other_device().await, &base, "ben").await;
    for tab in ["jobs", "experiments", "models", "users", "cache"] {
        show(&page, &format!("#/admin/{tab}")).await;
        check(&page, &axe, &format!("admin-{tab}"), &mut found).await;
    }
    show(&page, "#/admin/users").await;
    check_dialog(&page, &axe, "main .table .button", "suspend", &mut found).await;
    assert!(
        found.is_empty(),
        "{} found:\n{}",
        found.len(),
        found.join("\n")
    );
    page.assert_no_request_left(&base);
    page.assert_no_errors();
}
