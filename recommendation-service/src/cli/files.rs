//! Files of interactions, plain or .gz.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use flate2::read::MultiGzDecoder;
use recommender::evaluation::{formats::parse, split::Event};

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

/// The file `name` in `directory`, plain or .gz.
pub(super) fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    [name.to_owned(), format!("{name}.gz")]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.is_file())
}
