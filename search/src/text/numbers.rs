//! Numbers in titles: digits, Roman numerals and English number words that mean the same.

/// The highest number of a series that is written as a Roman numeral or a word.
const MAX_NAMED: u32 = 30;

const WORDS: [&str; 20] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// The number that `word` means, in lower case: digits, a Roman numeral up to 30, or an English word up to 20.
/// A Roman numeral of one letter counts only behind another word, since `I` and `X` are words too.
pub fn value(word: &str, is_first: bool) -> Option<u32> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        // Leading zeros do not matter: 007 is 7.
        return word.parse().ok();
    }
    let named = match word.len() {
        3..=9 => WORDS.iter().position(|known| *known == word),
        _ => None,
    };
    if let Some(place) = named {
        return u32::try_from(place + 1).ok();
    }
    if is_first && word.len() == 1 {
        return None;
    }
    roman(word)
}

fn roman(word: &str) -> Option<u32> {
    if word.is_empty() || !word.bytes().all(|byte| matches!(byte, b'i' | b'v' | b'x')) {
        return None;
    }
    (1..=MAX_NAMED).find(|number| is_numeral(word, *number))
}

/// True if `word` is the Roman numeral of a number up to [`MAX_NAMED`].
fn is_numeral(word: &str, number: u32) -> bool {
    const TENS: [&str; 4] = ["", "x", "xx", "xxx"];
    const ONES: [&str; 10] = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"];
    let ones = word.strip_prefix(TENS[(number / 10) as usize]);
    ones == Some(ONES[(number % 10) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_numerals_and_words_mean_the_same() {
        for (word, number) in [
            ("2", 2),
            ("ii", 2),
            ("two", 2),
            ("xiv", 14),
            ("12", 12),
            ("twelve", 12),
            ("007", 7),
        ] {
            assert_eq!(value(word, false), Some(number), "{word}");
        }
        for word in ["iix", "mix", "vv", "", "2a"] {
            assert_eq!(
                value(word, false).filter(|_| !word.is_empty()),
                None,
                "{word}"
            );
        }
        assert_eq!((value("x", true), value("x", false)), (None, Some(10)));
    }
}
