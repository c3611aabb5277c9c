//! Users: validation of what they sign up with, and the stored account. Parsed by handlers, stored by
//! [`crate::repository::users`].

use chassis::validate::{FieldError, Validator};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    UserId,
    name::{is_reserved, mixes_scripts},
    password::weakness,
    preferences::parse_language,
    text::{fold, has_invisible},
};
use crate::error::Error;

/// In characters, as are the next three.
const MAX_USERNAME_LENGTH: usize = 100;
const MAX_EMAIL_LENGTH: usize = 255;
const MIN_PASSWORD_LENGTH: usize = 8;
const MAX_PASSWORD_LENGTH: usize = 128;
/// In bytes. Some characters fold to whole phrases, and an index entry cannot hold hundreds of those.
const MAX_KEY_BYTES: usize = 1024;

/// The role of a user.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema, sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Role {
    /// May access their own resources.
    User,
    /// May also suspend users.
    Moderator,
    /// May access everything.
    Admin,
}

/// A user's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AccountResponse, example = json!({
    "id": 1,
    "username": "anna",
    "email": "anna@example.org",
    "role": "user",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The username as it was written.
    pub username: String,
    /// The e-mail address as it was written.
    pub email: String,
    /// The role.
    pub role: Role,
    /// The time of signing up.
    pub created_at: DateTime<Utc>,
}

/// A name or address with its comparison key: no two users have the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueText {
    /// The text as it was written, without surrounding whitespace.
    pub text: String,
    /// The text in NFKC and lower case.
    pub key: String,
}

impl UniqueText {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            key: fold(text),
        }
    }
}

/// The rules of accounts that depend on the deployment and on the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountRules {
    /// True if an account needs a password, since nobody could log in to it otherwise.
    pub needs_password: bool,
    /// True if reserved names are allowed.
    pub allows_reserved_names: bool,
}

/// A valid sign-up; name or address may still be taken. Made by [`NewUser::parse`].
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The username.
    pub username: UniqueText,
    /// The e-mail address.
    pub email: UniqueText,
    /// The password; `None` for a user who cannot log in.
    pub password: Option<SecretString>,
    /// The preferred language, as in [`NewPreferences`](super::NewPreferences).
    pub preferred_language: Option<String>,
}

impl NewUser {
    /// Validates the fields of a request; surrounding whitespace is dropped.
    ///
    /// # Errors
    /// [`Error::MissingUser`] if username or e-mail address are absent or blank, otherwise [`Error::Invalid`] if any
    /// field is invalid; with one error for each field.
    pub fn parse(
        username: Option<&str>,
        email: Option<&str>,
        password: Option<SecretString>,
        preferred_language: Option<&str>,
        rules: AccountRules,
    ) -> Result<Self, Error> {
        let username = username.unwrap_or_default().trim();
        let email = email.unwrap_or_default().trim();
        let mut check = Validator::default();
        check.require(!username.is_empty(), "username", "is required");
        check.require(!email.is_empty(), "email", "is required");
        check.finish(()).map_err(Error::MissingUser)?;
        let mut check = Validator::default();
        validate(&mut check, Some(username), Some(email), password.as_ref());
        validate_looks(&mut check, username, rules);
        match &password {
            Some(password) => validate_strength(&mut check, password, &[username, email]),
            None => check.require(!rules.needs_password, "password", "is required"),
        }
        let preferred_language = parse_language(&mut check, preferred_language);
        check.finish(())?;
        Ok(Self {
            username: UniqueText::new(username),
            email: UniqueText::new(email),
            password,
            preferred_language,
        })
    }
}

/// A valid update of a user; name or address may still be taken. `None` keeps the present value. Made
/// by [`UserUpdate::parse`].
#[derive(Debug, Clone, Default)]
pub struct UserUpdate {
    /// The new username.
    pub username: Option<UniqueText>,
    /// The new e-mail address.
    pub email: Option<UniqueText>,
    /// The new password.
    pub password: Option<SecretString>,
    /// True if a new password ends all API keys as well.
    pub revoke_api_keys: bool,
}

impl UserUpdate {
    /// Validates the fields of a request; surrounding whitespace is dropped.
    pub fn parse(
        username: Option<&str>,
        email: Option<&str>,
        password: Option<SecretString>,
        revoke_api_keys: bool,
        rules: AccountRules,
    ) -> Result<Self, Vec<FieldError>> {
        let username = username.map(str::trim);
        let email = email.map(str::trim);
        let mut check = Validator::default();
        validate(&mut check, username, email, password.as_ref());
        if let Some(username) = username {
            validate_looks(&mut check, username, rules);
        }
        check.require(
            password.is_some() || !revoke_api_keys,
            "revoke_api_keys",
            "requires a new password",
        );
        check.finish(())?;
        Ok(Self {
            username: username.map(UniqueText::new),
            email: email.map(UniqueText::new),
            password,
            revoke_api_keys,
        })
    }

    /// Checks a new password for a user who is called `username` and has the address `email`, unless those are new as well.
    pub fn check_password(&self, username: &str, email: &str) -> Result<(), Vec<FieldError>> {
        let Some(password) = &self.password else {
            return Ok(());
        };
        let username = self.username.as_ref().map_or(username, |new| &new.text);
        let email = self.email.as_ref().map_or(email, |new| &new.text);
        let mut check = Validator::default();
        validate_strength(&mut check, password, &[username, email]);
        check.finish(())
    }

    /// True if every field keeps its present value.
    pub fn is_empty(&self) -> bool {
        self.username.is_none() && self.email.is_none() && self.password.is_none()
    }
}

/// The comparison key of a login name; `None` if no user can have it.
pub fn login_key(name: &str) -> Option<String> {
    let name = name.trim();
    if name.len() > 4 * MAX_EMAIL_LENGTH {
        return None;
    }
    Some(fold(name)).filter(|key| key.len() <= MAX_KEY_BYTES && !key.contains('\0'))
}

fn validate(
    check: &mut Validator,
    username: Option<&str>,
    email: Option<&str>,
    password: Option<&SecretString>,
) {
    for (field, error) in [
        ("username", username.and_then(username_error)),
        ("email", email.and_then(email_error)),
        ("password", password.and_then(password_error)),
    ] {
        check.require(error.is_none(), field, error.unwrap_or_default());
    }
}

fn validate_looks(check: &mut Validator, username: &str, rules: AccountRules) {
    check.require(
        !mixes_scripts(username),
        "username",
        "must not mix letters of different scripts, which look alike",
    );
    check.require(
        rules.allows_reserved_names || !is_reserved(username),
        "username",
        "is reserved; choose another",
    );
}

/// Checks a password of valid length.
fn validate_strength(check: &mut Validator, password: &SecretString, names: &[&str]) {
    if password_error(password).is_none()
        && let Some(weakness) = weakness(password.expose_secret(), names)
    {
        check.error("password", weakness);
    }
}

fn username_error(username: &str) -> Option<String> {
    if username.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if username.chars().count() > MAX_USERNAME_LENGTH {
        return Some(format!(
            "must have at most {MAX_USERNAME_LENGTH} characters"
        ));
    }
    if has_invisible(username) {
        return Some("must not have control or invisible characters".to_owned());
    }
    key_error(username)
}

/// Checks the length; [`weakness`] finds passwords that are easy to guess.
fn password_error(password: &SecretString) -> Option<String> {
    let length = password.expose_secret().chars().count();
    (!(MIN_PASSWORD_LENGTH..=MAX_PASSWORD_LENGTH).contains(&length))
        .then(|| format!("must have {MIN_PASSWORD_LENGTH} to {MAX_PASSWORD_LENGTH} characters"))
}

fn key_error(text: &str) -> Option<String> {
    (fold(text).len() > MAX_KEY_BYTES)
        .then(|| "must not have so many characters that stand for whole phrases".to_owned())
}

/// Checks only the form: deliverability shows when a message is sent.
fn email_error(email: &str) -> Option<String> {
    if email.is_empty() {
        return Some("must not be empty".to_owned());
    }
    if email.chars().count() > MAX_EMAIL_LENGTH {
        return Some(format!("must have at most {MAX_EMAIL_LENGTH} characters"));
    }
    if has_invisible(email) || email.contains(char::is_whitespace) {
        return Some("must not have blanks, control or invisible characters".to_owned());
    }
    let is_valid = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    if !is_valid {
        return Some("must have one @ with something on either side of it".to_owned());
    }
    key_error(email)
}
