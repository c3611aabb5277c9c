//! Sets of documents of one segment by terms: single terms, ranges of prefixes, and terms within a Levenshtein
//! distance. Every expansion is bounded. Called by [`crate::engine`].

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::{
    SegmentReader,
    index::InvertedIndexReader,
    postings::{BlockSegmentPostings, TermInfo},
    schema::IndexRecordOption,
};
use tantivy_fst::Automaton;

use crate::{
    document::{Kind, Tag, first_chars, term},
    index::{Fields, IndexError},
};

/// Terms of a prefix that are united.
pub(crate) const MAX_PREFIX_TERMS: usize = 512;
/// Terms within a distance that are united, the nearest first.
const MAX_NEAR_TERMS: usize = 128;
/// Terms within a distance that are looked at.
const MAX_NEAR_LOOKED_AT: usize = 4096;
/// Unions of more documents are made in a bitmap.
const MAX_SORTED: usize = 4096;

/// Documents of a segment, rising.
pub(crate) type Docs = Vec<u32>;

/// The typing errors with which a text is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Spelling {
    /// The most errors, 1 or 2.
    pub(crate) errors: u8,
    /// True if terms only start so.
    pub(crate) prefix: bool,
    /// True if the first letter is right, which makes the search many times faster.
    pub(crate) same_start: bool,
}

/// The terms of one segment.
pub(crate) struct Segment<'a> {
    reader: &'a SegmentReader,
    terms: Arc<InvertedIndexReader>,
    kind: Kind,
    /// Documents near a text, since readings of a query share words.
    near: RefCell<HashMap<(u8, String, Spelling), Docs>>,
}

impl<'a> Segment<'a> {
    /// The documents of `kind` in a segment.
    pub(crate) fn new(
        reader: &'a SegmentReader,
        fields: Fields,
        kind: Kind,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            reader,
            terms: reader.inverted_index(fields.terms)?,
            kind,
            near: RefCell::default(),
        })
    }

    /// True if a document has `text` in a field.
    pub(crate) fn has(&self, tag: Tag, text: &str) -> Result<bool, IndexError> {
        let term = term(self.kind, tag, text);
        Ok(self
            .terms
            .terms()
            .term_ord(&term)
            .map_err(storage)?
            .is_some())
    }

    /// Documents with one of the texts in a field.
    pub(crate) fn with_any<'t>(
        &self,
        tag: Tag,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<Docs, IndexError> {
        let mut found = Vec::new();
        for text in texts {
            let term = term(self.kind, tag, text);
            found.extend(self.terms.terms().get(&term).map_err(storage)?);
        }
        self.unite(&found)
    }

    /// Documents with a term that starts with `prefix` in a field; `None` if there are more than `max` such terms.
    pub(crate) fn with_prefix(
        &self,
        tag: Tag,
        prefix: &str,
        max: usize,
    ) -> Result<Option<Docs>, IndexError> {
        let from = term(self.kind, tag, prefix);
        let mut terms = self
            .terms
            .terms()
            .range()
            .ge(&from)
            .into_stream()
            .map_err(storage)?;
        let mut found = Vec::new();
        while terms.advance() {
            if !terms.key().starts_with(&from) {
                break;
            }
            if found.len() == max {
                return Ok(None);
            }
            found.push(terms.value().clone());
        }
        self.unite(&found).map(Some)
    }

    /// Documents with a term in a field near `text`.
    pub(crate) fn near(
        &self,
        tag: Tag,
        text: &str,
        spelling: Spelling,
    ) -> Result<Docs, IndexError> {
        let Spelling {
            errors,
            prefix,
            same_start,
        } = spelling;
        let pattern = (tag as u8, text.to_owned(), spelling);
        if let Some(known) = self.near.borrow().get(&pattern) {
            return Ok(known.clone());
        }
        // Two errors are tolerated only behind the same first letter.
        let fixed = match errors > 1 || same_start {
            true => first_chars(text, 1),
            false => "",
        };
        let start = term(self.kind, tag, fixed);
        let near = Near {
            start: &start,
            dfa: automaton(text, errors, prefix),
        };
        let mut terms = self
            .terms
            .terms()
            .search(&near)
            .ge(&start)
            .into_stream()
            .map_err(storage)?;
        let mut found: Vec<(u8, TermInfo)> = Vec::new();
        while terms.advance() && found.len() < MAX_NEAR_LOOKED_AT {
            let key = terms.key();
            if !key.starts_with(&start) {
                break;
            }
            let Distance::Exact(distance) = near.dfa.eval(&key[2..]) else {
                continue;
            };
            found.push((distance, terms.value().clone()));
        }
        if found.len() > MAX_NEAR_TERMS {
            found.sort_by_key(|(distance, info)| (*distance, std::cmp::Reverse(info.doc_freq)));
            found.truncate(MAX_NEAR_TERMS);
        }
        let found: Vec<TermInfo> = found.into_iter().map(|(_, info)| info).collect();
        let docs = self.unite(&found)?;
        self.near.borrow_mut().insert(pattern, docs.clone());
        Ok(docs)
    }

    fn unite(&self, terms: &[TermInfo]) -> Result<Docs, IndexError> {
        let total: usize = terms.iter().map(|info| info.doc_freq as usize).sum();
        let mut docs = Vec::with_capacity(total.min(self.reader.max_doc() as usize));
        if terms.len() > 1 && total > MAX_SORTED {
            let mut bits = vec![0_u64; self.reader.max_doc() as usize / 64 + 1];
            for info in terms {
                self.read(info, |block| {
                    for doc in block {
                        bits[*doc as usize / 64] |= 1 << (doc % 64);
                    }
                })?;
            }
            for (place, word) in (0_u32..).zip(bits) {
                let mut rest = word;
                while rest != 0 {
                    docs.push(place * 64 + rest.trailing_zeros());
                    rest &= rest - 1;
                }
            }
            return Ok(docs);
        }
        for info in terms {
            self.read(info, |block| docs.extend_from_slice(block))?;
        }
        if terms.len() > 1 {
            docs.sort_unstable();
            docs.dedup();
        }
        Ok(docs)
    }

    fn read(&self, info: &TermInfo, mut take: impl FnMut(&[u32])) -> Result<(), IndexError> {
        let mut blocks: BlockSegmentPostings = self
            .terms
            .read_block_postings_from_terminfo(info, IndexRecordOption::Basic)
            .map_err(storage)?;
        loop {
            let block = blocks.docs();
            if block.is_empty() {
                return Ok(());
            }
            take(block);
            blocks.advance();
        }
    }
}

fn storage(error: std::io::Error) -> IndexError {
    IndexError::Storage(error.into())
}

/// Documents in both sets.
pub(crate) fn intersect(one: &[u32], two: &[u32]) -> Docs {
    let (small, large) = if one.len() <= two.len() {
        (one, two)
    } else {
        (two, one)
    };
    let mut docs = Vec::new();
    let mut at = 0;
    for doc in small {
        // The place is sought in steps that double, since sets differ much in size.
        let mut step = 1;
        while at + step < large.len() && large[at + step] < *doc {
            step *= 2;
        }
        let end = (at + step + 1).min(large.len());
        at += large[at..end].partition_point(|other| other < doc);
        if large.get(at) == Some(doc) {
            docs.push(*doc);
        }
    }
    docs
}

/// Documents in either set; takes over one if the other is empty.
pub(crate) fn merge(one: Docs, two: Docs) -> Docs {
    match (one.is_empty(), two.is_empty()) {
        (_, true) => one,
        (true, _) => two,
        _ => unite(vec![&one, &two]),
    }
}

/// Documents in any of the sets.
pub(crate) fn unite(sets: Vec<&[u32]>) -> Docs {
    let mut sets: Vec<&[u32]> = sets.into_iter().filter(|set| !set.is_empty()).collect();
    if sets.len() < 2 {
        return sets.pop().unwrap_or_default().to_vec();
    }
    sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
    let mut docs = sets[0].to_vec();
    for set in &sets[1..] {
        let capacity = docs.len() + set.len();
        let before = std::mem::replace(&mut docs, Vec::with_capacity(capacity));
        let (mut one, mut two) = (before.as_slice(), *set);
        if set.len() < before.len() / 8 {
            for doc in *set {
                let end = one.partition_point(|other| other < doc);
                docs.extend_from_slice(&one[..end]);
                one = &one[end..];
                if one.first() != Some(doc) {
                    docs.push(*doc);
                }
            }
            docs.extend_from_slice(one);
            continue;
        }
        while let ([first, rest @ ..], [second, others @ ..]) = (one, two) {
            docs.push(*first.min(second));
            one = if first <= second { rest } else { one };
            two = if second <= first { others } else { two };
        }
        docs.extend_from_slice(one);
        docs.extend_from_slice(two);
    }
    docs
}

/// True if `doc` is in the set.
pub(crate) fn contains(docs: &[u32], doc: u32) -> bool {
    docs.binary_search(&doc).is_ok()
}

/// Automata that are kept per thread: each has up to a megabyte.
const MAX_AUTOMATA: usize = 24;

/// A text, its errors, and whether it is a prefix.
type Pattern = (String, u8, bool);

/// The Levenshtein automaton of a text (Schulz and Mihov, Fast string correction with Levenshtein automata, IJDAR 5,
/// 2002), with transpositions as one error. Making one takes longer than its use, and a search needs the same one for
/// each segment and field.
fn automaton(text: &str, errors: u8, prefix: bool) -> Arc<DFA> {
    thread_local! {
        static RECENT: RefCell<HashMap<Pattern, Arc<DFA>>> = RefCell::default();
    }
    RECENT.with_borrow_mut(|recent| {
        let pattern = (text.to_owned(), errors, prefix);
        if let Some(known) = recent.get(&pattern) {
            return Arc::clone(known);
        }
        if recent.len() == MAX_AUTOMATA {
            recent.clear();
        }
        let made = Arc::new(make_automaton(text, errors, prefix));
        recent.insert(pattern, Arc::clone(&made));
        made
    })
}

fn make_automaton(text: &str, errors: u8, prefix: bool) -> DFA {
    static BUILDERS: OnceLock<[LevenshteinAutomatonBuilder; 2]> = OnceLock::new();
    let builders = BUILDERS
        .get_or_init(|| [1, 2].map(|errors| LevenshteinAutomatonBuilder::new(errors, true)));
    let builder = &builders[usize::from(errors > 1)];
    if prefix {
        builder.build_prefix_dfa(text)
    } else {
        builder.build_dfa(text)
    }
}

/// Bytes of a term before its text.
const TAG_BYTES: u8 = 2;

/// Matches terms of a kind and field, and perhaps with a first letter, by a Levenshtein automaton.
struct Near<'a> {
    start: &'a [u8],
    dfa: Arc<DFA>,
}

impl Automaton for Near<'_> {
    /// The bytes of the start that are matched, and the state of the automaton behind the tag.
    type State = (u8, u32);

    fn start(&self) -> Self::State {
        (0, self.dfa.initial_state())
    }

    fn is_match(&self, (matched, state): &Self::State) -> bool {
        usize::from(*matched) == self.start.len()
            && matches!(self.dfa.distance(*state), Distance::Exact(_))
    }

    fn can_match(&self, (_, state): &Self::State) -> bool {
        *state != SINK_STATE
    }

    fn accept(&self, (matched, state): &Self::State, byte: u8) -> Self::State {
        let next = |matched: u8| match matched {
            0..TAG_BYTES => *state,
            _ => self.dfa.transition(*state, byte),
        };
        match self.start.get(usize::from(*matched)) {
            Some(expected) if *expected == byte => (matched + 1, next(*matched)),
            Some(_) => (*matched, SINK_STATE),
            None => (*matched, next(TAG_BYTES)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn sets_are_intersected_and_united(one in btree_set(0..200_u32, 0..60), two in btree_set(0..200_u32, 0..60)) {
            let (first, second): (Docs, Docs) = (one.iter().copied().collect(), two.iter().copied().collect());
            let both: Docs = one.intersection(&two).copied().collect();
            let any: Docs = one.union(&two).copied().collect();
            prop_assert_eq!(intersect(&first, &second), both);
            prop_assert_eq!(unite(vec![&first, &second]), any);
        }
    }
}
