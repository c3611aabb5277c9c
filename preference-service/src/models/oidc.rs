//! Logins by other issuers: a login that waits for its callback, what an issuer states about a person, and the reasons of
//! refusals.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{SecretHash, UserId, random_secret};

/// The longest path to return to, in bytes.
const MAX_RETURN_LENGTH: usize = 500;

/// The time in which a person has to log in at the provider, in seconds.
pub const LOGIN_TTL_SECONDS: u32 = 600;

/// The secrets of one login: `state` travels by the provider, `browser` in a cookie. The nonce and the code verifier are
/// derived from the cookie, so that nothing that is stored reveals them.
#[derive(Debug)]
pub struct LoginSecrets {
    /// The parameter `state`.
    pub state: String,
    /// The value of the cookie.
    pub browser: String,
}

impl LoginSecrets {
    /// New random secrets.
    pub fn generate() -> Self {
        Self {
            state: random_secret(),
            browser: random_secret(),
        }
    }

    /// The nonce of the ID token.
    pub fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// The code verifier of PKCE (RFC 7636).
    pub fn code_verifier(&self) -> String {
        self.derive("code verifier")
    }

    /// The code challenge of PKCE by S256.
    pub fn code_challenge(&self) -> String {
        let hash = SecretHash::of(self.code_verifier().as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_bytes())
    }

    fn derive(&self, purpose: &str) -> String {
        let hash =
            SecretHash::of(format!("{purpose}\n{}\n{}", self.browser, self.state).as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_bytes())
    }
}

/// A login that waits for its callback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingLogin {
    /// The name of the provider.
    pub provider: String,
    /// The path of ours that follows.
    pub return_to: String,
    /// The user who links the identity; `None` for a login.
    pub user_id: Option<UserId>,
}

/// Parses the path to which a login returns: one of ours, which no browser reads as another site's.
pub fn parse_return_to(path: Option<&str>) -> Option<String> {
    let path = path.unwrap_or("/");
    let base = Url::parse("http://marquee.invalid/").expect("a URL");
    let joined = base.join(path).ok()?;
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '@'])
        && path.bytes().all(|byte| byte.is_ascii_graphic())
        && joined.origin() == base.origin();
    (is_local && path.len() <= MAX_RETURN_LENGTH).then(|| path.to_owned())
}

/// The claims of an issuer about a person.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalProfile {
    /// The issuer's id of the person, which no other of its people ever gets.
    pub subject: String,
    /// The e-mail address, if the person shares it.
    pub email: Option<String>,
    /// True if the issuer vouches that the person reads mail at the address.
    pub is_email_verified: bool,
    /// Names, the best first.
    pub names: Vec<String>,
}

/// An account of another issuer with which a user can log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = IdentityResponse, example = json!({
    "id": 1,
    "provider": "google",
    "email": "anna@example.org",
    "created_at": "2026-02-13T08:15:42.123456Z",
    "used_at": "2026-02-13T08:15:42.123456Z"
}))]
pub struct ExternalIdentity {
    /// The id of the link.
    pub id: i64,
    /// The name of the provider.
    pub provider: String,
    /// The address that the provider stated last; null if it states none.
    pub email: Option<String>,
    /// The time of the link.
    pub created_at: DateTime<Utc>,
    /// The time of the last login by it.
    pub used_at: DateTime<Utc>,
}

/// The reason why a login by a provider is refused. Texts tell nothing about other people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginRefusal {
    /// The state is unknown, used or has expired, or the cookie of the login is missing.
    State,
    /// The response does not come from the issuer that the login began with.
    Issuer,
    /// The person did not agree, or the provider refused.
    Denied,
    /// The code was not exchanged: expired, used, or not for us.
    Code,
    /// The ID token is not acceptable.
    Token,
    /// The provider states no address, or an invalid one.
    NoEmail,
    /// An account has the address, but cannot be linked by it.
    AccountExists,
    /// The identity is linked to another account.
    Linked,
    /// Administrators log in by password.
    Administrator,
}

impl LoginRefusal {
    /// The code in the address of the page, and in metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Issuer => "issuer",
            Self::Denied => "denied",
            Self::Code => "code",
            Self::Token => "token",
            Self::NoEmail => "no_email",
            Self::AccountExists => "account_exists",
            Self::Linked => "linked",
            Self::Administrator => "administrator",
        }
    }

    /// The sentence that says how to go on.
    pub fn detail(self) -> &'static str {
        match self {
            Self::State => {
                "the login was not begun in this browser, is used or has expired; begin again at the login of the provider"
            }
            Self::Issuer => "the response comes from another issuer than the login; begin again",
            Self::Denied => {
                "the provider did not permit the login; begin again and agree, or log in by password"
            }
            Self::Code => {
                "the provider did not accept the code, which is valid once and briefly; begin again"
            }
            Self::Token => {
                "the provider's token is not acceptable; begin again, and tell the operator if it persists"
            }
            Self::NoEmail => {
                "an account needs an e-mail address; share it with us at the provider, or sign up by POST /api/v1/users"
            }
            Self::AccountExists => {
                "an account with this e-mail address exists; log in by password and link the provider by POST /api/v1/users/{id}/identities"
            }
            Self::Linked => "this account of the provider is linked to another account",
            Self::Administrator => "administrators and moderators log in by password",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_returns_to_paths_of_ours_only() {
        for path in ["/", "/#/me", "/#/film/603?x=1", "/device?code=AB"] {
            assert_eq!(parse_return_to(Some(path)).as_deref(), Some(path));
        }
        assert_eq!(parse_return_to(None).as_deref(), Some("/"));
        for path in [
            "",
            "x",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/",
            "/\t/evil.example",
            "/a\r\nSet-Cookie: x",
            "javascript:alert(1)",
            "/@evil.example",
            "/\u{e9}",
        ] {
            assert_eq!(parse_return_to(Some(path)), None, "{path:?}");
        }
        assert_eq!(
            parse_return_to(Some(&format!("/{}", "x".repeat(500)))),
            None
        );
    }
}
