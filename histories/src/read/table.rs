//! Files of delimited text: recognized by their header, then read row by row.

use std::collections::HashMap;

use super::{
    Reading,
    path::SkipReason,
    rows::{self, Mapped},
    title::title_and_year,
};
use crate::{
    DateOrder, Film, Format, Reason, Row,
    date::proven_order,
    fields::{FieldError, Fields},
    format,
    header::Header,
    table::{Entry, Record, Table},
    text,
};

/// The columns that contain dates of actions.
const DATES: [&str; 15] = [
    "Date",
    "Watched Date",
    "Created",
    "Date Rated",
    "Date Added",
    "watched_at",
    "last_watched_at",
    "rated_at",
    "listed_at",
    "end_date",
    "created_at",
    "added_at",
    "timestamp",
    "listed",
    "progressed_at",
];

/// A file whose dates can be read in two ways.
pub(crate) struct Ambiguous {
    pub(crate) file: usize,
    pub(crate) format: Format,
    /// The first line with such a date.
    pub(crate) line: u64,
    text: String,
    delimiter: u8,
    first_line: u64,
}

/// The tables of a MovieLens dataset, by its ids.
#[derive(Default)]
pub(crate) struct MovieLens {
    /// IMDb's and TMDB's ids.
    links: HashMap<u64, (Option<String>, Option<i64>)>,
    /// Title and year.
    movies: HashMap<u64, (String, Option<i32>)>,
    /// The places of ratings in the rows, with their ids.
    ratings: Vec<(Row, u64)>,
}

/// The reason for which a file with this header is skipped.
fn skipped(header: &Header) -> Option<SkipReason> {
    let has = |names: &[&str]| names.iter().all(|name| header.has(name));
    match () {
        () if has(&["datejoined", "username"]) => Some(SkipReason::Profile),
        () if has(&["content", "comment"]) => Some(SkipReason::Comments),
        () if header.len == 2 && has(&["date", "content"]) => Some(SkipReason::OtherLikes),
        () if has(&["userid", "movieid", "tag"]) || has(&["tagid"]) => Some(SkipReason::Tags),
        () if has(&["collectedat", "title"]) => Some(SkipReason::Collection),
        () if has(&["listname", "rowtype"]) || has(&["position", "name", "url"]) => {
            Some(SkipReason::List)
        }
        () => None,
    }
}

/// Reads a file.
pub(crate) fn read(reading: &mut Reading<'_>, file: usize, name: &str, text: &str) {
    let requested = reading.options.format;
    if text.trim_start().starts_with("Letterboxd list export") {
        return reading.skip_file(name, SkipReason::List);
    }
    let (text, skipped_lines, delimiter) = text::delimiter(text);
    let first_line = skipped_lines + 1;
    let Some(Entry::Record(record)) = Table::new(text, first_line, delimiter).next() else {
        return reading.file_problem(
            file,
            Some(first_line),
            Reason::UnknownFormat,
            "the first line is no header",
        );
    };
    let header = Header::new(&record);
    if let Some(reason) = skipped(&header).filter(|_| requested.is_none()) {
        return reading.skip_file(name, reason);
    }
    let format = match format::detect(&header, name, requested) {
        Ok(format) => format,
        Err(message) => {
            return reading.file_problem(file, Some(record.line), Reason::UnknownFormat, message);
        }
    };
    reading.begin_file(file, format);
    let scan = match Scan::new(text, first_line, delimiter, &header, format) {
        Ok(scan) => scan,
        Err((line, message)) => {
            return reading.file_problem(file, Some(line), Reason::InvalidField, message);
        }
    };
    let mut source = Ambiguous {
        file,
        format,
        line: 0,
        text: String::new(),
        delimiter,
        first_line,
    };
    if format == Format::ImdbRatings
        && header.has("yourated")
        && !scan.is_all_rated
        && !name.to_lowercase().contains("rating")
    {
        // Lists of before 2017 have the same columns.
        source.format = Format::ImdbWatchlist;
        reading.begin_file(file, Format::ImdbWatchlist);
    }
    let order = match (scan.day_first, scan.month_first) {
        _ if reading.options.date_order.is_some() => reading.options.date_order,
        (true, false) => Some(DateOrder::DayFirst),
        (false, true) => Some(DateOrder::MonthFirst),
        _ => None,
    };
    if let Some(order) = order {
        reading.proven.push(order);
    } else if let Some(line) = scan.ambiguous {
        reading.ambiguous.push(Ambiguous {
            line,
            text: text.to_owned(),
            ..source
        });
        return;
    }
    read_rows(reading, &source, text, order);
}

/// Reads a file whose order of day and month is now known.
pub(crate) fn read_ordered(
    reading: &mut Reading<'_>,
    mut source: Ambiguous,
    order: Option<DateOrder>,
) {
    let text = std::mem::take(&mut source.text);
    read_rows(reading, &source, &text, order);
}

/// A first pass over the rows, for what only the whole file tells.
#[derive(Default)]
struct Scan {
    day_first: bool,
    month_first: bool,
    /// The first line with a date of two readings.
    ambiguous: Option<u64>,
    /// True if each row has a rating.
    is_all_rated: bool,
}

impl Scan {
    fn new(
        text: &str,
        line: u64,
        delimiter: u8,
        header: &Header,
        format: Format,
    ) -> Result<Self, (u64, String)> {
        let mut scan = Self {
            is_all_rated: true,
            ..Self::default()
        };
        let columns: Vec<usize> = DATES
            .iter()
            .filter_map(|name| header.column(name))
            .collect();
        let watched = header
            .column("WatchedDate")
            .filter(|column| !columns.contains(column));
        let rated = header.column("You rated");
        let stars = header
            .column("Rating")
            .filter(|_| format == Format::LetterboxdImport);
        for entry in Table::new(text, line, delimiter).skip(1) {
            let Entry::Record(record) = entry else {
                continue;
            };
            for text in columns
                .iter()
                .chain(&watched)
                .filter_map(|column| record.get(*column))
            {
                match proven_order(text) {
                    Some(DateOrder::DayFirst) => scan.day_first = true,
                    Some(DateOrder::MonthFirst) => scan.month_first = true,
                    None if crate::date::parse(text, None)
                        == Err(crate::date::DateError::Ambiguous) =>
                    {
                        scan.ambiguous.get_or_insert(record.line);
                    }
                    None => {}
                }
            }
            scan.is_all_rated &= rated
                .and_then(|column| record.get(column))
                .is_some_and(|text| !text.trim().is_empty());
            let rating = stars
                .and_then(|column| record.get(column))
                .and_then(|text| text.trim().replace(',', ".").parse::<f64>().ok());
            if rating.is_some_and(|rating| rating > 5.0) {
                // On the scale of ten, the ratings up to five would be read as twice as good, silently.
                return Err((
                    record.line,
                    "the column Rating is from 0.5 to 5: name ratings from 1 to 10 Rating10"
                        .to_owned(),
                ));
            }
        }
        Ok(scan)
    }
}

fn read_rows(reading: &mut Reading<'_>, source: &Ambiguous, text: &str, order: Option<DateOrder>) {
    let Ambiguous { file, format, .. } = *source;
    let mut table = Table::new(text, source.first_line, source.delimiter);
    let Some(Entry::Record(first)) = table.next() else {
        return;
    };
    let header = Header::new(&first);
    let mut user: Option<String> = None;
    let ends_with_break = text.ends_with(['\r', '\n']);
    let mut entries = table.peekable();
    while let Some(entry) = entries.next() {
        let (Entry::Record(Record { line, .. }) | Entry::Broken(line) | Entry::GivenUp(line)) =
            &entry;
        if !reading.count_row(file, *line) {
            return;
        }
        let broken = |message: &str| FieldError {
            field: "",
            reason: Reason::BrokenRow,
            message: message.to_owned(),
        };
        let record = match entry {
            Entry::Record(record) => record,
            Entry::Broken(line) => {
                reading.row_problem(
                    file,
                    line,
                    &Film::default(),
                    broken("has a quotation mark that does not end, or is too long"),
                );
                continue;
            }
            Entry::GivenUp(line) => {
                let message = "too many rows are broken: the rest of the file, from this line on, was not read";
                return reading.file_problem(file, Some(line), Reason::BrokenRow, message);
            }
        };
        let is_cut_off = record.len() < header.len && entries.peek().is_none() && !ends_with_break;
        let has_too_many = (header.len..record.len())
            .filter_map(|index| record.get(index))
            .any(|field| !field.trim().is_empty());
        if is_cut_off || has_too_many {
            let message = format!("has {} fields, the header has {}", record.len(), header.len);
            reading.row_problem(
                file,
                record.line,
                &film_of(&header, &record),
                broken(&message),
            );
            continue;
        }
        let fields = Fields {
            header: &header,
            record: &record,
            order,
            now: reading.options.now,
        };
        if source.format.source() == crate::Source::Movielens {
            if let Err(error) = read_movielens(reading, source, &fields, &mut user) {
                if error.reason == Reason::SeveralUsers {
                    reading
                        .movielens
                        .ratings
                        .retain(|(row, _)| row.file != file);
                    return reading.file_problem(
                        file,
                        Some(record.line),
                        error.reason,
                        error.message,
                    );
                }
                reading.row_problem(file, record.line, &film_of(&header, &record), error);
            }
            continue;
        }
        match rows::map(format, &fields) {
            Ok(Mapped::Row(row)) => reading.push(Row {
                file,
                line: record.line,
                source: format.source(),
                ..*row
            }),
            Ok(Mapped::Other(kind)) => reading.skip_kind(&kind),
            Err(error) => reading.row_problem(file, record.line, &film_of(&header, &record), error),
        }
    }
}

/// The movie of a row that cannot be read, for the report.
fn film_of(header: &Header, record: &Record) -> Film {
    let get = |name: &str| {
        header
            .column(name)
            .and_then(|column| record.get(column))
            .map(str::trim)
            .filter(|text| !text.is_empty())
    };
    let title = get("Name")
        .or(get("Title"))
        .filter(|title| title.chars().count() <= 200);
    Film {
        title: title.map(str::to_owned),
        year: get("Year").and_then(|year| year.parse().ok()),
        ..Film::default()
    }
}

fn read_movielens(
    reading: &mut Reading<'_>,
    source: &Ambiguous,
    fields: &Fields<'_>,
    user: &mut Option<String>,
) -> Result<(), FieldError> {
    let id = fields.number("movieId");
    match source.format {
        Format::MovielensLinks => {
            let ids = (fields.imdb_id("imdbId")?, fields.tmdb_id("tmdbId")?);
            reading.movielens.links.insert(id?, ids);
        }
        Format::MovielensMovies => {
            if let Some(title) = fields.title("title")? {
                reading.movielens.movies.insert(id?, title_and_year(&title));
            }
        }
        _ => {
            let this = fields.get("userId");
            let first = user.get_or_insert_with(|| this.to_owned());
            if first != this {
                let message =
                    "has the ratings of several users: send the rows of one user".to_owned();
                return Err(FieldError {
                    field: "userId",
                    reason: Reason::SeveralUsers,
                    message,
                });
            }
            if let Mapped::Row(row) = rows::map(source.format, fields)? {
                let row = Row {
                    file: source.file,
                    line: fields.record.line,
                    source: crate::Source::Movielens,
                    ..*row
                };
                reading.movielens.ratings.push((row, id?));
            }
        }
    }
    Ok(())
}

/// Completes the ratings of MovieLens by the ids and titles of its other tables.
pub(crate) fn complete_movielens(reading: &mut Reading<'_>) {
    let MovieLens {
        links,
        movies,
        ratings,
    } = std::mem::take(&mut reading.movielens);
    let mut is_reported = false;
    for (mut row, id) in ratings {
        let film = &mut row.film;
        if let Some((imdb_id, tmdb_id)) = links.get(&id) {
            film.imdb_id = film.imdb_id.take().or_else(|| imdb_id.clone());
            film.tmdb_id = film.tmdb_id.or(*tmdb_id);
        }
        if let Some((title, year)) = movies.get(&id) {
            film.year = film.year.or(*year);
            film.title = film.title.take().or_else(|| Some(title.clone()));
        }
        let is_identified =
            film.tmdb_id.is_some() || film.imdb_id.is_some() || film.title.is_some();
        if links.is_empty() && movies.is_empty() && !is_identified {
            if !is_reported {
                reading.file_problem(
                    row.file,
                    Some(row.line),
                    Reason::NoMovie,
                    "has no tmdbId: send the links.csv of the dataset as well",
                );
            }
            is_reported = true;
            continue;
        }
        reading.push(row);
    }
}
