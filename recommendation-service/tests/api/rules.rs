//! The active rules.

use chassis::testing::get;
use sqlx::PgPool;

use crate::TestApp;

#[sqlx::test]
async fn the_active_rules_are_listed_by_type(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let body = get(&test.app, "/api/v1/rules").await.expect(200);
    let rules: Vec<_> = body["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| {
            assert!(rule["id"].is_i64() && rule["created_at"].as_str().unwrap().ends_with('Z'));
            assert_eq!(rule["is_active"], true);
            (
                rule["rule_type"].as_str().unwrap(),
                rule["name"].as_str().unwrap(),
                rule["weight"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        rules,
        [
            ("genre_match", "Genre Match", 0.3),
            ("popularity", "Popularity Score", 0.4),
            ("recency", "Recency Bonus", 0.3)
        ]
    );
}
