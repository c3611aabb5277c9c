//! A hostile catalogue: titles, names, overviews and keywords with markup, scripts, marks of direction and zero-width
//! characters are text in every view, and no script of theirs runs.

use serde_json::{Value, json};

use super::{click, import, send, show, sign_up};
use crate::stage::{Browser, Page, Platform, PlatformOptions};

/// Markup that leaves an element or a variable behind if a view parses it, and characters that reorder or hide text.
const MARKUP: &str = "<hostile-tag onclick=\"x\"><img src=x onerror=\"window.hacked=1\"><script>window.hacked=2</script>\
     <svg onload=\"window.hacked=3\">\"'&lt;{{7*7}}${7*7}";
const MARKS: &str = "\u{202E}txet\u{200B}\u{200F}\u{FEFF}";

/// True if the view has the text, nothing of it became an element, no script ran, and marks of direction are isolated.
const IS_TEXT: &str = "(() => {
    const reordered = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT,
        (node) => node.data.includes('\\u202E') ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP);
    const open = [];
    while (reordered.nextNode()) {
        const parent = reordered.currentNode.parentElement;
        if (!parent.closest('[dir=auto], bdi, title, option')) open.push(parent.outerHTML.slice(0, 300));
    }
    return {
        elements: document.querySelectorAll('hostile-tag, main img, main script').length,
        ran: window.hacked ?? null,
        open,
        shown: document.body.textContent.includes('<hostile-tag onclick=\"x\"><img src=x'),
    };
})()";

async fn check(page: &Page, place: &str) {
    let state = page.evaluate(IS_TEXT).await;
    let expected = json!({"elements": 0, "ran": null, "open": [], "shown": true});
    assert_eq!(state, expected, "{place}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hostile_catalogue_is_shown_as_text() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let platform = Platform::start(PlatformOptions::jwt()).await;
    let demo = platform.demo_tmdb.url();
    let http = chassis::client::http().no_proxy().build().unwrap();
    let first: Value = {
        let list = format!("{demo}/3/discover/movie?api_key=demo&sort_by=popularity.desc");
        let text = http.get(list).send().await.unwrap().text().await.unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let ids: Vec<i64> = first["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|movie| movie["id"].as_i64().unwrap())
        .collect();
    for id in &ids {
        let name = |kind: &str| format!("{kind} {id} {MARKUP}{MARKS}");
        let patch = json!({
            "title": name("Zyxwv"), "original_title": name("Original"), "korean_title": name("제목"),
            "overview": name("Overview"), "directors": [name("Director")], "cast": [name("Actor"), "Anna Plain"],
            "keywords": [name("keyword")],
        });
        let changed = http
            .post(format!("{demo}/__films/{id}"))
            .body(patch.to_string())
            .send();
        assert_eq!(changed.await.unwrap().status(), 200);
    }
    platform.sync(1).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    sign_up(&page, &base, "anna").await;
    let me = send(&page, "GET", "/auth/me", Value::Null).await;
    let user = me["id"].as_i64().unwrap();
    for id in &ids[..4] {
        let like = json!({"movie_id": id, "interaction_type": "like"});
        send(&page, "POST", &format!("/users/{user}/interactions"), like).await;
        let viewing = json!({"movie_id": id, "day": "2025-02-15", "rating": 4.5});
        send(&page, "POST", &format!("/users/{user}/viewings"), viewing).await;
    }
    let bookmark = format!("/users/{user}/bookmarks/{}", ids[5]);
    send(&page, "PUT", &bookmark, Value::Null).await;
    let csv = format!(
        "Date,Name,Year,Letterboxd URI\n2025-01-01,\"Lost {}\",1971,https://boxd.it/a\n",
        MARKUP.replace('"', "\"\"")
    );
    import(&page, user, &csv).await;
    // A name has at most 100 characters.
    let group = json!({"name": &MARKUP[..70]});
    let group = send(&page, "POST", "/groups", group).await;
    let movie = format!("/movies/{}?include=credits", ids[0]);
    let credits = send(&page, "GET", &movie, Value::Null).await;
    let person = credits["credits"][0]["id"].as_i64();
    let person = person.unwrap_or_else(|| panic!("no cast: {credits}"));
    // The feed of movies brings the names of a taste a moment after the sync.
    page.until(
        "the taste",
        &format!(
            "fetch('/api/v1/users/{user}/taste', {{ headers: {{ 'X-Marquee': 'page' }} }})
            .then((response) => response.text()).then((text) => text.includes('<hostile-tag'))"
        ),
    )
    .await;
    for hash in [
        "#/".to_owned(),
        format!("#/film/{}", ids[0]),
        format!("#/person/{person}"),
        "#/search?q=zyxwv".to_owned(),
        format!("#/discover?people={person}"),
        "#/me/lists".to_owned(),
        "#/me/taste".to_owned(),
        "#/me/history".to_owned(),
        "#/me/import".to_owned(),
        "#/together".to_owned(),
        format!("#/together/{}", group["id"]),
    ] {
        show(&page, &hash).await;
        check(&page, &hash).await;
    }
    // The reasons of a movie, in a dialog.
    show(&page, "#/").await;
    click(&page, "main .card-actions .link").await;
    page.until("the dialog", "!!document.querySelector('dialog[open]')")
        .await;
    page.until("its content", super::IS_LOADED).await;
    check(&page, "why").await;
    page.evaluate("document.querySelector('dialog[open]').close(); true")
        .await;
    // Its end returns the focus, a moment later.
    page.until("its end", "!document.querySelector('dialog')")
        .await;
    // Suggestions of the search, of movies, people and keywords.
    for text in ["zyxwv", "director", "keyword"] {
        page.evaluate(&format!(
            "(() => {{
                const input = document.querySelector('#header input[role=combobox]');
                input.focus();
                input.value = '{text}';
                input.dispatchEvent(new Event('input', {{ bubbles: true }}));
                return true;
            }})()"
        ))
        .await;
        page.until(
            "suggestions",
            &format!(
                "[...document.querySelectorAll('#header [role=group]:not(:last-child) [role=option]')]
                    .some((option) => option.textContent.toLowerCase().includes('{text}'))"
            ),
        )
        .await;
        check(&page, text).await;
    }
    page.assert_no_request_left(&base);
    // A script that the policy stopped would be an error of the console.
    page.assert_no_errors();
}
