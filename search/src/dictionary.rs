//! The words and names of a segment in memory, for look-ups with typing errors: of the terms of nearly the same length,
//! those with other letters are passed over by a comparison of bits, and the few others are compared letter by letter.
//! [`crate::index`] makes it once a segment; about 25 bytes a word and 12 a name.

use std::ops::Range;

use tantivy::{SegmentReader, postings::TermInfo, termdict::TermDictionary};

use crate::{
    distance::Pattern,
    document::{Kind, TAG_BYTES, Tag, term},
    error::{IndexError, storage},
    schema::Fields,
    text::char_count,
};

/// Longer terms are not found with typing errors.
const MAX_CHARS: usize = 63;

/// The kinds and fields whose terms are found with typing errors; the texts of names are read from the index.
const LISTS: [(Kind, Tag, bool); 7] = [
    (Kind::Movie, Tag::Word, true),
    (Kind::Movie, Tag::Credit, true),
    (Kind::Movie, Tag::Exact, false),
    (Kind::Person, Tag::Word, true),
    (Kind::Person, Tag::Exact, false),
    (Kind::Keyword, Tag::Word, true),
    (Kind::Keyword, Tag::Exact, false),
];

/// Letters as bits: one for each letter that occurs, and one for each that occurs again.
///
/// An error changes a text by at most one letter that it had and one that it has, and so at most one bit each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Letters(u64);

impl Letters {
    fn new(text: impl Iterator<Item = char>) -> Self {
        let mut bits = 0_u64;
        for letter in text {
            let (first, again) = match letter {
                'a'..='z' => {
                    let place = u32::from(letter) - u32::from('a');
                    (place, 36 + place)
                }
                '0'..='9' => {
                    let place = 26 + u32::from(letter) - u32::from('0');
                    (place, 62)
                }
                _ => {
                    let mixed = u32::from(letter).wrapping_mul(0x9E37_79B1);
                    (mixed >> 26, (mixed >> 20) & 63)
                }
            };
            bits |= if bits & (1 << first) == 0 {
                1 << first
            } else {
                1 << again
            };
        }
        Self(bits)
    }
}

/// True if at most `count` bits are set, which is 1 or 2.
fn has_at_most(bits: u64, count: u8) -> bool {
    let rest = bits & bits.wrapping_sub(1);
    match count {
        0 => bits == 0,
        1 => rest == 0,
        _ => rest & rest.wrapping_sub(1) == 0,
    }
}

/// The terms of a kind and field with one number of letters, in the order of the index.
#[derive(Default)]
struct Bucket {
    letters: Vec<u64>,
    /// Places in the term dictionary of the index; empty if texts are kept.
    ordinals: Vec<u32>,
    /// Terms with the same first two letters.
    groups: Vec<Group>,
    /// The end of each text in `texts`; empty if texts are not kept.
    ends: Vec<u32>,
    texts: String,
}

/// Terms of a bucket with the same first two letters.
struct Group {
    letters: (char, char),
    /// The place of the first one.
    start: usize,
}

/// The first two letters of a text.
fn first_two(text: &str) -> (char, char) {
    let mut letters = text.chars();
    let mut next = || letters.next().unwrap_or(' ');
    (next(), next())
}

/// The terms of a kind and field.
struct List {
    kind: Kind,
    tag: Tag,
    /// By their number of letters.
    buckets: Vec<Bucket>,
}

/// The terms of a segment that are found with typing errors.
pub(crate) struct Dictionary(Vec<List>);

/// A term within a distance.
#[derive(Debug, Clone)]
pub(crate) struct NearTerm {
    /// The errors.
    pub(crate) distance: usize,
    /// Its postings.
    pub(crate) info: TermInfo,
}

/// The terms that are sought.
pub(crate) struct Sought<'a> {
    /// The text as it was typed.
    pub(crate) text: &'a str,
    /// The same.
    pub(crate) pattern: &'a Pattern,
    /// The most errors, 1 or 2.
    pub(crate) errors: u8,
    /// True if terms only start so, with one error.
    pub(crate) prefix: bool,
    /// True if the first letter is right; always with two errors.
    pub(crate) same_start: bool,
}

impl Dictionary {
    /// Reads the terms of a segment.
    ///
    /// # Errors
    /// `Storage` if the index cannot be read.
    pub(crate) fn new(reader: &SegmentReader, fields: Fields) -> Result<Self, IndexError> {
        let index = reader.inverted_index(fields.terms)?;
        let lists = LISTS
            .iter()
            .map(|(kind, tag, keeps_texts)| List::new(index.terms(), *kind, *tag, *keeps_texts));
        Ok(Self(lists.collect::<Result<_, _>>()?))
    }

    /// The terms of a kind and field that are near a text.
    ///
    /// # Errors
    /// `Storage` if the index cannot be read.
    pub(crate) fn near(
        &self,
        terms: &TermDictionary,
        kind: Kind,
        tag: Tag,
        sought: &Sought<'_>,
    ) -> Result<Vec<NearTerm>, IndexError> {
        let mut lists = self.0.iter();
        let list = lists.find(|list| (list.kind, list.tag) == (kind, tag));
        list.map_or_else(|| Ok(Vec::new()), |list| list.near(terms, sought))
    }
}

impl List {
    fn new(
        terms: &TermDictionary,
        kind: Kind,
        tag: Tag,
        keeps_texts: bool,
    ) -> Result<Self, IndexError> {
        let from = term(kind, tag, "");
        let mut stream = terms.range().ge(&from).into_stream().map_err(storage)?;
        let mut buckets: Vec<Bucket> = Vec::new();
        buckets.resize_with(MAX_CHARS + 1, Bucket::default);
        // A bound of the stream would be compared with each term as a whole.
        while stream.advance() && stream.key().starts_with(&from) {
            let text = std::str::from_utf8(&stream.key()[from.len()..]).unwrap_or_default();
            if let Some(bucket) = buckets.get_mut(char_count(text)) {
                bucket.add(text, stream.term_ord(), keeps_texts);
            }
        }
        buckets.iter_mut().for_each(Bucket::shrink);
        Ok(Self { kind, tag, buckets })
    }

    fn near(
        &self,
        terms: &TermDictionary,
        sought: &Sought<'_>,
    ) -> Result<Vec<NearTerm>, IndexError> {
        let letters = Letters::new(sought.text.chars().take(MAX_CHARS)).0;
        let length = char_count(sought.text);
        let errors = usize::from(sought.errors);
        let longest = if sought.prefix {
            MAX_CHARS
        } else {
            length + errors
        };
        let (first, second) = first_two(sought.text);
        // With one error, one of the first two letters is one of those of the text.
        let may_begin_so = |(one, two): (char, char)| {
            one == first || (!sought.same_start && (one == second || two == first || two == second))
        };
        let (mut near, mut bytes) = (Vec::new(), Vec::new());
        let shortest = length.saturating_sub(errors);
        let buckets = self.buckets.iter().take(longest + 1).skip(shortest);
        for bucket in buckets {
            let places = bucket.groups.iter().enumerate();
            let places = places.filter(|(_, group)| may_begin_so(group.letters));
            let places = places.flat_map(|(place, _)| bucket.places(place));
            for place in places {
                let other = bucket.letters[place];
                let is_far = !has_at_most(letters & !other, sought.errors)
                    || !(sought.prefix || has_at_most(other & !letters, sought.errors));
                if is_far {
                    continue;
                }
                let text = match bucket.ordinals.get(place) {
                    None => bucket.text(place),
                    Some(ordinal) => {
                        let ordinal = u64::from(*ordinal);
                        terms.ord_to_term(ordinal, &mut bytes).map_err(storage)?;
                        let text = bytes.get(TAG_BYTES..).unwrap_or_default();
                        std::str::from_utf8(text).unwrap_or_default()
                    }
                };
                let (whole, begun) = sought.pattern.distances(text.chars());
                let distance = if sought.prefix { begun } else { whole };
                if distance <= errors
                    && let Some(info) = terms
                        .get(term(self.kind, self.tag, text))
                        .map_err(storage)?
                {
                    near.push(NearTerm { distance, info });
                }
            }
        }
        Ok(near)
    }
}

impl Bucket {
    fn add(&mut self, text: &str, ordinal: u64, keeps_text: bool) {
        let letters = first_two(text);
        if self
            .groups
            .last()
            .is_none_or(|last| last.letters != letters)
        {
            let start = self.letters.len();
            self.groups.push(Group { letters, start });
        }
        self.letters.push(Letters::new(text.chars()).0);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        if keeps_text {
            self.texts.push_str(text);
            self.ends.push(small(self.texts.len() as u64));
        } else {
            self.ordinals.push(small(ordinal));
        }
    }

    fn shrink(&mut self) {
        self.letters.shrink_to_fit();
        self.ordinals.shrink_to_fit();
        self.groups.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.texts.shrink_to_fit();
    }

    /// The places of the terms of a group.
    fn places(&self, group: usize) -> Range<usize> {
        let end = self.groups.get(group + 1);
        self.groups[group].start..end.map_or(self.letters.len(), |next| next.start)
    }

    fn text(&self, place: usize) -> &str {
        let start = place
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        &self.texts[start..self.ends[place] as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn letters_of_near_texts_are_near(one in "[a-d0-1ㄱ-ㅅ]{2,10}", two in "[a-d0-1ㄱ-ㅅ]{2,10}") {
            let (whole, _) = Pattern::new(one.chars()).distances(two.chars());
            let (first, second) = (Letters::new(one.chars()).0, Letters::new(two.chars()).0);
            if whole == 1 {
                let ((a, b), (c, d)) = (first_two(&one), first_two(&two));
                prop_assert!(c == a || c == b || d == a || d == b);
            }
            if let Ok(errors @ 0..=2) = u8::try_from(whole) {
                prop_assert!(has_at_most(first & !second, errors));
                prop_assert!(has_at_most(second & !first, errors));
            }
        }
    }
}
