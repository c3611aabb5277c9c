//! Signing keys: publication, rotation, encryption.

use chassis::{Settings, clock::Clock};
use futures_util::future::join_all;
use preference_service::{config::DEFAULTS, service::signing::SigningKeys};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    accounts::verified,
    stage::{MovieService, PASSWORD, TestApp, assert_problem},
};

/// The signing keys of another process.
fn signing_keys(pool: &PgPool, settings: &[(&str, &str)]) -> SigningKeys {
    let environment = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Settings::merge(DEFAULTS, &environment).and_then(|settings| settings.read());
    SigningKeys::new(pool.clone(), Clock::system(), &config.expect("settings")).expect("keys")
}

#[sqlx::test]
async fn a_signing_key_is_published_before_it_signs_and_after_it_is_replaced(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    app.account("anna").await;
    let response = app.get("/.well-known/jwks.json").await;
    assert_eq!(response.headers["cache-control"], "public, max-age=300");
    assert!(response.headers.contains_key("etag"));
    let first = response.expect(200)["keys"][0]["kid"].clone();
    let kids = async |app: &TestApp| -> Vec<Value> {
        let keys = app.get("/.well-known/jwks.json").await.expect(200);
        let keys = keys["keys"].as_array().expect("keys").clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect()
    };
    let signs_with = async |app: &TestApp| -> Value {
        let login = app.log_in("anna", PASSWORD).await.expect(200);
        verified(app, &login["access_token"]).await.0["kid"].clone()
    };
    assert_eq!(signs_with(&app).await, first);

    let rotate = async |delay: &str| {
        let keys = signing_keys(&pool, &[("SIGNING_KEY_DELAY_SECONDS", delay)]);
        keys.rotate().await.expect("a rotation");
    };
    rotate("3600").await;
    // A new process reads the present keys.
    let app = TestApp::new(&pool, &movies);
    assert_eq!(kids(&app).await.len(), 2);
    assert_eq!(
        signs_with(&app).await,
        first,
        "the new key does not sign yet"
    );
    rotate("0").await;
    let app = TestApp::new(&pool, &movies);
    assert_eq!(kids(&app).await.len(), 3);
    let second = signs_with(&app).await;
    assert_ne!(second, first);
    assert!(
        kids(&app).await.contains(&first),
        "its tokens are still valid"
    );
    // After its last token expired, it is no longer published.
    sqlx::query("update signing_key set verifies_until = now() where kid = $1")
        .bind(first.as_str())
        .execute(&pool)
        .await
        .expect("an update");
    let app = TestApp::new(&pool, &movies);
    assert!(!kids(&app).await.contains(&first));
    rotate("0").await;
    assert_eq!(app.count("signing_key").await, 3);
}

#[sqlx::test]
async fn concurrent_first_starts_create_one_key(pool: PgPool) {
    let all: Vec<SigningKeys> = (0..8).map(|_| signing_keys(&pool, &[])).collect();
    let sets = join_all(all.iter().map(SigningKeys::published)).await;
    let sets: Vec<Value> = sets
        .into_iter()
        .map(|set| json!(set.expect("keys")))
        .collect();
    assert_eq!(sets[0].as_array().map(Vec::len), Some(1));
    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:?}");
}

#[sqlx::test]
async fn private_keys_are_encrypted_with_the_secret(pool: PgPool) {
    let movies = MovieService::start().await;
    let secret = "a secret of the tests, which is long enough";
    let app = TestApp::with(&pool, &movies, &[("SIGNING_KEY_SECRET", secret)]);
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    verified(&app, &login["access_token"]).await;
    let (length, encrypted): (i32, bool) =
        sqlx::query_as("select octet_length(private_key), encrypted from signing_key")
            .fetch_one(&pool)
            .await
            .expect("a key");
    assert_eq!((length, encrypted), (12 + 32 + 16, true));
    for wrong in ["", "another secret that is as long as it must be"] {
        let app = TestApp::with(&pool, &movies, &[("SIGNING_KEY_SECRET", wrong)]);
        let response = app.get("/.well-known/jwks.json").await;
        assert_problem(&response, 500, "internal error");
    }
}
