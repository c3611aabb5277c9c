//! Suggestions as a user types, by searches with less effort. Handlers of services call it through [`Snapshot`].

use crate::{
    document::Kind,
    engine::FAIR,
    error::IndexError,
    index::Snapshot,
    rank,
    request::{Effort, Hit, Request, Tolerance},
};

impl Snapshot {
    /// Finds movies, people and keywords as a user types, `limit` of each. Fewer documents are ranked than for a search,
    /// whose hits are on many pages, and the better movies match, the fewer typing errors are tolerated in the others.
    ///
    /// # Errors
    /// `Storage` if the index cannot be read.
    pub fn suggest(&self, query: &str, limit: usize) -> Result<Vec<(Kind, Hit)>, IndexError> {
        let mut all = Vec::new();
        // Where somebody types the spaces, words are looked up one by one.
        let has_words = query.split_whitespace().nth(2).is_some();
        let of_movies = match has_words {
            true => Tolerance::Full,
            false => Tolerance::Joined,
        };
        let mut tolerance = [of_movies; 2];
        for kind in [Kind::Movie, Kind::Person, Kind::Keyword] {
            let [tolerance_of_people, tolerance_of_keywords] = tolerance;
            let (ranked, tolerance_of_kind) = match kind {
                Kind::Movie => (4 * limit, of_movies),
                Kind::Person => (2 * limit, tolerance_of_people),
                Kind::Keyword => (2 * limit, tolerance_of_keywords),
            };
            let request = Request {
                query,
                kind,
                limit,
                after: None,
                accept: None,
                facets: false,
                effort: Effort {
                    ranked,
                    tolerance: tolerance_of_kind,
                },
            };
            let hits = self.search(&request)?.hits;
            if kind == Kind::Movie {
                let best = hits.first().map_or(0.0, |hit| hit.quality);
                tolerance = match best {
                    best if best >= rank::GOOD => [Tolerance::None, Tolerance::None],
                    best if best >= FAIR => [Tolerance::One, Tolerance::None],
                    // Few names have so many words.
                    _ if has_words => [Tolerance::One, Tolerance::None],
                    _ => [Tolerance::Full, Tolerance::One],
                };
            }
            all.extend(hits.into_iter().map(|hit| (kind, hit)));
        }
        Ok(all)
    }
}
