//! Exports in JSON: Trakt's lists of elements, and Simkl's object of lists.

use serde_json::{Map, Value};

use super::{Reading, path::SkipReason};
use crate::{
    Film, Format, Given, Reason, Row, Source, When,
    fields::{self, FieldError},
};

pub(super) type Object = Map<String, Value>;
pub(super) type Result<T> = std::result::Result<T, FieldError>;

/// The deepest nesting of a document is that of serde_json, 128.
pub(crate) fn read(reading: &mut Reading<'_>, file: usize, name: &str, text: &str) {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let line = u64::try_from(error.line()).ok();
            return reading.file_problem(
                file,
                line,
                Reason::UnreadableText,
                "is not valid JSON: send the file as it was exported",
            );
        }
    };
    match document {
        Value::Array(elements) if elements.is_empty() => reading.skip_file(name, SkipReason::Empty),
        Value::Array(elements) => trakt(reading, file, name, elements),
        Value::Object(object) if object.get("movies").is_some_and(Value::is_array) => {
            simkl(reading, file, object)
        }
        Value::Object(object) if object.contains_key("username") || object.contains_key("user") => {
            reading.skip_file(name, SkipReason::Profile);
        }
        _ => reading.file_problem(file, None, Reason::UnknownFormat, UNKNOWN),
    }
}

const UNKNOWN: &str = "is not an export of Trakt, Simkl or Marquee in JSON";

/// An element of Trakt's lists by its keys: the format, and the key of its time.
fn trakt_format(element: &Object) -> Option<(Format, &'static str)> {
    let has = |key: &str| element.contains_key(key);
    match () {
        () if has("rated_at") && has("rating") => Some((Format::TraktRatings, "rated_at")),
        () if has("watched_at") => Some((Format::TraktHistory, "watched_at")),
        () if has("last_watched_at") => Some((Format::TraktHistory, "last_watched_at")),
        () if has("listed_at") => Some((Format::TraktWatchlist, "listed_at")),
        () => None,
    }
}

fn trakt(reading: &mut Reading<'_>, file: usize, name: &str, elements: Vec<Value>) {
    let first = elements
        .iter()
        .filter_map(Value::as_object)
        .find(|element| {
            ["movie", "show", "episode", "season", "type"]
                .iter()
                .any(|key| element.contains_key(*key))
        });
    let Some(first) = first else {
        return reading.file_problem(file, None, Reason::UnknownFormat, UNKNOWN);
    };
    let Some((format, _)) = trakt_format(first) else {
        let is_collection = ["collected_at", "last_collected_at"]
            .iter()
            .any(|key| first.contains_key(*key));
        return match is_collection {
            true => reading.skip_file(name, SkipReason::Collection),
            false => reading.skip_file(name, SkipReason::Other),
        };
    };
    let base = name.rsplit('/').next().unwrap_or_default().to_lowercase();
    let is_other_list = format == Format::TraktWatchlist
        && !base.contains("watchlist")
        && reading.options.format != Some(format);
    if is_other_list && !base.is_empty() {
        return reading.skip_file(name, SkipReason::List);
    }
    reading.begin_file(file, format);
    for (index, element) in elements.into_iter().enumerate() {
        let line = u64::try_from(index + 1).unwrap_or(u64::MAX);
        if !reading.count_row(file, line) {
            return;
        }
        let Value::Object(element) = element else {
            reading.row_problem(
                file,
                line,
                &Film::default(),
                FieldError {
                    field: "",
                    reason: Reason::BrokenRow,
                    message: "is no object".to_owned(),
                },
            );
            continue;
        };
        let kind = element.get("type").and_then(Value::as_str);
        let other = ["episode", "season", "show", "person"]
            .into_iter()
            .find(|key| element.contains_key(*key));
        let kind = kind.or(other).unwrap_or("movie");
        if kind != "movie" {
            reading.skip_kind(kind);
            continue;
        }
        let film = film_of(element.get("movie"));
        match film.and_then(|film| trakt_row(reading, &element, film)) {
            Ok(row) => reading.push(Row {
                file,
                line,
                source: Source::Trakt,
                ..row
            }),
            Err(error) => {
                let title = element
                    .get("movie")
                    .and_then(|movie| movie.get("title"))
                    .and_then(Value::as_str);
                let film = Film {
                    title: title.map(str::to_owned),
                    ..Film::default()
                };
                reading.row_problem(file, line, &film, error);
            }
        }
    }
}

fn trakt_row(reading: &Reading<'_>, element: &Object, film: Film) -> Result<Row> {
    let (format, key) = trakt_format(element).ok_or_else(|| FieldError::new("", "has no time"))?;
    let when = date(reading, element, key)?;
    let mut row = Row {
        film,
        ..Row::default()
    };
    match format {
        Format::TraktRatings => {
            row.rating = Some(Given {
                value: rating(element, "rating")?
                    .ok_or_else(|| FieldError::new("rating", "is required"))?,
                when,
            })
        }
        Format::TraktHistory => row.viewing = Some(when),
        _ => row.watchlist = Some(when),
    }
    Ok(row)
}

fn simkl(reading: &mut Reading<'_>, file: usize, object: Object) {
    reading.begin_file(file, Format::Simkl);
    for (key, list) in object {
        let Value::Array(elements) = list else {
            continue;
        };
        for (index, element) in elements.into_iter().enumerate() {
            let line = u64::try_from(index + 1).unwrap_or(u64::MAX);
            if !reading.count_row(file, line) {
                return;
            }
            if key != "movies" {
                reading.skip_kind(&key.chars().take(40).collect::<String>());
                continue;
            }
            let empty = Object::new();
            let element = element.as_object().unwrap_or(&empty);
            match film_of(element.get("movie")).and_then(|film| simkl_row(reading, element, film)) {
                Ok(Some(row)) => reading.push(Row {
                    file,
                    line,
                    source: Source::Simkl,
                    ..row
                }),
                Ok(None) => reading.skip_kind(
                    element
                        .get("status")
                        .and_then(Value::as_str)
                        .unwrap_or("no state"),
                ),
                Err(error) => reading.row_problem(file, line, &Film::default(), error),
            }
        }
    }
}

fn simkl_row(reading: &Reading<'_>, element: &Object, film: Film) -> Result<Option<Row>> {
    let watched = date(reading, element, "last_watched_at")?;
    let mut row = Row {
        film,
        ..Row::default()
    };
    if let Some(value) = rating(element, "user_rating")? {
        row.rating = Some(Given {
            value,
            when: date(reading, element, "user_rated_at")?,
        });
    }
    match element.get("status").and_then(Value::as_str) {
        Some("completed") => row.viewing = Some(watched),
        Some("plantowatch") => {
            row.watchlist = Some(date(reading, element, "added_to_watchlist_at")?)
        }
        _ if row.rating.is_some() => {}
        _ => return Ok(None),
    }
    Ok(Some(row))
}

/// A scalar as text: sites write numbers with and without quotes.
pub(super) fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn film_of(movie: Option<&Value>) -> Result<Film> {
    let Some(Value::Object(movie)) = movie else {
        return Err(FieldError {
            field: "movie",
            reason: Reason::NoMovie,
            message: "is required".to_owned(),
        });
    };
    let id = |key: &str| {
        Some(text(movie.get("ids").and_then(|ids| ids.get(key)))).filter(|text| !text.is_empty())
    };
    let year = text(movie.get("year"));
    Ok(Film {
        title: fields::title("title", &text(movie.get("title")))?,
        original_title: fields::title("original_title", &text(movie.get("original_title")))?,
        year: if year.is_empty() {
            None
        } else {
            fields::year("year", &year)?
        },
        tmdb_id: id("tmdb").map_or(Ok(None), |id| fields::tmdb_id("tmdb", &id))?,
        imdb_id: id("imdb").map_or(Ok(None), |id| fields::imdb_id("imdb", &id))?,
        letterboxd_uri: None,
    })
}

pub(super) fn date(reading: &Reading<'_>, element: &Object, key: &'static str) -> Result<When> {
    fields::when(
        key,
        &text(element.get(key)),
        reading.options.date_order,
        reading.options.now,
    )
}

fn rating(element: &Object, key: &'static str) -> Result<Option<crate::HalfStars>> {
    let text = text(element.get(key));
    if text.is_empty() {
        Ok(None)
    } else {
        fields::points(key, &text)
    }
}
