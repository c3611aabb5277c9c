//! The learned models: trained, listed, made live and taken back, and refused when they are damaged.

use std::{process::Output, sync::Arc};

use axum::http::Method;
use chassis::testing::{call, get};
use recommendation_service::{
    repository::models,
    scorer::{
        Popularity,
        file::{self, Manifest, ModelParts},
    },
    service::{models::Models, read_model::Shared},
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::TestApp;

/// Adds a version of a model over so many films.
async fn add_version(pool: &PgPool, films: i64, live: bool) -> i64 {
    let parts = ModelParts {
        films: (1..=films).collect(),
        popularity: Some(Arc::new(
            Popularity::from_scores((1..=films).map(|id| id as f32).collect()).unwrap(),
        )),
        ..ModelParts::default()
    };
    let manifest = Manifest::default();
    let bytes = file::encode(&manifest, &parts).unwrap();
    let sha256 = sha256(&bytes);
    models::insert(pool, &manifest, &bytes, &sha256, live, 5)
        .await
        .unwrap()
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

async fn put_live(test: &TestApp, body: Value) -> chassis::testing::Answer {
    let path = "/api/v1/admin/models/live";
    call(&test.app, Method::PUT, path, Some(body)).await
}

fn live_films(models: &Models) -> Option<usize> {
    models.live().map(|live| live.films().len())
}

#[sqlx::test]
async fn a_version_goes_live_everywhere_and_back_by_one_call(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let other = Models::new(pool.clone(), None, Shared::new(None));
    let body = get(&test.app, "/api/v1/admin/models").await.expect(200);
    assert_eq!(body, json!({"live": null, "models": []}));
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
async fn versions_that_are_not_there_and_bodies_that_are_none_change_nothing(pool: PgPool) {
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
async fn a_damaged_version_is_refused_and_the_live_one_goes_on(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let other = Models::new(pool.clone(), None, Shared::new(None));
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
    assert!(models::promote(&pool, Some(bad)).await.unwrap());
    other.refresh().await.unwrap();
    assert_eq!(other.live().map(|live| live.version()), Some(good));
    // A process that starts then works by its rules.
    let again = TestApp::beside(&pool, test.movies.clone(), test.users.clone()).await;
    again.until_ready().await;
    put_live(&again, json!({"version": good})).await.expect(200);
}

#[sqlx::test]
async fn the_oldest_versions_are_dropped_but_not_the_live_one(pool: PgPool) {
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
async fn a_file_kept_for_a_quick_start_is_used_only_while_it_is_whole(pool: PgPool) {
    let _test = TestApp::ready(&pool).await;
    let directory = std::env::temp_dir().join(format!("marquee-models-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let version = add_version(&pool, 3, true).await;
    let models = || Models::new(pool.clone(), Some(directory.clone()), Shared::new(None));
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

/// Runs `recommendation-service train` over `pool`, small enough for an unoptimized program.
async fn train(pool: &PgPool, more: &[&str]) -> Output {
    let url = pool.connect_options().to_url_lossy();
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_recommendation-service"));
    command
        .arg("train")
        .args([
            "--set",
            "ials.dimensions=4",
            "--set",
            "ials.regularization=0.02",
        ])
        .args([
            "--set",
            "ease.regularization=20",
            "--set",
            "spectral.dimensions=4",
        ])
        .args(more)
        .env("DATABASE_URL", url.as_str());
    command.output().await.unwrap()
}

/// Users of two tastes, who like two films of three of the even or the odd ones.
async fn add_tastes(pool: &PgPool, users: i64) {
    sqlx::query(
        "insert into user_movie (user_id, movie_id, version, reaction, bookmarked, watched,
             watched_seconds, occurred_at, created_at)
         select u, 100 + f, u * 1000 + f, 'like', false, false, 0,
                timestamptz '2025-01-01' + make_interval(mins => (u * 31 + f * 17)::int % 400),
                timestamptz '2025-01-01'
         from generate_series(1, $1::bigint) as u, generate_series(0, 59) as f
         where f % 2 = u % 2 and (f / 2 + u / 2) % 3 > 0
         on conflict do nothing",
    )
    .bind(users)
    .execute(pool)
    .await
    .unwrap();
}

async fn versions(pool: &PgPool) -> (Option<i64>, Vec<models::ModelRow>) {
    let mut all = models::list(pool).await.unwrap();
    all.reverse();
    (models::live(pool).await.unwrap(), all)
}

#[sqlx::test]
async fn training_goes_live_if_it_is_better_and_the_same_data_gives_the_same_bytes(pool: PgPool) {
    add_tastes(&pool, 40).await;
    let told = train(&pool, &[]).await;
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 1), "{told}");
    assert!(all[0].manifest.metrics["blend"]["ndcg@10"] > 0.3, "{told}");
    assert_eq!(all[0].manifest.users, 40);

    // The same again is not better.
    train(&pool, &[]).await;
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 2));
    assert_eq!(all[0].sha256, all[1].sha256);
    train(&pool, &["--seed", "2"]).await;
    let (_, all) = versions(&pool).await;
    assert_ne!(all[0].sha256, all[2].sha256);
    train(&pool, &["--promote"]).await;
    assert_eq!(versions(&pool).await.0, Some(4));
}

#[sqlx::test]
async fn what_is_worse_than_what_is_live_does_not_go_live(pool: PgPool) {
    add_tastes(&pool, 40).await;
    train(&pool, &[]).await;
    assert_eq!(versions(&pool).await.0, Some(1));
    let only_popular = ["blend.ease=0", "blend.ials=0", "blend.spectral=0"];
    let worse: Vec<&str> = only_popular
        .iter()
        .flat_map(|set| ["--set", *set])
        .collect();
    let told = train(&pool, &worse).await;
    assert!(told.status.success());
    let (live, all) = versions(&pool).await;
    assert_eq!((live, all.len()), (Some(1), 2));
}

#[sqlx::test]
async fn factors_fitted_elsewhere_become_a_version(pool: PgPool) {
    add_tastes(&pool, 40).await;
    let out = std::env::temp_dir().join(format!("marquee-factors-{}", std::process::id()));
    let file = out.to_string_lossy().into_owned();
    let written = train(&pool, &["--out", &file]).await;
    assert!(written.status.success());
    assert!(versions(&pool).await.1.is_empty(), "only the file");
    let (_, parts) = file::decode(&std::fs::read(&out).unwrap()).unwrap();
    // As another trainer would write it: factors alone, and no manifest.
    let lone = ModelParts {
        films: parts.films,
        ials: parts.ials,
        ..ModelParts::default()
    };
    std::fs::write(&out, file::encode(&Manifest::default(), &lone).unwrap()).unwrap();
    let told = train(&pool, &["--from", &file]).await;
    let (live, all) = versions(&pool).await;
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert_eq!((live, all.len()), (Some(1), 1), "{told}");
    assert!(all[0].manifest.metrics.contains_key("ials"));

    std::fs::write(&out, b"not models").unwrap();
    let refused = train(&pool, &["--from", &file]).await;
    std::fs::remove_file(&out).unwrap();
    assert!(!refused.status.success());
    assert_eq!(versions(&pool).await.1.len(), 1);
}

#[sqlx::test]
async fn too_little_to_measure_on_is_told_and_nothing_is_written(pool: PgPool) {
    add_tastes(&pool, 2).await;
    let told = train(&pool, &[]).await;
    assert!(!told.status.success());
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("too few to measure on"), "{told}");
    assert!(versions(&pool).await.1.is_empty());
}

#[sqlx::test]
async fn one_replica_at_a_time_trains_and_not_before_it_is_due(pool: PgPool) {
    use std::time::Duration;
    let day = Duration::from_secs(86_400);
    let take = async |interval| models::take_lease(&pool, interval, day).await.unwrap();
    assert!(take(day).await);
    assert!(!take(Duration::ZERO).await, "somebody trains");
    models::return_lease(&pool).await.unwrap();
    assert!(!take(day).await, "it is not due");
    assert!(take(Duration::ZERO).await);
}
