//! Analysis of titles, names and queries: words in a form in which accents, case, width, punctuation and the
//! composition of characters do not matter. Documents and queries are analysed alike; nothing here reads an index.

mod fold;
pub mod hangul;
pub(crate) mod letters;
pub mod numbers;

use std::{borrow::Cow, ops::Range};

use icu_normalizer::ComposingNormalizerBorrowed;

use self::fold::fold_into;

/// Words of a title that are analysed; the rest is ignored.
const MAX_WORDS: usize = 24;
/// Characters of a word that are analysed.
const MAX_WORD_CHARS: usize = 48;

/// Bytes of most words.
const RUN_BYTES: usize = 16;

/// Articles, which may be missing at the start of a title or stand at its end.
const ARTICLES: [&str; 19] = [
    "the", "a", "an", "le", "la", "les", "l", "un", "une", "el", "los", "las", "il", "lo", "gli",
    "der", "die", "das", "ein",
];

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// In lower case without accents; Hangul as letters, with spelling variants made equal. Terms of the index are made
    /// of it.
    pub key: String,
    /// The same before spelling variants are made equal, if it differs.
    spelled: Option<String>,
    /// The number that it means.
    pub number: Option<u32>,
    /// Its bytes in [`Text::source`].
    pub span: Range<usize>,
}

impl Word {
    /// The word before spelling variants of Hangul are made equal.
    pub fn exact(&self) -> &str {
        self.spelled.as_deref().unwrap_or(&self.key)
    }

    /// The number of characters of the key.
    pub fn chars(&self) -> usize {
        char_count(&self.key)
    }

    /// True for an article.
    pub fn is_article(&self) -> bool {
        ARTICLES.contains(&self.key.as_str())
    }

    /// True for a word that may be missing in a title: an article or "and".
    pub fn is_optional(&self) -> bool {
        self.is_article() || self.key == "and"
    }

    /// True if it is written in digits alone.
    pub fn is_digits(&self) -> bool {
        self.key.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// True if it is written in Hangul.
    pub fn is_hangul(&self) -> bool {
        self.key.starts_with(hangul::is_jamo)
    }
}

/// The number of characters.
pub fn char_count(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        text.chars().count()
    }
}

/// An analysed text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The text in Unicode's normal form C.
    pub source: String,
    /// Its words.
    pub words: Vec<Word>,
    /// True if a comma stands before the last word.
    pub has_last_comma: bool,
}

/// The words of a text without spaces, in the forms in which names are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    /// All keys.
    pub key: String,
    /// The number of characters of the key.
    pub length: usize,
    /// All words before spelling variants are made equal, if they differ from the key.
    exact: Option<String>,
    /// All keys with numbers in digits, if they differ from the key.
    numeric: Option<String>,
    /// Bytes of an article at the start.
    article: usize,
}

impl Joined {
    /// Joins the words of a text.
    pub fn new(text: &Text) -> Self {
        let key = text.joined();
        let words = &text.words;
        let is_spelled = words.iter().any(|word| word.spelled.is_some());
        let has_numbers = words.iter().any(|word| word.number.is_some());
        let has_article = text.without_article().len() < words.len();
        Self {
            length: char_count(&key),
            exact: is_spelled.then(|| text.joined_exact()),
            numeric: has_numbers.then(|| text.joined_numeric()),
            article: words
                .first()
                .filter(|_| has_article)
                .map_or(0, |word| word.key.len()),
            key,
        }
    }

    /// All words before spelling variants are made equal.
    pub fn exact(&self) -> &str {
        self.exact.as_deref().unwrap_or(&self.key)
    }

    /// All keys with numbers in digits.
    pub fn numeric(&self) -> &str {
        self.numeric.as_deref().unwrap_or(&self.key)
    }

    /// The same without an article at the start.
    pub fn articleless(&self) -> &str {
        &self.numeric()[self.article..]
    }
}

/// A run of letters that belong together.
struct Run {
    letters: String,
    span: Range<usize>,
    is_hangul: bool,
    /// The characters between the previous run and this one.
    before: Between,
}

/// Characters between two runs.
#[derive(Debug, Clone, Copy, Default)]
struct Between {
    count: usize,
    first: char,
    has_comma: bool,
}

impl Between {
    fn push(&mut self, letter: char) {
        if self.count == 0 {
            self.first = letter;
        }
        self.count += 1;
        self.has_comma |= letter == ',';
    }

    /// True if nothing but `letter` is between.
    fn is(self, letter: char) -> bool {
        self.count == 1 && self.first == letter
    }
}

impl Text {
    /// Analyses `text`.
    pub fn new(text: &str) -> Self {
        let source = composed(text);
        let runs = joined_runs(runs(&source));
        let has_last_comma = runs.len() > 1 && runs.last().is_some_and(|run| run.before.has_comma);
        let words = runs
            .into_iter()
            .take(MAX_WORDS)
            .enumerate()
            .map(|(place, run)| {
                let mut exact = run.letters;
                if let Some((end, _)) = exact.char_indices().nth(MAX_WORD_CHARS) {
                    exact.truncate(end);
                }
                let number = numbers::value(&exact, place == 0);
                let (key, spelled) = match run.is_hangul {
                    true => (hangul::fold(&exact), Some(exact)),
                    false => (exact, None),
                };
                Word {
                    spelled: spelled.filter(|spelled| *spelled != key),
                    key,
                    number,
                    span: run.span,
                }
            });
        Self {
            words: words.collect(),
            has_last_comma,
            source: source.into_owned(),
        }
    }

    /// All keys without spaces.
    pub fn joined(&self) -> String {
        self.words.iter().map(|word| word.key.as_str()).collect()
    }

    /// All words without spaces, before spelling variants are made equal.
    pub fn joined_exact(&self) -> String {
        self.words.iter().map(Word::exact).collect()
    }

    /// [`Text::joined`] with numbers in digits.
    pub fn joined_numeric(&self) -> String {
        let mut out = String::new();
        for word in &self.words {
            match word.number {
                Some(number) => out.push_str(&number.to_string()),
                None => out.push_str(&word.key),
            }
        }
        out
    }

    /// The words without an article at the start; all of them if nothing else is there.
    pub fn without_article(&self) -> &[Word] {
        match self.words.split_first() {
            Some((first, rest)) if first.is_article() && !rest.is_empty() => rest,
            _ => &self.words,
        }
    }

    /// The same text with an article that follows a comma moved from the end to the start: `Exorcist, The`.
    pub fn with_article_first(mut self) -> Self {
        if self.has_last_comma
            && self.words.len() > 1
            && self.words.last().is_some_and(Word::is_article)
        {
            self.words.rotate_right(1);
            self.has_last_comma = false;
        }
        self
    }
}

/// `text` in Unicode's normal form C.
fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// Splits a text into runs of letters and digits.
fn runs(source: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut between = Between::default();
    let mut letters = String::new();
    let mut in_run = false;
    for (at, letter) in source.char_indices() {
        let end = at + letter.len_utf8();
        if is_dropped(letter) {
            continue;
        }
        if is_apostrophe(letter) {
            // An elided article is a word: l'avventura; a contraction is one word: don't.
            let elides = in_run
                && runs
                    .last()
                    .is_some_and(|run| matches!(run.letters.as_str(), "l" | "d"));
            in_run &= !elides;
            continue;
        }
        if letter == '&' {
            let before = std::mem::take(&mut between);
            runs.push(Run {
                letters: "and".to_owned(),
                span: at..end,
                is_hangul: false,
                before,
            });
            in_run = false;
            continue;
        }
        letters.clear();
        let is_hangul = fold_into(letter, &mut letters);
        if letters.is_empty() {
            between.push(letter);
            in_run = false;
            continue;
        }
        match runs
            .last_mut()
            .filter(|run| in_run && run.is_hangul == is_hangul)
        {
            Some(run) => {
                run.letters.push_str(&letters);
                run.span.end = end;
            }
            None => {
                let before = std::mem::take(&mut between);
                let mut first = String::with_capacity(letters.len().max(RUN_BYTES));
                first.push_str(&letters);
                runs.push(Run {
                    letters: first,
                    span: at..end,
                    is_hangul,
                    before,
                });
            }
        }
        in_run = true;
    }
    runs
}

/// Joins the letters of acronyms (`E.T.`, `M*A*S*H`) and the groups of large numbers (`20,000`).
fn joined_runs(runs: Vec<Run>) -> Vec<Run> {
    let mut out: Vec<Run> = Vec::with_capacity(runs.len());
    // True while the last run is made of single letters.
    let mut is_acronym = false;
    for run in runs {
        let is_letter =
            char_count(&run.letters) == 1 && run.letters.starts_with(char::is_alphabetic);
        if let Some(last) = out.last_mut() {
            let joins_letters =
                is_letter && is_acronym && (run.before.is('.') || run.before.is('*'));
            let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            let joins_digits = run.before.is(',')
                && run.letters.len() == 3
                && is_number(&run.letters)
                && is_number(&last.letters);
            if joins_letters || joins_digits {
                last.letters.push_str(&run.letters);
                last.span.end = run.span.end;
                continue;
            }
        }
        is_acronym = is_letter;
        out.push(run);
    }
    out
}

/// True for characters without a meaning of their own: soft hyphens, joiners, directions, variations.
fn is_dropped(letter: char) -> bool {
    matches!(letter, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}')
}

fn is_apostrophe(letter: char) -> bool {
    matches!(letter, '\'' | '’' | '‘' | 'ʼ' | '`' | '´' | '′' | '＇')
}

/// The text in Latin letters; `None` if it has none but Latin letters already.
pub fn transliterated(text: &str) -> Option<String> {
    let has_other = text
        .chars()
        .any(|letter| letter.is_alphabetic() && !is_latin(letter));
    has_other.then(|| any_ascii::any_ascii(text))
}

fn is_latin(letter: char) -> bool {
    letter.is_ascii()
        || ('\u{C0}'..='\u{24F}').contains(&letter)
        || ('\u{1E00}'..='\u{1EFF}').contains(&letter)
}

#[cfg(test)]
mod tests {
    use icu_normalizer::DecomposingNormalizerBorrowed;
    use proptest::prelude::*;

    use super::*;

    fn keys(text: &str) -> String {
        let words = Text::new(text).words;
        words.iter().map(Word::exact).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_lose_accents_case_width_and_punctuation() {
        for (text, expected) in [
            ("Amélie", "amelie"),
            ("E.T. the Extra-Terrestrial", "et the extra terrestrial"),
            ("M*A*S*H", "mash"),
            ("WALL·E", "wall e"),
            ("Ocean’s Eleven", "oceans eleven"),
            ("L'avventura", "l avventura"),
            ("Fast & Furious", "fast and furious"),
            ("20,000 Leagues", "20000 leagues"),
            ("ＫＩＮＧ　ＫＯＮＧ", "king kong"),
            ("Straße", "strasse"),
            ("Alien³", "alien3"),
            ("아이언맨3", "ㅇㅏㅇㅣㅇㅓㄴㅁㅐㄴ 3"),
            ("\u{1107}\u{1169}\u{11bc}", "ㅂㅗㅇ"),
            ("КАСАБЛАНКА", "касабланка"),
            ("羅生門", "羅生門"),
            ("🎬🎬", ""),
        ] {
            assert_eq!(keys(text), expected, "{text}");
        }
    }

    #[test]
    fn an_article_behind_a_comma_belongs_to_the_front() {
        let text = Text::new("Exorcist, The").with_article_first();
        assert_eq!(text.joined(), "theexorcist");
        assert_eq!(Text::new("kill bill ii").joined_numeric(), "killbill2");
    }

    proptest! {
        #[test]
        fn any_text_is_analysed_alike_in_either_composition(text in any::<String>()) {
            let decomposed: String = DecomposingNormalizerBorrowed::new_nfd().normalize(&text).into_owned();
            let (one, two) = (Text::new(&text), Text::new(&decomposed));
            prop_assert_eq!(one.joined(), two.joined());
            for word in &one.words {
                prop_assert!(one.source.get(word.span.clone()).is_some());
            }
        }
    }
}
