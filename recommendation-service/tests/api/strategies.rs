//! Strategies, and the freshness of lists.

use chassis::testing::{eventually, get};
use serde_json::json;
use sqlx::PgPool;

use crate::{TestApp, ids};

const PATH: &str = "/api/v1/users/7/recommendations";

/// Movies 1 to 12, which the models know; 101, which has the tags of the odd ones, and 102, which has none.
fn tell_films(test: &TestApp) {
    for id in 1..=12 {
        let keyword = 10 + id % 2;
        test.movies.film(id, 1, json!({
            "popularity": 20.0 - id as f64, "keywords": [{"id": keyword, "name": format!("k{keyword}")}],
            "genres": [{"id": 18, "name": "Drama"}],
        }));
    }
    test.movies.film(101, 1, json!({
        "popularity": 15.0, "keywords": [{"id": 11, "name": "k11"}], "genres": [{"id": 18, "name": "Drama"}],
    }));
    test.movies.film(102, 1, json!({"popularity": 2.0}));
}

async fn list(test: &TestApp, query: &str) -> Vec<i64> {
    ids(&get(&test.app, &format!("{PATH}?limit=50{query}"))
        .await
        .body)
}

async fn until_all_films(test: &TestApp) {
    eventually("all films", async || {
        list(test, "&strategy=rules").await.len() >= 12
    })
    .await;
}

#[sqlx::test]
async fn a_new_user_gets_the_rules_and_a_like_personalizes_the_next_list(pool: PgPool) {
    let test = TestApp::trained(&pool).await;
    tell_films(&test);
    test.users.user(7, 1, json!({}));
    until_all_films(&test).await;
    let new = get(&test.app, &format!("{PATH}?limit=50"))
        .await
        .expect(200);
    assert_eq!(new["model"], json!({"version": null, "strategy": "rules"}));
    assert_eq!(ids(&new), list(&test, "&strategy=rules").await);
    assert_eq!(new["recommendations"][0]["reason"], "highly popular");

    test.users.interaction(1, 7, 3, "like");
    test.users.interaction(2, 7, 5, "like");
    eventually("the likes", async || !list(&test, "").await.contains(&5)).await;
    let body = get(&test.app, &format!("{PATH}?limit=50"))
        .await
        .expect(200);
    assert_eq!(body["model"], json!({"version": 5, "strategy": "blend"}));
    assert_eq!(body["fresh_as_of"], "2026-01-01T00:00:02Z");
    let films = ids(&body);
    assert!(films[..2].iter().all(|id| id % 2 == 1), "{films:?}");
    let reason = body["recommendations"][0]["reason"].as_str().unwrap();
    assert!(reason.starts_with("because you liked Film "), "{reason}");
    let place = |id| films.iter().position(|film| *film == id);
    assert!(place(101) < place(102), "by likeness: {films:?}");
    assert!(
        place(101) < place(2),
        "before what goes with other films: {films:?}"
    );

    test.users.interaction(3, 7, 3, "dislike");
    test.users.interaction(4, 7, 5, "dislike");
    test.users.interaction(5, 7, 4, "superlike");
    test.users.interaction(6, 7, 6, "superlike");
    eventually("a change of mind", async || {
        list(&test, "").await[..2].iter().all(|id| id % 2 == 0)
    })
    .await;
    let seen = list(&test, "&exclude_seen=false").await;
    assert!(
        seen.contains(&4) && !seen.contains(&3),
        "liked, not disliked: {seen:?}"
    );
}

#[sqlx::test]
async fn each_strategy_ranks_by_its_own_model(pool: PgPool) {
    let test = TestApp::trained(&pool).await;
    tell_films(&test);
    test.users.user(7, 1, json!({}));
    test.users.interaction(1, 7, 1, "like");
    until_all_films(&test).await;
    eventually("the like", async || !list(&test, "").await.contains(&1)).await;
    for strategy in ["ease", "ials"] {
        let films = list(&test, &format!("&strategy={strategy}")).await;
        assert!(
            films[..3].iter().all(|id| id % 2 == 1 && *id <= 12),
            "{strategy}: {films:?}"
        );
        assert!(!films.contains(&101), "{strategy} does not know it");
    }
    let content = list(&test, "&strategy=content").await;
    assert!(content[..5].iter().all(|id| id % 2 == 1), "{content:?}");
    assert!(
        !content[..6].contains(&102),
        "nothing in common: {content:?}"
    );
    let popular = get(&test.app, &format!("{PATH}?strategy=popularity"))
        .await
        .expect(200);
    assert_eq!(popular["recommendations"][0]["score"], 1.0);
    assert_eq!(popular["recommendations"][0]["reason"], "popular now");
    let problem = get(&test.app, &format!("{PATH}?strategy=spectral"))
        .await
        .expect(409);
    assert_eq!(problem["type"], "/problems/not-trained");
}

#[sqlx::test]
async fn taste_follows_the_users_edits(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    tell_films(&test);
    test.users.user(7, 1, json!({}));
    test.users.interaction(1, 7, 1, "like");
    until_all_films(&test).await;
    eventually("the like", async || {
        list(&test, "&strategy=taste")
            .await
            .iter()
            .take(6)
            .all(|id| id % 2 == 1)
    })
    .await;
    let edits = json!([{"kind": "keyword", "tag": "10", "score": 50.0}, {"kind": "genre", "tag": "999", "score": 1.0}]);
    test.users.user(7, 2, json!({"taste_edits": edits}));
    eventually("the edit", async || {
        list(&test, "&strategy=taste").await[0] % 2 == 0
    })
    .await;
    let body = get(&test.app, &format!("{PATH}?strategy=taste"))
        .await
        .expect(200);
    let reason = body["recommendations"][0]["reason"].as_str().unwrap();
    assert!(reason.ends_with("fits the taste you described"), "{reason}");
    get(&test.app, &format!("{PATH}?strategy=ease"))
        .await
        .expect(409);
}

#[sqlx::test]
async fn diversity_moves_other_genres_forward(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for id in 1..=20 {
        let kind = if id <= 10 { 1 } else { 2 };
        let keywords: Vec<_> = (0..5)
            .map(|n| json!({"id": kind * 10 + n, "name": format!("k{kind}{n}")}))
            .collect();
        test.movies.film(
            id,
            1,
            json!({"popularity": 50.0 - id as f64, "keywords": keywords}),
        );
    }
    test.users.user(7, 1, json!({}));
    eventually("all films", async || list(&test, "").await.len() == 20).await;
    assert!(list(&test, "").await[..5].iter().all(|id| *id <= 10));
    let diverse = list(&test, "&diversity=0.7").await;
    assert_eq!(diverse[0], 1, "the best stays the best");
    assert!(diverse[..4].iter().any(|id| *id > 10), "{diverse:?}");
}

#[sqlx::test]
async fn the_filter_of_all_lists_applies(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    test.movies.film(1, 1, json!({
        "original_language": "ko", "runtime": 120, "vote_average": 8.0, "vote_count": 900, "countries": ["KR"],
        "release_date": "2019-05-30", "genres": [{"id": 18, "name": "Drama"}],
        "keywords": [{"id": 5, "name": "class"}], "people": [{"id": 6, "name": "Director One", "role": "director"}],
        "providers": [{"region": "KR", "type": "flatrate", "id": 8, "name": "Streamer"}],
    }));
    test.movies.film(2, 1, json!({
        "runtime": 90, "vote_average": 6.0, "vote_count": 10, "countries": ["US"], "release_date": "2001-01-01",
        "genres": [{"id": 35, "name": "Comedy"}],
        "providers": [{"region": "US", "type": "rent", "id": 8, "name": "Streamer"}],
    }));
    test.users.user(7, 1, json!({}));
    eventually("both films", async || list(&test, "").await.len() == 2).await;
    for (query, expected) in [
        ("genres=Drama", &[1][..]),
        ("genres=drama|35", &[1, 2]),
        ("without_genres=18", &[2]),
        ("keywords=class", &[1]),
        ("people=director%20one", &[1]),
        ("genres=Dramas", &[1]),
        ("providers=8&region=US&year=2019", &[]),
        ("language=ko", &[1]),
        ("country=US", &[2]),
        ("year=2019", &[1]),
        ("release_date_to=2010-01-01", &[2]),
        ("runtime_min=100", &[1]),
        ("runtime_max=100", &[2]),
        ("vote_average_min=7", &[1]),
        ("vote_count_min=10", &[1, 2]),
        ("providers=8&region=KR", &[1]),
        ("providers=streamer&region=US", &[2]),
    ] {
        let mut found = list(&test, &format!("&{query}")).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{query}");
    }
    let problem = get(
        &test.app,
        &format!("{PATH}?genres=Dramma&year=1&runtime_min=x&diversity=NaN"),
    )
    .await
    .expect(400);
    let fields: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["field"].as_str())
        .collect();
    assert_eq!(fields, ["diversity", "year", "runtime_min"]);
    let problem = get(&test.app, &format!("{PATH}?genres=Dramma"))
        .await
        .expect(400);
    assert_eq!(
        problem["errors"][0]["message"],
        "unknown genre `Dramma`; did you mean `Drama`?"
    );
    for (query, field, end) in [
        (
            "people=Director%20Oen",
            "people",
            "did you mean `Director One`?",
        ),
        ("keywords=9", "keywords", "keyword with the id 9"),
        (
            "original_language=kr",
            "original_language",
            "did you mean `ko`?",
        ),
        ("runtime_min=2&runtime_max=1", "runtime_min", "which is 1"),
    ] {
        for list in [PATH, "/api/v1/movies/1/similar"] {
            let problem = get(&test.app, &format!("{list}?{query}")).await.expect(400);
            assert_eq!(problem["errors"][0]["field"], field, "{query}");
            let message = problem["errors"][0]["message"].as_str().unwrap();
            assert!(message.ends_with(end), "{message}");
        }
    }
    for query in [
        "strategy=luck",
        "exclude_seen=perhaps",
        "explain=1",
        "diversity=1.1",
        "cursor=x",
        "region=KRR",
    ] {
        let problem = get(&test.app, &format!("{PATH}?{query}")).await.expect(400);
        assert_eq!(
            problem["errors"][0]["field"],
            query.split('=').next().unwrap()
        );
    }
}

#[sqlx::test]
async fn without_the_content_model_content_has_no_effect(pool: PgPool) {
    let test = TestApp::trained_with(&pool, &[("CONTENT_MODEL", "false")]).await;
    tell_films(&test);
    test.users.user(7, 1, json!({}));
    until_all_films(&test).await;
    test.users.interaction(1, 7, 1, "like");
    eventually("the like has come", async || {
        get(&test.app, &format!("{PATH}?limit=50")).await.body["model"]["strategy"] == "blend"
    })
    .await;
    let refused = get(&test.app, &format!("{PATH}?strategy=content")).await;
    let not_trained = get(&test.app, &format!("{PATH}?strategy=spectral")).await;
    assert_eq!(refused.status, not_trained.status);
    assert_eq!(refused.body["error"], "no model `content` is live");
    let list = get(&test.app, &format!("{PATH}?limit=50&explain=true"))
        .await
        .expect(200);
    for film in list["recommendations"].as_array().expect("films") {
        for part in film["contributions"].as_array().expect("parts") {
            if part["name"] == "content" {
                assert_eq!(part["amount"].as_f64(), Some(0.0), "{film}");
            }
        }
    }
    let similar = get(&test.app, "/api/v1/movies/1/similar").await.expect(200);
    let found = similar["similar"]
        .as_array()
        .or(similar["movies"].as_array());
    let found = found.expect("films");
    assert!(!found.is_empty());
    assert!(found.iter().all(|film| film["id"] != 101), "{similar}");
}
