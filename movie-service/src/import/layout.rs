//! Decodes rows of the supported dumps. A row is checked against the catalogue's constraints, so that Postgres rejects
//! none.

use std::{collections::BTreeMap, io::BufRead, str::FromStr};

use anyhow::bail;
use chrono::{Datelike, NaiveDate};
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

/// The reader of a file.
pub(super) struct Reader {
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
        let rows = match format {
            Format::TmdbExport => Rows::Export(Lines::new(input)),
            Format::TmdbCsv => {
                let mut records = CsvRecords::new(input);
                let Some((_, record)) = records.next()? else {
                    bail!("the file is empty");
                };
                let heading: Vec<String> = (0..record.len())
                    .map(|place| {
                        let name = String::from_utf8_lossy(record.field(place));
                        name.trim_start_matches('\u{feff}').trim().to_owned()
                    })
                    .collect();
                Rows::Csv {
                    layout: Layout::of(&heading)?,
                    records: Box::new(records),
                    heading,
                }
            }
        };
        Ok(Self {
            rows,
            include_adult,
            genres: BTreeMap::new(),
        })
    }

    /// The name of the layout.
    pub(super) fn layout(&self) -> &'static str {
        match &self.rows {
            Rows::Export(_) => "tmdb-export",
            Rows::Csv { layout, .. } => match layout {
                Layout::Tmdb5000 => "tmdb-5000",
                Layout::List => "tmdb-list",
                Layout::Facts => "tmdb-facts",
            },
        }
    }

    /// Takes the genres beyond [`KNOWN_GENRES`] in rows since the last call.
    pub(super) fn take_genres(&mut self) -> Vec<Genre> {
        std::mem::take(&mut self.genres)
            .into_iter()
            .map(|(id, name)| Genre { id, name })
            .collect()
    }

    /// Reads the next row, with the line on which it begins.
    ///
    /// # Errors
    /// Fails if the file cannot be read or a record is too long.
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

impl Layout {
    fn of(heading: &[String]) -> anyhow::Result<Self> {
        let has = |names: &[&str]| {
            names
                .iter()
                .all(|name| heading.iter().any(|column| column == name))
        };
        if has(&["tmdb_id", "title"]) {
            Ok(Self::Facts)
        } else if has(&["id", "title", "genre_ids"]) {
            Ok(Self::List)
        } else if has(&["id", "title", "genres", "keywords"]) {
            Ok(Self::Tmdb5000)
        } else {
            bail!(
                "unknown heading; it must contain id, title, genres and keywords, or id, title and genre_ids, or tmdb_id and title"
            )
        }
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
            release_date: self.date("release_date")?,
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
                for Genre { id, name } in self.json("genres")? {
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
                let keywords = self.list("keywords")?.into_iter();
                film.keywords = keywords
                    .map(|name| Keyword {
                        id: synthetic_id(&name),
                        name,
                    })
                    .collect();
                film.people = self.people("directors", "Director")?;
                film.people.extend(self.people("top_cast", "Actor")?);
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

    fn people(&self, column: &str, job: &str) -> Result<Vec<Person>, String> {
        let names = self.list(column)?.into_iter();
        Ok(names
            .map(|name| Person {
                id: synthetic_id(&name),
                name,
                job: job.to_owned(),
            })
            .collect())
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

    fn id(&self, column: &str) -> Result<i64, String> {
        parse(column, &self.text(column)?, "a number")
    }

    fn number(&self, column: &str) -> Result<f64, String> {
        let text = self.text(column)?;
        match text.is_empty() {
            true => Ok(0.0),
            false => parse(column, &text, "a number"),
        }
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

    fn date(&self, column: &str) -> Result<Option<NaiveDate>, String> {
        let text = self.text(column)?;
        match text.is_empty() {
            true => Ok(None),
            false => parse(column, &text, "a day such as 1999-03-31").map(Some),
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

fn parse<T: FromStr>(column: &str, text: &str, kind: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{column}: {text:?} is not {kind}"))
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
