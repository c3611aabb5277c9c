//! Single movies: cold reads, the caches, stale movies and their refresh, with TMDB up and down.

use std::{sync::Arc, time::Duration};

use chassis::testing::{RedisServer, TcpProxy, eventually};
use serde_json::{Value, json};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use demo_tmdb::testing::DemoTmdb;

use crate::TestApp;

/// The number of requests to TMDB, without those for the genres, which the first movie of a database makes.
fn calls(test: &TestApp) -> i64 {
    let stats = test.tmdb.control("GET", "/__stats", "");
    let genres = stats["by_kind"]["genres"].as_i64().unwrap_or_default();
    stats["total"].as_i64().unwrap() - genres
}

async fn age(pool: &PgPool, id: i64, days: i32) {
    sqlx::query("update movie set synced_at = now() - make_interval(days => $2) where id = $1")
        .bind(id)
        .bind(days)
        .execute(pool)
        .await
        .unwrap();
}

async fn records(pool: &PgPool, name: &str) -> Vec<Value> {
    sqlx::query_scalar("select payload from outbox where name = $1 order by seq")
        .bind(name)
        .fetch_all(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn concurrent_reads_of_a_cold_movie_make_one_request(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb.faults(r#"{"kind": "latency", "ms": 200}"#);
    let all =
        futures_util::future::join_all((0..200).map(|_| test.get("/api/v1/movies/603"))).await;
    for answer in all {
        assert_eq!(answer.expect(200)["title"], "The Matrix");
    }
    assert_eq!(calls(&test), 2, "the movie and its people in Korean");
    assert_eq!(
        records(&pool, "movie.synced").await.len(),
        1,
        "it is stored"
    );
    let again = TestApp::beside(&pool, Arc::clone(&test.tmdb), &[]);
    again.get("/api/v1/movies/603").await.expect(200);
    assert_eq!(calls(&test), 2, "other replicas read it from Postgres");
}

#[sqlx::test]
async fn the_first_movie_of_a_database_has_its_genres(pool: PgPool) {
    let test = TestApp::new(&pool);
    let film = test.get("/api/v1/movies/27205").await.expect(200);
    assert_eq!(
        film["genres"],
        json!(["Action", "Adventure", "Science Fiction"])
    );
    let film = test
        .get("/api/v1/movies/27205?language=ko-KR")
        .await
        .expect(200);
    assert_eq!(film["genres"], json!(["SF", "모험", "액션"]));
    // All of them are known, not only those of the movie.
    test.get("/api/v1/movies?genres=Western").await.expect(200);
    test.get("/api/v1/movies/603").await.expect(200);
    let stats = test.tmdb.control("GET", "/__stats", "");
    assert_eq!(stats["by_kind"]["genres"], 2, "once in each language");
}

#[sqlx::test]
async fn the_first_movie_has_its_genres_even_if_their_list_fails(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb
        .faults(r#"{"kind": "nonsense", "path": "/genre/movie/list"}"#);
    let film = test.get("/api/v1/movies/27205").await.expect(200);
    assert_eq!(
        film["genres"],
        json!(["Action", "Adventure", "Science Fiction"])
    );
    let changes = records(&pool, "movie.synced").await;
    assert_eq!(changes[0]["genres"].as_array().map(Vec::len), Some(3));
}

#[sqlx::test]
async fn broken_responses_for_one_movie_do_not_count_against_tmdb(pool: PgPool) {
    let settings = [("TMDB_BREAKER_FAILURES", "3")];
    let test = TestApp::with(&pool, &settings);
    for (id, fault) in [
        (603, r#"{"kind": "nonsense", "path": "/movie/603?"}"#),
        (550, r#"{"kind": "malformed", "path": "/movie/550?"}"#),
        (13, r#"{"kind": "truncated", "path": "/movie/13?"}"#),
        (
            680,
            r#"{"kind": "status", "status": 500, "path": "/movie/680?"}"#,
        ),
    ] {
        test.tmdb.faults(fault);
        for _ in 0..3 {
            let response = test.get(&format!("/api/v1/movies/{id}")).await;
            assert_eq!(response.status, 503, "{fault}");
        }
        // Another one, of which there is none yet.
        let other = format!("/api/v1/movies/{}", [11, 12, 14, 15][id as usize % 4]);
        test.get(&other).await.expect(200);
    }
    // Those of several movies do.
    test.tmdb.faults(r#"{"kind": "nonsense"}"#);
    for id in [603, 550, 13] {
        test.get(&format!("/api/v1/movies/{id}")).await.expect(503);
    }
    let before = calls(&test);
    test.get("/api/v1/movies/27205").await.expect(503);
    assert_eq!(calls(&test), before, "TMDB is left alone");
}

#[sqlx::test]
async fn two_replicas_make_at_most_two_requests(pool: PgPool) {
    // Without requests for the names of people.
    let settings = [("TMDB_LANGUAGES", "")];
    let one = TestApp::with(&pool, &settings);
    let two = TestApp::beside(&pool, Arc::clone(&one.tmdb), &settings);
    one.tmdb.faults(r#"{"kind": "latency", "ms": 200}"#);
    let asks = (0..50).flat_map(|_| [one.get("/api/v1/movies/603"), two.get("/api/v1/movies/603")]);
    for answer in futures_util::future::join_all(asks).await {
        answer.expect(200);
    }
    assert!(calls(&one) <= 2);
    let versions: Vec<i64> = sqlx::query_scalar("select version from movie")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(versions, [1]);
}

#[sqlx::test]
async fn an_unknown_id_is_cached(pool: PgPool) {
    let test = TestApp::new(&pool);
    for _ in 0..20 {
        let problem = test.get("/api/v1/movies/1").await.expect(404);
        assert_eq!(problem["error"], "movie not found");
    }
    assert_eq!(calls(&test), 1);
    test.get("/api/v1/movies/2147483648").await.expect(404);
    test.get("/api/v1/movies/9223372036854775807")
        .await
        .expect(404);
    assert_eq!(calls(&test), 1, "TMDB's ids are 32-bit");
}

#[sqlx::test]
async fn a_scan_of_random_ids_is_rate_limited(pool: PgPool) {
    let settings = [("HYDRATION_RATE_PER_SECOND", "5")];
    let test = TestApp::with(&pool, &settings);
    let paths: Vec<String> = (1..=300)
        .map(|id| format!("/api/v1/movies/{}", 2_000_000 + id))
        .collect();
    let started = std::time::Instant::now();
    let mut refused = 0;
    for answer in futures_util::future::join_all(paths.iter().map(|path| test.get(path))).await {
        if answer.status == 503 {
            assert!(answer.headers.contains_key("retry-after"));
            refused += 1;
        } else {
            answer.expect(404);
        }
    }
    let allowed = started.elapsed().as_secs_f64() * 5.0 + 2.0;
    assert!(
        calls(&test) as f64 <= allowed,
        "{} calls, {allowed} allowed",
        calls(&test)
    );
    assert!(refused > 200);
}

#[sqlx::test]
async fn a_stale_movie_is_served_and_refreshed_once(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let id = test.ids("/api/v1/movies").await[0];
    let path = format!("/api/v1/movies/{id}");
    age(&pool, id, 8).await;
    test.tmdb.control("DELETE", "/__stats", "");
    // Longer than five reads on a busy machine.
    test.tmdb.faults(r#"{"kind": "latency", "ms": 3000}"#);
    for _ in 0..5 {
        let answer = test.get(&path).await;
        let age: i64 = answer.headers["age"].to_str().unwrap().parse().unwrap();
        assert!((691_200..691_260).contains(&age), "{age}");
        assert_eq!(answer.expect(200)["stale"], true);
    }
    eventually("fresh again", async || {
        let answer = test.get(&path).await;
        let fresh = !answer.headers.contains_key("age");
        assert_eq!(answer.expect(200)["stale"], !fresh);
        fresh
    })
    .await;
    assert_eq!(calls(&test), 1);
    assert_eq!(
        records(&pool, "movie.synced").await.len(),
        20,
        "nothing changed, so nothing is recorded"
    );
    let version: i64 = sqlx::query_scalar("select version from movie where id = $1")
        .bind(id)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(version, 1);
}

#[sqlx::test]
async fn a_refresh_with_changes_is_shown_and_recorded(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let id = test.ids("/api/v1/movies").await[0];
    age(&pool, id, 8).await;
    test.tmdb
        .control("POST", &format!("/__films/{id}"), r#"{"title": "Renamed"}"#);
    eventually("the new title", async || {
        test.get(&format!("/api/v1/movies/{id}")).await.expect(200)["title"] == "Renamed"
    })
    .await;
    assert_eq!(records(&pool, "movie.synced").await[20]["title"], "Renamed");
}

#[sqlx::test]
async fn a_movie_removed_from_tmdb_is_removed_and_may_return(pool: PgPool) {
    let test = TestApp::with(&pool, &[("NEGATIVE_CACHE_SECONDS", "1")]);
    test.sync(1).await.expect(200);
    let id = test.ids("/api/v1/movies").await[0];
    let path = format!("/api/v1/movies/{id}");
    age(&pool, id, 8).await;
    test.tmdb
        .control("POST", &format!("/__films/{id}/hide"), "");
    eventually("gone", async || test.get(&path).await.status == 404).await;
    // Lists follow the change feed, so a cached page may contain the movie for a moment.
    eventually("not in the list", async || {
        !test.ids("/api/v1/movies").await.contains(&id)
    })
    .await;
    assert_eq!(
        records(&pool, "movie.removed").await,
        [json!({"id": id, "version": 2})]
    );
    test.tmdb
        .control("POST", &format!("/__films/{id}/show"), "");
    eventually("back", async || test.get(&path).await.status == 200).await;
    let synced = records(&pool, "movie.synced").await;
    assert_eq!(synced.last().unwrap()["version"], 3);
}

#[sqlx::test]
async fn stored_movies_survive_every_fault_of_tmdb(pool: PgPool) {
    // Synced without the short time limit, which a busy machine may exceed.
    let synced = TestApp::synced(&pool, 1).await;
    let mut last = Value::Null;
    let impatient = [("TMDB_MAX_RETRIES", "0"), ("TMDB_API_TIMEOUT", "300")];
    let test = TestApp::beside(&pool, Arc::clone(&synced.tmdb), &impatient);
    let ids = test.ids("/api/v1/movies").await;
    for (id, kind) in ids.into_iter().zip([
        r#"{"kind": "status", "status": 500}"#,
        r#"{"kind": "rate_limited", "retry_after": 60}"#,
        r#"{"kind": "truncated"}"#,
        r#"{"kind": "malformed"}"#,
        r#"{"kind": "nonsense"}"#,
        r#"{"kind": "reset"}"#,
        r#"{"kind": "hang"}"#,
    ]) {
        let path = format!("/api/v1/movies/{id}");
        age(&pool, id, 100).await;
        test.tmdb.faults(kind);
        let before = test.get(&path).await.expect(200);
        for _ in 0..20 {
            let served = test.get(&path).await.expect(200);
            assert_eq!(
                (&served["title"], &served["stale"]),
                (&before["title"], &json!(true)),
                "{kind}"
            );
        }
        let answer = test.get("/api/v1/movies/603").await;
        let retry: u64 = answer.headers["retry-after"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!((1..=60).contains(&retry), "{kind}: {retry}");
        let problem = answer.expect(503);
        assert_eq!(problem["type"], "/problems/unavailable", "{kind}");
        last = problem;
    }
    insta::assert_json_snapshot!(last, {".request_id" => "[id]"}, @r#"
    {
      "detail": "the movie is not in the catalogue yet and cannot be fetched now; retry after the time in Retry-After",
      "error": "TMDB is unavailable",
      "instance": "/api/v1/movies/603",
      "request_id": "[id]",
      "status": 503,
      "title": "Unavailable",
      "type": "/problems/unavailable"
    }
    "#);
    assert_eq!(records(&pool, "movie.synced").await.len(), 20);
}

#[sqlx::test]
async fn a_huge_retry_after_does_not_block_later_requests(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb.faults(&format!(
        r#"{{"kind": "rate_limited", "retry_after": {}}}"#,
        u64::MAX
    ));
    test.get("/api/v1/movies/603").await.expect(503);
    test.tmdb.faults("[]");
    test.get("/api/v1/movies/603").await.expect(200);
}

#[sqlx::test]
async fn a_change_by_one_replica_reaches_the_others(pool: PgPool) {
    let redis = RedisServer::start();
    let settings = [("REDIS_URL", &*redis.url())];
    let one = TestApp::with(&pool, &settings);
    one.sync(1).await.expect(200);
    let two = TestApp::beside(&pool, Arc::clone(&one.tmdb), &settings);
    let id = one.ids("/api/v1/movies").await[0];
    let path = format!("/api/v1/movies/{id}");
    two.get(&path).await.expect(200);
    for title in ["First", "Second"] {
        one.tmdb.control(
            "POST",
            &format!("/__films/{id}"),
            &json!({"title": title}).to_string(),
        );
        one.sync(1).await.expect(200);
        eventually("the change", async || {
            two.get(&path).await.expect(200)["title"] == title
        })
        .await;
    }
}

#[sqlx::test]
async fn either_redis_or_postgres_is_enough_to_serve_a_movie(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let host = tokio::net::lookup_host((connect.get_host(), connect.get_port()))
        .await
        .unwrap()
        .next()
        .unwrap();
    let direct = options.clone().connect_with(connect.clone()).await.unwrap();
    let wire = TcpProxy::to(host).await;
    let pool = options
        .acquire_timeout(Duration::from_millis(500))
        .connect_with(connect.host("127.0.0.1").port(wire.address().port()))
        .await
        .unwrap();
    let mut redis = RedisServer::start();
    let settings = [("REDIS_URL", &*redis.url())];
    let one = TestApp::with(&direct, &settings);
    one.sync(1).await.expect(200);
    let path = format!("/api/v1/movies/{}", one.ids("/api/v1/movies").await[0]);
    // Redis has the movie once it was read after the last change reached it.
    eventually("in Redis", async || {
        if one.get(&path).await.status != 200 {
            return false;
        }
        let two = TestApp::beside(&pool, Arc::clone(&one.tmdb), &settings);
        wire.cut();
        let served = two.get(&path).await.status == 200;
        wire.restore();
        served
    })
    .await;
    redis.stop();
    let three = TestApp::beside(&pool, Arc::clone(&one.tmdb), &settings);
    eventually("from Postgres", async || {
        three.get(&path).await.status == 200
    })
    .await;
    wire.cut();
    three.get(&path).await.expect(200);
    // Translations are in Postgres alone.
    let korean = three.get(&format!("{path}?language=ko")).await;
    assert_eq!(korean.headers["content-language"], "en-US");
    korean.expect(200);
    wire.restore();
    // Connections that the cut broke are replaced by and by.
    eventually("translations again", async || {
        let korean = three.get(&format!("{path}?language=ko")).await;
        korean.headers["content-language"] == "ko"
    })
    .await;
}

#[sqlx::test]
async fn adult_movies_are_excluded_by_default(pool: PgPool) {
    let tmdb = Arc::new(DemoTmdb::start());
    tmdb.control("POST", "/__films/603", r#"{"adult": true}"#);
    let test = TestApp::beside(&pool, Arc::clone(&tmdb), &[]);
    test.get("/api/v1/movies/603").await.expect(404);
    let open = TestApp::beside(&pool, tmdb, &[("INCLUDE_ADULT", "true")]);
    open.get("/api/v1/movies/603").await.expect(200);
}

#[sqlx::test]
async fn a_movie_is_found_by_its_imdb_id_with_included_parts(pool: PgPool) {
    let tmdb = Arc::new(DemoTmdb::start());
    tmdb.control("POST", "/__films/603", r#"{"imdb_id": "tt0133093"}"#);
    let test = TestApp::beside(&pool, tmdb, &[]);
    for _ in 0..2 {
        let film = test
            .get("/api/v1/movies/imdb:tt0133093?include=credits,keywords,providers")
            .await
            .expect(200);
        assert_eq!(
            (&film["id"], &film["imdb_id"]),
            (&json!(603), &json!("tt0133093"))
        );
        assert!(
            film["credits"]
                .as_array()
                .unwrap()
                .iter()
                .any(|person| person["name"] == "Keanu Reeves")
        );
        assert!(film["keywords"].as_array().unwrap().len() > 2);
        assert!(!film["providers"].as_array().unwrap().is_empty());
    }
    assert_eq!(calls(&test), 2, "the movie and its people in Korean");
    let plain = test.get("/api/v1/movies/603").await.expect(200);
    assert!(plain.get("credits").is_none() && plain.get("providers").is_none());
    let korea = test
        .get("/api/v1/movies/603/providers?region=kr")
        .await
        .expect(200);
    let providers = korea["providers"].as_array().unwrap();
    assert!(!providers.is_empty());
    for provider in providers {
        assert_eq!(provider["region"], "KR");
        for field in [
            "provider_name",
            "provider_id",
            "logo_path",
            "display_priority",
            "type",
            "link",
        ] {
            assert!(provider.get(field).is_some(), "{field}");
        }
        assert_ne!(provider["provider_name"], "Unknown");
        assert_eq!(provider["sample"], true);
    }
    for (path, field) in [
        ("/api/v1/movies/603?include=credit", "include"),
        ("/api/v1/movies/603/providers?region=Korea", "region"),
    ] {
        assert_eq!(
            test.get(path).await.expect(400)["errors"][0]["field"],
            field
        );
    }
    for path in [
        "/api/v1/movies/imdb:603",
        "/api/v1/movies/imdb:tt",
        "/api/v1/movies/tt0133093",
    ] {
        assert_eq!(
            test.get(path).await.expect(400)["error"],
            "invalid movie ID"
        );
    }
    test.get("/api/v1/movies/imdb:tt9999999").await.expect(404);
}
