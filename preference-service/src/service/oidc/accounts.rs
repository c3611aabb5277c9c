//! The account of a person who has logged in at an issuer: the linked one, the one with the same proven address, or a new one.
//! Called by [`super`], which has verified what the issuer states.

use chassis::feed::outbox::Outbox;
use sqlx::PgPool;

use crate::{
    error::Error,
    models::{
        AccountRules, ExternalProfile, LoginProvider, LoginRefusal, NewUser, Role, User, login_key,
        random_digits,
    },
    repository::{
        identities::{self, NewIdentity},
        users::EmailState,
    },
    service::{
        auth::{Auth, Login},
        email_verification::EmailVerification,
    },
};

/// Variations of a name that are tried before a made-up one.
const MAX_NAME_VARIATIONS: usize = 3;
/// In characters; leaves space for a variation.
const MAX_DERIVED_NAME_LENGTH: usize = 60;

/// The accounts of people who log in at issuers; cheap to clone.
#[derive(Clone)]
pub(super) struct Accounts {
    pub(super) pool: PgPool,
    /// Issues tokens.
    pub(super) auth: Auth,
    /// Verifies addresses that no issuer vouches for.
    pub(super) email_verification: EmailVerification,
    /// Publishes new users.
    pub(super) outbox: Outbox,
}

impl Accounts {
    /// Issues tokens for the person: of the account that is linked, or that has the same proven address, or of a new one.
    pub(super) async fn log_in(
        &self,
        settings: &LoginProvider,
        profile: &ExternalProfile,
    ) -> Result<Login, Error> {
        let identity = new_identity(settings, profile);
        if let Some((id, user)) = identities::find_user(&self.pool, &identity).await? {
            if user.role != Role::User {
                return Err(Error::LoginRefused(LoginRefusal::Administrator));
            }
            return self.auth.log_in_by_identity(user, id).await;
        }
        let email = profile.email.as_deref();
        let email = email.ok_or(Error::LoginRefused(LoginRefusal::NoEmail))?;
        let key = login_key(email).ok_or(Error::LoginRefused(LoginRefusal::NoEmail))?;
        let (id, user) = match identities::find_by_email(&self.pool, &key).await? {
            None => self.sign_up(profile, email, &identity).await?,
            Some((user_id, true)) if profile.is_email_verified => {
                identities::link(&self.pool, user_id, &identity, Some(&key)).await?;
                let linked = identities::find_user(&self.pool, &identity).await?;
                linked.ok_or(Error::LoginRefused(LoginRefusal::AccountExists))?
            }
            // The same for all others, so that nobody learns whose account it is.
            Some(_) => return Err(Error::LoginRefused(LoginRefusal::AccountExists)),
        };
        self.auth.log_in_by_identity(user, id).await
    }

    /// Creates an account without a password, named as the issuer names the person or by a made-up name.
    async fn sign_up(
        &self,
        profile: &ExternalProfile,
        email: &str,
        identity: &NewIdentity<'_>,
    ) -> Result<(i64, User), Error> {
        let is_waiting = self.email_verification.is_required && !profile.is_email_verified;
        let state = match (profile.is_email_verified, is_waiting) {
            (true, _) => EmailState::Proven,
            (false, true) => EmailState::Unverified,
            (false, false) => EmailState::Trusted,
        };
        let rules = AccountRules {
            needs_password: false,
            allows_reserved_names: false,
        };
        let parse = |name: &str| NewUser::parse(Some(name), Some(email), None, None, rules);
        let is_about = |parsed: &Result<NewUser, Error>, field: &str| match parsed {
            Err(Error::Invalid(errors) | Error::MissingUser(errors)) => {
                errors.iter().any(|error| error.field == field)
            }
            _ => false,
        };
        let mut names: Vec<String> = profile.names.iter().map(|name| shortened(name)).collect();
        // Nor with digits: `admin 1234` looks as official as `admin`.
        names.retain(|name| !is_about(&parse(name), "username"));
        for name in candidates(names) {
            let user = parse(&name);
            if is_about(&user, "email") {
                return Err(Error::LoginRefused(LoginRefusal::NoEmail));
            }
            let user = user?;
            match identities::create_user(&self.pool, &user, identity, state).await {
                Err(Error::UsernameTaken) => {}
                Err(Error::EmailTaken) => {
                    return Err(Error::LoginRefused(LoginRefusal::AccountExists));
                }
                Err(error) => return Err(error),
                Ok(created) => {
                    self.outbox.notify_readers();
                    if is_waiting {
                        self.email_verification
                            .request(created.1.id, &user.email)
                            .await?;
                    }
                    return Ok(created);
                }
            }
        }
        Err(Error::Internal("no name was free".to_owned()))
    }
}

/// The identity that `profile` proves.
pub(super) fn new_identity<'a>(
    settings: &'a LoginProvider,
    profile: &'a ExternalProfile,
) -> NewIdentity<'a> {
    NewIdentity {
        provider: &settings.name,
        issuer: &settings.issuer,
        subject: &profile.subject,
        email: profile
            .email
            .as_deref()
            .filter(|email| !email.contains('\0')),
    }
}

/// A name of the issuer, with space for a variation.
fn shortened(name: &str) -> String {
    let name: String = name.trim().chars().take(MAX_DERIVED_NAME_LENGTH).collect();
    name.trim().to_owned()
}

/// Names for a new account: those of the issuer, each also with digits, then made-up ones. None has a part of the address,
/// which others must not see.
fn candidates(names: Vec<String>) -> impl Iterator<Item = String> {
    let varied = names.clone().into_iter().flat_map(|name| {
        (0..MAX_NAME_VARIATIONS).map(move |_| format!("{name} {}", random_digits(4)))
    });
    let made_up = (0..MAX_NAME_VARIATIONS).map(|_| format!("user {}", random_digits(8)));
    names.into_iter().chain(varied).chain(made_up)
}
