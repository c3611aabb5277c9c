//! Signing keys of access tokens: Ed25519 (RFC 8032), created at the first start, stored in Postgres,
//! so that all processes sign with the same key. Called by the service of logins and by the command
//! `keys rotate`. Keys are read again every [`REFRESH_INTERVAL`], by which a rotation reaches every
//! process.
//!
//! A new key is published before it signs, so that verifiers have it by then; an old one stays published
//! until its last token has expired. With `signing_key_secret` the private keys are stored encrypted:
//! AES-256-GCM with the key id as associated data, the encryption key derived by HKDF-SHA256 (RFC 5869).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{clock::Clock, config::ConfigError};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Salt},
    signature::{Ed25519KeyPair, KeyPair},
};
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::{
    config::Config,
    error::Error,
    models::random_bytes,
    repository::signing_keys::{self, StoredKey},
};

/// The age at which the keys in memory are read again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// The time that a replaced key outlasts its tokens: clock skew, and processes that have not read the
/// new key yet.
const ROTATION_MARGIN_SECONDS: u32 = 120;
/// The minimal length of `signing_key_secret`.
const MIN_SECRET_BYTES: usize = 32;
/// The length of a nonce of AES-GCM.
const NONCE_BYTES: usize = 12;
/// The start of an Ed25519 key in PKCS #8 (RFC 8410); the seed of 32 bytes follows.
const PKCS8_PREFIX: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// A public key as a JWK (RFC 8037).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PublicKey {
    /// The key type, `OKP`.
    kty: &'static str,
    /// The curve, `Ed25519`.
    crv: &'static str,
    /// The public key, base64url.
    x: String,
    /// The key id in the header of tokens.
    kid: String,
    /// The algorithm, `EdDSA`.
    alg: &'static str,
    /// The use, `sig`.
    r#use: &'static str,
}

/// The keys in memory.
struct KeySet {
    read_at: Instant,
    /// Newest first.
    keys: Vec<Key>,
}

struct Key {
    public: PublicKey,
    signs_from: DateTime<Utc>,
    private: EncodingKey,
}

/// Signs tokens and publishes keys; cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    pool: PgPool,
    cipher: Option<Arc<LessSafeKey>>,
    clock: Clock,
    access_ttl_seconds: u32,
    delay_seconds: u32,
    current: Arc<Mutex<Option<Arc<KeySet>>>>,
}

impl SigningKeys {
    /// The keys in `pool`.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if the secret is shorter than 32 bytes.
    pub fn new(pool: PgPool, clock: Clock, config: &Config) -> Result<Self, ConfigError> {
        let secret = config.signing_key_secret.expose_secret();
        let cipher = match secret.len() {
            0 => None,
            MIN_SECRET_BYTES.. => Some(Arc::new(derive_cipher(secret).ok_or_else(|| {
                ConfigError::Invalid("SIGNING_KEY_SECRET cannot be used".to_owned())
            })?)),
            _ => {
                let message =
                    format!("SIGNING_KEY_SECRET must have at least {MIN_SECRET_BYTES} bytes");
                return Err(ConfigError::Invalid(message));
            }
        };
        Ok(Self {
            pool,
            cipher,
            clock,
            access_ttl_seconds: config.access_ttl_seconds,
            delay_seconds: config.signing_key_delay_seconds,
            current: Arc::default(),
        })
    }

    /// Creates the first key if there is none, and reads all.
    ///
    /// # Errors
    /// `Internal` if a key cannot be created or decrypted.
    #[tracing::instrument(name = "service.signing.prepare", level = "debug", skip_all)]
    pub async fn prepare(&self) -> Result<(), Error> {
        if self.cipher.is_none() {
            tracing::warn!(
                "SIGNING_KEY_SECRET is not set: private signing keys are stored unencrypted"
            );
        }
        self.current().await.map(|_| ())
    }

    /// Lists the public keys of all tokens that can be valid, and of those that will be issued.
    #[tracing::instrument(name = "service.signing.published", level = "debug", skip_all)]
    pub async fn published(&self) -> Result<Vec<PublicKey>, Error> {
        let current = self.current().await?;
        Ok(current.keys.iter().map(|key| key.public.clone()).collect())
    }

    /// Signs `claims`; returns a JWT (RFC 7519).
    #[tracing::instrument(name = "service.signing.sign", level = "debug", skip_all)]
    pub async fn sign(&self, claims: &impl Serialize) -> Result<String, Error> {
        let current = self.current().await?;
        let now = self.clock.now();
        let key = current
            .keys
            .iter()
            .find(|key| key.signs_from <= now)
            .or(current.keys.last())
            .ok_or_else(|| unusable("there is no signing key"))?;
        let header = Header {
            kid: Some(key.public.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        };
        encode(&header, claims, &key.private).map_err(unusable)
    }

    /// Creates and publishes a new key; returns the time from which it signs.
    ///
    /// # Errors
    /// `Internal` if the key cannot be created.
    #[tracing::instrument(name = "service.signing.rotate", level = "debug", skip_all)]
    pub async fn rotate(&self) -> Result<DateTime<Utc>, Error> {
        self.current().await?;
        let key = self.generate()?;
        let ttl = self
            .access_ttl_seconds
            .saturating_add(ROTATION_MARGIN_SECONDS);
        let signs_from = signing_keys::rotate(&self.pool, &key, self.delay_seconds, ttl).await?;
        *self.current.lock().await = None;
        Ok(signs_from)
    }

    /// The keys in memory, read again if they are old; concurrent callers share one read.
    async fn current(&self) -> Result<Arc<KeySet>, Error> {
        let mut current = self.current.lock().await;
        let is_fresh = |set: &&Arc<KeySet>| set.read_at.elapsed() < REFRESH_INTERVAL;
        if let Some(set) = current.as_ref().filter(is_fresh) {
            return Ok(Arc::clone(set));
        }
        let mut stored = signing_keys::list(&self.pool).await?;
        if stored.is_empty() {
            signing_keys::create_first(&self.pool, &self.generate()?).await?;
            stored = signing_keys::list(&self.pool).await?;
        }
        let keys = stored
            .into_iter()
            .map(|(key, signs_from)| self.open(key, signs_from))
            .collect::<Result<_, _>>()?;
        let set = Arc::new(KeySet {
            read_at: Instant::now(),
            keys,
        });
        *current = Some(Arc::clone(&set));
        Ok(set)
    }

    fn generate(&self) -> Result<StoredKey, Error> {
        let seed: [u8; 32] = random_bytes();
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(unusable)?;
        let public_key = pair.public_key().as_ref().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public_key).as_ref()[..12]);
        let private_key = match &self.cipher {
            None => seed.to_vec(),
            Some(cipher) => encrypt(cipher, &kid, &seed)
                .ok_or_else(|| unusable("a signing key could not be encrypted"))?,
        };
        Ok(StoredKey {
            kid,
            public_key,
            private_key,
            encrypted: self.cipher.is_some(),
        })
    }

    fn open(&self, stored: StoredKey, signs_from: DateTime<Utc>) -> Result<Key, Error> {
        let kid = stored.kid;
        let seed = if stored.encrypted {
            let cipher = self.cipher.as_ref();
            let seed = cipher.and_then(|cipher| decrypt(cipher, &kid, &stored.private_key));
            seed.ok_or_else(|| {
                let cause = "was encrypted with another SIGNING_KEY_SECRET";
                unusable(format!("the signing key {kid} {cause}"))
            })?
        } else {
            stored.private_key
        };
        Ed25519KeyPair::from_seed_and_public_key(&seed, &stored.public_key)
            .map_err(|_| unusable("a signing key in the database is damaged"))?;
        Ok(Key {
            public: PublicKey {
                kty: "OKP",
                crv: "Ed25519",
                x: URL_SAFE_NO_PAD.encode(stored.public_key),
                kid,
                alg: "EdDSA",
                r#use: "sig",
            },
            signs_from,
            private: EncodingKey::from_ed_der(&[&PKCS8_PREFIX, &seed[..]].concat()),
        })
    }
}

fn unusable(cause: impl ToString) -> Error {
    Error::Internal(cause.to_string())
}

fn derive_cipher(secret: &str) -> Option<LessSafeKey> {
    let info = [b"marquee signing keys".as_slice()];
    let key = Salt::new(HKDF_SHA256, &[]).extract(secret.as_bytes());
    let key = key.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

/// Returns nonce, ciphertext and tag of `seed`.
fn encrypt(cipher: &LessSafeKey, kid: &str, seed: &[u8]) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_BYTES] = random_bytes();
    let mut sealed = seed.to_vec();
    cipher
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(kid.as_bytes()),
            &mut sealed,
        )
        .ok()?;
    Some([&nonce[..], &sealed].concat())
}

fn decrypt(cipher: &LessSafeKey, kid: &str, encrypted: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = encrypted.split_at_checked(NONCE_BYTES)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut seed = sealed.to_vec();
    let opened = cipher.open_in_place(nonce, Aad::from(kid.as_bytes()), &mut seed);
    Some(opened.ok()?.to_vec())
}
