//! Syncs, the list of movies, and single movies.

use super::*;

pub(super) async fn sync(platform: &Platform) {
    let client = platform.client();
    for (query, field) in [
        ("pages=0", "pages"),
        ("pages=51", "pages"),
        ("pages=five", "pages"),
        ("pages=-1", "pages"),
        ("pages=1000000000000", "pages"),
        ("page=5", "page"),
    ] {
        let response = client
            .post(&format!("/api/v1/admin/sync?{query}"), Value::Null)
            .await;
        assert_names(&response, field);
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

/// *Corrected*: was 200 with `movies_synced: 0`, and two syncs raced.
pub(super) async fn sync_that_fetches_nothing_or_is_running(platform: &Platform) {
    let client = platform.client();
    let tmdb = Api::new(&platform.demo_tmdb.url());
    let down = json!({"kind": "status", "status": 503});
    tmdb.post("/__faults", down).await.expect(201);
    let response = client.post("/api/v1/admin/sync?pages=2", Value::Null).await;
    assert_problem(&response, 502, "sync failed: TMDB gave nothing");
    tmdb.send(Method::DELETE, "/__faults").await;

    let some = json!({"kind": "status", "status": 503, "path": "page=2"});
    tmdb.post("/__faults", some).await.expect(201);
    eventually("TMDB is requested again", async || {
        let report = client.post("/api/v1/admin/sync?pages=2", Value::Null).await;
        // The circuit breaker may still be open.
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
    eventually("a second sync is refused because of the first", async || {
        let running = "select count(*) from job where status = 'running'";
        if platform.movies.count(running).await == 0 {
            return false;
        }
        let response = client.post("/api/v1/admin/sync?pages=1", Value::Null).await;
        if response.status != 409 {
            return false;
        }
        assert_problem(&response, 409, "a sync is already running");
        let shape = json!({"job": {"job_id": "", "status": "", "total": 0, "processed": 0, "succeeded": 0, "failed": 0, "failures": []}});
        assert_fields(&response.body, &shape);
        assert_eq!(response.body["job"]["status"], "running");
        true
    })
    .await;
    first.await.unwrap().expect(200);
    tmdb.send(Method::DELETE, "/__faults").await;
}

pub(super) async fn list(client: &Api) {
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

pub(super) async fn list_is_ordered_and_filtered(client: &Api) {
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
}

pub(super) async fn list_refuses_values_out_of_range(client: &Api) {
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
        (
            "release_date_from=2015-12-31&release_date_to=2000-01-01",
            "release_date_from",
        ),
        ("pagesize=5", "pagesize"),
        ("page=1&page=2", "page"),
        ("cursor=nonsense", "cursor"),
    ] {
        assert_names(&client.get(&format!("/api/v1/movies?{query}")).await, field);
    }
    let near = client.get("/api/v1/movies?pagesize=5").await.body["errors"][0]["message"].clone();
    assert!(near.as_str().unwrap().contains("`page_size`"), "{near}");
}

pub(super) async fn list_is_conditional_and_continues(client: &Api) {
    assert_conditional(client, "/api/v1/movies?page_size=100").await;
    let response = client.get("/api/v1/movies?page_size=30").await;
    assert_eq!(response.status, 200, "{}", response.text);
    let mut seen = ids(&response.body["data"]);
    let mut page = response;
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
    let response = client.get(path).await;
    let etag = response.headers["etag"].to_str().unwrap().to_owned();
    assert!(etag.starts_with('"'), "strong: {etag}");
    assert!(response.headers.contains_key("cache-control"));
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
async fn a_page_with_a_next_page_is_conditional() {
    let platform = Platform::with_films(2, PlatformOptions::default()).await;
    assert_conditional(&platform.client(), "/api/v1/movies?page_size=30").await;
}

pub(super) async fn detail(client: &Api) {
    let films = client.get("/api/v1/movies?page_size=100").await.expect(200);
    for film in films["data"].as_array().unwrap().iter().take(20) {
        let response = client.get(&format!("/api/v1/movies/{}", film["id"])).await;
        assert!(response.headers.contains_key("etag"));
        let detail = response.expect(200);
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
        let response = client.get(&format!("/api/v1/movies/{id}")).await;
        assert_problem(&response, 400, "invalid movie ID");
    }
    assert_problem(
        &client.get(&format!("/api/v1/movies/{UNKNOWN_ID}")).await,
        404,
        "movie not found",
    );
}
