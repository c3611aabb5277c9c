//! Hangul: syllables as sequences of letters (jamo), initial consonants, spelling variants, particles, and the
//! two-set keyboard. Pure functions on characters; [`super`] and the query call them.
//!
//! Letters are Unicode's compatibility jamo. Compound vowels and compound finals are two letters each, as they are
//! typed, so that each state of an input method is a prefix of the finished word, and a consonant is the same letter
//! whether it ends a syllable or begins the next.

const SYLLABLE_BASE: u32 = 0xAC00;
const SYLLABLES: std::ops::RangeInclusive<char> = '가'..='힣';
const FINALS: u32 = 28;
const MEDIALS: u32 = 21;

/// Initial consonants by Unicode's order.
const INITIAL: [char; 19] = [
    'ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ',
    'ㅌ', 'ㅍ', 'ㅎ',
];
/// Medial vowels by Unicode's order, as typed.
const MEDIAL: [&str; 21] = [
    "ㅏ", "ㅐ", "ㅑ", "ㅒ", "ㅓ", "ㅔ", "ㅕ", "ㅖ", "ㅗ", "ㅗㅏ", "ㅗㅐ", "ㅗㅣ", "ㅛ", "ㅜ",
    "ㅜㅓ", "ㅜㅔ", "ㅜㅣ", "ㅠ", "ㅡ", "ㅡㅣ", "ㅣ",
];
/// Final consonants by Unicode's order, as typed.
const FINAL: [&str; 28] = [
    "", "ㄱ", "ㄲ", "ㄱㅅ", "ㄴ", "ㄴㅈ", "ㄴㅎ", "ㄷ", "ㄹ", "ㄹㄱ", "ㄹㅁ", "ㄹㅂ", "ㄹㅅ",
    "ㄹㅌ", "ㄹㅍ", "ㄹㅎ", "ㅁ", "ㅂ", "ㅂㅅ", "ㅅ", "ㅆ", "ㅇ", "ㅈ", "ㅊ", "ㅋ", "ㅌ", "ㅍ",
    "ㅎ",
];

/// True for a precomposed syllable.
pub fn is_syllable(letter: char) -> bool {
    SYLLABLES.contains(&letter)
}

/// True for a compatibility jamo: a consonant or a vowel that stands alone.
pub fn is_jamo(letter: char) -> bool {
    ('ㄱ'..='ㅣ').contains(&letter)
}

/// True for a consonant that stands alone.
pub fn is_consonant(letter: char) -> bool {
    ('ㄱ'..='ㅎ').contains(&letter)
}

/// True for syllables and jamo.
pub fn is_hangul(letter: char) -> bool {
    is_syllable(letter) || is_jamo(letter)
}

/// The places of initial, medial and final in Unicode's order.
fn places(syllable: char) -> (usize, usize, usize) {
    let place = u32::from(syllable) - SYLLABLE_BASE;
    let (initial, rest) = (place / (MEDIALS * FINALS), place % (MEDIALS * FINALS));
    (
        initial as usize,
        (rest / FINALS) as usize,
        (rest % FINALS) as usize,
    )
}

/// The initial consonant of a syllable, and the letters of its medial and final.
pub(crate) fn letters(syllable: char) -> (char, &'static str, &'static str) {
    let (initial, medial, last) = places(syllable);
    (INITIAL[initial], MEDIAL[medial], FINAL[last])
}

/// Appends the letters of a syllable or a jamo to `out`; compound jamo become two. Other characters are ignored.
pub fn spell(letter: char, out: &mut String) {
    if is_syllable(letter) {
        let (initial, medial, last) = letters(letter);
        out.push(initial);
        out.push_str(medial);
        out.push_str(last);
    } else if is_jamo(letter) {
        let compound = MEDIAL.into_iter().zip([
            'ㅏ', 'ㅐ', 'ㅑ', 'ㅒ', 'ㅓ', 'ㅔ', 'ㅕ', 'ㅖ', 'ㅗ', 'ㅘ', 'ㅙ', 'ㅚ', 'ㅛ', 'ㅜ',
            'ㅝ', 'ㅞ', 'ㅟ', 'ㅠ', 'ㅡ', 'ㅢ', 'ㅣ',
        ]);
        let compound = compound.chain([
            ("ㄱㅅ", 'ㄳ'),
            ("ㄴㅈ", 'ㄵ'),
            ("ㄴㅎ", 'ㄶ'),
            ("ㄹㄱ", 'ㄺ'),
            ("ㄹㅁ", 'ㄻ'),
            ("ㄹㅂ", 'ㄼ'),
            ("ㄹㅅ", 'ㄽ'),
            ("ㄹㅌ", 'ㄾ'),
            ("ㄹㅍ", 'ㄿ'),
            ("ㄹㅎ", 'ㅀ'),
            ("ㅂㅅ", 'ㅄ'),
        ]);
        match compound.into_iter().find(|(_, jamo)| *jamo == letter) {
            Some((letters, _)) => out.push_str(letters),
            None => out.push(letter),
        }
    }
}

/// The compatibility jamo of a conjoining one (U+1100 to U+11FF), which remains after composition if it stands alone.
pub fn compatible(letter: char) -> Option<char> {
    let place = |base: u32| (u32::from(letter) - base) as usize;
    match letter {
        '\u{1100}'..='\u{1112}' => Some(INITIAL[place(0x1100)]),
        '\u{1161}'..='\u{1175}' => char::from_u32(u32::from('ㅏ') + u32::from(letter) - 0x1161),
        '\u{11A8}'..='\u{11C2}' => FINAL[place(0x11A7)].chars().next(),
        _ => None,
    }
}

/// The initial consonant of a syllable, with tense consonants as plain ones; a consonant is its own.
pub fn initial(letter: char) -> Option<char> {
    if is_syllable(letter) {
        Some(plain(INITIAL[places(letter).0]))
    } else if is_consonant(letter) {
        Some(plain(letter))
    } else {
        None
    }
}

/// The plain consonant of a tense one.
pub(crate) fn plain(letter: char) -> char {
    match letter {
        'ㄲ' => 'ㄱ',
        'ㄸ' => 'ㄷ',
        'ㅃ' => 'ㅂ',
        'ㅆ' => 'ㅅ',
        'ㅉ' => 'ㅈ',
        other => other,
    }
}

/// Makes spelling variants of loanwords equal: tense consonants become plain (`싸이코`, `사이코`), `ㅐ` becomes `ㅔ`
/// (`매트릭스`, `메트릭스`), `ㅚ`, `ㅙ` and `ㅞ` one, and a y-vowel after `ㅈ`, `ㅊ` its plain one (`쥬라기`, `주라기`).
pub fn fold(letters: &str) -> String {
    let mut out = String::with_capacity(letters.len());
    let mut before = None;
    for letter in letters.chars() {
        let folded = match (before, plain(letter)) {
            (Some('ㅗ'), 'ㅣ') => 'ㅔ',
            (Some('ㅜ'), 'ㅔ' | 'ㅐ') => {
                out.pop();
                out.push('ㅗ');
                'ㅔ'
            }
            (Some('ㅈ' | 'ㅊ'), vowel) => match vowel {
                'ㅑ' => 'ㅏ',
                'ㅕ' => 'ㅓ',
                'ㅛ' => 'ㅗ',
                'ㅠ' => 'ㅜ',
                'ㅐ' | 'ㅒ' | 'ㅖ' => 'ㅔ',
                other => other,
            },
            (_, 'ㅐ' | 'ㅒ' | 'ㅖ') => 'ㅔ',
            (_, other) => other,
        };
        out.push(folded);
        before = Some(folded);
    }
    out
}

/// Particles that may follow a noun, longest first.
const PARTICLES: [&str; 24] = [
    "에서는",
    "이라는",
    "이라고",
    "에서",
    "으로",
    "까지",
    "부터",
    "처럼",
    "보다",
    "하고",
    "이랑",
    "라는",
    "라고",
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에",
    "와",
    "과",
    "도",
];

/// The word without a particle at its end; `None` if there is none or less than one syllable would be left.
pub fn without_particle(word: &str) -> Option<&str> {
    let stem = PARTICLES
        .iter()
        .find_map(|particle| word.strip_suffix(particle))?;
    (!stem.is_empty() && stem.chars().all(is_syllable)).then_some(stem)
}

/// The two-set keyboard: letters by the keys of an American layout.
const KEYS: [(char, char); 33] = [
    ('q', 'ㅂ'),
    ('w', 'ㅈ'),
    ('e', 'ㄷ'),
    ('r', 'ㄱ'),
    ('t', 'ㅅ'),
    ('y', 'ㅛ'),
    ('u', 'ㅕ'),
    ('i', 'ㅑ'),
    ('o', 'ㅐ'),
    ('p', 'ㅔ'),
    ('a', 'ㅁ'),
    ('s', 'ㄴ'),
    ('d', 'ㅇ'),
    ('f', 'ㄹ'),
    ('g', 'ㅎ'),
    ('h', 'ㅗ'),
    ('j', 'ㅓ'),
    ('k', 'ㅏ'),
    ('l', 'ㅣ'),
    ('z', 'ㅋ'),
    ('x', 'ㅌ'),
    ('c', 'ㅊ'),
    ('v', 'ㅍ'),
    ('b', 'ㅠ'),
    ('n', 'ㅜ'),
    ('m', 'ㅡ'),
    ('Q', 'ㅃ'),
    ('W', 'ㅉ'),
    ('E', 'ㄸ'),
    ('R', 'ㄲ'),
    ('T', 'ㅆ'),
    ('O', 'ㅒ'),
    ('P', 'ㅖ'),
];

/// The text that Latin letters give on a Korean layout, spelled in letters; `None` if one is not a letter of the
/// keyboard, or if it does not begin with a syllable.
pub fn typed_in_korean(word: &str) -> Option<String> {
    let letters: Option<String> = word
        .chars()
        .map(|key| {
            let find = |key| {
                KEYS.iter()
                    .find(|(known, _)| *known == key)
                    .map(|(_, letter)| *letter)
            };
            find(key).or_else(|| find(key.to_ascii_lowercase()))
        })
        .collect();
    let letters = letters?;
    is_word(&letters).then_some(letters)
}

/// The text that Hangul gives on an American layout.
pub fn typed_in_english(word: &str) -> Option<String> {
    let mut letters = String::new();
    for letter in word.chars() {
        is_hangul(letter).then(|| spell(letter, &mut letters))?;
    }
    letters
        .chars()
        .map(|letter| {
            KEYS.iter()
                .find(|(_, known)| *known == letter)
                .map(|(key, _)| *key)
        })
        .collect()
}

/// True if `letters` are syllables, of which the last may be half typed: each vowel follows a consonant, and no more
/// than two consonants follow a vowel before the next syllable's.
fn is_word(letters: &str) -> bool {
    let letters: Vec<char> = letters.chars().collect();
    let mut at = 0;
    let mut syllables = 0;
    while at < letters.len() {
        if !is_consonant(letters[at]) {
            return false;
        }
        let Some(vowel) = letters.get(at + 1) else {
            // A syllable that has just begun.
            return syllables > 0;
        };
        if is_consonant(*vowel) {
            return false;
        }
        at += 2;
        // The second letter of a compound vowel.
        if letters.get(at).is_some_and(|letter| !is_consonant(*letter)) {
            let pair: String = letters[at - 1..=at].iter().collect();
            if !MEDIAL.contains(&pair.as_str()) {
                return false;
            }
            at += 1;
        }
        syllables += 1;
        let consonants = letters[at..]
            .iter()
            .take_while(|letter| is_consonant(**letter))
            .count();
        let ends = at + consonants == letters.len();
        let last = match consonants {
            2 if ends && is_pair(letters[at], letters[at + 1]) => 2,
            0 | 1 if ends => consonants,
            // The last one begins the next syllable.
            _ => consonants.saturating_sub(1),
        };
        if last > 2 || (last == 2 && !is_pair(letters[at], letters[at + 1])) {
            return false;
        }
        if !ends && consonants == 0 {
            return false;
        }
        at += last;
    }
    syllables > 0
}

/// True if two consonants can end a syllable together.
fn is_pair(one: char, two: char) -> bool {
    FINAL.iter().any(|last| last.chars().eq([one, two]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spelled(word: &str) -> String {
        let mut out = String::new();
        word.chars().for_each(|letter| spell(letter, &mut out));
        out
    }

    #[test]
    fn half_typed_syllables_are_prefixes() {
        for (typed, word) in [
            ("라이온ㅋ", "라이온킹"),
            ("고", "과"),
            ("올드봉", "올드보이"),
            ("갑", "값"),
        ] {
            assert!(spelled(word).starts_with(&spelled(typed)), "{typed} {word}");
        }
    }

    #[test]
    fn spelling_variants_are_equal() {
        for (one, two) in [
            ("싸이코", "사이코"),
            ("메트릭스", "매트릭스"),
            ("쥬라기", "주라기"),
            ("웨일", "왜일"),
        ] {
            assert_eq!(fold(&spelled(one)), fold(&spelled(two)), "{one} {two}");
        }
    }

    #[test]
    fn keys_give_letters_both_ways() {
        assert_eq!(typed_in_korean("whzj"), Some(spelled("조커")));
        assert_eq!(typed_in_korean("rltodcnd"), Some(spelled("기생충")));
        assert_eq!(typed_in_korean("asdf"), None);
        assert_eq!(typed_in_english("ㅓㅁㅈㄴ").as_deref(), Some("jaws"));
        assert_eq!(typed_in_english("모"), Some("ah".to_owned()));
    }

    proptest! {
        #[test]
        fn every_word_can_be_typed_on_the_other_layout(word in "[가-힣]{1,6}") {
            let keys = typed_in_english(&word).expect("Hangul has keys");
            prop_assert_eq!(typed_in_korean(&keys), Some(spelled(&word)));
        }
    }
}
