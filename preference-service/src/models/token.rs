//! Secrets that are shown once and kept as hashes: refresh tokens and API keys.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Role, UserId, text::has_invisible};
use chassis::problem::FieldError;

/// What every API key begins with, so that it is known for one wherever it turns up.
const API_KEY_PREFIX: &str = "mq_";
/// How much of a key its owner is shown afterwards.
const SHOWN: usize = API_KEY_PREFIX.len() + 6;
const LONGEST_KEY_NAME: usize = 100;
/// 256 bits.
const SECRET: usize = 32;
const FAMILY: usize = 16;

/// The operating system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("no randomness to be had")]
pub struct NoRandomness;

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], NoRandomness> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new()
        .fill(&mut bytes)
        .map(|()| bytes)
        .map_err(|_| NoRandomness)
}

/// SHA-256 of a secret. Secrets of 256 random bits need no salt and no slow hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(Vec<u8>);

impl SecretHash {
    /// That of `secret`.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(digest(&SHA256, secret).as_ref().to_vec())
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 2 * SECRET || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        (0..SECRET)
            .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok())
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A refresh token: the family's id and 256 random bits, base64url. Opaque to clients.
pub struct RefreshToken {
    family: Uuid,
    secret: [u8; SECRET],
}

impl RefreshToken {
    /// The next token of `family`.
    ///
    /// # Errors
    /// No randomness to be had.
    pub fn next(family: Uuid) -> Result<Self, NoRandomness> {
        Ok(Self {
            family,
            secret: random()?,
        })
    }

    /// The first token of a new family.
    ///
    /// # Errors
    /// No randomness to be had.
    pub fn first() -> Result<Self, NoRandomness> {
        Self::next(uuid::Builder::from_random_bytes(random()?).into_uuid())
    }

    /// Reads what [`RefreshToken::reveal`] wrote; `None` where it never did.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; FAMILY + SECRET] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (family, secret) = bytes.split_at(FAMILY);
        Some(Self {
            family: Uuid::from_slice(family).ok()?,
            secret: secret.try_into().ok()?,
        })
    }

    /// The login that it belongs to.
    #[must_use]
    pub fn family(&self) -> Uuid {
        self.family
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The token as its owner gets it, this once.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode([self.family.as_bytes(), &self.secret[..]].concat())
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RefreshToken")
    }
}

/// What an API key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// GET.
    Read,
    /// All other methods.
    Write,
    /// What only administrators may; only they can have it.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// An API key as it is asked for; valid, but perhaps more than its owner may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApiKey {
    name: String,
    scopes: Vec<Scope>,
    expires_at: Option<DateTime<Utc>>,
}

impl NewApiKey {
    /// Reads what somebody wrote; scopes in order, each once.
    ///
    /// # Errors
    /// Every field that is wrong, and how.
    pub fn parse(
        name: &str,
        scopes: &[String],
        expires_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Self, Vec<FieldError>> {
        let name = name.trim();
        let length = name.chars().count();
        let mut wrong = Vec::new();
        if !(1..=LONGEST_KEY_NAME).contains(&length) || has_invisible(name) {
            let message =
                format!("must have 1 to {LONGEST_KEY_NAME} characters, none of them invisible");
            wrong.push(FieldError::new("name", message));
        }
        let mut known: Vec<Scope> = scopes
            .iter()
            .filter_map(|name| Scope::named(name))
            .collect();
        if known.len() != scopes.len() || known.is_empty() {
            let all = Scope::ALL.map(Scope::as_str).join(", ");
            wrong.push(FieldError::new(
                "scopes",
                format!("must be one or more of {all}"),
            ));
        }
        if expires_at.is_some_and(|instant| instant <= now) {
            wrong.push(FieldError::new("expires_at", "must be in the future"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        known.sort_unstable();
        known.dedup();
        Ok(Self {
            name: name.to_owned(),
            scopes: known,
            expires_at,
        })
    }

    /// What its owner calls it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it may be used for.
    #[must_use]
    pub fn scopes(&self) -> &[Scope] {
        &self.scopes
    }

    /// When it ends to be valid.
    #[must_use]
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        self.expires_at
    }
}

/// An API key as its owner gets it, this once.
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    /// A new one.
    ///
    /// # Errors
    /// No randomness to be had.
    pub fn new() -> Result<Self, NoRandomness> {
        let secret = URL_SAFE_NO_PAD.encode(random::<SECRET>()?);
        Ok(Self(format!("{API_KEY_PREFIX}{secret}")))
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }

    /// How it begins.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.0[..SHOWN]
    }

    /// The key itself.
    #[must_use]
    pub fn reveal(self) -> String {
        self.0
    }
}

/// An API key, as far as it is known afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number among all.
    pub id: i64,
    /// What its owner calls it.
    pub name: String,
    /// How it begins.
    pub prefix: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it ends to be valid.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Whom an API key that is valid now stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyOwner {
    /// Its owner.
    pub user_id: UserId,
    /// What the owner may do now.
    pub role: Role,
    /// What the key may be used for.
    pub scopes: Vec<Scope>,
    /// When it ends to be valid.
    pub expires_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_read_back_and_nothing_else_is() {
        let token = RefreshToken::first().expect("randomness");
        let text = token.reveal();
        let read = RefreshToken::parse(&text).expect("our own");
        assert_eq!(read.family(), token.family());
        assert_eq!(read.hash(), token.hash());
        let next = RefreshToken::next(token.family()).expect("randomness");
        assert_ne!(next.hash(), token.hash());
        for wrong in ["", "x", &text[1..], &format!("{text}A"), "\u{e9}"] {
            assert!(RefreshToken::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_read_from_its_hexadecimal_digits_alone() {
        let hash = SecretHash::of(b"abc");
        // FIPS 180-4's own example.
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(SecretHash::from_hex(hex), Some(hash));
        for wrong in ["", &hex[1..], &format!("{hex}0"), &hex.replace('b', "g")] {
            assert!(SecretHash::from_hex(wrong).is_none(), "{wrong}");
        }
        assert!(SecretHash::from_hex(&"\u{e9}".repeat(32)).is_none());
    }

    #[test]
    fn an_api_key_begins_as_its_prefix_says() {
        let key = ApiKeySecret::new().expect("randomness");
        let (hash, prefix) = (key.hash(), key.prefix().to_owned());
        let text = key.reveal();
        assert!(text.starts_with(&prefix) && prefix.starts_with("mq_"));
        assert_eq!(text.len(), 3 + 43);
        assert_eq!(SecretHash::of(text.as_bytes()), hash);
    }
}
