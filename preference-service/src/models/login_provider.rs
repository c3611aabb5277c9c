//! The providers with which people can log in. They are parsed once, from the settings.

use std::net::IpAddr;

use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};

/// In characters, as is the next one.
const MAX_NAME_LENGTH: usize = 30;
const MAX_LABEL_LENGTH: usize = 50;
/// Providers of a deployment.
const MAX_PROVIDERS: usize = 20;

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

#[cfg(test)]
mod tests {
    use super::*;

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
