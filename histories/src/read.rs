//! The reader of uploads: each file is recognized and read on its own, and the rows of all are completed, ordered and
//! reported together. One row never decides over a file, one file never over the others; only limits refuse the whole.

mod container;
mod json;
mod marquee;
mod path;
mod rows;
mod table;
#[cfg(test)]
mod tests;
mod title;

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};

pub use self::{
    container::{MAX_EXPANDED_BYTES, MAX_FILE_BYTES, MAX_FILES},
    path::{SkipReason, SkippedFile},
};
use crate::{
    DateOrder, Film, Format, Problem, Reason, Row,
    fields::{AMBIGUOUS, FieldError},
    text,
};

/// A file of an upload; an archive contains several.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// The name of the file with its relative path; may be empty.
    pub name: &'a str,
    /// The bytes of the file.
    pub content: &'a [u8],
}

/// The choices of the user, and limits.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The format of a single file.
    pub format: Option<Format>,
    /// The order of day and month in dates that do not tell.
    pub date_order: Option<DateOrder>,
    /// The most rows of all files.
    pub max_rows: usize,
    /// The present time; later dates are invalid.
    pub now: DateTime<Utc>,
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// The name with its path.
    pub name: String,
    /// The format; `None` if it was not recognized.
    pub format: Option<Format>,
    /// The number of rows without the header.
    pub rows: usize,
}

/// The contents of an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The files that were read, or could not be.
    pub files: Vec<ReadFile>,
    /// The rows about movies: those of a movie together, in an order that does not depend on that of files and rows.
    pub rows: Vec<Row>,
    /// The rows and files that were not taken.
    pub problems: Vec<Problem>,
    /// The files that were skipped as a whole.
    pub skipped_files: Vec<SkippedFile>,
    /// The number of skipped rows by the kind of their titles.
    pub skipped_kinds: BTreeMap<String, usize>,
}

/// The reason for which a whole upload is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The file, and the line if the refusal concerns one.
    pub file: String,
    /// A sentence for the user, which names the limit.
    pub message: String,
}

/// The state of reading an upload.
pub(crate) struct Reading<'a> {
    options: &'a Options,
    history: History,
    /// The number of rows of all files.
    rows: usize,
    refusal: Option<Refusal>,
    /// Places in `history.problems` by what makes them one problem.
    problems: HashMap<(Reason, &'static str, FilmKey), usize>,
    movielens: table::MovieLens,
    /// Files whose dates can be read in two ways, until another file tells.
    ambiguous: Vec<table::Ambiguous>,
    /// The orders of dates that files prove.
    proven: Vec<DateOrder>,
}

/// The identity of a movie within an upload.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum FilmKey {
    Tmdb(i64),
    Imdb(String),
    Title(String, Option<i32>),
    /// A row without a movie, by file and line.
    Row(usize, u64),
}

impl FilmKey {
    fn new(film: &Film, file: usize, line: u64) -> Self {
        match (film.tmdb_id, &film.imdb_id, &film.title) {
            (Some(id), ..) => Self::Tmdb(id),
            (_, Some(id), _) => Self::Imdb(id.clone()),
            (.., Some(title)) => Self::Title(title.to_lowercase(), film.year),
            _ => Self::Row(file, line),
        }
    }
}

/// Reads the files of an upload.
///
/// # Errors
/// Fails if a limit is exceeded, or an archive cannot be opened safely.
pub fn read(uploads: &[Upload<'_>], options: &Options) -> Result<History, Refusal> {
    let mut reading = Reading {
        options,
        history: History::default(),
        rows: 0,
        refusal: None,
        problems: HashMap::new(),
        movielens: table::MovieLens::default(),
        ambiguous: Vec::new(),
        proven: Vec::new(),
    };
    container::for_each(uploads, |name, content| {
        reading.read_file(name, content);
        reading.refusal.take().map_or(Ok(()), Err)
    })?;
    reading.finish()
}

impl Reading<'_> {
    fn read_file(&mut self, path: &str, content: Option<&[u8]>) {
        let name = path::display_name(
            path,
            self.history.files.len() + self.history.skipped_files.len(),
        );
        // Without content, the path alone tells that the file is skipped.
        let skipped = path::skip_reason(path).filter(|_| self.options.format.is_none());
        let Some(content) = content.filter(|_| skipped.is_none()) else {
            return self.skip_file(&name, skipped.unwrap_or(SkipReason::Other));
        };
        let file = self.history.files.len();
        self.history.files.push(ReadFile {
            name: name.clone(),
            format: None,
            rows: 0,
        });
        match text::decode(content) {
            Err(message) => self.file_problem(file, None, Reason::UnreadableText, message),
            Ok(text) if text::is_markup(&text) => {
                self.file_problem(
                    file,
                    None,
                    Reason::UnknownFormat,
                    "is XML or HTML: send the CSV, JSON or zip file that the site exports",
                );
            }
            Ok(text) if text.trim().is_empty() => {
                self.file_problem(file, None, Reason::UnknownFormat, "is empty")
            }
            Ok(text) if text::is_json(&text) => match marquee::parse(&text) {
                Some(export) => marquee::read(self, file, export),
                None => json::read(self, file, &name, &text),
            },
            Ok(text) => table::read(self, file, &name, &text),
        }
    }

    /// Reports a file as skipped; it is then no longer one of the files that were read.
    fn skip_file(&mut self, name: &str, reason: SkipReason) {
        if self
            .history
            .files
            .last()
            .is_some_and(|file| file.name == name && file.format.is_none())
        {
            self.history.files.pop();
        }
        self.history.skipped_files.push(SkippedFile {
            name: name.to_owned(),
            reason,
        });
    }

    fn begin_file(&mut self, file: usize, format: Format) {
        if let Some(file) = self.history.files.get_mut(file) {
            file.format = Some(format);
        }
    }

    /// Counts a row of a file; false if there are too many.
    fn count_row(&mut self, file: usize, line: u64) -> bool {
        self.rows += 1;
        let Some(file) = self.history.files.get_mut(file) else {
            return false;
        };
        if self.rows > self.options.max_rows {
            let message = format!(
                "there must be at most {} rows in all files",
                self.options.max_rows
            );
            self.refusal = Some(Refusal {
                file: format!("{} line {line}", file.name),
                message,
            });
            return false;
        }
        file.rows += 1;
        true
    }

    fn skip_kind(&mut self, kind: &str) {
        *self
            .history
            .skipped_kinds
            .entry(text::without_controls(kind))
            .or_default() += 1;
    }

    fn push(&mut self, row: Row) {
        let film = &row.film;
        if film.tmdb_id.is_none() && film.imdb_id.is_none() && film.title.is_none() {
            let error = FieldError {
                field: "",
                reason: Reason::NoMovie,
                message: "has neither an id nor a title".to_owned(),
            };
            return self.row_problem(row.file, row.line, &row.film, error);
        }
        self.history.rows.push(row);
    }

    fn file_problem(
        &mut self,
        file: usize,
        line: Option<u64>,
        reason: Reason,
        message: impl Into<String>,
    ) {
        self.history.problems.push(Problem {
            file,
            line,
            field: None,
            reason,
            // It may quote the names of columns.
            message: text::without_controls(&message.into()),
            title: None,
            rows: 0,
        });
    }

    fn row_problem(&mut self, file: usize, line: u64, film: &Film, error: FieldError) {
        let key = (error.reason, error.field, FilmKey::new(film, file, line));
        let problems = &mut self.history.problems;
        if let Some(known) = self
            .problems
            .get(&key)
            .and_then(|place| problems.get_mut(*place))
        {
            known.rows += 1;
            return;
        }
        self.problems.insert(key, problems.len());
        problems.push(Problem {
            file,
            line: Some(line),
            field: Some(error.field.to_owned()).filter(|field| !field.is_empty()),
            reason: error.reason,
            message: error.message,
            title: film.title.as_deref().map(text::without_controls),
            rows: 1,
        });
    }

    /// Removes ratings of the diary from an upload that has the present ratings of Letterboxd: those of the diary are of single
    /// viewings.
    fn keep_present_ratings(&mut self) {
        let History { files, rows, .. } = &mut self.history;
        let is_of = |row: &Row, format| {
            let file = files.get(row.file);
            file.and_then(|file| file.format) == Some(format)
        };
        let rated: HashSet<FilmKey> = rows
            .iter()
            .filter(|row| is_of(row, Format::LetterboxdRatings))
            .map(|row| FilmKey::new(&row.film, row.file, row.line))
            .collect();
        for row in rows {
            let key = FilmKey::new(&row.film, row.file, row.line);
            if is_of(row, Format::LetterboxdDiary) && rated.contains(&key) {
                row.viewing_rating = row.rating.take().map(|rating| rating.value);
            }
        }
    }

    fn finish(mut self) -> Result<History, Refusal> {
        let proven = self
            .proven
            .first()
            .copied()
            .filter(|first| self.proven.iter().all(|order| order == first));
        for ambiguous in std::mem::take(&mut self.ambiguous) {
            match proven {
                Some(order) => table::read_ordered(&mut self, ambiguous, Some(order)),
                None => {
                    let (file, line) = (ambiguous.file, ambiguous.line);
                    self.begin_file(file, ambiguous.format);
                    self.file_problem(file, Some(line), Reason::AmbiguousDates, AMBIGUOUS);
                }
            }
        }
        if let Some(refusal) = self.refusal.take() {
            return Err(refusal);
        }
        table::complete_movielens(&mut self);
        self.keep_present_ratings();
        self.history.rows.sort_by_cached_key(|row| {
            let rating = row
                .rating
                .map(|rating| (rating.when.instant(), rating.value));
            (
                FilmKey::new(&row.film, row.file, row.line),
                row.viewing
                    .map(|when| (when == crate::When::Unknown, when.instant())),
                rating,
                row.watchlist,
                row.reaction,
                row.progress,
                row.file,
                row.line,
            )
        });
        Ok(self.history)
    }
}
