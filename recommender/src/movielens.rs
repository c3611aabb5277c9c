//! MovieLens sets in the layouts that GroupLens publishes: ratings, titles, and links to TMDB's ids. Called by the
//! training of a base model; opens no file, and keeps no more than the ratings that count as likes.
//!
//! Harper and Konstan, *The MovieLens Datasets: History and Context*, ACM Transactions on Interactive Intelligent
//! Systems 5 (4), 2015.

mod matching;

use std::{
    collections::HashMap,
    io::{BufRead, Read as _},
};

pub use self::matching::{CatalogueTitle, match_titles};

/// The longest line in bytes.
const MAX_LINE_BYTES: u64 = 16 << 10;
/// The largest number of likes, about three times that of the largest published set.
pub const MAX_LIKES: usize = 50_000_000;
/// The largest number of movies.
pub const MAX_MOVIES: usize = 1_000_000;

/// The layout of the files of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `ratings.csv`, `movies.csv` and `links.csv`, with headers: latest-small, 20M and later.
    Csv,
    /// `ratings.dat` and `movies.dat`, separated by `::`, in Latin-1: 1M and 10M. There are no links.
    Dat,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Self; 2] = [Self::Csv, Self::Dat];

    /// The name of the file of ratings.
    #[must_use]
    pub fn ratings_file(self) -> &'static str {
        match self {
            Self::Csv => "ratings.csv",
            Self::Dat => "ratings.dat",
        }
    }

    /// The name of the file of titles.
    #[must_use]
    pub fn movies_file(self) -> &'static str {
        match self {
            Self::Csv => "movies.csv",
            Self::Dat => "movies.dat",
        }
    }
}

/// The name of the file of links.
pub const LINKS_FILE: &str = "links.csv";

/// The published set with so many ratings.
#[must_use]
pub fn edition(ratings: usize) -> &'static str {
    match ratings {
        100_836 => "MovieLens latest-small (2018)",
        1_000_209 => "MovieLens 1M",
        10_000_054 => "MovieLens 10M",
        20_000_263 => "MovieLens 20M",
        25_000_095 => "MovieLens 25M",
        32_000_204 => "MovieLens 32M",
        _ => "another set in the layout of MovieLens",
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// It cannot be read on.
    #[error("{file}, line {line}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The cause.
        source: std::io::Error,
    },
    /// A field has no valid value.
    #[error("{file}, line {line}, column {column}: {problem}")]
    Field {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The name of the column.
        column: &'static str,
        /// The problem.
        problem: String,
    },
    /// There is more in it than fits in memory.
    #[error("{file}, line {line}: there are more than {max} {what}")]
    TooMany {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The kind of row.
        what: &'static str,
        /// The largest number.
        max: usize,
    },
    /// It has no rows.
    #[error("{0}: it is empty")]
    Empty(String),
}

/// A line of a file with its fields.
struct Row<'a> {
    file: &'a str,
    line: usize,
    fields: Vec<String>,
}

impl Row<'_> {
    fn error(&self, column: &'static str, problem: impl Into<String>) -> SetError {
        SetError::Field {
            file: self.file.to_owned(),
            line: self.line,
            column,
            problem: problem.into(),
        }
    }

    fn text(&self, place: usize, column: &'static str) -> Result<&str, SetError> {
        let field = self.fields.get(place);
        field
            .map(|text| text.trim())
            .ok_or_else(|| self.error(column, "it is missing"))
    }

    fn number<T: std::str::FromStr>(
        &self,
        place: usize,
        column: &'static str,
    ) -> Result<T, SetError> {
        let text = self.text(place, column)?;
        text.parse()
            .map_err(|_| self.error(column, format!("`{}` is not valid", shortened(text))))
    }
}

/// The beginning of `text`, for messages.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// Calls `visit` with each row of `text` but the header, which must have the `columns` in CSV; their fields come in that
/// order.
fn rows(
    file: &str,
    mut text: impl BufRead,
    layout: Layout,
    columns: &[&'static str],
    mut visit: impl FnMut(&Row<'_>) -> Result<(), SetError>,
) -> Result<usize, SetError> {
    let mut bytes = Vec::new();
    let mut places: Option<Vec<usize>> = None;
    let mut rows = 0;
    let mut row = Row {
        file,
        line: 0,
        fields: Vec::new(),
    };
    loop {
        bytes.clear();
        row.line += 1;
        let io = |source| SetError::Io {
            file: file.to_owned(),
            line: row.line,
            source,
        };
        let mut limited = (&mut text).take(MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut bytes).map_err(io)? == 0 {
            break;
        }
        let is_cut = bytes.last() != Some(&b'\n') && bytes.len() as u64 == MAX_LINE_BYTES;
        if is_cut {
            return Err(row.error(columns[0], "the line is too long"));
        }
        let line = bytes.trim_ascii_end();
        let line = match layout {
            // Every byte is a character of Latin-1.
            Layout::Dat => line.iter().map(|byte| char::from(*byte)).collect(),
            Layout::Csv => {
                let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
                match std::str::from_utf8(line) {
                    Ok(line) => line.to_owned(),
                    Err(error) => {
                        let place = line[..error.valid_up_to()].iter();
                        let place = place.filter(|byte| **byte == b',').count();
                        let place = places.as_ref().and_then(|known| {
                            let index = known.iter().position(|known| *known == place)?;
                            columns.get(index)
                        });
                        let column = place.unwrap_or(&columns[0]);
                        return Err(row.error(column, "it is not UTF-8"));
                    }
                }
            }
        };
        if line.is_empty() {
            continue;
        }
        let fields = match layout {
            Layout::Dat => line.split("::").map(str::to_owned).collect(),
            Layout::Csv => match split_csv(&line) {
                Some(fields) => fields,
                None => return Err(row.error(columns[0], "a quotation mark is not closed")),
            },
        };
        match (&places, layout) {
            (_, Layout::Dat) => row.fields = fields,
            (Some(places), Layout::Csv) => {
                row.fields.clear();
                for (place, column) in places.iter().zip(columns) {
                    match fields.get(*place) {
                        Some(field) => row.fields.push(field.clone()),
                        None => return Err(row.error(column, "it is missing")),
                    }
                }
            }
            (None, Layout::Csv) => {
                let place = |column: &&'static str| {
                    let place = fields.iter().position(|name| name.trim() == *column);
                    place.ok_or_else(|| row.error(column, "the header does not have it"))
                };
                places = Some(columns.iter().map(place).collect::<Result<_, _>>()?);
                continue;
            }
        }
        rows += 1;
        visit(&row)?;
    }
    if rows == 0 {
        return Err(SetError::Empty(file.to_owned()));
    }
    Ok(rows)
}

/// The fields of a line of CSV (RFC 4180); `None` if a quotation mark is not closed.
fn split_csv(line: &str) -> Option<Vec<String>> {
    if !line.contains('"') {
        return Some(line.split(',').map(str::to_owned).collect());
    }
    let mut fields = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(one) = characters.next() {
        match one {
            '"' if is_quoted && characters.next_if_eq(&'"').is_some() => {
                if let Some(field) = fields.last_mut() {
                    field.push('"');
                }
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => fields.push(String::new()),
            other => {
                if let Some(field) = fields.last_mut() {
                    field.push(other);
                }
            }
        }
    }
    (!is_quoted).then_some(fields)
}

/// A rating that counts as a like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Like {
    /// The id of the user in the set.
    pub user: u32,
    /// The id of the movie in the set.
    pub movie: u32,
    /// The rating, 1 to 5.
    pub rating: f32,
    /// The time, in seconds since 1970.
    pub time: u32,
}

/// The likes of a set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Likes {
    /// By user, of each in the order of time; each movie once.
    pub likes: Vec<Like>,
    /// The number of ratings in the file.
    pub ratings: usize,
}

/// The ratings of at least `min_rating` in `text`; `report` gets the number of rows at each millionth.
///
/// # Errors
/// [`SetError`] if a line is damaged, or there are more than `max` likes.
pub fn likes(
    file: &str,
    text: impl BufRead,
    layout: Layout,
    min_rating: f32,
    max: usize,
    mut report: impl FnMut(usize),
) -> Result<Likes, SetError> {
    let columns = ["userId", "movieId", "rating", "timestamp"];
    let max = max.min(MAX_LIKES);
    let mut likes: Vec<Like> = Vec::new();
    let mut count = 0_usize;
    let ratings = rows(file, text, layout, &columns, |row| {
        let rating: f32 = row.number(2, columns[2])?;
        if !(0.5..=5.0).contains(&rating) {
            return Err(row.error(columns[2], format!("{rating} is not from 0.5 to 5")));
        }
        let time: i64 = row.number(3, columns[3])?;
        let like = Like {
            user: row.number(0, columns[0])?,
            movie: row.number(1, columns[1])?,
            rating,
            time: u32::try_from(time.max(0)).unwrap_or(u32::MAX),
        };
        if rating >= min_rating {
            if likes.len() == max {
                return Err(SetError::TooMany {
                    file: file.to_owned(),
                    line: row.line,
                    what: "likes",
                    max,
                });
            }
            likes.push(like);
        }
        count += 1;
        if count.is_multiple_of(1_000_000) {
            report(count);
        }
        Ok(())
    })?;
    likes.sort_unstable_by_key(|like| (like.user, like.movie, like.time));
    likes.dedup_by_key(|like| (like.user, like.movie));
    likes.sort_unstable_by_key(|like| (like.user, like.time, like.movie));
    Ok(Likes { likes, ratings })
}

/// A movie of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title {
    /// Its id in the set.
    pub movie: u32,
    /// The titles, with the article in front, without the year; the first is the English one.
    pub titles: Vec<String>,
    /// The year of its release, if it is stated.
    pub year: Option<i32>,
}

/// The movies in `text`.
///
/// # Errors
/// [`SetError`] if a line is damaged.
pub fn titles(file: &str, text: impl BufRead, layout: Layout) -> Result<Vec<Title>, SetError> {
    let columns = ["movieId", "title"];
    let mut all = Vec::new();
    rows(file, text, layout, &columns, |row| {
        let (titles, year) = split_title(row.text(1, columns[1])?);
        let movie = row.number(0, columns[0])?;
        check_movies(row, all.len())?;
        all.push(Title {
            movie,
            titles,
            year,
        });
        Ok(())
    })?;
    Ok(all)
}

fn check_movies(row: &Row<'_>, count: usize) -> Result<(), SetError> {
    if count < MAX_MOVIES {
        return Ok(());
    }
    Err(SetError::TooMany {
        file: row.file.to_owned(),
        line: row.line,
        what: "movies",
        max: MAX_MOVIES,
    })
}

/// The titles and the year of `City of Lost Children, The (Cité des enfants perdus, La) (1995)`.
fn split_title(text: &str) -> (Vec<String>, Option<i32>) {
    let mut rest = text.trim();
    let mut year = None;
    let mut titles = Vec::new();
    while let Some(inner) = rest.strip_suffix(')') {
        let Some((before, inside)) = inner.rsplit_once('(') else {
            break;
        };
        let number: Option<i32> = inside.get(..4).and_then(|digits| digits.parse().ok());
        match number.filter(|_| year.is_none() && titles.is_empty()) {
            Some(number) => year = Some(number),
            None => {
                let other = inside.trim();
                titles.push(article_first(
                    other.strip_prefix("a.k.a. ").unwrap_or(other),
                ));
            }
        }
        rest = before.trim_end();
    }
    titles.push(article_first(rest));
    titles.reverse();
    titles.retain(|title| !title.is_empty());
    (titles, year)
}

/// `Matrix, The` as `The Matrix`.
fn article_first(title: &str) -> String {
    let is_article = |word: &str| {
        let articles = [
            "The", "A", "An", "La", "Le", "Les", "L'", "Il", "El", "Los", "Las", "Das", "Der",
            "Die", "Un", "Une", "Lo", "I", "Det", "Den", "O", "Os", "As",
        ];
        articles.contains(&word)
    };
    match title.rsplit_once(", ") {
        Some((rest, article)) if is_article(article) => match article.ends_with('\'') {
            true => format!("{article}{rest}"),
            false => format!("{article} {rest}"),
        },
        _ => title.to_owned(),
    }
}

/// TMDB's ids by the ids of the set, in `text`. Movies without one are left out.
///
/// # Errors
/// [`SetError`] if a line is damaged.
pub fn links(file: &str, text: impl BufRead) -> Result<HashMap<u32, i64>, SetError> {
    let columns = ["movieId", "tmdbId"];
    let mut all = HashMap::new();
    rows(file, text, Layout::Csv, &columns, |row| {
        let movie = row.number(0, columns[0])?;
        let tmdb = row.text(1, columns[1])?;
        if !tmdb.is_empty() {
            // Some copies have `862.0`, as pandas writes a column with gaps.
            let id: i64 = tmdb
                .strip_suffix(".0")
                .unwrap_or(tmdb)
                .parse()
                .ok()
                .filter(|id| *id > 0)
                .ok_or_else(|| {
                    row.error(columns[1], format!("`{}` is not valid", shortened(tmdb)))
                })?;
            check_movies(row, all.len())?;
            all.insert(movie, id);
        }
        Ok(())
    })?;
    Ok(all)
}

#[cfg(test)]
mod tests;
