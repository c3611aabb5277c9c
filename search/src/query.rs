//! Readings of a query: the words as they are typed, and the other things that somebody who typed them may have meant.
//! Pure; [`crate::engine`] tries them in order.

use std::collections::BTreeSet;

use crate::text::{Joined, Text, Word, hangul};

/// Longer queries are not read to the end.
pub const MAX_QUERY_CHARS: usize = 200;
/// Words of a query that are looked up.
const MAX_WORDS: usize = 10;
/// Years of release.
const YEARS: std::ops::RangeInclusive<u32> = 1874..=2100;

/// Words that name the medium, not the movie.
const NOISE: [&str; 8] = [
    "movie",
    "movies",
    "film",
    "films",
    "the movie",
    "영화",
    "영화보기",
    "무비",
];

/// An element of a pattern of initial consonants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Element {
    /// The letters of a syllable, of which the last of a query may be incomplete.
    Syllable(String),
    /// An initial consonant alone.
    Initial(char),
    /// Any other letter or digit.
    Other(char),
}

/// One reading of a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Reading {
    /// The words of names.
    pub(crate) words: Vec<Word>,
    /// The year of release.
    pub(crate) year: Option<u16>,
    /// A pattern of initial consonants, in place of words.
    pub(crate) pattern: Option<Vec<Element>>,
    /// The share of the score that the reading costs.
    pub(crate) penalty: f32,
    /// The words without spaces.
    pub(crate) joined: Joined,
}

impl Reading {
    /// A reading of `words`.
    pub(crate) fn new(mut words: Vec<Word>, penalty: f32) -> Self {
        words.truncate(MAX_WORDS);
        let text = Text {
            words,
            ..Text::default()
        };
        Self {
            joined: Joined::new(&text),
            words: text.words,
            year: None,
            pattern: None,
            penalty,
        }
    }

    fn of(text: &str, penalty: f32) -> Self {
        Self::new(Text::new(text).words, penalty)
    }
}

/// The readings of a query, in the order in which they are tried.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Readings {
    /// As it is typed, and with a word as the year.
    pub(crate) plain: Vec<Reading>,
    /// By initial consonants, on the other keyboard layout, without particles, without the word "movie".
    pub(crate) other: Vec<Reading>,
    /// In Latin letters: as transliterated, and with `c` for `k`, which languages with Latin letters prefer.
    pub(crate) latin: Vec<Reading>,
}

impl Readings {
    /// Reads `query`.
    pub(crate) fn new(query: &str) -> Self {
        let query: String = query.chars().take(MAX_QUERY_CHARS).collect();
        let text = Text::new(&query).with_article_first();
        if text.words.is_empty() {
            return Self::default();
        }
        let mut readings = Self::default();
        if has_initials(&text.source) {
            readings.other.extend(pattern(&text.source));
        }
        let plain = Reading::new(text.words.clone(), 0.0);
        readings.plain.extend(with_year(&plain));
        readings.plain.insert(0, plain);
        readings
            .other
            .extend(without_noise(&text).into_iter().flat_map(|reading| {
                let years: Vec<Reading> = with_year(&reading).collect();
                std::iter::once(reading).chain(years)
            }));
        readings.other.extend(without_particles(&text));
        readings.other.extend(other_layout(&text));
        let latin = crate::text::transliterated(&text.source);
        if let Some(latin) = latin.filter(|_| !text.words.iter().any(Word::is_hangul)) {
            readings.latin = [latin.clone(), latin.replace(['k', 'K'], "c")]
                .map(|latin| Reading::of(&latin, 0.05))
                .into();
            readings.latin.dedup();
        }
        readings
    }
}

/// True if a consonant stands alone.
fn has_initials(source: &str) -> bool {
    source.chars().any(hangul::is_consonant)
}

/// The pattern of a query with consonants that stand alone; `None` if a vowel stands alone or it is a single consonant.
fn pattern(source: &str) -> Option<Reading> {
    let mut elements = Vec::new();
    for letter in source.chars() {
        let mut letters = String::new();
        hangul::spell(letter, &mut letters);
        if hangul::is_syllable(letter) {
            elements.push(Element::Syllable(hangul::fold(&letters)));
        } else if hangul::is_consonant(letter) {
            // ㄳ is two.
            elements.extend(
                letters
                    .chars()
                    .filter_map(hangul::initial)
                    .map(Element::Initial),
            );
        } else if hangul::is_jamo(letter) {
            return None;
        } else if letter.is_alphanumeric() {
            elements.extend(letter.to_lowercase().next().map(Element::Other));
        }
    }
    (elements.len() > 1).then(|| Reading {
        pattern: Some(elements),
        ..Reading::new(Vec::new(), 0.0)
    })
}

/// The reading with each number that may be a year as the year.
fn with_year(reading: &Reading) -> impl Iterator<Item = Reading> {
    let places = reading
        .words
        .iter()
        .enumerate()
        .filter_map(|(place, word)| {
            let year = word
                .key
                .parse::<u32>()
                .ok()
                .filter(|year| word.key.len() == 4 && YEARS.contains(year))?;
            Some((place, u16::try_from(year).ok()?))
        });
    let readings: Vec<Reading> = places
        .filter(|_| reading.words.len() > 1)
        .map(|(place, year)| {
            let mut words = reading.words.clone();
            words.remove(place);
            Reading {
                year: Some(year),
                ..Reading::new(words, reading.penalty)
            }
        })
        .collect();
    readings.into_iter()
}

/// The query without words such as "movie" at either end.
fn without_noise(text: &Text) -> Option<Reading> {
    let is_noise = |word: &Word| {
        let written = &text.source[word.span.clone()];
        NOISE.contains(&written.to_lowercase().as_str())
    };
    let mut words = text.words.as_slice();
    while let [rest @ .., last] = words
        && is_noise(last)
    {
        words = rest;
    }
    while let [first, rest @ ..] = words
        && is_noise(first)
    {
        words = rest;
    }
    // A single letter is not what somebody looks for who types the start of another word behind "film".
    let letters: usize = words.iter().map(Word::chars).sum();
    let is_shorter = words.len() < text.words.len() && letters > 1;
    is_shorter.then(|| Reading::new(words.to_vec(), 0.02))
}

/// The query without particles at the ends of words: of the last one, and of all.
fn without_particles(text: &Text) -> Vec<Reading> {
    let strip =
        |word: &Word| hangul::without_particle(&text.source[word.span.clone()]).map(str::to_owned);
    let written = |word: &Word| text.source[word.span.clone()].to_owned();
    let Some((last, rest)) = text.words.split_last() else {
        return Vec::new();
    };
    let mut texts = BTreeSet::new();
    if let Some(stem) = strip(last) {
        texts.insert(
            rest.iter()
                .map(written)
                .chain([stem])
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    if text.words.iter().any(|word| strip(word).is_some()) {
        let all = text
            .words
            .iter()
            .map(|word| strip(word).unwrap_or_else(|| written(word)));
        texts.insert(all.collect::<Vec<_>>().join(" "));
    }
    texts
        .into_iter()
        .map(|text| Reading::of(&text, 0.03))
        .collect()
}

/// The query as it would be on the other keyboard layout, where all of it is letters of one.
fn other_layout(text: &Text) -> Option<Reading> {
    let written = text.source.split_whitespace();
    let is_korean = text.words.iter().any(Word::is_hangul);
    let convert = |word: &str| {
        if word.bytes().all(|byte| byte.is_ascii_digit()) {
            Some(word.to_owned())
        } else if is_korean {
            hangul::typed_in_english(word)
        } else {
            hangul::typed_in_korean(word)
        }
    };
    let words: Option<Vec<String>> = written.map(convert).collect();
    let words = words.filter(|words| {
        words
            .iter()
            .any(|word| !word.bytes().all(|byte| byte.is_ascii_digit()))
    })?;
    let latin = words.concat();
    // Two letters are typed by accident too often, but vowels alone are no Korean.
    let has_vowel = text
        .source
        .chars()
        .any(|letter| hangul::is_jamo(letter) && !hangul::is_consonant(letter));
    (latin.chars().count() > if has_vowel { 1 } else { 2 })
        .then(|| Reading::of(&words.join(" "), 0.05))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn joined(readings: &[Reading]) -> Vec<String> {
        readings
            .iter()
            .map(|reading| reading.joined.exact().to_owned())
            .collect()
    }

    #[test]
    fn a_query_is_read_in_every_way_in_which_it_may_be_meant() {
        let readings = Readings::new("casablanca 1942");
        assert_eq!(joined(&readings.plain), ["casablanca1942", "casablanca"]);
        assert_eq!(readings.plain[1].year, Some(1942));
        assert!(joined(&Readings::new("대부를").other).contains(&"ㄷㅐㅂㅜ".to_owned()));
        assert!(joined(&Readings::new("whzj").other).contains(&"ㅈㅗㅋㅓ".to_owned()));
        assert!(joined(&Readings::new("ㅓㅁㅈㄴ").other).contains(&"jaws".to_owned()));
        assert!(Readings::new("ㅏ").other.is_empty());
        assert!(joined(&Readings::new("괴물 영화").other).contains(&"ㄱㅗㅣㅁㅜㄹ".to_owned()));
        let pattern = Readings::new("스ㅋㅇ폴")
            .other
            .remove(0)
            .pattern
            .expect("a pattern");
        assert_eq!(pattern[1], Element::Initial('ㅋ'));
        assert_eq!(
            joined(&Readings::new("КАСАБЛАНКА").latin),
            ["kasablanka", "casablanca"]
        );
    }

    proptest! {
        #[test]
        fn any_query_has_few_readings(query in any::<String>()) {
            let readings = Readings::new(&query);
            prop_assert!(readings.plain.len() + readings.other.len() <= 4 * MAX_WORDS);
        }
    }
}
