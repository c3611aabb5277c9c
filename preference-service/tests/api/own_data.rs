//! Export and erasure of a user's data.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

/// A user with rows in every table.
async fn busy_user(app: &TestApp, name: &str) -> i64 {
    let user = app.user(name).await;
    let path = format!("/api/v1/users/{user}");
    let body = json!({"preferred_genres": ["Drama"]});
    let _ = app
        .post(&format!("{path}/preferences"), body)
        .await
        .expect(200);
    for (list, body) in [
        ("reactions", json!({"reaction": "like"})),
        ("bookmarks", Value::Null),
        ("ratings", json!({"rating": 4.5})),
        (
            "watch",
            json!({"position_seconds": 95, "duration_seconds": 100}),
        ),
    ] {
        let _ = app
            .put(&format!("{path}/{list}/603"), body)
            .await
            .expect(200);
    }
    let edits = json!({"edits": [{"kind": "language", "name": "ko", "score": 5}]});
    let _ = app.patch(&format!("{path}/taste"), edits).await.expect(200);
    user
}

#[sqlx::test]
async fn an_erasure_leaves_only_its_proof(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let stays = busy_user(&app, "boris").await;
    let before = app.get("/api/v1/movies/603/stats").await.expect(200);
    let user = busy_user(&app, "zebulon").await;
    let path = format!("/api/v1/users/{user}");
    let response = app.delete(&path).await;
    assert_eq!(
        (response.status.as_u16(), response.text.as_str()),
        (204, "")
    );
    assert_problem(&app.delete(&path).await, 404, "user not found");
    for below in [
        "",
        "/export",
        "/taste",
        "/interactions",
        "/reactions",
        "/ratings",
    ] {
        assert_eq!(
            app.get(&format!("{path}{below}")).await.status,
            404,
            "{below}"
        );
    }
    assert_eq!(
        app.get("/api/v1/movies/603/stats").await.expect(200),
        before
    );

    // Every row of every table, as text.
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .expect("tables");
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar(
            "select column_name::text from information_schema.columns
             where table_schema = 'public' and table_name = $1",
        )
        .bind(&table)
        .fetch_all(&pool)
        .await
        .expect("columns");
        let has_user = columns.iter().any(|column| column == "user_id");
        let statement = format!(
            "select row_to_json(t)::text from {table} t where row_to_json(t)::text ilike '%zebulon%' {}",
            if has_user {
                format!("or user_id = {user}")
            } else {
                String::new()
            }
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_all(&pool)
            .await
            .expect("rows");
        if table == "erasure" {
            assert_eq!(rows.len(), 1);
        } else {
            assert_eq!(rows, [""; 0], "{table}");
        }
    }
    let records: Vec<(String, Value)> = sqlx::query_as(
        "select name, payload from outbox where payload ->> 'user_id' = $1 order by seq",
    )
    .bind(user.to_string())
    .fetch_all(&pool)
    .await
    .expect("records");
    assert_eq!(
        records,
        [("user.erased".to_owned(), json!({"user_id": user}))]
    );
    let kept = app
        .get(&format!("/api/v1/users/{stays}/interactions"))
        .await
        .expect(200);
    assert_eq!(kept["interactions"].as_array().map(Vec::len), Some(4));
}

#[sqlx::test]
async fn concurrent_writes_do_not_survive_an_erasure(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    (700..720).for_each(|film| movies.sync(film, 1, "a film"));
    app.knows_films(22).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}");
    let writes = futures_util::future::join_all((700..720).map(|film| {
        let (app, path) = (&app, format!("{path}/reactions/{film}"));
        async move {
            let response = app.put(&path, json!({"reaction": "like"})).await;
            assert!(
                [200, 404].contains(&response.status.as_u16()),
                "{}",
                response.text
            );
        }
    }));
    let (_, erased) = tokio::join!(writes, app.delete(&path));
    assert_eq!(erased.status, 204);
    for table in ["user_account", "interaction", "user_movie"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    let likes: i64 =
        sqlx::query_scalar("select coalesce(sum(like_count), 0)::bigint from movie_stats")
            .fetch_one(&pool)
            .await
            .expect("likes");
    assert_eq!(likes, 0);
}

#[sqlx::test]
async fn an_export_contains_all_data_of_the_user(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    busy_user(&app, "boris").await;
    let user = busy_user(&app, "anna").await;
    let response = app.get(&format!("/api/v1/users/{user}/export")).await;
    assert_eq!(response.headers["content-type"], "application/json");
    let disposition = response.headers["content-disposition"]
        .to_str()
        .expect("text");
    assert!(
        disposition.starts_with("attachment; filename="),
        "{disposition}"
    );
    let export = response.expect(200);
    assert_eq!(export["user"]["username"], "anna");
    assert_eq!(export["user"]["email"], "anna@example.org");
    assert_eq!(
        export["user"]["preferences"]["preferred_genres"],
        json!(["Drama"])
    );
    assert_eq!(export["taste_edits"][0]["tag"], "ko");
    let film = &export["films"][0];
    assert_eq!(film["title"], "The Matrix");
    assert_eq!(
        (&film["reaction"], &film["rating"]),
        (&json!("like"), &json!(4.5))
    );
    let log = export["interactions"].as_array().expect("interactions");
    let kinds: Vec<&str> = log
        .iter()
        .filter_map(|entry| entry["interaction_type"].as_str())
        .collect();
    assert_eq!(kinds, ["like", "watchlist", "rating", "watched"]);
    let text = export.to_string();
    assert!(!text.contains("hash") && !text.contains("boris"), "{text}");
}

#[sqlx::test]
async fn a_large_export_is_complete(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    sqlx::query(
        "insert into interaction (user_id, movie_id, interaction_type)
         select $1, n, 'like' from generate_series(1, 5000) n",
    )
    .bind(user)
    .execute(&pool)
    .await
    .expect("a long history");
    let export = app
        .get(&format!("/api/v1/users/{user}/export"))
        .await
        .expect(200);
    assert_eq!(export["interactions"].as_array().map(Vec::len), Some(5000));
}
