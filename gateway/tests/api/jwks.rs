//! Authentication by tokens that are signed with the keys of a JWKS.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::testing::eventually;
use gateway::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey, traits::PublicKeyParts};
use serde_json::{Value, json};

use crate::stage::{SECRET, Stage, TestResponse, echo, serve};

/// A key pair, with its public key as JWK.
struct Key {
    kid: String,
    algorithm: Algorithm,
    private: EncodingKey,
    public: Value,
}

impl Key {
    fn ed25519(kid: &str) -> Self {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::EdDSA,
            private: EncodingKey::from_ed_der(pkcs8.as_ref()),
            public: json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig"}),
        }
    }

    fn p256(kid: &str) -> Self {
        let random = ring::rand::SystemRandom::new();
        let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_der(pkcs8.as_ref()),
            public: json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": kid}),
        }
    }

    fn rsa(kid: &str, bits: usize) -> Self {
        let pair = RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).unwrap();
        let [n, e] = [pair.n(), pair.e()].map(|part| URL_SAFE_NO_PAD.encode(part.to_bytes_be()));
        Self {
            kid: kid.to_owned(),
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_der(pair.to_pkcs1_der().unwrap().as_bytes()),
            public: json!({"kty": "RSA", "n": n, "e": e, "kid": kid, "alg": "RS256"}),
        }
    }

    fn token(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.private).unwrap()
    }
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let exp = now.as_secs() + 60;
    json!({"sub": "7", "role": "user", "iss": "marquee", "aud": "marquee", "exp": exp})
}

/// A server of a JWKS that can be changed.
#[derive(Clone, Default)]
struct Issuer {
    keys: Arc<Mutex<Option<Vec<Value>>>>,
    fetches: Arc<Mutex<usize>>,
}

impl Issuer {
    async fn start(keys: &[&Key]) -> (Self, String) {
        let issuer = Self::default();
        issuer.publish(keys);
        let own = issuer.clone();
        let response = move || async move {
            *own.fetches.lock().unwrap() += 1;
            match &*own.keys.lock().unwrap() {
                Some(keys) => json!({ "keys": keys }).to_string().into_response(),
                None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        };
        let address: SocketAddr = serve(Router::new().route("/keys", get(response))).await;
        (issuer, format!("http://{address}/keys"))
    }

    fn publish(&self, keys: &[&Key]) {
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        *self.keys.lock().unwrap() = Some(keys);
    }

    fn fail(&self) {
        *self.keys.lock().unwrap() = None;
    }

    fn fetches(&self) -> usize {
        *self.fetches.lock().unwrap()
    }
}

/// A gateway that has fetched the keys at `url`.
async fn stage(url: &str, more: &[(&str, &str)]) -> Stage {
    let defaults = [
        ("JWT_SECRET", ""),
        ("JWKS_URL", url),
        ("JWKS_PAUSE_SECONDS", "0"),
    ];
    let settings: HashMap<&str, &str> = defaults.iter().chain(more).copied().collect();
    let settings: Vec<(&str, &str)> = settings.into_iter().collect();
    let stage = Stage::new(serve(echo()).await, &settings);
    eventually("keys are fetched", async || {
        with_token(&stage, &Key::ed25519("unknown").token(&claims()))
            .await
            .status
            == 401
    })
    .await;
    stage
}

async fn with_token(stage: &Stage, token: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, "/api/v1/movies").bearer_auth(token)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_verified_by_the_published_keys() {
    let keys = [Key::ed25519("a"), Key::p256("b"), Key::rsa("c", 2048)];
    // RFC 7518, 3.3 requires 2048 bits.
    let short = Key::rsa("short", 1024);
    let (_issuer, url) = Issuer::start(&[&keys[0], &keys[1], &keys[2], &short]).await;
    let stage = stage(&url, &[]).await;
    for refused in [&short, &Key::rsa("c", 2048)] {
        let response = with_token(&stage, &refused.token(&claims())).await;
        assert_eq!(response.problem(401)["error"], "invalid bearer token");
    }
    for key in &keys {
        let token = key.token(&claims());
        for _ in 0..3 {
            let response = with_token(&stage, &token).await;
            assert_eq!(response.status, 200, "{}", response.text);
            let principal = &response.json()["headers"]["x-principal"][0];
            assert_eq!(principal, r#"{"subject":"7","role":"user"}"#);
        }
        for (member, value, detail) in [
            ("exp", json!(1), "the token has expired"),
            ("iss", json!("x"), "the token is from another issuer"),
            ("aud", json!("x"), "the token is for another audience"),
        ] {
            let mut changed = claims();
            changed[member] = value;
            let response = with_token(&stage, &key.token(&changed)).await;
            assert_eq!(response.problem(401)["detail"], detail);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_determines_the_algorithm_and_never_the_token() {
    let (key, other) = (Key::ed25519("a"), Key::p256("b"));
    let (_issuer, url) = Issuer::start(&[&key, &other]).await;
    let stage = stage(&url, &[]).await;
    let x = key.public["x"].as_str().unwrap();
    let public = URL_SAFE_NO_PAD.decode(x).unwrap();
    let signed = |kid: Option<&str>, algorithm, secret: &[u8]| {
        let mut header = Header::new(algorithm);
        header.kid = kid.map(str::to_owned);
        encode(&header, &claims(), &EncodingKey::from_secret(secret)).unwrap()
    };
    let mut elsewhere = Key::p256("a");
    elsewhere.kid = "a".to_owned();
    let forged = Key::ed25519("a");
    for token in [
        // Public keys used as HMAC secrets, in each encoding.
        signed(Some("a"), Algorithm::HS256, &public),
        signed(Some("a"), Algorithm::HS256, x.as_bytes()),
        signed(None, Algorithm::HS256, &public),
        // The empty secret, while none is set.
        signed(None, Algorithm::HS256, b""),
        signed(Some("a"), Algorithm::HS512, &public),
        // Another type of key under a known id, and another key of the same type.
        elsewhere.token(&claims()),
        forged.token(&claims()),
    ] {
        let response = with_token(&stage, &token).await;
        assert_eq!(response.problem(401)["error"], "invalid bearer token");
    }
    let token = key.token(&claims());
    let (text, _) = token.rsplit_once('.').unwrap();
    with_token(&stage, &format!("{text}.")).await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_and_jwks_can_be_used_together() {
    let key = Key::ed25519("a");
    let (_issuer, url) = Issuer::start(&[&key]).await;
    let stage = stage(&url, &[("JWT_SECRET", SECRET)]).await;
    assert_eq!(with_token(&stage, &key.token(&claims())).await.status, 200);
    let token = stage.token("7", Role::User);
    assert_eq!(with_token(&stage, &token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_fetched_on_demand_and_withdrawn_keys_are_refused() {
    let (old, new) = (Key::ed25519("old"), Key::ed25519("new"));
    let (issuer, url) = Issuer::start(&[&old]).await;
    let stage = stage(&url, &[]).await;
    let (old_token, new_token) = (old.token(&claims()), new.token(&claims()));
    assert_eq!(with_token(&stage, &old_token).await.status, 200);
    issuer.publish(&[&old, &new]);
    eventually("the new key is known", async || {
        with_token(&stage, &new_token).await.status == 200
    })
    .await;
    assert_eq!(with_token(&stage, &old_token).await.status, 200);
    issuer.publish(&[&new]);
    // Tokens that were verified with a withdrawn key are not cached.
    let unknown = Key::ed25519("unknown").token(&claims());
    eventually("the old key is no longer known", async || {
        with_token(&stage, &unknown).await;
        with_token(&stage, &old_token).await.status == 401
    })
    .await;
    assert_eq!(with_token(&stage, &new_token).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_valid_jwks_stays_in_use_while_fetches_fail() {
    let key = Key::ed25519("a");
    let (issuer, url) = Issuer::start(&[&key]).await;
    let stage = stage(&url, &[]).await;
    issuer.fail();
    let before = issuer.fetches();
    let unknown = Key::ed25519("unknown").token(&claims());
    eventually("the JWKS is fetched again in vain", async || {
        with_token(&stage, &unknown).await.problem(401);
        issuer.fetches() > before
    })
    .await;
    assert_eq!(with_token(&stage, &key.token(&claims())).await.status, 200);
    // An empty set is a failure, too.
    issuer.publish(&[]);
    let before = issuer.fetches();
    eventually("the JWKS is fetched again", async || {
        issuer.fetches() > before
    })
    .await;
    assert_eq!(with_token(&stage, &key.token(&claims())).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unknown_keys_do_not_lead_to_many_fetches() {
    let key = Key::ed25519("a");
    let (issuer, url) = Issuer::start(&[&key]).await;
    let stage = stage(&url, &[("JWKS_PAUSE_SECONDS", "3600")]).await;
    for number in 0..200 {
        let unknown = Key::ed25519(&number.to_string()).token(&claims());
        with_token(&stage, &unknown).await.problem(401);
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_called_invalid_before_the_first_fetch() {
    let key = Key::ed25519("a");
    let (issuer, url) = Issuer::start(&[&key]).await;
    issuer.fail();
    let settings = [("JWT_SECRET", ""), ("JWKS_URL", url.as_str())];
    let stage = Stage::new(serve(echo()).await, &settings);
    let token = key.token(&claims());
    let response = with_token(&stage, &token).await;
    response.problem(503);
    assert_eq!(response.header("retry-after"), "1");
    issuer.publish(&[&key]);
    eventually("the keys are fetched", async || {
        with_token(&stage, &token).await.status == 200
    })
    .await;
}
