//! Bearer secrets: refresh tokens and API keys. A secret is shown to its owner once; only its SHA-256 is
//! stored.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::validate::{FieldError, Validator};
use chrono::{DateTime, TimeDelta, Utc};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Role, UserId,
    text::{has_invisible, parse_name},
};

/// The prefix of every API key, by which secret scanners recognise it.
const API_KEY_PREFIX: &str = "mq_";
/// The prefix of the secret of every webhook.
const WEBHOOK_PREFIX: &str = "mqw_";
/// The prefix of the code of every invitation to a group.
const INVITATION_PREFIX: &str = "mqg_";
/// Characters of a key that stay visible to its owner.
const API_KEY_SHOWN_LENGTH: usize = API_KEY_PREFIX.len() + 6;
/// In characters.
const MAX_KEY_NAME_LENGTH: usize = 100;
/// 256 bits.
const SECRET_BYTES: usize = 32;
const FAMILY_BYTES: usize = 16;

/// Random bytes of the operating system.
///
/// # Panics
/// If the operating system has no randomness.
pub fn random_bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the operating system provides randomness");
    bytes
}

/// The SHA-256 of a secret. Secrets of 256 random bits need neither salt nor a slow hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(Vec<u8>);

impl SecretHash {
    /// The hash of `secret`.
    pub fn of(secret: &[u8]) -> Self {
        Self(digest(&SHA256, secret).as_ref().to_vec())
    }

    /// Parses 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; SECRET_BYTES];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes.to_vec()))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A refresh token: the id of its family (the login) and 256 random bits, base64url. Opaque to clients.
pub struct RefreshToken {
    /// The id of the login that the token belongs to.
    pub family: Uuid,
    secret: [u8; SECRET_BYTES],
}

impl RefreshToken {
    /// The next token of `family`.
    pub fn next(family: Uuid) -> Self {
        Self {
            family,
            secret: random_bytes(),
        }
    }

    /// The first token of a new family.
    pub fn first() -> Self {
        Self::next(uuid::Builder::from_random_bytes(random_bytes()).into_uuid())
    }

    /// Parses the output of [`RefreshToken::reveal`].
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; FAMILY_BYTES + SECRET_BYTES] =
            URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (family, secret) = bytes.split_at(FAMILY_BYTES);
        Some(Self {
            family: Uuid::from_slice(family).ok()?,
            secret: secret.try_into().ok()?,
        })
    }

    /// The hash to be stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The token in clear text, for its owner.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.family.as_bytes(), &self.secret[..]].concat())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefreshToken")
    }
}

/// A permission of an API key.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Scope {
    /// GET requests.
    Read,
    /// All other methods.
    Write,
    /// Operations of administrators; only their keys can have it.
    Admin,
}

/// A valid request for an API key; its owner's role may still forbid it. Made by [`NewApiKey::parse`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    /// The owner's name for it.
    pub name: String,
    /// The permissions, in order, each once.
    pub scopes: Vec<Scope>,
    /// The end of its validity; `None` for an unlimited one.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The end of a key's validity, as a request states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedExpiry {
    /// Not stated.
    Default,
    /// None.
    Never,
    /// A time.
    At(DateTime<Utc>),
}

/// The limits of the validity of API keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiKeyLimits {
    /// The validity of a key whose request does not state it, in days.
    pub default_days: u32,
    /// The longest validity, in days.
    pub max_days: u32,
    /// True if keys may have no end.
    pub may_be_unlimited: bool,
}

impl NewApiKey {
    /// Validates the fields of a request.
    pub fn parse(
        name: &str,
        scopes: &[String],
        expires: RequestedExpiry,
        limits: ApiKeyLimits,
        now: DateTime<Utc>,
    ) -> Result<Self, Vec<FieldError>> {
        let name = name.trim();
        let length = name.chars().count();
        let mut check = Validator::default();
        check.require(
            (1..=MAX_KEY_NAME_LENGTH).contains(&length) && !has_invisible(name),
            "name",
            format!("must have 1 to {MAX_KEY_NAME_LENGTH} characters, none of them invisible"),
        );
        let parsed: Option<Vec<Scope>> = scopes.iter().map(|name| parse_name(name)).collect();
        let mut scopes = parsed.unwrap_or_default();
        check.require(
            !scopes.is_empty(),
            "scopes",
            "must be one or more of read, write, admin",
        );
        let latest = now + TimeDelta::days(limits.max_days.into());
        let expires_at = match expires {
            RequestedExpiry::Default => Some(now + TimeDelta::days(limits.default_days.into())),
            RequestedExpiry::Never => {
                let message = format!(
                    "must be a time, at most {} days from now: keys without an end are not allowed",
                    limits.max_days
                );
                check.require(limits.may_be_unlimited, "expires_at", message);
                None
            }
            RequestedExpiry::At(at) => {
                check.require(at > now, "expires_at", "must be in the future");
                let message = format!("must be at most {} days from now", limits.max_days);
                check.require(at <= latest, "expires_at", message);
                Some(at)
            }
        };
        scopes.sort_unstable();
        scopes.dedup();
        check.finish(Self {
            name: name.to_owned(),
            scopes,
            expires_at,
        })
    }
}

/// A new random secret of letters, digits, `-` and `_`.
pub fn random_secret() -> String {
    URL_SAFE_NO_PAD.encode(random_bytes::<SECRET_BYTES>())
}

/// Random decimal digits.
pub fn random_digits(length: usize) -> String {
    // Of 256 values the first 250 are divided evenly.
    std::iter::repeat_with(|| random_bytes::<1>()[0])
        .filter(|byte| *byte < 250)
        .take(length)
        .map(|byte| char::from(b'0' + byte % 10))
        .collect()
}

/// An API key, or the secret of a webhook, in clear text, for its owner.
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// A new random key.
    pub fn generate() -> Self {
        Self(format!("{API_KEY_PREFIX}{}", random_secret()))
    }

    /// A new random secret of a webhook.
    pub fn generate_for_webhook() -> Self {
        Self(format!("{WEBHOOK_PREFIX}{}", random_secret()))
    }

    /// A new random code of an invitation.
    pub fn generate_for_invitation() -> Self {
        Self(format!("{INVITATION_PREFIX}{}", random_secret()))
    }

    /// The hash to be stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }

    /// The first characters, by which its owner recognises it.
    pub fn prefix(&self) -> &str {
        &self.0[..API_KEY_SHOWN_LENGTH]
    }

    /// The key in clear text.
    pub fn reveal(self) -> String {
        self.0
    }
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiKeyResponse, example = json!({
    "id": 1,
    "name": "nightly export",
    "prefix": "mq_Xq3p0a",
    "scopes": ["read"],
    "created_at": "2026-02-13T08:15:42.123456Z",
    "expires_at": null
}))]
pub struct ApiKey {
    /// The key's id.
    pub id: i64,
    /// The owner's name for it.
    pub name: String,
    /// The first characters of the key.
    pub prefix: String,
    /// The permissions.
    pub scopes: Vec<Scope>,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The end of its validity; null if unlimited.
    pub expires_at: Option<DateTime<Utc>>,
}

/// The principal of a valid API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ApiKeyOwner {
    /// The owner.
    pub user_id: UserId,
    /// The owner's present role.
    pub role: Role,
    /// The key's permissions.
    pub scopes: Vec<Scope>,
    /// The end of its validity, on the wire in seconds of the Unix epoch.
    #[serde(with = "chrono::serde::ts_seconds_option")]
    pub expires_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_issued_refresh_tokens_parse() {
        let token = RefreshToken::first();
        let text = token.reveal();
        let read = RefreshToken::parse(&text).expect("our own");
        assert_eq!(read.family, token.family);
        assert_eq!(read.hash(), token.hash());
        let next = RefreshToken::next(token.family);
        assert_ne!(next.hash(), token.hash());
        for wrong in ["", "x", &text[1..], &format!("{text}A"), "\u{e9}"] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_hash_parses_from_64_hexadecimal_digits_only() {
        let hash = SecretHash::of(b"abc");
        // FIPS 180-4's own example.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(SecretHash::from_hex(hex), Some(hash));
        for wrong in ["", &hex[1..], &format!("{hex}0"), &hex.replace('b', "g")] {
            assert!(SecretHash::from_hex(wrong).is_none(), "{wrong}");
        }
        assert!(SecretHash::from_hex(&"\u{e9}".repeat(32)).is_none());
    }
}
