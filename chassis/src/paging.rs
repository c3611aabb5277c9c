//! Pages of a list: the arithmetic of page numbers, opaque cursors, and the link to the next page.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use crate::extract::Bounded;

/// The longest cursor that is looked at, in characters.
const LONGEST_CURSOR: usize = 4096;

/// A page number; the bound keeps the offset within what a database counts in.
pub type Page = Bounded<1, 100_000>;
/// How many entries a page has.
pub type PageSize = Bounded<1, 100>;

/// How many entries a page has where the client does not say.
pub const DEFAULT_PAGE_SIZE: i64 = 20;

/// How many pages of `page_size` hold `total` entries; 0 for none.
#[must_use]
pub fn total_pages(total: i64, page_size: i64) -> i64 {
    if total <= 0 {
        0
    } else {
        (total - 1) / page_size + 1
    }
}

/// A place in a list, as clients carry it: opaque text that only its list can read.
pub trait Cursor: Serialize + DeserializeOwned {
    /// The text.
    #[must_use]
    fn encode(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// The place that `text` stands for, if it stands for one.
    #[must_use]
    fn decode(text: &str) -> Option<Self> {
        if text.len() > LONGEST_CURSOR {
            return None;
        }
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// The value of a `Link` header (RFC 8288) that leads to the next page: `path` with those of
/// `parameters` that have a value.
#[must_use]
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
