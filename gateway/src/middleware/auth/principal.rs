//! Authenticated callers: their role, the scopes of their API key, and the header by which services learn them.

use chassis::clock::Clock;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

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
            subject,
            role,
            scopes,
            valid_until,
            issued_at: 0,
        })
    }

    /// True before the token or API key expires.
    pub(super) fn is_valid(&self, clock: &Clock) -> bool {
        unix_seconds(clock) < self.valid_until
    }
}

/// Seconds since the Unix epoch.
pub(super) fn unix_seconds(clock: &Clock) -> u64 {
    u64::try_from(clock.now().timestamp()).unwrap_or(0)
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
