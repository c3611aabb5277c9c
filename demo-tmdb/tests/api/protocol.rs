//! TMDB's protocol around the lists: one film and its parts, languages, keys and errors.

use serde_json::json;

use crate::support::DemoTmdb;

#[test]
fn a_film_has_its_parts_at_once_and_one_by_one() {
    let tmdb = DemoTmdb::start();
    let parts = [
        "credits",
        "keywords",
        "watch/providers",
        "translations",
        "external_ids",
        "alternative_titles",
        "release_dates",
        "images",
        "videos",
        "similar",
        "recommendations",
        "reviews",
        "lists",
        "changes",
    ];
    let film = tmdb.json(&format!(
        "/movie/11?append_to_response={},nonsense",
        parts.join(",")
    ));
    assert_eq!(
        (&film["id"], &film["title"], &film["runtime"]),
        (&json!(11), &json!("Star Wars"), &json!(121))
    );
    assert!(film.get("nonsense").is_none());
    for part in parts {
        let mut alone = tmdb.json(&format!("/movie/11/{part}"));
        if !["similar", "recommendations", "changes"].contains(&part) {
            assert_eq!(
                alone.as_object_mut().expect("an object").remove("id"),
                Some(json!(11)),
                "{part}"
            );
        }
        assert_eq!(film[part], alone, "{part}");
    }
    assert_eq!(film["credits"]["crew"][0]["name"], "George Lucas");
    assert_eq!(film["credits"]["cast"][0]["name"], "Mark Hamill");
    assert_eq!(film["watch/providers"]["results"]["KR"]["sample"], true);
    assert_eq!(tmdb.json("/movie/11-star-wars")["id"], 11);

    let many = (1..=21)
        .map(|number| format!("part{number}"))
        .collect::<Vec<_>>()
        .join(",");
    let answer = tmdb.get(&format!("/movie/11?append_to_response={many}"));
    assert_eq!(
        (answer.status, answer.json()["status_code"].clone()),
        (400, json!(27))
    );
}

#[test]
fn korean_titles_genres_and_names_come_when_asked_for() {
    let tmdb = DemoTmdb::start();
    let korean = tmdb.json(
        "/movie/12?language=ko-KR&append_to_response=credits,translations,alternative_titles",
    );
    assert_eq!(
        (&korean["title"], &korean["original_title"]),
        (&json!("니모를 찾아서"), &json!("Finding Nemo"))
    );
    assert_eq!(
        korean["genres"][0],
        json!({ "id": 16, "name": "애니메이션" })
    );
    let actor = &korean["credits"]["cast"][0];
    assert_eq!(
        (&actor["name"], &actor["original_name"]),
        (&json!("앨버트 브룩스"), &json!("Albert Brooks"))
    );
    assert_eq!(
        korean["translations"]["translations"][1]["data"]["title"],
        "니모를 찾아서"
    );
    assert_eq!(
        korean["alternative_titles"]["titles"][0]["iso_3166_1"],
        "KR"
    );
    assert!(
        korean["overview"]
            .as_str()
            .expect("text")
            .starts_with("2003년")
    );

    // The original title is not repeated as a translation.
    let titles = |path: &str| {
        let body = tmdb.json(path);
        let all = body["translations"].as_array().expect("a list").iter();
        let titles = all.map(|entry| entry["data"]["title"].as_str().expect("text").to_owned());
        titles.collect::<Vec<_>>()
    };
    assert_eq!(titles("/movie/12/translations"), ["", "니모를 찾아서"]);
    assert_eq!(titles("/movie/496243/translations"), ["Parasite", ""]);
    assert_eq!(tmdb.json("/movie/12")["title"], "Finding Nemo");
    assert_eq!(tmdb.json("/movie/79?language=zh-CN")["title"], "英雄");
    // No Korean title is known, so TMDB's fall-back.
    assert_eq!(tmdb.json("/movie/79?language=ko")["title"], "Hero");
    assert_eq!(
        tmdb.json("/search/movie?query=nemo&language=ko-KR")["results"][0]["title"],
        "니모를 찾아서"
    );
    let genres = tmdb.json("/genre/movie/list?language=ko");
    assert_eq!(
        (
            genres["genres"].as_array().map(Vec::len),
            &genres["genres"][0]["name"]
        ),
        (Some(19), &json!("액션"))
    );
}

#[test]
fn a_key_is_needed_in_the_query_or_as_a_token() {
    let tmdb = DemoTmdb::start();
    let status = |path: &str, headers: &str| {
        tmdb.send("GET", path, headers, "")
            .expect("a response")
            .status
    };
    assert_eq!(status("/3/movie/11?api_key=abc", ""), 200);
    assert_eq!(status("/3/movie/11", "Authorization: Bearer abc\r\n"), 200);
    assert_eq!(status("/3/movie/11", "authorization: bearer abc\r\n"), 200);
    for (path, headers) in [
        ("/3/movie/11", ""),
        ("/3/movie/11?api_key=", ""),
        ("/3/movie/11?api_key=invalid", ""),
        ("/3/movie/11", "Authorization: Bearer invalid\r\n"),
        ("/3/movie/11", "Authorization: Bearer \r\n"),
        ("/3/movie/11", "Authorization: Basic abc\r\n"),
        ("/3/no/such/path", ""),
    ] {
        let answer = tmdb.send("GET", path, headers, "").expect("a response");
        assert_eq!(answer.status, 401, "{path} {headers}");
        assert_eq!(
            answer.json(),
            json!({
                "success": false,
                "status_code": 7,
                "status_message": "Invalid API key: You must be granted a valid key.",
            })
        );
        assert_eq!(
            answer.header("content-type"),
            Some("application/json;charset=utf-8")
        );
    }
}

#[test]
fn what_is_not_there_is_said_as_tmdb_says_it() {
    let tmdb = DemoTmdb::start();
    for (path, code) in [
        ("/movie/999999999", 34),
        ("/movie/999999999/keywords", 34),
        ("/movie/tt0000000", 34),
        ("/movie/11/colour", 34),
        ("/movie/x", 6),
        ("/movie/0", 6),
        ("/movie/-11", 6),
        ("/movie/99999999999999999999", 6),
        ("/trending/movie/year", 34),
        ("/person/1/nothing", 34),
        ("", 34),
    ] {
        let answer = tmdb.get(path);
        assert_eq!(
            (answer.status, answer.json()["status_code"].clone()),
            (404, json!(code)),
            "{path}"
        );
        assert_eq!(answer.json()["success"], false);
    }
    let answer = tmdb
        .send("POST", "/3/movie/11?api_key=a", "", "")
        .expect("a response");
    assert_eq!(
        (answer.status, answer.json()["status_code"].clone()),
        (405, json!(42))
    );
}
