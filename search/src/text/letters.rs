//! The letters of a text as a set of bits, without analysing it: a name without the letters of a word of a query does
//! not contain the word. [`crate::engine`] passes over such names.

use super::{
    fold::{Folded, fold_into, folded},
    hangul,
};

/// Bits of Latin letters and digits, which numbers can be written in.
const LATIN: u64 = (1 << 36) - 1;
/// The first bit of letters that are neither Latin nor digits.
const OTHERS: u32 = 36;
/// Letters of which some are composed with their neighbours: no bits are certain.
const CONJOINING: std::ops::RangeInclusive<char> = '\u{1100}'..='\u{11FF}';

/// A set of letters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Letters(u64);

impl Letters {
    /// The letters that the keys of the words of `text` may have.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.chars().fold(0, |bits, letter| bits | bits_of(letter)))
    }

    /// The letters of a key.
    pub(crate) fn of_key(key: &str) -> Self {
        Self(key.chars().fold(0, |bits, letter| bits | bit_of(letter)))
    }

    /// True if at most `count` letters are not in `others`.
    pub(crate) fn are_in(self, others: Self, count: usize) -> bool {
        let missing = self.0 & !others.0;
        missing == 0 || missing.count_ones() as usize <= count
    }

    /// True if there are letters that are neither Latin nor digits.
    pub(crate) fn has_others(self) -> bool {
        self.0 & !LATIN != 0
    }

    /// True if a number may be written with the letters.
    pub(crate) fn may_be_number(self) -> bool {
        self.0 & LATIN != 0
    }
}

/// The bits of a letter of a name.
fn bits_of(letter: char) -> u64 {
    match letter {
        'a'..='z' | '0'..='9' => bit_of(letter),
        'A'..='Z' => bit_of(letter.to_ascii_lowercase()),
        '&' => bit_of('a') | bit_of('n') | bit_of('d'),
        '\0'..='\u{7F}' => 0,
        letter if CONJOINING.contains(&letter) => u64::MAX,
        letter if hangul::is_syllable(letter) => {
            let (initial, medial, last) = hangul::letters(letter);
            let rest = medial.chars().chain(last.chars());
            rest.fold(bit_of(initial), |bits, letter| bits | bit_of(letter))
        }
        letter if hangul::is_jamo(letter) => spelled(letter),
        letter => match folded(letter) {
            Folded::Nothing => 0,
            Folded::One(one) => bit_of(one),
            Folded::Several => spelled(letter),
        },
    }
}

fn spelled(letter: char) -> u64 {
    let mut letters = String::new();
    fold_into(letter, &mut letters);
    Letters::of_key(&letters).0
}

/// The bit of a letter of a key. Letters of Hangul that are variants of each other have one.
fn bit_of(letter: char) -> u64 {
    let place = match letter {
        'a'..='z' => u32::from(letter) - u32::from('a'),
        '0'..='9' => 26 + u32::from(letter) - u32::from('0'),
        'ㅏ' | 'ㅑ' => OTHERS,
        'ㅓ' | 'ㅕ' => OTHERS + 1,
        'ㅗ' | 'ㅛ' | 'ㅜ' | 'ㅠ' => OTHERS + 2,
        'ㅐ' | 'ㅒ' | 'ㅔ' | 'ㅖ' | 'ㅣ' => OTHERS + 3,
        letter => {
            let plain = hangul::plain(letter);
            OTHERS + 4 + (u32::from(plain).wrapping_mul(0x9E37_79B1) >> 16) % (60 - OTHERS)
        }
    };
    1 << place
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Text, *};

    proptest! {
        #[test]
        fn a_text_has_the_letters_of_its_words(text in any::<String>(), korean in "[가-힣ㄱ-ㅣ\u{1100}-\u{11ff}]{0,6}") {
            for text in [text, korean] {
                let letters = Letters::of_text(&text);
                for word in Text::new(&text).words {
                    prop_assert!(Letters::of_key(&word.key).are_in(letters, 0), "{} in {text}", word.key);
                }
            }
        }
    }
}
