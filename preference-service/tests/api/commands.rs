//! The commands of the program.

use std::process::{Command, Output};

use serde_json::json;
use sqlx::{Connection, PgPool};

use crate::stage::{MovieService, PASSWORD, TestApp};

/// Runs the program on the database of `pool`.
async fn run(pool: &PgPool, arguments: &[&str]) -> Output {
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
        .current_dir(std::env::temp_dir());
    tokio::task::spawn_blocking(move || command.output().expect("the program"))
        .await
        .expect("an output")
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
