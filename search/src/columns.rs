//! The columns of a segment, decoded into memory: a search reads those of hundreds of thousands of documents. About 22
//! bytes a document; [`crate::index`] keeps them as long as the segment.

use std::collections::{BTreeMap, HashMap};

use tantivy::{SegmentReader, columnar::Column, index::SegmentId};

use crate::document::FAME_STEPS;

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
    years: Vec<u16>,
    /// Places in [`Columns::language_codes`].
    languages: Vec<u16>,
    language_codes: Vec<u64>,
    /// Bits by the place in [`Columns::genre_ids`].
    genres: Vec<u64>,
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
        let mut language = |doc| {
            let place = place(
                &mut language_codes,
                &mut language_places,
                languages.get_val(doc),
            );
            u16::try_from(place).unwrap_or(u16::MAX)
        };
        let mut genre_bits = |doc| {
            let places = genres.values_for_doc(doc);
            let places = places.map(|genre| place(&mut genre_ids, &mut genre_places, genre));
            places
                .filter(|place| *place < MAX_GENRES)
                .fold(0, |bits, place| bits | 1 << place)
        };
        Ok(Self {
            segment: reader.segment_id(),
            ids: docs.clone().map(id).collect(),
            fame: docs.clone().map(|doc| small(fame.get_val(doc))).collect(),
            years: docs.clone().map(|doc| small(years.get_val(doc))).collect(),
            languages: docs.clone().map(&mut language).collect(),
            genres: docs.map(&mut genre_bits).collect(),
            language_codes,
            genre_ids,
        })
    }

    /// The id of a document.
    pub(crate) fn id(&self, doc: u32) -> i64 {
        self.ids[doc as usize]
    }

    /// The renown of a document in steps.
    pub(crate) fn fame_steps(&self, doc: u32) -> u16 {
        self.fame[doc as usize]
    }

    /// The renown of a document, 0 to 1.
    pub(crate) fn fame(&self, doc: u32) -> f32 {
        f32::from(self.fame[doc as usize]) / FAME_STEPS
    }

    /// The year of release, 0 if it is unknown.
    pub(crate) fn year(&self, doc: u32) -> u16 {
        self.years[doc as usize]
    }

    /// Adds the attributes of `docs` to `facets`.
    pub(crate) fn count(&self, docs: &[u32], facets: &mut Facets) {
        let mut genres = [0_usize; MAX_GENRES];
        let mut years = vec![0_usize; usize::from(u16::MAX) + 1];
        let mut languages = vec![0_usize; usize::from(u16::MAX) + 1];
        for doc in docs {
            let at = *doc as usize;
            let mut bits = self.genres[at];
            while bits != 0 {
                genres[bits.trailing_zeros() as usize] += 1;
                bits &= bits - 1;
            }
            years[usize::from(self.years[at])] += 1;
            languages[usize::from(self.languages[at])] += 1;
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
        for (year, count) in (0..=u16::MAX)
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
