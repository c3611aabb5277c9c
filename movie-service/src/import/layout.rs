//! What the columns of each known set mean. A row is checked here for all that the catalogue asks of a
//! film, so that Postgres need not refuse any.

use std::{collections::BTreeMap, io::BufRead};

use anyhow::bail;
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;

use super::{
    Format,
    records::{CsvRecords, Lines, Record},
};
use crate::models::{AlternativeTitle, DumpMovie, Genre, Keyword, Person};

/// TMDB's genres of films; dumps give ids alone, or names alone.
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
/// TMDB counts in 32 bits.
const LARGEST_ID: i64 = i32::MAX as i64;
/// The longest title, in bytes; TMDB's own are a third of it at most.
const LONGEST_TITLE: usize = 1000;

/// A set's way of writing films.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Kaggle's "TMDB 5000": JSON in columns.
    Tmdb5000,
    /// Lists with `genre_ids` and `id`.
    List,
    /// Facts with `tmdb_id`, lists separated by `|`.
    Facts,
}

/// Reads films from a file.
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

/// A film, or why the row is none.
type Row = Result<DumpMovie, String>;

impl Reader {
    /// Reads films from `input`.
    ///
    /// # Errors
    /// The file's, or a heading that is none of a known set.
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

    /// The name of the set's layout.
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

    /// Genres that rows named since the last call, beyond those that everybody knows.
    pub(super) fn take_genres(&mut self) -> Vec<Genre> {
        std::mem::take(&mut self.genres)
            .into_iter()
            .map(|(id, name)| Genre { id, name })
            .collect()
    }

    /// The next row, with the line on which it begins.
    ///
    /// # Errors
    /// The file's, or a row that is too long to go on from.
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
                "the first line is no heading of a known set; it needs id, title, genres and keywords, or id, title and genre_ids, or tmdb_id and title"
            )
        }
    }
}

/// A record and what its columns are called.
struct Fields<'a> {
    heading: &'a [String],
    record: Record<'a>,
}

#[derive(Deserialize)]
struct NameAndId {
    id: i64,
    name: String,
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
        let mut film = DumpMovie {
            title: self.text("title")?,
            original_title: self.text("original_title")?,
            original_language: self.text("original_language")?,
            overview: self.text("overview")?,
            release_date: self.date("release_date")?,
            popularity: self.number("popularity")?,
            vote_average: self.number("vote_average")?,
            vote_count: self.whole("vote_count")?.unwrap_or(0),
            adult: self.yes("adult")?,
            ..DumpMovie::default()
        };
        match layout {
            Layout::Tmdb5000 => {
                film.id = self.id("id")?;
                film.runtime = self.whole("runtime")?;
                for genre in self.json::<NameAndId>("genres")? {
                    let id = i32::try_from(genre.id).map_err(|_| "genres: an id is too large")?;
                    if !KNOWN_GENRES.iter().any(|(known, _)| *known == id) {
                        genres.insert(id, storable(&genre.name));
                    }
                    film.genre_ids.push(id);
                }
                let keywords = self.json::<NameAndId>("keywords")?.into_iter();
                film.keywords = keywords
                    .map(|NameAndId { id, name }| Keyword {
                        id,
                        name: storable(&name),
                    })
                    .collect();
                let countries = self.json::<Country>("production_countries")?.into_iter();
                film.countries = countries
                    .map(|country| storable(&country.iso_3166_1))
                    .collect();
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
                        id: made_up_id(&name),
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
                id: made_up_id(&name),
                name,
                job: job.to_owned(),
            })
            .collect())
    }

    /// The text of `column`, trimmed; empty where the set has no such column.
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
        let text = self.text(column)?;
        text.parse()
            .map_err(|_| format!("{column}: {text:?} is not a number"))
    }

    fn number(&self, column: &str) -> Result<f64, String> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(0.0);
        }
        text.parse()
            .map_err(|_| format!("{column}: {text:?} is not a number"))
    }

    /// A whole number, which some sets write as `162.0`; none where it is empty or 0.
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

    /// Yes or no, as Python or JSON writes it; no where it is empty.
    fn yes(&self, column: &str) -> Result<bool, String> {
        let text = self.text(column)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(format!("{column}: {text:?} is neither true nor false")),
        }
    }

    fn date(&self, column: &str) -> Result<Option<NaiveDate>, String> {
        let text = self.text(column)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| format!("{column}: {text:?} is not a day such as 1999-03-31"))
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

/// A line of TMDB's daily export: no more than that the film exists.
fn export(text: &[u8]) -> Row {
    let row: ExportRow = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let title = storable(&row.original_title);
    Ok(DumpMovie {
        id: row.id,
        original_title: title.clone(),
        title,
        popularity: row.popularity,
        adult: row.adult,
        ..DumpMovie::default()
    })
}

/// `text` as Postgres can have it: no text of its may hold the character 0, which JSON can write.
fn storable(text: &str) -> String {
    text.replace('\0', "").trim().to_owned()
}

/// The film, if the catalogue can have it.
fn checked(mut film: DumpMovie, include_adult: bool) -> Row {
    if film.adult && !include_adult {
        return Err("it is pornography, which INCLUDE_ADULT does not admit".to_owned());
    }
    if !(1..=LARGEST_ID).contains(&film.id) {
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
    if film.title.len() > LONGEST_TITLE || film.original_title.len() > LONGEST_TITLE {
        return Err(format!("title: it is longer than {LONGEST_TITLE} bytes"));
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

/// The same negative number for the same name, where a set gives names without TMDB's ids: FNV-1a in
/// 52 bits, which every reader of JSON can count.
fn made_up_id(name: &str) -> i64 {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    -1 - i64::try_from(hash >> 12).unwrap_or(0)
}
