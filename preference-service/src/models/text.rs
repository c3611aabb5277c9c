//! Validation and comparison of text that users write.

use serde::{
    Deserialize,
    de::value::{Error, StrDeserializer},
};
use unicode_normalization::UnicodeNormalization;

/// Parses a name of an enum in JSON.
pub(super) fn parse_name<'a, T: Deserialize<'a>>(name: &'a str) -> Option<T> {
    T::deserialize(StrDeserializer::<Error>::new(name)).ok()
}

/// True if `text` has invisible characters: controls, and format characters such as zero-width spaces
/// and bidirectional overrides.
pub(super) fn has_invisible(text: &str) -> bool {
    text.chars().any(|character| {
        character.is_control()
            || matches!(
                character,
                '\u{ad}'
                    | '\u{61c}'
                    | '\u{180e}'
                    | '\u{200b}'..='\u{200f}'
                    | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}'
                    | '\u{feff}'
                    | '\u{fff9}'..='\u{fffb}'
                    | '\u{e0000}'..='\u{e007f}'
            )
    })
}

/// The comparison key of `text`: Unicode form NFKC in lower case.
pub(super) fn fold(text: &str) -> String {
    // Lower case may leave the normal form.
    text.nfkc()
        .collect::<String>()
        .to_lowercase()
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_texts_have_the_same_key() {
        for (one, other) in [
            ("Anna", "aNNA"),
            ("ＡＮＮＡ", "anna"),
            ("É", "e\u{301}"),
            ("ﬁlm", "FILM"),
            ("김", "\u{1100}\u{1175}\u{11b7}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} and {other}");
        }
        assert_ne!(fold("anna"), fold("anne"));
    }

    #[test]
    fn invisible_characters_are_found() {
        for text in ["a\0", "a\n", "\u{202e}a", "a\u{200b}b", "\u{7f}"] {
            assert!(has_invisible(text), "{text:?}");
        }
        assert!(!has_invisible("Çağrı 김 – 3 ½"));
    }
}
