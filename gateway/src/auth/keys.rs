//! What tokens are verified with: a secret (HS256), public keys by URL (EdDSA, ES256, RS256), or both.
//! Which of them, and by which algorithm, is ours to choose, never the token's.

use std::{sync::Arc, time::Duration};

use chassis::shutdown::Shutdown;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use secrecy::ExposeSecret;

use super::{
    Claims, Principal,
    jwks::{Jwks, Source, keep},
};
use crate::config::{AuthMode, Config};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES: usize = 4096;
/// The longest subject that a token may have, in bytes.
const SUBJECT_BYTES: usize = 256;

/// What tokens are verified with; shared by all threads.
pub struct Keys {
    mode: AuthMode,
    secret: Option<DecodingKey>,
    jwks: Option<(Arc<Jwks>, Source)>,
    /// For HS256; other algorithms put themselves in its place.
    validation: Validation,
}

/// Why a token is not accepted.
pub(super) enum Unverified {
    /// It is wrong, and how.
    Wrong(&'static str),
    /// No key was ever fetched.
    NoKeys,
}

impl Keys {
    /// From the settings.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = config.jwt_leeway_seconds;
        validation.validate_nbf = true;
        validation.set_issuer(&[&config.jwt_issuer]);
        validation.set_audience(&[&config.jwt_audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let secret = config.jwt_secret.expose_secret().as_bytes();
        let source = config.jwks_url.clone().map(|url| Source {
            url,
            timeout: Duration::from_millis(config.jwks_timeout_ms),
            refresh: Duration::from_secs(config.jwks_refresh_seconds),
            pause: Duration::from_secs(config.jwks_pause_seconds),
        });
        Self {
            mode: config.auth_mode,
            // An empty secret is one that everybody knows.
            secret: (!secret.is_empty()).then(|| DecodingKey::from_secret(secret)),
            jwks: source.map(|source| (Arc::default(), source)),
            validation,
        }
    }

    /// How callers prove who they are.
    pub(super) fn mode(&self) -> AuthMode {
        self.mode
    }

    /// What keeps the keys up to date; none where there is nothing to be kept.
    #[must_use]
    pub fn keeper(&self, shutdown: &Shutdown) -> Option<impl Future<Output = ()> + Send + use<>> {
        let (jwks, source) = self.jwks.as_ref().filter(|_| self.mode == AuthMode::Jwt)?;
        Some(keep(Arc::clone(jwks), source.clone(), shutdown.clone()))
    }

    /// Which set of public keys it is: what was verified with another may not be valid any more.
    pub(super) fn generation(&self) -> u64 {
        self.jwks.as_ref().map_or(0, |(jwks, _)| jwks.generation())
    }

    pub(super) fn verify(&self, token: &[u8]) -> Result<Principal, Unverified> {
        if token.len() > TOKEN_BYTES {
            return Err(Unverified::Wrong("the token is too long"));
        }
        let claims = match (&self.jwks, &self.secret) {
            (None, Some(secret)) => decode(token, secret, &self.validation),
            (Some((jwks, _)), secret) => {
                let header = decode_header(token).map_err(|error| wrong(error.kind()))?;
                match (header.alg, secret) {
                    (Algorithm::HS256, Some(secret)) => decode(token, secret, &self.validation),
                    _ => {
                        let keys = jwks.keys().ok_or(Unverified::NoKeys)?;
                        let kid = header.kid.unwrap_or_default();
                        let Some(key) = keys.get(&kid) else {
                            jwks.want();
                            return Err(Unverified::Wrong(
                                "the token is signed with an unknown key",
                            ));
                        };
                        let mut validation = self.validation.clone();
                        validation.algorithms = vec![key.algorithm];
                        decode(token, &key.key, &validation)
                    }
                }
            }
            (None, None) => return Err(Unverified::NoKeys),
        };
        let claims: Claims = claims.map_err(|error| wrong(error.kind()))?.claims;
        if claims.sub.is_empty() || claims.sub.len() > SUBJECT_BYTES {
            let reason = "the subject of the token is empty or too long";
            return Err(Unverified::Wrong(reason));
        }
        let valid_until = claims.exp.saturating_add(self.validation.leeway);
        Principal::new(claims.sub, claims.role, None, valid_until)
            .ok_or(Unverified::Wrong("the token is not readable"))
    }
}

/// What is wrong with a token, in words that say nothing about what is expected of it beyond the
/// documentation.
fn wrong(kind: &ErrorKind) -> Unverified {
    Unverified::Wrong(match kind {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::InvalidSignature => "the signature of the token does not fit",
        ErrorKind::InvalidAlgorithm => "the token is not signed with the algorithm of its key",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks one of sub, iss, aud, exp",
        _ => "the token is not a JWT of ours",
    })
}
