//! Movies in other languages than the catalogue's.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use chassis::testing::{TestResponse, eventually, get, post, send};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

/// Translated into Korean.
const MATRIX: i64 = 603;
/// Originally in Korean.
const TRAIN_TO_BUSAN: i64 = 396_535;
/// Originally in Chinese, and not translated.
const HERO: i64 = 79;

/// The service with three movies.
async fn imported(pool: &PgPool) -> TestApp {
    let test = TestApp::new(pool);
    import(&test).await;
    test
}

async fn import(test: &TestApp) {
    let body = json!({"tmdb_ids": [MATRIX, TRAIN_TO_BUSAN, HERO]});
    let job = post(&test.app, "/api/v1/movies/import", body)
        .await
        .expect(200);
    assert_eq!(job["succeeded"], 3, "{job}");
}

/// The response to a request with `Accept-Language`.
async fn get_accepting(test: &TestApp, path: &str, accepted: &str) -> TestResponse {
    let request = Request::get(path).header("accept-language", accepted);
    send(&test.app, request.body(Body::empty()).unwrap()).await
}

/// The language of a response, which must vary by the client's.
fn language(response: &TestResponse) -> String {
    assert_eq!(response.headers["vary"], "Accept-Language");
    response.headers["content-language"]
        .to_str()
        .unwrap()
        .to_owned()
}

fn titles(list: &Value) -> Vec<&str> {
    let movies = list["data"].as_array().unwrap().iter();
    movies
        .map(|movie| movie["title"].as_str().unwrap())
        .collect()
}

#[sqlx::test]
async fn a_movie_is_shown_in_the_requested_language(pool: PgPool) {
    let test = imported(&pool).await;
    let path = format!("/api/v1/movies/{MATRIX}?include=credits");
    // Twice, from Postgres and from memory.
    for (query, accepted, shown) in [
        ("&language=ko-KR", "", "ko-KR"),
        ("&language=KO", "en", "ko"),
        ("&language=ko_kr", "", "ko-KR"),
        ("", "ko", "ko"),
        ("", "fr;q=0.5, ko-KR;q=0.9, *;q=0.1", "ko-KR"),
    ]
    .repeat(2)
    {
        let response = get_accepting(&test, &format!("{path}{query}"), accepted).await;
        assert_eq!(language(&response), shown, "{query} {accepted}");
        let movie = response.expect(200);
        assert_eq!(movie["title"], "매트릭스");
        assert_eq!(movie["original_title"], "The Matrix");
        assert_eq!(movie["genres"], json!(["SF", "액션"]));
        assert!(movie["overview"].as_str().unwrap().starts_with("1999년"));
        let credits = movie["credits"].as_array().unwrap();
        assert!(
            credits
                .iter()
                .any(|person| person["name"] == "키아누 리브스")
        );
        assert!(
            credits
                .iter()
                .all(|person| person.as_object().unwrap().len() == 3)
        );
    }
    for (query, accepted) in [
        ("", ""),
        ("&language=en", "ko"),
        ("&language=en-US", "ko"),
        ("&language=fr", "ko"),
        ("", "en-US,en;q=0.9,ko;q=0.8"),
        ("", "tlh, invalid language"),
    ] {
        let response = get_accepting(&test, &format!("{path}{query}"), accepted).await;
        assert_eq!(language(&response), "en-US", "{query} {accepted}");
        let movie = response.expect(200);
        assert_eq!(movie["title"], "The Matrix");
        assert_eq!(movie["genres"], json!(["Action", "Science Fiction"]));
    }
    for (id, requested, title, shown) in [
        (TRAIN_TO_BUSAN, "ko", "부산행", "ko"),
        (TRAIN_TO_BUSAN, "zh", "Train to Busan", "en-US"),
        (HERO, "zh-TW", "英雄", "zh-TW"),
        // The genres are in Korean.
        (HERO, "ko", "Hero", "ko"),
    ] {
        let path = format!("/api/v1/movies/{id}?language={requested}");
        let response = test.get(&path).await;
        assert_eq!(language(&response), shown, "{id} {requested}");
        assert_eq!(response.expect(200)["title"], title);
    }
}

#[sqlx::test]
async fn an_invalid_language_is_named(pool: PgPool) {
    let test = imported(&pool).await;
    let tag = "must be a language (BCP 47), such as ko or ko-KR";
    for (path, message) in [
        ("movies/603?language=korean", tag),
        ("movies/603?language=", tag),
        ("genres?language=k", tag),
        ("movies?language=ko-KR|ja", tag),
        ("movies?language=ko|ja&original_language=fr", tag),
        (
            "movies?language=korean",
            "`korean` must be two letters (ISO 639-1), such as ko",
        ),
        (
            "movies?ids=603&language=ko|ja",
            "cannot be given together with ids",
        ),
    ] {
        let problem = test.get(&format!("/api/v1/{path}")).await.expect(400);
        let error = json!([{"field": "language", "message": message}]);
        assert_eq!(problem["errors"], error, "{path}");
    }
    let problem = test.get("/api/v1/movies?original_language=ko-KR").await;
    assert_eq!(
        problem.expect(400)["errors"][0]["field"],
        "original_language"
    );
}

#[sqlx::test]
async fn caches_and_entity_tags_do_not_mix_languages(pool: PgPool) {
    let test = imported(&pool).await;
    for path in [
        "/api/v1/movies?fields=id,title,genres",
        "/api/v1/movies/603",
    ] {
        let mut tags = Vec::new();
        for (accepted, shown) in [
            ("", "en-US"),
            ("ko", "ko"),
            ("ko-KR", "ko-KR"),
            ("ja", "en-US"),
        ]
        .repeat(2)
        {
            let response = get_accepting(&test, path, accepted).await;
            assert_eq!(language(&response), shown, "{path} {accepted}");
            let tag = response.headers["etag"].to_str().unwrap().to_owned();
            assert_eq!(
                response.text.contains("매트릭스"),
                shown != "en-US",
                "{path} {accepted}"
            );
            assert_eq!(
                response.text.contains("액션"),
                shown != "en-US",
                "{path} {accepted}"
            );
            tags.push((response.text, tag));
        }
        for (text, tag) in &tags {
            for (other, other_tag) in &tags {
                assert!(text == other || tag != other_tag, "{path}: {tag}");
            }
        }
        let conditional = |accepted: &'static str| {
            let request = Request::get(path).header("if-none-match", &tags[1].1);
            let request = request.header("accept-language", accepted);
            send(&test.app, request.body(Body::empty()).unwrap())
        };
        let unchanged = conditional("ko").await;
        assert_eq!(
            (unchanged.status, language(&unchanged).as_str()),
            (StatusCode::NOT_MODIFIED, "ko")
        );
        assert_eq!(conditional("").await.status, 200);
    }
}

#[sqlx::test]
async fn a_list_is_filtered_by_the_original_and_shown_in_the_display_language(pool: PgPool) {
    let test = imported(&pool).await;
    for (query, accepted, expected) in [
        ("", "", "The Matrix, Train to Busan, Hero"),
        ("language=ko-KR", "", "매트릭스, 부산행, Hero"),
        ("", "ko", "매트릭스, 부산행, Hero"),
        ("language=zh-CN", "ko", "The Matrix, Train to Busan, 英雄"),
        ("language=ko", "", "부산행"),
        ("language=ko|zh", "", "Train to Busan, Hero"),
        ("language=ko|zh", "ko", "부산행, Hero"),
        ("original_language=ko|zh", "", "Train to Busan, Hero"),
        ("original_language=en&language=ko", "", "매트릭스"),
        ("original_language=ko&language=en", "ko", "Train to Busan"),
        ("ids=603,396535&language=ko", "", "매트릭스, 부산행"),
        ("ids=603,396535", "ko", "매트릭스, 부산행"),
    ] {
        // Twice, from Postgres and from memory.
        for _ in 0..2 {
            let path = format!("/api/v1/movies?{query}");
            let response = get_accepting(&test, &path, accepted).await;
            let translated = !expected.is_ascii();
            assert_eq!(
                language(&response) != "en-US",
                translated,
                "{query} {accepted}"
            );
            let shown = titles(&response.expect(200)).join(", ");
            assert_eq!(shown, expected, "{query} {accepted}");
        }
    }
    // A walk may change its display language.
    let first = test
        .get("/api/v1/movies?page_size=1&language=ko-KR")
        .await
        .expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = format!("/api/v1/movies?page_size=1&cursor={cursor}");
    assert_eq!(
        titles(&test.get(&second).await.expect(200)),
        ["Train to Busan"]
    );
    let filtered = test.get(&format!("{second}&language=ko")).await.expect(400);
    assert_eq!(filtered["errors"][0]["field"], "cursor");
    let people = "/api/v1/movies?ids=603&fields=people,overview&language=ko";
    let movie = test.get(people).await.expect(200)["data"][0].clone();
    assert!(movie["overview"].as_str().unwrap().starts_with("1999년"));
    let people = movie["people"].as_array().unwrap();
    assert!(
        people.contains(&json!({"id": people[1]["id"], "name": "키아누 리브스", "job": "Actor"})),
        "{people:?}"
    );
}

#[sqlx::test]
async fn genres_are_named_and_found_in_every_language(pool: PgPool) {
    let test = imported(&pool).await;
    let names = |genres: &Value| -> Vec<String> {
        let genres = genres["genres"].as_array().unwrap().iter();
        genres
            .map(|genre| genre["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let english = test.get("/api/v1/genres").await;
    assert_eq!(language(&english), "en-US");
    let english = names(&english.expect(200));
    let korean = get_accepting(&test, "/api/v1/genres", "ko-KR").await;
    assert_eq!(language(&korean), "ko-KR");
    let korean = korean.expect(200);
    let drama = json!({"id": 18, "name": "드라마", "movie_count": 1});
    assert!(
        korean["genres"].as_array().unwrap().contains(&drama),
        "{korean}"
    );
    let korean = names(&korean);
    assert!(english.is_sorted() && korean.is_sorted() && english.len() == korean.len());
    let french = test.get("/api/v1/genres?language=fr").await;
    assert_eq!(language(&french), "en-US");
    assert_eq!(names(&french.expect(200)), english);
    for (one, other) in [
        ("genres=액션,sf", "genres=Action,Science Fiction"),
        ("without_genres=드라마", "without_genres=Drama"),
        ("genres=공포|Drama", "genres=Horror|드라마"),
    ] {
        let path = |query: &str| format!("/api/v1/movies?{}", query.replace(' ', "%20"));
        let found = test.ids(&path(one)).await;
        assert_eq!(found, test.ids(&path(other)).await, "{one}");
        assert!((1..3).contains(&found.len()), "{one}");
    }
    assert_eq!(
        test.ids("/api/v1/movies?people=공유").await,
        [TRAIN_TO_BUSAN]
    );
    let problem = test.get("/api/v1/movies?genres=드라머").await.expect(400);
    let message = "unknown genre `드라머`; did you mean `드라마`?";
    assert_eq!(
        problem["errors"],
        json!([{"field": "genres", "message": message}])
    );
}

#[sqlx::test]
async fn selected_movies_are_in_the_language_of_the_request_or_its_filter(pool: PgPool) {
    let test = imported(&pool).await;
    for (fields, title, genre, shown) in [
        (json!({}), "Train to Busan", "Action", "en-US"),
        (json!({"language": "ko-KR"}), "부산행", "SF", "ko-KR"),
        (
            json!({"filter": {"language": "ko"}}),
            "부산행",
            "공포",
            "ko",
        ),
        (
            json!({"filter": {"language": "ko"}, "language": "en"}),
            "Train to Busan",
            "Action",
            "en-US",
        ),
    ] {
        let mut body = json!({"ids": [TRAIN_TO_BUSAN, MATRIX], "limit": 5});
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let selected = post(&test.app, "/internal/v1/movies/select", body)
            .await
            .expect(200);
        assert_eq!(titles(&selected)[0], title, "{fields}");
        assert!(
            selected.to_string().contains(&format!("\"{genre}\"")),
            "{fields}"
        );
        assert_eq!(selected["language"], shown, "{fields}");
    }
}

#[sqlx::test]
async fn a_changed_translation_is_shown_and_recorded(pool: PgPool) {
    let test = imported(&pool).await;
    let path = format!("/api/v1/movies/{MATRIX}?language=ko");
    assert_eq!(test.get(&path).await.expect(200)["title"], "매트릭스");
    let list = "/api/v1/movies?language=ko-KR";
    assert_eq!(titles(&test.get(list).await.expect(200))[0], "매트릭스");
    let control = format!("/__films/{MATRIX}");
    test.tmdb
        .control("POST", &control, r#"{"korean_title": "메트릭스"}"#);
    import(&test).await;
    assert_eq!(test.get(&path).await.expect(200)["title"], "메트릭스");
    eventually("the new title in the list", async || {
        titles(&test.get(list).await.expect(200))[0] == "메트릭스"
    })
    .await;
    test.tmdb
        .control("POST", &control, r#"{"korean_title": null}"#);
    import(&test).await;
    let movie = test.get(&path).await.expect(200);
    assert_eq!(
        (&movie["title"], &movie["genres"][0]),
        (&json!("The Matrix"), &json!("SF"))
    );
    let snapshot = get(&test.app, "/internal/v1/snapshot").await.text;
    let line = snapshot
        .lines()
        .find(|line| line.contains("부산행"))
        .unwrap();
    let movie = serde_json::from_str::<Value>(line).unwrap()["payload"].clone();
    let horror = json!({"id": 27, "name": "Horror", "names": {"ko": "공포"}});
    assert!(
        movie["genres"].as_array().unwrap().contains(&horror),
        "{movie}"
    );
    let people = movie["people"].as_array().unwrap();
    assert!(
        people
            .iter()
            .any(|person| person["names"] == json!({"ko": "공유"})),
        "{movie}"
    );
}

#[sqlx::test]
async fn names_are_requested_in_the_configured_languages_alone(pool: PgPool) {
    let calls = |test: &TestApp| {
        let kinds = test.tmdb.control("GET", "/__stats", "")["by_kind"].clone();
        ["genres", "movie", "movie_part"].map(|kind| kinds[kind].as_i64().unwrap_or(0))
    };
    let none = TestApp::with(&pool, &[("TMDB_LANGUAGES", "")]);
    import(&none).await;
    assert_eq!(calls(&none), [1, 3, 0]);
    let path = format!("/api/v1/movies/{MATRIX}?include=credits&language=ko");
    let movie = none.get(&path).await.expect(200);
    assert_eq!(
        (&movie["title"], &movie["genres"][0]),
        (&json!("매트릭스"), &json!("Action"))
    );
    assert!(movie["credits"].to_string().contains("Keanu Reeves"));
    // By a common translation, though no name of a genre is known in Korean.
    none.get("/api/v1/movies?genres=액션").await.expect(200);
    // Two of the three movies are translated into Korean.
    none.tmdb.control("DELETE", "/__stats", "");
    let korean = TestApp::beside(&pool, std::sync::Arc::clone(&none.tmdb), &[]);
    import(&korean).await;
    assert_eq!(calls(&korean), [2, 3, 2]);
    let movie = korean.get(&path).await.expect(200);
    assert_eq!(movie["genres"][0], "SF");
    assert!(movie["credits"].to_string().contains("키아누 리브스"));
    import(&korean).await;
    assert_eq!(calls(&korean), [2, 6, 4], "the names of genres are known");
    eventually("the names in the filter", async || {
        korean.get("/api/v1/movies?genres=액션").await.status == 200
    })
    .await;
}

#[sqlx::test(migrations = false)]
async fn translations_of_stored_documents_are_migrated(pool: PgPool) {
    let migrator = &movie_service::database::MIGRATOR;
    migrator.run_to(5, &pool).await.unwrap();
    let entry = |language: &str, region: &str, title: &str, overview: &str| json!({"iso_639_1": language, "iso_3166_1": region, "data": {"title": title, "overview": overview}});
    let document = json!({"translations": {"translations": [
        entry("en", "US", "", "Zombies."), entry("ko", "KR", "부산행", " 좀비."), entry("ko", "KR", "again", ""),
        entry("fr", "", "Dernier train", ""), entry("de", "DE", "Train", ""), json!({"iso_639_1": "it"}), json!(null),
    ]}});
    for (id, document) in [
        (1_i64, document),
        (2, json!({})),
        (3, json!({"translations": {"translations": 7}})),
    ] {
        sqlx::query(
            "insert into movie (id, title, original_title, original_language, overview, popularity, vote_average,
                 vote_count, adult, genre_ids, countries, keywords, people, providers, titles, document, source_hash)
             values ($1, 'Train', 'Train', 'en', 'Zombies.', 1, 5, 0, false, '{}', '{}', '[]', '[]', '[]', '[]', $2, 'x')",
        )
        .bind(id)
        .bind(document)
        .execute(&pool)
        .await
        .unwrap();
    }
    migrator.run(&pool).await.unwrap();
    let rows: Vec<(i64, String, String, String, String)> =
        sqlx::query_as("select movie_id, language, region, title, overview from movie_translation order by language")
            .fetch_all(&pool)
            .await
            .unwrap();
    let row = |language: &str, region: &str, title: &str, overview: &str| {
        let text = str::to_owned;
        (1, text(language), text(region), text(title), text(overview))
    };
    assert_eq!(
        rows,
        [
            row("fr", "", "Dernier train", ""),
            row("ko", "KR", "부산행", "좀비.")
        ]
    );
    let test = TestApp::new(&pool);
    let list = test.get("/api/v1/movies?language=fr-CA").await.expect(200);
    assert_eq!((titles(&list)[0], ids(&list)[0]), ("Train", 3));
    let movie = test
        .get("/api/v1/movies?ids=1&language=fr-CA")
        .await
        .expect(200);
    assert_eq!(titles(&movie), ["Dernier train"]);
}
