//! The life of API keys: creation, use, expiry, deletion.

use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

async fn resolve(app: &TestApp, key: &str) -> chassis::testing::TestResponse {
    let hash = digest(&SHA256, key.as_bytes());
    let hex: String = hash
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    app.get(&format!("/internal/v1/api-keys/{hex}")).await
}

async fn make_admin(pool: &PgPool, id: i64) {
    sqlx::query("update user_account set role = 'admin' where id = $1")
        .bind(id)
        .execute(pool)
        .await
        .expect("an update");
}

#[sqlx::test]
async fn a_key_is_returned_once_and_valid_until_it_is_deleted(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    let body = json!({
        "name": " export ", "scopes": ["write", "read", "read"], "expires_at": null,
    });
    let response = app.post(&path, body).await;
    assert_eq!(response.headers["cache-control"], "no-store");
    let mut created = response.expect(201);
    let key = created["key"].as_str().expect("a key").to_owned();
    assert!(key.starts_with("mq_") && key.len() == 46, "{key}");
    assert!(key.starts_with(created["prefix"].as_str().expect("a prefix")));
    assert_eq!(created["scopes"], json!(["read", "write"]));
    assert_eq!(
        (&created["name"], &created["expires_at"]),
        (&json!("export"), &Value::Null)
    );

    created.as_object_mut().expect("an object").remove("key");
    let listed = app.get(&path).await.expect(200);
    assert_eq!(listed, json!({"api_keys": [created]}));
    let stored: String = sqlx::query_scalar("select api_key::text from api_key")
        .fetch_one(&pool)
        .await
        .expect("a row");
    assert!(!stored.contains(&key[9..]), "{stored}");

    let owner = resolve(&app, &key).await.expect(200);
    let expected = json!({
        "user_id": id, "role": "user", "scopes": ["read", "write"], "expires_at": null,
    });
    assert_eq!(owner, expected);
    // A user cannot delete the key of another.
    let other = app.user("bea").await;
    let of = |user: i64| format!("/api/v1/users/{user}/api-keys/{}", created["id"]);
    let refused = app
        .send("DELETE", &of(other), Value::Null, None, None)
        .await;
    assert_problem(&refused, 404, "API key not found");
    let deleted = app.send("DELETE", &of(id), Value::Null, None, None).await;
    assert_eq!(deleted.status.as_u16(), 204);
    let again = app.send("DELETE", &of(id), Value::Null, None, None).await;
    assert_problem(&again, 404, "API key not found");
    assert_problem(&resolve(&app, &key).await, 404, "API key not found");
}

#[sqlx::test]
async fn an_invalid_request_for_a_key_names_each_field(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    for (body, fields) in [
        (json!({"name": "", "scopes": []}), vec!["name", "scopes"]),
        (
            json!({"name": "a\u{202e}b", "scopes": ["read"]}),
            vec!["name"],
        ),
        (
            json!({"name": "x".repeat(101), "scopes": ["read"]}),
            vec!["name"],
        ),
        (
            json!({"name": "x", "scopes": ["read", "root"]}),
            vec!["scopes"],
        ),
        (
            json!({"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
            vec!["expires_at"],
        ),
        (
            json!({"name": "x", "scopes": ["read"], "expires_at": "soon"}),
            vec!["expires_at"],
        ),
    ] {
        let response = app.post(&path, body.clone()).await;
        assert_eq!(response.status.as_u16(), 400, "{}", response.text);
        let errors = response.body["errors"].as_array().expect("errors");
        let named: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    let body = json!({"name": "x", "scopes": ["read"]});
    let unknown = app.post("/api/v1/users/999/api-keys", body).await;
    assert_problem(&unknown, 404, "user not found");
    let unknown = app.get("/api/v1/users/999/api-keys").await;
    assert_problem(&unknown, 404, "user not found");
    for hash in ["x", &"g".repeat(64)] {
        let response = app.get(&format!("/internal/v1/api-keys/{hash}")).await;
        assert_eq!(response.status.as_u16(), 400);
    }
}

#[sqlx::test]
async fn the_scope_admin_requires_an_administrator(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    let body = json!({"name": "x", "scopes": ["admin"]});
    let refused = app.post(&path, body.clone()).await;
    assert_eq!(assert_problem(&refused, 403, "forbidden"), ["scopes"]);
    make_admin(&pool, id).await;
    let created = app.post(&path, body).await.expect(201);
    let key = created["key"].as_str().expect("a key");
    let owner = resolve(&app, key).await.expect(200);
    assert_eq!(owner["role"], "admin");
    assert_eq!(owner["scopes"], json!(["admin"]));
}

#[sqlx::test]
async fn keys_expire_and_their_number_is_limited(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    let body = json!({"name": "x", "scopes": ["read"], "expires_at": "2100-01-01T00:00:00Z"});
    let created = app.post(&path, body.clone()).await.expect(201);
    let key = created["key"].as_str().expect("a key");
    assert_eq!(
        resolve(&app, key).await.expect(200)["expires_at"],
        4_102_444_800_i64
    );
    sqlx::query("update api_key set expires_at = now()")
        .execute(&pool)
        .await
        .expect("an update");
    assert_problem(&resolve(&app, key).await, 404, "API key not found");
    for _ in 1..50 {
        app.post(&path, body.clone()).await.expect(201);
    }
    let refused = app.post(&path, body).await;
    assert_problem(&refused, 409, "there are 50 API keys");
}
