//! Device authorization (RFC 8628): the codes of a device that asks for a login, and the states of the request.

use chrono::{DateTime, Utc};

use super::{SecretHash, UserId, random_bytes, random_secret, text::has_invisible};

/// The validity of the codes, in seconds.
pub const GRANT_TTL_SECONDS: u32 = 600;
/// The first interval of polls, in seconds, and what a poll too early adds (RFC 8628, 3.5).
pub const POLL_INTERVAL_SECONDS: u32 = 5;
/// In characters.
const MAX_CLIENT_LENGTH: usize = 100;
/// Letters of user codes: no vowels, so that no words come about, and none that look like others (RFC 8628, 6.1). 20 letters.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20^8 = 2.6 * 10^10 codes.
const USER_CODE_LENGTH: usize = 8;

/// A code that a person types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A new random code.
    pub fn generate() -> Self {
        let letters = std::iter::repeat_with(|| random_bytes::<1>()[0])
            // Of 256 values the first 240 are divided evenly.
            .filter(|byte| *byte < 240)
            .take(USER_CODE_LENGTH)
            .map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
        Self(letters.collect())
    }

    /// Parses a code as people type it: in any case, with or without hyphens and blanks.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: String = text
            .chars()
            .filter(|letter| !matches!(letter, '-' | ' '))
            .map(|letter| letter.to_ascii_uppercase())
            .collect();
        let is_code = letters.len() == USER_CODE_LENGTH
            && letters.bytes().all(|letter| ALPHABET.contains(&letter));
        is_code.then_some(Self(letters))
    }

    /// The code as it is shown: `WDJB-MJHT`.
    pub fn shown(&self) -> String {
        let (start, end) = self.0.split_at(USER_CODE_LENGTH / 2);
        format!("{start}-{end}")
    }

    /// The hash to be stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }
}

/// The codes of a new request.
#[derive(Debug)]
pub struct DeviceCodes {
    /// The secret with which the device polls.
    pub device_code: String,
    /// The code that a person types.
    pub user_code: UserCode,
}

impl DeviceCodes {
    /// New random codes.
    pub fn generate() -> Self {
        Self {
            device_code: random_secret(),
            user_code: UserCode::generate(),
        }
    }
}

/// Parses the name of a program that asks for a login.
pub fn parse_client_id(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name = (1..=MAX_CLIENT_LENGTH).contains(&text.chars().count()) && !has_invisible(text);
    is_name.then(|| text.to_owned())
}

/// A request that waits for a person's decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingDevice {
    /// The name of the program, as it states it.
    pub client_id: String,
    /// The end of its validity.
    pub expires_at: DateTime<Utc>,
}

/// The result of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePoll {
    /// Nobody has decided yet.
    Pending,
    /// The device polls too often.
    TooEarly,
    /// A person refused.
    Denied,
    /// The codes have expired.
    Expired,
    /// The code is unknown, used, or another program's.
    Unknown,
    /// The user approved; the code is used up.
    Approved(UserId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_read_as_people_type_it() {
        let code = UserCode::generate();
        let shown = code.shown();
        assert_eq!(shown.len(), 9);
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " - ")),
        ] {
            assert_eq!(UserCode::parse(&typed).as_ref(), Some(&code), "{typed}");
        }
        for wrong in [
            "",
            "ABCD-EFGH",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "BCDF_GHJK",
            "ＢＣＤＦＧＨＪＫ",
        ] {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
    }
}
