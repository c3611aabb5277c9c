//! The change feed: a service keeps a read model of data that another owns.
//!
//! A write and its change record commit in one Postgres transaction ([`outbox`]); consumers
//! tail the records over HTTP, from a snapshot onwards ([`follow`]). Nothing is lost while a
//! consumer is down, and any position can be read again.
//!
//! Two orders must not be confused. The *feed's* order is (transaction id, sequence), and a reader
//! is shown a row only when every transaction older than its own has ended, so that a transaction
//! that begins early and commits late cannot be jumped over. That order may differ from the order
//! in which two transactions changed the *same entity*; therefore every payload carries a version
//! of its entity, taken under the entity's row lock, and consumers keep the higher one.

pub mod follow;
pub mod outbox;

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use uuid::Uuid;

/// A position in a feed, after the last change read. Opaque to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The incarnation of the database; a recreated database begins another.
    pub epoch: Uuid,
    /// The transaction of the last change read.
    pub transaction: u64,
    /// Its sequence number within the outbox.
    pub sequence: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{}.{}",
            self.epoch.simple(),
            self.transaction,
            self.sequence
        )
    }
}

impl FromStr for Cursor {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('.');
            let cursor = Self {
                epoch: Uuid::try_parse(parts.next()?).ok()?,
                transaction: parts.next()?.parse().ok()?,
                sequence: parts.next()?.parse().ok()?,
            };
            parts.next().is_none().then_some(cursor)
        };
        read().ok_or("must be a cursor of this feed")
    }
}

/// A change of an entity.
#[derive(Debug, Serialize, Deserialize)]
pub struct Change {
    /// The kind of change, as its service names it: `entity.changed`.
    pub name: String,
    /// The entity's id.
    pub key: String,
    /// The time of the transaction.
    pub occurred_at: DateTime<Utc>,
    /// The new state, as consumers need it.
    pub payload: Box<RawValue>,
}

impl Change {
    /// The payload as `T`.
    ///
    /// # Errors
    /// Returns [`serde_json::Error`] if the payload is not a `T`.
    pub fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.payload.get())
    }
}

/// The body of `GET /internal/v1/changes`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changes {
    /// The changes after the cursor, oldest first.
    pub changes: Vec<Change>,
    /// The cursor of the next request.
    pub next: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_round_trips_and_nonsense_is_refused() {
        let cursor = Cursor {
            epoch: Uuid::from_u128(7),
            transaction: u64::MAX,
            sequence: 3,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "1.2.3", "x.1.1", &format!("{cursor}.1")] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad}");
        }
    }
}
