//! Who the caller is: the bearer token, verified, and what services are told about its owner.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc,
    time::{SystemTime, UNIX_EPOCH},
};

use chassis::Problem;
use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use crate::{
    answer::Refusal,
    config::{AuthMode, Config},
    routes::Access,
};

/// Tokens remembered as verified, by one thread, in each of two generations.
const REMEMBERED: usize = 2048;
/// The longest token that is looked at, in bytes.
const TOKEN_BYTES: usize = 4096;
/// The longest subject that a token may have, in bytes.
const SUBJECT_BYTES: usize = 256;

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

/// A caller whose token is valid.
#[derive(Debug)]
pub struct Principal {
    /// Who it is: in our tokens the id of a user.
    pub subject: String,
    /// What they may do.
    pub role: Role,
    /// What services are told, as `X-Principal`.
    pub header: HeaderValue,
    /// The second of the Unix epoch from which on the token is no longer valid, leeway included.
    valid_until: u64,
}

impl Principal {
    fn new(subject: String, role: Role, valid_until: u64) -> Option<Self> {
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
            header,
            valid_until,
        })
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

/// What tokens are verified with; shared by all threads.
pub struct Keys {
    mode: AuthMode,
    key: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// From the settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        // The algorithm is ours to choose, never the token's.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = config.jwt_leeway_seconds;
        validation.validate_nbf = true;
        validation.set_issuer(&[&config.jwt_issuer]);
        validation.set_audience(&[&config.jwt_audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            mode: config.auth_mode,
            key: DecodingKey::from_secret(config.jwt_secret.expose_secret().as_bytes()),
            validation,
        }
    }

    fn verify(&self, token: &[u8]) -> Result<Principal, &'static str> {
        if token.len() > TOKEN_BYTES {
            return Err("the token is too long");
        }
        let claims = decode::<Claims>(token, &self.key, &self.validation)
            .map_err(|error| reason(error.kind()))?
            .claims;
        if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES {
            return Err("the subject of the token is empty or too long");
        }
        let valid_until = claims.exp.saturating_add(self.validation.leeway);
        Principal::new(claims.sub, claims.role, valid_until).ok_or("the token is not readable")
    }
}

/// What is wrong with a token, in words that say nothing about what is expected of it beyond the
/// documentation.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidSignature => "the signature of the token does not fit",
        ErrorKind::InvalidAlgorithm => "the token is not signed with HS256",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of sub, iss, aud, exp",
        _ => "the token is not a JWT of ours",
    }
}

/// Authentication as one thread does it.
pub struct Authenticator {
    keys: std::sync::Arc<Keys>,
    verified: RefCell<Verified>,
    mock: Rc<Principal>,
}

/// Tokens that were verified lately. When the younger generation is full it becomes the older, whose
/// tokens must be verified again unless they are used before that: bounded, and no list to keep.
#[derive(Default)]
struct Verified {
    young: HashMap<Box<[u8]>, Rc<Principal>>,
    old: HashMap<Box<[u8]>, Rc<Principal>>,
}

impl Verified {
    fn find(&mut self, token: &[u8]) -> Option<Rc<Principal>> {
        if let Some(found) = self.young.get(token) {
            return Some(Rc::clone(found));
        }
        let (token, found) = self.old.remove_entry(token)?;
        self.remember(token, Rc::clone(&found));
        Some(found)
    }

    fn remember(&mut self, token: Box<[u8]>, principal: Rc<Principal>) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, principal);
    }
}

impl Authenticator {
    /// With nothing remembered.
    ///
    /// # Panics
    /// Never: the principal of mock mode can be a header.
    #[must_use]
    pub fn new(keys: std::sync::Arc<Keys>) -> Self {
        let mock = Principal::new("mock".to_owned(), Role::Admin, u64::MAX);
        Self {
            keys,
            verified: RefCell::default(),
            mock: Rc::new(mock.expect("ASCII")),
        }
    }

    /// The caller.
    ///
    /// # Errors
    /// 401, saying what is wrong with the token.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Rc<Principal>, Refusal> {
        let token = bearer_token(headers)?;
        if self.keys.mode == AuthMode::Mock {
            return Ok(Rc::clone(&self.mock));
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let mut verified = self.verified.borrow_mut();
        if let Some(principal) = verified.find(token)
            && now < principal.valid_until
        {
            return Ok(principal);
        }
        match self.keys.verify(token) {
            Ok(principal) => {
                let principal = Rc::new(principal);
                verified.remember(token.into(), Rc::clone(&principal));
                Ok(principal)
            }
            Err(reason) => Err(Refusal::with(
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "invalid bearer token",
                )
                .detail(reason),
                WWW_AUTHENTICATE,
                CHALLENGE_INVALID,
            )),
        }
    }

    /// Whether `principal` may do what `access` asks for, to the user `user`.
    ///
    /// # Errors
    /// 403.
    pub fn authorize(
        &self,
        principal: &Principal,
        access: Access,
        user: &str,
    ) -> Result<(), Problem> {
        let allowed = principal.role == Role::Admin
            || match access {
                Access::Public | Access::AnyUser => true,
                Access::ThatUser => principal.subject == user,
                Access::Admin | Access::Operator => false,
            };
        if allowed {
            return Ok(());
        }
        Err(forbidden(match access {
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
        let principal = Principal::new("k\u{e9}\"\u{1f3ac}".to_owned(), Role::User, 0);
        let header = principal.expect("a header").header;
        let text = header.to_str().expect("ASCII");
        assert_eq!(text, r#"{"subject":"k\u00e9\"\ud83c\udfac","role":"user"}"#);
        let back: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(back["subject"], "k\u{e9}\"\u{1f3ac}");
    }

    #[test]
    fn what_is_remembered_stays_within_bounds() {
        let mut verified = Verified::default();
        let principal = Principal::new("1".to_owned(), Role::User, 0).expect("a header");
        let principal = Rc::new(principal);
        for number in 0..10 * REMEMBERED {
            assert!(verified.find(b"used all the time").is_some() || number == 0);
            verified.remember(b"used all the time"[..].into(), Rc::clone(&principal));
            verified.remember(
                number.to_string().into_bytes().into(),
                Rc::clone(&principal),
            );
            assert!(verified.young.len() + verified.old.len() <= 2 * REMEMBERED + 1);
        }
    }
}
