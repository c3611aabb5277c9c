//! Who the caller is: the bearer token, verified, and what services are told about its owner.

mod api_keys;
mod jwks;
mod keys;
mod remembered;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use chassis::Problem;
use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

pub use self::{
    api_keys::{ApiKeys, Strangers},
    keys::Keys,
};
use self::{keys::Unverified, remembered::Remembered};
use crate::{
    answer::Refusal,
    client_ip::ClientKey,
    config::{AuthMode, Config},
    own::Asked,
    proxy::Upstream,
    routes::{Access, Route, Verb},
};

/// Tokens remembered as verified, by one thread, in each of two generations.
const REMEMBERED: usize = 2048;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");
const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What is their own.
    #[default]
    User,
    /// Everything.
    Admin,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    role: Role,
    iss: String,
    aud: serde_json::Value,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
}

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes {
    /// GET.
    pub read: bool,
    /// All other methods.
    pub write: bool,
    /// What only administrators may.
    pub admin: bool,
}

impl Scopes {
    /// Those of these names; others are for later versions.
    fn named(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|own| own == name);
        Self {
            read: has("read"),
            write: has("write"),
            admin: has("admin"),
        }
    }
}

/// A caller whose token is valid.
#[derive(Debug)]
pub struct Principal {
    /// Who it is: in our tokens the id of a user.
    pub subject: String,
    /// What they may do.
    pub role: Role,
    /// What their API key may be used for; none where they showed a token, which is for everything.
    pub scopes: Option<Scopes>,
    /// What services are told, as `X-Principal`.
    pub header: HeaderValue,
    /// The second of the Unix epoch from which on the token is no longer valid, leeway included.
    valid_until: u64,
}

impl Principal {
    fn new(subject: String, role: Role, scopes: Option<Scopes>, valid_until: u64) -> Option<Self> {
        #[derive(Serialize)]
        struct Told<'a> {
            subject: &'a str,
            role: Role,
        }
        let told = Told {
            subject: &subject,
            role,
        };
        let header = HeaderValue::try_from(ascii(&serde_json::to_string(&told).ok()?)).ok()?;
        Some(Self {
            subject,
            role,
            scopes,
            header,
            valid_until,
        })
    }

    fn is_valid(&self, now: u64) -> bool {
        now < self.valid_until
    }
}

/// JSON without anything beyond ASCII, so that it can be a header.
fn ascii(json: &str) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// Authentication as one thread does it.
pub struct Authenticator {
    keys: std::sync::Arc<Keys>,
    verified: RefCell<Remembered<Box<[u8]>, Rc<Principal>>>,
    /// The public keys that those were verified with.
    generation: Cell<u64>,
    api_keys: ApiKeys,
    mock: Rc<Principal>,
}

/// Seconds of the Unix epoch.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Authenticator {
    /// With nothing remembered.
    ///
    /// # Panics
    /// Never: the principal of mock mode can be a header.
    #[must_use]
    pub fn new(
        keys: std::sync::Arc<Keys>,
        strangers: std::sync::Arc<Strangers>,
        config: &Config,
    ) -> Self {
        let mock = Principal::new("mock".to_owned(), Role::Admin, None, u64::MAX);
        Self {
            keys,
            verified: RefCell::new(Remembered::new(REMEMBERED)),
            generation: Cell::default(),
            api_keys: ApiKeys::new(strangers, Duration::from_secs(config.key_cache_seconds)),
            mock: Rc::new(mock.expect("ASCII")),
        }
    }

    /// Whether nobody has to say who they are to do what `access` is of.
    #[must_use]
    pub fn is_open(&self, access: Access, headers: &HeaderMap) -> bool {
        match access {
            Access::Public => true,
            // Whoever shows a token means it. The original wanted one, so mock mode does.
            Access::SignUp => {
                self.keys.mode() != AuthMode::Mock && !headers.contains_key(AUTHORIZATION)
            }
            _ => false,
        }
    }

    /// The caller, who asks as `client`. Whose an API key is, is known by `service`.
    ///
    /// # Errors
    /// 401, saying what is wrong with the token; 429 or 503 where that cannot be told.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        client: ClientKey,
        service: &Upstream,
        asked: &Asked<'_>,
    ) -> Result<Rc<Principal>, Refusal> {
        let token = bearer_token(headers)?;
        if self.keys.mode() == AuthMode::Mock {
            return Ok(Rc::clone(&self.mock));
        }
        if api_keys::is_api_key(token) {
            return self.api_keys.resolve(token, client, service, asked).await;
        }
        self.verify(token)
    }

    fn verify(&self, token: &[u8]) -> Result<Rc<Principal>, Refusal> {
        let mut verified = self.verified.borrow_mut();
        let generation = self.keys.generation();
        if self.generation.replace(generation) != generation {
            verified.clear();
        }
        if let Some(principal) = verified.find(token)
            && principal.is_valid(now())
        {
            return Ok(principal);
        }
        match self.keys.verify(token) {
            Ok(principal) => {
                let principal = Rc::new(principal);
                verified.remember(token.into(), Rc::clone(&principal));
                Ok(principal)
            }
            Err(Unverified::Wrong(reason)) => Err(Refusal::with(
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "invalid bearer token",
                )
                .detail(reason),
                WWW_AUTHENTICATE,
                CHALLENGE_INVALID,
            )),
            Err(Unverified::NoKeys) => {
                Err(Problem::unavailable("what tokens are verified with").into())
            }
        }
    }

    /// Whether `principal` may do what `route` does, to the user `user`.
    ///
    /// # Errors
    /// 403.
    pub fn authorize(
        &self,
        principal: &Principal,
        route: &Route,
        user: &str,
    ) -> Result<(), Problem> {
        let only_administrators = matches!(route.access, Access::Admin | Access::Operator);
        if let Some(scopes) = principal.scopes {
            if !route.by_api_key {
                return Err(forbidden(
                    "an API key may not do this; show an access token",
                ));
            }
            let (has, lacks) = match route.verb {
                _ if only_administrators => (scopes.admin, "the API key lacks the scope admin"),
                Verb::Get => (scopes.read, "the API key lacks the scope read"),
                _ => (scopes.write, "the API key lacks the scope write"),
            };
            if !has {
                return Err(forbidden(lacks));
            }
        }
        let allowed = principal.role == Role::Admin
            || match route.access {
                Access::Public | Access::SignUp | Access::AnyUser => true,
                Access::ThatUser => principal.subject == user,
                Access::Admin | Access::Operator => false,
            };
        if allowed {
            return Ok(());
        }
        Err(forbidden(match route.access {
            Access::ThatUser => "the token is for another user",
            _ => "only administrators may do this",
        }))
    }
}

/// 403 for the reason `detail`.
#[must_use]
pub fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(detail)
}

/// The token that the request shows. The scheme is compared as the original compares it: case counts.
fn bearer_token(headers: &HeaderMap) -> Result<&[u8], Refusal> {
    let refuse = |error: &'static str| {
        let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", error)
            .detail("send the header `Authorization: Bearer <token>`");
        Err(Refusal::with(problem, WWW_AUTHENTICATE, CHALLENGE))
    };
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = shown.next() else {
        return refuse("missing Authorization header");
    };
    // Blanks at the end of a header do not count (RFC 9110, 5.5), so an empty token leaves the word.
    if value == "Bearer" {
        return refuse("empty bearer token");
    }
    match value.as_bytes().strip_prefix(b"Bearer ") {
        Some(token) if shown.next().is_none() => match token.trim_ascii() {
            b"" => refuse("empty bearer token"),
            token => Ok(token),
        },
        _ => refuse("invalid Authorization header format, expected 'Bearer <token>'"),
    }
}

/// A token for `subject`, valid for `ttl_seconds` from now.
///
/// # Errors
/// Where the secret is too short.
pub fn mint(
    config: &Config,
    subject: &str,
    role: Role,
    ttl_seconds: u64,
) -> anyhow::Result<String> {
    config.require_secret()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = Claims {
        sub: subject.to_owned(),
        role,
        iss: config.jwt_issuer.clone(),
        aud: config.jwt_audience.clone().into(),
        exp: now.saturating_add(ttl_seconds),
        iat: Some(now),
    };
    let key = EncodingKey::from_secret(config.jwt_secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_services_are_told_is_ascii_json() {
        let principal = Principal::new("k\u{e9}\"\u{1f3ac}".to_owned(), Role::User, None, 0);
        let header = principal.expect("a header").header;
        let text = header.to_str().expect("ASCII");
        assert_eq!(text, r#"{"subject":"k\u00e9\"\ud83c\udfac","role":"user"}"#);
        let back: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(back["subject"], "k\u{e9}\"\u{1f3ac}");
    }
}
