//! Movies: lists and single ones.

use axum::{body::Body, http::Request};
use chassis::testing::send;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids, lists::walk};

#[sqlx::test]
async fn a_page_has_every_documented_field(pool: PgPool) {
    let test = TestApp::synced(&pool, 2).await;
    let answer = test.get("/api/v1/movies?page=2&page_size=15").await;
    let link = answer.headers["link"].to_str().unwrap().to_owned();
    let mut body = answer.expect(200);
    let movies = body["data"].as_array_mut().unwrap();
    assert_eq!(movies.len(), 15);
    movies.truncate(1);
    insta::assert_json_snapshot!(body, {".next_cursor" => "[cursor]"}, @r#"
    {
      "data": [
        {
          "id": 299536,
          "popularity": 21.004,
          "poster_url": "",
          "release_date": "2018-04-25",
          "title": "Avengers: Infinity War"
        }
      ],
      "next_cursor": "[cursor]",
      "page": 2,
      "page_size": 15,
      "total_pages": 3,
      "total_results": 40
    }
    "#);
    let cursor = body["next_cursor"].as_str().unwrap();
    assert_eq!(
        link,
        format!("</api/v1/movies?page_size=15&cursor={cursor}>; rel=\"next\"")
    );
    let past = test
        .get("/api/v1/movies?page=4&page_size=15")
        .await
        .expect(200);
    assert_eq!(
        (&past["data"], &past["next_cursor"]),
        (&json!([]), &Value::Null)
    );
}

#[sqlx::test]
async fn a_movie_has_every_documented_field(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb.control(
        "POST",
        "/__films/603",
        r#"{"title": "The Matrix", "runtime": 136, "popularity": 9999.0}"#,
    );
    test.sync(1).await.expect(200);
    let body = test.get("/api/v1/movies/603").await.expect(200);
    insta::assert_json_snapshot!(body, {".synced_at" => "[time]"}, @r#"
    {
      "backdrop_url": "",
      "booking_url": "https://www.themoviedb.org/movie/603/watch",
      "countries": [],
      "duration": 136,
      "genres": [
        "Action",
        "Science Fiction"
      ],
      "id": 603,
      "imdb_id": null,
      "language": "en",
      "original_title": "The Matrix",
      "overview": "A 1999 action and science fiction film directed by Lana Wachowski, with Keanu Reeves and Laurence Fishburne.",
      "popularity": 9999.0,
      "poster_url": "",
      "release_date": "1999-03-30",
      "stale": false,
      "synced_at": "[time]",
      "title": "The Matrix",
      "vote_average": 8.2,
      "vote_count": 23198
    }
    "#);
    let other = test.ids("/api/v1/movies").await[1];
    sqlx::query("update movie set poster_path = '/p.jpg', backdrop_path = '/b.jpg', runtime = null, release_date = null")
        .execute(&pool)
        .await
        .unwrap();
    let body = test
        .get(&format!("/api/v1/movies/{other}"))
        .await
        .expect(200);
    assert_eq!(body["poster_url"], "https://image.tmdb.org/t/p/w500/p.jpg");
    assert_eq!(
        body["backdrop_url"],
        "https://image.tmdb.org/t/p/w780/b.jpg"
    );
    assert_eq!(
        (&body["duration"], &body["release_date"]),
        (&json!(0), &json!(""))
    );
}

#[sqlx::test]
async fn each_order_is_total_with_undated_movies_last(pool: PgPool) {
    let test = TestApp::synced(&pool, 3).await;
    sqlx::query("update movie set release_date = null where id in (select id from movie order by id limit 3)")
        .execute(&pool)
        .await
        .unwrap();
    sqlx::query("update movie set popularity = 5 where id in (select id from movie order by id desc limit 30)")
        .execute(&pool)
        .await
        .unwrap();
    // These updates are not in the feed, but a new process reads the table.
    let test = TestApp::beside(&pool, std::sync::Arc::clone(&test.tmdb), &[]);
    for (sort_by, key) in [
        ("popularity", "popularity"),
        ("title", "title"),
        ("release_date", "release_date"),
    ] {
        for order in ["asc", "desc"] {
            let path = format!("/api/v1/movies?page_size=100&sort_by={sort_by}&order={order}");
            let whole = test.get(&path).await.expect(200);
            assert_eq!(whole["total_results"], 60);
            let dates: Vec<&str> = whole["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|film| film["release_date"].as_str().unwrap())
                .collect();
            if key == "release_date" {
                assert_eq!(&dates[57..], ["", "", ""]);
                assert!(dates[..57].is_sorted_by(|a, b| if order == "asc" {
                    a <= b
                } else {
                    a >= b
                }));
            }
            assert_eq!(
                walk(
                    &test,
                    &format!("{path}&page_size=7").replace("page_size=100&", "")
                )
                .await,
                ids(&whole)
            );
        }
    }
    assert_eq!(
        test.ids("/api/v1/movies").await,
        test.ids("/api/v1/movies?sort_by=popularity&order=desc&page=1&page_size=20")
            .await
    );
}

#[sqlx::test]
async fn a_range_of_dates_is_inclusive(pool: PgPool) {
    let test = TestApp::synced(&pool, 33).await;
    let path =
        "/api/v1/movies?page_size=100&release_date_from=1999-03-30&release_date_to=1999-10-15";
    let body = test.get(path).await.expect(200);
    assert!(ids(&body).contains(&603), "the first day");
    assert!(ids(&body).contains(&550), "the last day");
    let dates: Vec<&str> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|film| film["release_date"].as_str().unwrap())
        .collect();
    assert!(
        dates
            .iter()
            .all(|date| ("1999-03-30"..="1999-10-15").contains(date))
    );
    assert_eq!(body["total_results"], dates.len());
    assert_eq!(
        test.get("/api/v1/movies").await.expect(200)["total_results"],
        649
    );
}

#[sqlx::test]
async fn invalid_parameters_are_named(pool: PgPool) {
    let test = TestApp::new(&pool);
    let page = "must be a whole number from 1 to 100000";
    let size = "must be a whole number from 1 to 100";
    for (query, field, message) in [
        ("page=0", "page", page),
        ("page=-1", "page", page),
        ("page=1000000000000", "page", page),
        ("page=99999999999999999999", "page", page),
        ("page=x", "page", page),
        ("page=", "page", page),
        ("page_size=0", "page_size", size),
        ("page_size=101", "page_size", size),
        (
            "pagesize=3",
            "pagesize",
            "unknown query parameter; did you mean `page_size`?",
        ),
        ("page=1&page=2", "page", "must be given once"),
        ("cursor=abc", "cursor", "must be a next_cursor of this list"),
        (
            "cursor=abc&page=2",
            "page",
            "cannot be given together with cursor",
        ),
    ] {
        let problem = test
            .get(&format!("/api/v1/movies?{query}"))
            .await
            .expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
        assert_eq!(problem["errors"][0]["message"], message, "{query}");
        assert_eq!(
            problem["error"],
            format!("invalid {field}: {message}"),
            "{query}"
        );
    }
    for (query, field) in [
        ("sort_by=rating", "sort_by"),
        ("order=up", "order"),
        ("release_date_from=2024-02-30", "release_date_from"),
        ("release_date_to=yesterday", "release_date_to"),
        ("release_date_to=%00", "release_date_to"),
    ] {
        let problem = test
            .get(&format!("/api/v1/movies?{query}"))
            .await
            .expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
    for id in ["x", "0", "-5", "9223372036854775808", "1e3", "%00", "603x"] {
        let problem = test.get(&format!("/api/v1/movies/{id}")).await.expect(400);
        assert_eq!(problem["error"], "invalid movie ID", "{id}");
    }
    let mut last = Value::Null;
    for id in ["1", "9223372036854775807"] {
        let problem = test.get(&format!("/api/v1/movies/{id}")).await.expect(404);
        assert_eq!(problem["instance"], format!("/api/v1/movies/{id}"));
        assert!(!problem["request_id"].as_str().unwrap().is_empty());
        last = problem;
    }
    insta::assert_json_snapshot!(last, {".request_id" => "[id]"}, @r#"
    {
      "detail": "no movie has this id; GET /api/v1/movies lists the catalogue",
      "error": "movie not found",
      "instance": "/api/v1/movies/9223372036854775807",
      "request_id": "[id]",
      "status": 404,
      "title": "Movie not found",
      "type": "/problems/movie-not-found"
    }
    "#);
}

#[sqlx::test]
async fn a_matching_entity_tag_gets_304(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    for path in ["/api/v1/movies", "/api/v1/movies?page_size=5"] {
        let answer = test.get(path).await;
        let tag = answer.headers["etag"].clone();
        assert!(
            answer.headers["cache-control"]
                .to_str()
                .unwrap()
                .contains("stale-while-revalidate")
        );
        let again = |tag: &str| {
            Request::get(path)
                .header("if-none-match", tag)
                .body(Body::empty())
                .unwrap()
        };
        let known = send(&test.app, again(tag.to_str().unwrap())).await;
        assert_eq!((known.status.as_u16(), known.text.as_str()), (304, ""));
        assert_eq!(known.headers["etag"], tag);
        assert_eq!(send(&test.app, again("\"other\"")).await.status, 200);
    }
}

#[sqlx::test]
async fn health_names_the_service(pool: PgPool) {
    let test = TestApp::new(&pool);
    let body = test.get("/api/v1/health").await.expect(200);
    assert_eq!(
        (&body["service"], &body["status"]),
        (&json!("movie-service"), &json!("ok"))
    );
}

/// A GET of the caller that the gateway states as `principal`.
fn of_caller(path: &str, principal: Option<&str>) -> Request<Body> {
    let mut request = Request::get(path).header("cookie", "theme=dark");
    if let Some(principal) = principal {
        request = request.header("x-principal", principal);
    }
    request.body(Body::empty()).unwrap()
}

#[sqlx::test]
async fn public_responses_are_the_same_for_every_caller(pool: PgPool) {
    const CALLERS: [Option<&str>; 4] = [
        None,
        Some(r#"{"subject":"7","role":"user"}"#),
        Some(r#"{"subject":"8","role":"user"}"#),
        Some(r#"{"subject":"1","role":"admin"}"#),
    ];
    let test = TestApp::synced(&pool, 1).await;
    for path in [
        "/api/v1/movies",
        "/api/v1/movies?ids=603,604",
        "/api/v1/movies/603",
        "/api/v1/movies/603?include=credits,keywords,providers",
        "/api/v1/movies/603/providers?region=US",
        "/api/v1/genres",
    ] {
        let mut responses = Vec::new();
        for principal in CALLERS {
            responses.push(send(&test.app, of_caller(path, principal)).await);
        }
        for response in &responses {
            let control = response.headers["cache-control"].to_str().unwrap();
            assert!(
                control.starts_with("public, max-age=60, "),
                "{path}: {control}"
            );
            assert!(!response.headers.contains_key("set-cookie"));
            assert_eq!(
                response.headers["etag"], responses[0].headers["etag"],
                "{path}"
            );
            assert_eq!(
                (response.status.as_u16(), &response.text),
                (200, &responses[0].text)
            );
        }
    }
    // Counters of the moment, searches (which count towards popular ones), and the jobs of administrators.
    for path in [
        "/api/v1/movies?include=stats",
        "/api/v1/movies/603?include=stats,similar",
        "/api/v1/search?q=matrix",
        "/api/v1/search/suggest?q=mat",
        "/api/v1/jobs",
        "/api/v1/movies/0",
    ] {
        let response = send(&test.app, of_caller(path, CALLERS[3])).await;
        let control = response.headers.get("cache-control");
        let control = control.map_or("", |value| value.to_str().unwrap());
        assert!(
            !control.contains("public") && !control.contains("s-maxage"),
            "{path}: {control}"
        );
    }
}
