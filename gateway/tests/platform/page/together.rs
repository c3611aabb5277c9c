//! The deck of a group whose two members vote on their own devices: an invitation, the same cards for both, and one list for
//! tonight that follows the votes.

use serde_json::{Value, json};

use super::{click, send, show, sign_up, submit};
use crate::stage::{Browser, Page, Platform, PlatformOptions};

/// The name of the movie on the card.
const CARD: &str = "(document.querySelector('main .deck h2')?.textContent ?? '')";
const HAS_LIST: &str = "!!document.querySelector('main .tonight-list')";

/// Votes on each card until the list for tonight is shown; `wants` gets the card's number and name. Returns the names of the
/// cards.
async fn vote(page: &Page, wants: impl Fn(usize, &str) -> bool) -> Vec<String> {
    let is_ready = format!("{CARD} !== '' || {HAS_LIST}");
    page.until("a card", &is_ready).await;
    let mut cards = Vec::new();
    while page.evaluate(HAS_LIST).await != true {
        let card = page.evaluate(CARD).await.as_str().unwrap().to_owned();
        let side = if wants(cards.len(), &card) {
            "last-child"
        } else {
            "first-child"
        };
        click(page, &format!("main .deck-buttons button:{side}")).await;
        let next = format!("{CARD} !== {} || {HAS_LIST}", json!(card));
        page.until("the next card", &next).await;
        cards.push(card);
        assert!(cards.len() <= 10, "{cards:?}");
    }
    cards
}

/// The rows of the list for tonight: the movie, and who wants it.
async fn tonight(page: &Page) -> Vec<(String, String)> {
    let rows = page
        .evaluate(
            "[...document.querySelectorAll('main .tonight')].map((row) =>
                [row.querySelector('h3').textContent, row.querySelector('div > p').textContent])",
        )
        .await;
    serde_json::from_value(rows).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_group_vote_on_their_own_devices() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let platform = Platform::with_films(2, PlatformOptions::jwt()).await;
    let base = platform.gateways[0].url();
    let (anna, ben) = (browser.page().await, browser.other_device().await);
    sign_up(&anna, &base, "anna").await;
    sign_up(&ben, &base, "ben").await;

    // Anna creates a group and an invitation, with which Ben joins.
    show(&anna, "#/together").await;
    submit(
        &anna,
        "main .two section:nth-last-child(2) form",
        &json!({"name": "Friday"}),
    )
    .await;
    anna.until(
        "the group",
        "!!document.querySelector('main .panel button')",
    )
    .await;
    click(&anna, "main .panel .inline-form button:not(.danger)").await;
    anna.until("the code", "!!document.querySelector('main .panel code')")
        .await;
    let code = anna
        .evaluate("document.querySelector('main .panel code').textContent")
        .await;
    show(&ben, "#/together").await;
    submit(
        &ben,
        "main .two section:last-child form",
        &json!({"code": code}),
    )
    .await;
    let deck = "main .panel a[href^=\"#/together/\"]";
    ben.until("the group", &format!("!!document.querySelector('{deck}')"))
        .await;
    let hash = ben
        .evaluate(&format!(
            "document.querySelector('{deck}').getAttribute('href')"
        ))
        .await;
    let hash = hash.as_str().unwrap();

    // Anna wants every second card, Ben the first two of hers.
    for page in [&anna, &ben] {
        page.evaluate(&format!("location.hash = {}; true", json!(hash)))
            .await;
    }
    let of_anna = vote(&anna, |number, _| number % 2 == 0).await;
    assert_eq!(of_anna.len(), 10, "{of_anna:?}");
    let alone = tonight(&anna).await;
    assert_eq!(alone.len(), 5, "{alone:?}");
    assert!(
        alone.iter().all(|(_, who)| who.contains("anna")),
        "{alone:?}"
    );
    let is_waiting =
        "document.querySelector('main [role=status].hint').textContent.includes('ben')";
    assert_eq!(anna.evaluate(is_waiting).await, true);
    // Ben opened his deck before Anna voted, so that he begins it again.
    ben.call("Page.reload", json!({})).await;
    let of_ben = vote(&ben, |_, card| of_anna[..2].iter().any(|name| name == card)).await;
    assert!(
        of_anna.iter().all(|card| of_ben.contains(card)),
        "{of_ben:?}"
    );

    // Both lists agree, with the movie that both want first, and Anna's follows without her doing.
    let expected = tonight(&ben).await;
    assert_eq!(expected.len(), 6, "{expected:?}");
    let first = &expected[0];
    assert_eq!(first.0, of_anna[0], "{expected:?}");
    assert!(!first.1.contains("anna"), "all want it: {expected:?}");
    anna.until(
        "the votes of the other device",
        "document.querySelectorAll('main .tonight').length === 6",
    )
    .await;
    assert_eq!(tonight(&anna).await, expected);

    // Votes are no likes.
    let me = send(&anna, "GET", "/auth/me", Value::Null).await;
    let path = format!("/users/{}/interactions", me["id"]);
    let interactions = send(&anna, "GET", &path, Value::Null).await;
    assert!(
        !interactions.to_string().contains("\"like\""),
        "{interactions}"
    );
    for page in [&anna, &ben] {
        page.assert_no_request_left(&base);
        page.assert_no_errors();
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}
