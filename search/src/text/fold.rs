//! The folded form of letters: lower case without accents, width and compatibility variants. [`super`] analyses texts with
//! it.

use std::sync::OnceLock;

use icu_normalizer::{
    DecomposingNormalizerBorrowed, properties::CanonicalCombiningClassMapBorrowed,
};

use super::hangul;

/// Appends the folded form of `letter` to `out`: nothing for a separator. Returns true for Hangul.
pub(super) fn fold_into(letter: char, out: &mut String) -> bool {
    if letter.is_ascii() {
        if letter.is_ascii_alphanumeric() {
            out.push(letter.to_ascii_lowercase());
        }
        return false;
    }
    if hangul::is_hangul(letter) {
        hangul::spell(letter, out);
        return true;
    }
    if let Some(jamo) = hangul::compatible(letter) {
        hangul::spell(jamo, out);
        return true;
    }
    match folded(letter) {
        Folded::Nothing => {}
        Folded::One(one) => out.push(one),
        Folded::Several => fold_other(letter, out),
    }
    false
}

/// The folded form of a letter.
pub(super) enum Folded {
    Nothing,
    One(char),
    Several,
}

/// The folded form of a letter that is neither ASCII nor Hangul; from a table, since folding reads Unicode's data.
pub(super) fn folded(letter: char) -> Folded {
    const SEVERAL: u32 = u32::MAX;
    static TABLE: OnceLock<Vec<u32>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let entry = |code: u32| {
            let Some(letter) = char::from_u32(code) else {
                return 0;
            };
            let mut out = String::new();
            fold_other(letter, &mut out);
            let mut letters = out.chars();
            match (letters.next(), letters.next()) {
                (None, _) => 0,
                (Some(one), None) => u32::from(one),
                _ => SEVERAL,
            }
        };
        (0..=0xFFFF).map(entry).collect()
    });
    match table.get(letter as usize) {
        Some(0) => Folded::Nothing,
        Some(&SEVERAL) | None => Folded::Several,
        Some(one) => char::from_u32(*one).map_or(Folded::Nothing, Folded::One),
    }
}

/// The Latin letters for one that has no decomposition.
fn latin(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' | 'ẞ' => "ss",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ø' | 'Ø' => "o",
        'ł' | 'Ł' => "l",
        'đ' | 'Đ' | 'ð' | 'Ð' => "d",
        'þ' | 'Þ' => "th",
        'ı' => "i",
        // Fractions are separate words: 8½ is 8 1/2.
        '½' | '⅓' | '¼' | '¾' | '⅔' => "",
        _ => return None,
    })
}

/// Compatibility decomposition without combining marks, in lower case.
fn fold_other(letter: char, out: &mut String) {
    if let Some(latin) = latin(letter) {
        out.push_str(latin);
        return;
    }
    let classes = CanonicalCombiningClassMapBorrowed::new();
    for lower in letter.to_lowercase() {
        for part in DecomposingNormalizerBorrowed::new_nfkd().normalize_iter(std::iter::once(lower))
        {
            if classes.get_u8(part) != 0 {
                continue;
            }
            // Vowel signs of Indic scripts and Thai are marks, but parts of words.
            let is_sign = ('\u{900}'..='\u{EFF}').contains(&part);
            if let Some(latin) = latin(part) {
                out.push_str(latin);
            } else if part.is_alphanumeric() || is_sign {
                out.extend(part.to_lowercase());
            }
        }
    }
}
