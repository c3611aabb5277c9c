//! Pages of a list: the envelope, and the arithmetic of page numbers.

use crate::extract::Bounded;

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

#[cfg(test)]
mod tests {
    use super::total_pages;

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
