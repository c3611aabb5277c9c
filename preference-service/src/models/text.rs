//! Which text is fit to be shown to people and to be compared.

use unicode_normalization::UnicodeNormalization;

/// Whether `text` has characters that are not seen: controls, and the marks that hide within or turn
/// around the text beside them.
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

/// What makes `text` the same as another for people: Unicode form NFKC in lower case.
pub(super) fn folded(text: &str) -> String {
    // Lower case may leave the form, so it is made anew afterwards.
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
    fn what_reads_the_same_folds_to_the_same() {
        for (one, other) in [
            ("Anna", "aNNA"),
            ("ＡＮＮＡ", "anna"),
            ("É", "e\u{301}"),
            ("ﬁlm", "FILM"),
            ("김", "\u{1100}\u{1175}\u{11b7}"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} and {other}");
        }
        assert_ne!(folded("anna"), folded("anne"));
    }

    #[test]
    fn what_cannot_be_seen_is_found() {
        for text in ["a\0", "a\n", "\u{202e}a", "a\u{200b}b", "\u{7f}"] {
            assert!(has_invisible(text), "{text:?}");
        }
        assert!(!has_invisible("Çağrı 김 – 3 ½"));
    }
}
