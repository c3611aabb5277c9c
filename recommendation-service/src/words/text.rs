//! Text as the parser compares it: letters in compatibility composition and lower case, without spaces, punctuation and
//! accents, each with its place in the message. Pure.

use std::{cell::OnceCell, ops::Range};

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The separation of a letter from the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Nothing: the same word.
    None,
    /// The writing system changes within a word, as in `90년대`.
    Script,
    /// A space, hyphen or slash.
    Space,
    /// A dash or tilde, which joins the ends of a range.
    Range,
    /// A comma, or another mark within a sentence.
    Comma,
    /// The end of a sentence or line.
    Stop,
}

/// A letter or digit of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) char: char,
    pub(super) gap: Gap,
    pub(super) is_upper: bool,
    /// The byte offset in the message of the character that it comes from.
    from: usize,
    to: usize,
}

/// A message as letters.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    message: &'a str,
    letters: Vec<Letter>,
    chars: Vec<char>,
    /// Quoted parts, as ranges of letters.
    pub(super) quoted: Vec<Range<usize>>,
    /// The places within words at which the lexicon can go on; computed by it when it needs them.
    pub(super) continues: OnceCell<Vec<bool>>,
}

pub(super) fn is_hangul(char: char) -> bool {
    matches!(char, '가'..='힣' | 'ㄱ'..='ㆎ')
}

/// 0 of digits, 1 of Hangul, 2 of other letters.
fn script(char: char) -> u8 {
    match char {
        _ if char.is_ascii_digit() => 0,
        _ if is_hangul(char) => 1,
        _ => 2,
    }
}

/// The letters that `char` is compared by: several for a ligature, none for a mark.
fn folded(char: char) -> impl Iterator<Item = char> {
    // Hangul decomposes into letters, which are no marks, and must stay whole.
    let decomposed: Vec<char> = match is_hangul(char) {
        true => vec![char],
        false => std::iter::once(char)
            .nfkd()
            .filter(|char| !is_combining_mark(*char))
            .collect(),
    };
    decomposed.into_iter().flat_map(char::to_lowercase)
}

fn is_apostrophe(char: char) -> bool {
    matches!(char, '\'' | '’' | '‘' | '`' | '´')
}

/// The closing mark of an opening quotation mark.
fn closing(char: char) -> Option<char> {
    Some(match char {
        '"' => '"',
        '“' => '”',
        '「' => '」',
        '『' => '』',
        '《' => '》',
        '〈' => '〉',
        '<' => '>',
        '‘' => '’',
        '\'' => '\'',
        _ => return None,
    })
}

impl<'a> Text<'a> {
    pub(super) fn new(message: &'a str) -> Self {
        // Decomposed Hangul, as macOS sends it, is composed; offsets are then those of the composed text, so messages
        // are composed by the caller.
        let chars: Vec<(usize, char)> = message.char_indices().collect();
        let (mut letters, mut gap) = (Vec::<Letter>::with_capacity(chars.len()), Gap::Stop);
        let mut quotes: Vec<(char, usize)> = Vec::new();
        let mut quoted = Vec::new();
        for (place, (from, char)) in chars.iter().copied().enumerate() {
            let next = chars.get(place + 1).map(|(_, char)| *char);
            let before = place.checked_sub(1).map(|place| chars[place].1);
            if let Some((_, start)) = quotes.pop_if(|(close, _)| *close == char) {
                let closes =
                    !is_apostrophe(char) || next.is_none_or(|next| !next.is_ascii_alphanumeric());
                if closes {
                    quoted.push(start..letters.len());
                    gap = gap.max(Gap::Space);
                    continue;
                }
                quotes.push((char, start));
            } else if let Some(close) = closing(char) {
                let opens = !is_apostrophe(char)
                    || (before.is_none_or(|before| !before.is_alphanumeric())
                        && next.is_some_and(|next| !next.is_ascii_digit()));
                if opens {
                    quotes.push((close, letters.len()));
                    gap = gap.max(Gap::Space);
                    continue;
                }
            }
            let is_decimal = char == '.'
                && gap == Gap::None
                && before.is_some_and(|char| char.is_ascii_digit())
                && next.is_some_and(|char| char.is_ascii_digit());
            let is_plus = char == '+' && before.is_some_and(char::is_alphanumeric);
            if is_apostrophe(char) {
                continue;
            } else if char == '&' {
                for (at, char) in "and".chars().enumerate() {
                    let gap = if at == 0 { Gap::Space } else { Gap::None };
                    letters.push(Letter {
                        char,
                        gap,
                        is_upper: false,
                        from,
                        to: from + 1,
                    });
                }
                gap = Gap::Space;
                continue;
            } else if !is_decimal && !is_plus && !char.is_alphanumeric() && !is_combining_mark(char)
            {
                gap = gap.max(match char {
                    '.' | '!' | '?' | ';' | '\n' | '。' | '！' | '？' | '…' => Gap::Stop,
                    ',' | ':' | '(' | ')' | '，' | '、' | '·' | '[' | ']' => Gap::Comma,
                    '~' | '–' | '—' | '〜' | '～' => Gap::Range,
                    '-' if before.is_some_and(|char| char.is_ascii_digit() || is_hangul(char))
                        && next.is_some_and(|char| char.is_ascii_digit()) =>
                    {
                        Gap::Range
                    }
                    _ => Gap::Space,
                });
                continue;
            }
            for folded in folded(char) {
                if let (Gap::None, Some(last)) = (gap, letters.last())
                    && script(last.char) != script(folded)
                    && !matches!(folded, '.' | '+')
                    && last.char != '.'
                {
                    gap = Gap::Script;
                }
                let (is_upper, to) = (char.is_uppercase(), from + char.len_utf8());
                letters.push(Letter {
                    char: folded,
                    gap,
                    is_upper,
                    from,
                    to,
                });
                gap = Gap::None;
            }
        }
        let chars = letters.iter().map(|letter| letter.char).collect();
        Self {
            message,
            letters,
            chars,
            quoted,
            continues: OnceCell::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.letters.len()
    }

    /// The gap before the letter at `place`; the end is the end of a sentence.
    pub(super) fn gap(&self, place: usize) -> Gap {
        self.letters
            .get(place)
            .map_or(Gap::Stop, |letter| letter.gap)
    }

    /// The letters.
    pub(super) fn chars(&self) -> &[char] {
        &self.chars
    }

    pub(super) fn char(&self, place: usize) -> Option<char> {
        self.chars.get(place).copied()
    }

    pub(super) fn is_upper(&self, place: usize) -> bool {
        self.letters
            .get(place)
            .is_some_and(|letter| letter.is_upper)
    }

    pub(super) fn is_hangul(&self, place: usize) -> bool {
        self.char(place).is_some_and(is_hangul)
    }

    /// True if a word begins at `place`, or the text ends there.
    pub(super) fn is_start(&self, place: usize) -> bool {
        self.gap(place) > Gap::None
    }

    /// The end of the word that `place` is in.
    pub(super) fn word_end(&self, place: usize) -> usize {
        (place + 1..self.len())
            .find(|place| self.is_start(*place))
            .unwrap_or(self.len())
    }

    /// The end of the word that `place` is in, where only spaces and punctuation end words.
    pub(super) fn spaced_end(&self, place: usize) -> usize {
        (place + 1..self.len())
            .find(|place| self.gap(*place) > Gap::Script)
            .unwrap_or(self.len())
    }

    /// The part of the message that the letters come from.
    pub(super) fn fragment(&self, range: Range<usize>) -> &'a str {
        match (
            self.letters.get(range.start),
            self.letters.get(range.end.wrapping_sub(1)),
        ) {
            (Some(first), Some(last)) if range.start < range.end => {
                self.message.get(first.from..last.to).unwrap_or_default()
            }
            _ => "",
        }
    }
}

/// The letters of a name or title, by which it is compared.
pub(super) fn key(text: &str) -> String {
    let text: String = text.nfc().collect();
    let text = Text::new(&text);
    text.chars()
        .iter()
        .filter(|char| char.is_alphanumeric())
        .collect()
}

/// The letters of `chars` with Hangul syllables as their jamo, so that a typing error is one edit.
pub(super) fn jamo(chars: &[char]) -> Vec<char> {
    let mut all = Vec::with_capacity(chars.len() * 2);
    for char in chars {
        let Some((first, vowel, last)) = syllable(*char) else {
            all.push(*char);
            continue;
        };
        for (base, number) in [(0x1100, Some(first)), (0x1161, Some(vowel)), (0x11a7, last)] {
            all.extend(number.and_then(|number| char::from_u32(base + number)));
        }
    }
    all
}

/// The numbers of the initial, the vowel and the final of a Hangul syllable.
pub(super) fn syllable(char: char) -> Option<(u32, u32, Option<u32>)> {
    let number = u32::from(char)
        .checked_sub(0xac00)
        .filter(|number| *number < 11_172)?;
    let last = number % 28;
    Some((number / 588, number % 588 / 28, (last > 0).then_some(last)))
}

/// The number of insertions, deletions, replacements and transpositions between `one` and `two`; `None` if more than
/// `limit`.
pub(super) fn edits(one: &[char], two: &[char], limit: usize) -> Option<usize> {
    if one.len().abs_diff(two.len()) > limit {
        return None;
    }
    let mut before = vec![0; two.len() + 1];
    let mut last: Vec<usize> = (0..=two.len()).collect();
    for (row, left) in one.iter().enumerate() {
        let mut this = vec![row + 1; two.len() + 1];
        for (column, right) in two.iter().enumerate() {
            let replaced = last[column] + usize::from(left != right);
            let mut least = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *left == two[column - 1] && one[row - 1] == *right {
                least = least.min(before[column - 1] + 1);
            }
            this[column + 1] = least;
        }
        if this.iter().min().is_none_or(|least| *least > limit) {
            return None;
        }
        before = std::mem::replace(&mut last, this);
    }
    Some(last[two.len()]).filter(|edits| *edits <= limit)
}

/// The consonants of a name, by which Latin and Hangul spellings of it are compared, and the number of its vowels
/// without the one that Hangul adds between consonants.
pub(super) fn sounds(text: &str) -> (String, usize) {
    let chars = Text::new(text);
    let (mut codes, mut vowels, mut follows_vowel) = (String::new(), 0, true);
    let mut push = |code: char, follows_vowel: bool| {
        // Doubled letters are one sound.
        if follows_vowel || !codes.ends_with(code) {
            codes.push(code);
        }
    };
    let letters = chars.chars();
    let mut place = 0;
    while let Some(char) = letters.get(place) {
        if let Some((first, vowel, last)) = syllable(*char) {
            const INITIALS: &[u8; 19] = b"KKNTTLMPPSS.SSSKTPH";
            const FINALS: &[u8; 28] = b".KKKNNNTLLLLLLLLMPPTTNTTKTPT";
            let initial = char::from(INITIALS[first as usize]);
            if initial != '.' {
                push(initial, follows_vowel);
            }
            // ㅡ
            vowels += usize::from(vowel != 18);
            follows_vowel = true;
            if let Some(last) = last {
                push(char::from(FINALS[last as usize]), true);
                follows_vowel = false;
            }
            place += 1;
            continue;
        }
        let rest = &letters[place..];
        let starts = |pattern: &str| {
            pattern
                .chars()
                .zip(rest)
                .filter(|(one, two)| one == *two)
                .count()
                == pattern.len()
        };
        let is_vowel = |at: usize| rest.get(at).is_some_and(|char| "aeiou".contains(*char));
        let (code, length) = match char {
            'a' | 'e' | 'i' | 'o' | 'u' => {
                let length = (1..rest.len().min(3))
                    .take_while(|at| is_vowel(*at) && !chars.is_start(place + at))
                    .count()
                    + 1;
                let is_silent = starts("eu")
                    || (*char == 'e' && length == 1 && chars.is_start(place + 1) && vowels > 0);
                vowels += usize::from(!is_silent);
                follows_vowel = true;
                place += length;
                continue;
            }
            _ if starts("tch") => ('S', 3),
            _ if starts("chr") || starts("chl") => ('K', 2),
            _ if starts("sch") => ('S', 3),
            _ if starts("ch") || starts("sh") || starts("th") || starts("ts") || starts("tz") => {
                ('S', 2)
            }
            _ if starts("ph") => ('P', 2),
            _ if starts("ck") || starts("qu") => ('K', 2),
            _ if starts("ng") => ('N', 2),
            _ if starts("gh") && !chars.is_start(place) => ('.', 2),
            'b' | 'p' | 'f' | 'v' => ('P', 1),
            'c' if starts("ce") || starts("ci") || starts("cy") => ('S', 1),
            'g' if starts("geo") => ('S', 1),
            'c' | 'k' | 'g' | 'q' | 'x' => ('K', 1),
            'd' | 't' => ('T', 1),
            'j' | 'z' | 's' => ('S', 1),
            'l' => ('L', 1),
            'r' if is_vowel(1) || rest.get(1) == Some(&'y') => ('L', 1),
            'h' if is_vowel(1) || rest.get(1) == Some(&'y') || rest.get(1) == Some(&'w') => {
                ('H', 1)
            }
            'm' => ('M', 1),
            'n' => ('N', 1),
            'y' if !is_vowel(1) => {
                vowels += 1;
                follows_vowel = true;
                place += 1;
                continue;
            }
            _ => ('.', 1),
        };
        if code != '.' {
            push(code, follows_vowel);
            follows_vowel = false;
        }
        place += length;
    }
    (codes, vowels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ignore_case_accents_spaces_and_punctuation() {
        assert_eq!(key("Amélie"), "amelie");
        assert_eq!(key("Ocean's Eleven"), key("oceans ELEVEN"));
        assert_eq!(
            key("Willy Wonka & the Chocolate Factory"),
            key("willy wonka and the chocolate factory")
        );
        assert_eq!(key("\u{1107}\u{1169}\u{11bc}준호"), "봉준호");
        assert_eq!(key("Ｅ.Ｔ."), "et");
    }

    #[test]
    fn gaps_tell_words_apart() {
        let text = Text::new("90년대 Korean films, don't \"War Horse\" 7.5점");
        let starts: Vec<&str> = (0..text.len())
            .filter(|place| text.is_start(*place))
            .map(|place| text.fragment(place..text.word_end(place)))
            .collect();
        assert_eq!(
            starts,
            [
                "90", "년대", "Korean", "films", "don't", "War", "Horse", "7.5", "점"
            ]
        );
        assert_eq!(text.quoted.len(), 1);
        assert_eq!(text.fragment(text.quoted[0].clone()), "War Horse");
    }

    #[test]
    fn edits_are_counted_up_to_the_limit() {
        let edits = |one: &str, two: &str, limit| {
            edits(
                &one.chars().collect::<Vec<_>>(),
                &two.chars().collect::<Vec<_>>(),
                limit,
            )
        };
        assert_eq!(edits("apartmnet", "apartment", 2), Some(1));
        assert_eq!(edits("oldboy", "oldby", 1), Some(1));
        assert_eq!(edits("heat", "jaws", 2), None);
        assert_eq!(jamo(&['올', 'a']).len(), 4);
    }

    #[test]
    fn names_sound_alike_in_both_scripts() {
        for (hangul, latin) in [
            ("봉준호", "Bong Joon-ho"),
            ("박찬욱", "Park Chan-wook"),
            ("송강호", "Song Kang-ho"),
            ("전도연", "Jeon Do-yeon"),
            ("배두나", "Bae Doona"),
            ("나홍진", "Na Hong-jin"),
            ("톰 행크스", "Tom Hanks"),
            ("크리스토퍼 놀란", "Christopher Nolan"),
            ("히치콕", "Hitchcock"),
            ("스필버그", "Spielberg"),
            ("타란티노", "Tarantino"),
            ("브래드 피트", "Brad Pitt"),
        ] {
            assert_eq!(sounds(hangul).0, sounds(latin).0, "{latin}");
            assert!(sounds(hangul).1.abs_diff(sounds(latin).1) <= 1, "{latin}");
        }
    }
}
