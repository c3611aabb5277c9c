//! Logins by other issuers: the configured providers, a login that waits for its callback, and what an issuer states about a
//! person. Providers are parsed once, from the settings.
// Longer than 500 lines: the tables of its tests.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::{Host, Url};
use utoipa::ToSchema;

use super::{SecretHash, UserId, random_secret};

/// In characters, as is the next one.
const MAX_NAME_LENGTH: usize = 30;
const MAX_LABEL_LENGTH: usize = 50;
/// Providers of a deployment.
const MAX_PROVIDERS: usize = 20;
/// The longest path to return to, in bytes.
const MAX_RETURN_LENGTH: usize = 500;

/// The time in which a person has to log in at the provider, in seconds.
pub const LOGIN_TTL_SECONDS: u32 = 600;

/// The protocol of a provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenID Connect with discovery.
    #[default]
    Oidc,
    /// Naver Login: OAuth 2.0 with a profile, which vouches for no address.
    Naver,
}

/// A provider as a setting states it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProviderSetting {
    name: String,
    label: Option<String>,
    kind: Option<ProviderKind>,
    issuer: Option<Url>,
    client_id: String,
    client_secret: Option<SecretString>,
    scopes: Option<Vec<String>>,
    authorization_endpoint: Option<Url>,
    token_endpoint: Option<Url>,
    profile_endpoint: Option<Url>,
}

/// A provider with which people can log in.
#[derive(Debug, Clone)]
pub struct LoginProvider {
    /// Its name in paths.
    pub name: String,
    /// Its name for people.
    pub label: String,
    /// Its protocol.
    pub kind: ProviderKind,
    /// The issuer exactly as its tokens state it.
    pub issuer: String,
    /// Our id at the provider.
    pub client_id: String,
    /// Our secret at the provider; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// The requested scopes, separated by spaces.
    pub scopes: String,
    /// The endpoints, of a provider without discovery.
    pub endpoints: Option<Endpoints>,
}

/// The endpoints of a provider.
#[derive(Debug, Clone)]
pub struct Endpoints {
    /// The page at which people log in.
    pub authorization: Url,
    /// The endpoint that exchanges codes.
    pub token: Url,
    /// The endpoint of the person's profile.
    pub profile: Option<Url>,
}

/// The name, issuer, protocol and scopes of a known provider.
struct Preset {
    name: &'static str,
    label: &'static str,
    issuer: &'static str,
    kind: ProviderKind,
    scopes: &'static str,
}

const PRESETS: [Preset; 3] = [
    Preset {
        name: "google",
        label: "Google",
        issuer: "https://accounts.google.com",
        kind: ProviderKind::Oidc,
        scopes: "openid email profile",
    },
    Preset {
        name: "kakao",
        label: "Kakao",
        issuer: "https://kauth.kakao.com",
        kind: ProviderKind::Oidc,
        scopes: "openid account_email profile_nickname",
    },
    Preset {
        name: "naver",
        label: "Naver",
        issuer: "https://nid.naver.com",
        kind: ProviderKind::Naver,
        scopes: "",
    },
];

const NAVER_AUTHORIZATION: &str = "https://nid.naver.com/oauth2.0/authorize";
const NAVER_TOKEN: &str = "https://nid.naver.com/oauth2.0/token";
const NAVER_PROFILE: &str = "https://openapi.naver.com/v1/nid/me";

impl LoginProvider {
    /// Parses the setting: a JSON array of providers, empty text for none.
    ///
    /// # Errors
    /// Returns the rule that the setting breaks, without its secrets.
    pub fn parse_all(setting: &str) -> Result<Vec<Self>, String> {
        if setting.trim().is_empty() {
            return Ok(Vec::new());
        }
        let settings: Vec<ProviderSetting> = serde_json::from_str(setting).map_err(|error| {
            // The error's own text could show a secret.
            format!(
                "must be a JSON array of providers with name, client_id and client_secret (line {}, column {})",
                error.line(),
                error.column()
            )
        })?;
        if settings.len() > MAX_PROVIDERS {
            return Err(format!("must have at most {MAX_PROVIDERS} providers"));
        }
        let mut providers: Vec<Self> = Vec::new();
        for setting in settings {
            let provider = Self::parse(setting)?;
            if providers.iter().any(|known| known.name == provider.name) {
                return Err(format!("has two providers named {}", provider.name));
            }
            providers.push(provider);
        }
        Ok(providers)
    }

    fn parse(setting: ProviderSetting) -> Result<Self, String> {
        let name = setting.name;
        let is_name = (1..=MAX_NAME_LENGTH).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_name {
            return Err(format!(
                "names of providers must be 1 to {MAX_NAME_LENGTH} of a-z, 0-9 and -"
            ));
        }
        let invalid = |rule: &str| format!("{name}: {rule}");
        let preset = PRESETS.iter().find(|preset| preset.name == name);
        let kind = setting
            .kind
            .unwrap_or_else(|| preset.map_or(ProviderKind::default(), |preset| preset.kind));
        let issuer = match (setting.issuer, preset) {
            (Some(issuer), _) => issuer,
            (None, Some(preset)) => Url::parse(preset.issuer).expect("a URL"),
            (None, None) => return Err(invalid("issuer is required")),
        };
        if !is_safe(&issuer) || issuer.query().is_some() || issuer.fragment().is_some() {
            return Err(invalid(
                "issuer must be an https URL without query, or http on the loopback interface",
            ));
        }
        let endpoints = match kind {
            ProviderKind::Oidc => None,
            ProviderKind::Naver => {
                let of = |given: Option<Url>, default: &str| {
                    let url = given.unwrap_or_else(|| Url::parse(default).expect("a URL"));
                    is_allowed_for(&issuer, &url)
                        .then_some(url)
                        .ok_or_else(|| invalid("endpoints must be https URLs"))
                };
                Some(Endpoints {
                    authorization: of(setting.authorization_endpoint, NAVER_AUTHORIZATION)?,
                    token: of(setting.token_endpoint, NAVER_TOKEN)?,
                    profile: Some(of(setting.profile_endpoint, NAVER_PROFILE)?),
                })
            }
        };
        if setting.client_id.is_empty() {
            return Err(invalid("client_id is required"));
        }
        let label = setting
            .label
            .or_else(|| preset.map(|preset| preset.label.to_owned()))
            .unwrap_or_else(|| name.clone());
        if !(1..=MAX_LABEL_LENGTH).contains(&label.chars().count()) {
            return Err(invalid("label must have 1 to 50 characters"));
        }
        let scopes = match (setting.scopes, preset) {
            (Some(scopes), _) => scopes.join(" "),
            (None, Some(preset)) => preset.scopes.to_owned(),
            (None, None) => "openid email profile".to_owned(),
        };
        if kind == ProviderKind::Oidc && !scopes.split(' ').any(|scope| scope == "openid") {
            return Err(invalid("scopes must have openid"));
        }
        // An issuer without a path has no slash at its end in tokens, but one as a URL.
        let text = match issuer.path() {
            "/" => issuer.as_str().trim_end_matches('/').to_owned(),
            _ => issuer.to_string(),
        };
        Ok(Self {
            name,
            label,
            kind,
            issuer: text,
            client_id: setting.client_id,
            client_secret: setting.client_secret,
            scopes,
            endpoints,
        })
    }

    /// True if `url`, which the provider stated, may be called: by https, or on the loopback interface if the issuer is there.
    pub fn allows(&self, url: &Url) -> bool {
        Url::parse(&self.issuer).is_ok_and(|issuer| is_allowed_for(&issuer, url))
    }

    /// True if the provider is on this machine.
    pub fn is_local(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|issuer| is_loopback(&issuer))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn is_safe(url: &Url) -> bool {
    let has_login = !url.username().is_empty() || url.password().is_some();
    !has_login && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

fn is_allowed_for(issuer: &Url, url: &Url) -> bool {
    is_safe(url) && (url.scheme() == "https" || is_loopback(issuer))
}

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

/// What an issuer states about a person.
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

    #[test]
    fn providers_are_parsed_with_the_presets_of_the_known_ones() {
        let parse = |text: &str| LoginProvider::parse_all(text);
        assert!(parse("").expect("none").is_empty());
        let all = parse(
            r#"[{"name": "google", "client_id": "a", "client_secret": "s"},
                {"name": "kakao", "client_id": "b"},
                {"name": "naver", "client_id": "c", "client_secret": "s"},
                {"name": "work", "label": "Work", "issuer": "https://id.example.org/realms/x", "client_id": "d"}]"#,
        )
        .expect("providers");
        let issuers: Vec<&str> = all
            .iter()
            .map(|provider| provider.issuer.as_str())
            .collect();
        assert_eq!(
            issuers,
            [
                "https://accounts.google.com",
                "https://kauth.kakao.com",
                "https://nid.naver.com",
                "https://id.example.org/realms/x"
            ]
        );
        assert_eq!(all[2].kind, ProviderKind::Naver);
        for (rule, text) in [
            ("JSON array", "{"),
            (
                "JSON array",
                r#"[{"name": "x", "client_id": "a", "secret": "hidden"}]"#,
            ),
            ("issuer is required", r#"[{"name": "x", "client_id": "a"}]"#),
            (
                "https",
                r#"[{"name": "x", "client_id": "a", "issuer": "http://id.example.org"}]"#,
            ),
            (
                "https",
                r#"[{"name": "x", "client_id": "a", "issuer": "https://u:p@id.example.org"}]"#,
            ),
            (
                "a-z",
                r#"[{"name": "X y", "client_id": "a", "issuer": "https://id.example.org"}]"#,
            ),
            ("client_id", r#"[{"name": "google", "client_id": ""}]"#),
            (
                "two",
                r#"[{"name": "google", "client_id": "a"}, {"name": "google", "client_id": "b"}]"#,
            ),
            (
                "openid",
                r#"[{"name": "google", "client_id": "a", "scopes": ["email"]}]"#,
            ),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(rule) && !error.contains("hidden"), "{error}");
        }
        let local = r#"[{"name": "x", "client_id": "a", "issuer": "http://127.0.0.1:9"}]"#;
        let local = &parse(local).expect("local")[0];
        assert!(local.is_local() && local.issuer == "http://127.0.0.1:9");
        let url = |text| Url::parse(text).expect("a URL");
        assert!(local.allows(&url("http://127.0.0.1:9/token")));
        assert!(!local.allows(&url("http://10.0.0.1/token")));
        assert!(!all[0].allows(&url("http://127.0.0.1:9/token")));
    }
}
