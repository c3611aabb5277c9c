//! Files of interactions, plain or .gz.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use recommender::evaluation::{
    formats::parse,
    split::{Dataset, Event, Split},
};

/// The files of a dataset.
#[derive(Debug, Clone)]
pub(super) enum Files {
    /// A file for each part.
    Parts {
        /// The training part.
        train: PathBuf,
        /// The validation part.
        valid: Option<PathBuf>,
        /// The test part.
        test: PathBuf,
        /// Items that are hidden beside those of the training part when the test part is measured on.
        mask: Option<PathBuf>,
    },
    /// One file with times, which is split by [`Split::default`].
    Whole(PathBuf),
}

/// The source of a dataset.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The files.
    pub(super) files: Files,
    /// The smallest rating that counts.
    pub(super) min_rating: Option<f64>,
}

impl TryFrom<&Source> for Dataset {
    type Error = anyhow::Error;

    fn try_from(source: &Source) -> anyhow::Result<Self> {
        let events = |path: &Path| -> anyhow::Result<Vec<Event>> {
            let mut events = read(path)?;
            if let Some(min) = source.min_rating {
                events.retain(|event| event.rating.is_none_or(|rating| rating >= min));
            }
            Ok(events)
        };
        Ok(match &source.files {
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
                )?
            }
            Files::Whole(path) => Self::by_time(events(path)?, Split::default())
                .with_context(|| format!("{}: use --train and --test", path.display()))?,
        })
    }
}

/// The events in the file at `path`.
///
/// # Errors
/// Fails if the file cannot be read, its layout is unknown, or a line does not follow it.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Event>> {
    let parsed = open(path)
        .map_err(anyhow::Error::from)
        .and_then(|text| Ok(parse(text)?));
    parsed.with_context(|| path.display().to_string())
}

/// The text in the file at `path`, unpacked if its name ends in `.gz`.
///
/// # Errors
/// Returns [`std::io::Error`] if the file cannot be opened.
pub(super) fn open(path: &Path) -> std::io::Result<impl BufRead + use<>> {
    let file = std::fs::File::open(path)?;
    let is_gz = path.extension().is_some_and(|ending| ending == "gz");
    let text: Box<dyn Read> = if is_gz {
        Box::new(MultiGzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };
    Ok(BufReader::new(text))
}
