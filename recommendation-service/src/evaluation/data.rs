//! Interactions in files: lists of items by user, and MovieLens as it is published.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use flate2::read::MultiGzDecoder;

use recommender::Interactions;

/// Where interactions are.
#[derive(Debug, Clone)]
pub enum Files {
    /// In files that are parted already.
    Parts {
        /// To fit on.
        train: PathBuf,
        /// To choose settings on.
        valid: Option<PathBuf>,
        /// To measure on.
        test: PathBuf,
        /// What is in no list when that is measured on, beside what is fitted on.
        mask: Option<PathBuf>,
    },
    /// In one file with times, which is parted by them: the last fifth of each user's films is for
    /// measuring, the tenth before it for choosing settings.
    Whole(PathBuf),
}

/// What to read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The files.
    pub files: Files,
    /// Ratings below this are passed over.
    pub min_rating: Option<f64>,
}

/// Interactions in parts, over the same users and films.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// To fit on; hidden from lists.
    pub train: Interactions,
    /// To choose settings on.
    pub valid: Option<Interactions>,
    /// To measure on.
    pub test: Interactions,
    /// What is hidden from lists when that is measured on; none: what is fitted on.
    pub hidden: Option<Interactions>,
    /// Row → the user's id in the files, ascending.
    pub user_ids: Vec<u64>,
    /// Column → the film's id in the files, ascending.
    pub item_ids: Vec<u64>,
}

/// What one user did with one film: a line of a file, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// The user's id.
    pub user: u64,
    /// The film's.
    pub item: u64,
    /// How they rate it.
    pub rating: Option<f64>,
    /// How much it counts.
    pub weight: f32,
    /// Seconds, or the place among the user's films.
    pub time: Option<i64>,
}

/// How interactions are parted by time: of each user's `n` films the last `n / test` are to measure on,
/// the `n / valid` before them to choose settings on, and the others to fit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// The divisor for the part to measure on.
    pub test: usize,
    /// The divisor for the part to choose settings on.
    pub valid: usize,
}

/// A fifth and a tenth.
const PARTING: Parting = Parting { test: 5, valid: 10 };

impl Dataset {
    /// Reads `source`. Films of the training part are taken out of the others: they are hidden from
    /// lists, and could not be hit.
    ///
    /// # Errors
    /// A file that cannot be read, whose layout is unknown, or that has a line which is not of its
    /// layout.
    pub fn read(source: &Source) -> anyhow::Result<Self> {
        let events = |path: &Path| -> anyhow::Result<Vec<Event>> {
            let mut events = read(path).with_context(|| path.display().to_string())?;
            if let Some(least) = source.min_rating {
                events.retain(|event| event.rating.is_none_or(|rating| rating >= least));
            }
            Ok(events)
        };
        match &source.files {
            Files::Parts {
                train,
                valid,
                test,
                mask,
            } => {
                let [valid, mask] =
                    [valid, mask].map(|file| file.as_deref().map(events).transpose());
                let (valid, mask) = (valid?, mask?);
                Self::new(
                    &events(train)?,
                    valid.as_deref(),
                    &events(test)?,
                    mask.as_deref(),
                )
            }
            Files::Whole(path) => {
                let (train, valid, test) =
                    by_time(events(path)?, PARTING).with_context(|| path.display().to_string())?;
                Self::new(&train, Some(&valid), &test, None)
            }
        }
    }

    /// Of `events` with times, parted by them.
    ///
    /// # Errors
    /// An event without a time, or with a weight that is not above 0.
    pub fn by_time(events: Vec<Event>, parting: Parting) -> anyhow::Result<Self> {
        let (train, valid, test) = by_time(events, parting)?;
        Self::new(&train, Some(&valid), &test, None)
    }

    fn new(
        train: &[Event],
        valid: Option<&[Event]>,
        test: &[Event],
        mask: Option<&[Event]>,
    ) -> anyhow::Result<Self> {
        let parts = [
            train,
            valid.unwrap_or_default(),
            test,
            mask.unwrap_or_default(),
        ];
        let every = || parts.iter().copied().flatten();
        let ids = |id: fn(&Event) -> u64| {
            let mut ids: Vec<u64> = every().map(id).collect();
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let user_ids = ids(|event| event.user);
        let item_ids = ids(|event| event.item);
        let matrix = |events: &[Event], without: Option<&Interactions>| {
            let mut rows = vec![Vec::new(); user_ids.len()];
            for event in events {
                // All ids are of these events.
                let (Ok(user), Ok(item)) = (
                    user_ids.binary_search(&event.user),
                    item_ids.binary_search(&event.item),
                ) else {
                    continue;
                };
                let item = u32::try_from(item)?;
                let hidden = without
                    .is_some_and(|train| train.history(user).items.binary_search(&item).is_ok());
                if !hidden {
                    rows[user].push((item, event.weight));
                }
            }
            anyhow::Ok(Interactions::from_rows(item_ids.len(), rows)?)
        };
        let fitted = matrix(train, None)?;
        let valid = valid
            .map(|events| matrix(events, Some(&fitted)))
            .transpose()?;
        let hidden = mask
            .map(|mask| matrix(&[train, mask].concat(), None))
            .transpose()?;
        Ok(Self {
            test: matrix(test, Some(&fitted))?,
            valid,
            hidden,
            train: fitted,
            user_ids,
            item_ids,
        })
    }
}

type Parted = (Vec<Event>, Vec<Event>, Vec<Event>);

fn by_time(events: Vec<Event>, parting: Parting) -> anyhow::Result<Parted> {
    let mut users: BTreeMap<u64, Vec<(i64, Event)>> = BTreeMap::new();
    for event in events {
        let Some(time) = event.time else {
            bail!("there are no times by which to part it; use --train and --test");
        };
        users.entry(event.user).or_default().push((time, event));
    }
    let (mut train, mut valid, mut test) = (Vec::new(), Vec::new(), Vec::new());
    for mut events in users.into_values() {
        events.sort_by_key(|(time, event)| (*time, event.item));
        let last = events.len() / parting.test;
        let before = events.len() / parting.valid;
        let parts = [events.len() - last - before, events.len() - last];
        for (place, (_, event)) in events.into_iter().enumerate() {
            match parts {
                [first, _] if place < first => train.push(event),
                [_, second] if place < second => valid.push(event),
                _ => test.push(event),
            }
        }
    }
    Ok((train, valid, test))
}

/// How a file is laid out; told by its first line.
#[derive(Debug, Clone, PartialEq)]
enum Layout {
    /// `user item item …`, separated by spaces.
    Lists,
    /// A line an event: user, item, rating, time, separated by this.
    Columns(&'static str),
    /// Separated by commas; where these columns are.
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

    fn has_heading(&self) -> bool {
        matches!(self, Self::Csv { .. })
    }

    /// Adds the events of `line`; none if it is not of this layout.
    fn read(&self, line: &str, events: &mut Vec<Event>) -> Option<()> {
        match self {
            Self::Lists => {
                let mut numbers = line.split_whitespace().map(str::parse);
                let user = numbers.next()?.ok()?;
                for item in numbers {
                    events.push(Event {
                        user,
                        item: item.ok()?,
                        rating: None,
                        weight: 1.0,
                        time: None,
                    });
                }
            }
            Self::Columns(separator) => {
                let mut fields = line.split(separator);
                events.push(Event {
                    user: fields.next()?.parse().ok()?,
                    item: fields.next()?.parse().ok()?,
                    rating: Some(fields.next()?.parse().ok()?),
                    weight: 1.0,
                    time: Some(fields.next()?.trim().parse().ok()?),
                });
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
                events.push(Event {
                    user: fields.get(*user)?.parse().ok()?,
                    item: fields.get(*item)?.parse().ok()?,
                    rating,
                    weight: 1.0,
                    time,
                });
            }
        }
        Some(())
    }
}

/// The events in the file at `path`.
///
/// # Errors
/// A file that cannot be read, whose layout is unknown, or that has a line which is not of its layout.
pub fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
    parse(open(path)?)
}

/// The text in the file at `path`, unpacked if its name ends in `.gz`.
///
/// # Errors
/// A file that cannot be opened.
pub fn open(path: &Path) -> std::io::Result<impl BufRead + use<>> {
    let file = std::fs::File::open(path)?;
    let is_gz = path.extension().is_some_and(|ending| ending == "gz");
    let text: Box<dyn Read> = if is_gz {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    Ok(BufReader::new(text))
}

fn parse(text: impl BufRead) -> anyhow::Result<Vec<Event>> {
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
                let found = Layout::of(line).context(
                    "its layout is unknown: neither `user item item …` lines nor one of MovieLens",
                )?;
                let has_heading = found.has_heading();
                let found = layout.insert(found);
                if has_heading {
                    continue;
                }
                found
            }
        };
        if known.read(line, &mut events).is_none() {
            bail!("line {} is not laid out as the first one is", number + 1);
        }
    }
    Ok(events)
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
    fn every_layout_is_recognised() {
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
    fn what_is_laid_out_otherwise_is_refused_with_its_line() {
        assert!(parse("title,year\n".as_bytes()).is_err());
        let error = parse("1 2 3\n\n1 two\n".as_bytes()).expect_err("not a number");
        assert_eq!(
            error.to_string(),
            "line 3 is not laid out as the first one is"
        );
    }

    #[test]
    fn ids_become_rows_and_columns_in_their_order_and_what_is_fitted_on_is_not_held_out() {
        let events = |text: &str| parse(text.as_bytes()).expect("readable");
        let data = Dataset::new(
            &events("20 500 7\n3 7"),
            None,
            &events("20 7 9\n50 500"),
            Some(&events("3 500\n")),
        )
        .expect("in range");
        assert_eq!(data.user_ids, [3, 20, 50]);
        assert_eq!(data.item_ids, [7, 9, 500]);
        assert_eq!(data.train.history(1).items, [0, 2]);
        assert_eq!(data.test.history(1).items, [1]);
        assert_eq!(data.test.history(2).items, [2]);
        let hidden = data.hidden.expect("a mask");
        assert_eq!(hidden.history(0).items, [0, 2]);
        assert_eq!(hidden.history(1).items, [0, 2]);
    }

    #[test]
    fn times_part_each_users_films_in_seven_one_and_two_tenths() {
        let event = |time: u64| Event {
            user: 1,
            item: 100 - time,
            rating: None,
            weight: 1.0,
            time: i64::try_from(time).ok(),
        };
        let (train, valid, test) =
            by_time((0..10).rev().map(event).collect(), PARTING).expect("times");
        let items = |events: Vec<Event>| events.iter().map(|e| e.item).collect::<Vec<_>>();
        assert_eq!(items(train), [100, 99, 98, 97, 96, 95, 94]);
        assert_eq!(items(valid), [93]);
        assert_eq!(items(test), [92, 91]);
    }
}
