//! Administration of users: search, roles, suspensions, the audit log.

use chassis::testing::TestResponse;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    accounts::{INVALID, refresh},
    stage::{PASSWORD, TestApp, assert_problem},
};

const USERS: &str = "/api/v1/admin/users";

/// A request of a user who logged in just now.
async fn send(
    app: &TestApp,
    who: (i64, &str),
    method: &str,
    path: &str,
    body: Value,
) -> TestResponse {
    let now = chrono::Utc::now().timestamp();
    let principal = json!({"subject": who.0.to_string(), "role": who.1, "auth_time": now});
    app.send_as(method, path, body, Some(principal), None).await
}

#[sqlx::test]
async fn administrators_search_users_page_by_page(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let admin = (app.account("boss").await, "admin");
    for name in ["anna", "hannah", "berta", "a%b"] {
        let body = json!({"username": name, "email": format!("{}@example.org", name.replace('%', "")), "password": PASSWORD});
        app.post("/api/v1/users", body).await.expect(201);
    }
    let found = async |query: &str| {
        let path = format!("{USERS}?{query}");
        let page = send(&app, admin, "GET", &path, Value::Null)
            .await
            .expect(200);
        let users = page["users"].as_array().expect("users");
        let names: Vec<String> = users
            .iter()
            .filter_map(|user| user["username"].as_str().map(str::to_owned))
            .collect();
        (names.join(" "), page["total"].as_i64().expect("a number"))
    };
    assert_eq!(found("q=ANN").await, ("anna hannah".to_owned(), 2));
    assert_eq!(found("q=berta@").await, ("berta".to_owned(), 1));
    assert_eq!(found("q=%25").await, ("a%b".to_owned(), 1));
    assert_eq!(found("q=_").await, (String::new(), 0));
    assert_eq!(
        found("limit=2&page=2").await,
        ("hannah berta".to_owned(), 5)
    );
    assert_eq!(found("role=admin").await.1, 0);
    assert_eq!(
        (
            found("suspended=true").await.1,
            found("suspended=false").await.1
        ),
        (0, 5)
    );
    for query in ["role=root", "page=0", "limit=101", "suspended=x", "name=x"] {
        let path = format!("{USERS}?{query}");
        let refused = send(&app, admin, "GET", &path, Value::Null).await;
        let field = query.split('=').next().unwrap_or_default();
        assert_eq!(refused.expect(400)["errors"][0]["field"], field);
    }
    let one = send(
        &app,
        admin,
        "GET",
        &format!("{USERS}/{}", admin.0),
        Value::Null,
    )
    .await;
    let one = one.expect(200);
    assert_eq!(
        (&one["username"], &one["suspended_until"]),
        (&json!("boss"), &Value::Null)
    );
    assert_eq!(one["has_password"], true);
    let unknown = send(&app, admin, "GET", &format!("{USERS}/999"), Value::Null).await;
    assert_problem(&unknown, 404, "user not found");
}

#[sqlx::test]
async fn a_suspension_ends_logins_keys_and_tokens_until_its_end(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let admin = (app.account("boss").await, "admin");
    let id = app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let keys = format!("/api/v1/users/{id}/api-keys");
    app.post(&keys, json!({"name": "k", "scopes": ["read"]}))
        .await
        .expect(201);
    let path = format!("{USERS}/{id}");
    let revoked = async || app.get("/internal/v1/token-revocations").await.expect(200);
    assert_eq!(revoked().await, json!({"revocations": []}));

    let until = chrono::Utc::now() + chrono::TimeDelta::days(1);
    let body = json!({"suspended_until": until, "reason": "spam"});
    let user = send(&app, admin, "PATCH", &path, body).await.expect(200);
    assert_eq!(user["suspension_reason"], "spam");
    assert_problem(&refresh(&app, &login["refresh_token"]).await, 401, INVALID);
    assert_eq!(app.get(&keys).await.expect(200)["api_keys"], json!([]));
    let listed = revoked().await;
    assert_eq!(listed["revocations"][0]["user_id"], id);
    assert_eq!(listed["revocations"][0]["suspended"], true);
    // Only who knows the password learns of it.
    let wrong = app.log_in("anna", "wrong").await;
    assert_problem(&wrong, 401, "wrong username or password");
    let refused = app.log_in("anna", PASSWORD).await;
    assert_problem(&refused, 403, "the account is suspended");
    assert_eq!(refused.body["type"], "/problems/account-suspended");
    assert_eq!(refused.body["reason"], "spam");

    sqlx::query("update user_account set suspended_until = now() where id = $1")
        .bind(id)
        .execute(&pool)
        .await
        .expect("an update");
    app.log_in("anna", PASSWORD).await.expect(200);
    let listed = revoked().await;
    assert_eq!(listed["revocations"][0]["suspended"], false);
    let body = json!({"suspended_until": until, "reason": "again"});
    send(&app, admin, "PATCH", &path, body).await.expect(200);
    let body = json!({"suspended_until": null});
    let user = send(&app, admin, "PATCH", &path, body).await.expect(200);
    assert_eq!(user["suspended_until"], Value::Null);
    app.log_in("anna", PASSWORD).await.expect(200);

    for (body, field) in [
        (json!({"suspended_until": until}), "reason"),
        (json!({"suspended_until": until, "reason": " "}), "reason"),
        (
            json!({"suspended_until": "2020-01-01T00:00:00Z", "reason": "x"}),
            "suspended_until",
        ),
        (json!({"reason": "x"}), "reason"),
        (json!({"role": "root"}), "role"),
        (json!({"rule": "user"}), "rule"),
    ] {
        let refused = send(&app, admin, "PATCH", &path, body.clone()).await;
        assert_eq!(refused.expect(400)["errors"][0]["field"], field, "{body}");
    }
}

#[sqlx::test]
async fn roles_permit_what_they_say_and_the_audit_log_has_every_change(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let admin = (app.account("boss").await, "admin");
    let moderator = (app.account("mia").await, "moderator");
    let id = app.account("anna").await;
    let of = |id: i64| format!("{USERS}/{id}");
    let role = |role: &str| json!({"role": role});
    let suspend = json!({"suspended_until": "2100-01-01T00:00:00Z", "reason": "spam"});
    send(&app, admin, "PATCH", &of(moderator.0), role("moderator"))
        .await
        .expect(200);
    // A moderator suspends users, and nothing more.
    send(&app, moderator, "PATCH", &of(id), suspend.clone())
        .await
        .expect(200);
    for (who, path, body) in [
        (moderator, of(id), role("moderator")),
        (moderator, of(moderator.0), suspend.clone()),
        (admin, of(admin.0), role("user")),
        (admin, of(admin.0), suspend.clone()),
    ] {
        assert_problem(
            &send(&app, who, "PATCH", &path, body).await,
            403,
            "forbidden",
        );
    }
    sqlx::query("update user_account set role = 'admin' where id = $1")
        .bind(admin.0)
        .execute(&pool)
        .await
        .expect("an update");
    let refused = send(&app, moderator, "PATCH", &of(admin.0), suspend).await;
    assert_problem(&refused, 403, "forbidden");
    // A stolen token of an administrator makes no other administrators.
    let stolen = Some(json!({"subject": admin.0.to_string(), "role": "admin"}));
    let refused = app
        .send_as("PATCH", &of(id), role("admin"), stolen, None)
        .await;
    assert_problem(&refused, 403, "the present password is wrong");
    // A lower role makes access tokens invalid.
    send(&app, admin, "PATCH", &of(moderator.0), role("user"))
        .await
        .expect(200);
    let revoked = app.get("/internal/v1/token-revocations").await.expect(200);
    let revoked = revoked["revocations"].as_array().expect("a list").clone();
    let now = chrono::Utc::now().timestamp();
    assert!(
        revoked.iter().any(|one| one["user_id"] == moderator.0
            && one["suspended"] == false
            && one["valid_from"]
                .as_i64()
                .is_some_and(|from| (now - from).abs() <= 5)),
        "{revoked:?}"
    );
    // What administrators do to accounts of others is recorded as well.
    let email = json!({"email": "secret@example.org"});
    let own = format!("/api/v1/users/{id}");
    send(&app, admin, "PATCH", &own, email).await.expect(200);
    send(
        &app,
        (id, "user"),
        "PATCH",
        &own,
        json!({"username": "hanna"}),
    )
    .await
    .expect(200);

    let log = send(&app, admin, "GET", "/api/v1/admin/audit", Value::Null)
        .await
        .expect(200);
    let entries = log["entries"].as_array().expect("entries");
    let summary: Vec<String> = entries
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                entry["actor"], entry["action"], entry["target_id"]
            )
        })
        .collect();
    let (boss, mia) = (admin.0, moderator.0);
    assert_eq!(
        summary,
        [
            format!("\"{boss}\" \"user.update\" {id}"),
            format!("\"{boss}\" \"user.role\" {mia}"),
            format!("\"{mia}\" \"user.suspend\" {id}"),
            format!("\"{boss}\" \"user.role\" {mia}"),
        ]
    );
    assert_eq!(entries[1]["before"], json!({"role": "moderator"}));
    assert_eq!(entries[1]["after"], json!({"role": "user"}));
    assert_eq!(entries[2]["after"]["reason"], "spam");
    assert_eq!(entries[0]["after"], json!({"changed": ["email"]}));
    assert!(
        entries.iter().all(|entry| entry["request_id"].is_string()),
        "{log}"
    );
    let path = format!(
        "/api/v1/admin/audit?target_id={id}&limit=1&before={}",
        entries[0]["id"]
    );
    let page = send(&app, admin, "GET", &path, Value::Null)
        .await
        .expect(200);
    assert_eq!(page["entries"], json!([entries[2]]));

    // The words about a user go with their data, what was done stays.
    let erased = send(&app, admin, "DELETE", &own, Value::Null).await;
    assert_eq!(erased.status.as_u16(), 204);
    let path = format!("/api/v1/admin/audit?target_id={id}");
    let log = send(&app, admin, "GET", &path, Value::Null)
        .await
        .expect(200);
    assert_eq!(log["entries"][0]["action"], "user.erase");
    assert!(!log.to_string().contains("spam"), "{log}");
}

#[sqlx::test]
async fn other_services_record_what_administrators_do(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let record = json!({"actor": "42", "action": "PUT /api/v1/admin/rules", "target": "/api/v1/admin/rules?x=1"});
    let path = "/internal/v1/audit";
    assert_eq!(app.post(path, record).await.status, 204);
    let log = send(
        &app,
        (1, "admin"),
        "GET",
        "/api/v1/admin/audit",
        Value::Null,
    )
    .await;
    let entry = log.expect(200)["entries"][0].clone();
    assert_eq!(entry["actor"], "42");
    assert_eq!(entry["action"], "PUT /api/v1/admin/rules");
    assert_eq!(entry["target_id"], Value::Null);
    assert_eq!(entry["after"]["target"], "/api/v1/admin/rules?x=1");
    assert!(entry["request_id"].is_string());
    assert_eq!(app.post(path, json!({"actor": "42"})).await.status, 400);
}
