//! `movie-service import`: the catalogue from dumps of TMDB that people have, without TMDB. One thread
//! reads and checks, others write; memory holds a few batches, however large the file is.
//!
//! [`open`] unpacks, [`records`] finds rows, [`layout`] knows what they mean, [`write`] has them stored.
//! What a dump may overwrite is decided in [`crate::repository::dumps`].

mod layout;
mod open;
mod records;
mod seen;
mod write;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::{Settings, run::usage, shutdown::Shutdown};
use tokio::sync::mpsc;

use crate::{
    config::{Config, DEFAULTS},
    database,
    models::Genre,
    repository::dumps::Stored,
};
use layout::{KNOWN_GENRES, Reader};
use open::open;
use seen::Seen;
use write::{Batch, write_all};

const USAGE: &str = "movie-service import --format tmdb-csv|tmdb-export FILE…

  tmdb-csv     CSV with a heading row: the Kaggle set \"TMDB 5000\", lists with id and genre_ids, or
               facts with tmdb_id and lists separated by |; recognised by the heading
  tmdb-export  TMDB's daily export of ids, one JSON object a line

Files may be plain, .gz or .zst. The database is DATABASE_URL's. Running it again changes nothing.";

/// How many refused rows are shown of each file.
const REFUSALS_SHOWN: usize = 20;
/// Films in one transaction.
const BATCH: usize = 5_000;
/// Batches between the reader and the writers.
const QUEUE: usize = 2;
/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// How a dump is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// CSV with a heading row.
    TmdbCsv,
    /// TMDB's daily export of ids.
    TmdbExport,
}

/// A row that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// What became of a file.
#[derive(Debug, Default)]
pub struct Report {
    /// What its columns are called together.
    pub layout: &'static str,
    /// Rows, without the heading.
    pub rows: u64,
    /// What became of the films.
    pub stored: Stored,
    /// Rows of films that a row before told of.
    pub repeated: u64,
    /// Rows that could not be used.
    pub refused: u64,
    /// The first of them.
    pub refusals: Vec<Refusal>,
    /// How long it took.
    pub took: Duration,
}

/// Runs the command; `arguments` are those behind `import`.
pub fn command(arguments: impl Iterator<Item = String>) -> ExitCode {
    let (format, files) = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(message) => return usage(&format!("{message}\n\n{USAGE}")),
    };
    let config: Config = match Settings::load(DEFAULTS).and_then(|settings| settings.read()) {
        Ok(config) => config,
        Err(error) => return usage(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return usage(&error.to_string()),
    };
    let done = runtime.block_on(async {
        let pool = database::open(&config, &Shutdown::default()).await?;
        for file in &files {
            let report = import(&pool, format, file, config.include_adult)
                .await
                .with_context(|| file.display().to_string())?;
            tell(file, &report);
        }
        pool.close().await;
        anyhow::Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<(Format, Vec<PathBuf>), String> {
    let mut format = None;
    let mut files = Vec::new();
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let value = match argument.strip_prefix("--format") {
            Some("") => arguments.next(),
            Some(rest) => rest.strip_prefix('=').map(str::to_owned),
            None if argument.starts_with('-') => {
                return Err(format!("unknown option `{argument}`"));
            }
            None => {
                files.push(PathBuf::from(argument));
                continue;
            }
        };
        format = Some(match value.as_deref() {
            Some("tmdb-csv") => Format::TmdbCsv,
            Some("tmdb-export") => Format::TmdbExport,
            _ => return Err("--format must be tmdb-csv or tmdb-export".to_owned()),
        });
    }
    match format {
        None => Err("--format is missing".to_owned()),
        Some(_) if files.is_empty() => Err("there is no file to import".to_owned()),
        Some(format) => Ok((format, files)),
    }
}

/// Imports one file.
///
/// # Errors
/// A file that cannot be read or whose columns are not known, or Postgres's. What was stored until then
/// stays.
pub async fn import(
    pool: &sqlx::PgPool,
    format: Format,
    file: &Path,
    include_adult: bool,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut reader = Reader::new(open(file)?, format, include_adult)?;
    let layout = reader.layout();
    crate::repository::dumps::add_genres(pool, &genres()).await?;
    let (batches, queue) = mpsc::channel(QUEUE);
    let reading = tokio::task::spawn_blocking(move || read_all(&mut reader, &batches));
    let stored = write_all(pool, layout, queue).await;
    // A writer that failed has closed the queue, so that the reader ends as well.
    let read = reading.await?;
    let stored = stored?;
    let mut report = read?;
    report.layout = layout;
    report.stored = stored;
    report.took = started.elapsed();
    Ok(report)
}

fn genres() -> Vec<Genre> {
    KNOWN_GENRES
        .iter()
        .map(|(id, name)| Genre {
            id: *id,
            name: (*name).to_owned(),
        })
        .collect()
}

/// Reads to the end, or until nobody takes what is read.
fn read_all(reader: &mut Reader, batches: &mpsc::Sender<Batch>) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    let mut told = Instant::now();
    while let Some((line, row)) = reader.next()? {
        report.rows += 1;
        match row {
            Ok(film) if !seen.insert(film.id) => report.repeated += 1,
            Ok(film) => {
                batch.push(&film, reader.take_genres());
                if batch.len() >= BATCH
                    && batches.blocking_send(std::mem::take(&mut batch)).is_err()
                {
                    return Ok(report);
                }
            }
            Err(reason) => {
                report.refused += 1;
                if report.refusals.len() < REFUSALS_SHOWN {
                    report.refusals.push(Refusal { line, reason });
                }
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let _ = writeln!(std::io::stderr(), "{} rows read", report.rows);
        }
    }
    if batch.len() > 0 {
        let _ = batches.blocking_send(batch);
    }
    Ok(report)
}

fn tell(file: &Path, report: &Report) {
    let Stored {
        new,
        changed,
        unchanged,
    } = report.stored;
    let seconds = report.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = report.rows as f64 / seconds.max(0.001);
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{} ({}): {} rows: {new} new, {changed} changed, {unchanged} unchanged, {} repeated, {} refused; \
         {seconds:.2} s, {rate:.0} films/s",
        file.display(),
        report.layout,
        report.rows,
        report.repeated,
        report.refused,
    );
    for refusal in &report.refusals {
        let _ = writeln!(out, "  line {}: {}", refusal.line, refusal.reason);
    }
    let shown = report.refusals.len() as u64;
    if report.refused > shown {
        let _ = writeln!(out, "  and {} more", report.refused - shown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_understood_and_what_is_not_is_named() {
        let parse = |text: &str| parse(text.split_whitespace().map(str::to_owned));
        let files = vec![PathBuf::from("a"), PathBuf::from("b")];
        for text in ["--format tmdb-csv a b", "a --format=tmdb-csv b"] {
            assert_eq!(parse(text), Ok((Format::TmdbCsv, files.clone())), "{text}");
        }
        for (text, message) in [
            ("a", "--format is missing"),
            ("--format tmdb-csv", "there is no file to import"),
            ("--format csv a", "--format must be tmdb-csv or tmdb-export"),
            ("--format", "--format must be tmdb-csv or tmdb-export"),
            ("--dry-run a", "unknown option `--dry-run`"),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }
}
