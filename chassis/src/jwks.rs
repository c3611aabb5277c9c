//! Public keys as a JWK set (RFC 7517), which a service fetched from the issuer of tokens. Called by the parts that verify
//! tokens: a key determines its algorithms, so that a token cannot choose another (RFC 8725, 3.1). No I/O.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;

/// Keys of a set that are read.
const MAX_KEYS: usize = 100;
/// RFC 7518, 3.3.
const MIN_RSA_MODULUS_BYTES: usize = 256;

/// A public key and the only algorithms that it verifies.
pub struct VerificationKey {
    /// The `kid`.
    pub id: Option<String>,
    /// One if the set names it, else all of the key's type; never empty.
    pub algorithms: Vec<Algorithm>,
    /// The key itself.
    pub key: DecodingKey,
}

/// Parses the usable keys of a set, at least one; others are ignored (RFC 7517, 5), symmetric ones too: the set is public.
///
/// # Errors
/// Returns the reason if `text` is not a JWK set or has no usable key.
pub fn parse(text: &[u8]) -> Result<Vec<VerificationKey>, &'static str> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|_| "the keys are not a JWK set")?;
    let keys: Vec<VerificationKey> = set
        .keys
        .into_iter()
        .take(MAX_KEYS)
        .filter_map(|value| parse_key(&serde_json::from_value(value).ok()?))
        .collect();
    if keys.is_empty() {
        return Err("the JWK set has no usable key");
    }
    Ok(keys)
}

fn parse_key(jwk: &Jwk) -> Option<VerificationKey> {
    let length = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    let are_coordinates = |x: &str, y: &str, bytes| length(x) == bytes && length(y) == bytes;
    let algorithms: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if length(&key.n) >= MIN_RSA_MODULUS_BYTES => &[
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 if are_coordinates(&key.x, &key.y, 32) => &[Algorithm::ES256],
            EllipticCurve::P384 if are_coordinates(&key.x, &key.y, 48) => &[Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(key)
            if key.curve == EllipticCurve::Ed25519 && length(&key.x) == 32 =>
        {
            &[Algorithm::EdDSA]
        }
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|key_use| *key_use == PublicKeyUse::Signature);
    let algorithms: Vec<Algorithm> = algorithms
        .iter()
        .copied()
        .filter(|algorithm| {
            let name = KeyAlgorithm::from(*algorithm);
            common.key_algorithm.is_none_or(|given| given == name)
        })
        .collect();
    if algorithms.is_empty() || !for_signatures {
        return None;
    }
    Some(VerificationKey {
        id: common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn algorithms(keys: Value) -> Vec<(Option<String>, Vec<Algorithm>)> {
        let text = json!({ "keys": keys }).to_string();
        let keys = parse(text.as_bytes()).unwrap_or_default();
        keys.into_iter()
            .map(|key| (key.id, key.algorithms))
            .collect()
    }

    #[test]
    fn the_type_of_a_key_determines_its_algorithms() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let long = URL_SAFE_NO_PAD.encode([1; 48]);
        let n = URL_SAFE_NO_PAD.encode([1; 256]);
        let found = algorithms(json!([
            {"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": x},
            {"kid": "b", "kty": "EC", "crv": "P-256", "x": x, "y": x, "use": "sig"},
            {"kid": "c", "kty": "EC", "crv": "P-384", "x": long, "y": long},
            {"kid": "d", "kty": "RSA", "n": n, "e": "AQAB", "alg": "PS384"},
            {"kty": "RSA", "n": n, "e": "AQAB"},
        ]));
        let named: Vec<_> = found
            .iter()
            .map(|(id, algorithms)| (id.as_deref(), algorithms.len(), algorithms[0]))
            .collect();
        let expected = [
            (Some("a"), 1, Algorithm::EdDSA),
            (Some("b"), 1, Algorithm::ES256),
            (Some("c"), 1, Algorithm::ES384),
            (Some("d"), 1, Algorithm::PS384),
            (None, 6, Algorithm::RS256),
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn unusable_keys_are_ignored() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let short = URL_SAFE_NO_PAD.encode([1; 31]);
        let n = URL_SAFE_NO_PAD.encode([1; 128]);
        let good = json!({"kid": "good", "kty": "OKP", "crv": "Ed25519", "x": x});
        for bad in [
            json!({"kid": "bad", "kty": "oct", "k": x}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": short}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": "*"}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": x, "use": "enc"}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "HS256"}),
            json!({"kid": "bad", "kty": "EC", "crv": "P-256", "x": x, "y": short}),
            json!({"kid": "bad", "kty": "EC", "crv": "P-384", "x": x, "y": x}),
            json!({"kid": "bad", "kty": "RSA", "n": n, "e": "AQAB"}),
            json!({"kid": "bad", "kty": "RSA", "n": x.repeat(9), "e": "AQAB", "alg": "ES256"}),
            json!({"kid": "bad", "kty": "new"}),
            json!(7),
        ] {
            let found = algorithms(json!([bad, good]));
            let expected = (Some("good".to_owned()), vec![Algorithm::EdDSA]);
            assert_eq!(found, [expected], "{bad}");
            assert!(parse(json!({"keys": [bad]}).to_string().as_bytes()).is_err());
        }
    }
}
