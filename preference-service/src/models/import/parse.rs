//! Files that others export, read: whose they are is told by their heading. Columns are called as the
//! exports call them; case, spaces and underscores in their names make no difference. A file is right as
//! a whole, or else each row that is not is named.

use std::collections::HashMap;

use chassis::problem::FieldError;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use csv::{ByteRecord, ErrorKind, ReaderBuilder};

use super::{Deeds, ImportEntry, ImportFile, ImportFormat, ImportSource};
use crate::models::{MovieId, Rating};

/// How many mistakes are told of at once.
const ERRORS_TOLD: usize = 20;
/// The longest title, in characters.
const LONGEST_TITLE: usize = 500;
/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 100;
/// Years in which films may have been made, or will be.
const YEARS: std::ops::RangeInclusive<i32> = 1870..=2200;
/// Kinds of titles that are no films.
const NO_FILMS: [&str; 10] = [
    "tvseries",
    "tvminiseries",
    "tvepisode",
    "show",
    "season",
    "episode",
    "videogame",
    "podcastseries",
    "podcastepisode",
    "musicvideo",
];

/// What files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// The files.
    pub files: Vec<ImportFile>,
    /// Their rows about films, in their order.
    pub entries: Vec<ImportEntry>,
    /// How many rows are about something else.
    pub skipped: usize,
}

/// Reads `sources`. `format` says what the only file is; none: its heading does, and where that leaves a
/// choice its name. Rows without a date were done at `now`. There may be `most` rows.
///
/// # Errors
/// What is wrong, where: `ratings.csv line 17, Rating`.
pub fn parse(
    sources: &[ImportSource<'_>],
    format: Option<ImportFormat>,
    most: usize,
    now: DateTime<Utc>,
) -> Result<Parsed, Vec<FieldError>> {
    let mut reading = Reading {
        now,
        most,
        files: Vec::new(),
        rows: Vec::new(),
        skipped: 0,
        links: HashMap::new(),
        movies: HashMap::new(),
        owner: None,
        errors: Vec::new(),
    };
    for (place, source) in sources.iter().enumerate() {
        reading.read(place, source, format);
        if reading.errors.len() >= ERRORS_TOLD {
            break;
        }
    }
    reading.finish()
}

/// A row, and MovieLens' own number of its film.
type Row = (ImportEntry, Option<u64>);

struct Reading {
    now: DateTime<Utc>,
    most: usize,
    files: Vec<ImportFile>,
    rows: Vec<Row>,
    skipped: usize,
    /// Of MovieLens' films: IMDb's and TMDB's ids.
    links: HashMap<u64, (Option<String>, Option<MovieId>)>,
    /// The same: title and year.
    movies: HashMap<u64, (String, Option<i32>)>,
    /// Whose MovieLens ratings these are.
    owner: Option<String>,
    errors: Vec<FieldError>,
}

/// Counts lines. The reader takes a record to begin before the line feed of the one before, and before
/// lines that are empty.
struct Lines<'a> {
    content: &'a [u8],
    at: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn new(content: &'a [u8]) -> Self {
        Self {
            content,
            at: 0,
            line: 1,
        }
    }

    /// The line, from 1, of a record that the reader has at `position`; records are asked for in their
    /// order.
    fn of(&mut self, position: Option<&csv::Position>) -> u64 {
        let start = position.map_or(0, csv::Position::byte);
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        while let Some(byte) = self.content.get(self.at) {
            if self.at >= start && !matches!(byte, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*byte == b'\n');
            self.at += 1;
        }
        self.line
    }
}

/// What a column may not hold, and why.
type Wrong = (&'static str, String);

impl Reading {
    fn read(&mut self, place: usize, source: &ImportSource<'_>, format: Option<ImportFormat>) {
        let name = file_name(source.name, place);
        let content = source.content.strip_prefix(b"\xef\xbb\xbf");
        let content = content.unwrap_or(source.content);
        let mut lines = Lines::new(content);
        let mut reader = ReaderBuilder::new().from_reader(content);
        let heading = match reader.byte_headers() {
            Ok(heading) => Heading::new(heading),
            Err(error) => return self.unreadable(&name, &error, &mut lines),
        };
        let format = match heading.format(format, source.name) {
            Ok(format) => format,
            Err(message) => return self.errors.push(FieldError::new(name, message)),
        };
        let mut rows = 0;
        let mut record = ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.unreadable(&name, &error, &mut lines);
                    break;
                }
            }
            rows += 1;
            let line = lines.of(record.position());
            if rows > self.most || self.rows.len() >= self.most {
                let message = format!("there must be at most {} rows", self.most);
                self.errors
                    .push(FieldError::new(format!("{name} line {line}"), message));
                break;
            }
            let fields = Fields {
                heading: &heading,
                record: &record,
                now: self.now,
            };
            if let Err((column, message)) = self.take(format, &fields, place, line) {
                let field = match column {
                    "" => format!("{name} line {line}"),
                    column => format!("{name} line {line}, {column}"),
                };
                self.errors.push(FieldError::new(field, message));
                if self.errors.len() >= ERRORS_TOLD {
                    break;
                }
            }
        }
        self.files.push(ImportFile { name, format, rows });
    }

    fn unreadable(&mut self, name: &str, error: &csv::Error, lines: &mut Lines<'_>) {
        let line = lines.of(error.position());
        let message = match error.kind() {
            ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("has {len} columns, but the heading has {expected_len}"),
            _ => "cannot be read as CSV".to_owned(),
        };
        self.errors
            .push(FieldError::new(format!("{name} line {line}"), message));
    }

    fn take(
        &mut self,
        format: ImportFormat,
        fields: &Fields<'_>,
        file: usize,
        line: u64,
    ) -> Result<(), Wrong> {
        use ImportFormat as F;
        match format {
            F::MovielensLinks => {
                let imdb_id = fields.imdb_number("imdbId")?;
                let ids = (imdb_id, fields.tmdb_id("tmdbId")?);
                self.links.insert(fields.number("movieId")?, ids);
                return Ok(());
            }
            F::MovielensMovies => {
                let title = fields.required("title")?;
                let named = title_and_year(&title);
                self.movies.insert(fields.number("movieId")?, named);
                return Ok(());
            }
            _ => {}
        }
        if fields.is_no_film()? {
            self.skipped += 1;
            return Ok(());
        }
        let mut entry = ImportEntry {
            file: i16::try_from(file).unwrap_or(i16::MAX),
            line: i32::try_from(line).unwrap_or(i32::MAX),
            ..ImportEntry::default()
        };
        let mut movielens = None;
        match format {
            F::LetterboxdWatched
            | F::LetterboxdRatings
            | F::LetterboxdDiary
            | F::LetterboxdWatchlist
            | F::LetterboxdLikes => {
                entry.title = Some(fields.required("Name")?);
                entry.year = fields.year("Year")?;
                let date = fields.date("Date")?;
                entry.deeds = match format {
                    F::LetterboxdWatched => Deeds {
                        watched_at: Some(date),
                        ..Deeds::default()
                    },
                    F::LetterboxdRatings => Deeds {
                        rated: Some((fields.stars("Rating")?, date)),
                        ..Deeds::default()
                    },
                    F::LetterboxdWatchlist => Deeds {
                        bookmarked_at: Some(date),
                        ..Deeds::default()
                    },
                    F::LetterboxdLikes => Deeds {
                        liked_at: Some(date),
                        ..Deeds::default()
                    },
                    _ => {
                        let watched = fields.get("Watched Date")?;
                        let watched_at = match watched.is_empty() {
                            true => date,
                            false => fields.date("Watched Date")?,
                        };
                        Deeds {
                            watched_at: Some(watched_at),
                            rated: fields.if_given("Rating", |fields, name| {
                                Ok((fields.stars(name)?, date))
                            })?,
                            ..Deeds::default()
                        }
                    }
                };
            }
            F::ImdbRatings | F::ImdbWatchlist => {
                entry.imdb_id = Some(fields.imdb_id("Const")?.ok_or(("Const", REQUIRED.into()))?);
                entry.title = fields.optional("Title")?;
                entry.year = fields.year("Year")?;
                let rated = |fields: &Fields<'_>, name| {
                    Ok((fields.tenths(name)?, fields.date("Date Rated")?))
                };
                if format == F::ImdbRatings {
                    entry.deeds.rated = Some(rated(fields, "Your Rating")?);
                } else {
                    entry.deeds.rated = fields.if_given("Your Rating", rated)?;
                    entry.deeds.bookmarked_at = Some(fields.date("Created")?);
                }
            }
            F::TraktRatings | F::TraktHistory | F::TraktWatchlist => {
                entry.tmdb_id = fields.tmdb_id("tmdb_id")?;
                entry.imdb_id = fields.imdb_id("imdb_id")?;
                entry.title = fields.optional("title")?;
                entry.year = fields.year("year")?;
                match format {
                    F::TraktRatings => {
                        let rated = (fields.tenths("rating")?, fields.date("rated_at")?);
                        entry.deeds.rated = Some(rated);
                    }
                    F::TraktHistory => {
                        entry.deeds.watched_at = Some(fields.date("watched_at")?);
                    }
                    _ => entry.deeds.bookmarked_at = Some(fields.date("listed_at")?),
                }
            }
            F::MovielensRatings => {
                let owner = fields.get("userId")?;
                let known = self.owner.get_or_insert_with(|| owner.to_owned());
                if known != owner {
                    let message = format!("must be {known} as before: send the rows of one user");
                    return Err(("userId", message));
                }
                entry.tmdb_id = fields.tmdb_id("tmdbId")?;
                entry.imdb_id = fields.imdb_number("imdbId")?;
                if let Some(title) = fields.optional("title")? {
                    let (title, year) = title_and_year(&title);
                    (entry.title, entry.year) = (Some(title), year);
                }
                let at = fields.timestamp("timestamp")?;
                entry.deeds.rated = Some((fields.stars("rating")?, at));
                movielens = Some(fields.number("movieId")?);
            }
            F::MovielensLinks | F::MovielensMovies => {}
        }
        let is_named = entry.tmdb_id.is_some() || entry.imdb_id.is_some() || entry.title.is_some();
        if !is_named && movielens.is_none() {
            return Err(("", "has neither an id nor a title".to_owned()));
        }
        self.rows.push((entry, movielens));
        Ok(())
    }

    fn finish(mut self) -> Result<Parsed, Vec<FieldError>> {
        let has_names = !(self.links.is_empty() && self.movies.is_empty());
        for (entry, movielens) in &mut self.rows {
            let Some(number) = movielens else {
                continue;
            };
            if let Some((imdb_id, tmdb_id)) = self.links.get(number) {
                entry.imdb_id = entry.imdb_id.take().or_else(|| imdb_id.clone());
                entry.tmdb_id = entry.tmdb_id.or(*tmdb_id);
            }
            if let Some((title, year)) = self.movies.get(number) {
                entry.year = entry.year.or(*year);
                entry.title = entry.title.take().or_else(|| Some(title.clone()));
            }
            let is_named =
                entry.tmdb_id.is_some() || entry.imdb_id.is_some() || entry.title.is_some();
            if !is_named && !has_names {
                let file = usize::try_from(entry.file).ok();
                let name = file.and_then(|file| self.files.get(file));
                let name = name.map_or("", |file| file.name.as_str());
                let message = "has no tmdbId: send the links.csv of the dataset along";
                let field = format!("{name} line {}, movieId", entry.line);
                self.errors.push(FieldError::new(field, message));
                break;
            }
        }
        if self.errors.is_empty() && self.rows.is_empty() && self.skipped == 0 {
            let message = "there must be a row besides the heading";
            let name = self.files.first().map_or("body", |file| file.name.as_str());
            self.errors.push(FieldError::new(name, message));
        }
        if !self.errors.is_empty() {
            self.errors.truncate(ERRORS_TOLD);
            return Err(self.errors);
        }
        Ok(Parsed {
            files: self.files,
            entries: self.rows.into_iter().map(|(entry, _)| entry).collect(),
            skipped: self.skipped,
        })
    }
}

/// The columns of a file, by their names.
struct Heading(HashMap<String, usize>);

impl Heading {
    fn new(record: &ByteRecord) -> Self {
        let names = record.iter().enumerate();
        Self(
            names
                .map(|(place, name)| (simple(&String::from_utf8_lossy(name)), place))
                .collect(),
        )
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.0.contains_key(&simple(name)))
    }

    /// What the file holds, or what to do that this can be told.
    fn format(
        &self,
        wanted: Option<ImportFormat>,
        file_name: &str,
    ) -> Result<ImportFormat, String> {
        use ImportFormat as F;
        let fits = |format: &F| match format {
            F::LetterboxdDiary => self.has(&["Name", "Watched Date"]),
            F::LetterboxdRatings => self.has(&["Name", "Letterboxd URI", "Rating"]),
            F::LetterboxdWatched | F::LetterboxdWatchlist | F::LetterboxdLikes => {
                self.has(&["Name", "Letterboxd URI"])
            }
            F::ImdbWatchlist => self.has(&["Const", "Created"]),
            F::ImdbRatings => self.has(&["Const", "Your Rating"]),
            F::TraktRatings => self.has(&["rated_at", "rating", "title"]),
            F::TraktHistory => self.has(&["watched_at", "title"]),
            F::TraktWatchlist => self.has(&["listed_at", "title"]),
            F::MovielensRatings => self.has(&["movieId", "rating"]),
            F::MovielensLinks => self.has(&["movieId", "imdbId", "tmdbId"]),
            F::MovielensMovies => self.has(&["movieId", "title"]),
        };
        if let Some(wanted) = wanted {
            return fits(&wanted).then_some(wanted).ok_or_else(|| {
                format!("the first line is not the heading of {}", wanted.as_str())
            });
        }
        // Those with more columns first; of those that look alike the name decides.
        let order = [
            F::LetterboxdDiary,
            F::LetterboxdRatings,
            F::ImdbWatchlist,
            F::ImdbRatings,
            F::TraktRatings,
            F::TraktHistory,
            F::TraktWatchlist,
            F::MovielensRatings,
            F::MovielensLinks,
            F::MovielensMovies,
        ];
        if let Some(format) = order.into_iter().find(fits) {
            return Ok(format);
        }
        if !fits(&F::LetterboxdWatched) {
            return Err("the first line is not the heading of an export of Letterboxd, IMDb, Trakt or MovieLens".to_owned());
        }
        let name = file_name.to_lowercase();
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        match base.trim_end_matches(".csv") {
            base if base.contains("watchlist") => Ok(F::LetterboxdWatchlist),
            base if base.contains("watched") => Ok(F::LetterboxdWatched),
            "films" => Ok(F::LetterboxdLikes),
            base if base.contains("likes") => Ok(F::LetterboxdLikes),
            _ => Err("watched.csv, watchlist.csv and films.csv (likes) look the same: keep their names, or say which it is by format=letterboxd-watched, letterboxd-watchlist or letterboxd-likes".to_owned()),
        }
    }
}

const REQUIRED: &str = "is required";

/// A row.
struct Fields<'a> {
    heading: &'a Heading,
    record: &'a ByteRecord,
    now: DateTime<Utc>,
}

impl<'a> Fields<'a> {
    /// The text of a column, without spaces around it; empty where there is no such column.
    fn get(&self, name: &'static str) -> Result<&'a str, Wrong> {
        let place = self.heading.0.get(&simple(name));
        let bytes = place.and_then(|place| self.record.get(*place));
        let text = std::str::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| (name, "must be text in UTF-8".to_owned()))?;
        if text.contains('\0') {
            return Err((name, "must be text without NUL".to_owned()));
        }
        Ok(text.trim())
    }

    fn if_given<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        if self.get(name)?.is_empty() {
            return Ok(None);
        }
        read(self, name).map(Some)
    }

    fn optional(&self, name: &'static str) -> Result<Option<String>, Wrong> {
        self.if_given(name, Self::required)
    }

    fn required(&self, name: &'static str) -> Result<String, Wrong> {
        let text = self.get(name)?;
        if text.is_empty() {
            return Err((name, REQUIRED.to_owned()));
        }
        if text.chars().count() > LONGEST_TITLE {
            let message = format!("must be at most {LONGEST_TITLE} characters");
            return Err((name, message));
        }
        Ok(text.to_owned())
    }

    fn number(&self, name: &'static str) -> Result<u64, Wrong> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| (name, "must be a whole number".to_owned()))
    }

    fn year(&self, name: &'static str) -> Result<Option<i32>, Wrong> {
        self.if_given(name, |fields, name| {
            let year = fields.get(name)?.parse().ok();
            year.filter(|year| YEARS.contains(year)).ok_or_else(|| {
                let message = format!("must be a year from {} to {}", YEARS.start(), YEARS.end());
                (name, message)
            })
        })
    }

    fn tmdb_id(&self, name: &'static str) -> Result<Option<MovieId>, Wrong> {
        self.if_given(name, |fields, name| {
            // Some write whole numbers as others do.
            let text = fields.get(name)?.trim_end_matches(".0");
            let id = text.parse().ok().and_then(MovieId::new);
            id.ok_or_else(|| (name, "must be a whole number from 1 on".to_owned()))
        })
    }

    fn imdb_id(&self, name: &'static str) -> Result<Option<String>, Wrong> {
        self.if_given(name, |fields, name| {
            let id = fields.get(name)?;
            let digits = id.strip_prefix("tt").unwrap_or_default();
            let is_id = (7..=10).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_id
                .then(|| id.to_owned())
                .ok_or_else(|| (name, "must be `tt` and seven to ten digits".to_owned()))
        })
    }

    /// IMDb's id as MovieLens writes it: its number.
    fn imdb_number(&self, name: &'static str) -> Result<Option<String>, Wrong> {
        if self.get(name)?.starts_with("tt") {
            return self.imdb_id(name);
        }
        self.if_given(name, |fields, name| {
            let number = fields.number(name)?;
            let is_id = number < 10_000_000_000;
            is_id
                .then(|| format!("tt{number:07}"))
                .ok_or_else(|| (name, "must have at most ten digits".to_owned()))
        })
    }

    fn stars(&self, name: &'static str) -> Result<Rating, Wrong> {
        let stars = self.get(name)?.parse().ok();
        stars.and_then(Rating::from_stars).ok_or_else(|| {
            let message = "must be a number of stars from 0.5 to 5, in halves";
            (name, message.to_owned())
        })
    }

    /// A rating of 1 to 10, which are half stars.
    fn tenths(&self, name: &'static str) -> Result<Rating, Wrong> {
        let points = self.get(name)?.parse().ok();
        points
            .and_then(Rating::from_half_stars)
            .ok_or_else(|| (name, "must be a whole number from 1 to 10".to_owned()))
    }

    /// A day or an instant; now where none is given.
    fn date(&self, name: &'static str) -> Result<DateTime<Utc>, Wrong> {
        let at = self.if_given(name, |fields, name| {
            let text = fields.get(name)?;
            let day = |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            let instant = |format| NaiveDateTime::parse_from_str(text, format).ok();
            let at = DateTime::parse_from_rfc3339(text)
                .map(|at| at.to_utc())
                .ok()
                .or_else(|| Some(day(text)?.and_hms_opt(0, 0, 0)?.and_utc()))
                .or_else(|| instant("%Y-%m-%d %H:%M:%S").map(|at| at.and_utc()))
                .or_else(|| instant("%a %b %e %H:%M:%S %Y").map(|at| at.and_utc()));
            at.filter(|at| YEARS.contains(&at.year()))
                .ok_or_else(|| (name, "must be a day, as 2026-02-13".to_owned()))
        })?;
        Ok(at.unwrap_or(self.now))
    }

    /// Seconds since 1970; now where none are given.
    fn timestamp(&self, name: &'static str) -> Result<DateTime<Utc>, Wrong> {
        let at = self.if_given(name, |fields, name| {
            let at = DateTime::from_timestamp(fields.get(name)?.parse().unwrap_or(i64::MIN), 0);
            at.filter(|at| YEARS.contains(&at.year()))
                .ok_or_else(|| (name, "must be a number of seconds since 1970".to_owned()))
        })?;
        Ok(at.unwrap_or(self.now))
    }

    fn is_no_film(&self) -> Result<bool, Wrong> {
        let kind = match self.get("Title Type")? {
            "" => self.get("type")?,
            kind => kind,
        };
        Ok(NO_FILMS.contains(&simple(kind).as_str()))
    }
}

/// A name as names are compared.
fn simple(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// What a file is called in answers.
fn file_name(name: &str, place: usize) -> String {
    let name: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(LONGEST_NAME)
        .collect();
    match name.trim() {
        "" if place == 0 => "body".to_owned(),
        "" => format!("file {}", place + 1),
        name => name.to_owned(),
    }
}

/// `Long Way, The (1987)`: MovieLens puts the article behind, and the year last.
fn title_and_year(text: &str) -> (String, Option<i32>) {
    let trimmed = text.trim();
    let parts = trimmed.strip_suffix(')').and_then(|rest| {
        let (title, year) = rest.rsplit_once('(')?;
        let year = year.parse().ok().filter(|year| YEARS.contains(year))?;
        Some((title.trim(), Some(year)))
    });
    let (title, year) = parts.unwrap_or((trimmed, None));
    let title = match title.rsplit_once(", ") {
        Some((
            rest,
            article @ ("The" | "A" | "An" | "Der" | "Die" | "Das" | "Le" | "La" | "Les" | "Il"
            | "El"),
        )) => {
            format!("{article} {rest}")
        }
        _ => title.to_owned(),
    };
    (title, year)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000, 0).expect("in range")
    }

    fn read(name: &str, text: &str) -> Result<Parsed, Vec<FieldError>> {
        let content = text.as_bytes();
        parse(&[ImportSource { name, content }], None, 1000, now())
    }

    fn entries(name: &str, text: &str) -> Vec<ImportEntry> {
        read(name, text).expect(text).entries
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn a_heading_is_known_by_its_columns_and_of_those_alike_by_the_name() {
        let format = |name: &str, heading: &str| {
            let heading = Heading::new(&ByteRecord::from(heading.split(',').collect::<Vec<_>>()));
            heading.format(None, name).map(ImportFormat::as_str)
        };
        let list = "Date,Name,Year,Letterboxd URI";
        assert_eq!(format("watched.csv", list), Ok("letterboxd-watched"));
        assert_eq!(format("My Watchlist.CSV", list), Ok("letterboxd-watchlist"));
        assert_eq!(format("likes/films.csv", list), Ok("letterboxd-likes"));
        assert!(format("export.csv", list).is_err_and(|error| error.contains("format=")));
        assert!(format("x", "a,b").is_err());
        for (heading, wanted) in [
            ("Date,Name,Year,Letterboxd URI,Rating", "letterboxd-ratings"),
            (
                "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date",
                "letterboxd-diary",
            ),
            (
                "Const,Your Rating,Date Rated,Title,Title Type,Year",
                "imdb-ratings",
            ),
            (
                "Position,Const,Created,Modified,Description,Title,Year,Your Rating,Date Rated",
                "imdb-watchlist",
            ),
            (
                "rated_at,type,title,year,trakt_id,imdb_id,tmdb_id,rating",
                "trakt-ratings",
            ),
            (
                "watched_at,action,type,title,year,trakt_id,imdb_id,tmdb_id",
                "trakt-history",
            ),
            (
                "rank,listed_at,type,title,year,trakt_id,imdb_id,tmdb_id",
                "trakt-watchlist",
            ),
            ("userId,movieId,rating,timestamp", "movielens-ratings"),
            (
                "movie_id,imdb_id,tmdb_id,rating,average_rating,title",
                "movielens-ratings",
            ),
            ("movieId,imdbId,tmdbId", "movielens-links"),
            ("movieId,title,genres", "movielens-movies"),
        ] {
            assert_eq!(format("x.csv", heading), Ok(wanted), "{heading}");
        }
    }

    #[test]
    fn quotes_line_ends_and_a_byte_order_mark_are_read_and_lines_counted() {
        let text = "\u{feff}Date,Name,Year,Letterboxd URI,Rating\r\n\
            2024-01-02,\"Said, \"\"so\"\"\r\nthey\",1990,u,0.5\r\n\r\n2024-01-03,달의 길,,u,5\r\n";
        let read = entries("ratings.csv", text);
        let seen: Vec<_> = read
            .iter()
            .map(|entry| (entry.line, entry.title.as_deref().expect("one"), entry.year))
            .collect();
        assert_eq!(
            seen,
            [
                (2, "Said, \"so\"\r\nthey", Some(1990)),
                (5, "달의 길", None)
            ]
        );
        let rated: Vec<_> = read
            .iter()
            .map(|entry| entry.deeds.rated.expect("one"))
            .collect();
        assert_eq!(rated[0].0.stars(), 0.5);
        assert_eq!(
            rated[1],
            (
                Rating::from_half_stars(10).expect("one"),
                at("2024-01-03T00:00:00Z")
            )
        );
    }

    #[test]
    fn movielens_rows_get_their_ids_and_titles_from_the_files_beside_them() {
        let file = |name, content: &'static str| ImportSource {
            name,
            content: content.as_bytes(),
        };
        let ratings = file(
            "ratings.csv",
            "userId,movieId,rating,timestamp\n3,7,4.5,1000000000\n3,8,1,\n3,9,2,1\n",
        );
        let links = file(
            "links.csv",
            "movieId,imdbId,tmdbId\n7,0000042,603\n8,12345678,\n",
        );
        let movies = file(
            "movies.csv",
            "movieId,title,genres\n8,\"Long Way, The (1987)\",Drama\n9,Short Way,Drama\n",
        );
        let read = parse(&[ratings, links, movies], None, 10, now())
            .expect("right")
            .entries;
        assert_eq!(read[0].tmdb_id, MovieId::new(603));
        assert_eq!(read[0].imdb_id.as_deref(), Some("tt0000042"));
        assert_eq!(
            read[0].deeds.rated.expect("one").1,
            at("2001-09-09T01:46:40Z")
        );
        assert_eq!(
            (read[1].imdb_id.as_deref(), read[1].year),
            (Some("tt12345678"), Some(1987))
        );
        assert_eq!(read[1].title.as_deref(), Some("The Long Way"));
        assert_eq!(read[1].deeds.rated.expect("one").1, now());
        assert_eq!(read[2].title.as_deref(), Some("Short Way"));
        let alone = parse(&[ratings], None, 10, now()).expect_err("no links");
        assert_eq!(alone[0].field, "ratings.csv line 2, movieId");
    }

    #[test]
    fn mistakes_are_told_with_line_and_column() {
        let told = |text: &str| {
            let errors = read("f.csv", text).expect_err(text);
            errors
                .into_iter()
                .map(|error| error.field)
                .collect::<Vec<_>>()
        };
        let ratings = "Date,Name,Year,Letterboxd URI,Rating\n";
        for (rows, field) in [
            ("2024-13-01,A,1990,u,5", "f.csv line 2, Date"),
            ("2024-01-01,,1990,u,5", "f.csv line 2, Name"),
            ("2024-01-01,A,MCM,u,5", "f.csv line 2, Year"),
            ("2024-01-01,A,1990,u,5.5", "f.csv line 2, Rating"),
            ("2024-01-01,A,1990,u", "f.csv line 2"),
            ("", "f.csv"),
        ] {
            assert_eq!(told(&format!("{ratings}{rows}")), [field], "{rows}");
        }
        let imdb = "Const,Your Rating,Date Rated,Title,Year\n";
        for (rows, field) in [
            ("nm0000001,5,2024-01-01,A,1990", "f.csv line 2, Const"),
            (",5,2024-01-01,A,1990", "f.csv line 2, Const"),
            ("tt0000001,0,2024-01-01,A,1990", "f.csv line 2, Your Rating"),
        ] {
            assert_eq!(told(&format!("{imdb}{rows}")), [field], "{rows}");
        }
        let movielens = "userId,movieId,rating,timestamp,tmdbId\n";
        let two = format!("{movielens}1,7,5,0,603\n2,7,5,0,603");
        assert_eq!(told(&two), ["f.csv line 3, userId"]);
        assert_eq!(told(""), ["f.csv"]);
        let content = b"Date,Name,Year,Letterboxd URI,Rating\n2024-01-01,\xff,1990,u,5";
        let errors =
            parse(&[ImportSource { name: "", content }], None, 9, now()).expect_err("bytes");
        assert_eq!(
            errors[0],
            FieldError::new("body line 2, Name", "must be text in UTF-8")
        );
        let many = format!("{ratings}{}", "2024-01-01,A,1990,u,9\n".repeat(50));
        assert_eq!(told(&many).len(), ERRORS_TOLD);
    }

    #[test]
    fn series_are_passed_over_and_rows_are_bounded() {
        let text = "rated_at,type,title,year,imdb_id,tmdb_id,rating\n\
            2024-01-01T00:00:00Z,show,A,1990,,1,5\n2024-01-01T00:00:00Z,movie,A,1990,,1,5\n";
        let parsed = read("t.csv", text).expect("right");
        assert_eq!((parsed.entries.len(), parsed.skipped), (1, 1));
        let content = text.as_bytes();
        let source = ImportSource {
            name: "t.csv",
            content,
        };
        let errors = parse(&[source], None, 1, now()).expect_err("too many");
        assert_eq!(errors[0].field, "t.csv line 3");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in prop::collection::vec(any::<u8>(), 0..300), place in 0..13_usize) {
            let headings = [
                "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date\n",
                "movieId,imdbId,tmdbId\n",
                "userId,movieId,rating,timestamp\n",
                "",
            ];
            let mut bytes = headings[place % headings.len()].as_bytes().to_vec();
            bytes.extend(content);
            let source = ImportSource { name: "x", content: &bytes };
            let _ = parse(&[source], ImportFormat::ALL.get(place).copied(), 100, now());
            let _ = parse(&[source], None, 100, now());
        }
    }
}
