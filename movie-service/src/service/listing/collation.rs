//! The order of titles: that of the root collation of Unicode, as Postgres has it under the name
//! "und-x-icu", computed here so that a list needs no Postgres to know where a title stands. Titles
//! of all scripts have a place in it: Latin before Hangul before Han, each in its own order.

use icu_collator::{CollatorBorrowed, options::CollatorOptions};

/// How much of a title counts, in bytes of its sort key: some eighty letters of Latin, sixty of
/// Hangul. Titles that are the same so far stand in the order of their ids.
const LONGEST_KEY: usize = 250;

/// Knows where titles stand.
#[derive(Debug)]
pub struct Collation(CollatorBorrowed<'static>);

impl Default for Collation {
    fn default() -> Self {
        let collator = CollatorBorrowed::try_new(Default::default(), CollatorOptions::default());
        Self(collator.expect("the root collation is compiled in"))
    }
}

impl Collation {
    /// A key whose bytes are in the order of titles.
    #[must_use]
    pub fn key(&self, title: &str) -> Box<[u8]> {
        let mut key = Vec::with_capacity(title.len() * 2);
        let Ok(()) = self.0.write_sort_key_to(title, &mut key);
        key.truncate(LONGEST_KEY);
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_stand_as_in_a_dictionary_whatever_their_script() {
        let collation = Collation::default();
        let sorted = [
            "",
            "'71",
            "10 Things I Hate About You",
            "2 Days in Paris",
            "a",
            "A",
            "á",
            "Aardvark",
            "élan",
            "Elan Vital",
            "Zorro",
            "ночь",
            "가족",
            "기생충",
            "올드보이",
            "七人の侍",
        ];
        assert!(sorted.is_sorted_by_key(|title| collation.key(title)));
    }
}
