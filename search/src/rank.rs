//! The match of a reading with a name, from 0 to 1. A whole name is above any prefix, a prefix above words in another
//! place, those above typing errors; within each, the share of the name that is covered decides. Fame is added by
//! [`crate::engine`], within a bound.

use std::ops::Range;

use crate::{
    distance::Pattern,
    document::Role,
    query::{Element, Reading},
    text::{Joined, Text, Word, hangul, letters::Letters},
};

/// The match of a whole name, letter by letter.
pub(crate) const WHOLE: f32 = 1.0;
/// The least match of a whole name in another spelling.
pub(crate) const WHOLE_OTHER: f32 = 0.95;
/// The match of a whole name with a query whose last word has only begun.
const BEGUN: f32 = 0.80;
/// A word that may be missing in the name, and is.
const MISSING: f32 = 0.5;
/// The least difference by which a word elsewhere in the document is preferred to one in the name.
const IN_NAME: f32 = 0.15;
/// The lowest match that needs no tolerance.
pub(crate) const GOOD: f32 = 0.72;
/// The highest match with a typing error.
const MAX_TOLERANT: f32 = 0.79;

/// The match of each word of the query outside of the name, 0 to 1; 0 if it is not found there.
pub(crate) type Support<'a> = &'a [f32];

/// A match with a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Match {
    /// From 0 to 1.
    pub(crate) quality: f32,
    /// The matched bytes of the name.
    pub(crate) spans: Vec<Range<usize>>,
}

/// Typing errors that are tolerated in `count` characters; in Hangul, characters are letters of syllables.
pub(crate) fn tolerance(count: usize) -> usize {
    match count {
        0..=3 => 0,
        4..=7 => 1,
        _ => 2,
    }
}

/// The factor of a name by its part.
pub(crate) fn role_factor(role: Role) -> f32 {
    match role {
        Role::Main | Role::Original => 1.0,
        Role::Translation => 0.995,
        Role::Alternative => 0.99,
        Role::Latin => 0.97,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of characters")]
fn share(part: usize, whole: usize) -> f32 {
    part.min(whole) as f32 / whole.max(1) as f32
}

/// A reading, prepared for the comparison with many names.
pub(crate) struct Comparison<'a> {
    reading: &'a Reading,
    words: Vec<Letters>,
    joined: Letters,
    /// For typing errors, if they count: the words, and all of them without spaces.
    tolerant: Option<Tolerant>,
}

struct Tolerant {
    words: Vec<Pattern>,
    joined: Pattern,
}

impl<'a> Comparison<'a> {
    /// Prepares a reading. Typing errors count only if `is_tolerant`.
    pub(crate) fn new(reading: &'a Reading, is_tolerant: bool) -> Self {
        let words = reading.words.iter();
        Self {
            reading,
            words: words
                .clone()
                .map(|word| Letters::of_key(&word.key))
                .collect(),
            joined: Letters::of_key(&reading.joined.key),
            tolerant: is_tolerant.then(|| Tolerant {
                words: words.map(|word| Pattern::new(word.key.chars())).collect(),
                joined: Pattern::new(reading.joined.key.chars()),
            }),
        }
    }

    /// False if no word of the reading can be found in a name with these letters.
    pub(crate) fn may_match(&self, name: Letters) -> bool {
        if self.reading.pattern.is_some() {
            return name.has_others();
        }
        let errors = |count| match self.tolerant {
            Some(_) => tolerance(count),
            None => 0,
        };
        let mut words = self.reading.words.iter().zip(&self.words);
        words.any(|(word, letters)| {
            letters.are_in(name, errors(word.chars()))
                || (word.number.is_some() && name.may_be_number())
        }) || self.joined.are_in(name, errors(self.reading.joined.length))
    }

    /// The match with a name in which no word of the reading is found.
    pub(crate) fn elsewhere(&self, support: Support<'_>) -> Match {
        match self.reading.pattern {
            Some(_) => Match::default(),
            None => self.match_words(&Text::default(), support),
        }
    }

    /// The best match with a name; `joined` are its words without spaces.
    pub(crate) fn match_name(&self, name: &Text, joined: &Joined, support: Support<'_>) -> Match {
        if let Some(pattern) = &self.reading.pattern {
            return match_pattern(pattern, name);
        }
        let mut best = match_joined(self.reading, name, joined);
        if best.quality < WHOLE_OTHER {
            let words = self.match_words(name, support);
            if words.quality > best.quality {
                best = words;
            }
        }
        if let Some(tolerant) = &self.tolerant
            && best.quality < MAX_TOLERANT
        {
            let tolerant = match_tolerant(self.reading, &tolerant.joined, name, joined);
            if tolerant.quality > best.quality {
                best = tolerant;
            }
        }
        best
    }

    /// Each word of the query on its own, in any order, or found elsewhere in the document.
    fn match_words(&self, name: &Text, support: Support<'_>) -> Match {
        let words = &self.reading.words;
        let mut used = vec![false; name.words.len()];
        let (mut matched, mut length) = (0.0, 0.0);
        let mut places = Vec::with_capacity(words.len());
        let mut at = 0;
        let mut has_typo = false;
        while at < words.len() {
            let word = &words[at];
            let may_be_prefix = at + 1 == words.len();
            let pattern = self.tolerant.as_ref().map(|tolerant| &tolerant.words[at]);
            let free = |place: &usize| !used[*place];
            let mut best = (0.0_f32, Vec::new(), 1);
            for place in (0..name.words.len()).filter(free) {
                let quality = match_word(word, &name.words[place], may_be_prefix, pattern);
                if quality > best.0 {
                    best = (quality, vec![place], 1);
                }
            }
            if best.0 < 0.97 {
                best = match_pairs(words, at, name, &used, best);
            }
            let weight = share_of(words[at..at + best.2].iter().map(Word::chars).sum());
            let elsewhere = support.get(at).copied().unwrap_or(0.0);
            // In the name it counts for order and coverage as well.
            if best.0 + IN_NAME < elsewhere {
                best = (elsewhere, Vec::new(), 1);
            }
            if best.0 == 0.0 {
                if !word.is_optional() || words.len() == 1 {
                    return Match::default();
                }
                best.0 = MISSING;
            } else {
                has_typo |= best.0 < 0.80;
            }
            matched += best.0 * weight;
            length += weight;
            for place in &best.1 {
                used[*place] = true;
                places.push(*place);
            }
            at += best.2;
        }
        let quality = matched / f32::max(length, 1.0);
        let name_length: usize = name.words.iter().map(Word::chars).sum();
        let covered = name
            .words
            .iter()
            .zip(&used)
            .filter(|(_, used)| **used)
            .map(|(word, _)| word.chars())
            .sum();
        let in_order = places.is_sorted();
        let first = name.words.len() - name.without_article().len();
        let from_start = places.first().is_some_and(|place| *place <= first);
        let bonus = 0.05 * share(covered, name_length)
            + if !places.is_empty() && in_order {
                0.02
            } else {
                0.0
            }
            + if from_start { 0.03 } else { 0.0 };
        let quality = 0.30 + 0.40 * quality + bonus;
        let spans = places
            .iter()
            .map(|place| name.words[*place].span.clone())
            .collect();
        Match {
            quality: if has_typo {
                quality.min(MAX_TOLERANT)
            } else {
                quality
            },
            spans,
        }
    }
}

/// True if the query is a whole name only because its last one or two letters, with which a word seems to begin, are
/// written as part of the word before: `eternal s` and `Eternals`.
fn begins_a_word(reading: &Reading, name: &Text) -> bool {
    let [.., before, last] = reading.words.as_slice() else {
        return false;
    };
    let is_begun =
        last.chars() <= 2 && before.chars() > 2 && last.number.is_none() && !last.is_hangul();
    is_begun && name.words.last().is_some_and(|word| word.key != last.key)
}

fn whole(name: &Text, quality: f32) -> Match {
    let spans = name.words.iter().map(|word| word.span.clone()).collect();
    Match { quality, spans }
}

/// The query without spaces as the whole name, its start, or the start of a later word.
fn match_joined(reading: &Reading, name: &Text, forms: &Joined) -> Match {
    let joined = forms.key.as_str();
    let query = reading.joined.key.as_str();
    if joined == query && !joined.is_empty() {
        let quality = match forms.exact() == reading.joined.exact() {
            true if begins_a_word(reading, name) => BEGUN,
            true => WHOLE,
            false => 0.97,
        };
        return whole(name, quality);
    }
    if forms.numeric() == reading.joined.numeric() {
        return whole(name, 0.965);
    }
    if forms.articleless() == reading.joined.articleless() {
        return whole(name, WHOLE_OTHER);
    }
    let length = forms.length;
    let mut best = Match::default();
    let mut start = 0;
    let skips_article = name.without_article().len() < name.words.len();
    for (place, word) in name.words.iter().enumerate() {
        let rest = &joined[start..];
        if rest.starts_with(query) {
            let end = start + query.len();
            let at_end = ends_at_word(name, end);
            let covered = share(reading.joined.length, length);
            let base = match place {
                0 => 0.80,
                1 if skips_article => 0.795,
                _ => 0.70,
            };
            let quality = base + 0.05 * covered + if at_end { 0.05 } else { 0.0 };
            if quality > best.quality {
                best = Match {
                    quality,
                    spans: spans_between(name, start, end),
                };
            }
        } else if word.is_hangul() && best.quality == 0.0 {
            // Compounds are written as one word: a syllable inside it.
            if let Some(at) = rest[..word.key.len()].find(query).filter(|at| *at > 0)
                && begins_syllable(&word.key[at..])
            {
                let covered = share(reading.joined.length, length);
                let (from, to) = (start + at, start + at + query.len());
                best = Match {
                    quality: 0.60 + 0.05 * covered,
                    spans: spans_between(name, from, to),
                };
            }
        }
        start += word.key.len();
    }
    best
}

fn begins_syllable(letters: &str) -> bool {
    let mut letters = letters.chars();
    letters.next().is_some_and(hangul::is_consonant)
        && letters
            .next()
            .is_some_and(|next| !hangul::is_consonant(next))
}

/// True if a word of the name ends at byte `end` of its joined keys.
fn ends_at_word(name: &Text, end: usize) -> bool {
    let mut at = 0;
    name.words.iter().any(|word| {
        at += word.key.len();
        at == end
    })
}

/// The words that lie in the bytes `from..to` of the joined keys.
fn spans_between(name: &Text, from: usize, to: usize) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut spans = Vec::new();
    for word in &name.words {
        let (start, end) = (at, at + word.key.len());
        at = end;
        if start < to && end > from {
            spans.push(word.span.clone());
        }
    }
    spans
}

/// The match of a word of the query with a word of a name, 0 to 1.
fn match_word(query: &Word, name: &Word, may_be_prefix: bool, pattern: Option<&Pattern>) -> f32 {
    if query.exact() == name.exact() {
        return 1.0;
    }
    if query.key == name.key {
        return 0.98;
    }
    if query.number.is_some() && query.number == name.number {
        return 0.97;
    }
    let (query_length, name_length) = (query.chars(), name.chars());
    if (may_be_prefix || query.is_hangul()) && name.key.starts_with(&query.key) {
        return 0.80 + 0.15 * share(query_length, name_length);
    }
    let Some(pattern) = pattern.filter(|_| !query.is_digits() && !name.is_digits()) else {
        return 0.0;
    };
    let allowed = tolerance(query_length);
    if allowed == 0 || query.is_hangul() != name.is_hangul() {
        return 0.0;
    }
    let is_far = match may_be_prefix {
        true => name_length + allowed < query_length,
        false => query_length.abs_diff(name_length) > allowed,
    };
    if is_far {
        return 0.0;
    }
    let (whole, prefix) = pattern.distances(name.key.chars());
    let cost = 1.6 / share_of(query_length);
    if whole <= allowed && is_plausible(query, name, whole) {
        return 0.95 - cost * share_of(whole);
    }
    if may_be_prefix && query_length >= 5 && prefix <= 1 && is_plausible(query, name, prefix) {
        return 0.80 - cost * share_of(prefix);
    }
    0.0
}

#[expect(clippy::cast_precision_loss, reason = "numbers of characters")]
fn share_of(count: usize) -> f32 {
    count as f32
}

/// Two errors are tolerated only behind the same first letter.
fn is_plausible(query: &Word, name: &Word, errors: usize) -> bool {
    errors < 2 || query.key.chars().next() == name.key.chars().next()
}

/// Two words of the query that are one of the name, or one of the query that is two of the name.
fn match_pairs(
    words: &[Word],
    at: usize,
    name: &Text,
    used: &[bool],
    best: (f32, Vec<usize>, usize),
) -> (f32, Vec<usize>, usize) {
    if let Some(next) = words.get(at + 1) {
        let both = format!("{}{}", words[at].key, next.key);
        let place =
            (0..name.words.len()).find(|place| !used[*place] && name.words[*place].key == both);
        if let Some(place) = place {
            return (0.96, vec![place], 2);
        }
    }
    let is_last = at + 1 == words.len() || words[at].is_hangul();
    for place in 0..name.words.len().saturating_sub(1) {
        if used[place] || used[place + 1] {
            continue;
        }
        let both = format!("{}{}", name.words[place].key, name.words[place + 1].key);
        let query = &words[at].key;
        if both == *query {
            return (0.96, vec![place, place + 1], 1);
        }
        if is_last && query.len() > name.words[place].key.len() && both.starts_with(query) {
            return (0.90, vec![place, place + 1], 1);
        }
    }
    best
}

/// The query without spaces, with typing errors.
fn match_tolerant(reading: &Reading, pattern: &Pattern, name: &Text, forms: &Joined) -> Match {
    let query = reading.joined.key.as_str();
    let (query_length, mut length) = (reading.joined.length, forms.length);
    let mut key = forms.key.as_str();
    let allowed = tolerance(query_length);
    // Numbers are never corrected.
    let digits = |text: &'_ str| text.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
    if allowed == 0 || length + allowed < query_length || digits(query) != digits(key) {
        return Match::default();
    }
    let (mut whole_errors, mut prefix_errors) = pattern.distances(key.chars());
    if name.without_article().len() < name.words.len() {
        let articleless = &key[name.words[0].key.len()..];
        let (whole, prefix) = pattern.distances(articleless.chars());
        if whole < whole_errors {
            (whole_errors, prefix_errors, key) = (whole, prefix, articleless);
            length -= name.words[0].chars();
        }
    }
    let same_start = query.chars().next() == key.chars().next();
    let cost = |errors: usize| 1.2 * share(errors, query_length);
    if whole_errors <= allowed && (whole_errors < 2 || same_start) {
        return whole(name, (0.79 - cost(whole_errors)).max(0.0));
    }
    if query_length >= 5 && prefix_errors <= 1 {
        let covered = share(query_length, length);
        return whole(name, (0.70 - cost(prefix_errors) + 0.04 * covered).max(0.0));
    }
    Match::default()
}

/// A pattern of initial consonants at the start of a name, of one of its words, or of any syllable.
fn match_pattern(pattern: &[Element], name: &Text) -> Match {
    let syllables: Vec<(usize, char)> = name
        .source
        .char_indices()
        .filter(|(_, letter)| letter.is_alphanumeric())
        .collect();
    let mut best = Match::default();
    for start in 0..syllables.len() {
        let rest = &syllables[start..];
        if rest.len() < pattern.len() {
            break;
        }
        let last = pattern.len() - 1;
        let matches = pattern
            .iter()
            .zip(rest)
            .enumerate()
            .all(|(place, (element, (_, letter)))| match_element(element, *letter, place == last));
        if !matches {
            continue;
        }
        let (from, to) = (rest[0].0, rest[last].0 + rest[last].1.len_utf8());
        let at_word = name.words.iter().any(|word| word.span.start == from);
        let base = match (start, rest.len() == pattern.len(), at_word) {
            (0, true, _) => 0.90,
            (0, false, _) => 0.78,
            (_, _, true) => 0.70,
            _ => 0.60,
        };
        let quality = base + 0.06 * share(pattern.len(), syllables.len());
        if quality > best.quality {
            best = Match {
                quality,
                spans: std::iter::once(from..to).collect(),
            };
        }
    }
    best
}

fn match_element(element: &Element, letter: char, is_last: bool) -> bool {
    match element {
        Element::Initial(initial) => hangul::initial(letter) == Some(*initial),
        Element::Other(other) => letter.to_lowercase().next() == Some(*other),
        Element::Syllable(letters) => {
            let mut spelled = String::new();
            hangul::spell(letter, &mut spelled);
            let spelled = hangul::fold(&spelled);
            spelled == *letters || (is_last && spelled.starts_with(letters.as_str()))
        }
    }
}

#[cfg(test)]
mod tests;
