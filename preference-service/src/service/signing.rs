//! Signing keys: Ed25519 (RFC 8032), made at the first start, kept in Postgres, so that all processes
//! sign with the same. They are looked up anew now and then, which is how a rotation gets around.
//!
//! A new key is published before it signs, so that whoever verifies has it by then; an old one stays
//! published until the last token that it signed has expired. With `signing_key_secret` the private
//! halves are encrypted in the database: AES-256-GCM, the key derived by HKDF-SHA256 (RFC 5869), the
//! key's id authenticated with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::config::ConfigError;
use chrono::{DateTime, Utc};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    digest::{SHA256, digest},
    hkdf::{HKDF_SHA256, Salt},
    rand::{SecureRandom, SystemRandom},
    signature::{Ed25519KeyPair, KeyPair},
};
use secrecy::ExposeSecret;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::{
    config::Config,
    repository::signing_keys::{self, NewSigningKey, SigningKeyRow},
};

/// How long what was read from the database is taken for true.
const FRESH: Duration = Duration::from_secs(30);
/// For clocks that are apart, and for processes that learn of a rotation late.
const SLACK_SECONDS: u32 = 120;
/// The shortest secret, in bytes.
const SECRET_BYTES: usize = 32;
const NONCE: usize = 12;

/// Why there is no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// A key cannot be decrypted.
    #[error(
        "the signing key {0} is encrypted, and SIGNING_KEY_SECRET is not what it was encrypted with"
    )]
    WrongSecret(String),
    /// A key is damaged, or none could be made.
    #[error("{0}")]
    Unusable(&'static str),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A public key as a JWK (RFC 8037).
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct PublicKey {
    /// `OKP`.
    kty: &'static str,
    /// `Ed25519`.
    crv: &'static str,
    /// The key, base64url.
    x: String,
    /// Its name in the head of tokens.
    kid: String,
    /// `EdDSA`.
    alg: &'static str,
    /// `sig`.
    r#use: &'static str,
}

/// The keys as they are now.
struct KeySet {
    read_at: Instant,
    /// The newest first.
    keys: Vec<Key>,
}

struct Key {
    kid: String,
    signs_from: DateTime<Utc>,
    pair: Ed25519KeyPair,
}

/// The signing keys; cheap to clone.
#[derive(Clone)]
pub struct SigningKeys {
    pool: PgPool,
    cipher: Option<Arc<LessSafeKey>>,
    access_ttl_seconds: u32,
    delay_seconds: u32,
    known: Arc<Mutex<Option<Arc<KeySet>>>>,
}

impl SigningKeys {
    /// Those in `pool`.
    ///
    /// # Errors
    /// A secret that is too short.
    pub fn new(pool: PgPool, config: &Config) -> Result<Self, ConfigError> {
        let secret = config.signing_key_secret.expose_secret();
        let cipher = match secret.len() {
            0 => None,
            SECRET_BYTES.. => Some(Arc::new(cipher(secret).ok_or_else(|| {
                ConfigError::Invalid("SIGNING_KEY_SECRET cannot be used".to_owned())
            })?)),
            _ => {
                let what = format!("SIGNING_KEY_SECRET must have at least {SECRET_BYTES} bytes");
                return Err(ConfigError::Invalid(what));
            }
        };
        Ok(Self {
            pool,
            cipher,
            access_ttl_seconds: config.access_ttl_seconds,
            delay_seconds: config.signing_key_delay_seconds,
            known: Arc::default(),
        })
    }

    /// Makes the first key where there is none, and sees whether the keys can be used.
    ///
    /// # Errors
    /// They cannot.
    pub async fn prepare(&self) -> Result<(), SigningError> {
        if self.cipher.is_none() {
            tracing::warn!(
                "SIGNING_KEY_SECRET is not set: private signing keys are in the database as they are"
            );
        }
        self.current().await.map(|_| ())
    }

    /// The public halves of all keys whose tokens can be valid, and of those that will sign.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn published(&self) -> Result<Vec<PublicKey>, SigningError> {
        let current = self.current().await?;
        Ok(current.keys.iter().map(Key::published).collect())
    }

    /// `claims` as a signed token (RFC 7519).
    ///
    /// # Errors
    /// There is no key that can be used.
    pub async fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        #[derive(Serialize)]
        struct Header<'a> {
            alg: &'static str,
            typ: &'static str,
            kid: &'a str,
        }
        let current = self.current().await?;
        let now = Utc::now();
        let key = current
            .keys
            .iter()
            .find(|key| key.signs_from <= now)
            .or(current.keys.last())
            .ok_or(SigningError::Unusable("there is no signing key"))?;
        let header = Header {
            alg: "EdDSA",
            typ: "JWT",
            kid: &key.kid,
        };
        let text = format!("{}.{}", encoded(&header)?, encoded(claims)?);
        let signature = URL_SAFE_NO_PAD.encode(key.pair.sign(text.as_bytes()));
        Ok(format!("{text}.{signature}"))
    }

    /// Makes another key and publishes it; when it will sign.
    ///
    /// # Errors
    /// It cannot be made or stored.
    pub async fn rotate(&self) -> Result<DateTime<Utc>, SigningError> {
        self.current().await?;
        let key = self.generate()?;
        let ttl = self.access_ttl_seconds.saturating_add(SLACK_SECONDS);
        let signs_from = signing_keys::rotate(&self.pool, &key, self.delay_seconds, ttl).await?;
        *self.known.lock().await = None;
        Ok(signs_from)
    }

    /// The keys, from memory while that is fresh; one reads, the others wait for it.
    async fn current(&self) -> Result<Arc<KeySet>, SigningError> {
        let mut known = self.known.lock().await;
        if let Some(set) = known.as_ref().filter(|set| set.read_at.elapsed() < FRESH) {
            return Ok(Arc::clone(set));
        }
        let mut rows = signing_keys::list(&self.pool).await?;
        if rows.is_empty() {
            signing_keys::create_first(&self.pool, &self.generate()?).await?;
            rows = signing_keys::list(&self.pool).await?;
        }
        let keys = rows
            .into_iter()
            .map(|row| self.open(row))
            .collect::<Result<_, _>>()?;
        let set = Arc::new(KeySet {
            read_at: Instant::now(),
            keys,
        });
        *known = Some(Arc::clone(&set));
        Ok(set)
    }

    fn generate(&self) -> Result<NewSigningKey, SigningError> {
        let random = SystemRandom::new();
        let no_randomness = |_| SigningError::Unusable("no randomness to be had");
        let mut seed = [0; 32];
        random.fill(&mut seed).map_err(no_randomness)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
            .map_err(|_| SigningError::Unusable("a signing key could not be made"))?;
        let public_key = pair.public_key().as_ref().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(&digest(&SHA256, &public_key).as_ref()[..12]);
        let private_key = match &self.cipher {
            None => seed.to_vec(),
            Some(cipher) => {
                let mut nonce = [0; NONCE];
                random.fill(&mut nonce).map_err(no_randomness)?;
                let mut sealed = seed.to_vec();
                let of_key = Aad::from(kid.as_bytes());
                cipher
                    .seal_in_place_append_tag(
                        Nonce::assume_unique_for_key(nonce),
                        of_key,
                        &mut sealed,
                    )
                    .map_err(|_| SigningError::Unusable("a signing key could not be encrypted"))?;
                [&nonce[..], &sealed].concat()
            }
        };
        Ok(NewSigningKey {
            kid,
            public_key,
            private_key,
            encrypted: self.cipher.is_some(),
        })
    }

    fn open(&self, row: SigningKeyRow) -> Result<Key, SigningError> {
        let seed = if row.encrypted {
            self.decrypt(&row)
                .ok_or_else(|| SigningError::WrongSecret(row.kid.clone()))?
        } else {
            row.private_key
        };
        let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &row.public_key)
            .map_err(|_| SigningError::Unusable("a signing key in the database is damaged"))?;
        Ok(Key {
            kid: row.kid,
            signs_from: row.signs_from,
            pair,
        })
    }

    fn decrypt(&self, row: &SigningKeyRow) -> Option<Vec<u8>> {
        let (nonce, sealed) = row.private_key.split_at_checked(NONCE)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut seed = sealed.to_vec();
        let of_key = Aad::from(row.kid.as_bytes());
        let cipher = self.cipher.as_ref()?;
        let opened = cipher.open_in_place(nonce, of_key, &mut seed).ok()?;
        Some(opened.to_vec())
    }
}

impl Key {
    fn published(&self) -> PublicKey {
        PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            x: URL_SAFE_NO_PAD.encode(self.pair.public_key()),
            kid: self.kid.clone(),
            alg: "EdDSA",
            r#use: "sig",
        }
    }
}

fn cipher(secret: &str) -> Option<LessSafeKey> {
    let info = [b"marquee signing keys".as_slice()];
    let key = Salt::new(HKDF_SHA256, &[]).extract(secret.as_bytes());
    let key = key.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(key)))
}

fn encoded(document: &impl Serialize) -> Result<String, SigningError> {
    serde_json::to_vec(document)
        .map(|json| URL_SAFE_NO_PAD.encode(json))
        .map_err(|_| SigningError::Unusable("claims that cannot be written"))
}
