//! Authenticated callers: their role, the scopes of their API key, and the header by which services learn them.

use chrono::{DateTime, Utc};
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The role of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May access their own data.
    #[default]
    User,
    /// May also suspend users.
    Moderator,
    /// May access everything.
    Admin,
}

impl Role {
    /// All roles, in the order of their declaration.
    pub(crate) const ALL: [Self; 3] = [Self::User, Self::Moderator, Self::Admin];

    /// Its name in tokens and settings.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }
}

/// The identity of a user or an API key in rate limits: 128 bits of the SHA-256 of `name`.
pub(crate) fn limit_id(name: &[u8]) -> u128 {
    let digest = Sha256::digest(name);
    digest.first_chunk().copied().map_or(0, u128::from_be_bytes)
}

/// The scopes of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scopes {
    pub(crate) read: bool,
    /// Allows all other methods.
    pub(crate) write: bool,
    /// Allows what only administrators may do.
    pub(crate) admin: bool,
}

impl Scopes {
    /// Parses the names of scopes; unknown ones are ignored.
    pub(super) fn parse(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|own| own == name);
        Self {
            read: has("read"),
            write: has("write"),
            admin: has("admin"),
        }
    }
}

/// An authenticated caller.
#[derive(Debug)]
pub(crate) struct Principal {
    pub(crate) subject: String,
    pub(crate) role: Role,
    /// The scopes of the API key; `None` for an access token, which allows everything.
    pub(crate) scopes: Option<Scopes>,
    /// The [`limit_id`] of the subject.
    pub(crate) limit_id: u128,
    /// That of the API key; `None` for an access token.
    pub(crate) api_key_id: Option<u128>,
    /// The value of `X-Principal`: ASCII JSON.
    pub(crate) header: HeaderValue,
    /// Seconds since the Unix epoch, leeway included.
    valid_until: u64,
    /// Seconds since the Unix epoch; 0 for a token that does not state it.
    pub(super) issued_at: u64,
}

impl Principal {
    /// `None` if the subject cannot be part of a header.
    pub(super) fn new(
        subject: String,
        role: Role,
        scopes: Option<Scopes>,
        valid_until: u64,
    ) -> Option<Self> {
        Self::with_login(subject, role, scopes, valid_until, None)
    }

    /// As [`Principal::new`], of a token that comes from a login at `auth_time`, in seconds since the Unix epoch.
    pub(super) fn with_login(
        subject: String,
        role: Role,
        scopes: Option<Scopes>,
        valid_until: u64,
        auth_time: Option<u64>,
    ) -> Option<Self> {
        #[derive(Serialize)]
        struct XPrincipal<'a> {
            subject: &'a str,
            role: Role,
            #[serde(skip_serializing_if = "Option::is_none")]
            auth_time: Option<u64>,
        }
        let subject_and_role = XPrincipal {
            subject: &subject,
            role,
            auth_time,
        };
        let json = serde_json::to_string(&subject_and_role).ok()?;
        Some(Self {
            header: HeaderValue::try_from(to_ascii(&json)).ok()?,
            limit_id: limit_id(subject.as_bytes()),
            api_key_id: None,
            subject,
            role,
            scopes,
            valid_until,
            issued_at: 0,
        })
    }

    /// As the owner of the API key with this [`limit_id`].
    pub(super) fn with_api_key(self, id: u128) -> Self {
        Self {
            api_key_id: Some(id),
            ..self
        }
    }

    /// True if the token or API key has not expired at the time `now`.
    pub(super) fn is_valid(&self, now: DateTime<Utc>) -> bool {
        unix_seconds(now) < self.valid_until
    }
}

/// The seconds from the Unix epoch to `time`.
pub(super) fn unix_seconds(time: DateTime<Utc>) -> u64 {
    u64::try_from(time.timestamp()).unwrap_or(0)
}

/// Escapes the characters of `json` beyond ASCII, which headers exclude.
fn to_ascii(json: &str) -> String {
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
