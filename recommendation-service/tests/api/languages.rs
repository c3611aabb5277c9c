//! The languages of responses.

use axum::body::Body;
use chassis::testing::{TestResponse, eventually, get};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids, request};

const PATH: &str = "/api/v1/users/7/recommendations";

impl TestApp {
    /// As [`TestApp::get_as`], of a client that accepts `language`.
    async fn accepting(&self, language: &'static str, who: &str, path: &str) -> TestResponse {
        let mut request = request(who, "GET", path, Body::empty());
        let value = language.parse().unwrap();
        request.headers_mut().insert("accept-language", value);
        chassis::testing::send(&self.app, request).await
    }
}

/// The language of `response`, and that it varies by the client's.
fn language(response: &TestResponse) -> &str {
    let vary = response.headers.get_all("vary").iter();
    assert!(vary.into_iter().any(|name| name == "Accept-Language"));
    response.headers["content-language"].to_str().unwrap()
}

fn first<'a>(list: &'a Value, field: &str) -> &'a Value {
    &list["recommendations"][0][field]
}

/// Two Korean movies and an American one, which are Korean in part, as movie-service's feed sends them.
async fn films(pool: &PgPool, settings: &[(&str, &str)]) -> TestApp {
    let owners = (crate::Owner::start().await, crate::Owner::start().await);
    let test = TestApp::with(pool, owners.0, owners.1, None, settings).await;
    test.until_ready().await;
    let genres = json!([
        {"id": 53, "name": "Thriller", "names": {"ko": "스릴러", "fr": "Thriller"}},
        {"id": 35, "name": "Comedy", "names": {"ko": "코미디"}},
    ]);
    test.movies.film(1, 1, json!({
        "title": "Parasite", "original_title": "기생충", "original_language": "ko", "popularity": 90.0,
        "release_date": "2019-05-30", "genres": genres,
        "titles": [{"title": "Parasit", "language": "de", "country": null},
                   {"title": "Gisaengchung", "language": null, "country": "US"}],
        "people": [{"id": 21, "name": "Bong Joon Ho", "job": "Director", "names": {"ko": "봉준호"}}],
    }));
    test.movies.film(2, 1, json!({
        "title": "Memories of Murder", "original_title": "살인의 추억", "original_language": "ko",
        "popularity": 40.0, "genres": [genres[0]],
        "people": [{"id": 21, "name": "Bong Joon Ho", "job": "Director"}],
    }));
    test.movies.film(
        3,
        1,
        json!({
            "title": "The Silence of the Lambs", "original_title": "The Silence of the Lambs",
            "popularity": 100.0, "genres": [genres[0]],
            "titles": [{"title": "양들의 침묵", "language": "ko", "country": null}],
        }),
    );
    test.movies.film(
        4,
        1,
        json!({"title": "Unknown in Korea", "popularity": 1.0}),
    );
    test.users.user(
        7,
        1,
        json!({"preferred_language": "ko", "preferred_genres": ["스릴러"]}),
    );
    test.users
        .user(8, 1, json!({"preferred_genres": ["thriller"]}));
    eventually("all is known", async || {
        ids(&get(&test.app, "/api/v1/users/8/recommendations").await.body).len() == 4
            && ids(&get(&test.app, PATH).await.body).len() == 2
    })
    .await;
    test
}

#[sqlx::test]
async fn a_korean_users_list_is_korean(pool: PgPool) {
    let test = films(&pool, &[]).await;
    let response = get(&test.app, PATH).await;
    assert_eq!(language(&response), "ko");
    let list = response.expect(200);
    assert_eq!(ids(&list), [1, 2], "in their language, as before");
    assert_eq!(first(&list, "title"), "기생충");
    assert_eq!(first(&list, "genres"), &json!(["스릴러", "코미디"]));
    assert_eq!(
        first(&list, "reason"),
        "인기가 매우 높고, 선호하는 장르와 일치합니다",
        "{list}"
    );
    // The same from the cache, and by another language.
    assert_eq!(get(&test.app, PATH).await.expect(200), list);
    let english = test.accepting("en-GB,en;q=0.9", "7", PATH).await;
    assert_eq!(language(&english), "en-GB");
    let english = english.expect(200);
    assert_eq!(first(&english, "title"), "Parasite");
    assert_eq!(first(&english, "genres"), &json!(["Comedy", "Thriller"]));
    assert_eq!(
        first(&english, "reason"),
        "highly popular, matches your preferred genres"
    );
    assert_eq!(english["list_id"], list["list_id"], "the list is the same");
    assert_eq!(get(&test.app, PATH).await.expect(200), list);

    test.users.interaction(1, 7, 2, "superlike");
    eventually("the reason names what they love", async || {
        let list = get(&test.app, PATH).await.body;
        first(&list, "reason")
            .as_str()
            .is_some_and(|reason| reason.starts_with("〈살인의 추억〉을 무척 좋아하셔서"))
    })
    .await;
    let explained = get(&test.app, &format!("{PATH}?explain=true"))
        .await
        .expect(200);
    assert_eq!(first(&explained, "because")[0]["title"], "살인의 추억");
    let english = get(&test.app, &format!("{PATH}?language=en-US"))
        .await
        .expect(200);
    let reason = first(&english, "reason").as_str().unwrap();
    assert!(
        reason.starts_with("because you love Memories of Murder"),
        "{reason}"
    );
}

#[sqlx::test]
async fn a_parameter_comes_before_the_header_and_the_preference(pool: PgPool) {
    let test = films(&pool, &[]).await;
    let path = "/api/v1/users/8/recommendations";
    for (accepted, query, shown, title, movies) in [
        ("", "", "en", "The Silence of the Lambs", 4),
        ("ko-KR,ko;q=0.9,en;q=0.8", "", "ko-KR", "양들의 침묵", 4),
        (
            "ko",
            "?language=en-US",
            "en-US",
            "The Silence of the Lambs",
            4,
        ),
        ("en", "?language=ko_kr", "ko-KR", "양들의 침묵", 4),
        // A code alone filters as well, as it did before there was a display language.
        ("en", "?language=KO", "ko", "기생충", 2),
        ("en", "?language=ko%7Cja", "en", "Parasite", 2),
        ("en", "?original_language=ko", "en", "Parasite", 2),
        (
            "en",
            "?original_language=en&language=ko",
            "ko",
            "양들의 침묵",
            2,
        ),
        (
            "ko",
            "?genres=%EC%8A%A4%EB%A6%B4%EB%9F%AC&without_genres=%EC%BD%94%EB%AF%B8%EB%94%94",
            "ko",
            "양들의 침묵",
            2,
        ),
        // No text is in French.
        ("ko", "?language=fr-FR", "en", "The Silence of the Lambs", 4),
        ("fr, ko;q=0.5", "", "en", "The Silence of the Lambs", 4),
    ] {
        let path = format!("{path}{query}");
        // Each twice: made, and from the cache.
        for _ in 0..2 {
            let response = test.accepting(accepted, "8", &path).await;
            assert_eq!(language(&response), shown, "{accepted} {query}");
            let list = response.expect(200);
            assert_eq!(first(&list, "title"), title, "{accepted} {query}");
            assert_eq!(ids(&list).len(), movies, "{accepted} {query}");
        }
    }
    let list = get(&test.app, "/api/v1/users/8/recommendations?language=ko-KR").await;
    assert_eq!(list.body["recommendations"][3]["title"], "Unknown in Korea");
    for query in [
        "language=korean",
        "language=ko-KR%7Cja",
        "original_language=ko-KR",
    ] {
        let problem = get(&test.app, &format!("{path}?{query}")).await.expect(400);
        let field = query.split('=').next().unwrap();
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
}

#[sqlx::test]
async fn a_list_continues_and_is_replayed_in_the_language_of_each_request(pool: PgPool) {
    let test = films(&pool, &[]).await;
    let path = "/api/v1/users/8/recommendations?limit=2";
    let english = get(&test.app, path).await.expect(200);
    let cursor = english["next_cursor"].as_str().unwrap();
    let next = format!("{path}&cursor={cursor}&language=ko-KR");
    let next = get(&test.app, &next).await.expect(200);
    assert_eq!(first(&next, "title"), "살인의 추억");
    assert_eq!(next["list_id"], english["list_id"]);

    let path = format!(
        "/api/v1/recommendations/{}?explain=false",
        english["list_id"].as_str().unwrap()
    );
    let replayed = test.get_as("8", &path).await;
    assert_eq!(language(&replayed), "en");
    assert_eq!(
        replayed.expect(200)["recommendations"],
        english["recommendations"]
    );
    for korean in [
        test.get_as("8", &format!("{path}&language=ko")).await,
        test.accepting("ko", "admin", &path).await,
    ] {
        assert_eq!(language(&korean), "ko");
        let korean = korean.expect(200);
        assert_eq!(first(&korean, "title"), "양들의 침묵");
        assert_eq!(
            first(&korean, "reason"),
            "인기가 매우 높고, 선호하는 장르와 일치합니다"
        );
    }

    // A list as it was stored before reasons had a structure.
    let id = english["list_id"].as_str().unwrap();
    eventually("the list is stored", async || {
        let stored = "select count(*) from recommendation_list where list_id = $1::text::uuid";
        let stored = sqlx::query_scalar::<_, i64>(stored).bind(id);
        stored.fetch_one(&pool).await.unwrap() > 0
    })
    .await;
    let old = "00000000-0000-8000-8000-000000000001";
    sqlx::query(
        "insert into recommendation_list (list_id, user_id, created_at, expires_at, body)
         select $1::text::uuid, user_id, created_at, expires_at, jsonb_set(
             jsonb_set(body, '{id}', to_jsonb($1::text)), '{films}',
             (select jsonb_agg(film - 'reasons') from jsonb_array_elements(body -> 'films') film))
         from recommendation_list where list_id = $2::text::uuid",
    )
    .bind(old)
    .bind(id)
    .execute(&pool)
    .await
    .unwrap();
    let path = format!("/api/v1/recommendations/{old}?language=ko");
    let korean = test.get_as("8", &path).await.expect(200);
    assert_eq!(first(&korean, "title"), "양들의 침묵");
    assert_eq!(
        first(&korean, "reason"),
        "highly popular, matches your preferred genres"
    );
}

#[sqlx::test]
async fn similar_movies_groups_and_previews_have_languages(pool: PgPool) {
    let test = films(&pool, &[]).await;
    let similar = get(&test.app, "/api/v1/movies/1/similar?language=ko-KR").await;
    assert_eq!(language(&similar), "ko-KR");
    let movie = &similar.body["similar"][0];
    assert_eq!(movie["title"], "살인의 추억");
    assert_eq!(movie["reason"], "같은 봉준호 감독의 작품입니다");
    let english = get(&test.app, "/api/v1/movies/1/similar").await;
    assert_eq!(language(&english), "en");
    assert_eq!(
        english.body["similar"][0]["reason"],
        "also directed by Bong Joon Ho"
    );

    // Of the caller's own preference.
    let body = json!({"user_ids": [7]});
    let path = "/api/v1/recommendations/group";
    let group = test.post_as("7", path, body.clone()).await;
    assert_eq!(language(&group), "ko");
    let group = group.expect(200);
    assert_eq!(first(&group, "title"), "기생충");
    let reason = first(&group, "reason").as_str().unwrap();
    assert!(
        ["모두가 좋아할 만합니다", "모두에게 무난합니다"].contains(&reason),
        "{reason}"
    );
    let group = test.post_as("admin", path, body).await;
    assert_eq!(language(&group), "en");

    let path = "/api/v1/recommendations/preview";
    let body = json!({"preferences": {"preferred_language": "ko-KR", "preferred_genres": ["코미디"]},
                      "strategy": "rules"});
    let preview = test.post_as("8", path, body.clone()).await;
    assert_eq!(language(&preview), "ko");
    let preview = preview.expect(200);
    assert_eq!(ids(&preview), [1, 2]);
    assert_eq!(
        first(&preview, "reason"),
        "인기가 매우 높고, 선호하는 장르와 일치합니다"
    );
    let preview = test
        .post_as("8", &format!("{path}?language=en"), body)
        .await;
    assert_eq!(language(&preview), "en");
    assert_eq!(first(&preview.body, "title"), "Parasite");
    let problem = test
        .post_as("8", &format!("{path}?language=korean"), json!({}))
        .await;
    assert_eq!(problem.expect(400)["errors"][0]["field"], "language");

    let path = "/api/v1/admin/rules/preview?language=ko";
    let rules = json!([{"name": "p", "rule_type": "popularity", "weight": 1.0}]);
    let preview = test
        .post_as("admin", path, json!({"user_id": 8, "rules": rules}))
        .await;
    assert_eq!(language(&preview), "ko");
    assert_eq!(first(&preview.expect(200), "title"), "양들의 침묵");
}

#[sqlx::test]
async fn a_language_that_is_added_is_read_from_a_snapshot_once(pool: PgPool) {
    let test = films(&pool, &[("CATALOGUE_LANGUAGES", "en")]).await;
    let path = "/api/v1/movies/2/similar?language=ko-KR&limit=1";
    let response = get(&test.app, path).await;
    assert_eq!(language(&response), "en");
    let (movies, users) = test.stop().await;
    let before = movies.snapshots();
    let mut owners = (movies, users);
    for snapshots in [1, 1] {
        let test = TestApp::with(&pool, owners.0, owners.1, None, &[]).await;
        test.until_ready().await;
        let response = get(&test.app, path).await;
        assert_eq!(language(&response), "ko-KR");
        assert_eq!(response.expect(200)["similar"][0]["title"], "기생충");
        assert_eq!(test.movies.snapshots(), before + snapshots);
        owners = test.stop().await;
    }
}
