//! The internal endpoint that filters ranked lists of other services.

use chassis::testing::{TestResponse, post};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

async fn select(test: &TestApp, body: Value) -> TestResponse {
    post(&test.app, "/internal/v1/movies/select", body).await
}

#[sqlx::test]
async fn movies_keep_the_requested_order_and_pass_the_filter(pool: PgPool) {
    let test = TestApp::synced(&pool, 2).await;
    let mut listed = test.ids("/api/v1/movies?page_size=40").await;
    listed.reverse();
    let strangers = [999_999_999, 999_999_998];
    let asked: Vec<i64> = strangers.into_iter().chain(listed.clone()).collect();

    let all = select(&test, json!({"ids": asked, "limit": 100})).await;
    let all = all.expect(200);
    assert_eq!(ids(&all), listed);
    assert!(all["data"][0]["genres"].is_array(), "{all}");
    let first = select(&test, json!({"ids": asked, "limit": 3})).await;
    assert_eq!(ids(&first.expect(200)), listed[..3]);

    let dramas = test.ids("/api/v1/movies?page_size=40&genres=Drama").await;
    let filter = json!({"ids": asked, "limit": 100, "filter": {"genres": "Drama"}});
    let selected = ids(&select(&test, filter).await.expect(200));
    assert!(!selected.is_empty() && selected.len() < listed.len());
    let expected: Vec<i64> = listed
        .into_iter()
        .filter(|id| dramas.contains(id))
        .collect();
    assert_eq!(selected, expected);
}

#[sqlx::test]
async fn invalid_fields_are_named(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    for (body, field) in [
        (json!({"ids": [1], "limit": 0}), "limit"),
        (json!({"ids": [1], "limit": 1001}), "limit"),
        (json!({"ids": vec![1; 10_001], "limit": 1}), "ids"),
        (
            json!({"ids": [1], "limit": 1, "filter": {"genres": "Dramma"}}),
            "genres",
        ),
        (
            json!({"ids": [1], "limit": 1, "filter": {"year": "99"}}),
            "year",
        ),
    ] {
        let problem = select(&test, body).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field);
    }
}
