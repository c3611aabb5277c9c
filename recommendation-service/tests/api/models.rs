//! The registry: versions listed, activated, deactivated, and refused if damaged.

use std::sync::Arc;

use axum::http::Method;
use chassis::testing::{call, get};
use recommendation_service::registry::{
    LiveModels, Registry,
    repository::{self, ModelKind, NewModel},
};
use recommender::{
    Popularity,
    model_file::{self, Manifest, ModelParts},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

/// Stores a version of a model of own users over so many movies.
async fn add_version(pool: &PgPool, films: i64, live: bool) -> i64 {
    add_version_of(pool, ModelKind::Own, films, live).await
}

async fn add_version_of(pool: &PgPool, kind: ModelKind, films: i64, live: bool) -> i64 {
    let parts = ModelParts {
        films: (1..=films).collect(),
        popularity: Some(Arc::new(
            Popularity::from_scores((1..=films).map(|id| id as f32).collect()).unwrap(),
        )),
        ..ModelParts::default()
    };
    let manifest = Manifest::default();
    let bytes = model_file::encode(&manifest, &parts).unwrap();
    let sha256 = sha256(&bytes);
    let new = NewModel {
        kind,
        manifest: &manifest,
        bytes: &bytes,
        sha256: &sha256,
    };
    repository::insert(pool, &new, live, 5).await.unwrap()
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).to_vec()
}

async fn damage(pool: &PgPool, version: i64) {
    sqlx::query("update model_chunk set bytes = substr(bytes, 1, 40) where version = $1")
        .bind(version)
        .execute(pool)
        .await
        .unwrap();
}

async fn put_live(test: &TestApp, body: Value) -> chassis::testing::TestResponse {
    let path = "/api/v1/admin/models/live";
    call(&test.app, Method::PUT, path, Some(body)).await
}

fn live_films(models: &Registry) -> Option<usize> {
    models.live(ModelKind::Own).map(|live| live.films.len())
}

#[sqlx::test]
async fn one_request_activates_a_version_on_every_replica(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let other = Registry::new(pool.clone(), None, LiveModels::default());
    let body = get(&test.app, "/api/v1/admin/models").await.expect(200);
    assert_eq!(body, json!({"live": null, "live_base": null, "models": []}));
    let first = add_version(&pool, 3, false).await;
    let second = add_version(&pool, 4, false).await;
    other.refresh().await.unwrap();
    assert_eq!(live_films(&other), None);

    for (version, films) in [(second, 4), (first, 3)] {
        let body = put_live(&test, json!({"version": version}))
            .await
            .expect(200);
        assert_eq!(body["live"], version);
        let is_live: Vec<_> = body["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| (model["version"].clone(), model["is_live"].clone()))
            .collect();
        let wanted = [second, first].map(|each| (json!(each), json!(each == version)));
        assert_eq!(is_live, wanted);
        other.refresh().await.unwrap();
        assert_eq!(live_films(&other), Some(films));
    }
    put_live(&test, json!({"version": null})).await.expect(200);
    other.refresh().await.unwrap();
    assert_eq!(live_films(&other), None);
}

#[sqlx::test]
async fn unknown_versions_and_invalid_bodies_change_nothing(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let version = add_version(&pool, 3, true).await;
    let missing = put_live(&test, json!({"version": 99})).await.expect(404);
    assert!(
        missing["type"]
            .as_str()
            .unwrap()
            .ends_with("model-not-found")
    );
    for body in [
        json!({}),
        json!({"version": "newest"}),
        json!({"version": 1.5}),
        json!({"version": version, "share": 1}),
    ] {
        put_live(&test, body).await.expect(400);
    }
    let body = get(&test.app, "/api/v1/admin/models").await.expect(200);
    assert_eq!(body["live"], version);
}

#[sqlx::test]
async fn a_damaged_version_is_refused_and_the_live_one_stays(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let other = Registry::new(pool.clone(), None, LiveModels::default());
    let good = add_version(&pool, 3, true).await;
    other.refresh().await.unwrap();
    let bad = add_version(&pool, 4, false).await;
    damage(&pool, bad).await;
    let refused = put_live(&test, json!({"version": bad})).await.expect(409);
    assert!(
        refused["type"]
            .as_str()
            .unwrap()
            .ends_with("model-unusable")
    );
    // As if it had been damaged after it went live.
    assert!(
        repository::activate(&pool, ModelKind::Own, Some(bad))
            .await
            .unwrap()
    );
    other.refresh().await.unwrap();
    assert_eq!(
        other.live(ModelKind::Own).map(|live| live.version),
        Some(good)
    );
    // A process that starts with a damaged live version ranks by the rules.
    let again = TestApp::beside(&pool, test.movies.clone(), test.users.clone()).await;
    again.until_ready().await;
    put_live(&again, json!({"version": good})).await.expect(200);
}

#[sqlx::test]
async fn the_oldest_versions_are_deleted_but_not_the_live_one(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let live = add_version(&pool, 2, true).await;
    for films in 3..10 {
        add_version(&pool, films, false).await;
    }
    let body = get(&test.app, "/api/v1/admin/models").await.expect(200);
    let versions: Vec<i64> = body["models"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["version"].as_i64().unwrap())
        .collect();
    assert_eq!(
        versions,
        [live + 7, live + 6, live + 5, live + 4, live + 3, live]
    );
}

#[sqlx::test]
async fn a_cached_model_file_is_used_only_if_it_is_intact(pool: PgPool) {
    let _test = TestApp::ready(&pool).await;
    let directory = std::env::temp_dir().join(format!("marquee-models-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let version = add_version(&pool, 3, true).await;
    let models = || Registry::new(pool.clone(), Some(directory.clone()), LiveModels::default());
    models().refresh().await.unwrap();
    let file = directory.join(format!("{version}.safetensors"));
    // Without its bytes in the database it comes from the file alone.
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let mended = models();
    mended.refresh().await.unwrap();
    assert_eq!(live_films(&mended), Some(3));
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    damage(&pool, version).await;
    let from_file = models();
    from_file.refresh().await.unwrap();
    assert_eq!(live_films(&from_file), Some(3));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[sqlx::test]
async fn one_training_runs_at_a_time_and_not_before_it_is_due(pool: PgPool) {
    use std::time::Duration;
    let day = Duration::from_secs(86_400);
    let create = async |interval| {
        repository::create_training_if_due(&pool, interval)
            .await
            .unwrap()
    };
    assert!(create(day).await);
    assert!(!create(Duration::ZERO).await, "another one has not ended");
    sqlx::query("update job set status = 'succeeded'")
        .execute(&pool)
        .await
        .unwrap();
    assert!(!create(day).await, "it is not due");
    assert!(create(Duration::ZERO).await);
}
