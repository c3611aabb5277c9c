//! The internal endpoint that matches movies of imported lists.

use chassis::testing::post;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

/// Stores a movie with its id, titles, day of release and votes.
async fn film(pool: &PgPool, id: i64, title: &str, others: Value, day: Option<&str>, votes: i32) {
    sqlx::query(
        "insert into movie (id, title, original_title, original_language, overview, release_date,
             popularity, vote_average, vote_count, adult, genre_ids, countries, keywords, people,
             providers, titles, document, source_hash)
         values ($1, $2, $3 ->> 'original', 'en', '', $4::date, 1, 5, $5, false, '{}', '{}', '[]', '[]',
             '[]', $3 -> 'titles', '{}', 'x')",
    )
    .bind(id)
    .bind(title)
    .bind(others)
    .bind(day)
    .bind(votes)
    .execute(pool)
    .await
    .unwrap();
}

fn named(original: &str) -> Value {
    json!({"original": original, "titles": []})
}

async fn ask(test: &TestApp, movies: Value, fetch: usize) -> (Vec<Value>, i64) {
    let body = json!({"movies": movies, "fetch": fetch});
    let answer = post(&test.app, "/internal/v1/movies/match", body)
        .await
        .expect(200);
    let mut matches = answer["matches"].as_array().unwrap().clone();
    for found in &mut matches {
        found.as_object_mut().unwrap().remove("candidates");
    }
    (matches, answer["fetched"].as_i64().unwrap())
}

fn found(id: i64) -> Value {
    json!({"id": id})
}

fn none(why: &str) -> Value {
    json!({"unmatched": why})
}

#[sqlx::test]
async fn titles_match_without_case_accents_and_punctuation(pool: PgPool) {
    let test = TestApp::new(&pool);
    let others = json!({"original": "Der Höhenweg", "titles": [
        {"title": "구름 위의 길", "language": "ko", "country": "KR"},
        {"title": "High Road & Low Road", "language": "en", "country": "GB"},
    ]});
    film(&pool, 1, "The High-Road", others, Some("2001-05-04"), 10).await;
    for (title, year, wanted) in [
        ("The High-Road", Some(2001), found(1)),
        ("  the HIGH road! ", Some(2000), found(1)),
        ("der hohenweg", Some(2002), found(1)),
        ("구름 위의 길", None, found(1)),
        ("High Road and Low Road", None, found(1)),
        ("The High-Road", Some(1999), none("unknown")),
        ("The High", Some(2001), none("unknown")),
        ("!?", None, none("unknown")),
        ("", None, none("unknown")),
    ] {
        let movies = json!([{"title": title, "year": year}]);
        assert_eq!(ask(&test, movies, 0).await.0, [wanted], "{title} {year:?}");
    }
    sqlx::query("update movie set removed_at = now()")
        .execute(&pool)
        .await
        .unwrap();
    let movies = json!([{"title": "The High-Road"}, {"tmdb_id": 1}]);
    let gone = ask(&test, movies, 0).await.0;
    assert_eq!(gone, [none("unknown"), none("deferred")]);
}

#[sqlx::test]
async fn among_equal_titles_the_best_known_of_the_year_matches(pool: PgPool) {
    let test = TestApp::new(&pool);
    film(
        &pool,
        1,
        "Twice Told",
        named("Twice Told"),
        Some("1990-01-01"),
        9,
    )
    .await;
    film(
        &pool,
        2,
        "Twice Told",
        named("Twice Told"),
        Some("1990-12-31"),
        70,
    )
    .await;
    film(
        &pool,
        3,
        "Twice Told",
        named("Twice Told"),
        Some("1991-06-01"),
        800,
    )
    .await;
    film(&pool, 4, "Twice Told", named("Twice Told"), None, 5000).await;
    for (year, wanted) in [
        (Some(1990), found(2)),
        (Some(1991), found(3)),
        (Some(1992), found(3)),
        (Some(1989), none("ambiguous")),
        (Some(2010), none("unknown")),
        (None, none("ambiguous")),
    ] {
        let movies = json!([{"title": "Twice told", "year": year}]);
        assert_eq!(ask(&test, movies, 0).await.0, [wanted], "{year:?}");
    }
}

#[sqlx::test]
async fn ids_precede_titles_and_unknown_ids_are_fetched_within_the_bound(pool: PgPool) {
    let test = TestApp::new(&pool);
    film(
        &pool,
        900_001,
        "Alone",
        named("Alone"),
        Some("1990-01-01"),
        9,
    )
    .await;
    sqlx::query("update movie set imdb_id = 'tt7777777'")
        .execute(&pool)
        .await
        .unwrap();
    let movies = json!([
        {"tmdb_id": 900_001, "title": "Something else"},
        {"imdb_id": "tt7777777", "tmdb_id": 1},
        {"tmdb_id": 603},
        {"tmdb_id": 603},
        {"tmdb_id": 278},
        // An id that TMDB does not have, with a known title.
        {"tmdb_id": 1, "title": "Alone", "year": 1990},
    ]);
    let (matches, fetched) = ask(&test, movies.clone(), 0).await;
    let deferred = || none("deferred");
    let mut wanted = vec![
        found(900_001),
        found(900_001),
        deferred(),
        deferred(),
        deferred(),
        deferred(),
    ];
    assert_eq!((&matches, fetched), (&wanted, 0));

    let (matches, fetched) = ask(&test, movies.clone(), 3).await;
    wanted[2..].clone_from_slice(&[found(603), found(603), found(278), found(900_001)]);
    assert_eq!((matches, fetched), (wanted, 3));

    // While TMDB is down, an unknown id may still exist.
    test.tmdb.faults(r#"{"kind": "status", "status": 503}"#);
    let (matches, fetched) = ask(&test, json!([{"tmdb_id": 155}]), 10).await;
    assert_eq!((matches, fetched), (vec![deferred()], 0));
}

#[sqlx::test]
async fn titles_that_the_catalogue_lacks_are_searched_at_tmdb_within_the_bound(pool: PgPool) {
    let test = TestApp::new(&pool);
    let movies = json!([
        {"title": "inception!", "year": 2010},
        {"title": "The Matrix", "year": 2000},
        {"title": "인셉션", "year": 2010},
        {"title": "Qqxz Vvkj", "year": 1990},
        {"title": "Inception", "year": 2010, "imdb_id": "tt0000009"},
    ]);
    let expected = [
        found(27205),
        found(603),
        found(27205),
        none("unknown"),
        none("unknown"),
    ];
    let (matches, fetched) = ask(&test, movies.clone(), 50).await;
    assert_eq!(matches, expected);
    // An id, three times two searches, one search with a movie, and two movies more.
    assert!((6..=12).contains(&fetched), "{fetched}");
    let again = ask(&test, movies.clone(), 0).await;
    assert_eq!(again.0[..3], expected[..3]);
    // Titles of several imports are searched once: an unknown id is left, and a movie of the year before.
    let (matches, fetched) = ask(&test, movies, 50).await;
    assert_eq!(matches[..4], expected[..4]);
    assert!(fetched <= 2, "{fetched}");

    let short = json!([{"title": "Gladiator", "year": 2000}, {"title": "Se7en", "year": 1995}]);
    let (matches, fetched) = ask(&test, short, 1).await;
    assert!(matches.contains(&none("deferred")), "{matches:?}");
    assert!(fetched <= 1);
}

#[sqlx::test]
async fn ambiguous_titles_and_those_of_other_ids_have_candidates(pool: PgPool) {
    let test = TestApp::new(&pool);
    for (id, votes) in [(1, 9), (2, 9)] {
        let day = Some("1990-01-01");
        film(&pool, id, "Twice Told", named("Twice Told"), day, votes).await;
    }
    sqlx::query("update movie set imdb_id = 'tt000000' || id")
        .execute(&pool)
        .await
        .unwrap();
    let body = json!({"movies": [
        {"title": "Twice Told", "year": 1990},
        {"title": "Twice Told", "year": 1990, "imdb_id": "tt0000002"},
        {"title": "Twice Told", "year": 1990, "imdb_id": "tt9999999"},
    ], "fetch": 9});
    let answer = post(&test.app, "/internal/v1/movies/match", body)
        .await
        .expect(200);
    let candidates = json!([
        {"tmdb_id": 1, "title": "Twice Told", "year": 1990},
        {"tmdb_id": 2, "title": "Twice Told", "year": 1990},
    ]);
    assert_eq!(
        answer["matches"],
        json!([
            {"unmatched": "ambiguous", "candidates": candidates},
            {"id": 2},
            {"unmatched": "unknown", "candidates": candidates},
        ])
    );
}

#[sqlx::test]
async fn invalid_fields_are_named(pool: PgPool) {
    let test = TestApp::new(&pool);
    let too_many = vec![json!({}); 1001];
    for (body, field) in [
        (
            json!({"movies": [{}, {"imdb_id": "7777777"}]}),
            "movies[1].imdb_id",
        ),
        (json!({"movies": [{"tmdb_id": 0}]}), "movies[0].tmdb_id"),
        (json!({"movies": [{"titel": "x"}]}), "movies[0].titel"),
        (json!({"movies": [{"title": "x\u{0}"}]}), "movies[0].title"),
        (json!({"movies": [{"year": -1}]}), "movies[0].year"),
        (json!({"movies": too_many}), "movies"),
        (json!({"movies": [], "fetch": 201}), "fetch"),
    ] {
        let problem = post(&test.app, "/internal/v1/movies/match", body)
            .await
            .expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
}
