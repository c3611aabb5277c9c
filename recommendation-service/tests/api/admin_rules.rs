//! Versions of the rules: put, listed, put again, previewed.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::{TestResponse, call, eventually, get, post, send};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

const PATH: &str = "/api/v1/admin/rules";

async fn put(test: &TestApp, body: Value) -> TestResponse {
    call(&test.app, Method::PUT, PATH, Some(body)).await
}

async fn put_with(test: &TestApp, header: (&str, &str), body: Value) -> TestResponse {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(PATH)
        .header(header.0, header.1)
        .body(Body::from(body.to_string()))
        .unwrap();
    send(&test.app, request).await
}

fn rule(rule_type: &str, weight: f64) -> Value {
    json!({"name": format!("By {rule_type}"), "rule_type": rule_type, "weight": weight})
}

/// The types and weights of the active rules.
async fn active(test: &TestApp) -> Vec<(String, f64)> {
    let body = get(&test.app, "/api/v1/rules").await.expect(200);
    let rules = body["rules"].as_array().unwrap().iter();
    rules
        .map(|rule| {
            (
                rule["rule_type"].as_str().unwrap().to_owned(),
                rule["weight"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[sqlx::test]
async fn rules_are_replaced_as_a_whole_and_versions_are_kept(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let other = TestApp::beside(&pool, test.movies.clone(), test.users.clone()).await;
    let first = get(&test.app, PATH).await;
    assert_eq!(first.headers["etag"], "\"1\"");
    let first = first.expect(200)["data"][0].clone();
    assert_eq!(
        (&first["version"], first["rules"].as_array().unwrap().len()),
        (&json!(1), 3)
    );

    let admin = r#"{"subject":"42","role":"admin"}"#;
    let inactive =
        json!({"name": "Off", "rule_type": "popularity", "weight": 1, "is_active": false});
    let body = json!({"rules": [rule("recency", -0.5), inactive], "version": 1, "note": "try"});
    let response = put_with(&test, ("x-principal", admin), body).await;
    assert_eq!(response.headers["etag"], "\"2\"");
    let set = response.expect(200);
    insta::assert_json_snapshot!(set, @r#"
    {
      "created_at": "2026-01-01T00:00:00Z",
      "created_by": "42",
      "note": "try",
      "rules": [
        {
          "is_active": false,
          "name": "Off",
          "rule_type": "popularity",
          "weight": 1.0
        },
        {
          "is_active": true,
          "name": "By recency",
          "rule_type": "recency",
          "weight": -0.5
        }
      ],
      "version": 2
    }
    "#);
    assert_eq!(
        active(&test).await,
        [("recency".to_owned(), -0.5)],
        "at once"
    );
    eventually("another replica takes them over", async || {
        active(&other).await == [("recency".to_owned(), -0.5)]
    })
    .await;

    let again = json!({"rules": first["rules"]});
    let response = put_with(&test, ("if-match", "\"2\""), again)
        .await
        .expect(200);
    assert_eq!(
        (&response["version"], &response["rules"]),
        (&json!(3), &first["rules"])
    );
    assert_eq!(active(&test).await.len(), 3);
    let page = get(&test.app, &format!("{PATH}?page=2&page_size=2"))
        .await
        .expect(200);
    assert_eq!(
        (&page["total_results"], &page["total_pages"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(page["data"], json!([first]));
}

#[sqlx::test]
async fn invalid_rules_are_refused_by_field_and_change_nothing(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let named = |name: &str| json!({"name": name, "rule_type": "recency", "weight": 1});
    for (rules, field) in [
        (json!([]), "rules"),
        (json!([rule("recency", 10.5)]), "rules[0].weight"),
        (
            json!([rule("popularity", 1.0), rule("recency", -11.0)]),
            "rules[1].weight",
        ),
        (
            json!([rule("recency", 1.0), rule("recency", 1.0)]),
            "rules[1].rule_type",
        ),
        (json!([rule("luck", 1.0)]), "rules[0].rule_type"),
        (json!([named("")]), "rules[0].name"),
        (json!([named("a\u{0}b")]), "rules[0].name"),
        (json!([named(&"n".repeat(101))]), "rules[0].name"),
        (
            json!([{"name": "n", "rule_type": "recency"}]),
            "rules[0].weight",
        ),
        (
            json!([{"name": "n", "rule_type": "recency", "weight": null}]),
            "rules[0].weight",
        ),
    ] {
        for (path, method) in [
            (PATH, Method::PUT),
            ("/api/v1/admin/rules/preview", Method::POST),
        ] {
            let mut body = json!({"rules": rules});
            if method == Method::POST {
                body["user_id"] = json!(7);
            }
            let problem = call(&test.app, method, path, Some(body)).await.expect(400);
            assert_eq!(problem["errors"][0]["field"], field, "{path} {rules}");
        }
    }
    let good = json!([rule("recency", 1.0)]);
    let long = json!({"rules": good, "note": "n".repeat(1001)});
    assert_eq!(
        put(&test, long).await.expect(400)["errors"][0]["field"],
        "note"
    );
    let infinite = r#"{"rules": [{"name": "n", "rule_type": "recency", "weight": 1e999}]}"#;
    let request = Request::put(PATH).body(Body::from(infinite)).unwrap();
    send(&test.app, request).await.expect(400);
    let outdated = put(&test, json!({"rules": good, "version": 2}))
        .await
        .expect(409);
    assert_eq!(
        (&outdated["type"], &outdated["version"]),
        (&json!("/problems/rules-outdated"), &json!(1))
    );
    put_with(&test, ("if-match", "\"7\""), json!({"rules": good}))
        .await
        .expect(412);
    put_with(&test, ("if-match", "W/\"1\""), json!({"rules": good}))
        .await
        .expect(400);
    assert_eq!(active(&test).await.len(), 3);
    let kept = get(&test.app, PATH).await.expect(200);
    assert_eq!(kept["total_results"], 1);
    put_with(&test, ("if-match", "*"), json!({"rules": good}))
        .await
        .expect(200);
}

#[sqlx::test]
async fn concurrent_rule_versions_are_numbered_in_sequence(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let body = |weight: f64| json!({"rules": [rule("recency", weight)], "version": 1});
    let (one, two) = tokio::join!(put(&test, body(1.0)), put(&test, body(2.0)));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [200, 409],
        "one of them had seen what it replaced"
    );
}

#[sqlx::test]
async fn rules_are_previewed_for_a_user_and_nothing_is_stored(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for (id, date) in [(1, "2020-01-01"), (2, "2025-06-01"), (3, "2025-12-31")] {
        let popularity = 40.0 - 10.0 * id as f64;
        test.movies.film(
            id,
            1,
            json!({"popularity": popularity, "release_date": date}),
        );
    }
    test.users.user(7, 1, json!({}));
    let preview = async |user: i64, weight: f64| {
        let rules = [rule("recency", weight), rule("popularity", 0.0001)];
        let body = json!({"user_id": user, "rules": rules, "limit": 2});
        post(&test.app, "/api/v1/admin/rules/preview", body).await
    };
    eventually("all three", async || {
        let response = get(&test.app, "/api/v1/users/7/recommendations").await;
        response.body["recommendations"].as_array().map(Vec::len) == Some(3)
    })
    .await;
    let places = |body: Value| -> Vec<(i64, Value)> {
        let films = body["recommendations"].as_array().unwrap().iter();
        films
            .map(|film| {
                (
                    film["id"].as_i64().unwrap(),
                    film["present_position"].clone(),
                )
            })
            .collect()
    };
    // By the rules in force 2 scores 0.4787, 3 0.4329, and 1 0.4.
    let newest = places(preview(7, 1.0).await.expect(200));
    assert_eq!(newest, [(3, json!(2)), (2, json!(1))]);
    let oldest = places(preview(7, -1.0).await.expect(200));
    assert_eq!(oldest, [(1, Value::Null), (2, json!(1))]);
    preview(8, 1.0).await.expect(404);
    assert_eq!(
        preview(0, 1.0).await.expect(400)["errors"][0]["field"],
        "user_id"
    );
    assert_eq!(get(&test.app, PATH).await.expect(200)["total_results"], 1);
}

#[sqlx::test]
async fn what_administrators_change_is_recorded_before(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let admin = ("x-principal", r#"{"subject":"42","role":"admin"}"#);
    let body = json!({"rules": [rule("recency", 1.0)], "version": 1});
    put_with(&test, admin, body).await.expect(200);
    let entry = json!({"actor": "42", "action": "PUT /api/v1/admin/rules", "target": PATH});
    assert_eq!(test.users.audit(), [entry]);
    // Reading is not recorded, nor what another service does.
    test.get_as("admin", PATH).await.expect(200);
    let body = json!({"rules": [rule("recency", 2.0)], "version": 2});
    put(&test, body).await.expect(200);
    assert_eq!(test.users.audit().len(), 1);
    // Nothing is done without an entry.
    test.users.stop_audit();
    let body = json!({"rules": [rule("recency", 3.0)], "version": 3});
    let refused = put_with(&test, admin, body).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(refused.body["error"], "the audit log is unavailable");
    assert_eq!(active(&test).await, [("recency".to_owned(), 2.0)]);
}
