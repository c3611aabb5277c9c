//! The original system's own sequence through the gateway, row by row of the contract: each with its status,
//! its fields, its error texts, and what was mended.

use std::collections::HashSet;

use chassis::testing::{TestResponse, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Api, Platform, Wants, assert_fields, assert_problem, ids};

/// An id that no film and no user has.
const NOBODY: i64 = 9_000_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_sequence_answers_as_documented() {
    let platform = Platform::start(Wants::default()).await;
    let client = platform.client();
    health(&platform).await;
    strangers_are_turned_away(&client).await;
    unknown_paths_and_methods(&client).await;
    sync(&platform).await;
    list(&client).await;
    list_is_ordered_and_filtered(&client).await;
    list_refuses_what_is_out_of_range(&client).await;
    list_is_conditional_and_continues(&client).await;
    detail(&client).await;
    let user = create_user(&client).await;
    get_user(&client, user).await;
    preferences(&client, user).await;
    let liked = interactions(&client, user).await;
    recommendations(&client, user, &liked).await;
    rules(&client).await;
    every_answer_tells_its_limits_and_its_id(&client).await;
    sync_that_brings_nothing_or_runs_already(&platform).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

// --- GET /health ------------------------------------------------------------------------------------

async fn health(platform: &Platform) {
    let stranger = platform.client().bare();
    for path in ["/health", "/health/live"] {
        let health = stranger.get(path).await.expect(200);
        assert_fields(&health, &json!({"service": "", "status": ""}));
        assert_eq!(health["status"], "ok");
    }
    assert_eq!(stranger.get("/health").await.body["service"], "gateway");
    stranger.get("/health/ready").await.expect(200);
    for service in platform
        .services()
        .filter(|service| service.name() != "gateway")
    {
        // Public there as well: the gateway's token is not asked for.
        let health = Api::new(&service.url())
            .get("/api/v1/health")
            .await
            .expect(200);
        assert_eq!(health["service"], service.name());
        assert_eq!(health["status"], "ok");
    }
}

// --- who may ----------------------------------------------------------------------------------------

async fn strangers_are_turned_away(client: &Api) {
    let with = |header: Option<&str>| match header {
        Some(value) => client.clone().bare().header("Authorization", value),
        None => client.clone().bare(),
    };
    let format = "invalid Authorization header format, expected 'Bearer <token>'";
    for (header, error) in [
        (None, "missing Authorization header"),
        (Some("Basic YTpi"), format),
        (Some("bearer x"), format),
        (Some("x"), format),
        (Some("Bearerx"), format),
    ] {
        for path in ["/api/v1/movies", "/api/v1/rules", "/api/v1/users/1"] {
            let answer = with(header).get(path).await;
            assert_problem(&answer, 401, error);
            assert!(answer.headers.contains_key("www-authenticate"), "{path}");
        }
        let answer = with(header).post("/api/v1/users", json!({})).await;
        assert_problem(&answer, 401, error);
    }
    // Blanks at the end of a header are not part of it, so that this is `Bearer` alone.
    assert_problem(
        &with(Some("Bearer ")).get("/api/v1/movies").await,
        401,
        "empty bearer token",
    );
    for token in ["x", "test-token-12345", "a.b.c"] {
        client
            .clone()
            .bare()
            .token(token)
            .get("/api/v1/rules")
            .await
            .expect(200);
    }
}

async fn unknown_paths_and_methods(client: &Api) {
    for path in [
        "/api/v1/nothing",
        "/api/v1/moviesx",
        "/api/v1/movies/1/2/3",
        "/api/v1/users/1/nothing",
        "/api/v2/movies",
        "/nothing",
        "/",
    ] {
        assert_problem(&client.get(path).await, 404, "Not Found");
    }
    // Never routed, whoever asks.
    for path in [
        "/internal/v1/changes",
        "/internal/v1/snapshot",
        "/internal/v1/users/1",
    ] {
        assert_problem(&client.get(path).await, 404, "Not Found");
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/movies", "GET"),
        (Method::POST, "/api/v1/movies/603", "GET"),
        (Method::GET, "/api/v1/admin/sync", "POST"),
        (Method::GET, "/api/v1/users", "POST"),
        (Method::PUT, "/api/v1/users/1/preferences", "GET"),
        (Method::POST, "/api/v1/rules", "GET"),
        (Method::PATCH, "/api/v1/users/1/interactions", "POST"),
    ] {
        let answer = client.send(method.clone(), path).await;
        assert_problem(&answer, 405, "Method Not Allowed");
        let allow = answer.headers["allow"].to_str().unwrap();
        assert!(
            allow.split(", ").any(|one| one == allowed),
            "{method} {path}: {allow}"
        );
    }
}

// --- POST /admin/sync -------------------------------------------------------------------------------

async fn sync(platform: &Platform) {
    let client = platform.client();
    for (query, field) in [
        ("pages=0", "pages"),
        ("pages=51", "pages"),
        ("pages=five", "pages"),
        ("pages=-1", "pages"),
        ("pages=1000000000000", "pages"),
        ("page=5", "page"),
    ] {
        let answer = client
            .post(&format!("/api/v1/admin/sync?{query}"), Value::Null)
            .await;
        assert_names(&answer, field);
    }
    for path in ["/api/v1/admin/sync?pages=5", "/api/v1/admin/sync"] {
        let report = client.post(path, Value::Null).await.expect(200);
        let shape = json!({"message": "", "movies_synced": 0, "pages": 0, "pages_failed": 0, "failures": [{}]});
        assert_fields(&report, &shape);
        assert_eq!(report["message"], "sync completed");
        assert_eq!(
            (&report["movies_synced"], &report["pages"]),
            (&json!(100), &json!(5))
        );
        assert_eq!(
            (&report["pages_failed"], &report["failures"]),
            (&json!(0), &json!([]))
        );
    }
    platform.until_films_known(100).await;
}

/// *Mended*: was 200 with `movies_synced: 0`, and two syncs raced.
async fn sync_that_brings_nothing_or_runs_already(platform: &Platform) {
    let client = platform.client();
    let tmdb = Api::new(&platform.demo_tmdb.url());
    let down = json!({"kind": "status", "status": 503});
    tmdb.post("/__faults", down).await.expect(201);
    let answer = client.post("/api/v1/admin/sync?pages=2", Value::Null).await;
    assert_problem(&answer, 502, "sync failed: TMDB gave nothing");
    tmdb.send(Method::DELETE, "/__faults").await;

    let some = json!({"kind": "status", "status": 503, "path": "page=2"});
    tmdb.post("/__faults", some).await.expect(201);
    eventually("TMDB is asked again", async || {
        let report = client.post("/api/v1/admin/sync?pages=2", Value::Null).await;
        // The breaker may be open still.
        report.status == 200
            && report.body["movies_synced"] == 20
            && report.body["pages_failed"] == 1
            && report.body["failures"]
                .as_array()
                .is_some_and(|all| !all.is_empty())
    })
    .await;
    tmdb.send(Method::DELETE, "/__faults").await;

    let late = json!({"kind": "latency", "ms": 300});
    tmdb.post("/__faults", late).await.expect(201);
    let first = client.clone();
    let first =
        tokio::spawn(async move { first.post("/api/v1/admin/sync?pages=1", Value::Null).await });
    eventually("a second sync is told of the first", async || {
        let running = "select count(*) from job where status = 'running'";
        if platform.movies.count(running).await == 0 {
            return false;
        }
        let answer = client.post("/api/v1/admin/sync?pages=1", Value::Null).await;
        if answer.status != 409 {
            return false;
        }
        assert_problem(&answer, 409, "a sync is already running");
        let shape = json!({"job": {"job_id": "", "status": "", "total": 0, "processed": 0, "succeeded": 0, "failed": 0, "failures": []}});
        assert_fields(&answer.body, &shape);
        assert_eq!(answer.body["job"]["status"], "running");
        true
    })
    .await;
    first.await.unwrap().expect(200);
    tmdb.send(Method::DELETE, "/__faults").await;
}

// --- GET /movies ------------------------------------------------------------------------------------

async fn list(client: &Api) {
    let page = client.get("/api/v1/movies").await.expect(200);
    let film =
        json!({"id": 0, "title": "", "release_date": "", "popularity": 0.0, "poster_url": ""});
    let shape = json!({"page": 0, "page_size": 0, "total_pages": 0, "total_results": 0, "data": [film], "next_cursor": ""});
    assert_fields(&page, &shape);
    assert_eq!((&page["page"], &page["page_size"]), (&json!(1), &json!(20)));
    assert_eq!(
        (&page["total_pages"], &page["total_results"]),
        (&json!(5), &json!(100))
    );
    assert_eq!(ids(&page["data"]).len(), 20);
    let last = client
        .get("/api/v1/movies?page=7&page_size=15")
        .await
        .expect(200);
    assert_eq!(
        (&last["total_pages"], ids(&last["data"]).len()),
        (&json!(7), 10)
    );
    assert_eq!(last["next_cursor"], Value::Null);
    let beyond = client
        .get("/api/v1/movies?page=8&page_size=15")
        .await
        .expect(200);
    assert_eq!(
        (&beyond["total_results"], &beyond["data"]),
        (&json!(100), &json!([]))
    );
}

async fn list_is_ordered_and_filtered(client: &Api) {
    let all = |query: &str| {
        let path = format!("/api/v1/movies?page_size=100&{query}");
        async move { client.get(&path).await.expect(200)["data"].clone() }
    };
    let by = |films: &Value, field: &str| -> Vec<Value> {
        films
            .as_array()
            .unwrap()
            .iter()
            .map(|film| film[field].clone())
            .collect()
    };
    let popular = all("").await;
    let popularity: Vec<f64> = by(&popular, "popularity")
        .iter()
        .map(|one| one.as_f64().unwrap())
        .collect();
    assert!(
        popularity.is_sorted_by(|a, b| a >= b),
        "popularity, falling, is the default"
    );
    assert_eq!(all("sort_by=popularity&order=desc").await, popular);
    let mut reversed = ids(&all("sort_by=popularity&order=asc").await);
    reversed.reverse();
    assert_eq!(
        reversed,
        ids(&popular),
        "the other way round is exactly that"
    );
    for field in ["release_date", "title"] {
        let falling = all(&format!("sort_by={field}")).await;
        let rising = all(&format!("sort_by={field}&order=asc")).await;
        assert_ne!(ids(&falling), ids(&rising));
        let unique: HashSet<i64> = ids(&rising).into_iter().collect();
        assert_eq!(unique.len(), 100, "{field}");
        if field == "release_date" {
            let days: Vec<String> = by(&rising, field)
                .iter()
                .map(|day| day.as_str().unwrap().to_owned())
                .filter(|day| !day.is_empty())
                .collect();
            assert!(days.is_sorted(), "{days:?}");
        }
    }
    let from = "2000-01-01";
    let to = "2015-12-31";
    let some = all(&format!(
        "release_date_from={from}&release_date_to={to}&sort_by=release_date&order=asc"
    ))
    .await;
    let days: Vec<String> = by(&some, "release_date")
        .iter()
        .map(|day| day.as_str().unwrap().to_owned())
        .collect();
    assert!(!days.is_empty() && days.len() < 100 && days.is_sorted());
    assert!(
        days.iter().all(|day| (from..=to).contains(&day.as_str())),
        "{days:?}"
    );
    let day = &days[0];
    let that_day = all(&format!("release_date_from={day}&release_date_to={day}")).await;
    assert!(!ids(&that_day).is_empty(), "both ends are inclusive");
    assert_eq!(
        all("release_date_from=2015-12-31&release_date_to=2000-01-01").await,
        json!([])
    );
}

async fn list_refuses_what_is_out_of_range(client: &Api) {
    for (query, field) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=1.5", "page"),
        ("page=", "page"),
        ("page=1000000000000", "page"),
        ("page=99999999999999999999999", "page"),
        ("page_size=0", "page_size"),
        ("page_size=101", "page_size"),
        ("page_size=x", "page_size"),
        ("sort_by=rating", "sort_by"),
        ("order=up", "order"),
        ("release_date_from=2024-02-30", "release_date_from"),
        ("release_date_to=2024-13-01", "release_date_to"),
        ("release_date_from=yesterday", "release_date_from"),
        ("pagesize=5", "pagesize"),
        ("page=1&page=2", "page"),
        ("cursor=nonsense", "cursor"),
    ] {
        assert_names(&client.get(&format!("/api/v1/movies?{query}")).await, field);
    }
    let near = client.get("/api/v1/movies?pagesize=5").await.body["errors"][0]["message"].clone();
    assert!(near.as_str().unwrap().contains("`page_size`"), "{near}");
}

async fn list_is_conditional_and_continues(client: &Api) {
    assert_conditional(client, "/api/v1/movies?page_size=100").await;
    let answer = client.get("/api/v1/movies?page_size=30").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let mut seen = ids(&answer.body["data"]);
    let mut page = answer;
    while let Some(link) = page.headers.get("link") {
        let link = link.to_str().unwrap();
        assert!(link.contains("rel=\"next\""), "{link}");
        let path = link.split(['<', '>']).nth(1).unwrap().to_owned();
        page = client.get(&path).await;
        assert_eq!(page.status, 200, "{}", page.text);
        seen.extend(ids(&page.body["data"]));
    }
    let whole = client.get("/api/v1/movies?page_size=100").await.expect(200);
    assert_eq!(
        seen,
        ids(&whole["data"]),
        "the links lead through the whole list once"
    );
}

async fn assert_conditional(client: &Api, path: &str) {
    let answer = client.get(path).await;
    let etag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert!(etag.starts_with('"'), "strong: {etag}");
    assert!(answer.headers.contains_key("cache-control"));
    let knowing = client.clone().header("If-None-Match", &etag);
    let again = knowing.get(path).await;
    assert_eq!(
        (again.status.as_u16(), again.text.as_str()),
        (304, ""),
        "{path}"
    );
    assert_eq!(again.headers["etag"], etag);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_has_a_next_one_is_conditional_too() {
    let platform = Platform::with_films(2, Wants::default()).await;
    assert_conditional(&platform.client(), "/api/v1/movies?page_size=30").await;
}

// --- GET /movies/{id} -------------------------------------------------------------------------------

async fn detail(client: &Api) {
    let films = client.get("/api/v1/movies?page_size=100").await.expect(200);
    for film in films["data"].as_array().unwrap().iter().take(20) {
        let answer = client.get(&format!("/api/v1/movies/{}", film["id"])).await;
        assert!(answer.headers.contains_key("etag"));
        let detail = answer.expect(200);
        assert_fields(
            &detail,
            &json!({
                "id": 0, "title": "", "overview": "", "release_date": "", "genres": [""], "language": "",
                "duration": 0, "popularity": 0.0, "poster_url": "", "backdrop_url": "", "booking_url": "",
            }),
        );
        for field in ["id", "title", "release_date", "popularity", "poster_url"] {
            assert_eq!(detail[field], film[field], "{field}");
        }
        let genres: Vec<&str> = detail["genres"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(genres.is_sorted(), "{genres:?}");
        assert!(detail["duration"].as_i64().unwrap() >= 0);
        let booking = format!("https://www.themoviedb.org/movie/{}/watch", film["id"]);
        assert_eq!(detail["booking_url"], booking);
    }
    for id in [
        "x",
        "0",
        "-1",
        "1.5",
        "9223372036854775808",
        "99999999999999999999999999",
    ] {
        let answer = client.get(&format!("/api/v1/movies/{id}")).await;
        assert_problem(&answer, 400, "invalid movie ID");
    }
    assert_problem(
        &client.get(&format!("/api/v1/movies/{NOBODY}")).await,
        404,
        "movie not found",
    );
}

// --- users ------------------------------------------------------------------------------------------

async fn create_user(client: &Api) -> i64 {
    let body = json!({"username": "johndoe", "email": "john@example.com"});
    let user = client.post("/api/v1/users", body.clone()).await.expect(201);
    assert_fields(
        &user,
        &json!({"id": 0, "username": "", "email": "", "created_at": ""}),
    );
    assert_eq!(
        (&user["username"], &user["email"]),
        (&body["username"], &body["email"])
    );
    assert_instant(&user["created_at"]);
    for (body, error) in [
        (json!({}), "username and email are required"),
        (json!({"username": "x"}), "username and email are required"),
        (
            json!({"username": "", "email": ""}),
            "username and email are required",
        ),
    ] {
        let answer = client.post("/api/v1/users", body).await;
        assert_problem(&answer, 400, error);
        assert!(!answer.body["errors"].as_array().unwrap().is_empty());
    }
    let unknown = json!({"username": "x", "email": "x@y", "emial": "x@y"});
    assert_names(&client.post("/api/v1/users", unknown).await, "emial");
    // *Mended*: was 400 with the database's own words.
    let same_name = json!({"username": "JohnDoe", "email": "other@example.com"});
    assert_problem(
        &client.post("/api/v1/users", same_name).await,
        409,
        "username is already taken",
    );
    let same_address = json!({"username": "other", "email": "John@Example.com"});
    assert_problem(
        &client.post("/api/v1/users", same_address).await,
        409,
        "email is already taken",
    );
    user["id"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_may_be_given_when_signing_up() {
    let platform = Platform::start(Wants::default()).await;
    let body = json!({"username": "jane", "email": "jane@example.com", "password": "correct horse battery"});
    let jane = platform
        .client()
        .post("/api/v1/users", body)
        .await
        .expect(201);
    assert!(jane.get("password").is_none(), "{jane}");
}

const BAD_IDS: [&str; 6] = ["x", "0", "-1", "1.5", "9223372036854775808", "1e3"];

async fn get_user(client: &Api, user: i64) {
    let same = client
        .get(&format!("/api/v1/users/{user}"))
        .await
        .expect(200);
    assert_fields(
        &same,
        &json!({"id": 0, "username": "", "email": "", "created_at": ""}),
    );
    assert_eq!(
        (&same["id"], &same["username"]),
        (&json!(user), &json!("johndoe"))
    );
    for below in ["", "/preferences", "/interactions", "/recommendations"] {
        for id in BAD_IDS {
            let answer = client.get(&format!("/api/v1/users/{id}{below}")).await;
            assert_problem(&answer, 400, "invalid user ID");
        }
        // *Mended* for all but the first: were 200 with nothing.
        let answer = client.get(&format!("/api/v1/users/{NOBODY}{below}")).await;
        assert_problem(&answer, 404, "user not found");
    }
}

// --- preferences ------------------------------------------------------------------------------------

async fn preferences(client: &Api, user: i64) {
    let path = format!("/api/v1/users/{user}/preferences");
    let shape = json!({"id": 0, "user_id": 0, "preferred_genres": [""], "preferred_language": "", "min_rating": 0.0, "updated_at": ""});
    let unset = client.get(&path).await.expect(200);
    assert_fields(&unset, &shape);
    assert_eq!(unset["preferred_genres"], json!([]));
    assert_eq!(unset["preferred_language"], "en");
    assert_eq!(unset["min_rating"].as_f64(), Some(0.0));

    let wanted = json!({"preferred_genres": ["Action", "Science Fiction", "Adventure"], "preferred_language": "en", "min_rating": 5.5});
    let set = client.post(&path, wanted.clone()).await.expect(200);
    assert_fields(&set, &shape);
    assert_instant(&set["updated_at"]);
    for field in ["preferred_genres", "preferred_language", "min_rating"] {
        assert_eq!(set[field], wanted[field], "{field}");
    }
    assert_eq!(set["user_id"], user);
    assert_eq!(client.get(&path).await.expect(200), set);

    // The whole is replaced: what is left out is not set any more.
    let less = client
        .post(&path, json!({"min_rating": 4}))
        .await
        .expect(200);
    assert_eq!(
        (&less["preferred_genres"], &less["preferred_language"]),
        (&json!([]), &json!("en"))
    );
    for (body, field) in [
        (json!({"min_rating": 11}), "min_rating"),
        (json!({"min_rating": "high"}), "min_rating"),
        (
            json!({"preferred_language": "english"}),
            "preferred_language",
        ),
        (json!({"preferred_genres": "Drama"}), "preferred_genres"),
        (json!({"preferred_genre": ["Drama"]}), "preferred_genre"),
    ] {
        assert_names(&client.post(&path, body).await, field);
    }
    let nobody = format!("/api/v1/users/{NOBODY}/preferences");
    assert_problem(
        &client.post(&nobody, json!({})).await,
        404,
        "user not found",
    );
    client.post(&path, wanted).await.expect(200);
}

// --- interactions -----------------------------------------------------------------------------------

/// Films that the user has judged or seen.
async fn interactions(client: &Api, user: i64) -> Vec<i64> {
    let path = format!("/api/v1/users/{user}/interactions");
    let empty = client.get(&path).await.expect(200);
    assert_eq!(
        (&empty["user_id"], &empty["interactions"]),
        (&json!(user), &json!([]))
    );
    let films = client.get("/api/v1/movies").await.expect(200);
    let films = ids(&films["data"]);
    let shape =
        json!({"id": 0, "user_id": 0, "movie_id": 0, "interaction_type": "", "created_at": ""});
    let kinds = ["like", "watchlist", "dislike", "watched", "superlike"];
    for (kind, film) in kinds.iter().zip(&films) {
        let body = json!({"movie_id": film, "interaction_type": kind});
        let stored = client.post(&path, body).await.expect(201);
        assert_fields(&stored, &shape);
        assert_instant(&stored["created_at"]);
        assert_eq!(
            (&stored["user_id"], &stored["movie_id"]),
            (&json!(user), &json!(film))
        );
        assert_eq!(stored["interaction_type"], *kind);
    }
    let listed = client.get(&path).await.expect(200);
    assert_fields(&listed, &json!({"user_id": 0, "interactions": [shape]}));
    let listed: Vec<&str> = listed["interactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["interaction_type"].as_str().unwrap())
        .collect();
    assert!(
        listed.iter().rev().eq(kinds.iter()),
        "newest first: {listed:?}"
    );

    let two = client.get(&format!("{path}?limit=2")).await.expect(200);
    assert_eq!(ids(&two["interactions"]).len(), 2);
    let cursor = two["next_cursor"].as_str().unwrap();
    let rest = client
        .get(&format!("{path}?limit=1000&cursor={cursor}"))
        .await
        .expect(200);
    assert_eq!(ids(&rest["interactions"]).len(), 3);
    let likes = client.get(&format!("{path}?type=like")).await.expect(200);
    assert_eq!(ids(&likes["interactions"]).len(), 1);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("type=love", "type"),
        ("limt=1", "limt"),
    ] {
        assert_names(&client.get(&format!("{path}?{query}")).await, field);
    }

    let film = films[0];
    for (body, status, error) in [
        (
            json!({"movie_id": film, "interaction_type": "x"}),
            400,
            "invalid interaction type: x",
        ),
        (
            json!({"movie_id": film, "interaction_type": "LIKE"}),
            400,
            "invalid interaction type: LIKE",
        ),
        (json!({"movie_id": film}), 400, "invalid interaction type: "),
        (
            json!({"movie_id": 0, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            json!({"movie_id": -5, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (json!({"interaction_type": "like"}), 400, "invalid movie ID"),
        // *Mended*: was stored.
        (
            json!({"movie_id": NOBODY, "interaction_type": "like"}),
            404,
            "movie not found",
        ),
    ] {
        assert_problem(&client.post(&path, body).await, status, error);
    }
    let nobody = format!("/api/v1/users/{NOBODY}/interactions");
    let body = json!({"movie_id": film, "interaction_type": "like"});
    assert_problem(&client.post(&nobody, body).await, 404, "user not found");
    vec![films[0], films[2], films[3], films[4]]
}

// --- recommendations and rules ------------------------------------------------------------------------

async fn recommendations(client: &Api, user: i64, known: &[i64]) {
    let path = format!("/api/v1/users/{user}/recommendations");
    eventually("the list knows what the user did", async || {
        let list = client.get(&format!("{path}?limit=50")).await.expect(200);
        let films = ids(&list["recommendations"]);
        !films.is_empty() && known.iter().all(|film| !films.contains(film))
    })
    .await;
    // *Better*: for a user who did something, the rules are one voice of several unless asked for alone.
    let list = client
        .get(&format!("{path}?limit=10&strategy=rules"))
        .await
        .expect(200);
    let film = json!({
        "id": 0, "title": "", "release_date": "", "genres": [""], "popularity": 0.0, "poster_url": "",
        "score": 0.0, "reason": "",
    });
    assert_fields(
        &list,
        &json!({"user_id": 0, "recommendations": [film], "generated_at": ""}),
    );
    assert_eq!(list["user_id"], user);
    assert_instant(&list["generated_at"]);
    let films = list["recommendations"].as_array().unwrap();
    assert_eq!(films.len(), 10);
    let scores: Vec<f64> = films
        .iter()
        .map(|film| film["score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(
        scores
            .iter()
            .all(|score| (score * 1e4 - (score * 1e4).round()).abs() < 1e-6)
    );
    let reasons = [
        "highly popular",
        "recently released",
        "matches your preferred genres",
    ];
    for film in films {
        let reason = film["reason"].as_str().unwrap();
        let known =
            reason == "recommended for you" || reason.split(", ").all(|one| reasons.contains(&one));
        assert!(known, "{reason}");
        let genres: Vec<&str> = film["genres"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        assert!(genres.is_sorted());
        let matches = genres
            .iter()
            .any(|name| ["Action", "Science Fiction", "Adventure"].contains(name));
        assert_eq!(matches, reason.contains(reasons[2]), "{film}");
        let detail = client
            .get(&format!("/api/v1/movies/{}", film["id"]))
            .await
            .expect(200);
        for field in [
            "title",
            "release_date",
            "genres",
            "popularity",
            "poster_url",
        ] {
            assert_eq!(film[field], detail[field], "{field}");
        }
        assert_eq!(
            detail["language"], "en",
            "what the user prefers rules out others"
        );
        assert!(detail["vote_average"].as_f64().unwrap() >= 5.5);
    }
    assert_eq!(
        client.get(&path).await.expect(200)["recommendations"]
            .as_array()
            .unwrap()
            .len(),
        10
    );
    for limit in [1, 25, 50] {
        let list = client
            .get(&format!("{path}?limit={limit}"))
            .await
            .expect(200);
        assert!(ids(&list["recommendations"]).len() <= limit);
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=x", "limit"),
        ("limit=1000000", "limit"),
        ("lmit=1", "lmit"),
    ] {
        assert_names(&client.get(&format!("{path}?{query}")).await, field);
    }
    let rules = client
        .get(&format!("{path}?limit=10&strategy=rules"))
        .await
        .expect(200);
    assert_eq!(ids(&rules["recommendations"]).len(), 10);
}

async fn rules(client: &Api) {
    let rules = client.get("/api/v1/rules").await.expect(200);
    let rule = json!({"id": 0, "name": "", "weight": 0.0, "rule_type": "", "is_active": true, "created_at": ""});
    assert_fields(&rules, &json!({"rules": [rule]}));
    let rules: Vec<(&str, f64)> = rules["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            (
                rule["rule_type"].as_str().unwrap(),
                rule["weight"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rules,
        [("genre_match", 0.3), ("popularity", 0.4), ("recency", 0.3)]
    );
}

// --- what all answers have --------------------------------------------------------------------------

async fn every_answer_tells_its_limits_and_its_id(client: &Api) {
    let sane = client.clone().header("X-Request-Id", "from-the-client.1");
    for (path, status) in [
        ("/api/v1/movies", 200),
        ("/api/v1/movies/0", 400),
        ("/api/v1/nothing", 404),
    ] {
        let answer = sane.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.headers["x-request-id"], "from-the-client.1");
        let number = |name: &str| -> u64 {
            let value = answer
                .headers
                .get(name)
                .unwrap_or_else(|| panic!("{path}: no {name}"));
            value.to_str().unwrap().parse().unwrap()
        };
        assert_eq!(number("x-ratelimit-limit"), 1_000_000);
        assert!(number("x-ratelimit-remaining") < 1_000_000);
        assert!(number("x-ratelimit-reset") <= 60);
        for name in ["ratelimit-policy", "ratelimit"] {
            assert!(answer.headers.contains_key(name), "{path}: no {name}");
        }
        let type_of = answer.headers["content-type"].to_str().unwrap();
        assert!(type_of.starts_with("application/"), "{type_of}");
    }
    let insane = client
        .clone()
        .header("X-Request-Id", "a b{}")
        .get("/api/v1/movies")
        .await;
    assert_ne!(insane.headers["x-request-id"], "a b{}");
}

/// Makes sure that `answer` is a 400 that names `field`.
fn assert_names(answer: &TestResponse, field: &str) {
    let error = answer.body["error"].as_str().unwrap_or_default().to_owned();
    assert_problem(answer, 400, &error);
    let errors = answer.body["errors"].as_array();
    let named = errors.is_some_and(|errors| errors.iter().any(|error| error["field"] == field));
    assert!(named, "{field} is not named: {}", answer.text);
}

/// RFC 3339 in UTC, with a `Z`.
fn assert_instant(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let is_one = chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z');
    assert!(is_one, "{value}");
}

// --- tokens -----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_jwt_mode_users_have_what_is_theirs_and_administrators_all() {
    let wants = Wants {
        auth_mode: "jwt",
        ..Wants::default()
    };
    let platform = Platform::with_films(1, wants).await;
    let anna = platform.user("anna").await;
    let berta = platform.user("berta").await;
    let own = platform
        .client()
        .token(&platform.token(&["--subject", &anna.to_string()]));
    let admin = platform.admin();
    a_token_must_be_ours(&platform).await;
    for below in ["", "/preferences", "/interactions", "/recommendations"] {
        own.get(&format!("/api/v1/users/{anna}{below}"))
            .await
            .expect(200);
        admin
            .get(&format!("/api/v1/users/{anna}{below}"))
            .await
            .expect(200);
        let others = own.get(&format!("/api/v1/users/{berta}{below}")).await;
        assert_refused(&others);
        // Whether there is such a user is nobody's business either.
        let nobody = own.get(&format!("/api/v1/users/{NOBODY}{below}")).await;
        assert_eq!(nobody.status, others.status, "{}", nobody.text);
        assert_eq!(nobody.body["error"], others.body["error"]);
    }
    let film = platform.recommended(anna, 1).await[0];
    let like = json!({"movie_id": film, "interaction_type": "like"});
    own.post(&format!("/api/v1/users/{anna}/interactions"), like.clone())
        .await
        .expect(201);
    assert_refused(
        &own.post(&format!("/api/v1/users/{berta}/interactions"), like.clone())
            .await,
    );
    assert_refused(
        &own.post(&format!("/api/v1/users/{berta}/preferences"), json!({}))
            .await,
    );
    let written = format!("select count(*) from interaction where user_id = {berta}");
    assert_eq!(platform.people.count_of(written).await, 0);
    // The same number written otherwise is not a way around.
    for id in [
        format!("0{anna}"),
        format!("+{anna}"),
        format!("%3{anna}"),
        format!("{berta}%2F..%2F{anna}"),
    ] {
        let answer = own.get(&format!("/api/v1/users/{id}/preferences")).await;
        assert!(
            [400, 403, 404].contains(&answer.status.as_u16()),
            "{id}: {} {}",
            answer.status,
            answer.text
        );
    }
    assert_refused(&own.post("/api/v1/admin/sync?pages=1", Value::Null).await);
    admin
        .post("/api/v1/admin/sync?pages=1", Value::Null)
        .await
        .expect(200);
    for path in ["/api/v1/movies", "/api/v1/rules"] {
        own.get(path).await.expect(200);
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

fn assert_refused(answer: &TestResponse) {
    let error = answer.body["error"].as_str().unwrap_or_default().to_owned();
    assert!(!error.is_empty());
    assert_problem(answer, 403, &error);
}

async fn a_token_must_be_ours(platform: &Platform) {
    let good = platform.token(&["--subject", "1"]);
    let expired = platform.token(&["--subject", "1", "--ttl-seconds", "0"]);
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("a token has three parts: {good}");
    };
    let forged = format!(
        "{head}.{claims}.{}",
        signature.chars().rev().collect::<String>()
    );
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.");
    let stranger = platform.client();
    stranger
        .clone()
        .token(&good)
        .get("/api/v1/rules")
        .await
        .expect(200);
    for token in ["any", "a.b.c", &forged, &unsigned, &format!("{good}x")] {
        let answer = stranger.clone().token(token).get("/api/v1/rules").await;
        let error = answer.body["error"].as_str().unwrap_or_default().to_owned();
        assert_problem(&answer, 401, &error);
    }
    // There is some leeway for clocks.
    eventually("a token runs out", async || {
        let answer = stranger.clone().token(&expired).get("/api/v1/rules").await;
        answer.status == 401
    })
    .await;
    let error = "missing Authorization header";
    assert_problem(&stranger.bare().get("/api/v1/rules").await, 401, error);
}
