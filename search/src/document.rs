//! Documents of the index: movies, people and keywords with all their names, and the terms by which they are found.
//! The owner of the catalogue makes them; [`crate::index`] stores them.

use std::{collections::BTreeSet, ops::Range};

use rustc_hash::{FxBuildHasher, FxHashSet};
use serde::{Deserialize, Serialize};

use crate::text::{Joined, Text, Word, hangul, transliterated};

/// Steps of the column of fame.
pub(crate) const FAME_STEPS: f32 = 65_535.0;
/// Names of a document that are indexed.
const MAX_NAMES: usize = 60;
/// The longest term of joined words, in characters.
pub(crate) const MAX_JOINED_CHARS: usize = 32;
/// The longest prefix of a word that is a term of its own, in characters.
pub(crate) const MAX_EDGE_CHARS: usize = 6;
/// Initial consonants per term.
pub(crate) const MAX_INITIALS: usize = 4;
/// Starts of joined words per name.
const MAX_STARTS: usize = 24;

/// The kind of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A movie.
    Movie,
    /// A member of casts or crews.
    Person,
    /// A keyword.
    Keyword,
}

impl Kind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Movie => b'm',
            Self::Person => b'p',
            Self::Keyword => b'k',
        }
    }

    /// The key of a document, unique over all kinds.
    pub(crate) fn key(self, id: i64) -> u64 {
        (u64::from(self.code()) << 56) | (id.unsigned_abs() & 0x00FF_FFFF_FFFF_FFFF)
    }
}

/// The part that a name plays for its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The name in the catalogue's language.
    Main,
    /// The name in its own language.
    Original,
    /// A translation.
    Translation,
    /// Any other name.
    Alternative,
    /// A transliteration of another name.
    Latin,
}

/// A name of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The name as it is displayed.
    pub text: String,
    /// Its part.
    pub role: Role,
    /// The language, ISO 639-1, if it is known.
    pub language: Option<String>,
}

impl Name {
    /// A name in a language, ISO 639-1, if it is known.
    pub fn new(text: &str, role: Role, language: Option<&str>) -> Self {
        Self {
            text: text.to_owned(),
            role,
            language: language.map(str::to_owned),
        }
    }
}

/// A document.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The kind.
    pub kind: Kind,
    /// The id, unique within the kind.
    pub id: i64,
    /// All names, the main one first.
    pub names: Vec<Name>,
    /// Fame, 0 to 1; breaks ties. See [`fame`].
    pub fame: f32,
    /// The year of the first release.
    pub year: Option<u16>,
    /// The original language, ISO 639-1.
    pub language: String,
    /// Ids of genres.
    pub genres: Vec<u32>,
    /// The names of each member of the cast and crew.
    pub people: Vec<Vec<String>>,
    /// The names of keywords.
    pub keywords: Vec<String>,
    /// Data of the owner, returned with hits.
    pub payload: String,
}

/// Fame from 0 to 1 by the logarithm of a count: 1 from about a hundred thousand votes on.
pub fn fame(votes: f64) -> f32 {
    const FULL: f64 = 11.5;
    #[expect(clippy::cast_possible_truncation, reason = "0 to 1")]
    let fame = ((1.0 + votes.max(0.0)).ln() / FULL).min(1.0) as f32;
    fame
}

/// The field of a term: the first byte of every term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Tag {
    /// A word of a name.
    Word = b'W',
    /// Two words of a name, written as one. Apart from words, since there are many and they are not corrected.
    Pair = b'P',
    /// The first characters of a word of a name.
    Edge = b'E',
    /// A name without spaces from the start of one of its words on.
    Joined = b'J',
    /// A whole name without spaces.
    Exact = b'X',
    /// Initial consonants.
    Initials = b'I',
    /// A word of the name of a member of the cast or crew.
    Credit = b'C',
    /// A whole name of a member of the cast or crew without spaces.
    CreditName = b'N',
    /// A word of a keyword.
    Topic = b'T',
    /// A year.
    Year = b'Y',
}

/// Bytes of a term before its text.
pub(crate) const TAG_BYTES: usize = 2;

/// The terms of a document, each once.
#[derive(Default)]
pub(crate) struct Terms {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Terms {
    /// Adds a term whose text is made of `parts`.
    fn add(&mut self, kind: Kind, tag: Tag, parts: &[&str]) {
        let start = self.bytes.len();
        self.bytes.extend([kind.code(), tag as u8]);
        for part in parts {
            self.bytes.extend_from_slice(part.as_bytes());
        }
        self.places.push(start..self.bytes.len());
    }

    /// The terms, each once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut seen = FxHashSet::with_capacity_and_hasher(self.places.len(), FxBuildHasher);
        let terms = self.places.iter().map(|place| &self.bytes[place.clone()]);
        terms.filter(move |term| seen.insert(*term))
    }
}

/// A term: the kind of documents, the field, the text.
pub(crate) fn term(kind: Kind, tag: Tag, text: &str) -> Vec<u8> {
    let mut term = Vec::with_capacity(text.len() + TAG_BYTES);
    term.push(kind.code());
    term.push(tag as u8);
    term.extend_from_slice(text.as_bytes());
    term
}

/// The term of a number, however it is written.
pub(crate) fn number_text(number: u32) -> String {
    format!("#{number}")
}

/// The first `count` characters.
pub(crate) fn first_chars(text: &str, count: usize) -> &str {
    match text.char_indices().nth(count) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The syllables of a text, for patterns of initial consonants: Hangul by initial consonants, other letters and
/// digits as they are, in lower case.
pub(crate) fn initials(source: &str) -> String {
    let initial = |letter: char| match hangul::initial(letter) {
        Some(initial) => Some(initial),
        None => letter
            .is_alphanumeric()
            .then(|| letter.to_lowercase().next().unwrap_or(letter)),
    };
    source.chars().filter_map(initial).collect()
}

impl Document {
    /// A document of which only names and fame are known.
    pub fn new(kind: Kind, id: i64, names: Vec<Name>, fame: f32) -> Self {
        Self {
            kind,
            id,
            names,
            fame,
            year: None,
            language: String::new(),
            genres: Vec::new(),
            people: Vec::new(),
            keywords: Vec::new(),
            payload: String::new(),
        }
    }

    /// The fame as the column holds it.
    pub(crate) fn fame_steps(&self) -> u16 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 65535"
        )]
        let steps = (self.fame.clamp(0.0, 1.0) * FAME_STEPS) as u16;
        steps
    }

    /// The names that are indexed: those given, and transliterations of those in other scripts.
    pub(crate) fn all_names(&self) -> Vec<Name> {
        let mut seen = BTreeSet::new();
        let given = self
            .names
            .iter()
            .filter(|name| !name.text.trim().is_empty());
        let mut all: Vec<Name> = given
            .filter(|name| seen.insert(Text::new(&name.text).joined_exact()))
            .cloned()
            .collect();
        all.truncate(MAX_NAMES);
        let latin: Vec<Name> = all
            .iter()
            // Han characters have another sound in each language.
            .filter(|name| !name.text.chars().any(is_han))
            .filter_map(|name| transliterated(&name.text))
            .filter(|text| seen.insert(Text::new(text).joined_exact()))
            .map(|text| Name {
                text,
                role: Role::Latin,
                language: None,
            })
            .collect();
        all.extend(latin);
        all
    }

    /// The terms by which the document is found.
    pub(crate) fn terms(&self, names: &[Name]) -> Terms {
        let mut terms = Terms::default();
        for name in names {
            let text = Text::new(&name.text);
            self.name_terms(&text, name.role, &mut terms);
        }
        let mut add = |tag, parts: &[&str]| terms.add(self.kind, tag, parts);
        for name in self.people.iter().flatten() {
            let text = Text::new(name);
            for word in &text.words {
                add(Tag::Credit, &[&word.key]);
            }
            let keys: Vec<&str> = text.words.iter().map(|word| word.key.as_str()).collect();
            add(Tag::CreditName, &keys);
            if let [words @ .., last] = keys.as_slice()
                && !words.is_empty()
            {
                let last_first: Vec<&str> = std::iter::once(last).chain(words).copied().collect();
                add(Tag::CreditName, &last_first);
            }
        }
        for keyword in &self.keywords {
            for word in Text::new(keyword).words {
                add(Tag::Topic, &[&word.key]);
            }
        }
        if let Some(year) = self.year {
            add(Tag::Year, &[&year.to_string()]);
        }
        terms
    }

    fn name_terms(&self, text: &Text, role: Role, terms: &mut Terms) {
        let mut add = |tag, parts: &[&str]| terms.add(self.kind, tag, parts);
        for word in &text.words {
            add(Tag::Word, &[&word.key]);
            if let Some(number) = word.number {
                add(Tag::Word, &[&number_text(number)]);
            }
            for (end, letter) in word.key.char_indices().take(MAX_EDGE_CHARS) {
                add(Tag::Edge, &[&word.key[..end + letter.len_utf8()]]);
            }
        }
        // Pairs meet queries that write two words as one.
        for pair in text.words.windows(2) {
            add(Tag::Pair, &[&pair[0].key, &pair[1].key]);
        }
        // The words of other names are found from the start on, or one by one: names have many translations, and every
        // start would double the index.
        let is_own =
            matches!(role, Role::Main | Role::Original) || text.words.iter().any(Word::is_hangul);
        let max_starts = if is_own {
            MAX_STARTS
        } else {
            1 + text.words.len() - text.without_article().len()
        };
        for start in starts(&text.words).into_iter().take(max_starts) {
            add(Tag::Joined, &[first_chars(&start, MAX_JOINED_CHARS)]);
        }
        let joined = Joined::new(text);
        for whole in [&joined.key, joined.numeric(), joined.articleless()] {
            add(Tag::Exact, &[whole]);
        }
        if text.source.chars().any(hangul::is_syllable) {
            let initials = initials(&text.source);
            let mut ends: Vec<usize> = initials.char_indices().map(|(at, _)| at).collect();
            ends.push(initials.len());
            let count = ends.len() - 1;
            for start in 0..count.min(MAX_STARTS) {
                for length in 2..=MAX_INITIALS.min(count - start) {
                    add(
                        Tag::Initials,
                        &[&initials[ends[start]..ends[start + length]]],
                    );
                }
            }
        }
    }
}

fn is_han(letter: char) -> bool {
    matches!(letter, '\u{3400}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}

/// The joined words from the start of each word on, and within Hangul and Han, which are written without spaces as
/// well, from each syllable on.
fn starts(words: &[Word]) -> Vec<String> {
    let mut starts = Vec::new();
    let mut rest = String::new();
    for word in words.iter().rev() {
        let joined = format!("{}{rest}", word.key);
        if word.is_hangul() || word.key.chars().any(is_han) {
            let letters: Vec<(usize, char)> = word.key.char_indices().collect();
            for (place, (at, letter)) in letters.iter().enumerate().skip(1) {
                // A syllable begins at a consonant with a vowel behind it.
                let begins = is_han(*letter)
                    || (hangul::is_consonant(*letter)
                        && letters
                            .get(place + 1)
                            .is_some_and(|(_, next)| !hangul::is_consonant(*next)));
                if begins {
                    starts.push(joined[*at..].to_owned());
                }
            }
        }
        starts.push(joined.clone());
        rest = joined;
    }
    starts.reverse();
    starts.truncate(MAX_STARTS);
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_terms_begin_at_words_and_syllables() {
        let words = |text: &str| Text::new(text).words;
        assert_eq!(starts(&words("King Kong")), ["kingkong", "kong"]);
        assert_eq!(starts(&words("괴물")), ["ㄱㅗㅔㅁㅜㄹ", "ㅁㅜㄹ"]);
    }

    #[test]
    fn initials_cover_digits_and_pass_over_spaces() {
        assert_eq!(initials("아이언맨 3"), "ㅇㅇㅇㅁ3");
        assert_eq!(initials("싸이코"), "ㅅㅇㅋ");
    }
}
