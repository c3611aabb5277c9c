//! Poster paths in few bytes: a million paths take a third of their length.

use std::borrow::Cow;

/// The letters and digits of TMDB's paths, between a slash and `.jpg`.
const DIGITS: usize = 27;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62²⁷ is a little below 2¹⁶¹.
const BYTES: usize = 21;

/// A poster path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Poster {
    /// No poster.
    #[default]
    None,
    /// A path of the usual form: its letters and digits as one number of base 62, low byte first.
    Packed([u8; BYTES]),
    /// Another path.
    Other(Box<str>),
}

impl Poster {
    pub(super) fn new(path: Option<&str>) -> Self {
        match path {
            None => Self::None,
            Some(path) => pack(path).map_or_else(|| Self::Other(path.into()), Self::Packed),
        }
    }

    pub(super) fn path(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::None => None,
            Self::Packed(bytes) => Some(Cow::Owned(unpack(*bytes))),
            Self::Other(path) => Some(Cow::Borrowed(path)),
        }
    }
}

fn pack(path: &str) -> Option<[u8; BYTES]> {
    let digits = path.strip_prefix('/')?.strip_suffix(".jpg")?.as_bytes();
    if digits.len() != DIGITS {
        return None;
    }
    let mut bytes = [0_u8; BYTES];
    for digit in digits {
        let mut carry = u16::try_from(ALPHABET.binary_search(digit).ok()?).ok()?;
        for byte in &mut bytes {
            let value = u16::from(*byte) * 62 + carry;
            *byte = value.to_le_bytes()[0];
            carry = value >> 8;
        }
    }
    Some(bytes)
}

fn unpack(mut bytes: [u8; BYTES]) -> String {
    let mut digits = [b'0'; DIGITS];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0_u16;
        for byte in bytes.iter_mut().rev() {
            let value = rest << 8 | u16::from(*byte);
            *byte = (value / 62).to_le_bytes()[0];
            rest = value % 62;
        }
        *digit = ALPHABET[usize::from(rest)];
    }
    let digits: String = digits.iter().map(|digit| char::from(*digit)).collect();
    format!("/{digits}.jpg")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_poster_path_survives_packing(path in "/[0-9A-Za-z]{26,28}\\.jpg|/.{0,40}") {
            let poster = Poster::new(Some(&path));
            let back = poster.path();
            prop_assert_eq!(back.as_deref(), Some(path.as_str()));
        }
    }

    #[test]
    fn the_largest_packed_path_fits() {
        let path = format!("/{}.jpg", "z".repeat(DIGITS));
        let poster = Poster::new(Some(&path));
        assert!(matches!(poster, Poster::Packed(_)));
        assert_eq!(poster.path().as_deref(), Some(path.as_str()));
        assert_eq!(Poster::new(None).path(), None);
    }
}
