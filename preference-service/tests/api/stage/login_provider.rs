//! A provider of OpenID Connect and of Naver Login, with faults: the test provider of this crate and of the platform's tests.
//! It checks what it receives as a strict provider does: redirect URI, client, PKCE, and that a code is used once.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header::LOCATION},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::{Url, form_urlencoded};

pub(crate) const CLIENT_ID: &str = "marquee-client";
/// With characters that Basic authentication has to encode.
pub(crate) const CLIENT_SECRET: &str = "a secret: + % é";
/// The start of an Ed25519 key in PKCS #8 (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// Something that the provider does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The ID token has another nonce.
    Nonce,
    /// The ID token has no nonce.
    NoNonce,
    /// The ID token is of another issuer.
    TokenIssuer,
    /// The ID token is for another client.
    Audience,
    /// The ID token is also for another client.
    TwoAudiences,
    /// The ID token was issued to another client.
    AuthorizedParty,
    /// The ID token has expired.
    Expired,
    /// The ID token is from the future.
    Future,
    /// The ID token was issued long ago.
    Old,
    /// The ID token is not signed.
    AlgorithmNone,
    /// The ID token is signed by HMAC with the public key.
    Hmac,
    /// The ID token is signed with a key that is not published.
    ForeignKey,
    /// The ID token is signed with another key than the named one.
    WrongSignature,
    /// The ID token has a critical header.
    Critical,
    /// There is no ID token.
    NoIdToken,
    /// The subject is empty.
    NoSubject,
    /// The code has expired.
    CodeExpired,
    /// The userinfo is of another subject.
    OtherUserInfo,
    /// The callback names another issuer.
    CallbackIssuer,
    /// The callback names no issuer, although the metadata says so.
    NoCallbackIssuer,
    /// The person does not agree.
    Denied,
    /// The metadata is of another issuer.
    MetadataIssuer,
    /// An endpoint in the metadata is not an https URL.
    PlainEndpoint,
    /// Responses are larger than any real one.
    Huge,
    /// All requests fail.
    Down,
    /// Requests are answered after a minute.
    Silent,
    /// The token endpoint redirects elsewhere.
    Redirect,
}

/// The person who logs in.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject: String,
    pub(crate) email: Option<String>,
    pub(crate) email_verified: Value,
    pub(crate) nickname: String,
    /// True if the address is in the userinfo alone.
    pub(crate) is_email_in_user_info: bool,
}

impl Person {
    /// A person with a verified address.
    pub(crate) fn verified(name: &str) -> Self {
        Self {
            subject: format!("subject-of-{name}"),
            email: Some(format!("{name}@example.org")),
            email_verified: json!(true),
            nickname: name.to_owned(),
            is_email_in_user_info: false,
        }
    }
}

struct Key {
    id: String,
    seed: [u8; 32],
}

impl Key {
    fn generate(id: String) -> Self {
        let mut seed = [0; 32];
        SystemRandom::new().fill(&mut seed).expect("randomness");
        Self { id, seed }
    }

    fn public(&self) -> Vec<u8> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed).expect("a key");
        pair.public_key().as_ref().to_vec()
    }

    fn private(&self) -> EncodingKey {
        EncodingKey::from_ed_der(&[&PKCS8_PREFIX, &self.seed[..]].concat())
    }
}

struct Grant {
    parameters: HashMap<String, String>,
    person: Person,
}

struct Fake {
    fault: Option<Fault>,
    person: Person,
    key: Key,
    keys_made: usize,
    codes: HashMap<String, Grant>,
    /// The access tokens and their people.
    tokens: HashMap<String, Person>,
    key_requests: usize,
    token_requests: usize,
    next: usize,
}

/// The provider; it runs until the test ends.
#[derive(Clone)]
pub(crate) struct TestProvider {
    fake: Arc<Mutex<Fake>>,
    address: SocketAddr,
}

impl TestProvider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        let fake = Fake {
            fault: None,
            person: Person::verified("anna"),
            key: Key::generate("key-1".to_owned()),
            keys_made: 1,
            codes: HashMap::new(),
            tokens: HashMap::new(),
            key_requests: 0,
            token_requests: 0,
            next: 0,
        };
        let provider = Self {
            fake: Arc::new(Mutex::new(fake)),
            address,
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/authorize", get(page))
            .route("/approve", get(approve))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .route("/naver", get(naver_profile))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The setting `OIDC_PROVIDERS` with this provider as `test` and as the kind of Naver.
    pub(crate) fn setting(&self) -> String {
        let issuer = self.issuer();
        json!([
            {"name": "test", "label": "Test", "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
            {
                "name": "naver", "issuer": issuer, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
                "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
                "profile_endpoint": format!("{issuer}/naver"),
            },
        ])
        .to_string()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Fake) -> T) -> T {
        change(&mut self.fake.lock().expect("not poisoned"))
    }

    pub(crate) fn fail(&self, fault: impl Into<Option<Fault>>) {
        let fault = fault.into();
        self.with(|fake| fake.fault = fault);
    }

    pub(crate) fn person(&self, person: Person) {
        self.with(|fake| fake.person = person);
    }

    /// Replaces the key; the old one is no longer published.
    pub(crate) fn rotate_key(&self) {
        self.with(|fake| {
            fake.keys_made += 1;
            fake.key = Key::generate(format!("key-{}", fake.keys_made));
        });
    }

    /// The number of times that the keys were fetched.
    pub(crate) fn key_requests(&self) -> usize {
        self.with(|fake| fake.key_requests)
    }

    /// The number of codes that were exchanged, also in vain.
    pub(crate) fn token_requests(&self) -> usize {
        self.with(|fake| fake.token_requests)
    }

    /// Logs the person in at the authorization URL; returns the URL of the callback.
    pub(crate) fn approve(&self, authorization_url: &str) -> Url {
        let url = Url::parse(authorization_url).expect("a URL");
        self.callback(url.query().unwrap_or_default())
    }

    fn callback(&self, query: &str) -> Url {
        let parameters = parse(query);
        assert_eq!(parameters["response_type"], "code");
        assert_eq!(parameters["client_id"], CLIENT_ID);
        assert_eq!(parameters["code_challenge_method"], "S256");
        let mut url = Url::parse(&parameters["redirect_uri"]).expect("a URL");
        let state = parameters["state"].clone();
        let (issuer, is_naver) = (self.issuer(), url.path().contains("/naver/"));
        self.with(|fake| {
            let mut query = url.query_pairs_mut();
            query.append_pair("state", &state);
            if fake.fault == Some(Fault::Denied) {
                query.append_pair("error", "access_denied");
            } else {
                fake.next += 1;
                let code = format!("code-{}", fake.next);
                query.append_pair("code", &code);
                let person = fake.person.clone();
                fake.codes.insert(code, Grant { parameters, person });
            }
            match fake.fault {
                Some(Fault::CallbackIssuer) => query.append_pair("iss", "https://evil.example"),
                Some(Fault::NoCallbackIssuer) => &mut query,
                _ if is_naver => &mut query,
                _ => query.append_pair("iss", &issuer),
            };
            // Providers add parameters of their own.
            query.append_pair("session_state", "x");
        });
        url
    }
}

fn parse(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect()
}

/// The response of a provider that fails as a whole.
async fn failure(provider: &TestProvider) -> Option<Response> {
    let fault = provider.with(|fake| fake.fault);
    match fault {
        Some(Fault::Down) => Some(StatusCode::BAD_GATEWAY.into_response()),
        Some(Fault::Huge) => Some(" ".repeat(1024 * 1024).into_response()),
        Some(Fault::Silent) => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            None
        }
        _ => None,
    }
}

async fn metadata(State(provider): State<TestProvider>) -> Response {
    if let Some(failure) = failure(&provider).await {
        return failure;
    }
    let issuer = provider.issuer();
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize?ui=1"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        "authorization_response_iss_parameter_supported": true,
    });
    match provider.with(|fake| fake.fault) {
        Some(Fault::MetadataIssuer) => metadata["issuer"] = json!("https://evil.example"),
        Some(Fault::PlainEndpoint) => {
            metadata["token_endpoint"] = json!("http://evil.example/token");
        }
        _ => {}
    }
    Json(metadata).into_response()
}

async fn keys(State(provider): State<TestProvider>) -> Json<Value> {
    let (id, public) = provider.with(|fake| {
        fake.key_requests += 1;
        (fake.key.id.clone(), fake.key.public())
    });
    // A secret key in a public set must not be used.
    Json(json!({"keys": [
        {"kty": "oct", "k": URL_SAFE_NO_PAD.encode(&public), "kid": "oct"},
        {"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(public), "kid": id, "use": "sig"},
    ]}))
}

/// The page at which a person agrees.
async fn page(RawQuery(query): RawQuery) -> Html<String> {
    let query = query.unwrap_or_default().replace('&', "&amp;");
    Html(format!(
        "<!doctype html><title>Provider</title><link rel=\"icon\" href=\"data:,\"><h1>Test provider</h1><a id=\"agree\" href=\"/approve?{query}\">Agree</a>"
    ))
}

async fn approve(State(provider): State<TestProvider>, RawQuery(query): RawQuery) -> Response {
    let url = provider.callback(&query.unwrap_or_default());
    (StatusCode::FOUND, [(LOCATION, url.to_string())]).into_response()
}

fn refuse(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

async fn token(State(provider): State<TestProvider>, headers: HeaderMap, body: String) -> Response {
    provider.with(|fake| fake.token_requests += 1);
    let fault = provider.with(|fake| fake.fault);
    if fault == Some(Fault::Redirect) {
        let location = format!("{}/elsewhere", provider.issuer());
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response();
    }
    let form = parse(&body);
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    let is_basic = headers
        .get("authorization")
        .is_some_and(|value| value == format!("Basic {}", STANDARD.encode(pair)).as_str());
    let is_post = form
        .get("client_secret")
        .is_some_and(|secret| secret == CLIENT_SECRET);
    if !is_basic && !is_post {
        return refuse("invalid_client");
    }
    // A code is taken by the first request, right or wrong.
    let grant = form
        .get("code")
        .and_then(|code| provider.with(|fake| fake.codes.remove(code)));
    let Some(grant) = grant.filter(|_| fault != Some(Fault::CodeExpired)) else {
        return refuse("invalid_grant");
    };
    let verifier = form.get("code_verifier").cloned().unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    if form.get("redirect_uri") != grant.parameters.get("redirect_uri")
        || grant.parameters.get("code_challenge") != Some(&challenge)
        || verifier.len() < 43
    {
        return refuse("invalid_grant");
    }
    let access_token = provider.with(|fake| {
        fake.next += 1;
        let token = format!("access-{}", fake.next);
        fake.tokens.insert(token.clone(), grant.person.clone());
        token
    });
    let mut response =
        json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 60});
    if fault != Some(Fault::NoIdToken) && grant.parameters.contains_key("nonce") {
        response["id_token"] = json!(id_token(&provider, &grant, fault));
    }
    Json(response).into_response()
}

fn id_token(provider: &TestProvider, grant: &Grant, fault: Option<Fault>) -> String {
    let now = chrono::Utc::now().timestamp();
    let person = &grant.person;
    let mut claims = json!({
        "iss": provider.issuer(),
        "sub": person.subject,
        "aud": CLIENT_ID,
        "exp": now + 300,
        "iat": now,
        "nonce": grant.parameters["nonce"],
        "nickname": person.nickname,
    });
    if let Some(email) = person
        .email
        .as_ref()
        .filter(|_| !person.is_email_in_user_info)
    {
        claims["email"] = json!(email);
        claims["email_verified"] = person.email_verified.clone();
    }
    let mut header = Header::new(Algorithm::EdDSA);
    let (key, id, public) = provider.with(|fake| {
        let key = fake.key.private();
        (key, fake.key.id.clone(), fake.key.public())
    });
    header.kid = Some(id);
    let mut key = key;
    match fault {
        Some(Fault::Nonce) => claims["nonce"] = json!("another"),
        Some(Fault::NoNonce) => {
            claims.as_object_mut().expect("an object").remove("nonce");
        }
        Some(Fault::TokenIssuer) => claims["iss"] = json!("https://evil.example"),
        Some(Fault::Audience) => claims["aud"] = json!("another-client"),
        Some(Fault::TwoAudiences) => claims["aud"] = json!([CLIENT_ID, "another-client"]),
        Some(Fault::AuthorizedParty) => claims["azp"] = json!("another-client"),
        Some(Fault::Expired) => claims["exp"] = json!(now - 3600),
        Some(Fault::Future) => claims["iat"] = json!(now + 3600),
        Some(Fault::Old) => claims["iat"] = json!(now - 86_400),
        Some(Fault::NoSubject) => claims["sub"] = json!(""),
        Some(Fault::Critical) => header.crit = Some(vec!["exp".to_owned()]),
        Some(Fault::ForeignKey) => {
            header.kid = Some("foreign".to_owned());
            key = Key::generate("foreign".to_owned()).private();
        }
        Some(Fault::WrongSignature) => key = Key::generate("other".to_owned()).private(),
        Some(Fault::AlgorithmNone) => {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            return format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));
        }
        Some(Fault::Hmac) => {
            header.alg = Algorithm::HS256;
            key = EncodingKey::from_secret(&public);
        }
        _ => {}
    }
    encode(&header, &claims, &key).expect("a token")
}

/// The person of the access token in `headers`.
fn person(provider: &TestProvider, headers: &HeaderMap) -> Option<Person> {
    let token = headers.get("authorization")?.to_str().ok()?;
    let token = token.strip_prefix("Bearer ")?;
    provider.with(|fake| fake.tokens.get(token).cloned())
}

async fn user_info(State(provider): State<TestProvider>, headers: HeaderMap) -> Response {
    let Some(person) = person(&provider, &headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let subject = match provider.with(|fake| fake.fault) {
        Some(Fault::OtherUserInfo) => "another".to_owned(),
        _ => person.subject,
    };
    let body =
        json!({"sub": subject, "email": person.email, "email_verified": person.email_verified});
    Json(body).into_response()
}

async fn naver_profile(State(provider): State<TestProvider>, headers: HeaderMap) -> Response {
    let Some(person) = person(&provider, &headers) else {
        let body = json!({"resultcode": "024", "message": "Authentication failed"});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    };
    Json(
        json!({"resultcode": "00", "message": "success", "response": {
            "id": person.subject, "email": person.email, "nickname": person.nickname,
        }}),
    )
    .into_response()
}
