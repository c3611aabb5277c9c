//! The parser of exported CSV files. Called by the import service with the files of a request; a request is
//! either parsed completely, or refused with an error for each invalid row.

mod fields;
mod header;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chassis::problem::FieldError;
use chrono::{DateTime, Utc};
use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use self::{
    fields::{Fields, InvalidField},
    header::Header,
    rows::title_and_year,
};
use super::{ImportEntry, ImportFile, ImportFormat, ImportSource};
use crate::models::MovieId;

/// The maximum number of errors of a request.
const MAX_ERRORS: usize = 20;
/// The maximum length of a file name, in characters.
const MAX_NAME_CHARS: usize = 100;

/// The parsed files of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The files.
    pub files: Vec<ImportFile>,
    /// The rows about movies, in their order.
    pub entries: Vec<ImportEntry>,
    /// The number of rows about other titles.
    pub skipped: usize,
}

/// Parses `sources`. `format` is the format of a single file; without it, the header and then the file name
/// identify the format. Rows without a date get the time `now`.
///
/// # Errors
/// The invalid fields, named like `ratings.csv line 17, Rating`; also if there are more than `max_rows` rows.
pub fn parse(
    sources: &[ImportSource<'_>],
    format: Option<ImportFormat>,
    max_rows: usize,
    now: DateTime<Utc>,
) -> Result<Parsed, Vec<FieldError>> {
    let mut parser = Parser {
        now,
        max_rows,
        files: Vec::new(),
        rows: Vec::new(),
        skipped: 0,
        links: HashMap::new(),
        movies: HashMap::new(),
        movielens_user: None,
        errors: Vec::new(),
    };
    for (index, source) in sources.iter().enumerate() {
        parser.parse_file(index, source, format);
        if parser.errors.len() >= MAX_ERRORS {
            break;
        }
    }
    parser.finish()
}

struct Parser {
    now: DateTime<Utc>,
    max_rows: usize,
    files: Vec<ImportFile>,
    /// The entries, with the MovieLens id of those from MovieLens.
    rows: Vec<(ImportEntry, Option<u64>)>,
    skipped: usize,
    /// The IMDb and TMDB ids by MovieLens id.
    links: HashMap<u64, (Option<String>, Option<MovieId>)>,
    /// The title and the year by MovieLens id.
    movies: HashMap<u64, (String, Option<i32>)>,
    /// The `userId` of the MovieLens ratings.
    movielens_user: Option<String>,
    errors: Vec<FieldError>,
}

/// Converts byte positions to line numbers. The reader places the start of a record before the line feed
/// of the previous one and before empty lines.
struct Lines<'a> {
    content: &'a [u8],
    offset: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self {
            content,
            offset: 0,
            line: 1,
        }
    }

    /// The line, from 1, of the record at `position`; positions must not decrease between calls.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        while let Some(byte) = self.content.get(self.offset) {
            if self.offset >= start && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.offset += 1;
        }
        self.line
    }
}

impl Parser {
    fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.errors
            .push(FieldError::new(field.into(), message.into()));
    }

    fn parse_file(
        &mut self,
        index: usize,
        source: &ImportSource<'_>,
        format: Option<ImportFormat>,
    ) {
        let name = file_name(source.name, index);
        let content = source.content.strip_prefix(b"\xef\xbb\xbf");
        let content = content.unwrap_or(source.content);
        let mut lines = Lines::new(content);
        let mut reader = ReaderBuilder::new().from_reader(content);
        let header = match reader.byte_headers() {
            Ok(header) => Header::new(header),
            Err(error) => return self.csv_error(&name, &error, &mut lines),
        };
        let format = match header.format(format, source.name) {
            Ok(format) => format,
            Err(message) => return self.error(name, message),
        };
        let mut rows = 0;
        let mut record = ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.csv_error(&name, &error, &mut lines);
                    break;
                }
            }
            rows += 1;
            let line = lines.of(record.position());
            if rows > self.max_rows || self.rows.len() >= self.max_rows {
                let message = format!("there must be at most {} rows", self.max_rows);
                self.error(format!("{name} line {line}"), message);
                break;
            }
            let fields = Fields {
                header: &header,
                record: &record,
                now: self.now,
            };
            if let Err((column, message)) = self.parse_row(format, &fields, index, line) {
                let field = match column {
                    "" => format!("{name} line {line}"),
                    column => format!("{name} line {line}, {column}"),
                };
                self.error(field, message);
                if self.errors.len() >= MAX_ERRORS {
                    break;
                }
            }
        }
        self.files.push(ImportFile { name, format, rows });
    }

    fn csv_error(&mut self, name: &str, error: &csv::Error, lines: &mut Lines<'_>) {
        let line = lines.of(error.position());
        let message = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("has {len} columns, but the header has {expected_len}"),
            _ => "cannot be parsed as CSV".to_owned(),
        };
        self.error(format!("{name} line {line}"), message);
    }

    fn parse_row(
        &mut self,
        format: ImportFormat,
        fields: &Fields<'_>,
        file: usize,
        line: u64,
    ) -> Result<(), InvalidField> {
        match format {
            ImportFormat::MovielensLinks => {
                let ids = (fields.imdb_number("imdbId")?, fields.tmdb_id("tmdbId")?);
                self.links.insert(fields.number("movieId")?, ids);
                return Ok(());
            }
            ImportFormat::MovielensMovies => {
                let title = title_and_year(&fields.required("title")?);
                self.movies.insert(fields.number("movieId")?, title);
                return Ok(());
            }
            _ => {}
        }
        if fields.is_other_title()? {
            self.skipped += 1;
            return Ok(());
        }
        let mut entry = ImportEntry {
            file: i16::try_from(file).unwrap_or(i16::MAX),
            line: i32::try_from(line).unwrap_or(i32::MAX),
            ..ImportEntry::default()
        };
        rows::fill(&mut entry, format, fields)?;
        let mut movielens_id = None;
        if format == ImportFormat::MovielensRatings {
            let user = fields.get("userId")?;
            let first = self.movielens_user.get_or_insert_with(|| user.to_owned());
            if first != user {
                let message = format!("must be {first} as before: send the rows of one user");
                return Err(("userId", message));
            }
            movielens_id = Some(fields.number("movieId")?);
        }
        if !entry.is_identified() && movielens_id.is_none() {
            return Err(("", "has neither an id nor a title".to_owned()));
        }
        self.rows.push((entry, movielens_id));
        Ok(())
    }

    /// Completes the MovieLens rows and returns the result.
    fn finish(mut self) -> Result<Parsed, Vec<FieldError>> {
        let has_no_dataset = self.links.is_empty() && self.movies.is_empty();
        let mut unidentified = None;
        for (entry, movielens_id) in &mut self.rows {
            let Some(id) = movielens_id else {
                continue;
            };
            if let Some((imdb_id, tmdb_id)) = self.links.get(id) {
                entry.imdb_id = entry.imdb_id.take().or_else(|| imdb_id.clone());
                entry.tmdb_id = entry.tmdb_id.or(*tmdb_id);
            }
            if let Some((title, year)) = self.movies.get(id) {
                entry.year = entry.year.or(*year);
                entry.title = entry.title.take().or_else(|| Some(title.clone()));
            }
            if has_no_dataset && !entry.is_identified() {
                unidentified = Some((usize::try_from(entry.file).unwrap_or(0), entry.line));
                break;
            }
        }
        let name = |file: usize| self.files.get(file).map(|file| file.name.clone());
        if let Some((file, line)) = unidentified {
            let field = format!("{} line {line}, movieId", name(file).unwrap_or_default());
            self.error(
                field,
                "has no tmdbId: send the links.csv of the dataset as well",
            );
        } else if self.errors.is_empty() && self.rows.is_empty() && self.skipped == 0 {
            let field = name(0).unwrap_or_else(|| "body".to_owned());
            self.error(field, "there must be a row besides the header");
        }
        if !self.errors.is_empty() {
            self.errors.truncate(MAX_ERRORS);
            return Err(self.errors);
        }
        Ok(Parsed {
            files: self.files,
            entries: self.rows.into_iter().map(|(entry, _)| entry).collect(),
            skipped: self.skipped,
        })
    }
}

/// The name of a file in responses: without control characters, shortened, and never empty.
fn file_name(name: &str, index: usize) -> String {
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(MAX_NAME_CHARS)
        .collect();
    match name.trim() {
        "" if index == 0 => "body".to_owned(),
        "" => format!("file {}", index + 1),
        name => name.to_owned(),
    }
}
