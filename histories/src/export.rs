//! The writer of archives in the layouts of other sites, as those sites export them, with TMDB's ids besides. Rows are
//! written as they come, and what is finished is taken away, so that an archive of any size needs little memory.
//!
//! A layout cannot hold everything; [`Layout`] states what is lost.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use zip::{
    ZipWriter,
    write::{SimpleFileOptions, StreamWriter},
};

use crate::{Row, When};

#[cfg(test)]
mod tests;

/// The layout of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Letterboxd's CSV files. Days without hours; no dislikes, superlikes, playback positions and sources of viewings.
    Letterboxd,
    /// Trakt's JSON files. No reactions, playback positions, ratings of single viewings and sources of viewings.
    Trakt,
}

/// The part of a history that a row is about. An archive has them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Viewings of known days, with [`Row::viewing`], by movie and time.
    Diary,
    /// Viewings of unknown days.
    Watched,
    /// Ratings, with [`Row::rating`].
    Ratings,
    /// The watchlist, with [`Row::watchlist`].
    Watchlist,
    /// Liked movies, with [`Row::reaction`].
    Likes,
}

impl Part {
    /// All parts, in their order.
    pub const ALL: [Self; 5] = [
        Self::Diary,
        Self::Watched,
        Self::Ratings,
        Self::Watchlist,
        Self::Likes,
    ];
}

/// Memory that a writer fills and its owner empties.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buffer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An archive that is being written.
pub struct Archive {
    layout: Layout,
    buffer: Buffer,
    zip: ZipWriter<StreamWriter<Buffer>>,
    part: Option<Part>,
    /// True if the present file has a row.
    has_rows: bool,
    /// TMDB's id of the movie in the latest row.
    latest: Option<i64>,
}

impl Archive {
    /// An empty archive.
    pub fn new(layout: Layout) -> Self {
        let buffer = Buffer::default();
        Self {
            layout,
            zip: ZipWriter::new_stream(buffer.clone()),
            buffer,
            part: None,
            has_rows: false,
            latest: None,
        }
    }

    /// Begins the file of `part`; the parts come in their order, each once. A part that the layout does not hold is left out.
    ///
    /// # Errors
    /// Fails if the archive cannot be written, which does not happen with memory.
    pub fn begin(&mut self, part: Part) -> io::Result<()> {
        self.end_file()?;
        let Some((name, header)) = file(self.layout, part) else {
            return Ok(());
        };
        let options = SimpleFileOptions::default();
        self.zip.start_file(name, options)?;
        self.zip.write_all(header.as_bytes())?;
        (self.part, self.has_rows, self.latest) = (Some(part), false, None);
        Ok(())
    }

    /// Writes a row of the part that has begun.
    ///
    /// # Errors
    /// As [`Archive::begin`].
    pub fn push(&mut self, row: &Row) -> io::Result<()> {
        let Some(part) = self.part else {
            return Ok(());
        };
        match self.layout {
            Layout::Letterboxd => {
                let is_again = self.latest.is_some() && self.latest == row.film.tmdb_id;
                let line = letterboxd(part, row, is_again);
                self.zip.write_all(line.as_bytes())?;
            }
            Layout::Trakt => {
                let separator = if self.has_rows { ",\n" } else { "\n" };
                self.zip.write_all(separator.as_bytes())?;
                self.zip
                    .write_all(trakt(part, row).to_string().as_bytes())?;
            }
        }
        (self.has_rows, self.latest) = (true, row.film.tmdb_id);
        Ok(())
    }

    /// The number of bytes that are finished.
    pub fn len(&self) -> usize {
        self.buffer
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// True if no bytes are finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the bytes that are finished.
    pub fn take(&mut self) -> Vec<u8> {
        self.buffer.take()
    }

    /// Ends the archive and returns its last bytes.
    ///
    /// # Errors
    /// As [`Archive::begin`].
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        self.end_file()?;
        self.zip.finish()?;
        Ok(self.buffer.take())
    }

    fn end_file(&mut self) -> io::Result<()> {
        if self.part.take().is_some() && self.layout == Layout::Trakt {
            self.zip.write_all(b"\n]\n")?;
        }
        Ok(())
    }
}

/// The name of a part's file and its beginning; `None` if the layout has none.
fn file(layout: Layout, part: Part) -> Option<(&'static str, &'static str)> {
    Some(match (layout, part) {
        (Layout::Letterboxd, Part::Diary) => (
            "diary.csv",
            "Date,Name,Year,Letterboxd URI,Rating,Rewatch,Tags,Watched Date,tmdbID\n",
        ),
        (Layout::Letterboxd, Part::Watched) => {
            ("watched.csv", "Date,Name,Year,Letterboxd URI,tmdbID\n")
        }
        (Layout::Letterboxd, Part::Ratings) => (
            "ratings.csv",
            "Date,Name,Year,Letterboxd URI,Rating,tmdbID\n",
        ),
        (Layout::Letterboxd, Part::Watchlist) => {
            ("watchlist.csv", "Date,Name,Year,Letterboxd URI,tmdbID\n")
        }
        (Layout::Letterboxd, Part::Likes) => {
            ("likes/films.csv", "Date,Name,Year,Letterboxd URI,tmdbID\n")
        }
        (Layout::Trakt, Part::Diary) => ("watched/history-1.json", "["),
        (Layout::Trakt, Part::Watched) => ("watched/history-2.json", "["),
        (Layout::Trakt, Part::Ratings) => ("ratings/ratings-movies.json", "["),
        (Layout::Trakt, Part::Watchlist) => ("lists/watchlist.json", "["),
        (Layout::Trakt, Part::Likes) => return None,
    })
}

/// The line of a row in a CSV file of Letterboxd. `is_again` is true if an earlier row of the file is about the same movie.
fn letterboxd(part: Part, row: &Row, is_again: bool) -> String {
    let film = &row.film;
    let day = |when: Option<When>| {
        let day = when.and_then(When::day);
        day.map(|day| day.to_string()).unwrap_or_default()
    };
    let stars = row.rating.map(|rating| {
        let halves = rating.value.get();
        format!("{}{}", halves / 2, if halves % 2 == 1 { ".5" } else { "" })
    });
    let stars = stars.unwrap_or_default();
    let id = film.tmdb_id.map(|id| id.to_string()).unwrap_or_default();
    let title = match &film.title {
        Some(title) => field(title),
        None => format!("TMDB {id}"),
    };
    let year = film.year.map(|year| year.to_string()).unwrap_or_default();
    // Letterboxd's address of a movie by its id at TMDB.
    let uri = film
        .tmdb_id
        .map(|id| format!("https://letterboxd.com/tmdb/{id}"));
    let movie = format!("{title},{year},{}", uri.unwrap_or_default());
    match part {
        Part::Diary => {
            let day = day(row.viewing);
            let rewatch = if is_again { "Yes" } else { "" };
            format!("{day},{movie},{stars},{rewatch},,{day},{id}\n")
        }
        Part::Watched => format!(",{movie},{id}\n"),
        Part::Ratings => format!(
            "{},{movie},{stars},{id}\n",
            day(row.rating.map(|rating| rating.when))
        ),
        Part::Watchlist => format!("{},{movie},{id}\n", day(row.watchlist)),
        Part::Likes => format!("{},{movie},{id}\n", day(row.like())),
    }
}

/// A field of a CSV file, quoted if need be (RFC 4180).
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The element of a row in a JSON file of Trakt.
fn trakt(part: Part, row: &Row) -> Value {
    let film = &row.film;
    let time = |when: Option<When>| when.and_then(When::instant);
    let movie = json!({
        "title": film.title,
        "year": film.year,
        "ids": {"tmdb": film.tmdb_id, "imdb": film.imdb_id},
    });
    match part {
        Part::Ratings => json!({
            "rated_at": time(row.rating.map(|rating| rating.when)),
            "rating": row.rating.map(|rating| rating.value.get()),
            "type": "movie",
            "movie": movie,
        }),
        Part::Watchlist => {
            json!({"listed_at": time(row.watchlist), "type": "movie", "movie": movie})
        }
        _ => json!({
            "watched_at": time(row.viewing),
            "action": "watch",
            "type": "movie",
            "movie": movie,
        }),
    }
}
