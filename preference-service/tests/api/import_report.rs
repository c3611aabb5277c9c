//! The report of an import: failures and movies that were not found, page by page, and their resolution.

use chassis::testing::eventually;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    imports::{counts, csv, ended, log, path, send, stage},
    stage::assert_problem,
};

/// The path of a resource of an import.
fn of(user: i64, import: &Value, rest: &str) -> String {
    format!(
        "{}/{}/{rest}",
        path(user),
        import["job_id"].as_str().expect("an id")
    )
}

const DIARY: &str = "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n\
    2021-03-05,Odd Horus,1999,u,4.5,,,2021-03-04\n2022-03-05,Odd Horus,1999,u,,Yes,,2022-03-04\n\
    2021-03-05,Even Hours,1999,u,4.5,,,2021-03-04\n";

#[sqlx::test]
async fn naming_the_movie_of_a_title_stores_the_rows_that_wait_for_it(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    let import = ended(&app, csv(&app, &path(user), DIARY).await).await;
    assert_eq!(counts(&import), [3, 0, 0, 3, 0, 0]);
    let title = &import["unmatched_titles"][1];
    assert_eq!(
        (&title["title"], &title["rows"], &title["line"]),
        (&json!("Odd Horus"), &json!(2), &json!(2))
    );
    let at = of(user, &import, &format!("unmatched/{}", title["n"]));
    assert_problem(
        &app.patch(&at, json!({"tmdb_id": 999})).await,
        404,
        "movie not found",
    );
    let named = app.patch(&at, json!({"tmdb_id": 602})).await.expect(200);
    assert_eq!(
        (&named["movie_id"], &named["title"]),
        (&json!(602), &json!("Odd Horus"))
    );
    let stored = log(&app, user).await;
    assert!(stored.iter().all(|entry| entry.0 == 602), "{stored:?}");
    assert!(
        stored
            .iter()
            .any(|entry| entry.1 == "rating" && entry.2 == Some(4.5)),
        "{stored:?}"
    );
    assert!(
        stored.iter().any(|entry| entry.1 == "watched"),
        "{stored:?}"
    );
    assert_eq!(
        app.patch(&at, json!({"tmdb_id": 602})).await.expect(200),
        named
    );
    assert_eq!(log(&app, user).await, stored);
    assert_problem(
        &app.patch(&at, json!({"tmdb_id": 601})).await,
        409,
        "another movie was named",
    );
    let import = app
        .get(&of(user, &import, "")[..of(user, &import, "").len() - 1])
        .await
        .expect(200);
    assert_eq!(import["unmatched"], 1);
    assert_eq!(import["unmatched_titles"][1]["movie_id"], 602);

    // A movie that only TMDB has is fetched.
    movies.leave_to_tmdb(700);
    let other = of(
        user,
        &import,
        &format!("unmatched/{}", import["unmatched_titles"][0]["n"]),
    );
    app.patch(&other, json!({"tmdb_id": 700})).await.expect(200);
    assert!(log(&app, user).await.iter().any(|entry| entry.0 == 700));
}

#[sqlx::test]
async fn rows_of_a_movie_that_the_catalogue_gets_later_are_stored(pool: PgPool) {
    let (app, movies, user) = stage(&pool, &[]).await;
    let rows = "Title,Year,tmdbID,WatchedDate\nEven Hours,1999,,2021-03-04\nOdd,,710,2021-03-05\nOther,,,2021-03-06\n";
    let import = ended(&app, csv(&app, &path(user), rows).await).await;
    assert_eq!(counts(&import), [3, 0, 0, 3, 0, 0]);
    let dry = csv(&app, &format!("{}?dry_run=true", path(user)), rows).await;
    ended(&app, dry).await;
    movies.sync(700, 1, "Even Hours");
    movies.sync(710, 1, "A Title");
    eventually("the rows are stored", async || {
        log(&app, user).await.len() == 2
    })
    .await;
    let at = of(user, &import, "unmatched");
    eventually("the titles are named", async || {
        let titles = app.get(&at).await.expect(200);
        let named = titles["unmatched_titles"]
            .as_array()
            .expect("a list")
            .iter();
        let mut named: Vec<i64> = named
            .filter_map(|title| title["movie_id"].as_i64())
            .collect();
        named.sort_unstable();
        named == [700, 710]
    })
    .await;
    let import = app.get(at.trim_end_matches("/unmatched")).await.expect(200);
    assert_eq!(
        (&import["succeeded"], &import["unmatched"]),
        (&json!(2), &json!(1))
    );
}

#[sqlx::test]
async fn titles_of_others_dry_runs_and_unknown_numbers_cannot_be_named(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let dry = csv(&app, &format!("{}?dry_run=true", path(user)), DIARY).await;
    let dry = ended(&app, dry).await;
    let body = json!({"tmdb_id": 602});
    let at = of(user, &dry, "unmatched/1");
    assert_problem(
        &app.patch(&at, body.clone()).await,
        409,
        "the import is a dry run",
    );
    let import = ended(&app, csv(&app, &path(user), DIARY).await).await;
    let unknown = of(user, &import, "unmatched/9");
    assert_problem(
        &app.patch(&unknown, body.clone()).await,
        404,
        "unmatched title not found",
    );
    let stranger = app.user("berta").await;
    let at = of(stranger, &import, "unmatched/1");
    assert_problem(&app.patch(&at, body).await, 404, "import not found");
    assert_problem(
        &app.get(&of(stranger, &import, "unmatched")).await,
        404,
        "import not found",
    );
    let at = of(user, &import, "unmatched/1");
    for body in [json!({"tmdb_id": 0}), json!({"movie": 1}), json!({})] {
        assert_eq!(app.patch(&at, body).await.status, 400);
    }
}

#[sqlx::test]
async fn the_report_is_complete_page_by_page(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let mut ratings = "Date,Name,Year,Letterboxd URI,Rating\n".to_owned();
    for row in 0..1500 {
        ratings +=
            &format!("2024-01-01,Nobody Knows {row},1990,u,3\n2024-01-01,Wrong {row},1990,u,7\n");
    }
    let import = ended(&app, csv(&app, &path(user), ratings).await).await;
    assert_eq!(counts(&import), [3000, 0, 0, 1500, 1500, 0]);
    assert_eq!(
        import["unmatched_titles"].as_array().map(Vec::len),
        Some(1000)
    );
    assert_eq!(import["failures"].as_array().map(Vec::len), Some(100));
    for (list, key) in [("unmatched", "unmatched_titles"), ("failures", "failures")] {
        let mut titles = std::collections::BTreeSet::new();
        let mut next = of(user, &import, &format!("{list}?limit=700"));
        loop {
            let page = app.get(&next).await.expect(200);
            for item in page[key].as_array().expect("items") {
                assert!(titles.insert(item["title"].as_str().expect("a title").to_owned()));
            }
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            next = of(user, &import, &format!("{list}?limit=700&cursor={cursor}"));
        }
        assert_eq!(titles.len(), 1500, "{list}");
    }
}

#[sqlx::test]
async fn bad_uploads_are_refused_and_nothing_is_stored(pool: PgPool) {
    let (app, _movies, user) = stage(&pool, &[]).await;
    let commas = ",".repeat(15 * 1024 * 1024);
    let million = format!("Title,Year,Rating\n{}", "U,1,4\n".repeat(1_000_000));
    let xml = "<?xml version=\"1.0\"?><rows><row>1,2</row></rows>".to_owned();
    for body in [commas, million, xml] {
        let refused = csv(&app, &path(user), body).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
    for body in [
        b"PK\x03\x04 broken".to_vec(),
        b"7z\xbc\xaf\x27\x1c".to_vec(),
        b"\x1f\x8b broken".to_vec(),
    ] {
        let refused = send(&app, &path(user), "application/zip", body).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
    }
    assert_eq!(app.get(&path(user)).await.expect(200)["imports"], json!([]));
}
