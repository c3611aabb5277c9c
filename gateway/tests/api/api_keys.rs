//! API keys as the gateway takes them: whose they are is known elsewhere.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::Path, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::stage::{Answer, Scripted, Stage, echo, serve};

/// All keys that tests made up: their hash, whose they are.
static KEYS: Mutex<Vec<(String, serde_json::Value)>> = Mutex::new(Vec::new());

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A key of `user` that the service of [`owners`] knows.
pub fn api_key(user: &str, role: &str, scopes: &[&str]) -> String {
    let mut keys = KEYS.lock().unwrap();
    let key = no_key(NEXT.fetch_add(1, Ordering::SeqCst));
    let user: u64 = user.parse().unwrap();
    let owner = json!({"user_id": user, "role": role, "scopes": scopes, "expires_at": null});
    keys.push((hash(&key), owner));
    key
}

/// The `number`th that looks like a key.
fn no_key(number: usize) -> String {
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

/// What preference-service tells the gateway of [`api_key`]s.
pub fn owners() -> Router {
    counted(Arc::default())
}

fn counted(asked: Arc<AtomicUsize>) -> Router {
    let answer = move |Path(hash): Path<String>| {
        asked.fetch_add(1, Ordering::SeqCst);
        async move {
            let keys = KEYS.lock().unwrap();
            match keys.iter().find(|(own, _)| *own == hash) {
                Some((_, owner)) => Json(owner.clone()).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    };
    Router::new().route("/internal/v1/api-keys/{hash}", get(answer))
}

/// A gateway with one thread, and how often it asked whose a key is.
async fn stage() -> (Stage, Arc<AtomicUsize>) {
    let asked: Arc<AtomicUsize> = Arc::default();
    let upstream = serve(echo().merge(counted(Arc::clone(&asked)))).await;
    (Stage::new(upstream, &[("WORKER_THREADS", "1")]), asked)
}

async fn with_key(stage: &Stage, key: &str) -> Answer {
    Answer::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(key)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stands_for_its_owner_and_is_asked_about_once() {
    let (stage, asked) = stage().await;
    let key = api_key("7", "user", &["read", "a scope of later"]);
    let answers = join_all((0..20).map(|_| with_key(&stage, &key))).await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let seen = answer.json();
        let told = r#"{"subject":"7","role":"user"}"#;
        assert_eq!(seen["headers"]["x-principal"][0], told);
        assert!(!answer.text.contains(&key), "the key ends at the gateway");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_whose_key_is_not_for_it_is_a_user() {
    let (stage, _) = stage().await;
    let key = api_key("1", "admin", &["read", "write"]);
    let told = with_key(&stage, &key).await.json();
    let user = r#"{"subject":"1","role":"user"}"#;
    assert_eq!(told["headers"]["x-principal"][0], user);
    let request = stage.bare(Method::GET, "/api/v1/users/7").bearer_auth(&key);
    Answer::of(request).await.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_none_is_refused_and_remembered() {
    let (stage, asked) = stage().await;
    for wrong in ["mq_", "mq_short", &"mq_x".repeat(100)] {
        with_key(&stage, wrong).await.problem(401);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "these cannot be keys");
    for _ in 0..5 {
        let answer = with_key(&stage, &no_key(1_000_000)).await;
        assert_eq!(answer.problem(401)["error"], "invalid bearer token");
        assert_eq!(
            answer.header("www-authenticate"),
            "Bearer error=\"invalid_token\""
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_many_keys_that_are_none_is_no_longer_asked_about() {
    let (stage, asked) = stage().await;
    let known = api_key("7", "user", &["read"]);
    assert_eq!(with_key(&stage, &known).await.status, 200);
    let mut statuses = Vec::new();
    for number in 0..40 {
        let answer = with_key(&stage, &no_key(2_000_000 + number)).await;
        statuses.push(answer.status);
        if answer.status == 429 {
            let problem = answer.problem(429);
            assert_eq!(problem["error"], "too many unknown API keys");
            let seconds = problem["retry_after"].as_u64().unwrap();
            assert_eq!(answer.header("retry-after"), seconds.to_string());
        }
    }
    assert_eq!(statuses, [[401; 20], [429; 20]].concat());
    assert_eq!(asked.load(Ordering::SeqCst), 21);
    // What is remembered goes on.
    assert_eq!(with_key(&stage, &known).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_away_is_refused_before_long() {
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
async fn without_an_answer_nobody_is_let_in() {
    let nobody = Scripted::new(|_, _, _| {});
    let stage = Stage::new(nobody.address, &[]);
    let answer = with_key(&stage, &no_key(3_000_000)).await;
    assert!([502, 503].contains(&answer.status), "{}", answer.text);
}
