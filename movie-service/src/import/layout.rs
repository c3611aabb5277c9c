//! Decodes rows of the supported dumps. A row is checked against the catalogue's constraints, so that Postgres rejects
//! none.

use std::{collections::BTreeMap, io::BufRead, str::FromStr};

use anyhow::{Context, bail};
use chrono::Datelike;
use serde::Deserialize;

use super::{
    Format,
    records::{CsvRecords, Lines, Record},
};
use crate::models::{AlternativeTitle, Genre, Keyword, NewMovie, Person};

/// TMDB's movie genres; dumps contain either ids or names.
pub(super) const KNOWN_GENRES: [(i32, &str); 19] = [
    (12, "Adventure"),
    (14, "Fantasy"),
    (16, "Animation"),
    (18, "Drama"),
    (27, "Horror"),
    (28, "Action"),
    (35, "Comedy"),
    (36, "History"),
    (37, "Western"),
    (53, "Thriller"),
    (80, "Crime"),
    (99, "Documentary"),
    (878, "Science Fiction"),
    (9648, "Mystery"),
    (10402, "Music"),
    (10749, "Romance"),
    (10751, "Family"),
    (10752, "War"),
    (10770, "TV Movie"),
];
/// TMDB's ids are 32-bit.
const MAX_ID: i64 = i32::MAX as i64;
/// Bytes of a title; TMDB's longest are a third of it.
const MAX_TITLE: usize = 1000;

/// The columns of a CSV dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Kaggle's "TMDB 5000", with JSON in columns.
    Tmdb5000,
    /// Lists with `genre_ids` and `id`.
    List,
    /// Facts with `tmdb_id`, lists separated by `|`.
    Facts,
}

impl Layout {
    /// The layouts with their names and the columns by which they are recognized, the most specific first.
    const ALL: [(Self, &str, &[&str]); 3] = [
        (Self::Facts, "tmdb-facts", &["tmdb_id", "title"]),
        (Self::List, "tmdb-list", &["id", "title", "genre_ids"]),
        (
            Self::Tmdb5000,
            "tmdb-5000",
            &["id", "title", "genres", "keywords"],
        ),
    ];
}

/// The reader of a file.
pub(super) struct Reader {
    /// The name of the layout.
    pub(super) layout: &'static str,
    rows: Rows,
    include_adult: bool,
    genres: BTreeMap<i32, String>,
}

enum Rows {
    Csv {
        records: Box<CsvRecords>,
        layout: Layout,
        heading: Vec<String>,
    },
    Export(Lines),
}

/// A movie, or the reason for a refusal.
type Row = Result<NewMovie, String>;

impl Reader {
    /// Reads the heading of `input`.
    ///
    /// # Errors
    /// Fails if the file cannot be read or its heading is unknown.
    pub(super) fn new(
        input: Box<dyn BufRead + Send>,
        format: Format,
        include_adult: bool,
    ) -> anyhow::Result<Self> {
        let (layout, rows) = match format {
            Format::TmdbExport => ("tmdb-export", Rows::Export(Lines::new(input))),
            Format::TmdbCsv => {
                let mut records = CsvRecords::new(input);
                let Some((_, record)) = records.next()? else {
                    bail!("the file is empty");
                };
                let heading = (0..record.len()).map(|place| {
                    let name = String::from_utf8_lossy(record.field(place));
                    name.trim_start_matches('\u{feff}').trim().to_owned()
                });
                let heading: Vec<String> = heading.collect();
                let has = |name: &&str| heading.iter().any(|column| column == name);
                let mut layouts = Layout::ALL.into_iter();
                let layout = layouts.find(|(_, _, columns)| columns.iter().all(has));
                let (layout, name, _) = layout.context(
                    "unknown heading; it must contain id, title, genres and keywords, or id, title and genre_ids, \
                     or tmdb_id and title",
                )?;
                let rows = Rows::Csv {
                    layout,
                    records: Box::new(records),
                    heading,
                };
                (name, rows)
            }
        };
        Ok(Self {
            layout,
            rows,
            include_adult,
            genres: BTreeMap::new(),
        })
    }

    /// Takes the genres beyond [`KNOWN_GENRES`] in rows since the last call.
    pub(super) fn take_genres(&mut self) -> Vec<Genre> {
        std::mem::take(&mut self.genres)
            .into_iter()
            .map(|(id, name)| Genre {
                id,
                name,
                ..Genre::default()
            })
            .collect()
    }

    /// Reads the next row, with the line on which it begins.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<(u64, Row)>> {
        let (line, row) = match &mut self.rows {
            Rows::Export(lines) => {
                let Some((line, text)) = lines.next()? else {
                    return Ok(None);
                };
                let row = text.ok_or_else(|| "the line is too long".to_owned());
                (line, row.and_then(export))
            }
            Rows::Csv {
                records,
                layout,
                heading,
            } => {
                let Some((line, record)) = records.next()? else {
                    return Ok(None);
                };
                let fields = Fields { heading, record };
                (line, fields.film(*layout, &mut self.genres))
            }
        };
        let include_adult = self.include_adult;
        let row = row.and_then(|film| checked(film, include_adult));
        Ok(Some((line, row)))
    }
}

/// A record with the names of its columns.
struct Fields<'a> {
    heading: &'a [String],
    record: Record<'a>,
}

#[derive(Deserialize)]
struct Country {
    iso_3166_1: String,
}

impl Fields<'_> {
    fn film(&self, layout: Layout, genres: &mut BTreeMap<i32, String>) -> Row {
        if self.record.len() != self.heading.len() {
            return Err(format!(
                "it has {} columns, but the heading has {}",
                self.record.len(),
                self.heading.len()
            ));
        }
        let mut film = NewMovie {
            title: self.text("title")?,
            original_title: self.text("original_title")?,
            original_language: self.text("original_language")?,
            overview: self.text("overview")?,
            release_date: self.value("release_date", "a day such as 1999-03-31")?,
            popularity: self.number("popularity")?,
            vote_average: self.number("vote_average")?,
            vote_count: self.whole("vote_count")?.unwrap_or(0),
            adult: self.boolean("adult")?,
            ..NewMovie::default()
        };
        match layout {
            Layout::Tmdb5000 => {
                film.id = self.id("id")?;
                film.runtime = self.whole("runtime")?;
                for Genre { id, name, .. } in self.json("genres")? {
                    if !KNOWN_GENRES.iter().any(|(known, _)| *known == id) {
                        genres.insert(id, storable(&name));
                    }
                    film.genre_ids.push(id);
                }
                film.keywords = self.json("keywords")?;
                for keyword in &mut film.keywords {
                    keyword.name = storable(&keyword.name);
                }
                let countries = self.json::<Country>("production_countries")?;
                let countries = countries
                    .iter()
                    .map(|country| storable(&country.iso_3166_1));
                film.countries = countries.collect();
            }
            Layout::List => {
                film.id = self.id("id")?;
                film.genre_ids = self.json("genre_ids")?;
            }
            Layout::Facts => {
                film.id = self.id("tmdb_id")?;
                film.runtime = self.whole("runtime_minutes")?;
                for name in self.list("genres")? {
                    let known = KNOWN_GENRES.iter().find(|(_, known)| *known == name);
                    let (id, _) = known.ok_or_else(|| format!("genres: unknown genre {name:?}"))?;
                    film.genre_ids.push(*id);
                }
                film.keywords = self.named("keywords", |id, name| Keyword { id, name })?;
                for (column, job) in [("directors", "Director"), ("top_cast", "Actor")] {
                    let job = || job.to_owned();
                    let person = |id, name| Person {
                        id,
                        name,
                        job: job(),
                        ..Person::default()
                    };
                    film.people.extend(self.named(column, person)?);
                }
                let korean = self.text("korean_title")?;
                if !korean.is_empty() && korean != film.title && korean != film.original_title {
                    film.titles.push(AlternativeTitle {
                        title: korean,
                        language: Some("ko".to_owned()),
                        country: None,
                    });
                }
            }
        }
        Ok(film)
    }

    /// The names in a list, each with an id that is derived from it.
    fn named<T>(&self, column: &str, make: impl Fn(i64, String) -> T) -> Result<Vec<T>, String> {
        let names = self.list(column)?.into_iter();
        Ok(names.map(|name| make(synthetic_id(&name), name)).collect())
    }

    /// The trimmed text of `column`; empty if there is no such column.
    fn text(&self, column: &str) -> Result<String, String> {
        let Some(place) = self.heading.iter().position(|name| name == column) else {
            return Ok(String::new());
        };
        match std::str::from_utf8(self.record.field(place)) {
            Ok(text) => Ok(storable(text)),
            Err(_) => Err(format!("{column}: it is not UTF-8")),
        }
    }

    /// The value of `column`, `kind`; `None` if it is empty.
    fn value<T: FromStr>(&self, column: &str, kind: &str) -> Result<Option<T>, String> {
        let text = self.text(column)?;
        let wrong = |_| format!("{column}: {text:?} is not {kind}");
        let text = Some(&text).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(wrong)).transpose()
    }

    fn id(&self, column: &str) -> Result<i64, String> {
        let id = self.value(column, "a number")?;
        id.ok_or_else(|| format!("{column}: \"\" is not a number"))
    }

    fn number(&self, column: &str) -> Result<f64, String> {
        Ok(self.value(column, "a number")?.unwrap_or(0.0))
    }

    /// A whole number, which some dumps write as `162.0`; `None` if it is empty or 0.
    fn whole(&self, column: &str) -> Result<Option<i32>, String> {
        let number = self.number(column)?;
        if number == 0.0 {
            return Ok(None);
        }
        #[expect(clippy::cast_possible_truncation, reason = "within the bounds of i32")]
        if number.fract() == 0.0 && (1.0..=f64::from(i32::MAX)).contains(&number) {
            return Ok(Some(number as i32));
        }
        Err(format!("{column}: {number} is not a whole number from 0"))
    }

    /// A boolean as Python or JSON writes it; false if it is empty.
    fn boolean(&self, column: &str) -> Result<bool, String> {
        let text = self.text(column)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(format!("{column}: {text:?} is neither true nor false")),
        }
    }

    fn list(&self, column: &str) -> Result<Vec<String>, String> {
        let text = self.text(column)?;
        let words = text.split('|').map(str::trim);
        Ok(words.filter(|w| !w.is_empty()).map(str::to_owned).collect())
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, column: &str) -> Result<Vec<T>, String> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&text).map_err(|error| format!("{column}: {error}"))
    }
}

#[derive(Deserialize)]
struct ExportRow {
    id: i64,
    original_title: String,
    #[serde(default)]
    popularity: f64,
    #[serde(default)]
    adult: bool,
}

/// Decodes a line of TMDB's daily export, which contains little more than the id.
fn export(text: &[u8]) -> Row {
    let row: ExportRow = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let title = storable(&row.original_title);
    Ok(NewMovie {
        id: row.id,
        original_title: title.clone(),
        title,
        popularity: row.popularity,
        adult: row.adult,
        ..NewMovie::default()
    })
}

/// Removes NUL, which JSON can contain and Postgres cannot store.
fn storable(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// Checks and normalizes a movie.
fn checked(mut film: NewMovie, include_adult: bool) -> Row {
    if film.adult && !include_adult {
        return Err("adult content, which INCLUDE_ADULT excludes".to_owned());
    }
    if !(1..=MAX_ID).contains(&film.id) {
        return Err(format!("id: {} is not one of TMDB's", film.id));
    }
    if film.title.is_empty() {
        std::mem::swap(&mut film.title, &mut film.original_title);
    }
    if film.title.is_empty() {
        return Err("title: there is none".to_owned());
    }
    if film.original_title.is_empty() {
        film.original_title.clone_from(&film.title);
    }
    if film.title.len() > MAX_TITLE || film.original_title.len() > MAX_TITLE {
        return Err(format!("title: it is longer than {MAX_TITLE} bytes"));
    }
    if !(0.0..f64::INFINITY).contains(&film.popularity) {
        return Err(format!("popularity: {} is not from 0", film.popularity));
    }
    if !(0.0..=10.0).contains(&film.vote_average) {
        return Err(format!(
            "vote_average: {} is not 0 to 10",
            film.vote_average
        ));
    }
    if let Some(date) = film.release_date
        && !(1870..=2200).contains(&date.year())
    {
        return Err(format!("release_date: {date} cannot be"));
    }
    film.genre_ids.sort_unstable();
    film.genre_ids.dedup();
    film.countries.sort_unstable();
    film.countries.dedup();
    Ok(film)
}

/// Derives a negative id from a name, for dumps without TMDB's ids: FNV-1a cut to 52 bits, which every JSON parser
/// represents exactly.
fn synthetic_id(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    -1 - i64::try_from(hash >> 12).unwrap_or(0)
}
