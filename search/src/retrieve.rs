//! Sets of documents of one segment by terms: single terms, ranges of prefixes, and terms within a Levenshtein
//! distance. Every expansion is bounded. Called by [`crate::engine`].

use std::{cell::RefCell, sync::Arc};

use rustc_hash::FxHashMap;

use tantivy::{
    SegmentReader,
    index::InvertedIndexReader,
    postings::{BlockSegmentPostings, TermInfo},
    schema::IndexRecordOption,
};

use crate::{
    dictionary::{Dictionary, NearTerm, Sought},
    distance::{OneError, Pattern},
    docs::Docs,
    document::{Kind, TAG_BYTES, Tag, first_chars, term},
    error::{IndexError, storage},
    schema::Fields,
};

/// Terms of a prefix that are united.
pub(crate) const MAX_PREFIX_TERMS: usize = 512;
/// Terms within a distance that are united, the nearest first.
const MAX_NEAR_TERMS: usize = 128;
/// Terms within a distance that are looked at.
const MAX_NEAR_LOOKED_AT: usize = 1024;

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
    dictionary: &'a Dictionary,
    kind: Kind,
    /// Documents near a text, since readings of a query share words.
    near: RefCell<FxHashMap<(u8, String, Spelling), Docs>>,
}

impl<'a> Segment<'a> {
    /// The documents of `kind` in a segment.
    pub(crate) fn new(
        reader: &'a SegmentReader,
        dictionary: &'a Dictionary,
        fields: Fields,
        kind: Kind,
    ) -> Result<Self, IndexError> {
        Ok(Self {
            reader,
            terms: reader.inverted_index(fields.terms)?,
            dictionary,
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
        let terms = self.terms.terms();
        // The terms are counted by the places of the first one and of the first one behind them.
        let mut behind = from.clone();
        while behind.pop_if(|last| *last == u8::MAX).is_some() {}
        if let Some(last) = behind.last_mut() {
            *last += 1;
        }
        let mut others = terms.range().ge(&behind).into_stream().map_err(storage)?;
        let end = match others.advance() {
            true => others.term_ord(),
            false => terms.num_terms() as u64,
        };
        let begun = terms.range().ge(&from).lt(&behind);
        let mut begun = begun.into_stream().map_err(storage)?;
        let mut found = Vec::new();
        while begun.advance() {
            if end - begun.term_ord() > max as u64 && found.is_empty() {
                return Ok(None);
            }
            found.push(begun.value().clone());
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
        let key = (tag as u8, text.to_owned(), spelling);
        if let Some(known) = self.near.borrow().get(&key) {
            return Ok(known.clone());
        }
        let pattern = Pattern::new(text.chars());
        let sought = Sought {
            text,
            pattern: &pattern,
            errors: spelling.errors,
            prefix: spelling.prefix,
            // Two errors are tolerated only behind the same first letter.
            same_start: spelling.same_start || spelling.errors > 1,
        };
        let terms = self.terms.terms();
        let mut near = match tag {
            Tag::Joined => self.begun_near(&sought)?,
            _ => self.dictionary.near(terms, self.kind, tag, &sought)?,
        };
        if near.len() > MAX_NEAR_TERMS {
            near.sort_by_key(|term| (term.distance, std::cmp::Reverse(term.info.doc_freq)));
            near.truncate(MAX_NEAR_TERMS);
        }
        let found: Vec<TermInfo> = near.into_iter().map(|term| term.info).collect();
        let docs = self.unite(&found)?;
        self.near.borrow_mut().insert(key, docs.clone());
        Ok(docs)
    }

    /// Starts of joined names that begin within one error.
    fn begun_near(&self, sought: &Sought<'_>) -> Result<Vec<NearTerm>, IndexError> {
        let fixed = first_chars(sought.text, usize::from(sought.same_start));
        let start = term(self.kind, Tag::Joined, fixed);
        let automaton = OneError {
            start: &start,
            ignored: TAG_BYTES,
            pattern: sought.pattern,
            prefix: sought.prefix,
        };
        let terms = self.terms.terms().search(&automaton).ge(&start);
        let mut terms = terms.into_stream().map_err(storage)?;
        let mut near = Vec::new();
        while terms.advance() && near.len() < MAX_NEAR_LOOKED_AT {
            let text = std::str::from_utf8(&terms.key()[TAG_BYTES..]).unwrap_or_default();
            let (whole, begun) = sought.pattern.distances(text.chars());
            near.push(NearTerm {
                distance: if sought.prefix { begun } else { whole },
                info: terms.value().clone(),
            });
        }
        Ok(near)
    }

    fn unite(&self, terms: &[TermInfo]) -> Result<Docs, IndexError> {
        let total: usize = terms.iter().map(|info| info.doc_freq as usize).sum();
        let mut docs = Docs::for_about(total, self.reader.max_doc());
        for info in terms {
            self.read(info, |block| docs.extend(block))?;
        }
        if terms.len() > 1 {
            docs.order();
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
