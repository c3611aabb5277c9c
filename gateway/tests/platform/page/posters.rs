//! Posters in the page: from this server alone, kept while TMDB is away, and a tile made from facts where there is none.

use serde_json::{Value, json};

use super::{show, sign_up};
use crate::stage::{Browser, Platform, PlatformOptions};

/// True if each tile near the visible part of the view has its poster.
const ARE_DRAWN: &str = "(() => {
    const near = (tile) => tile.getBoundingClientRect().top < innerHeight && tile.getBoundingClientRect().left < innerWidth;
    const tiles = [...document.querySelectorAll('main .tile')].filter((tile) => tile.checkVisibility() && near(tile));
    return tiles.length > 0 && tiles.every((tile) => (tile.querySelector('img')?.naturalWidth ?? 0) > 0);
})()";

/// True if the large tile of a movie's view has its poster.
const IS_LARGE_DRAWN: &str = "document.querySelector('main .tile.large img')?.naturalWidth === 500";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posters_come_from_this_server_and_outlive_tmdb() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = std::env::temp_dir().join(format!("platform-images-{}", std::process::id()));
    let options = PlatformOptions {
        images: Some(folder.clone()),
        ..PlatformOptions::jwt()
    };
    let mut platform = Platform::with_films(2, options).await;
    let base = platform.gateways[0].url();
    let page = browser.page().await;
    sign_up(&page, &base, "anna").await;
    show(&page, "#/").await;
    page.until("posters", ARE_DRAWN).await;
    let sql = "select id from movie order by popularity desc";
    let movies = platform.movies.numbers(sql).await;
    show(&page, &format!("#/film/{}", movies[0])).await;
    page.until("the large poster", IS_LARGE_DRAWN).await;
    page.assert_no_request_left(&base);
    page.assert_no_errors();

    // Posters that this server has are shown without TMDB; where it has none, the tile of facts stays, without a broken image.
    platform.demo_tmdb.kill();
    page.call("Network.setCacheDisabled", json!({"cacheDisabled": true}))
        .await;
    page.call("Page.reload", json!({})).await;
    page.until("the large poster from disk", IS_LARGE_DRAWN)
        .await;
    show(&page, &format!("#/film/{}", movies[30])).await;
    page.until(
        "the tile of facts",
        "(() => {
            const tile = document.querySelector('main .tile.large');
            return !!tile && !tile.querySelector('img') && tile.querySelector('.tile-title').textContent !== '';
        })()",
    )
    .await;
    assert_eq!(page.events("Runtime.exceptionThrown"), [Value::Null; 0]);
    let _ = std::fs::remove_dir_all(folder);
}
