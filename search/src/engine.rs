//! Search: retrieves documents by the readings of a query, ranks the most famous of them by their names, and counts
//! them. Deterministic: two indexes with the same documents give the same results. Handlers of services call it
//! through [`Snapshot`].

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use tantivy::DocAddress;

use crate::{
    card::Read,
    columns::Facets,
    docs::Docs,
    document::Tag,
    error::IndexError,
    find::{Found, errors_in, find, has_word},
    index::Snapshot,
    query::{Reading, Readings},
    rank::{self, Comparison, Match, role_factor},
    request::{Hit, Place, Request, Results, Tolerance},
    retrieve::Segment,
    text::Word,
};

/// Scores without a match by name end here; documents behind those that are ranked follow by fame.
const FAME_WEIGHT: f32 = 0.08;
/// The quality of a document that a whole name of its cast or crew finds.
const CREDIT_NAME: f32 = 0.88;
/// Matches below are tried with all tolerance: worse than all words among the cast and crew, as of a person's name.
pub(crate) const FAIR: f32 = 0.595;
/// The least share of the letters of a query that must be found, where the rest is found nowhere.
const MIN_FOUND: f32 = 0.6;

/// A document in its segment.
type Address = (usize, u32);

/// A ranked document.
struct Ranked {
    address: Address,
    place: Place,
    quality: f32,
    matched: usize,
    spans: Vec<Range<usize>>,
}

/// The state of one search.
struct Search<'a> {
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    /// The segments, with the terms that were looked up.
    segments: Vec<Segment<'a>>,
    ranked: FxHashMap<Address, Ranked>,
    /// All documents that were read, since several readings and ways find the same.
    read: FxHashMap<Address, Arc<Read>>,
    /// All hits by segment.
    hits: Vec<Docs>,
}

impl Snapshot {
    /// Finds documents.
    ///
    /// # Errors
    /// `Storage` if the index cannot be read.
    pub fn search(&self, request: &Request<'_>) -> Result<Results, IndexError> {
        let readings = Readings::new(request.query);
        let mut search = Search::new(self, request)?;
        search.run(&readings)?;
        search.finish()
    }
}

impl<'a> Search<'a> {
    fn new(snapshot: &'a Snapshot, request: &'a Request<'a>) -> Result<Self, IndexError> {
        let segments = snapshot.searcher.segment_readers();
        Ok(Self {
            snapshot,
            request,
            segments: segments
                .iter()
                .zip(&snapshot.dictionaries)
                .map(|(reader, words)| Segment::new(reader, words, snapshot.fields, request.kind))
                .collect::<Result<_, _>>()?,
            ranked: FxHashMap::default(),
            read: FxHashMap::default(),
            hits: vec![Docs::default(); segments.len()],
        })
    }

    /// Tries the readings, the strict ones first, until one finds what was meant.
    fn run(&mut self, readings: &Readings) -> Result<(), IndexError> {
        self.try_all(&readings.plain, Tolerance::None)?;
        if self.best() < rank::WHOLE_OTHER {
            self.try_all(&readings.other, Tolerance::None)?;
        }
        let most = self.request.effort.tolerance;
        let may = |tolerance| most >= tolerance;
        if may(Tolerance::One) && self.best() < rank::GOOD {
            self.try_all(&readings.plain, Tolerance::One)?;
        }
        if may(Tolerance::Full) && self.best() < FAIR {
            self.try_all(&readings.plain, Tolerance::Full)?;
            self.try_all(&readings.latin, Tolerance::Full)?;
        }
        if may(Tolerance::Joined) && self.best() < FAIR {
            self.try_all(&readings.plain, Tolerance::Joined)?;
        }
        if !may(Tolerance::Full) {
            return Ok(());
        }
        if self.ranked.is_empty() {
            let words = readings
                .other
                .iter()
                .filter(|reading| reading.pattern.is_none());
            for reading in words {
                self.try_reading(reading, Tolerance::Full)?;
            }
        }
        if self.ranked.is_empty()
            && let Some(reading) = readings.plain.first()
            && let Some(shorter) = self.without_unknown_words(reading)?
        {
            self.try_reading(&shorter, Tolerance::Full)?;
        }
        Ok(())
    }

    fn try_all(&mut self, readings: &[Reading], tolerance: Tolerance) -> Result<(), IndexError> {
        readings
            .iter()
            .try_for_each(|reading| self.try_reading(reading, tolerance))
    }

    /// The best quality so far.
    fn best(&self) -> f32 {
        self.ranked
            .values()
            .map(|ranked| ranked.quality)
            .fold(0.0, f32::max)
    }

    fn try_reading(&mut self, reading: &Reading, tolerance: Tolerance) -> Result<(), IndexError> {
        let errors = self.errors(reading, tolerance)?;
        let found = self
            .segments
            .iter()
            .map(|segment| find(segment, reading, &errors, tolerance));
        let mut found: Vec<Found> = found.collect::<Result<_, _>>()?;
        let mut chosen: FxHashSet<Address> = FxHashSet::default();
        for (place, found) in found.iter_mut().enumerate() {
            for docs in [
                &mut found.whole,
                &mut found.credit_name,
                &mut found.joined,
                &mut found.words,
            ] {
                self.keep_accepted(place, docs);
            }
        }
        for route in [
            (|found: &Found| &found.whole) as fn(&Found) -> &Docs,
            |found| &found.credit_name,
            |found| &found.joined,
            |found| &found.words,
        ] {
            chosen.extend(self.most_famous(found.iter().map(route)));
        }
        let comparison = Comparison::new(reading, tolerance > Tolerance::None);
        for (segment, doc) in chosen {
            self.rank(reading, &comparison, (segment, doc), &found[segment])?;
        }
        for (hits, found) in self.hits.iter_mut().zip(found) {
            // Documents by initial consonants or joined words are hits only if their names match.
            for docs in [found.words, found.whole, found.credit_name] {
                hits.take(docs);
            }
        }
        Ok(())
    }

    /// The typing errors with which each word of `reading` is looked up.
    fn errors(&self, reading: &Reading, tolerance: Tolerance) -> Result<Vec<u8>, IndexError> {
        let errors = reading.words.iter().map(|word| {
            let allowed = errors_in(word.chars());
            Ok(match tolerance {
                Tolerance::None => 0,
                // In any segment: replicas divide the same documents differently.
                Tolerance::One if self.is_known(word)? => 0,
                Tolerance::One => allowed.min(1),
                Tolerance::Full | Tolerance::Joined => allowed,
            })
        });
        errors.collect()
    }

    /// True if some document has `word` in a name, or in the name of a member of its cast or crew.
    fn is_known(&self, word: &Word) -> Result<bool, IndexError> {
        for segment in &self.segments {
            if segment.has(Tag::Word, &word.key)? || segment.has(Tag::Credit, &word.key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Leaves deleted documents out, and those that the request does not accept.
    fn keep_accepted(&self, segment: usize, docs: &mut Docs) {
        let reader = self
            .snapshot
            .searcher
            .segment_reader(u32::try_from(segment).unwrap_or(0));
        if reader.has_deletes() {
            docs.retain(|doc| !reader.is_deleted(doc));
        }
        if let Some(accept) = self.request.accept {
            let columns = &self.snapshot.columns[segment];
            docs.retain(|doc| accept(columns.id(doc)));
        }
    }

    /// The most famous of the documents; those with the lower id first among equals.
    fn most_famous<'d>(&self, sets: impl Iterator<Item = &'d Docs>) -> Vec<Address> {
        let max = self.request.effort.ranked;
        let mut best: BinaryHeap<Reverse<(u16, Reverse<i64>, Address)>> =
            BinaryHeap::with_capacity(max + 1);
        for (segment, docs) in sets.enumerate() {
            let columns = &self.snapshot.columns[segment];
            let mut take = |doc| {
                let fame = columns.fame_steps(doc);
                let is_less = best
                    .peek()
                    .is_some_and(|Reverse((least, ..))| fame < *least);
                if best.len() < max || !is_less {
                    best.push(Reverse((fame, Reverse(columns.id(doc)), (segment, doc))));
                    if best.len() > max {
                        best.pop();
                    }
                }
            };
            match columns.most_famous_of(docs, max) {
                Some(most) => most.into_iter().for_each(take),
                None => docs.for_each(&mut take),
            }
        }
        best.into_iter()
            .map(|Reverse((_, _, address))| address)
            .collect()
    }

    /// Ranks a document by its names; it is a hit only if one matches, or all words are found elsewhere.
    fn rank(
        &mut self,
        reading: &Reading,
        comparison: &Comparison<'_>,
        address: Address,
        found: &Found,
    ) -> Result<(), IndexError> {
        let (segment, doc) = address;
        let read = self.read(address)?;
        let support: Vec<f32> = found
            .support
            .iter()
            .map(|sets| {
                let worth = sets
                    .iter()
                    .filter(|(docs, _)| docs.contains(doc))
                    .map(|(_, worth)| *worth);
                worth.fold(0.0, f32::max)
            })
            .collect();
        let (mut best, mut matched) = (Match::default(), 0);
        let mut elsewhere: Option<Match> = None;
        for (place, name) in read.names.iter().enumerate() {
            let factor = role_factor(name.role);
            if best.quality >= factor {
                continue;
            }
            let mut found = if comparison.may_match(name.letters) {
                let (text, joined) = read.analysed(name);
                comparison.match_name(text, joined, &support)
            } else {
                elsewhere
                    .get_or_insert_with(|| comparison.elsewhere(&support))
                    .clone()
            };
            found.quality *= factor;
            if found.quality > best.quality {
                (best, matched) = (found, place);
            }
        }
        if found.credit_name.contains(doc) && best.quality < CREDIT_NAME {
            best = Match {
                quality: CREDIT_NAME,
                spans: Vec::new(),
            };
        }
        if let Some(year) = reading.year
            && !self.is_of_year(address, year)
        {
            // The word may be part of the title after all.
            best.quality *= 0.5;
        }
        best.quality *= 1.0 - reading.penalty;
        let columns = &self.snapshot.columns[segment];
        let score = best.quality + FAME_WEIGHT * columns.fame(doc);
        let id = columns.id(doc);
        let before = self
            .ranked
            .get(&address)
            .map_or(0.0, |ranked| ranked.quality);
        if best.quality > before {
            let ranked = Ranked {
                address,
                place: Place { score, id },
                quality: best.quality,
                matched,
                spans: best.spans,
            };
            self.ranked.insert(address, ranked);
        }
        Ok(())
    }

    /// Reads a document, unless it was read before.
    fn read(&mut self, address: Address) -> Result<Arc<Read>, IndexError> {
        if let Some(read) = self.read.get(&address) {
            return Ok(Arc::clone(read));
        }
        let (segment, doc) = address;
        let segments = self.snapshot.searcher.segment_readers();
        let place = (segments[segment].segment_id(), doc);
        let read = match self.snapshot.famous.get(&place) {
            Some(read) => read,
            None => {
                let read = Arc::new(self.read_stored(address)?);
                self.snapshot.famous.insert(place, Arc::clone(&read));
                read
            }
        };
        self.read.insert(address, Arc::clone(&read));
        Ok(read)
    }

    fn is_of_year(&self, (segment, doc): Address, year: u16) -> bool {
        self.snapshot.columns[segment].year(doc).abs_diff(year) <= 1
    }

    fn read_stored(&self, (segment, doc): Address) -> Result<Read, IndexError> {
        let segment = u32::try_from(segment).unwrap_or(0);
        self.snapshot.read(DocAddress::new(segment, doc))
    }

    /// The reading without words that no document has, if most of it is left.
    fn without_unknown_words(&self, reading: &Reading) -> Result<Option<Reading>, IndexError> {
        let mut known = Vec::new();
        for word in &reading.words {
            let alone = Reading::new(vec![word.clone()], 0.0);
            let errors = self.errors(&alone, Tolerance::Full)?;
            let mut found = false;
            for segment in &self.segments {
                found = found || has_word(segment, &alone, &errors)?;
            }
            if found {
                known.push(word.clone());
            }
        }
        let letters = |words: &[Word]| {
            words
                .iter()
                .filter(|word| !word.is_article())
                .map(Word::chars)
                .sum::<usize>()
        };
        #[expect(clippy::cast_precision_loss, reason = "numbers of characters")]
        let share = letters(&known) as f32 / letters(&reading.words).max(1) as f32;
        let is_most = known.len() < reading.words.len() && known.len() > 1 && share >= MIN_FOUND;
        Ok(is_most.then(|| Reading::new(known, 0.2)))
    }

    /// Orders the hits and cuts out the page.
    fn finish(mut self) -> Result<Results, IndexError> {
        let mut ranked: Vec<Ranked> = std::mem::take(&mut self.ranked).into_values().collect();
        ranked.sort_unstable_by(|one, two| one.place.order(&two.place));
        for (segment, hits) in self.hits.iter_mut().enumerate() {
            let of_segment = ranked.iter().filter(|ranked| ranked.address.0 == segment);
            let mut named = Docs::List(of_segment.map(|ranked| ranked.address.1).collect());
            named.order();
            hits.unite(&named);
        }
        let total = self.hits.iter().map(Docs::len).sum();
        let facets = if self.request.facets {
            self.count()
        } else {
            Facets::default()
        };
        let limit = self.request.limit;
        let after = self.request.after;
        let follows = |place: &Place| after.is_none_or(|after| after.order(place).is_lt());
        let known: FxHashSet<Address> = ranked.iter().map(|ranked| ranked.address).collect();
        let mut page: Vec<Ranked> = ranked
            .into_iter()
            .filter(|ranked| follows(&ranked.place))
            .take(limit + 1)
            .collect();
        if page.len() <= limit {
            page.extend(self.rest(&known, limit + 1 - page.len(), after));
        }
        let has_more = page.len() > limit;
        page.truncate(limit);
        let next = page.last().filter(|_| has_more).map(|last| last.place);
        let hits = page.into_iter().map(|ranked| {
            let card = match self.read.get(&ranked.address) {
                Some(read) => read.card()?,
                None => self.read_stored(ranked.address)?.card()?,
            };
            Ok(Hit {
                id: ranked.place.id,
                score: ranked.place.score,
                quality: ranked.quality,
                names: card.names,
                matched: ranked.matched,
                spans: ranked.spans,
                payload: card.payload,
            })
        });
        let hits = hits.collect::<Result<_, IndexError>>()?;
        Ok(Results {
            hits,
            total,
            next,
            facets,
        })
    }

    /// The hits behind those that were ranked, by fame. Their scores are negative, so that they follow.
    fn rest(&self, known: &FxHashSet<Address>, limit: usize, after: Option<Place>) -> Vec<Ranked> {
        let mut places = Vec::new();
        for (segment, docs) in self.hits.iter().enumerate() {
            let columns = &self.snapshot.columns[segment];
            docs.for_each(|doc| {
                let address = (segment, doc);
                let place = Place {
                    score: columns.fame(doc) - 2.0,
                    id: columns.id(doc),
                };
                let follows = after.is_none_or(|after| after.order(&place).is_lt());
                if follows && !known.contains(&address) {
                    places.push((place, address));
                }
            });
        }
        if places.len() > limit {
            places.select_nth_unstable_by(limit - 1, |one, two| one.0.order(&two.0));
            places.truncate(limit);
        }
        places.sort_unstable_by(|one, two| one.0.order(&two.0));
        let ranked = places.into_iter().map(|(place, address)| Ranked {
            address,
            place,
            quality: 0.0,
            matched: 0,
            spans: Vec::new(),
        });
        ranked.collect()
    }

    /// Counts the hits by attributes.
    fn count(&self) -> Facets {
        let mut facets = Facets::default();
        for (columns, hits) in self.snapshot.columns.iter().zip(&self.hits) {
            columns.count(hits, &mut facets);
        }
        facets
    }
}
