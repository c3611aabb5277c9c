//! Verification of access tokens (JWT, RFC 7519) by a secret (HS256), by public keys (EdDSA, ES256, RS256), or
//! both. The key determines the algorithm, never the token (RFC 8725, 3.1).

use std::{sync::Arc, time::Duration};

use chassis::{
    clock::Clock,
    config::ConfigError,
    shutdown::Shutdown,
    tls::{Roots, client_config},
};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode,
    errors::{Error, ErrorKind},
};
use rustls::ClientConfig;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    jwks::{Jwks, Source, refresh},
    principal::{Principal, Role, unix_seconds},
};
use crate::config::{AuthMode, Config, GatewayConfig};

/// In bytes.
const MAX_TOKEN_BYTES: usize = 4096;
/// In bytes.
const MAX_SUBJECT_BYTES: usize = 256;

/// The claims of an access token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default)]
    role: Role,
    iss: String,
    aud: Value,
    exp: u64,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    nbf: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    iat: Value,
    /// The time of the login.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    auth_time: Value,
}

/// The keys that tokens are verified with; shared by all threads.
pub(crate) struct Keys {
    pub(super) mode: AuthMode,
    secret: Option<DecodingKey>,
    jwks: Option<(Arc<Jwks>, Source)>,
    /// For HS256; copied for other algorithms.
    validation: Validation,
    clock: Clock,
}

/// The reason why a token is not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The token is invalid.
    Invalid(&'static str),
    /// The gateway has no key yet.
    NoKeys,
}

impl Keys {
    /// Keys as `config` sets them.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if certificates for an https URL of public keys cannot be read.
    pub(crate) fn new(config: &GatewayConfig, clock: Clock) -> Result<Self, ConfigError> {
        let tls = match &config.own.jwks_url {
            Some(url) if url.scheme() == "https" => {
                Some(client_config(&config.process, Roots::All)?)
            }
            _ => None,
        };
        Ok(Self::of(&config.own, tls, clock))
    }

    fn of(config: &Config, tls: Option<ClientConfig>, clock: Clock) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = config.jwt_leeway_seconds;
        // The library would compare with the system's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_issuer(&[&config.jwt_issuer]);
        validation.set_audience(&[&config.jwt_audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let secret = config.jwt_secret.expose_secret().as_bytes();
        let source = config.jwks_url.clone().map(|url| Source {
            url,
            tls: tls.clone(),
            timeout: Duration::from_millis(config.jwks_timeout_ms),
            refresh_interval: Duration::from_secs(config.jwks_refresh_seconds),
            min_interval: Duration::from_secs(config.jwks_pause_seconds),
        });
        Self {
            mode: config.auth_mode,
            // Everyone could sign with an empty secret.
            secret: (!secret.is_empty()).then(|| DecodingKey::from_secret(secret)),
            jwks: source.map(|source| (Arc::default(), source)),
            validation,
            clock,
        }
    }

    /// Fetches public keys in the background until `shutdown`, without a JWKS URL never.
    pub(crate) fn start_refresh(&self, shutdown: &Shutdown) {
        if let Some((jwks, source)) = &self.jwks {
            shutdown.spawn(refresh(Arc::clone(jwks), source.clone(), shutdown.clone()));
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.jwks.as_ref().map_or(0, |(jwks, _)| jwks.generation())
    }

    /// Verifies an access token.
    pub(super) fn verify(&self, token: &[u8]) -> Result<Principal, Rejection> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Rejection::Invalid("the token is too long"));
        }
        let claims = self.decode(token)?;
        let leeway = self.validation.leeway;
        let latest = unix_seconds(self.clock.now()).saturating_add(leeway);
        if claims.nbf.as_f64().is_some_and(|nbf| nbf > latest as f64) {
            return Err(Rejection::Invalid("the token is not valid yet"));
        }
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES {
            let reason = "the subject of the token is empty or too long";
            return Err(Rejection::Invalid(reason));
        }
        let valid_until = claims.exp.saturating_add(leeway);
        let auth_time = whole_seconds(&claims.auth_time);
        let principal =
            Principal::with_login(claims.sub, claims.role, None, valid_until, auth_time);
        let mut principal = principal.ok_or(Rejection::Invalid("the token is not readable"))?;
        principal.issued_at = whole_seconds(&claims.iat).unwrap_or(0);
        if !principal.is_valid(self.clock.now()) {
            return Err(Rejection::Invalid("the token has expired"));
        }
        Ok(principal)
    }

    fn decode(&self, token: &[u8]) -> Result<Claims, Rejection> {
        let reject = |error: Error| Rejection::Invalid(reason(error.kind()));
        let by_secret = |secret| decode::<Claims>(token, secret, &self.validation);
        let claims = match (&self.jwks, &self.secret) {
            (None, None) => return Err(Rejection::NoKeys),
            (None, Some(secret)) => by_secret(secret),
            (Some((jwks, _)), secret) => {
                let header = decode_header(token).map_err(reject)?;
                match (header.alg, secret) {
                    (Algorithm::HS256, Some(secret)) => by_secret(secret),
                    _ => {
                        let keys = jwks.keys().ok_or(Rejection::NoKeys)?;
                        let key = keys.get(&header.kid.unwrap_or_default()).ok_or_else(|| {
                            jwks.request_refresh();
                            Rejection::Invalid("the token is signed with a key that the gateway does not know (yet)")
                        })?;
                        let mut validation = self.validation.clone();
                        validation.algorithms = vec![key.algorithm];
                        decode(token, &key.key, &validation)
                    }
                }
            }
        };
        let token = claims.map_err(reject)?;
        // Extensions that must be understood (RFC 7515, 4.1.11), of which there are none here.
        if token.header.crit.is_some() {
            let reason = "the token has critical extensions that are not supported";
            return Err(Rejection::Invalid(reason));
        }
        Ok(token.claims)
    }
}

/// A NumericDate (RFC 7519, 2) without its fraction.
fn whole_seconds(claim: &Value) -> Option<u64> {
    claim.as_u64().or_else(|| {
        let seconds = claim.as_f64()?;
        (0.0..=1e15).contains(&seconds).then_some(seconds as u64)
    })
}

/// The reason why a token is invalid, without the expected values.
fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidSignature => "the signature of the token is invalid",
        ErrorKind::InvalidAlgorithm => "the token is not signed with the algorithm of its key",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of sub, iss, aud, exp",
        _ => "the token is not a JWT of this platform",
    }
}

/// Signs an access token for `subject` with the secret, valid for `ttl_seconds` from now.
///
/// # Errors
/// Returns a [`crate::config::ConfigError`] if the secret is missing or too short.
pub fn sign_token(
    config: &Config,
    clock: &Clock,
    subject: &str,
    role: Role,
    ttl_seconds: u64,
) -> anyhow::Result<String> {
    config.require_secret()?;
    let now = unix_seconds(clock.now());
    let claims = Claims {
        sub: subject.to_owned(),
        role,
        iss: config.jwt_issuer.clone(),
        aud: config.jwt_audience.clone().into(),
        exp: now.saturating_add(ttl_seconds),
        nbf: Value::Null,
        iat: now.into(),
        auth_time: Value::Null,
    };
    let key = EncodingKey::from_secret(config.jwt_secret.expose_secret().as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chassis::Settings;
    use chrono::DateTime;

    use super::*;

    fn clock(seconds: u64) -> Clock {
        let seconds = i64::try_from(seconds).expect("a date");
        Clock::fixed(DateTime::from_timestamp(seconds, 0).expect("a date"))
    }

    #[test]
    fn tokens_are_valid_until_they_expire_plus_leeway() {
        let secret = "a secret of at least thirty-two bytes".to_owned();
        let environment = HashMap::from([("JWT_SECRET".to_owned(), secret)]);
        let settings = Settings::merge(crate::config::DEFAULTS, &environment).expect("settings");
        let config: Config = settings.read().expect("settings");
        let leeway = config.jwt_leeway_seconds;
        let token = sign_token(&config, &clock(1_000_000), "7", Role::User, 60).expect("a token");
        for (now, expected) in [
            (1_000_000, Ok("7")),
            (1_000_060 + leeway - 1, Ok("7")),
            (1_000_060 + leeway, Err("the token has expired")),
        ] {
            let result = Keys::of(&config, None, clock(now)).verify(token.as_bytes());
            let subject = result.as_ref().map(|principal| principal.subject.as_str());
            assert_eq!(
                subject,
                expected.map_err(Rejection::Invalid).as_ref().copied(),
                "{now}"
            );
        }
    }
}
