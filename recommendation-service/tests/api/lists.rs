//! Lists: continued and replayed.

use chassis::testing::{eventually, get};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

const PATH: &str = "/api/v1/users/7/recommendations";

async fn with_films(pool: &PgPool, films: i64) -> TestApp {
    let test = TestApp::trained(pool).await;
    for id in 1..=films {
        test.movies
            .film(id, 1, json!({"popularity": 100.0 - id as f64}));
    }
    test.users.user(7, 1, json!({}));
    test.users.user(8, 1, json!({}));
    test.users.interaction(1, 7, 1, "like");
    eventually("all is known", async || {
        let body = get(&test.app, &format!("{PATH}?limit=100")).await.body;
        ids(&body).len() as i64 == films - 1 && body["fresh_as_of"] != Value::Null
    })
    .await;
    test
}

async fn stored(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from recommendation_list")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn pages_continue_the_list_without_movies_disliked_or_removed_since(pool: PgPool) {
    let test = with_films(&pool, 30).await;
    let whole = ids(&get(&test.app, &format!("{PATH}?limit=100"))
        .await
        .expect(200));
    let first = get(&test.app, &format!("{PATH}?limit=7")).await.expect(200);
    let mut paged = ids(&first);
    let mut cursor = first["next_cursor"].clone();
    while let Some(text) = cursor.as_str() {
        let page = get(&test.app, &format!("{PATH}?limit=7&cursor={text}"))
            .await
            .expect(200);
        assert_eq!(page["list_id"], first["list_id"]);
        paged.extend(ids(&page));
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(paged, whole);

    let (disliked, removed, liked) = (whole[8], whole[9], whole[10]);
    test.users.interaction(2, 7, disliked, "dislike");
    test.users.interaction(3, 7, liked, "like");
    test.movies
        .tell("movie.removed", json!({"id": removed, "version": 2}));
    let second = format!(
        "{PATH}?limit=5&cursor={}",
        first["next_cursor"].as_str().unwrap()
    );
    eventually("the rest of the list is without them", async || {
        ids(&get(&test.app, &second).await.body)
            == [whole[7], whole[11], whole[12], whole[13], whole[14]]
    })
    .await;
    let replayed = format!(
        "/api/v1/recommendations/{}?limit=100",
        first["list_id"].as_str().unwrap()
    );
    let replayed = ids(&test.get_as("7", &replayed).await.expect(200));
    assert_eq!(
        replayed[..9],
        [&whole[..7], &[whole[7], whole[11]]].concat()
    );

    let cursor = first["next_cursor"].as_str().unwrap();
    for path in [
        format!("{PATH}?cursor={cursor}&strategy=rules"),
        format!("{PATH}?cursor={cursor}&vote_count_min=0"),
        format!("/api/v1/users/8/recommendations?cursor={cursor}"),
    ] {
        let problem = get(&test.app, &path).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], "cursor", "{path}");
    }
}

#[sqlx::test]
async fn a_list_is_replayed_to_its_user_and_to_administrators(pool: PgPool) {
    let test = with_films(&pool, 12).await;
    let made = get(&test.app, &format!("{PATH}?limit=5&explain=true"))
        .await
        .expect(200);
    let path = format!(
        "/api/v1/recommendations/{}",
        made["list_id"].as_str().unwrap()
    );
    test.users.interaction(2, 7, ids(&made)[0], "dislike");
    eventually("another list", async || {
        ids(&get(&test.app, PATH).await.body)[0] != ids(&made)[0]
    })
    .await;
    eventually("lists are stored", async || stored(&pool).await >= 2).await;
    let (movies, users) = test.stop().await;
    let again = TestApp::beside(&pool, movies, users).await;
    again.until_ready().await;
    for who in ["7", "admin"] {
        assert_eq!(again.get_as(who, &path).await.expect(200), made, "{who}");
    }
    let bare = again
        .get_as("7", &format!("{path}?explain=false"))
        .await
        .expect(200);
    assert!(bare["recommendations"][0].get("because").is_none());
    for who in ["8", ""] {
        let problem = again.get_as(who, &path).await.expect(404);
        insta::allow_duplicates! {
        insta::assert_json_snapshot!(problem, {".request_id" => "[id]", ".instance" => "[path]"}, @r#"
        {
          "detail": "no list of yours has this id, or it has expired; request a new one",
          "error": "list not found",
          "instance": "[path]",
          "request_id": "[id]",
          "status": 404,
          "title": "List not found",
          "type": "/problems/list-not-found"
        }
        "#);
        }
    }
    let unknown = "/api/v1/recommendations/8d9f1c2e-0b1a-8c3d-9e4f-a5b6c7d8e9f0";
    again.get_as("admin", unknown).await.expect(404);
    for (path, field) in [
        ("/api/v1/recommendations/x".to_owned(), "list_id"),
        (format!("{path}?limit=0"), "limit"),
        (format!("{path}?cursor=x"), "cursor"),
    ] {
        let problem = again.get_as("7", &path).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field);
    }

    again.users.erase(7);
    eventually("their lists are gone", async || stored(&pool).await == 0).await;
    again.get_as("admin", &path).await.expect(404);
}

#[sqlx::test]
async fn expired_and_oldest_lists_are_deleted(pool: PgPool) {
    use recommendation_service::ranking::repository;
    sqlx::query("insert into user_profile values (7, 1, '{}')")
        .execute(&pool)
        .await
        .unwrap();
    let now = crate::now();
    for (number, age, user) in [
        (1, 200, 7),
        (2, 3, 7),
        (3, 2, 7),
        (4, 1, 7),
        (5, 0, 8),
        (6, 2, 8),
    ] {
        sqlx::query(
            "insert into recommendation_list values (
                 ('00000000-0000-8000-8000-00000000000' || $1)::uuid, $2, $3 - make_interval(hours => $4),
                 $3 - make_interval(hours => $4) + interval '168 hours', '{}')",
        )
        .bind(number.to_string())
        .bind(i64::from(user))
        .bind(now)
        .bind(age)
        .execute(&pool)
        .await
        .unwrap();
    }
    repository::sweep(&pool, now, 4, 100).await.unwrap();
    let left: Vec<String> =
        sqlx::query_scalar("select right(list_id::text, 1) from recommendation_list order by 1")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(
        left,
        ["3", "4", "5"],
        "lists of erased users stay only if just made"
    );
}

#[sqlx::test]
async fn a_response_is_cached_until_something_changes(pool: PgPool) {
    let test = with_films(&pool, 12).await;
    let body = async |path: &str| get(&test.app, path).await.text;
    let before = body(PATH).await;
    assert_eq!(body(PATH).await, before);
    sqlx::query("update rule set weight = 0.9 where rule_type = 'popularity'")
        .execute(&pool)
        .await
        .unwrap();
    test.movies.film(13, 1, json!({"popularity": 1000.0}));
    eventually("a new film", async || {
        body(&format!("{PATH}?limit=50")).await.contains("Film 13")
    })
    .await;
    test.users.user(7, 2, json!({"preferred_language": "xx"}));
    eventually("a preference", async || {
        ids(&get(&test.app, PATH).await.body).is_empty()
    })
    .await;
}
