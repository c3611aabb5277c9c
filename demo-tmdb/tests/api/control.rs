//! Control paths: movies that change and vanish, call counts, optional data.

use crate::support::DemoTmdb;
use serde_json::json;

#[test]
fn a_patched_film_shows_its_new_facts_everywhere() {
    let tmdb = DemoTmdb::start();
    let before = tmdb.json("/movie/11?append_to_response=credits");
    let patch = r#"{"title":"Renamed","popularity":99999.5,"runtime":7,"genre_ids":[37],"korean_title":null,
        "imdb_id":"tt0000011","keywords":["brand new"],"cast":["Somebody New"],"release_date":"2030-01-02"}"#;
    let facts = tmdb.control("POST", "/__films/11", patch);
    assert_eq!(
        (&facts["title"], &facts["korean_title"], &facts["directors"]),
        (&json!("Renamed"), &json!(null), &json!(["George Lucas"]))
    );

    let after = tmdb.json("/movie/11?append_to_response=credits,keywords&language=ko");
    assert_eq!(
        (&after["title"], &after["runtime"], &after["release_date"]),
        (&json!("Renamed"), &json!(7), &json!("2030-01-02"))
    );
    assert_eq!(after["credits"]["cast"][0]["name"], "Somebody New");
    assert_eq!(after["keywords"]["keywords"][0]["name"], "brand new");
    assert_eq!(after["original_title"], before["original_title"]);
    assert_eq!(tmdb.json("/movie/tt0000011")["id"], 11);
    assert_eq!(tmdb.ids("/movie/popular")[0], 11);
    assert_eq!(tmdb.ids("/search/movie?query=renamed"), [11]);
    assert_eq!(tmdb.ids("/movie/changes"), [11]);
    assert_eq!(
        tmdb.get("/movie/changes?start_date=2025-01-01&end_date=2025-02-01")
            .status,
        422
    );

    tmdb.control("POST", "/__films/11", r#"{"adult":true}"#);
    assert!(!tmdb.ids("/movie/popular").contains(&11));
    assert_eq!(tmdb.ids("/discover/movie?include_adult=true")[0], 11);

    tmdb.control("DELETE", "/__films", "");
    assert_eq!(tmdb.json("/movie/11?append_to_response=credits"), before);
    assert!(tmdb.ids("/movie/changes").is_empty());
}

#[test]
fn a_hidden_film_is_gone_until_it_is_shown() {
    let tmdb = DemoTmdb::start();
    tmdb.control("POST", "/__films/12/hide", "");
    assert_eq!(tmdb.get("/movie/12").status, 404);
    assert_eq!(tmdb.get("/movie/12/credits").status, 404);
    assert_eq!(tmdb.json("/discover/movie")["total_results"], 648);
    assert!(tmdb.ids("/search/movie?query=finding+nemo").is_empty());
    assert_eq!(tmdb.control("GET", "/__films/12", "")["hidden"], true);
    tmdb.control("POST", "/__films/12/show", "");
    assert_eq!(tmdb.json("/movie/12")["title"], "Finding Nemo");
}

#[test]
fn a_wrong_control_call_says_what_is_wrong() {
    let tmdb = DemoTmdb::start();
    for (method, path, body, status, message) in [
        ("POST", "/__faults", "nonsense", 400, "not a fault"),
        (
            "POST",
            "/__faults",
            r#"{"kind":"reset","paht":"x"}"#,
            400,
            "unknown field `paht`",
        ),
        ("DELETE", "/__faults/7", "", 404, "no fault"),
        (
            "POST",
            "/__films/11",
            r#"{"titel":"x"}"#,
            400,
            "unknown field `titel`",
        ),
        ("POST", "/__films/11", r#"{"runtime":-1}"#, 400, "runtime"),
        ("POST", "/__films/11", r#"{"title":null}"#, 400, "title"),
        ("POST", "/__films/11", r#"{"title":""}"#, 400, "title"),
        (
            "POST",
            "/__films/11",
            r#"{"genre_ids":[1]}"#,
            400,
            "genre_ids",
        ),
        (
            "POST",
            "/__films/11",
            r#"{"release_date":"2024-02-30"}"#,
            400,
            "date",
        ),
        ("POST", "/__films/11", "[]", 400, "object"),
        ("POST", "/__films/999999999", "{}", 404, "no film"),
        ("POST", "/__films/x/hide", "", 404, "no film"),
    ] {
        let answer = tmdb.send(method, path, "", body).expect("a response");
        assert_eq!(answer.status, status, "{method} {path} {body}");
        let error = answer.json()["error"]
            .as_str()
            .expect("a message")
            .to_owned();
        assert!(error.contains(message), "{method} {path} {body}: {error}");
    }
    assert_eq!(tmdb.json("/movie/11")["title"], "Star Wars");
    assert_eq!(tmdb.control("GET", "/__faults", "")["faults"], json!([]));
}

#[test]
fn calls_are_counted() {
    let tmdb = DemoTmdb::start();
    tmdb.get("/movie/11");
    tmdb.get("/movie/11/watch/providers");
    tmdb.get("/movie/999999999");
    tmdb.get("/movie/popular");
    tmdb.get("/trending/movie/day");
    tmdb.get("/person/1");
    tmdb.get("/discover/movie?page=0");
    let stats = tmdb.control("GET", "/__stats", "");
    assert_eq!(stats["total"], 7);
    assert_eq!(
        stats["by_kind"],
        json!({ "movie": 2, "movie_part": 1, "popular": 1, "trending": 1, "other": 1, "discover": 1 })
    );
    assert_eq!(stats["by_status"], json!({ "200": 4, "404": 2, "400": 1 }));
    assert_eq!(
        (&stats["in_flight"], &stats["max_in_flight"]),
        (&json!(0), &json!(1))
    );
    let seconds = stats["per_second"].as_array().expect("a list");
    assert_eq!(
        seconds
            .iter()
            .filter_map(|second| second["calls"].as_u64())
            .sum::<u64>(),
        7
    );
    tmdb.control("DELETE", "/__stats", "");
    assert_eq!(tmdb.control("GET", "/__stats", "")["total"], 0);
}

#[test]
fn calls_in_flight_at_once_are_counted() {
    let tmdb = DemoTmdb::start();
    tmdb.faults(r#"{"kind":"latency","ms":300}"#);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| tmdb.get("/movie/11"));
        }
    });
    let stats = tmdb.control("GET", "/__stats", "");
    assert_eq!(
        (&stats["max_in_flight"], &stats["max_in_one_second"]),
        (&json!(5), &json!(5))
    );
    assert_eq!(stats["by_fault"], json!({ "latency": 5 }));
}

#[test]
fn generated_films_are_added_and_real_ones_stay_as_they_are() {
    let tmdb = DemoTmdb::start_with(&[("DEMO_EXTRA_FILMS", "5000")]);
    assert_eq!(tmdb.json("/discover/movie")["total_results"], 649 + 5000);
    let film = tmdb.json("/movie/10000123?language=ko");
    assert_eq!(
        (&film["title"], &film["imdb_id"]),
        (&json!("데모 영화 000123"), &json!("tt9900000123"))
    );
    assert_eq!(
        tmdb.json("/movie/tt9900000123")["title"],
        "Demo Film 000123"
    );
    let plain = DemoTmdb::start();
    assert_eq!(
        plain.json("/movie/11?append_to_response=credits,keywords"),
        tmdb.json("/movie/11?append_to_response=credits,keywords")
    );
}

#[test]
fn sample_providers_are_marked_and_can_be_left_out() {
    let without = DemoTmdb::start_with(&[("DEMO_PROVIDERS", "false")]);
    assert_eq!(
        without.json("/movie/11/watch/providers")["results"],
        json!({})
    );
    let tmdb = DemoTmdb::start();
    let korean = tmdb.all_ids("/discover/movie?with_watch_providers=97&watch_region=KR");
    assert!((50..400).contains(&korean.len()), "{}", korean.len());
    assert!(
        tmdb.ids("/discover/movie?with_watch_providers=97&watch_region=US")
            .is_empty()
    );
    let offered = tmdb.json(&format!("/movie/{}/watch/providers", korean[0]));
    let region = offered["results"]["KR"].as_object().expect("Korea");
    assert_eq!(region["sample"], true);
    assert!(
        region["link"]
            .as_str()
            .expect("text")
            .ends_with("locale=KR")
    );
    assert!(
        region
            .values()
            .filter_map(|offer| offer.as_array())
            .flatten()
            .any(|entry| entry["provider_name"] == "Watcha")
    );
    assert_eq!(
        tmdb.json("/watch/providers/movie?watch_region=US")["results"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );
}
