//! Korean particles: the form that a word takes depends on the last sound of the word before it. Pure.

/// A particle with two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Particle {
    /// Of the object: 을, 를.
    Object,
    /// Of the subject: 이, 가.
    Subject,
    /// Of the topic: 은, 는.
    Topic,
    /// And, with: 과, 와.
    With,
    /// By, to: 으로, 로.
    By,
}

/// The last sound of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Vowel,
    Consonant,
    /// The consonant ㄹ, after which the particle 로 is that of a vowel.
    Rieul,
}

impl Particle {
    /// The form after `word`: closing punctuation is skipped, digits and Latin letters count as they are read. Both
    /// forms, such as `을(를)`, if the sound is unknown.
    pub fn after(self, word: &str) -> &'static str {
        let sound = last_sound(word);
        let (consonant, vowel, unknown) = match self {
            Self::Object => ("을", "를", "을(를)"),
            Self::Subject => ("이", "가", "이(가)"),
            Self::Topic => ("은", "는", "은(는)"),
            Self::With => ("과", "와", "과(와)"),
            Self::By => ("으로", "로", "(으)로"),
        };
        match sound {
            None => unknown,
            Some(Sound::Rieul) if self == Self::By => vowel,
            Some(Sound::Consonant | Sound::Rieul) => consonant,
            Some(Sound::Vowel) => vowel,
        }
    }
}

fn last_sound(word: &str) -> Option<Sound> {
    let word = word.trim_end_matches(|letter: char| !letter.is_alphanumeric());
    let last = word.chars().next_back()?;
    match last {
        '가'..='힣' => Some(of_final((u32::from(last) - u32::from('가')) % 28)),
        // Conjoining letters, as macOS writes syllables: finals, then vowels.
        '\u{11a8}'..='\u{11c2}' => Some(of_final(u32::from(last) - 0x11a7)),
        '\u{1161}'..='\u{1175}' => Some(Sound::Vowel),
        // Letters by their names: 기역, 니은, 리을; a vowel is its own name.
        'ㄹ' => Some(Sound::Rieul),
        'ㄱ'..='ㅎ' => Some(Sound::Consonant),
        'ㅏ'..='ㅣ' => Some(Sound::Vowel),
        // 일, 칠, 팔; 영, 삼, 육, and 십, 백, 천 and 만, which a final 0 stands for; 이, 사, 오, 구.
        '1' | '7' | '8' => Some(Sound::Rieul),
        '0' | '3' | '6' => Some(Sound::Consonant),
        '2' | '4' | '5' | '9' => Some(Sound::Vowel),
        'a'..='z' | 'A'..='Z' => Some(of_latin(word)),
        // Letters with accents are vowels in nearly all words that end with one.
        '\u{c0}'..='\u{24f}' => Some(Sound::Vowel),
        _ => None,
    }
}

/// The sound of the final with this number in the order of Unicode, 0 for none.
fn of_final(number: u32) -> Sound {
    match number {
        0 => Sound::Vowel,
        8 => Sound::Rieul,
        _ => Sound::Consonant,
    }
}

fn is_vowel(letter: u8) -> bool {
    b"aeiouy".contains(&letter.to_ascii_lowercase())
}

/// The sound of a word that ends with a Latin letter, as Korean transcribes English: a final l, m, n or ng stays, and so
/// does c, k, p or t after one vowel (업, 로봇); other consonants get a vowel (매트릭스, 히트). Abbreviations are spelled
/// out.
fn of_latin(word: &str) -> Sound {
    let bytes = word.as_bytes();
    let start = bytes
        .iter()
        .rposition(|letter| !letter.is_ascii_alphabetic());
    let letters = &bytes[start.map_or(0, |place| place + 1)..];
    let lower: Vec<u8> = letters.iter().map(u8::to_ascii_lowercase).collect();
    let is_spelled = letters.len() == 1
        || letters.iter().all(u8::is_ascii_uppercase)
            && (letters.len() <= 3 || !letters.iter().copied().any(is_vowel));
    match lower.as_slice() {
        // By the names of letters: 엘, 알; 엠, 엔.
        [.., b'l' | b'r'] if is_spelled => Sound::Rieul,
        [.., b'm' | b'n'] => Sound::Consonant,
        _ if is_spelled => Sound::Vowel,
        [.., b'l'] => Sound::Rieul,
        [.., b'n', b'g'] => Sound::Consonant,
        // Silent e: 애플, 타임, 얼론.
        [.., _, b'l', b'e'] => Sound::Rieul,
        [.., before, b'm' | b'n', b'e'] if is_vowel(*before) => Sound::Consonant,
        [rest @ .., vowel, b'c' | b'k' | b'p' | b't'] if is_vowel(*vowel) => match rest.last() {
            Some(before) if is_vowel(*before) => Sound::Vowel,
            _ => Sound::Consonant,
        },
        [.., vowel, b'c', b'k'] if is_vowel(*vowel) => Sound::Consonant,
        _ => Sound::Vowel,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [(Particle, &str, &str); 5] = [
        (Particle::Object, "을", "를"),
        (Particle::Subject, "이", "가"),
        (Particle::Topic, "은", "는"),
        (Particle::With, "과", "와"),
        (Particle::By, "으로", "로"),
    ];

    #[test]
    fn titles_of_all_kinds_get_the_form_that_is_read() {
        for (title, object, by) in [
            ("기생충", "을", "으로"),
            ("올드보이", "를", "로"),
            ("괴물", "을", "로"),
            ("부산행!", "을", "으로"),
            ("아가씨 (2016)", "을", "으로"),
            ("쏘우 2", "를", "로"),
            ("7", "을", "로"),
            ("1987", "을", "로"),
            ("300", "을", "으로"),
            ("2012", "를", "로"),
            ("ㅅㅋㅇㅍ", "을", "으로"),
            ("Inception", "을", "으로"),
            ("The Matrix", "를", "로"),
            ("Up", "을", "으로"),
            ("Jaws", "를", "로"),
            ("Kill Bill", "을", "로"),
            ("The Thing", "을", "으로"),
            ("Home Alone", "을", "으로"),
            ("E.T.", "를", "로"),
            ("M", "을", "으로"),
            ("UFO", "를", "로"),
            ("WALL·E", "를", "로"),
            ("Amélie", "를", "로"),
            ("羅生門", "을(를)", "(으)로"),
            ("…", "을(를)", "(으)로"),
            ("", "을(를)", "(으)로"),
        ] {
            assert_eq!(Particle::Object.after(title), object, "{title}");
            assert_eq!(Particle::By.after(title), by, "{title}");
        }
        assert_eq!(Particle::Subject.after("조커"), "가");
        assert_eq!(Particle::Topic.after("살인의 추억"), "은");
        assert_eq!(Particle::With.after("마더"), "와");
    }

    proptest! {
        #[test]
        fn a_syllable_with_a_final_takes_the_form_of_a_consonant(
            initial in 0..19_u32, vowel in 0..21_u32, last in 0..28_u32, closing in "[ .,!?\\]\\)〉’\"…]{0,4}",
        ) {
            let syllable = char::from_u32(0xac00 + (initial * 21 + vowel) * 28 + last).expect("a syllable");
            let letters: String = [0x1100 + initial, 0x1161 + vowel, 0x11a7 + last]
                .into_iter()
                .take(if last == 0 { 2 } else { 3 })
                .filter_map(char::from_u32)
                .collect();
            for (particle, consonant, open) in ALL {
                let is_open = last == 0 || particle == Particle::By && last == 8;
                let expected = if is_open { open } else { consonant };
                prop_assert_eq!(particle.after(&format!("{syllable}{closing}")), expected);
                prop_assert_eq!(particle.after(&format!("그 {letters}")), expected, "decomposed");
            }
        }

        #[test]
        fn every_word_gets_one_form_or_both(word in ".{0,20}") {
            for (particle, consonant, open) in ALL {
                let form = particle.after(&word);
                prop_assert!(form == consonant || form == open || form.contains('('), "{form}");
            }
        }
    }
}
