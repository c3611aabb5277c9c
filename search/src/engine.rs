//! Search: retrieves documents by the readings of a query, ranks the most renowned of them by their names, and counts
//! them. Deterministic: two indexes with the same documents give the same results. Handlers of services call it
//! through [`Snapshot`].

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
    ops::Range,
    sync::Arc,
};

use tantivy::{
    SegmentReader,
    columnar::{Column, ColumnValues},
    schema::Value,
};

use crate::{
    document::{
        Kind, MAX_EDGE_CHARS, MAX_INITIALS, MAX_JOINED_CHARS, Name, Tag, first_chars, initials,
        number_text,
    },
    index::{
        Card, FAME_COLUMN, FAME_STEPS, GENRES_COLUMN, IndexError, KEY_COLUMN, LANGUAGE_COLUMN,
        Read, Snapshot, YEAR_COLUMN, language_code,
    },
    query::{Element, Reading, Readings},
    rank::{self, Match, match_name, role_factor, tolerance},
    retrieve::{Docs, MAX_PREFIX_TERMS, Segment, contains, intersect, unite},
    text::{Text, Word, char_count},
};

/// Documents of each way of retrieval that are ranked by their names, the most renowned first.
const MAX_RANKED: usize = 96;
/// Scores without a match by name end here; documents behind those that are ranked follow by renown.
const FAME_WEIGHT: f32 = 0.08;
/// The quality of a document that a whole name of its cast or crew finds.
const CREDIT_NAME: f32 = 0.88;
/// A word found in another name; among the cast and crew; there with typing errors; among keywords; as the year.
const OTHER_NAME: f32 = 0.65;
const CREDIT: f32 = 0.75;
const NEAR_CREDIT: f32 = 0.60;
const TOPIC: f32 = 0.50;
const YEAR: f32 = 0.85;
/// Terms of credits that a prefix may have.
const MAX_CREDIT_TERMS: usize = 256;
/// The least share of the letters of a query that must be found, where the rest is found nowhere.
const MIN_FOUND: f32 = 0.6;

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
    fn order(&self, other: &Self) -> Ordering {
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
    /// The quality of the match, 0 to 1, without renown.
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

/// Hits by an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// By genre.
    pub genres: BTreeMap<u32, usize>,
    /// By year of release; without those of an unknown year.
    pub years: BTreeMap<u16, usize>,
    /// By original language.
    pub languages: BTreeMap<String, usize>,
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

/// The columns of a segment.
struct Columns {
    key: Arc<dyn ColumnValues<u64>>,
    fame: Arc<dyn ColumnValues<u64>>,
}

impl Columns {
    fn new(reader: &SegmentReader) -> Result<Self, IndexError> {
        let column = |name| reader.fast_fields().column_first_or_default::<u64>(name);
        Ok(Self {
            key: column(KEY_COLUMN)?,
            fame: column(FAME_COLUMN)?,
        })
    }

    fn id(&self, doc: u32) -> i64 {
        i64::try_from(self.key.get_val(doc) & 0x00FF_FFFF_FFFF_FFFF).unwrap_or(i64::MAX)
    }

    fn fame(&self, doc: u32) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 65535")]
        let fame = self.fame.get_val(doc) as f32;
        fame / FAME_STEPS
    }
}

/// The documents of a segment by the way in which they are found.
#[derive(Default)]
struct Found {
    /// By a whole name of theirs.
    whole: Docs,
    /// By a whole name of their cast or crew.
    credit_name: Docs,
    /// By the start of a joined name, or by initial consonants.
    joined: Docs,
    /// By all words.
    words: Docs,
    /// For each word: the documents that have it, by place, with its worth.
    support: Vec<[(Docs, f32); 5]>,
}

/// The state of one search.
struct Search<'a> {
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    columns: Vec<Columns>,
    ranked: HashMap<Address, Ranked>,
    /// All documents that were read, since several readings and ways find the same.
    read: HashMap<Address, Arc<Read>>,
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
            columns: segments
                .iter()
                .map(Columns::new)
                .collect::<Result<_, _>>()?,
            ranked: HashMap::new(),
            read: HashMap::new(),
            hits: vec![Docs::new(); segments.len()],
        })
    }

    /// Tries the readings, the strict ones first, until one finds what was meant.
    fn run(&mut self, readings: &Readings) -> Result<(), IndexError> {
        for reading in &readings.plain {
            self.try_reading(reading, false)?;
        }
        if self.best() < rank::WHOLE_OTHER {
            for reading in &readings.other {
                self.try_reading(reading, false)?;
            }
        }
        if self.best() < rank::GOOD {
            for reading in &readings.plain {
                self.try_reading(reading, true)?;
            }
            for latin in &readings.latin {
                self.try_reading(latin, true)?;
            }
        }
        if self.ranked.is_empty() {
            for reading in readings
                .other
                .iter()
                .filter(|reading| reading.pattern.is_none())
            {
                self.try_reading(reading, true)?;
            }
        }
        if self.ranked.is_empty()
            && let Some(reading) = readings.plain.first()
            && let Some(shorter) = self.without_unknown_words(reading)?
        {
            self.try_reading(&shorter, true)?;
        }
        Ok(())
    }

    /// The best quality so far.
    fn best(&self) -> f32 {
        self.ranked
            .values()
            .map(|ranked| ranked.quality)
            .fold(0.0, f32::max)
    }

    fn try_reading(&mut self, reading: &Reading, tolerant: bool) -> Result<(), IndexError> {
        let readers = self.snapshot.searcher.segment_readers();
        let mut found = Vec::with_capacity(readers.len());
        for reader in readers {
            let segment = Segment::new(reader, self.snapshot.fields, self.request.kind)?;
            found.push(find(&segment, reading, tolerant)?);
        }
        let mut chosen: HashSet<Address> = HashSet::new();
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
            chosen.extend(self.most_renowned(found.iter().map(route)));
        }
        for (segment, doc) in chosen {
            self.rank(reading, (segment, doc), &found[segment])?;
        }
        for (hits, found) in self.hits.iter_mut().zip(&found) {
            // Documents by initial consonants or joined words are hits only if their names match.
            *hits = unite(vec![hits, &found.whole, &found.credit_name, &found.words]);
        }
        Ok(())
    }

    /// Leaves deleted documents out, and those that the request does not accept.
    fn keep_accepted(&self, segment: usize, docs: &mut Docs) {
        let reader = self
            .snapshot
            .searcher
            .segment_reader(u32::try_from(segment).unwrap_or(0));
        if reader.has_deletes() {
            docs.retain(|doc| !reader.is_deleted(*doc));
        }
        if let Some(accept) = self.request.accept {
            docs.retain(|doc| accept(self.columns[segment].id(*doc)));
        }
    }

    /// The most renowned of the documents; those with the lower id first among equals.
    fn most_renowned<'d>(&self, sets: impl Iterator<Item = &'d Docs>) -> Vec<Address> {
        let mut best: BinaryHeap<Reverse<(u64, Reverse<i64>, Address)>> =
            BinaryHeap::with_capacity(MAX_RANKED + 1);
        for (segment, docs) in sets.enumerate() {
            let columns = &self.columns[segment];
            for doc in docs {
                let fame = columns.fame.get_val(*doc);
                if best.len() == MAX_RANKED
                    && best
                        .peek()
                        .is_some_and(|Reverse((least, ..))| fame < *least)
                {
                    continue;
                }
                best.push(Reverse((fame, Reverse(columns.id(*doc)), (segment, *doc))));
                if best.len() > MAX_RANKED {
                    best.pop();
                }
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
                    .filter(|(docs, _)| contains(docs, doc))
                    .map(|(_, worth)| *worth);
                worth.fold(0.0, f32::max)
            })
            .collect();
        let (mut best, mut matched) = (Match::default(), 0);
        for (place, (name, text)) in read.card.names.iter().zip(&read.names).enumerate() {
            let factor = role_factor(name.role);
            if best.quality >= factor {
                continue;
            }
            let mut found = match_name(reading, text, &support);
            found.quality *= factor;
            if found.quality > best.quality {
                (best, matched) = (found, place);
            }
        }
        if contains(&found.credit_name, doc) && best.quality < CREDIT_NAME {
            best = Match {
                quality: CREDIT_NAME,
                spans: Vec::new(),
            };
        }
        if reading.year.is_some() {
            let in_year = self.is_of_year(address, reading.year)?;
            // The word may be part of the title after all.
            best.quality *= if in_year { 1.0 } else { 0.5 };
        }
        best.quality *= 1.0 - reading.penalty;
        let columns = &self.columns[segment];
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
        let read = match self.snapshot.renowned.get(&place) {
            Some(read) => read,
            None => {
                let card = self.card(address)?;
                let names = card.names.iter().map(|name| Text::new(&name.text));
                let names = names.collect();
                let read = Arc::new(Read { card, names });
                self.snapshot.renowned.insert(place, Arc::clone(&read));
                read
            }
        };
        self.read.insert(address, Arc::clone(&read));
        Ok(read)
    }

    fn is_of_year(&self, (segment, doc): Address, year: Option<u16>) -> Result<bool, IndexError> {
        let reader = self
            .snapshot
            .searcher
            .segment_reader(u32::try_from(segment).unwrap_or(0));
        let column = reader
            .fast_fields()
            .column_first_or_default::<u64>(YEAR_COLUMN)?;
        Ok(year.is_some_and(|year| column.get_val(doc).abs_diff(u64::from(year)) <= 1))
    }

    fn card(&self, (segment, doc): Address) -> Result<Card, IndexError> {
        let address = tantivy::DocAddress::new(u32::try_from(segment).unwrap_or(0), doc);
        let document: tantivy::TantivyDocument = self.snapshot.searcher.doc(address)?;
        let bytes = document
            .get_first(self.snapshot.fields.card)
            .and_then(|value| value.as_bytes());
        let card = bytes.and_then(|bytes| postcard::from_bytes(bytes).ok());
        card.ok_or(IndexError::Layout)
    }

    /// The reading without words that no document has, if most of it is left.
    fn without_unknown_words(&self, reading: &Reading) -> Result<Option<Reading>, IndexError> {
        let mut known = Vec::new();
        for word in &reading.words {
            let alone = Reading {
                words: vec![word.clone()],
                joined: word.key.clone(),
                ..Reading::default()
            };
            let mut is_known = false;
            for reader in self.snapshot.searcher.segment_readers() {
                let segment = Segment::new(reader, self.snapshot.fields, self.request.kind)?;
                is_known |= !find(&segment, &alone, true)?.words.is_empty();
            }
            if is_known {
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
            let mut named: Docs = ranked
                .iter()
                .filter(|ranked| ranked.address.0 == segment)
                .map(|ranked| ranked.address.1)
                .collect();
            named.sort_unstable();
            *hits = unite(vec![hits, &named]);
        }
        let total = self.hits.iter().map(Vec::len).sum();
        let facets = if self.request.facets {
            self.count()?
        } else {
            Facets::default()
        };
        let limit = self.request.limit;
        let after = self.request.after;
        let follows = |place: &Place| after.is_none_or(|after| after.order(place).is_lt());
        let known: HashSet<Address> = ranked.iter().map(|ranked| ranked.address).collect();
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
                Some(read) => read.card.clone(),
                None => self.card(ranked.address)?,
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

    /// The hits behind those that were ranked, by renown. Their scores are negative, so that they follow.
    fn rest(&self, known: &HashSet<Address>, limit: usize, after: Option<Place>) -> Vec<Ranked> {
        let mut places = Vec::new();
        for (segment, docs) in self.hits.iter().enumerate() {
            let columns = &self.columns[segment];
            for doc in docs.iter().filter(|doc| !known.contains(&(segment, **doc))) {
                let place = Place {
                    score: columns.fame(*doc) - 2.0,
                    id: columns.id(*doc),
                };
                if after.is_none_or(|after| after.order(&place).is_lt()) {
                    places.push((place, (segment, *doc)));
                }
            }
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
    fn count(&self) -> Result<Facets, IndexError> {
        let (mut genres, mut years, mut languages) =
            (Counts::default(), Counts::default(), Counts::default());
        for (reader, hits) in self
            .snapshot
            .searcher
            .segment_readers()
            .iter()
            .zip(&self.hits)
        {
            let columns = reader.fast_fields();
            let genre: Column<u64> = columns.u64(GENRES_COLUMN)?;
            let year = columns.column_first_or_default::<u64>(YEAR_COLUMN)?;
            let language = columns.column_first_or_default::<u64>(LANGUAGE_COLUMN)?;
            for doc in hits {
                genre
                    .values_for_doc(*doc)
                    .for_each(|genre| genres.add(genre));
                years.add(year.get_val(*doc));
                languages.add(language.get_val(*doc));
            }
        }
        Ok(Facets {
            genres: genres
                .into_iter()
                .filter_map(|(id, count)| Some((u32::try_from(id).ok()?, count)))
                .collect(),
            years: years
                .into_iter()
                .filter_map(|(year, count)| {
                    Some((u16::try_from(year).ok().filter(|year| *year > 0)?, count))
                })
                .collect(),
            languages: languages
                .into_iter()
                .filter_map(|(code, count)| Some((language_code(code)?, count)))
                .collect(),
        })
    }
}

/// Counts by number; small numbers, which most are, without hashing.
#[derive(Default)]
struct Counts {
    small: Vec<usize>,
    others: HashMap<u64, usize>,
}

impl Counts {
    /// Codes of two letters, genres and years are below.
    const SMALL: usize = 1 << 15;

    fn add(&mut self, number: u64) {
        match usize::try_from(number) {
            Ok(place) if place < Self::SMALL => {
                if place >= self.small.len() {
                    self.small.resize(place + 1, 0);
                }
                self.small[place] += 1;
            }
            _ => *self.others.entry(number).or_insert(0) += 1,
        }
    }

    fn into_iter(self) -> impl Iterator<Item = (u64, usize)> {
        let small = (0_u64..).zip(self.small).filter(|(_, count)| *count > 0);
        small.chain(self.others)
    }
}

/// The documents of a segment that a reading finds.
fn find(segment: &Segment<'_>, reading: &Reading, tolerant: bool) -> Result<Found, IndexError> {
    if let Some(pattern) = &reading.pattern {
        return Ok(Found {
            joined: find_pattern(segment, pattern)?,
            ..Found::default()
        });
    }
    if reading.words.is_empty() {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    let query = Text {
        words: reading.words.clone(),
        ..Text::default()
    };
    let articleless = Text {
        words: query.without_article().to_vec(),
        ..Text::default()
    };
    let wholes = [
        query.joined(),
        query.joined_numeric(),
        articleless.joined_numeric(),
    ];
    found.whole = segment.with_any(Tag::Exact, wholes.iter().map(String::as_str))?;
    found.credit_name = segment.with_any(Tag::CreditName, [reading.joined.as_str()])?;
    let length = char_count(&reading.joined);
    let joined = first_chars(&reading.joined, MAX_JOINED_CHARS);
    if reading.words.len() > 1
        || length > MAX_EDGE_CHARS
        || reading.words.iter().any(Word::is_hangul)
    {
        found.joined = segment
            .with_prefix(Tag::Joined, joined, MAX_PREFIX_TERMS)?
            .unwrap_or_default();
    }
    if tolerant && length < MAX_JOINED_CHARS {
        if tolerance(length) > 0 && length >= 5 {
            let near = segment.near(Tag::Joined, joined, 1, true)?;
            found.joined = unite(vec![&found.joined, &near]);
        }
        if tolerance(length) > 1 {
            let near = segment.near(Tag::Joined, joined, 2, false)?;
            found.joined = unite(vec![&found.joined, &near]);
        }
    }
    let mut all: Option<Docs> = None;
    for (place, word) in reading.words.iter().enumerate() {
        let may_miss = word.is_optional() && reading.words.len() > 1;
        if may_miss && place + 1 < reading.words.len() {
            // A third of all documents have an article: it is compared with the names alone.
            found.support.push(Default::default());
            continue;
        }
        let support = find_word(segment, reading, place, tolerant)?;
        let any = unite(support.iter().map(|(docs, _)| docs.as_slice()).collect());
        all = match all {
            Some(before) if may_miss => Some(before),
            None if may_miss => None,
            Some(before) => Some(intersect(&before, &any)),
            None => Some(any),
        };
        found.support.push(support);
    }
    found.words = all.unwrap_or_default();
    Ok(found)
}

/// The documents that have a word of the reading, by the place in which they have it, with its worth.
fn find_word(
    segment: &Segment<'_>,
    reading: &Reading,
    place: usize,
    tolerant: bool,
) -> Result<[(Docs, f32); 5], IndexError> {
    let word = &reading.words[place];
    let is_last = place + 1 == reading.words.len();
    let key = word.key.as_str();
    let number = word.number.map(number_text);
    let mut names = segment.with_any(Tag::Word, [key].into_iter().chain(number.as_deref()))?;
    // A pair of words that the title writes as one.
    for (one, two) in [
        (place.checked_sub(1), Some(place)),
        (Some(place), Some(place + 1)),
    ] {
        let pair = one
            .and_then(|one| reading.words.get(one))
            .zip(two.and_then(|two| reading.words.get(two)));
        if let Some((one, two)) = pair {
            let both = format!("{}{}", one.key, two.key);
            names = unite(vec![&names, &segment.with_any(Tag::Word, [both.as_str()])?]);
        }
    }
    // Two words of the title that the query writes as one.
    names = unite(vec![&names, &segment.with_any(Tag::Pair, [key])?]);
    let mut credits = segment.with_any(Tag::Credit, [key])?;
    let mut near_credits = Docs::new();
    let mut topics = segment.with_any(Tag::Topic, [key])?;
    let years = if word.is_digits() {
        segment.with_any(Tag::Year, [key])?
    } else {
        Docs::new()
    };
    let length = word.chars();
    // Particles follow Korean words without a space.
    if is_last || word.is_hangul() {
        let started = if length <= MAX_EDGE_CHARS {
            segment.with_any(Tag::Edge, [key])?
        } else {
            let words = segment.with_prefix(Tag::Word, key, MAX_PREFIX_TERMS)?;
            let pairs = segment.with_prefix(Tag::Pair, key, MAX_PREFIX_TERMS)?;
            unite(vec![&words.unwrap_or_default(), &pairs.unwrap_or_default()])
        };
        names = unite(vec![&names, &started]);
        if length >= 3 {
            let started = segment
                .with_prefix(Tag::Credit, key, MAX_CREDIT_TERMS)?
                .unwrap_or_default();
            credits = unite(vec![&credits, &started]);
            let started = segment
                .with_prefix(Tag::Topic, key, MAX_CREDIT_TERMS)?
                .unwrap_or_default();
            topics = unite(vec![&topics, &started]);
        }
    }
    let errors = tolerance(length);
    if tolerant && errors > 0 && !word.is_digits() {
        let errors = u8::try_from(errors).unwrap_or(1);
        let mut near = segment.near(Tag::Word, key, errors, false)?;
        if is_last && length >= 5 {
            near = unite(vec![&near, &segment.near(Tag::Word, key, 1, true)?]);
        }
        names = unite(vec![&names, &near]);
        near_credits = segment.near(Tag::Credit, key, errors, false)?;
    }
    Ok([
        (names, OTHER_NAME),
        (credits, CREDIT),
        (near_credits, NEAR_CREDIT),
        (topics, TOPIC),
        (years, YEAR),
    ])
}

/// The documents that may match a pattern of initial consonants.
fn find_pattern(segment: &Segment<'_>, pattern: &[Element]) -> Result<Docs, IndexError> {
    let letters: String = pattern
        .iter()
        .map(|element| match element {
            Element::Syllable(letters) => letters.chars().next().unwrap_or(' '),
            Element::Initial(letter) | Element::Other(letter) => *letter,
        })
        .collect();
    let letters: Vec<char> = initials(&letters).chars().collect();
    let mut all: Option<Docs> = None;
    for window in letters.windows(MAX_INITIALS.min(letters.len())) {
        let docs = segment.with_any(Tag::Initials, [window.iter().collect::<String>().as_str()])?;
        all = Some(match all {
            Some(before) => intersect(&before, &docs),
            None => docs,
        });
    }
    Ok(all.unwrap_or_default())
}
