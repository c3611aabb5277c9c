//! ID tokens: the keys of an issuer, and the checks of OpenID Connect Core 1.0, 3.1.3.7. Called by [`super`]; no I/O.

use std::sync::Arc;

use chassis::jwks::{self, VerificationKey};
use jsonwebtoken::{Header, Validation, decode, decode_header};
use serde::Deserialize;
use subtle::ConstantTimeEq;

use crate::models::{ExternalProfile, LoginProvider};

/// The longest token, in bytes.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// In characters.
const MAX_SUBJECT_LENGTH: usize = 255;
/// The accepted difference of clocks, in seconds.
const LEEWAY: i64 = 60;
/// The age up to which a token belongs to the login that has just taken place, in seconds.
const MAX_AGE: i64 = 600;

/// The public keys of an issuer; cheap to clone.
#[derive(Clone)]
pub(super) struct KeySet(Arc<Vec<VerificationKey>>);

impl KeySet {
    /// Parses the usable keys of a JWK set.
    ///
    /// # Errors
    /// Returns the reason if there is none.
    pub(super) fn parse(text: &[u8]) -> Result<Self, &'static str> {
        Ok(Self(Arc::new(jwks::parse(text)?)))
    }

    /// The key of this id; without one the only key.
    fn get(&self, kid: Option<&str>) -> Option<&VerificationKey> {
        match kid {
            Some(_) => self.0.iter().find(|key| key.id.as_deref() == kid),
            None => self.0.first().filter(|_| self.0.len() == 1),
        }
    }

    /// True if the set has the key of this id, or is of one key.
    pub(super) fn has(&self, kid: Option<&str>) -> bool {
        self.get(kid).is_some()
    }
}

/// The claims that are checked or used.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    #[serde(default)]
    email_verified: serde_json::Value,
    preferred_username: Option<String>,
    nickname: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// True for `client` alone: other audiences are not ours to trust.
    fn is_only(&self, client: &str) -> bool {
        match self {
            Self::One(audience) => audience == client,
            Self::Several(audiences) => audiences.len() == 1 && audiences[0] == client,
        }
    }
}

/// The header of a token, with the id of its key.
///
/// # Errors
/// Returns the reason if the header cannot be read, or has parts that must be understood and are not.
pub(super) fn header(token: &str) -> Result<Header, &'static str> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err("the token is too long");
    }
    let header = decode_header(token).map_err(|_| "the header cannot be read")?;
    if header.crit.is_some() {
        return Err("the header has critical parts");
    }
    Ok(header)
}

/// Verifies a token with this [`header`] that `provider` issued for the login with `nonce`; returns what it states about the
/// person.
///
/// # Errors
/// Returns the first rule that the token breaks.
pub(super) fn verify(
    token: &str,
    header: &Header,
    keys: &KeySet,
    provider: &LoginProvider,
    nonce: &str,
    now: i64,
) -> Result<ExternalProfile, &'static str> {
    let key = keys.get(header.kid.as_deref());
    let key = key.ok_or("the key is unknown")?;
    if !key.algorithms.contains(&header.alg) {
        return Err("the algorithm is not that of the key");
    }
    let mut validation = Validation::new(header.alg);
    // The library would compare with the system's clock; the claims are checked below.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = decode::<Claims>(token, &key.key, &validation);
    let claims = claims
        .map_err(|_| "the signature or the claims are invalid")?
        .claims;
    let is_ours = claims
        .azp
        .as_ref()
        .is_none_or(|azp| *azp == provider.client_id);
    let has_nonce = claims
        .nonce
        .as_ref()
        .is_some_and(|given| bool::from(given.as_bytes().ct_eq(nonce.as_bytes())));
    let rules = [
        (claims.iss == provider.issuer, "the issuer is another"),
        (
            claims.aud.is_only(&provider.client_id),
            "the audience is another",
        ),
        (is_ours, "the authorized party is another"),
        (claims.exp > now - LEEWAY, "the token has expired"),
        (claims.iat <= now + LEEWAY, "the token is from the future"),
        (claims.iat >= now - MAX_AGE, "the token is old"),
        (
            claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY),
            "the token is not valid yet",
        ),
        (has_nonce, "the nonce is another"),
        (is_subject(&claims.sub), "the subject is empty or too long"),
    ];
    if let Some((_, broken)) = rules.into_iter().find(|(holds, _)| !holds) {
        return Err(broken);
    }
    // Some issuers use the address as a username.
    let username = claims.preferred_username.filter(|name| !name.contains('@'));
    Ok(ExternalProfile {
        subject: claims.sub,
        email: claims.email,
        is_email_verified: is_true(&claims.email_verified),
        names: [username, claims.nickname, claims.name]
            .into_iter()
            .flatten()
            .collect(),
    })
}

/// True if `subject` can be stored.
pub(super) fn is_subject(subject: &str) -> bool {
    (1..=MAX_SUBJECT_LENGTH).contains(&subject.chars().count()) && !subject.contains('\0')
}

/// True for `true` alone, and for the text that some issuers send instead.
pub(super) fn is_true(value: &serde_json::Value) -> bool {
    value.as_bool() == Some(true) || value.as_str() == Some("true")
}
