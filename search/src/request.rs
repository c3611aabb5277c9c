//! Requests for searches, and their results.

use std::{cmp::Ordering, ops::Range};

use crate::{
    columns::Facets,
    document::{Kind, Name},
};

/// A request.
pub struct Request<'a> {
    /// The query as it is typed.
    pub query: &'a str,
    /// The kind of documents.
    pub kind: Kind,
    /// Hits per page.
    pub limit: usize,
    /// The place behind which the page begins.
    pub after: Option<Place>,
    /// The condition that documents meet, by id.
    pub accept: Option<&'a dyn Fn(i64) -> bool>,
    /// True to count hits by genre, year and language.
    pub facets: bool,
    /// The work that is done at most.
    pub effort: Effort,
}

/// The typing errors with which words are looked up, each step with more work than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tolerance {
    /// None.
    None,
    /// One edit after the first letter, only for words that are not in the index.
    One,
    /// As many edits as the length of a word allows, for all words.
    Full,
    /// As many edits as its length allows, for the whole query compared with names without spaces.
    Joined,
}

/// The work that is done at most for a request. All pages of a list need the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Documents of each way of retrieval that are ranked by their names, the most famous first; the others follow by
    /// fame.
    pub ranked: usize,
    /// The last tolerance that is tried, if nothing matches well with less.
    pub tolerance: Tolerance,
}

impl Default for Effort {
    /// That of a search.
    fn default() -> Self {
        Self {
            ranked: 96,
            tolerance: Tolerance::Joined,
        }
    }
}

/// The place of a hit in its list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// The score.
    pub score: f32,
    /// The id, which breaks ties.
    pub id: i64,
}

impl Place {
    /// The order of a list: by score, the highest first, then by id.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.id.cmp(&other.id))
    }
}

/// A document that a query finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The id.
    pub id: i64,
    /// The score, which is comparable within a query.
    pub score: f32,
    /// The quality of the match, 0 to 1, without fame.
    pub quality: f32,
    /// All names.
    pub names: Vec<Name>,
    /// The name that matches best, by its place in `names`.
    pub matched: usize,
    /// The matched bytes of that name in Unicode's normal form C.
    pub spans: Vec<Range<usize>>,
    /// The owner's data.
    pub payload: String,
}

/// The result of a search.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    /// A page of hits, best first.
    pub hits: Vec<Hit>,
    /// The number of hits on all pages.
    pub total: usize,
    /// The place of the last hit, if others follow.
    pub next: Option<Place>,
    /// The hits by attributes, if requested.
    pub facets: Facets,
}
