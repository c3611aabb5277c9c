//! The day of a Korean user: all that they are shown is in Korean.

use chassis::testing::{TestResponse, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Api, Platform, PlatformOptions};

const PARASITE: i64 = 496_243;
const OLDBOY: i64 = 670;

/// The body of `response`, which is in Korean.
fn korean(response: TestResponse) -> Value {
    let vary: Vec<&str> = response
        .headers
        .get_all("vary")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    assert!(vary.contains(&"Accept-Language"), "{vary:?}");
    assert_eq!(response.headers["content-language"], "ko");
    response.expect(200)
}

/// The recommendation of Parasite in the list at `path`, as soon as its reason is as `expected`.
async fn parasite(client: &Api, path: &str, expected: impl Fn(&str) -> bool) -> Value {
    let find = async || {
        let list = client.get(path).await.body;
        let movies = list["recommendations"].as_array().cloned();
        let mut movies = movies.unwrap_or_default().into_iter();
        let is_expected = |movie: &Value| movie["reason"].as_str().is_some_and(&expected);
        movies.find(|movie| movie["id"] == PARASITE && is_expected(movie))
    };
    eventually("Parasite is recommended", async || find().await.is_some()).await;
    find().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_korean_users_day_is_korean() {
    let platform = Platform::with_films(1, PlatformOptions::default()).await;
    let client = platform.client();
    for movie in [PARASITE, OLDBOY] {
        let _ = client
            .get(&format!("/api/v1/movies/{movie}"))
            .await
            .expect(200);
    }
    let body =
        json!({"username": "minsu", "email": "minsu@example.com", "preferred_language": "ko-KR"});
    let user = client.post("/api/v1/users", body).await.expect(201);
    let own = |path: &str| format!("/api/v1/users/{}/{path}", user["id"]);
    let preferences = client.get(&own("preferences")).await.expect(200);
    assert_eq!(preferences["preferred_language"], "ko");
    let body = json!({"preferred_language": "KO", "preferred_genres": ["드라마", "스릴러"]});
    let _ = client.post(&own("preferences"), body).await.expect(200);

    let list = own("recommendations");
    let matches = "선호하는 장르와 일치합니다";
    let movie = parasite(&client, &list, |reason| reason.ends_with(matches)).await;
    assert_eq!(movie["title"], "기생충");
    assert_eq!(movie["genres"], json!(["드라마", "스릴러", "코미디"]));
    korean(client.get(&list).await);

    // What they do is in Korean too, and so are the reasons that it gives.
    let bookmark = own(&format!("bookmarks/{PARASITE}"));
    let _ = client.send(Method::PUT, &bookmark).await.expect(200);
    let bookmarks = korean(client.get(&own("bookmarks")).await);
    assert_eq!(bookmarks["bookmarks"][0]["title"], "기생충");
    let body = json!({"movie_id": OLDBOY, "interaction_type": "superlike"});
    let _ = client.post(&own("interactions"), body).await.expect(201);
    parasite(&client, &list, |reason| reason.contains("〈올드보이〉")).await;
    let replay = korean(client.get(&list).await);
    let replay = format!(
        "/api/v1/recommendations/{}",
        replay["list_id"].as_str().unwrap()
    );
    korean(client.get(&replay).await);
    let accepting = client.clone().header("Accept-Language", "ko");
    let chart = "/api/v1/charts/top?metric=bookmarks";
    eventually("the chart", async || {
        accepting.get(chart).await.body["data"][0]["movie"]["title"] == "기생충"
    })
    .await;
    korean(accepting.get(chart).await);
    korean(
        accepting
            .get(&format!("/api/v1/movies/{OLDBOY}/similar"))
            .await,
    );

    let english = client.get(&format!("{list}?language=en-US")).await;
    assert_eq!(english.headers["content-language"], "en-US");
    assert_eq!(platform.errors_logged(), [""; 0]);
}
