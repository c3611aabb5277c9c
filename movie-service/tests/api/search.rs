//! Search: movies, suggestions, people, keywords, popular queries, and the index behind them.

use std::sync::Arc;

use axum::{body::Body, http::Request};
use chassis::testing::{eventually, send};
use demo_tmdb::testing::DemoTmdb;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

/// The service with the whole demo catalogue, searched.
async fn whole(pool: &PgPool) -> TestApp {
    with(pool, &[]).await
}

async fn with(pool: &PgPool, settings: &[(&str, &str)]) -> TestApp {
    let tmdb = Arc::new(DemoTmdb::start());
    let test = TestApp::beside(pool, tmdb, settings);
    test.sync(33).await.expect(200);
    // People are written last, so everything is searched when a person of the last change is.
    sqlx::query(
        r#"update movie set version = version + 1,
             people = people || '[{"id": 99999999, "name": "Zzyzx Qwlrt", "job": "Actor"}]' where id = 578"#,
    )
    .execute(pool)
    .await
    .unwrap();
    record(pool, 578).await;
    eventually("the whole catalogue is searched", async || {
        let people = test.get("/api/v1/people?q=zzyzx+qwlrt").await;
        people.status == 200 && people.expect(200)["total_results"] == 1
    })
    .await;
    test
}

/// Records in the outbox that movie `id` changed.
async fn record(pool: &PgPool, id: i64) {
    let record = "insert into outbox (name, key, payload)
        select 'movie.synced', id::text, payload from movie_change where id = $1";
    sqlx::query(record).bind(id).execute(pool).await.unwrap();
}

fn encoded(query: &str) -> String {
    url::form_urlencoded::byte_serialize(query.as_bytes()).collect()
}

impl TestApp {
    /// The ids of the movies that a query finds; none while the index is built.
    async fn found(&self, query: &str) -> Vec<i64> {
        let response = self
            .get(&format!("/api/v1/search?q={}", encoded(query)))
            .await;
        match response.status.as_u16() {
            200 => ids(&response.expect(200)),
            _ => Vec::new(),
        }
    }
}

/// In one test, since a catalogue takes seconds to fill.
#[sqlx::test]
async fn the_catalogue_is_searched(pool: PgPool) {
    let test = whole(&pool).await;
    the_movie_that_is_meant_comes_first(&test).await;
    results_carry_highlights_facets_and_a_cursor(&test).await;
    filters_apply_to_searches(&test).await;
    bad_queries_are_refused_or_find_nothing(&test).await;
    suggestions_mix_movies_people_and_keywords(&test).await;
    names_are_shown_in_the_display_language(&test).await;
    people_and_keywords_are_found_with_the_ids_that_filters_take(&test).await;
}

async fn the_movie_that_is_meant_comes_first(test: &TestApp) {
    for (query, id) in [
        ("casablanca 1942", 289),
        ("부산행", 396_535),
        ("the apartmnet", 284),
        ("kungfu panda", 9502),
        ("12 monkeys", 63),
        ("КАСАБЛАНКА", 289),
        ("羅生門", 548),
        ("exorcist, the", 9552),
        ("E.T.", 601),
        ("ㅅㅋㅇㅍ", 37724),
        ("whzj", 475_557),
        ("대부를", 238),
        ("송강호", 496_243),
        (
            "\u{110b}\u{1169}\u{11af}\u{1103}\u{1173}\u{1107}\u{1169}\u{110b}\u{1175}",
            670,
        ),
    ] {
        assert_eq!(test.found(query).await.first(), Some(&id), "{query}");
    }
    assert!(test.found("qxzvvw plorf").await.is_empty());
}

async fn results_carry_highlights_facets_and_a_cursor(test: &TestApp) {
    let body = test
        .get("/api/v1/search?q=star+wars&page_size=2&include=genres")
        .await
        .expect(200);
    assert!(body["total_results"].as_u64() >= Some(3));
    assert_eq!(
        body["data"][0]["highlight"]["html"],
        "<em>Star</em> <em>Wars</em>"
    );
    assert!(
        body["data"][0]["genres"]
            .as_array()
            .is_some_and(|genres| !genres.is_empty())
    );
    let counted = |facet: &str| {
        let entries = body["facets"][facet].as_array().unwrap().iter();
        entries
            .map(|entry| entry["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        counted("languages"),
        body["total_results"].as_u64().unwrap()
    );
    assert_eq!(counted("years"), body["total_results"].as_u64().unwrap());
    // All pages have each movie once.
    let mut all = ids(&body);
    let mut cursor = body["next_cursor"].as_str().map(str::to_owned);
    while let Some(next) = cursor {
        let page = test
            .get(&format!(
                "/api/v1/search?q=star+wars&page_size=2&cursor={next}"
            ))
            .await
            .expect(200);
        all.extend(ids(&page));
        cursor = page["next_cursor"].as_str().map(str::to_owned);
    }
    assert_eq!(all.len() as u64, body["total_results"].as_u64().unwrap());
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len() as u64, body["total_results"].as_u64().unwrap());
}

async fn filters_apply_to_searches(test: &TestApp) {
    let all = test
        .get("/api/v1/search?q=park&page_size=100")
        .await
        .expect(200);
    let korean = test
        .get("/api/v1/search?q=park&original_language=ko&page_size=100&include=language")
        .await
        .expect(200);
    let total = |body: &Value| body["total_results"].as_u64().unwrap();
    assert!(total(&korean) > 0 && total(&korean) < total(&all));
    assert_eq!(
        korean["facets"]["languages"],
        json!([{ "language": "ko", "count": total(&korean) }])
    );
    test.get("/api/v1/search?q=park&genres=Nonsense")
        .await
        .expect(400);
}

async fn bad_queries_are_refused_or_find_nothing(test: &TestApp) {
    let long = "x".repeat(10_000);
    for (query, field) in [
        ("", "q"),
        ("%20%20", "q"),
        ("a%00b", "q"),
        ("a%07", "q"),
        (long.as_str(), "q"),
    ] {
        for path in ["search", "search/suggest", "people", "keywords"] {
            let response = test
                .get(&format!("/api/v1/{path}?q={query}"))
                .await
                .expect(400);
            assert_eq!(response["errors"][0]["field"], field, "{path}");
        }
    }
    test.get("/api/v1/search").await.expect(400);
    test.get("/api/v1/search?q=jaws&cursor=x").await.expect(400);
    test.get("/api/v1/search?q=jaws&nonsense=1")
        .await
        .expect(400);
    for query in [
        "x",
        "title:[* TO *]",
        "\"\\",
        "🎬",
        "\u{202e}swaj",
        "ㅏㅏㅏ",
        "ㅋ",
        "a AND (b OR",
        "'; drop table movie; --",
    ] {
        for path in ["search", "search/suggest", "people", "keywords"] {
            test.get(&format!("/api/v1/{path}?q={}", encoded(query)))
                .await
                .expect(200);
        }
    }
}

async fn names_are_shown_in_the_display_language(test: &TestApp) {
    let response = test
        .get("/api/v1/search?q=%E3%85%85%E3%85%8B%E3%85%87%E3%85%8D&language=KO&include=genres")
        .await;
    assert_eq!(response.headers["content-language"], "ko");
    let body = response.expect(200);
    assert_eq!(body["data"][0]["title"], "007 스카이폴");
    assert_eq!(
        body["facets"]["genres"][0]["name"],
        body["data"][0]["genres"][0]
    );
    let body = test
        .get("/api/v1/search/suggest?q=parasite&language=KO")
        .await
        .expect(200);
    assert_eq!(body["data"][0]["name"], "기생충");
    let people = test
        .get("/api/v1/people?q=song+kang&language=ko")
        .await
        .expect(200);
    assert_eq!(people["data"][0]["name"], "송강호");
    let id = &people["data"][0]["id"];
    let person = test
        .get(&format!("/api/v1/people/{id}?language=ko"))
        .await
        .expect(200);
    assert_eq!(person["name"], "송강호");
}

async fn suggestions_mix_movies_people_and_keywords(test: &TestApp) {
    let body = test
        .get("/api/v1/search/suggest?q=tom+han")
        .await
        .expect(200);
    assert_eq!(body["data"][0]["type"], "person");
    assert_eq!(body["data"][0]["name"], "Tom Hanks");
    let body = test.get("/api/v1/search/suggest?q=toy").await.expect(200);
    assert_eq!(body["data"][0]["name"], "Toy Story");
    assert_eq!(body["data"][0]["year"], 1995);
    assert!(body["data"].as_array().unwrap().len() <= 8);
    let body = test
        .get("/api/v1/search/suggest?q=time+trav")
        .await
        .expect(200);
    let kinds: Vec<&Value> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["type"])
        .collect();
    assert!(kinds.contains(&&json!("keyword")), "{body}");
}

async fn people_and_keywords_are_found_with_the_ids_that_filters_take(test: &TestApp) {
    let people = test.get("/api/v1/people?q=park+chan-wok").await.expect(200);
    assert_eq!(people["data"][0]["name"], "Park Chan-wook");
    let (id, count) = (&people["data"][0]["id"], &people["data"][0]["movie_count"]);
    let movies = test
        .get(&format!("/api/v1/movies?people={id}"))
        .await
        .expect(200);
    assert_eq!(&movies["total_results"], count);
    let person = test
        .get(&format!("/api/v1/people/{id}?page_size=100"))
        .await
        .expect(200);
    assert_eq!(person["name"], "Park Chan-wook");
    assert_eq!(&person["total_results"], count);
    let oldboy = person["filmography"]
        .as_array()
        .unwrap()
        .iter()
        .find(|movie| movie["id"] == 670)
        .unwrap();
    assert_eq!(oldboy["jobs"], json!(["Director"]));
    let behind = test
        .get(&format!("/api/v1/people/{id}?page=90"))
        .await
        .expect(200);
    assert_eq!(behind["name"], "Park Chan-wook");
    test.get("/api/v1/people/999999999").await.expect(404);
    let keywords = test.get("/api/v1/keywords?q=time+travel").await.expect(200);
    assert_eq!(keywords["data"][0]["name"], "time travel");
    let id = &keywords["data"][0]["id"];
    let movies = test
        .get(&format!("/api/v1/movies?keywords={id}"))
        .await
        .expect(200);
    assert_eq!(movies["total_results"], keywords["data"][0]["movie_count"]);
}

#[sqlx::test]
async fn changes_are_found_within_a_moment(pool: PgPool) {
    let test = whole(&pool).await;
    sqlx::query("update movie set title = 'Zwyrkle', version = version + 1 where id = 578")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("insert into outbox (name, key, payload) select 'movie.synced', id::text, payload from movie_change where id = 578")
        .execute(&pool)
        .await
        .unwrap();
    eventually("the search shows the change", async || {
        test.found("zwyrkle").await == [578]
    })
    .await;
    sqlx::query("update movie set removed_at = now(), version = version + 1 where id = 578")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("insert into outbox (name, key, payload) values ('movie.removed', '578', '{\"id\": 578, \"version\": 9}')")
        .execute(&pool)
        .await
        .unwrap();
    eventually("the search shows the change", async || {
        test.found("zwyrkle").await.is_empty()
    })
    .await;
}

#[sqlx::test]
async fn an_index_on_disk_is_opened_again_and_may_be_deleted(pool: PgPool) {
    let directory = std::env::temp_dir().join(format!("search-{}", uuid::Uuid::now_v7()));
    let path = directory.to_str().unwrap();
    let test = with(&pool, &[("SEARCH_INDEX_DIR", path)]).await;
    let current = || std::fs::read_to_string(directory.join("CURRENT")).unwrap();
    let first = current();
    // Another build replaces it while it is served.
    movie_service::service::search::rebuild_in(pool.clone(), directory.clone())
        .await
        .unwrap();
    assert_ne!(current(), first);
    assert_eq!(test.found("jaws").await, [578]);
    // A second process cannot write to it, and searches all the same.
    let second = TestApp::beside(&pool, test.tmdb.clone(), &[("SEARCH_INDEX_DIR", path)]);
    eventually("the second process has an index", async || {
        second.found("jaws").await == [578]
    })
    .await;
    assert_eq!(test.found("jaws").await, [578]);
    drop(test);
    let again = TestApp::beside(
        &pool,
        Arc::new(DemoTmdb::start()),
        &[("SEARCH_INDEX_DIR", path)],
    );
    eventually("the search shows the change", async || {
        again.found("jaws").await == [578]
    })
    .await;
    std::fs::remove_dir_all(&directory).unwrap();
}

#[sqlx::test]
async fn two_replicas_give_the_same_results(pool: PgPool) {
    let one = whole(&pool).await;
    let two = TestApp::beside(&pool, one.tmdb.clone(), &[]);
    eventually("the search shows the change", async || {
        two.found("jaws").await == [578]
    })
    .await;
    for query in ["the", "s", "love", "ㅇㅇ", "man", "park", "tom hanks"] {
        assert_eq!(one.found(query).await, two.found(query).await, "{query}");
    }
}

/// Searches as `user`.
async fn search_as(test: &TestApp, user: &str, query: &str) {
    let request = Request::get(format!("/api/v1/search?q={query}"))
        .header(
            "x-principal",
            json!({ "subject": user, "role": "user" }).to_string(),
        )
        .body(Body::empty())
        .unwrap();
    send(&test.app, request).await.expect(200);
}

#[sqlx::test]
async fn popular_queries_are_counted_by_users_and_shown_from_a_floor_on(pool: PgPool) {
    let test = with(&pool, &[("SEARCH_POPULAR_FLOOR", "2")]).await;
    let search = async |user: &str, query: &str| search_as(&test, user, query).await;
    for user in ["1", "1", "2"] {
        search(user, "Toy%20%20Story").await;
    }
    for _ in 0..3 {
        search("3", "alien").await;
    }
    search("1", "qxzvvw").await;
    let listed = async || test.get("/api/v1/search/popular").await.expect(200)["data"].clone();
    eventually("the search shows the change", async || {
        listed().await == json!([{ "query": "toy story", "count": 2 }])
    })
    .await;
    test.get("/api/v1/search/popular?limit=0").await.expect(400);
}

#[sqlx::test]
async fn a_query_of_one_user_is_never_popular(pool: PgPool) {
    let settings = [("SEARCH_POPULAR_FLOOR", "2")];
    let first = with(&pool, &settings).await;
    // Replicas, or restarts, and an earlier day.
    for day in 0..2_usize {
        let replica = TestApp::beside(&pool, first.tmdb.clone(), &settings);
        eventually("the replica has an index", async || {
            replica.found("matrix").await.contains(&603)
        })
        .await;
        for user in &["1", "2"][..=day] {
            search_as(&replica, user, "jaws").await;
        }
        search_as(&replica, "1", "alien").await;
        let counted =
            "select coalesce(sum(count), 0)::int8 from search_count where query = 'alien'";
        eventually("the searches are counted", async || {
            let count: i64 = sqlx::query_scalar(counted).fetch_one(&pool).await.unwrap();
            usize::try_from(count).unwrap() > day
        })
        .await;
        sqlx::query(
            "update search_count set day = day - $1 where day = (select max(day) from search_count)",
        )
        .bind(i32::try_from(day).unwrap() + 1)
        .execute(&pool)
        .await
        .unwrap();
    }
    let listed = first.get("/api/v1/search/popular").await.expect(200);
    assert_eq!(listed["data"], json!([{ "query": "jaws", "count": 3 }]));
}
