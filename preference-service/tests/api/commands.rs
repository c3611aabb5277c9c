//! The commands of the program.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::json;
use sqlx::{Connection, PgPool};

use crate::stage::{MovieService, PASSWORD, TestApp};

/// Runs the program on the database of `pool`.
async fn run(pool: &PgPool, arguments: &[&str]) -> Output {
    run_with(pool, arguments, "").await
}

/// Runs the program with `input` on the database of `pool`.
async fn run_with(pool: &PgPool, arguments: &[&str], input: &str) -> Output {
    let mut connection = pool.acquire().await.expect("a connection");
    connection.ping().await.expect("a database");
    let database: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&mut *connection)
        .await
        .expect("a name");
    let server = std::env::var("DATABASE_URL").expect("DATABASE_URL");
    let mut url = url::Url::parse(&server).expect("a URL");
    url.set_path(&database);
    let mut command = Command::new(env!("CARGO_BIN_EXE_preference-service"));
    command
        .args(arguments)
        .env("DATABASE_URL", url.as_str())
        .env("REDIS_URL", "")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .current_dir(std::env::temp_dir());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().expect("the program");
        let mut stdin = child.stdin.take().expect("its input");
        // A program that does not read it has ended.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("its output")
    };
    tokio::task::spawn_blocking(run).await.expect("an output")
}

fn line(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[sqlx::test]
async fn commands_grant_and_revoke_the_role_of_an_administrator(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    app.account("Anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    assert_eq!(login["user"]["role"], "user");
    let said = line(&run(&pool, &["admin", "grant", "ANNA"]).await);
    assert!(said.contains("administrator"), "{said}");
    let body = json!({"refresh_token": login["refresh_token"]});
    let login = app.post("/api/v1/auth/refresh", body).await.expect(200);
    assert_eq!(login["user"]["role"], "admin");

    line(&run(&pool, &["admin", "revoke", "anna"]).await);
    let body = json!({"refresh_token": login["refresh_token"]});
    let login = app.post("/api/v1/auth/refresh", body).await.expect(200);
    assert_eq!(login["user"]["role"], "user");

    let output = run(&pool, &["admin", "grant", "nobody"]).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no user has the username"), "{said}");
}

#[sqlx::test]
async fn a_command_rotates_the_keys_and_invalid_arguments_are_refused(pool: PgPool) {
    let movies = MovieService::start().await;
    let said = line(&run(&pool, &["keys", "rotate"]).await);
    assert!(said.contains("it signs from"), "{said}");
    let app = TestApp::new(&pool, &movies);
    let keys = app.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));
    for invalid in [
        &["admin"][..],
        &["admin", "grant"],
        &["keys"],
        &["nonsense"],
    ] {
        let output = run(&pool, invalid).await;
        assert_eq!(output.status.code(), Some(64), "{invalid:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[sqlx::test]
async fn help_lists_every_command(pool: PgPool) {
    let help = line(&run(&pool, &["--help"]).await);
    for command in ["admin", "keys", "verify", "openapi", "healthcheck"] {
        assert!(help.contains(command), "{help}");
    }
    let help = line(&run(&pool, &["admin", "--help"]).await);
    assert!(help.contains("grant") && help.contains("revoke"), "{help}");
}

#[sqlx::test]
async fn an_audience_is_loaded_once_and_removed_without_a_trace_and_nobody_else_is(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    movies.sync(700, 1, "a film");
    movies.sync(701, 1, "another film");
    app.knows_films(4).await;
    // Somebody has the name that the audience would take.
    let real = app.user("movielens-2").await;
    app.put(
        &format!("/api/v1/users/{real}/reactions/700"),
        json!({"reaction": "like"}),
    )
    .await
    .expect(200);
    let before = app.get("/api/v1/movies/700/stats").await.expect(200);

    let rated = |movie: i64, rating: f64| json!({"movie_id": movie, "rating": rating, "at": "2026-01-05T10:00:00Z"});
    let lines = [
        json!({"source": "movielens", "member": "1", "ratings": [rated(700, 4.5), rated(701, 2.0)]}),
        json!({"source": "movielens", "member": "2", "ratings": [rated(700, 4.0), rated(999_999, 4.0)]}),
    ];
    let input = lines.map(|line| line.to_string()).join("\n");
    let said = line(&run_with(&pool, &["audience", "load"], &input).await);
    assert_eq!(
        said,
        "2 users, 2 of them new; 3 new ratings, 1 of movies that are not in the catalogue"
    );
    let said = line(&run_with(&pool, &["audience", "load"], &input).await);
    assert!(
        said.starts_with("2 users, 0 of them new; 0 new ratings"),
        "{said}"
    );
    let loaded = app.get("/api/v1/movies/700/stats").await.expect(200);
    assert_ne!(loaded, before);
    line(&run(&pool, &["verify"]).await);

    let damaged = run_with(&pool, &["audience", "load"], "{\"source\": \"movielens\"}").await;
    let said = String::from_utf8_lossy(&damaged.stderr).into_owned();
    assert!(
        !damaged.status.success() && said.contains("line 1: missing field"),
        "{said}"
    );

    let said = line(&run(&pool, &["audience", "remove", "another"]).await);
    assert!(said.starts_with("0 users"), "{said}");
    let said = line(&run(&pool, &["audience", "remove"]).await);
    assert!(said.starts_with("2 users"), "{said}");
    let said = line(&run(&pool, &["audience", "remove"]).await);
    assert!(said.starts_with("0 users"), "{said}");
    let after = app.get("/api/v1/movies/700/stats").await.expect(200);
    assert_eq!(after, before);
    let left: i64 = sqlx::query_scalar("select count(*) from user_account")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(left, 1);
    line(&run(&pool, &["verify"]).await);
}
