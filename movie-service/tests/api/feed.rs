//! The change feed and its snapshot.

use chassis::testing::{eventually, get};
use serde_json::Value;
use sqlx::PgPool;

use crate::TestApp;

#[sqlx::test]
async fn the_snapshot_and_the_changes_agree(pool: PgPool) {
    let test = TestApp::synced(&pool, 2).await;
    let snapshot = get(&test.app, "/internal/v1/snapshot").await.text;
    let lines: Vec<Value> = snapshot
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 42);
    assert_eq!(lines[41]["count"], 40);
    // A transaction of another test on the same server can hide the latest change for a moment.
    eventually("all changes", async || {
        changes(&test, "limit=100").await.len() == 40
    })
    .await;
    let all = changes(&test, "limit=100").await;
    for change in &all {
        let line = lines
            .iter()
            .find(|line| line["key"] == change["key"])
            .unwrap();
        assert_eq!(
            (&line["name"], &line["payload"]),
            (&change["name"], &change["payload"])
        );
        assert_eq!(change["name"], "movie.synced");
    }
    let film = &all[0]["payload"];
    insta::assert_json_snapshot!(
        film,
        {".keywords" => "[list]", ".people" => "[list]", ".titles" => "[list]"},
        @r#"
        {
          "collection_id": null,
          "countries": [],
          "genres": [
            {
              "id": 16,
              "name": "Animation",
              "names": {
                "ko": "애니메이션"
              }
            },
            {
              "id": 10751,
              "name": "Family",
              "names": {
                "ko": "가족"
              }
            },
            {
              "id": 878,
              "name": "Science Fiction",
              "names": {
                "ko": "SF"
              }
            }
          ],
          "id": 1184918,
          "keywords": "[list]",
          "original_language": "en",
          "original_title": "The Wild Robot",
          "people": "[list]",
          "popularity": 26.195,
          "poster_path": null,
          "providers": [
            {
              "id": 119,
              "name": "Amazon Prime Video",
              "region": "KR",
              "type": "flatrate"
            },
            {
              "id": 356,
              "name": "wavve",
              "region": "KR",
              "type": "flatrate"
            },
            {
              "id": 8,
              "name": "Netflix",
              "region": "KR",
              "type": "buy"
            },
            {
              "id": 8,
              "name": "Netflix",
              "region": "US",
              "type": "flatrate"
            },
            {
              "id": 119,
              "name": "Amazon Prime Video",
              "region": "US",
              "type": "flatrate"
            },
            {
              "id": 8,
              "name": "Netflix",
              "region": "US",
              "type": "rent"
            },
            {
              "id": 8,
              "name": "Netflix",
              "region": "US",
              "type": "buy"
            }
          ],
          "recommended": [],
          "release_date": "2024-09-12",
          "runtime": 102,
          "title": "The Wild Robot",
          "titles": "[list]",
          "version": 1,
          "vote_average": 8.3,
          "vote_count": 4447
        }
        "#
    );
    let cursor = lines[0]["cursor"].as_str().unwrap();
    let id = film["id"].as_i64().unwrap();
    test.tmdb
        .control("POST", &format!("/__films/{id}"), r#"{"title": "Changed"}"#);
    test.sync(2).await.expect(200);
    let after = format!("after={cursor}");
    // A change of the snapshot may be repeated, but none is left out.
    eventually("the change", async || {
        let changes = changes(&test, &after).await;
        changes.last().is_some_and(|change| {
            change["payload"]["title"] == "Changed" && change["payload"]["version"] == 2
        })
    })
    .await;
}

async fn changes(test: &TestApp, query: &str) -> Vec<Value> {
    let body = get(&test.app, &format!("/internal/v1/changes?{query}"))
        .await
        .expect(200);
    body["changes"].as_array().unwrap().clone()
}
