//! Imports of histories. The samples are made up; their headers are those of the exports.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::{TestResponse, eventually};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Mood, MovieService, TestApp, assert_problem};

const DIARY: &str = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\r\n\
    2021-03-05,\"The Long, Long Way\",1987,https://boxd.it/1,4.5,,,2021-03-04\r\n\
    2021-04-05,Odd Hours,1999,https://boxd.it/2,,Yes,late,2021-04-01\r\n";

/// The service, a user, and a catalogue of three movies that the service has received.
pub(crate) async fn stage(
    pool: &PgPool,
    settings: &[(&str, &str)],
) -> (TestApp, MovieService, i64) {
    let movies = MovieService::start().await;
    for (id, title) in [
        (601, "The Long, Long Way"),
        (602, "Odd Hours"),
        (603, "달의 길"),
    ] {
        let payload =
            json!({"id": id, "version": 1, "title": title, "imdb_id": format!("tt0000{id}")});
        movies.tell("movie.synced", id, payload);
    }
    let app = TestApp::with(pool, &movies, settings);
    app.knows_films(3).await;
    let user = app.user("anna").await;
    (app, movies, user)
}

pub(crate) async fn send(
    app: &TestApp,
    path: &str,
    kind: &str,
    body: impl Into<Body>,
) -> TestResponse {
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header("content-type", kind)
        .body(body.into());
    chassis::testing::send(&app.router, request.expect("valid")).await
}

pub(crate) async fn csv(app: &TestApp, path: &str, body: impl Into<Body>) -> TestResponse {
    send(app, path, "text/csv", body).await
}

pub(crate) async fn form(app: &TestApp, path: &str, files: &[(&str, &str)]) -> TestResponse {
    let mut body = String::new();
    for (name, content) in files {
        body += &format!(
            "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             content-type: text/csv\r\n\r\n{content}\r\n"
        );
    }
    send(
        app,
        path,
        "multipart/form-data; boundary=x",
        body + "--x--\r\n",
    )
    .await
}

pub(crate) fn path(user: i64) -> String {
    format!("/api/v1/users/{user}/imports")
}

/// Waits for the end of the import that the response created, and returns it.
pub(crate) async fn ended(app: &TestApp, answer: TestResponse) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text);
    let location = answer.headers["location"]
        .to_str()
        .expect("text")
        .to_owned();
    eventually("the import has ended", async || {
        let status = app.get(&location).await.expect(200)["status"].clone();
        status != "pending" && status != "running"
    })
    .await;
    app.get(&location).await.expect(200)
}

/// total, succeeded, unchanged, unmatched, failed, skipped
pub(crate) fn counts(import: &Value) -> [i64; 6] {
    assert_eq!(import["processed"], import["total"], "{import}");
    [
        "total",
        "succeeded",
        "unchanged",
        "unmatched",
        "failed",
        "skipped",
    ]
    .map(|name| import[name].as_i64().expect("a number"))
}

/// The user's interactions: movie, type, rating, time.
pub(crate) async fn log(app: &TestApp, user: i64) -> Vec<(i64, String, Option<f64>, String)> {
    let path = format!("/api/v1/users/{user}/interactions?limit=1000");
    let list = app.get(&path).await.expect(200);
    let mut log: Vec<_> = list["interactions"]
        .as_array()
        .expect("interactions")
        .iter()
        .map(|entry| {
            (
                entry["movie_id"].as_i64().expect("a film"),
                entry["interaction_type"]
                    .as_str()
                    .expect("a type")
                    .to_owned(),
                entry["rating"].as_f64(),
                entry["occurred_at"].as_str().expect("a time").to_owned(),
            )
        })
        .collect();
    log.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    log
}

fn did(
    movie: i64,
    kind: &str,
    rating: Option<f64>,
    at: &str,
) -> (i64, String, Option<f64>, String) {
    (movie, kind.to_owned(), rating, at.to_owned())
}

#[sqlx::test]
async fn a_letterboxd_export_is_imported_once_and_a_second_import_changes_nothing(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let list = "Date,Name,Year,Letterboxd URI\n";
    let watched = format!("{list}2020-01-01,Odd Hours,1999,u\n");
    let watchlist = format!("{list}2022-02-02,달의 길,2001,u\n");
    let likes = format!("{list}2022-03-03,Odd Hours,1999,u\n2022-03-03,Nobody's Film,1950,u\n");
    let ratings = "Date,Name,Year,Letterboxd URI,Rating\n2023-01-01,Odd Hours,1999,u,0.5\n";
    let files = [
        ("diary.csv", DIARY),
        ("watched.csv", watched.as_str()),
        ("watchlist.csv", watchlist.as_str()),
        ("likes/films.csv", likes.as_str()),
        ("ratings.csv", ratings),
    ];
    let import = ended(&app, form(&app, &path(user), &files).await).await;
    assert_eq!(import["status"], "succeeded");
    // The viewing of watched.csv has no date; it does not count beside that of the diary.
    assert_eq!(counts(&import), [7, 6, 0, 1, 0, 0]);
    assert_eq!(
        import["files"][3],
        json!({"name": "likes/films.csv", "format": "letterboxd-likes", "rows": 2})
    );
    assert_eq!(
        import["unmatched_titles"],
        json!([{"n": 1, "file": "likes/films.csv", "line": 3, "rows": 1, "title": "Nobody's Film", "year": 1950, "reason": "unknown", "candidates": []}])
    );
    let expected = [
        did(601, "rating", Some(4.5), "2021-03-05T00:00:00Z"),
        did(601, "watched", Some(4.5), "2021-03-04T00:00:00Z"),
        did(602, "like", None, "2022-03-03T00:00:00Z"),
        did(602, "rating", Some(0.5), "2023-01-01T00:00:00Z"),
        did(602, "watched", None, "1970-01-01T00:00:00Z"),
        did(602, "watched", None, "2021-04-01T00:00:00Z"),
        did(603, "watchlist", None, "2022-02-02T00:00:00Z"),
    ];
    assert_eq!(log(&app, user).await, expected);

    let again = ended(&app, form(&app, &path(user), &files).await).await;
    assert_eq!(counts(&again), [7, 0, 6, 1, 0, 0]);
    assert_eq!(log(&app, user).await, expected);
    let list = app.get(&path(user)).await.expect(200);
    let jobs = list["imports"].as_array().expect("imports");
    assert_eq!((jobs.len(), &jobs[0]["job_id"]), (2, &again["job_id"]));
    assert!(jobs[0].get("unmatched_titles").is_none());
    let rows: i64 = sqlx::query_scalar("select count(*) from import_entry")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(rows, 2, "only the rows of the unknown movie are kept");
}

#[sqlx::test]
async fn imdb_trakt_and_movielens_are_identified_by_their_headers(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let at = path(user);
    let imdb = "Const,Your Rating,Date Rated,Title,Original Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres,Num Votes,Release Date,Directors\n\
        tt0000601,9,2020-05-06,Something Else,,u,Movie,7.0,90,1987,\"Drama, War\",10,1987-01-01,\n\
        tt0000001,10,2020-05-06,A Series,,u,TV Series,7.0,90,1987,Drama,10,1987-01-01,\n";
    let import = ended(&app, csv(&app, &at, imdb).await).await;
    assert_eq!(counts(&import), [1, 1, 0, 0, 0, 1]);
    assert_eq!(import["files"][0]["format"], "imdb-ratings");

    let watchlist = "Position,Const,Created,Modified,Description,Title,URL,Title Type,IMDb Rating,Runtime (mins),Year,Genres,Num Votes,Release Date,Directors,Your Rating,Date Rated\n\
        1,tt0000602,2019-01-02,2019-01-02,,Odd Hours,u,movie,,,1999,,,,,3,2019-02-03\n";
    let import = ended(&app, csv(&app, &at, watchlist).await).await;
    assert_eq!(import["files"][0]["format"], "imdb-watchlist");

    let trakt = |first: &str, id: i64, rest: &str| {
        format!(
            "{first},type,title,year,trakt_id,imdb_id,tmdb_id{}\n{rest},movie,X,1999,1,,{id}",
            if first == "rated_at" { ",rating" } else { "" }
        )
    };
    let rated = format!("{},7\n", trakt("rated_at", 603, "2018-08-24T13:48:52Z"));
    let watched = format!("{}\n", trakt("watched_at", 603, "2018-08-24T13:48:52.000Z"));
    let listed = format!("{}\n", trakt("listed_at", 601, "2018-08-24T13:48:52Z"));
    let files: [(&str, &str); 3] = [("a.csv", &rated), ("b.csv", &watched), ("c.csv", &listed)];
    let import = ended(&app, form(&app, &at, &files).await).await;
    let formats: Vec<&Value> = (0..3)
        .map(|file| &import["files"][file]["format"])
        .collect();
    assert_eq!(
        formats,
        ["trakt-ratings", "trakt-history", "trakt-watchlist"]
    );
    assert_eq!(
        log(&app, user).await,
        [
            did(601, "rating", Some(4.5), "2020-05-06T00:00:00Z"),
            did(601, "watchlist", None, "2018-08-24T13:48:52Z"),
            did(602, "rating", Some(1.5), "2019-02-03T00:00:00Z"),
            did(602, "watchlist", None, "2019-01-02T00:00:00Z"),
            did(603, "rating", Some(3.5), "2018-08-24T13:48:52Z"),
            did(603, "watched", None, "2018-08-24T13:48:52Z"),
        ]
    );

    let other = app.user("berta").await;
    let ratings = "userId,movieId,rating,timestamp\n9,1,4.0,1000000000\n9,2,0.5,1000000001\n9,3,5,1000000002\n";
    let links = "movieId,imdbId,tmdbId\n1,0000001,601\n2,0000602,\n";
    let movies = "movieId,title,genres\n3,\"Long, Long Way, The (1987)\",Drama\n";
    let files = [
        ("ratings.csv", ratings),
        ("links.csv", links),
        ("movies.csv", movies),
    ];
    let import = ended(&app, form(&app, &path(other), &files).await).await;
    // The third is the first again, and newer.
    assert_eq!(counts(&import), [3, 3, 0, 0, 0, 0]);
    assert_eq!(
        log(&app, other).await.last(),
        Some(&did(602, "rating", Some(0.5), "2001-09-09T01:46:41Z"))
    );
    let rating = app
        .get(&format!("/api/v1/users/{other}/ratings/601"))
        .await
        .expect(200);
    assert_eq!(rating["rating"], 5.0);
}

/// Ratings of three movies in turn, two each day, so that some repeat.
fn long_ratings(rows: usize) -> String {
    let mut text = "Date,Name,Year,Letterboxd URI,Rating\n".to_owned();
    let first = chrono::NaiveDate::from_ymd_opt(2000, 1, 1).expect("a day");
    for row in 0..rows {
        let day = first + chrono::TimeDelta::days(i64::try_from(row / 2).expect("few"));
        let title = ["\"The Long, Long Way\"", "Odd Hours", "달의 길"][row % 3];
        text += &format!("{day},{title},1999,u,{}\n", (row / 4 % 10 + 1) as f64 / 2.0);
    }
    text
}

#[sqlx::test]
async fn a_dry_run_counts_the_changes_without_making_them(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    app.interact(user, "like", 602).await;
    // The last rows are the first ones again.
    let rows = long_ratings(1000);
    let repeated: Vec<&str> = rows.lines().skip(1).take(100).collect();
    let rows = format!("{rows}{}\n", repeated.join("\n"));
    let dry = csv(&app, &format!("{}?dry_run=true", path(user)), rows.clone()).await;
    let dry = ended(&app, dry).await;
    assert_eq!(
        (&dry["dry_run"], &dry["status"]),
        (&json!(true), &json!("succeeded"))
    );
    assert_eq!(log(&app, user).await.len(), 1);
    let run = ended(&app, csv(&app, &path(user), rows).await).await;
    assert_eq!(run["dry_run"], false);
    assert_eq!(counts(&dry), counts(&run));
    let [total, succeeded, unchanged, ..] = counts(&run);
    assert!(total == 1100 && succeeded > 0 && unchanged > 0, "{run}");
    let count = i64::try_from(log(&app, user).await.len()).expect("few");
    assert_eq!(count, succeeded.min(999) + 1);
}

#[sqlx::test]
async fn unmatched_rows_are_listed_with_the_reason(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[("IMPORT_MOST_FETCHES", "2")]).await;
    movies.sync(610, 1, "Twice Told");
    movies.sync(611, 1, "Twice Told");
    for id in [700, 701, 702] {
        movies.leave_to_tmdb(id);
    }
    let rows = "watched_at,type,title,year,imdb_id,tmdb_id\n\
        2020-01-01T00:00:00Z,movie,,,,700\n\
        2020-01-01T00:00:00Z,movie,Twice Told,1990,,\n\
        2020-01-01T00:00:00Z,movie,,,tt9999999,\n\
        2020-01-01T00:00:00Z,movie,Rest,,,701\n\
        2020-01-01T00:00:00Z,movie,Rest,,,702\n";
    let import = ended(&app, csv(&app, &path(user), rows).await).await;
    assert_eq!(counts(&import), [5, 2, 0, 3, 0, 0]);
    assert_eq!(
        import["unmatched_titles"],
        json!([
            {"n": 1, "file": "body", "line": 4, "rows": 1, "title": null, "year": null, "imdb_id": "tt9999999",
             "reason": "unknown", "candidates": []},
            {"n": 2, "file": "body", "line": 3, "rows": 1, "title": "Twice Told", "year": 1990,
             "reason": "ambiguous", "candidates": []},
            {"n": 3, "file": "body", "line": 6, "rows": 1, "title": "Rest", "year": null, "tmdb_id": 702,
             "reason": "not_fetched", "candidates": []},
        ])
    );
}

#[sqlx::test]
async fn an_import_continues_after_the_processed_rows_of_a_worker_that_died(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    movies.mood(Mood::Failing);
    let answer = csv(&app, &path(user), long_ratings(1200)).await;
    // The state that a dead worker leaves: some rows are counted, and the lease expires. The live worker
    // has released the job before, or has not claimed it yet.
    eventually("no worker holds it", async || {
        sqlx::query(
            "update job set status = 'running', worker = gen_random_uuid(), processed = 500,
                 succeeded = 500, lease_until = now() + interval '1 hour'
             where status = 'pending'",
        )
        .execute(&pool)
        .await
        .expect("a job")
        .rows_affected()
            == 1
    })
    .await;
    movies.mood(Mood::Well);
    sqlx::query("update job set lease_until = now() - interval '1 second'")
        .execute(&pool)
        .await
        .expect("a job");
    let import = ended(&app, answer).await;
    assert_eq!(import["status"], "succeeded");
    let [total, succeeded, unchanged, ..] = counts(&import);
    assert_eq!((total, succeeded + unchanged), (1200, 1200));
    assert_eq!(
        log(&app, user).await.len(),
        usize::try_from(succeeded).expect("positive") - 500,
        "the first 500 were not done again"
    );
}

#[sqlx::test]
async fn only_one_of_two_replicas_works_on_an_import(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    let other = TestApp::new(&pool, &movies);
    let import = ended(&app, csv(&other, &path(user), long_ratings(2500)).await).await;
    assert_eq!(counts(&import)[0], 2500);
    let asked: usize = movies.asked_matches().iter().map(Vec::len).sum();
    assert_eq!(asked, 2500, "each row was requested once");
}

#[sqlx::test]
async fn an_import_can_be_cancelled_until_it_has_ended(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    movies.mood(Mood::Failing);
    let begun = csv(&app, &path(user), DIARY).await;
    let location = begun.headers["location"].to_str().expect("text").to_owned();
    let job = begun.expect(202);
    let second = csv(&app, &path(user), DIARY).await;
    assert_problem(&second, 409, "an import is already running");
    assert_eq!(second.body["job"]["job_id"], job["job_id"]);
    let cancel = format!("{location}/cancel");
    for _ in 0..2 {
        assert_eq!(
            app.post(&cancel, json!({})).await.expect(200)["status"],
            "cancelled"
        );
    }
    movies.mood(Mood::Well);
    let done = ended(&app, csv(&app, &path(user), DIARY).await).await;
    assert_eq!(done["status"], "succeeded");
    assert_eq!(app.get(&location).await.expect(200)["status"], "cancelled");
    let cancel = format!(
        "{}/{}/cancel",
        path(user),
        done["job_id"].as_str().expect("an id")
    );
    let late = app.post(&cancel, json!({})).await;
    assert_problem(&late, 409, "the import is succeeded");
    let stranger = app.user("berta").await;
    for path in [
        format!(
            "{}/{}",
            path(stranger),
            done["job_id"].as_str().expect("an id")
        ),
        cancel.replace(&format!("/{user}/"), &format!("/{stranger}/")),
    ] {
        let answer = if path.ends_with("cancel") {
            app.post(&path, json!({})).await
        } else {
            app.get(&path).await
        };
        assert_problem(&answer, 404, "import not found");
    }
}

#[sqlx::test]
async fn an_import_that_cannot_continue_fails_after_the_limit(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[("IMPORT_PATIENCE_SECONDS", "0")]).await;
    movies.mood(Mood::Failing);
    let answer = csv(&app, &path(user), DIARY).await;
    assert_eq!(answer.status, 202);
    let location = answer.headers["location"]
        .to_str()
        .expect("text")
        .to_owned();
    eventually("it fails", async || {
        app.get(&location).await.body["status"] == "failed"
    })
    .await;
    let import = app.get(&location).await.expect(200);
    assert_eq!(import["processed"], 0);
    assert!(import["failures"][0]["reason"].is_string(), "{import}");
}

#[sqlx::test]
async fn invalid_files_are_refused_with_file_line_and_column(pool: PgPool) {
    let settings = [
        ("IMPORT_MOST_ROWS", "4"),
        ("IMPORT_BODY_LIMIT_BYTES", "2000"),
    ];
    let (app, _movies, user) = stage(&pool, &settings).await;
    let at = path(user);
    let refused = |answer: &TestResponse| {
        assert_eq!(answer.status, 400, "{}", answer.text);
        answer.body["errors"][0]["field"]
            .as_str()
            .expect("a field")
            .to_owned()
    };
    let ratings = "Date,Name,Year,Letterboxd URI,Rating\n";
    let bad = format!("{ratings}2020-01-01,A,1990,u,3\n2020-01-01,B,1990,u,11\n");
    let bad = bad.replace("u,3", "u,x");
    let answer = form(&app, &at, &[("a.csv", "x"), ("my ratings.csv", &bad)]).await;
    assert_eq!(refused(&answer), "a.csv");
    assert_eq!(
        answer.body["errors"][1]["field"],
        "my ratings.csv line 2, Rating"
    );
    let alike = "Date,Name,Year,Letterboxd URI\n2020-01-01,Odd Hours,1990,u\n";
    let answer = csv(&app, &at, alike).await;
    assert_eq!(refused(&answer), "body");
    assert!(
        answer.text.contains("format=letterboxd-watched"),
        "{}",
        answer.text
    );
    let import = csv(&app, &format!("{at}?format=letterboxd-likes"), alike).await;
    ended(&app, import).await;
    assert_eq!(log(&app, user).await[0].1, "like");
    assert_eq!(
        refused(&csv(&app, &format!("{at}?format=letterboxed"), alike).await),
        "format"
    );
    assert_eq!(
        refused(&csv(&app, &format!("{at}?format=imdb-ratings"), alike).await),
        "body"
    );
    assert_eq!(
        refused(&csv(&app, &format!("{at}?dryrun=true"), alike).await),
        "dryrun"
    );
    let diary = format!("{at}?format=letterboxd-diary");
    let answer = form(&app, &diary, &[("a", DIARY), ("b", DIARY)]).await;
    assert_eq!(refused(&answer), "format");
    assert_eq!(refused(&csv(&app, &at, "").await), "file");
    assert_eq!(refused(&csv(&app, &at, "{\"json\": 1}").await), "body");
    let no_file =
        "--x\r\ncontent-disposition: form-data; name=\"dry_run\"\r\n\r\ntrue\r\n--x--\r\n";
    assert_eq!(
        refused(&send(&app, &at, "multipart/form-data; boundary=x", no_file).await),
        "dry_run"
    );
    let broken = send(
        &app,
        &at,
        "multipart/form-data; boundary=x",
        "--x\r\nnothing",
    )
    .await;
    assert_eq!(refused(&broken), "body");
    let too_many = format!("{ratings}{}", "2020-01-01,A,1990,u,3\n".repeat(5));
    assert_eq!(refused(&csv(&app, &at, too_many).await), "body line 6");
    let large = format!("{ratings}{}", " ".repeat(2000));
    assert_problem(
        &csv(&app, &at, large.clone()).await,
        413,
        "request body too large",
    );
    assert_problem(
        &form(&app, &at, &[("ratings.csv", &large)]).await,
        413,
        "request body too large",
    );
    assert_problem(
        &csv(&app, &path(user + 1), DIARY).await,
        404,
        "user not found",
    );
    assert_problem(&app.get(&path(user + 1)).await, 404, "user not found");
    assert_eq!(
        app.get(&at).await.expect(200)["imports"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[sqlx::test]
async fn progress_is_streamed_and_the_last_event_is_not_repeated(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let begun = csv(&app, &path(user), long_ratings(2000)).await;
    let location = begun.headers["location"].to_str().expect("text").to_owned();
    let events = async |known: &str| {
        let request = Request::builder()
            .uri(&location)
            .header("accept", "text/event-stream")
            .header("last-event-id", known)
            .body(Body::empty());
        chassis::testing::send(&app.router, request.expect("valid")).await
    };
    let stream = events("").await;
    assert_eq!(stream.headers["content-type"], "text/event-stream");
    let lines: Vec<&str> = stream.text.lines().collect();
    let of = |prefix: &str| -> Vec<String> {
        let lines = lines.iter().filter_map(|line| line.strip_prefix(prefix));
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let told: Vec<Value> = of("data:")
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect();
    let processed: Vec<i64> = told
        .iter()
        .map(|job| job["processed"].as_i64().expect("one"))
        .collect();
    assert!(processed.is_sorted(), "{processed:?}");
    assert_eq!(told.last().expect("an event")["status"], "succeeded");
    assert!(of("event:").iter().all(|name| name == "import"));
    assert_eq!(events(of("id:").last().expect("an id")).await.status, 204);
}

#[sqlx::test]
async fn a_repeated_request_is_one_import_and_is_deleted_with_its_user(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    movies.mood(Mood::Failing);
    let keyed = async || {
        let request = Request::builder()
            .method(Method::POST)
            .uri(path(user))
            .header("idempotency-key", "k")
            .body(Body::from(DIARY));
        chassis::testing::send(&app.router, request.expect("valid")).await
    };
    let (first, again) = (keyed().await, keyed().await);
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(first.expect(202)["job_id"], again.expect(202)["job_id"]);
    let export = app
        .get(&format!("/api/v1/users/{user}/export"))
        .await
        .expect(200);
    assert_eq!(export["imports"][0]["total"], 2);
    app.delete(&format!("/api/v1/users/{user}")).await;
    for table in [
        "select count(*) from job",
        "select count(*) from import_entry",
    ] {
        let left: i64 = sqlx::query_scalar(table)
            .fetch_one(&pool)
            .await
            .expect("a count");
        assert_eq!(left, 0, "{table}");
    }
}

#[sqlx::test]
async fn control_characters_are_left_out_of_the_report(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let export = json!([
        {"watched_at": "2021-03-04T20:00:00Z", "type": "movie", "movie": {"title": "Odd Hours"}},
        {"watched_at": "2021-03-04T20:00:00Z", "type": "movie", "movie": {"title": "Odd\u{0} Hours"}},
        {"watched_at": "2021-03-04T20:00:00Z", "type": "epi\u{0}sode"},
    ]);
    let import = send(&app, &path(user), "application/json", export.to_string()).await;
    let import = ended(&app, import).await;
    assert_eq!(counts(&import), [2, 1, 0, 0, 1, 1]);
    assert_eq!(import["skipped_kinds"], json!({"episode": 1}));
    assert_eq!(import["failures"][0]["title"], "Odd Hours");
    let twice = "Date,Na\0me,Year,Letterboxd URI,Rating,Na\0me\n2021-03-05,Odd Hours,1999,,4.5,\n";
    let files = [("diary.csv", DIARY), ("twice.csv", twice)];
    let import = ended(&app, form(&app, &path(user), &files).await).await;
    let reason = import["failures"][0]["reason"].as_str();
    assert_eq!(reason, Some("has the column Name twice"), "{import}");
}

#[sqlx::test]
async fn replicas_of_the_previous_release_process_imports_of_both(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[("IMPORT_LEASE_SECONDS", "600")]).await;
    // Statements of the previous release, in which the table was named so.
    let created = "insert into import_job (user_id, id, status, dry_run, files, total, skipped,
                       fetches_left, worker, lease_until)
                   values ($1, gen_random_uuid(), 'running', false, '[]', 1, 0, 5, gen_random_uuid(),
                       now() + interval '1 hour')
                   on conflict do nothing";
    for expected in [1, 0] {
        let done = sqlx::query(created).bind(user).execute(&pool).await;
        assert_eq!(done.expect("inserted").rows_affected(), expected);
    }
    let claimed = sqlx::query(
        "update import_job set processed = processed + 1, status = 'succeeded'
         where (user_id, id) = (select user_id, id from import_job where status = 'running'
                                order by created_at, id limit 1 for update skip locked)",
    );
    let claimed = claimed.execute(&pool).await.expect("claimed");
    assert_eq!(claimed.rows_affected(), 1);
    let listed = app.get(&format!("/api/v1/users/{user}/imports")).await;
    assert_eq!(listed.body["imports"][0]["status"], "succeeded");
    assert_eq!(listed.body["imports"][0]["processed"], 1);
}
