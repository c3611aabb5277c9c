//! The columns of a segment, decoded into memory: a search reads those of hundreds of thousands of documents. About 22
//! bytes a document; [`crate::index`] keeps them as long as the segment.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use tantivy::{SegmentReader, columnar::Column, index::SegmentId};

use crate::{docs::Docs, document::FAME_STEPS};

pub(crate) const FAME_COLUMN: &str = "fame";
pub(crate) const KEY_COLUMN: &str = "key";
pub(crate) const YEAR_COLUMN: &str = "year";
pub(crate) const LANGUAGE_COLUMN: &str = "language";
pub(crate) const GENRES_COLUMN: &str = "genres";

/// Genres of a segment that are counted; TMDB has 19.
const MAX_GENRES: usize = 64;

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

/// A language code as a number, so that columns hold it; 0 if it is not two or three ASCII letters.
pub(crate) fn language_number(code: &str) -> u64 {
    let is_code =
        (2..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_code {
        code.bytes()
            .fold(0, |number, byte| (number << 8) | u64::from(byte))
    } else {
        0
    }
}

/// The language code of a number.
fn language_code(number: u64) -> Option<String> {
    let bytes = number
        .to_be_bytes()
        .into_iter()
        .skip_while(|byte| *byte == 0)
        .collect();
    String::from_utf8(bytes)
        .ok()
        .filter(|code| !code.is_empty())
}

/// The columns of a segment.
pub(crate) struct Columns {
    /// The segment, which never changes.
    pub(crate) segment: SegmentId,
    ids: Vec<i64>,
    fame: Vec<u16>,
    /// All documents, the most famous first, those with the lower id first among equals.
    by_fame: Vec<u32>,
    years: Vec<u16>,
    latest_year: u16,
    /// Places in [`Columns::language_codes`].
    languages: Vec<u16>,
    language_codes: Vec<u64>,
    /// Places in [`Columns::genre_sets`].
    genres: Vec<u32>,
    /// Bits by the place in [`Columns::genre_ids`].
    genre_sets: Vec<u64>,
    genre_ids: Vec<u64>,
}

/// The place of `value` in `known`, to which it is added.
fn place(known: &mut Vec<u64>, places: &mut HashMap<u64, usize>, value: u64) -> usize {
    *places.entry(value).or_insert_with(|| {
        known.push(value);
        known.len() - 1
    })
}

impl Columns {
    /// Decodes the columns of a segment.
    ///
    /// # Errors
    /// Returns the error of tantivy if a column is missing or damaged.
    pub(crate) fn new(reader: &SegmentReader) -> tantivy::Result<Self> {
        let columns = reader.fast_fields();
        let column = |name| columns.column_first_or_default::<u64>(name);
        let (keys, fame, years) = (
            column(KEY_COLUMN)?,
            column(FAME_COLUMN)?,
            column(YEAR_COLUMN)?,
        );
        let languages = column(LANGUAGE_COLUMN)?;
        let genres: Column<u64> = columns.u64(GENRES_COLUMN)?;
        let docs = 0..reader.max_doc();
        let small = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
        let id = |doc| i64::try_from(keys.get_val(doc) & 0x00FF_FFFF_FFFF_FFFF).unwrap_or(i64::MAX);
        let (mut language_codes, mut language_places) = (Vec::new(), HashMap::new());
        let (mut genre_ids, mut genre_places) = (Vec::new(), HashMap::new());
        let (mut genre_sets, mut set_places) = (Vec::new(), HashMap::new());
        let mut language = |doc| {
            let place = place(
                &mut language_codes,
                &mut language_places,
                languages.get_val(doc),
            );
            u16::try_from(place).unwrap_or(u16::MAX)
        };
        let mut genre_set = |doc| {
            let places = genres.values_for_doc(doc);
            let places = places.map(|genre| place(&mut genre_ids, &mut genre_places, genre));
            let bits = places
                .filter(|place| *place < MAX_GENRES)
                .fold(0, |bits, place| bits | 1 << place);
            let place = place(&mut genre_sets, &mut set_places, bits);
            u32::try_from(place).unwrap_or(u32::MAX)
        };
        let years: Vec<u16> = docs.clone().map(|doc| small(years.get_val(doc))).collect();
        let ids: Vec<i64> = docs.clone().map(id).collect();
        let fame: Vec<u16> = docs.clone().map(|doc| small(fame.get_val(doc))).collect();
        let mut by_fame: Vec<u32> = docs.clone().collect();
        by_fame.sort_unstable_by_key(|doc| (Reverse(fame[*doc as usize]), ids[*doc as usize]));
        Ok(Self {
            segment: reader.segment_id(),
            ids,
            fame,
            by_fame,
            latest_year: years.iter().copied().max().unwrap_or(0),
            years,
            languages: docs.clone().map(&mut language).collect(),
            genres: docs.map(&mut genre_set).collect(),
            language_codes,
            genre_sets,
            genre_ids,
        })
    }

    /// The `count` most famous of many documents; `None` if they are too few to be found among the most famous of the
    /// segment, and all must be compared.
    pub(crate) fn most_famous_of(&self, docs: &Docs, count: usize) -> Option<Vec<u32>> {
        const MAX_TRIED: usize = 8192;
        let Docs::Bits(_) = docs else {
            return None;
        };
        let tried = self.by_fame.iter().copied().take(MAX_TRIED);
        let most: Vec<u32> = tried
            .filter(|doc| docs.contains(*doc))
            .take(count)
            .collect();
        (most.len() == count).then_some(most)
    }

    /// The id of a document.
    pub(crate) fn id(&self, doc: u32) -> i64 {
        self.ids[doc as usize]
    }

    /// The fame of a document in steps.
    pub(crate) fn fame_steps(&self, doc: u32) -> u16 {
        self.fame[doc as usize]
    }

    /// The fame of a document, 0 to 1.
    pub(crate) fn fame(&self, doc: u32) -> f32 {
        f32::from(self.fame[doc as usize]) / FAME_STEPS
    }

    /// The year of release, 0 if it is unknown.
    pub(crate) fn year(&self, doc: u32) -> u16 {
        self.years[doc as usize]
    }

    /// Adds the attributes of `docs` to `facets`.
    pub(crate) fn count(&self, docs: &Docs, facets: &mut Facets) {
        let mut sets = vec![0_usize; self.genre_sets.len()];
        let mut years = vec![0_usize; usize::from(self.latest_year) + 1];
        let mut languages = vec![0_usize; self.language_codes.len()];
        docs.for_each(|doc| {
            let at = doc as usize;
            sets[self.genres[at] as usize] += 1;
            years[usize::from(self.years[at])] += 1;
            languages[usize::from(self.languages[at])] += 1;
        });
        let mut genres = [0_usize; MAX_GENRES];
        for (bits, count) in self.genre_sets.iter().zip(sets) {
            let mut rest = if count == 0 { 0 } else { *bits };
            while rest != 0 {
                genres[rest.trailing_zeros() as usize] += count;
                rest &= rest - 1;
            }
        }
        for (id, count) in self
            .genre_ids
            .iter()
            .zip(genres)
            .filter(|(_, count)| *count > 0)
        {
            if let Ok(id) = u32::try_from(*id) {
                *facets.genres.entry(id).or_default() += count;
            }
        }
        for (year, count) in (0..=self.latest_year)
            .zip(years)
            .skip(1)
            .filter(|(_, count)| *count > 0)
        {
            *facets.years.entry(year).or_default() += count;
        }
        for (code, count) in self
            .language_codes
            .iter()
            .zip(languages)
            .filter(|(_, count)| *count > 0)
        {
            if let Some(code) = language_code(*code) {
                *facets.languages.entry(code).or_default() += count;
            }
        }
    }
}
