//! Authentication by API keys, whose owners the gateway looks up at preference-service.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::stage::{Scripted, Stage, TestResponse, echo, serve};

/// The owners of all keys of the tests, by hash.
static KEYS: Mutex<Vec<(String, serde_json::Value)>> = Mutex::new(Vec::new());

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// Creates a key of `user` that [`owners`] finds.
pub fn api_key(user: &str, role: &str, scopes: &[&str]) -> String {
    let mut keys = KEYS.lock().unwrap();
    let key = unknown_key(NEXT.fetch_add(1, Ordering::SeqCst));
    let user: u64 = user.parse().unwrap();
    let owner = json!({"user_id": user, "role": role, "scopes": scopes, "expires_at": null});
    keys.push((hash(&key), owner));
    key
}

/// The `number`th well-formed key that does not exist.
fn unknown_key(number: usize) -> String {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    format!("mq_{}", URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(key: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, key.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The endpoint of preference-service that returns the owners of [`api_key`]s.
pub fn owners() -> Router {
    counting_owners(Arc::default())
}

fn counting_owners(lookups: Arc<AtomicUsize>) -> Router {
    let response = move |Path(hash): Path<String>| {
        lookups.fetch_add(1, Ordering::SeqCst);
        async move {
            let keys = KEYS.lock().unwrap();
            match keys.iter().find(|(own, _)| *own == hash) {
                Some((_, owner)) => Json(owner.clone()).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    Router::new().route("/internal/v1/api-keys/{hash}", get(response))
}

/// A gateway with one thread, and the number of its lookups.
async fn stage() -> (Stage, Arc<AtomicUsize>) {
    let lookups: Arc<AtomicUsize> = Arc::default();
    let upstream = serve(echo().merge(counting_owners(Arc::clone(&lookups)))).await;
    (Stage::new(upstream, &[("WORKER_THREADS", "1")]), lookups)
}

async fn with_key(stage: &Stage, key: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(key)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_authenticates_its_owner_and_is_looked_up_once() {
    let (stage, lookups) = stage().await;
    let key = api_key("7", "user", &["read", "a scope of later"]);
    let responses = join_all((0..20).map(|_| with_key(&stage, &key))).await;
    for response in responses {
        assert_eq!(response.status, 200, "{}", response.text);
        let seen = response.json();
        let principal = r#"{"subject":"7","role":"user"}"#;
        assert_eq!(seen["headers"]["x-principal"][0], principal);
        assert!(!response.text.contains(&key), "the key ends at the gateway");
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrators_key_without_the_admin_scope_has_the_role_of_a_user() {
    let (stage, _) = stage().await;
    let key = api_key("1", "admin", &["read", "write"]);
    let seen = with_key(&stage, &key).await.json();
    let user = r#"{"subject":"1","role":"user"}"#;
    assert_eq!(seen["headers"]["x-principal"][0], user);
    let request = stage.bare(Method::GET, "/api/v1/users/7").bearer_auth(&key);
    TestResponse::of(request).await.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_refused_and_cached() {
    let (stage, lookups) = stage().await;
    for wrong in ["mq_", "mq_short", &"mq_x".repeat(100)] {
        with_key(&stage, wrong).await.problem(401);
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 0, "these cannot be keys");
    for _ in 0..5 {
        let response = with_key(&stage, &unknown_key(1_000_000)).await;
        assert_eq!(response.problem(401)["error"], "invalid bearer token");
        assert_eq!(
            response.header("www-authenticate"),
            "Bearer error=\"invalid_token\""
        );
    }
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn made_up_keys_slow_their_client_down_and_lock_out_no_valid_key() {
    let lookups: Arc<AtomicUsize> = Arc::default();
    let upstream = serve(echo().merge(counting_owners(Arc::clone(&lookups)))).await;
    let settings = [("WORKER_THREADS", "1"), ("KEY_CACHE_SECONDS", "1")];
    let stage = Stage::new(upstream, &settings);
    let known = api_key("7", "user", &["read"]);
    let unused = api_key("7", "user", &["read"]);
    assert_eq!(with_key(&stage, &known).await.status, 200);
    for number in 0..20 {
        let response = with_key(&stage, &unknown_key(2_000_000 + number)).await;
        response.problem(401);
    }
    // The next ones are delayed, and their number is bounded.
    let started = std::time::Instant::now();
    let stage = &stage;
    let more = join_all((20..60).map(|number| async move {
        let response = with_key(stage, &unknown_key(2_000_000 + number)).await;
        (response.status, started.elapsed(), response)
    }));
    let valid = async {
        // The entry in the cache has expired.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        let before = started.elapsed();
        let response = with_key(stage, &known).await;
        (response.status, started.elapsed() - before)
    };
    let (more, (status, time)) = tokio::join!(more, valid);
    assert_eq!(status, 200);
    assert!(
        time.as_millis() < 900,
        "a key that was valid before is not delayed"
    );
    let delayed: Vec<_> = more.iter().filter(|(status, ..)| *status == 401).collect();
    assert_eq!(delayed.len(), 16);
    assert!(delayed.iter().all(|(_, time, _)| time.as_millis() >= 1000));
    let (_, _, refused) = more.iter().find(|(status, ..)| *status == 429).unwrap();
    let problem = refused.problem(429);
    assert_eq!(problem["error"], "too many unknown API keys");
    let seconds = problem["retry_after"].as_u64().unwrap();
    assert_eq!(refused.header("retry-after"), seconds.to_string());
    // A valid key that is used for the first time is delayed, not refused.
    assert_eq!(with_key(stage, &unused).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_refused_after_the_cache_ttl() {
    let upstream = serve(echo().merge(owners())).await;
    let stage = Stage::new(upstream, &[("KEY_CACHE_SECONDS", "1")]);
    let key = api_key("7", "user", &["read"]);
    assert_eq!(with_key(&stage, &key).await.status, 200);
    KEYS.lock().unwrap().retain(|(own, _)| *own != hash(&key));
    chassis::testing::eventually("the key is refused", async || {
        with_key(&stage, &key).await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_lookup_authenticates_no_one() {
    let silent = Scripted::new(|_, _, _| {});
    let stage = Stage::new(silent.address, &[]);
    let response = with_key(&stage, &unknown_key(3_000_000)).await;
    assert!([502, 503].contains(&response.status), "{}", response.text);
}
