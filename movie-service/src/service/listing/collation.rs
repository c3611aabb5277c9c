//! The order of titles: the root collation of Unicode (UTS #10), which Postgres calls "und-x-icu". Computed here so
//! that the list index can sort without Postgres.

use icu_collator::{CollatorBorrowed, options::CollatorOptions};

/// Longer collation keys are cut, at about eighty Latin or sixty Hangul letters; ids then break ties.
const MAX_KEY_BYTES: usize = 250;

/// The collator.
#[derive(Debug)]
pub struct Collation(CollatorBorrowed<'static>);

impl Default for Collation {
    fn default() -> Self {
        let collator = CollatorBorrowed::try_new(Default::default(), CollatorOptions::default());
        Self(collator.expect("the root collation is compiled in"))
    }
}

impl Collation {
    /// Returns the collation key of a title; keys compare as titles do.
    pub fn key(&self, title: &str) -> Box<[u8]> {
        let mut key = Vec::with_capacity(title.len() * 2);
        let Ok(()) = self.0.write_sort_key_to(title, &mut key);
        key.truncate(MAX_KEY_BYTES);
        key.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_of_all_scripts_sort_in_collation_order() {
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
