//! Pagination: page arithmetic, opaque cursors, and the link to the next page.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use crate::extract::Bounded;

/// The form of a cursor, as a regular expression of a schema.
pub(crate) const CURSOR_PATTERN: &str = "^[A-Za-z0-9_-]+$";
/// The longest accepted cursor, in characters.
pub(crate) const MAX_CURSOR_CHARS: usize = 4096;

/// A page number; the bound keeps the offset within 64 bits.
pub type Page = Bounded<1, 100_000>;
/// The number of entries of a page.
pub type PageSize = Bounded<1, 100>;

/// The default number of entries of a page.
pub const DEFAULT_PAGE_SIZE: i64 = 20;

/// The number of pages of `page_size` that hold `total` entries.
pub fn total_pages(total: i64, page_size: i64) -> i64 {
    if total <= 0 {
        0
    } else {
        (total - 1) / page_size + 1
    }
}

/// A position in a list, as opaque text that only its list can read.
pub trait Cursor: Serialize + DeserializeOwned {
    /// The text.
    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The position that `text` encodes, if it is valid.
    fn decode(text: &str) -> Option<Self> {
        if text.len() > MAX_CURSOR_CHARS {
            return None;
        }
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// The value of a `Link` header (RFC 8288) to the next page: `path` with those of
/// `parameters` that have a value.
pub fn next_link(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    format!("<{path}?{}>; rel=\"next\"", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_page_may_be_short() {
        for (total, size, pages) in [
            (0, 20, 0),
            (1, 20, 1),
            (20, 20, 1),
            (21, 20, 2),
            (649, 20, 33),
        ] {
            assert_eq!(total_pages(total, size), pages, "{total} by {size}");
        }
    }
}
