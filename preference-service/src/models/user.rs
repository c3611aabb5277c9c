//! Users: what they sign up with, and what is known of them afterwards.

use chassis::problem::FieldError;
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    UserId,
    text::{folded, has_invisible},
};

const LONGEST_USERNAME: usize = 100;
const LONGEST_EMAIL: usize = 255;
const SHORTEST_PASSWORD: usize = 8;
const LONGEST_PASSWORD: usize = 128;
/// In bytes. Some characters fold to whole phrases, and an index has no room for hundreds of those.
const LONGEST_KEY: usize = 1024;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What is their own.
    User,
    /// Everything.
    Admin,
}

impl Role {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who uses the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// What they call themselves, as they wrote it.
    pub username: String,
    /// Their e-mail address, as they wrote it.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When they signed up.
    pub created_at: DateTime<Utc>,
}

/// Somebody who signs up; valid, but perhaps not the first of that name.
#[derive(Debug, Clone)]
pub struct NewUser {
    username: String,
    email: String,
    password: Option<SecretString>,
}

/// Why nobody can sign up like this.
#[derive(Debug, PartialEq, Eq)]
pub enum InvalidUser {
    /// Name or address are not given; those that are not.
    Missing(Vec<FieldError>),
    /// They are given, but wrong.
    Invalid(Vec<FieldError>),
}

impl NewUser {
    /// Reads what somebody wrote; blanks around it do not count.
    ///
    /// # Errors
    /// Every field that is missing or wrong, and how.
    pub fn parse(
        username: Option<&str>,
        email: Option<&str>,
        password: Option<SecretString>,
    ) -> Result<Self, InvalidUser> {
        let username = username.unwrap_or_default().trim();
        let email = email.unwrap_or_default().trim();
        let missing: Vec<FieldError> = [("username", username), ("email", email)]
            .into_iter()
            .filter(|(_, value)| value.is_empty())
            .map(|(field, _)| FieldError::new(field, "is required"))
            .collect();
        if !missing.is_empty() {
            return Err(InvalidUser::Missing(missing));
        }
        let wrong: Vec<FieldError> = [
            ("username", username_error(username)),
            ("email", email_error(email)),
            ("password", password.as_ref().and_then(password_error)),
        ]
        .into_iter()
        .filter_map(|(field, error)| Some(FieldError::new(field, error?)))
        .collect();
        if !wrong.is_empty() {
            return Err(InvalidUser::Invalid(wrong));
        }
        Ok(Self {
            username: username.to_owned(),
            email: email.to_owned(),
            password,
        })
    }

    /// The name as it was written.
    #[must_use]
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The address as it was written.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }

    /// The password, if they want one.
    #[must_use]
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// What no two names may have in common.
    #[must_use]
    pub fn username_key(&self) -> String {
        folded(&self.username)
    }

    /// What no two addresses may have in common.
    #[must_use]
    pub fn email_key(&self) -> String {
        folded(&self.email)
    }
}

/// What a user wants to have otherwise; valid, but perhaps taken. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct UserChange {
    username: Option<String>,
    email: Option<String>,
    password: Option<SecretString>,
}

impl UserChange {
    /// Reads what somebody wrote; blanks around it do not count.
    ///
    /// # Errors
    /// Every field that is wrong, and how.
    pub fn parse(
        username: Option<&str>,
        email: Option<&str>,
        password: Option<SecretString>,
    ) -> Result<Self, Vec<FieldError>> {
        let username = username.map(str::trim);
        let email = email.map(str::trim);
        let required = |text: &str| text.is_empty().then(|| "must not be empty".to_owned());
        let wrong: Vec<FieldError> = [
            (
                "username",
                username.and_then(|name| required(name).or_else(|| username_error(name))),
            ),
            (
                "email",
                email.and_then(|email| required(email).or_else(|| email_error(email))),
            ),
            ("password", password.as_ref().and_then(password_error)),
        ]
        .into_iter()
        .filter_map(|(field, error)| Some(FieldError::new(field, error?)))
        .collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Ok(Self {
            username: username.map(str::to_owned),
            email: email.map(str::to_owned),
            password,
        })
    }

    /// The new name as it was written.
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    /// The new address as it was written.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The new password.
    #[must_use]
    pub fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    /// What the new name may have in common with no other.
    #[must_use]
    pub fn username_key(&self) -> Option<String> {
        self.username().map(folded)
    }

    /// What the new address may have in common with no other.
    #[must_use]
    pub fn email_key(&self) -> Option<String> {
        self.email().map(folded)
    }

    /// Whether nothing is to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.email.is_none() && self.password.is_none()
    }
}

/// What `name`, which somebody logs in with, must have in common with a user's name or address;
/// `None` where no user can have it.
#[must_use]
pub fn login_key(name: &str) -> Option<String> {
    let name = name.trim();
    if name.len() > 4 * LONGEST_EMAIL {
        return None;
    }
    Some(folded(name)).filter(|key| key.len() <= LONGEST_KEY && !key.contains('\0'))
}

fn username_error(username: &str) -> Option<String> {
    if username.chars().count() > LONGEST_USERNAME {
        return Some(format!("must have at most {LONGEST_USERNAME} characters"));
    }
    if has_invisible(username) {
        return Some("must not have control or invisible characters".to_owned());
    }
    key_error(username)
}

/// Longer is safer than stranger (NIST SP 800-63B), so nothing is asked of a password but its length.
fn password_error(password: &SecretString) -> Option<String> {
    let length = password.expose_secret().chars().count();
    (!(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length))
        .then(|| format!("must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"))
}

fn key_error(text: &str) -> Option<String> {
    (folded(text).len() > LONGEST_KEY)
        .then(|| "must not have so many characters that stand for whole phrases".to_owned())
}

/// Whether an address is deliverable shows only when something is sent to it, so no more is asked
/// than that it looks like one.
fn email_error(email: &str) -> Option<String> {
    if email.chars().count() > LONGEST_EMAIL {
        return Some(format!("must have at most {LONGEST_EMAIL} characters"));
    }
    if has_invisible(email) || email.contains(char::is_whitespace) {
        return Some("must not have blanks, control or invisible characters".to_owned());
    }
    let sides: Vec<&str> = email.split('@').collect();
    let valid = sides.len() == 2 && sides.iter().all(|side| !side.is_empty());
    if !valid {
        return Some("must have one @ with something on either side of it".to_owned());
    }
    key_error(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_name_and_address_do_not_count() {
        let user = NewUser::parse(Some("  Anna \t"), Some(" a@b "), None).ok();
        let user = user.expect("valid");
        assert_eq!((user.username(), user.email()), ("Anna", "a@b"));
    }

    #[test]
    fn a_missing_field_is_told_before_a_wrong_one() {
        for (username, email, fields) in [
            (None, None, vec!["username", "email"]),
            (Some(" "), Some(""), vec!["username", "email"]),
            (Some("a\0"), None, vec!["email"]),
        ] {
            match NewUser::parse(username, email, None) {
                Err(InvalidUser::Missing(missing)) => {
                    let missing: Vec<String> = missing.into_iter().map(|e| e.field).collect();
                    assert_eq!(missing, fields);
                }
                _ => panic!("{username:?} {email:?}"),
            }
        }
    }

    #[test]
    fn bounds_are_exact_and_count_characters() {
        let parse = |username: &str, email: &str| NewUser::parse(Some(username), Some(email), None);
        assert!(parse(&"é".repeat(100), "a@b").is_ok());
        assert!(parse(&"é".repeat(101), "a@b").is_err());
        assert!(parse("a", &format!("{}@b", "a".repeat(253))).is_ok());
        assert!(parse("a", &format!("{}@b", "a".repeat(254))).is_err());
        assert!(parse(&"\u{fdfa}".repeat(100), "a@b").is_err());
        assert!(parse("a", &format!("{}@b", "\u{3300}".repeat(200))).is_err());
        for email in [
            "a",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c",
            "a@b\u{200b}",
            "a@b\0c",
        ] {
            assert!(parse("a", email).is_err(), "{email:?}");
        }
    }
}
