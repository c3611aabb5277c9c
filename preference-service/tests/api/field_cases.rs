//! Files as people hold them, from public bug reports about importers: each is imported over HTTP, and the user's movies
//! are compared with what the file says.

use std::path::PathBuf;

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    imports::{counts, csv, ended, form, log, path, send},
    stage::{MovieService, TestApp},
};

/// The movies that the files name: TMDB's id, IMDb's id, title, year.
const MOVIES: [(i64, &str, &str, i32); 12] = [
    (14160, "tt1049413", "Up", 2009),
    (949, "tt0113277", "Heat", 1995),
    (438631, "tt1160419", "Dune", 2021),
    (348, "tt0078748", "Alien", 1979),
    (603, "tt0133093", "The Matrix", 1999),
    (807, "tt0114369", "Se7en", 1995),
    (578, "tt0073195", "Jaws", 1975),
    (155, "tt0468569", "The Dark Knight", 2008),
    (808, "tt0126029", "Shrek", 2001),
    (10674, "tt0120762", "Mulan", 1998),
    (79, "tt0299977", "Hero", 2002),
    (30018, "tt1216496", "Mother", 2009),
];

async fn stage(pool: &PgPool) -> (TestApp, MovieService, i64) {
    let movies = MovieService::start().await;
    for (id, imdb_id, title, year) in MOVIES {
        let payload =
            json!({"id": id, "version": 1, "title": title, "imdb_id": imdb_id, "year": year});
        movies.tell("movie.synced", id, payload);
    }
    let app = TestApp::new(pool, &movies);
    app.knows_films(MOVIES.len()).await;
    let user = app.user("anna").await;
    (app, movies, user)
}

fn folder(case: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/api/field-cases")
        .join(case)
}

fn file(case: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder(case).join(name)).expect("a fixture")
}

/// The user's interactions as `movie type rating day`.
async fn told(app: &TestApp, user: i64) -> Vec<String> {
    let log = log(app, user).await;
    let line = |(movie, kind, rating, at): (i64, String, Option<f64>, String)| {
        let rating = rating
            .map(|rating| format!(" {rating}"))
            .unwrap_or_default();
        format!("{movie} {kind}{rating} {}", &at[..10])
    };
    let mut told: Vec<String> = log.into_iter().map(line).collect();
    told.sort();
    told
}

fn names(list: &Value) -> Vec<(&str, &str)> {
    let files = list.as_array().expect("files").iter();
    files
        .map(|file| {
            (
                file["name"].as_str().expect("a name"),
                file["reason"].as_str().expect("a reason"),
            )
        })
        .collect()
}

#[sqlx::test]
async fn i01_one_bad_row_is_reported_and_the_others_are_taken(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let import = ended(
        &app,
        csv(&app, &path(user), file("I01", "ratings.csv")).await,
    )
    .await;
    assert_eq!(counts(&import), [3, 2, 0, 0, 1, 0]);
    assert_eq!(
        import["failures"],
        json!([{"file": "body", "line": 3, "field": "Rating", "title": "Heat", "rows": 1,
                "reason": "must be a number of stars from 0.5 to 5, in halves"}])
    );
    assert_eq!(
        told(&app, user).await,
        ["14160 rating 4.5 2024-03-01", "438631 rating 4 2024-03-03"]
    );
}

/// The state after the import of a Letterboxd export.
const LETTERBOXD: [&str; 5] = [
    "14160 like 2024-01-05",
    "14160 rating 4.5 2024-01-05",
    "14160 watched 4.5 2024-01-04",
    "348 watchlist 2024-02-01",
    "438631 watched 1970-01-01",
];
const LETTERBOXD_SKIPPED: [(&str, &str); 7] = [
    ("comments.csv", "comments"),
    ("deleted/diary.csv", "deleted"),
    ("likes/lists.csv", "other_likes"),
    ("likes/reviews.csv", "other_likes"),
    ("lists/favourites.csv", "list"),
    ("orphaned/diary.csv", "orphaned"),
    ("profile.csv", "profile"),
];

#[sqlx::test]
async fn i02_the_archive_of_letterboxd_is_taken_as_exported(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let archive = file("I02", "letterboxd-someone-2024-02-02-10-00-utc.zip");
    let import = ended(
        &app,
        send(&app, &path(user), "application/zip", archive).await,
    )
    .await;
    let mut skipped = names(&import["skipped_files"]);
    skipped.sort_unstable();
    assert_eq!(skipped, LETTERBOXD_SKIPPED);
    assert_eq!(import["files"].as_array().map(Vec::len), Some(6));
    assert_eq!(counts(&import)[3..], [0, 0, 0]);
    let told = told(&app, user).await;
    for line in LETTERBOXD {
        assert!(
            told.iter().any(|told| told == line),
            "{line} is missing in {told:?}"
        );
    }
    assert!(
        !told
            .iter()
            .any(|line| line.starts_with("808 ") || line.starts_with("10674 ")),
        "{told:?}"
    );
}

#[sqlx::test]
async fn i03_the_files_of_letterboxd_are_taken_from_one_upload_with_their_paths(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let mut files = Vec::new();
    for name in [
        "watched.csv",
        "ratings.csv",
        "diary.csv",
        "reviews.csv",
        "watchlist.csv",
        "profile.csv",
        "comments.csv",
        "likes/films.csv",
        "likes/reviews.csv",
        "likes/lists.csv",
        "lists/favourites.csv",
        "deleted/diary.csv",
        "orphaned/diary.csv",
    ] {
        files.push((
            format!("letterboxd-someone/{name}"),
            String::from_utf8(file("I03", name)).expect("text"),
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let import = ended(&app, form(&app, &path(user), &files).await).await;
    assert_eq!(import["skipped_files"].as_array().map(Vec::len), Some(7));
    let told = told(&app, user).await;
    for line in LETTERBOXD {
        assert!(
            told.iter().any(|told| told == line),
            "{line} is missing in {told:?}"
        );
    }
    assert!(
        !told
            .iter()
            .any(|line| line.starts_with("808 ") || line.starts_with("10674 ")),
        "{told:?}"
    );
}

#[sqlx::test]
async fn i07_each_viewing_of_a_movie_is_kept_whatever_the_order(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let text = |name: &str| String::from_utf8(file("I07", name)).expect("text");
    let (diary, ratings, watched) = (text("diary.csv"), text("ratings.csv"), text("watched.csv"));
    let mut rows: Vec<&str> = diary.lines().collect();
    rows[1..].reverse();
    let reversed = rows.join("\n");
    let diary = ("diary.csv", diary.as_str());
    let reversed = ("diary.csv", reversed.as_str());
    let ratings = ("ratings.csv", ratings.as_str());
    let watched = ("watched.csv", watched.as_str());
    let mut seen = Vec::new();
    for (number, uploads) in [
        vec![vec![diary]],
        vec![vec![reversed]],
        vec![vec![watched, ratings, diary]],
        vec![vec![reversed, ratings, watched]],
        vec![vec![watched], vec![diary], vec![ratings]],
        vec![vec![ratings], vec![reversed], vec![watched], vec![diary]],
    ]
    .into_iter()
    .enumerate()
    {
        let user = if number == 0 {
            user
        } else {
            app.user(&format!("user{number}")).await
        };
        for files in uploads {
            ended(&app, form(&app, &path(user), &files).await).await;
        }
        let list = app
            .get(&format!("/api/v1/users/{user}/viewings"))
            .await
            .expect(200);
        let mut days: Vec<String> = list["viewings"]
            .as_array()
            .expect("viewings")
            .iter()
            .map(|viewing| format!("{} {}", viewing["day"], viewing["rating"]))
            .collect();
        days.sort();
        let rating = app
            .get(&format!("/api/v1/users/{user}/ratings/348"))
            .await
            .expect(200);
        seen.push((days, rating["rating"].clone()));
    }
    let days = [
        "\"2020-01-01\" 4.0",
        "\"2021-01-01\" null",
        "\"2022-01-01\" 5.0",
    ];
    for seen in &seen {
        assert_eq!(
            (&seen.0[..], &seen.1),
            (&days.map(str::to_owned)[..], &json!(5.0))
        );
    }
}

#[sqlx::test]
async fn i09_ratings_of_imdb_of_before_2017_are_ratings(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let import = ended(
        &app,
        csv(&app, &path(user), file("I09", "ratings.csv")).await,
    )
    .await;
    assert_eq!(import["files"][0]["format"], "imdb-ratings");
    // The second title is not the one of its id, which outweighs it.
    assert_eq!(
        told(&app, user).await,
        ["578 rating 1.5 2015-03-01", "807 rating 4.5 2015-03-12"]
    );
}

#[sqlx::test]
async fn i10_ratings_of_imdb_are_dated_by_date_added(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    ended(
        &app,
        csv(&app, &path(user), file("I10", "ratings.csv")).await,
    )
    .await;
    assert_eq!(told(&app, user).await, ["603 rating 4 2016-05-04"]);
}

#[sqlx::test]
async fn i13_episodes_and_specials_in_any_language_are_skipped(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let import = ended(
        &app,
        csv(&app, &path(user), file("I13", "ratings-new.csv")).await,
    )
    .await;
    assert_eq!(counts(&import), [0, 0, 0, 0, 0, 4]);
    let kinds = json!({"TV Episode": 1, "TV Special": 1, "Serie de TV": 1, "Miniserie de TV": 1});
    assert_eq!(import["skipped_kinds"], kinds);
    // An id of another title outweighs the title of a movie.
    let movie = "Const,Your Rating,Date Rated,Title,Title Type,Year\ntt1234570,2,2021-01-01,Dune,Movie,2021\n";
    let import = ended(&app, csv(&app, &path(user), movie).await).await;
    assert_eq!(counts(&import), [1, 0, 0, 1, 0, 0]);
    assert_eq!(told(&app, user).await, [""; 0]);
}

#[sqlx::test]
async fn i14_the_export_of_trakt_is_taken_as_an_archive_and_as_files(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let expected = [
        "155 rating 4.5 2014-04-06",
        "155 watched 2014-04-05",
        "348 watchlist 2014-09-01",
    ];
    let import = ended(
        &app,
        send(
            &app,
            &path(user),
            "application/zip",
            file("I14", "someone.zip"),
        )
        .await,
    )
    .await;
    assert_eq!(import["skipped_kinds"], json!({"episode": 1}));
    assert_eq!(
        names(&import["skipped_files"]),
        [
            ("ratings/ratings-episodes.json", "empty"),
            ("user/user-profile.json", "profile")
        ]
    );
    assert_eq!(told(&app, user).await, expected);
    let other = app.user("berta").await;
    let files = [
        "watched-history-1.json",
        "ratings-movies.json",
        "lists-watchlist.json",
    ]
    .map(|name| (name, String::from_utf8(file("I14", name)).expect("text")));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    ended(&app, form(&app, &path(other), &files).await).await;
    assert_eq!(told(&app, other).await, expected);
}

#[sqlx::test]
async fn i16_a_missing_date_is_unknown_and_never_wins(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let history = file("I16", "history.csv");
    ended(&app, csv(&app, &path(user), history.clone()).await).await;
    let unknown = [
        "14160 watched 2026-01-01",
        "348 watched 1970-01-01",
        "603 watched 1970-01-01",
    ];
    assert_eq!(told(&app, user).await, unknown);
    let known = "watched_at,action,type,title,year,trakt_id,imdb_id,tmdb_id\n2015-01-01T00:00:00Z,watch,movie,Alien,1979,295,tt0078748,348\n";
    for content in [known.as_bytes().to_vec(), history] {
        ended(&app, csv(&app, &path(user), content).await).await;
        let watch = app
            .get(&format!("/api/v1/users/{user}/watch/348"))
            .await
            .expect(200);
        assert!(
            watch["watched_at"]
                .as_str()
                .is_some_and(|at| at.starts_with("2015-01-01")),
            "{watch}"
        );
    }
}

#[sqlx::test]
async fn i20_dates_of_excel_are_read_where_they_have_one_reading(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let content = file("I20", "ratings-excel-dates.csv");
    let refused = csv(&app, &path(user), content.clone()).await;
    assert_eq!(refused.status, 400);
    let errors = refused.body["errors"].as_array().expect("errors");
    assert_eq!(errors.len(), 1, "{}", refused.text);
    assert!(refused.text.contains("dates=day-first"), "{}", refused.text);
    let chosen = format!("{}?dates=month-first", path(user));
    ended(&app, csv(&app, &chosen, content.clone()).await).await;
    assert_eq!(told(&app, user).await, ["14160 rating 4.5 2024-03-01"]);
    let other = app.user("berta").await;
    let proven = [content, b"3/13/2024,Dune,2021,u,4\r\n".to_vec()].concat();
    ended(&app, csv(&app, &path(other), proven).await).await;
    assert_eq!(
        told(&app, other).await,
        ["14160 rating 4.5 2024-03-01", "438631 rating 4 2024-03-13"]
    );
}

#[sqlx::test]
async fn i25_the_layout_that_letterboxd_imports_is_taken(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let import = ended(
        &app,
        form(
            &app,
            &path(user),
            &[(
                "films.csv",
                &String::from_utf8(file("I25", "films.csv")).expect("text"),
            )],
        )
        .await,
    )
    .await;
    assert_eq!(import["files"][0]["format"], "letterboxd-import");
    assert_eq!(counts(&import), [2, 2, 0, 0, 0, 0]);
    assert_eq!(
        told(&app, user).await,
        [
            "14160 rating 4.5 2024-01-04",
            "14160 watched 4.5 2024-01-04",
            "348 rating 3.5 2023-10-31",
            "348 watched 3.5 2023-10-31"
        ]
    );
    // Without dates, nothing is newer than what is known; the viewings are stored, but do not count beside dated ones.
    let import = ended(&app, csv(&app, &path(user), file("I25", "plain.csv")).await).await;
    assert_eq!(counts(&import), [2, 2, 0, 0, 0, 0]);
    let rating = app.get(&format!("/api/v1/users/{user}/ratings/348")).await;
    assert_eq!(rating.expect(200)["rating"], 3.5);
    let other = app.user("berta").await;
    ended(
        &app,
        csv(&app, &path(other), file("I25", "plain.csv")).await,
    )
    .await;
    assert_eq!(
        told(&app, other).await,
        [
            "14160 rating 4.5 1970-01-01",
            "14160 watched 4.5 1970-01-01",
            "348 rating 4 1970-01-01",
            "348 watched 4 1970-01-01"
        ]
    );
}

#[sqlx::test]
async fn i31_a_movie_that_is_not_found_is_reported_once(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let mut diary = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n".to_owned();
    for row in 0..1200 {
        let (film, day) = (row % 300, row % 28 + 1);
        diary += &format!("2024-01-{day:02},Nobody Knows {film},1990,u,3,,,2024-01-{day:02}\n");
    }
    let import = ended(&app, csv(&app, &path(user), diary).await).await;
    assert_eq!(counts(&import), [1200, 0, 0, 1200, 0, 0]);
    let titles = import["unmatched_titles"].as_array().expect("titles");
    assert_eq!(titles.len(), 300);
    assert!(titles.iter().all(|title| title["rows"] == 4), "{titles:?}");
    let lines: std::collections::BTreeSet<i64> = titles
        .iter()
        .map(|title| title["line"].as_i64().expect("a line"))
        .collect();
    assert_eq!(
        (lines.len(), lines.first(), lines.last()),
        (300, Some(&2), Some(&301))
    );
}
