//! The JSON export of Marquee: the lists `films` and `viewings`, from which a history is restored whole. Its other lists are
//! about the account, or are the log from which these follow.

use serde::Deserialize;
use serde_json::Value;

use super::{
    Reading,
    json::{Object, Result, date, text},
};
use crate::{
    Film, Format, Given, HalfStars, Progress, Reaction, Reason, Row, Source, When,
    fields::{self, FieldError, required},
    is_origin,
};

/// The parts of the document that are read; the others are skipped without being kept in memory.
#[derive(Deserialize)]
pub(crate) struct Export {
    films: Vec<Value>,
    viewings: Vec<Value>,
}

/// The document, `None` if `text` is not an export of Marquee.
pub(crate) fn parse(text: &str) -> Option<Export> {
    serde_json::from_str(text).ok()
}

pub(crate) fn read(reading: &mut Reading<'_>, file: usize, export: Export) {
    reading.begin_file(file, Format::Marquee);
    for (list, map) in [
        (
            export.films,
            of_film as fn(&Reading<'_>, &Object) -> Result<Vec<Row>>,
        ),
        (export.viewings, of_viewing),
    ] {
        for (index, element) in list.into_iter().enumerate() {
            let line = u64::try_from(index + 1).unwrap_or(u64::MAX);
            if !reading.count_row(file, line) {
                return;
            }
            let empty = Object::new();
            let element = element.as_object().unwrap_or(&empty);
            let film = film(element);
            let rows = film.clone().and_then(|film| {
                let rows = map(reading, element)?;
                Ok(rows.into_iter().map(move |row| (row, film.clone())))
            });
            match rows {
                Ok(rows) => rows.for_each(|(row, film)| {
                    reading.push(Row {
                        file,
                        line,
                        source: Source::Marquee,
                        film,
                        ..row
                    });
                }),
                Err(error) => {
                    reading.row_problem(file, line, &film.unwrap_or_default(), error);
                }
            }
        }
    }
}

fn film(element: &Object) -> Result<Film> {
    let id = text(element.get("movie_id"));
    let tmdb_id = match id.is_empty() {
        true => None,
        false => fields::tmdb_id("movie_id", &id)?,
    };
    if tmdb_id.is_none() {
        return Err(FieldError {
            field: "movie_id",
            reason: Reason::NoMovie,
            message: "is required".to_owned(),
        });
    }
    Ok(Film {
        tmdb_id,
        title: fields::title("title", &text(element.get("title")))?,
        ..Film::default()
    })
}

/// The rows of an element of `films`: its values, and the furthest position if that is another than the last one.
fn of_film(reading: &Reading<'_>, element: &Object) -> Result<Vec<Row>> {
    let mut row = Row::default();
    if let Some(value) = reaction(element)? {
        row.reaction = Some(Given {
            value,
            when: date(reading, element, "reacted_at")?,
        });
    }
    if element.get("bookmarked") == Some(&Value::Bool(true)) {
        row.watchlist = Some(date(reading, element, "bookmarked_at")?);
    }
    if let Some(value) = stars(element)? {
        row.rating = Some(Given {
            value,
            when: date(reading, element, "rated_at")?,
        });
    }
    let watched_at = date(reading, element, "watched_at")?;
    let at = |key| Ok(Some(date(reading, element, key)?).filter(|when| *when != When::Unknown));
    row.progress = progress(element, "position_seconds")?
        .map(|value| {
            Ok(Given {
                value,
                when: at("progressed_at")?.unwrap_or(watched_at),
            })
        })
        .transpose()?;
    let furthest = progress(element, "watched_seconds")?
        .filter(|furthest| {
            row.progress
                .is_some_and(|last| last.value.position < furthest.position)
        })
        .map(|value| {
            Ok(Given {
                value,
                when: at("furthest_at")?.unwrap_or(When::Unknown),
            })
        })
        .transpose()?;
    let rows = [
        row.clone(),
        Row {
            progress: furthest,
            ..Row::default()
        },
    ];
    Ok(rows
        .into_iter()
        .filter(|row| *row != Row::default())
        .collect())
}

fn of_viewing(reading: &Reading<'_>, element: &Object) -> Result<Vec<Row>> {
    let when = match date(reading, element, "watched_at")? {
        When::Unknown => date(reading, element, "day")?,
        known => known,
    };
    let origin = text(element.get("source"));
    if !origin.is_empty() && !is_origin(&origin) {
        let message = "must be at most 20 of a-z, 0-9, - and _";
        return Err(FieldError::new("source", message));
    }
    Ok(vec![Row {
        viewing: Some(when),
        viewing_rating: stars(element)?,
        origin: Some(origin),
        ..Row::default()
    }])
}

fn reaction(element: &Object) -> Result<Option<Reaction>> {
    let value = element.get("reaction").filter(|value| !value.is_null());
    let reaction = value.map(Reaction::deserialize);
    let message = "must be like, dislike or superlike";
    reaction
        .transpose()
        .map_err(|_| FieldError::new("reaction", message))
}

fn stars(element: &Object) -> Result<Option<HalfStars>> {
    let stars = text(element.get("rating"));
    match stars.is_empty() {
        true => Ok(None),
        false => fields::stars("rating", &stars),
    }
}

/// The position in `key`, if it and the runtime are known.
fn progress(element: &Object, key: &'static str) -> Result<Option<Progress>> {
    let seconds = |key: &'static str| {
        let value = element.get(key).filter(|value| !value.is_null());
        let seconds = value.map(|value| {
            let seconds = value.as_i64().and_then(|value| i32::try_from(value).ok());
            let seconds = seconds.filter(|seconds| *seconds >= 0);
            required(key, seconds).map_err(|_| FieldError::new(key, "must be a number of seconds"))
        });
        seconds.transpose()
    };
    let known = seconds(key)?.zip(seconds("duration_seconds")?);
    if known.is_some_and(|(position, duration)| duration == 0 || position > duration) {
        return Err(FieldError::new(key, "must be at most duration_seconds"));
    }
    Ok(known.map(|(position, duration)| Progress { position, duration }))
}
