//! Files of interactions: lists of items by user, and the formats of MovieLens.

use std::io::BufRead;

use super::split::Event;

/// A file that cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Its layout is unknown.
    #[error("its layout is unknown: neither `user item item …` lines nor one of MovieLens")]
    Unknown,
    /// A line, counted from 1, is not in the layout of the first line.
    #[error("line {0} is not in the layout of the first line")]
    Line(usize),
}

/// The events in `text`: `user item item …` lines, `u.data` of MovieLens 100K, `ratings.dat` of 1M, `ratings.csv` of
/// later sets, or CSV with `user_id`, `position`, `movie_id`.
///
/// # Errors
/// [`FormatError`] if the text cannot be read, its layout is unknown, or a line is not in it.
pub fn parse(text: impl BufRead) -> Result<Vec<Event>, FormatError> {
    let mut layout = None;
    let mut events = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line?;
        let line = line.trim_start_matches('\u{feff}');
        if line.trim().is_empty() {
            continue;
        }
        let known = match &layout {
            Some(known) => known,
            None => {
                let found = Layout::of(line).ok_or(FormatError::Unknown)?;
                let has_header = found.has_header();
                let found = layout.insert(found);
                if has_header {
                    continue;
                }
                found
            }
        };
        if known.read(line, &mut events).is_none() {
            return Err(FormatError::Line(number + 1));
        }
    }
    Ok(events)
}

/// The layout of a file, recognised by its first line.
#[derive(Debug, Clone, PartialEq)]
enum Layout {
    /// `user item item …`, separated by spaces.
    Lists,
    /// One interaction per line: user, item, rating, time, with this separator.
    Columns(&'static str),
    /// Comma-separated, with the positions of these columns.
    Csv {
        user: usize,
        item: usize,
        rating: Option<usize>,
        time: Option<usize>,
    },
}

impl Layout {
    fn of(line: &str) -> Option<Self> {
        let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
        if line.contains("::") {
            return Some(Self::Columns("::"));
        }
        if line.contains(',') {
            let names: Vec<&str> = line.split(',').map(str::trim).collect();
            let find = |wanted: &[&str]| names.iter().position(|name| wanted.contains(name));
            return Some(Self::Csv {
                user: find(&["userId", "user_id"])?,
                item: find(&["movieId", "movie_id"])?,
                rating: find(&["rating"]),
                time: find(&["timestamp", "position"]),
            });
        }
        if line.split('\t').count() == 4 && line.split('\t').all(is_number) {
            return Some(Self::Columns("\t"));
        }
        line.split_whitespace()
            .all(is_number)
            .then_some(Self::Lists)
    }

    fn has_header(&self) -> bool {
        matches!(self, Self::Csv { .. })
    }

    /// Adds the events of `line`; `None` if it is not in this layout.
    fn read(&self, line: &str, events: &mut Vec<Event>) -> Option<()> {
        let event = |user, item, rating, time| Event {
            user,
            item,
            rating,
            weight: 1.0,
            time,
        };
        match self {
            Self::Lists => {
                let mut numbers = line.split_whitespace().map(str::parse);
                let user = numbers.next()?.ok()?;
                for item in numbers {
                    events.push(event(user, item.ok()?, None, None));
                }
            }
            Self::Columns(separator) => {
                let mut fields = line.split(separator);
                let user = fields.next()?.parse().ok()?;
                let item = fields.next()?.parse().ok()?;
                let rating = fields.next()?.parse().ok()?;
                let time = fields.next()?.trim().parse().ok()?;
                events.push(event(user, item, Some(rating), Some(time)));
            }
            Self::Csv {
                user,
                item,
                rating,
                time,
            } => {
                let fields: Vec<&str> = line.split(',').map(str::trim).collect();
                let rating = match rating.map(|place| fields.get(place).copied()) {
                    None | Some(Some("")) => None,
                    Some(text) => Some(text?.parse().ok()?),
                };
                let time = match time.map(|place| fields.get(place)) {
                    None => None,
                    Some(text) => Some(text?.parse().ok()?),
                };
                let user = fields.get(*user)?.parse().ok()?;
                let item = fields.get(*item)?.parse().ok()?;
                events.push(event(user, item, rating, time));
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row = (u64, u64, Option<f64>, Option<i64>);

    fn rows(text: &str) -> Vec<Row> {
        let events = parse(text.as_bytes()).expect("readable");
        events
            .into_iter()
            .map(|event| (event.user, event.item, event.rating, event.time))
            .collect()
    }

    #[test]
    fn all_layouts_are_recognised() {
        assert_eq!(
            rows("7 3 9\n8\n9 1\n"),
            [(7, 3, None, None), (7, 9, None, None), (9, 1, None, None)]
        );
        let full = [(7, 3, Some(4.0), Some(90)), (8, 1, Some(2.0), Some(91))];
        assert_eq!(rows("7\t3\t4\t90\n8\t1\t2\t91\n"), full);
        assert_eq!(rows("7::3::4::90\r\n8::1::2::91\r\n"), full);
        assert_eq!(
            rows("userId,movieId,rating,timestamp\r\n7,3,4.0,90\r\n8,1,2.0,91\r\n"),
            full
        );
        assert_eq!(
            rows("user_id,position,movie_id,rating\n7,0,3,4\n7,1,5,\n"),
            [(7, 3, Some(4.0), Some(0)), (7, 5, None, Some(1))]
        );
    }

    #[test]
    fn a_line_in_another_layout_is_rejected_with_its_number() {
        assert!(parse("title,year\n".as_bytes()).is_err());
        let error = parse("1 2 3\n\n1 two\n".as_bytes()).expect_err("not a number");
        assert_eq!(
            error.to_string(),
            "line 3 is not in the layout of the first line"
        );
    }
}
