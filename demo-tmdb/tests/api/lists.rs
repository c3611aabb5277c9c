//! Lists: what is on them, in which order, on which page, and what filters and search keep.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::DemoTmdb;

const FILMS: usize = 649;

#[test]
fn every_list_answers_with_films() {
    let tmdb = DemoTmdb::start();
    for path in [
        "/discover/movie",
        "/search/movie?query=the",
        "/trending/movie/day",
        "/trending/movie/week",
        "/movie/popular",
        "/movie/top_rated",
        "/movie/now_playing",
        "/movie/upcoming",
        "/movie/11/similar",
    ] {
        let body = tmdb.json(path);
        let films = body["results"].as_array().expect(path);
        assert!(!films.is_empty(), "{path}");
        for film in films {
            assert!(!film["title"].as_str().expect("text").is_empty(), "{path}");
            assert!(
                film["overview"].as_str().expect("text").ends_with('.'),
                "{path}"
            );
            assert_eq!(
                film["media_type"] == json!("movie"),
                path.contains("trending"),
                "{path}"
            );
        }
    }
    assert_eq!(tmdb.json("/movie/11/recommendations")["results"], json!([]));
    assert_ne!(
        tmdb.ids("/trending/movie/day"),
        tmdb.ids("/trending/movie/week")
    );
}

#[test]
fn walking_discover_gives_every_film_exactly_once_in_every_order() {
    let tmdb = DemoTmdb::start();
    for by in [
        "popularity",
        "primary_release_date",
        "vote_average",
        "vote_count",
        "title",
        "original_title",
        "revenue",
    ] {
        for direction in ["asc", "desc"] {
            let ids = tmdb.all_ids(&format!("/discover/movie?sort_by={by}.{direction}"));
            assert_eq!(ids.len(), FILMS, "{by}.{direction}");
            assert_eq!(
                ids.iter().collect::<BTreeSet<_>>().len(),
                FILMS,
                "{by}.{direction}"
            );
        }
    }
}

#[test]
fn lists_are_in_the_order_asked_for() {
    let tmdb = DemoTmdb::start();
    for (by, field) in [
        ("popularity", "popularity"),
        ("vote_average", "vote_average"),
        ("vote_count", "vote_count"),
    ] {
        let number = |film: &Value| film[field].as_f64().expect("a number");
        let body = tmdb.json(&format!("/discover/movie?sort_by={by}.desc"));
        assert!(
            body["results"]
                .as_array()
                .expect("films")
                .is_sorted_by(|a, b| number(a) >= number(b)),
            "{by}"
        );
        let body = tmdb.json(&format!("/discover/movie?sort_by={by}.asc"));
        assert!(
            body["results"]
                .as_array()
                .expect("films")
                .is_sorted_by(|a, b| number(a) <= number(b)),
            "{by}"
        );
    }
    let newest = tmdb.json("/discover/movie?sort_by=primary_release_date.desc");
    assert_eq!(newest["results"][0]["release_date"], "2026-02-12");
}

#[test]
fn pages_are_numbered_from_1_to_500() {
    let tmdb = DemoTmdb::start();
    let first = tmdb.json("/discover/movie");
    assert_eq!(
        (
            &first["page"],
            &first["total_pages"],
            &first["total_results"]
        ),
        (&json!(1), &json!(33), &json!(649))
    );
    assert_eq!(tmdb.ids("/discover/movie?page=33").len(), FILMS % 20);
    // Past the end is empty, not an error.
    let beyond = tmdb.json("/discover/movie?page=500");
    assert_eq!(
        (&beyond["page"], &beyond["results"]),
        (&json!(500), &json!([]))
    );
    for page in ["0", "501", "-1", "x", "", "1.5", "1000000000000"] {
        let answer = tmdb.get(&format!("/discover/movie?page={page}"));
        assert_eq!(
            (answer.status, answer.json()["status_code"].clone()),
            (400, json!(22)),
            "page={page}"
        );
    }
}

#[test]
fn filters_keep_what_they_say() {
    let tmdb = DemoTmdb::start();
    // The reference: all movies, filtered by `select`.
    let mut films = Vec::new();
    for page in 1..=33 {
        let body = tmdb.json(&format!("/discover/movie?page={page}"));
        films.extend(body["results"].as_array().expect("films").iter().cloned());
    }
    let has = |film: &Value, genre: u32| {
        film["genre_ids"]
            .as_array()
            .expect("ids")
            .contains(&json!(genre))
    };
    let date = |film: &Value| film["release_date"].as_str().expect("a day").to_owned();
    let average = |film: &Value| film["vote_average"].as_f64().expect("a number");
    type Select<'a> = &'a dyn Fn(&Value) -> bool;
    let cases: [(&str, Select<'_>); 12] = [
        ("with_genres=18", &|film| has(film, 18)),
        ("with_genres=28,12", &|film| has(film, 28) && has(film, 12)),
        ("with_genres=37%7C10752", &|film| {
            has(film, 37) || has(film, 10752)
        }),
        ("without_genres=18,28", &|film| {
            !has(film, 18) && !has(film, 28)
        }),
        ("with_original_language=ko", &|film| {
            film["original_language"] == "ko"
        }),
        ("with_original_language=ko%7Cja", &|film| {
            film["original_language"] == "ko" || film["original_language"] == "ja"
        }),
        (
            "primary_release_date.gte=2020-01-01&primary_release_date.lte=2020-12-31",
            &|film| date(film).starts_with("2020"),
        ),
        ("release_date.gte=2024-06-01", &|film| {
            date(film).as_str() >= "2024-06-01"
        }),
        ("primary_release_year=1999", &|film| {
            date(film).starts_with("1999")
        }),
        ("year=1999", &|film| date(film).starts_with("1999")),
        ("vote_average.gte=7.5&vote_average.lte=8", &|film| {
            (7.5..=8.0).contains(&average(film))
        }),
        (
            "vote_count.gte=20000&include_adult=true&region=KR&unknown=1",
            &|film| film["vote_count"].as_u64() >= Some(20000),
        ),
    ];
    for (query, keeps) in cases {
        let expected: BTreeSet<i64> = films
            .iter()
            .filter(|film| keeps(film))
            .filter_map(|film| film["id"].as_i64())
            .collect();
        let found: BTreeSet<i64> = tmdb
            .all_ids(&format!("/discover/movie?{query}"))
            .into_iter()
            .collect();
        assert!(!expected.is_empty(), "{query} keeps nothing");
        assert_eq!(found, expected, "{query}");
    }
    for id in tmdb.ids("/discover/movie?with_runtime.gte=100&with_runtime.lte=101") {
        let runtime = tmdb.json(&format!("/movie/{id}"))["runtime"].as_u64();
        assert!(runtime == Some(100) || runtime == Some(101), "{runtime:?}");
    }
    // A provider without movies leaves none, but only with a region.
    assert!(
        tmdb.ids("/discover/movie?with_watch_providers=7&watch_region=US")
            .is_empty()
    );
    assert!(
        !tmdb
            .ids("/discover/movie?with_watch_providers=7")
            .is_empty()
    );
}

#[test]
fn filters_take_the_ids_of_people_and_keywords_that_a_film_shows() {
    let tmdb = DemoTmdb::start();
    let film = tmdb.json("/movie/11?append_to_response=credits,keywords");
    let director = &film["credits"]["crew"][0]["id"];
    let actor = &film["credits"]["cast"][1]["id"];
    let keyword = &film["keywords"]["keywords"][0]["id"];
    assert!(
        tmdb.ids(&format!("/discover/movie?with_crew={director}"))
            .contains(&11)
    );
    assert!(
        !tmdb
            .ids(&format!("/discover/movie?with_cast={director}"))
            .contains(&11)
    );
    assert!(
        tmdb.all_ids(&format!("/discover/movie?with_cast={actor}"))
            .len()
            > 2
    );
    assert!(
        tmdb.ids(&format!("/discover/movie?with_people={director},{actor}"))
            .contains(&11)
    );
    assert!(
        tmdb.ids(&format!("/discover/movie?with_keywords={keyword}"))
            .contains(&11)
    );
    assert!(tmdb.ids("/discover/movie?with_people=1").is_empty());
}

#[test]
fn unreadable_filters_are_refused() {
    let tmdb = DemoTmdb::start();
    for query in [
        "primary_release_date.gte=2024-02-30",
        "with_genres=drama",
        "vote_count.gte=x",
        "sort_by=colour.asc",
    ] {
        let answer = tmdb.get(&format!("/discover/movie?{query}"));
        assert_eq!(
            (answer.status, answer.json()["status_code"].clone()),
            (422, json!(5)),
            "{query}"
        );
    }
}

#[test]
fn search_finds_titles_in_any_language_and_case() {
    let tmdb = DemoTmdb::start();
    for (query, id) in [
        ("star+wars", 11),
        ("FINDING%20nemo", 12),
        ("%EB%8B%88%EB%AA%A8", 12),
        // Citizen Kane in Korean, once with and once without the space.
        ("%EC%8B%9C%EB%AF%BC%20%EC%BC%80%EC%9D%B8", 15),
        ("%EC%8B%9C%EB%AF%BC%EC%BC%80%EC%9D%B8", 15),
        // Hero under its own title.
        ("%E8%8B%B1%E9%9B%84", 79),
    ] {
        assert_eq!(
            tmdb.ids(&format!("/search/movie?query={query}")).first(),
            Some(&id),
            "{query}"
        );
    }
    assert!(
        tmdb.ids("/search/movie?query=star+wars&year=1977")
            .contains(&11)
    );
    assert!(
        !tmdb
            .ids("/search/movie?query=star+wars&primary_release_year=1978")
            .contains(&11)
    );
    let nothing = tmdb.json("/search/movie?query=qqqqqq");
    assert_eq!(
        (&nothing["total_results"], &nothing["total_pages"]),
        (&json!(0), &json!(1))
    );
    assert!(tmdb.ids("/search/movie?query=").is_empty());
}

#[test]
fn now_playing_and_upcoming_follow_the_demo_day() {
    let tmdb = DemoTmdb::start_with(&[("DEMO_TODAY", "1977-06-01")]);
    let body = tmdb.json("/movie/now_playing");
    assert_eq!(
        body["dates"],
        json!({ "minimum": "1977-04-20", "maximum": "1977-06-01" })
    );
    assert_eq!(body["results"][0]["id"], 11);
    assert_eq!(
        tmdb.json("/movie/upcoming")["dates"]["maximum"],
        "1977-06-22"
    );
}
