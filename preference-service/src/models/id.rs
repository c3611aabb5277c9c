//! Ids: positive 64-bit numbers, each kind a type of its own. Every layer uses them; a value that is
//! not positive never becomes one.

use std::fmt;

use chassis::caller::Caller;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Visitor},
};
use utoipa::ToSchema;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $invalid:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = i64, minimum = 1, example = $example)]
        pub struct $name(i64);

        impl $name {
            /// The id `id`; `None` unless it is positive.
            pub fn new(id: i64) -> Option<Self> {
                (id > 0).then_some(Self(id))
            }

            /// The number.
            pub fn get(self) -> i64 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer
                    .deserialize_any(Number)
                    .ok()
                    .flatten()
                    .and_then(Self::new)
                    .ok_or_else(|| de::Error::custom($invalid))
            }
        }
    };
}

id!(
    /// A user's id: 1 and up, in the order of signing up.
    UserId,
    "invalid user ID",
    1
);
impl UserId {
    /// The id of `caller`; `None` if the caller is not a user.
    pub fn of(caller: &Caller) -> Option<Self> {
        caller.numeric_subject().and_then(Self::new)
    }
}

id!(
    /// A TMDB movie id, 1 and up.
    MovieId,
    "invalid movie ID",
    603
);
id!(
    /// A group's id, 1 and up.
    GroupId,
    "invalid group ID",
    1
);
id!(
    /// An interaction's id: 1 and up, rising in the order in which those of one user were stored.
    InteractionId,
    "invalid interaction ID",
    1
);

/// Reads an integer of JSON or of a path; `None` if it does not fit 64 bits.
struct Number;

impl Visitor<'_> for Number {
    type Value = Option<i64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).ok())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        // Digits only: `+1` and ` 1` would be aliases of the same id.
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        Ok(text.parse().ok().filter(|_| plain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_positive_and_fits_64_bits() {
        for (json, id) in [
            ("1", Some(1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("\"7\"", Some(7)),
            ("0", None),
            ("-1", None),
            ("9223372036854775808", None),
            ("99999999999999999999999", None),
            ("1.5", None),
            ("1e3", None),
            ("\"+7\"", None),
            ("\" 7\"", None),
            ("\"\"", None),
            ("null", None),
            ("true", None),
        ] {
            let read = serde_json::from_str::<UserId>(json);
            match id {
                Some(id) => assert_eq!(read.expect(json).get(), id),
                None => assert!(
                    read.expect_err(json)
                        .to_string()
                        .starts_with("invalid user ID"),
                    "{json}"
                ),
            }
        }
    }
}
