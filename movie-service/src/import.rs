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
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::{Settings, run::usage_error, shutdown::Shutdown};
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

const USAGE: &str = "movie-service import --format tmdb-csv|tmdb-export [--refused FILE] FILE…

  tmdb-csv     CSV with a heading row: the Kaggle set \"TMDB 5000\", lists with id and genre_ids, or
               facts with tmdb_id and lists separated by |; recognised by the heading
  tmdb-export  TMDB's daily export of ids, one JSON object a line

  --refused FILE
               where every row that could not be used is written: the file, the line, what is wrong

Files may be plain, .gz or .zst. The database is DATABASE_URL's. Running it again changes nothing.";

/// How many refused rows are shown of each file.
const REFUSALS_SHOWN: usize = 20;
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
    let Wish {
        format,
        files,
        refused,
    } = match parse(arguments) {
        Ok(parsed) => parsed,
        Err(message) => return usage_error(&format!("{message}\n\n{USAGE}")),
    };
    let config: Config = match Settings::load(DEFAULTS).and_then(|settings| settings.read()) {
        Ok(config) => config,
        Err(error) => return usage_error(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return usage_error(&error.to_string()),
    };
    let done = runtime.block_on(async {
        let refused = refused
            .map(|path| File::create(&path).with_context(|| path.display().to_string()))
            .transpose()?
            .map(Arc::new);
        let pool = database::open(&config, &Shutdown::default()).await?;
        for file in &files {
            let report = import(&pool, format, file, config.include_adult, refused.clone())
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

/// What the command is asked for.
#[derive(Debug, PartialEq)]
struct Wish {
    format: Format,
    files: Vec<PathBuf>,
    refused: Option<PathBuf>,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Wish, String> {
    let (mut format, mut refused) = (None, None);
    let mut files = Vec::new();
    while let Some(argument) = arguments.next() {
        if !argument.starts_with('-') {
            files.push(PathBuf::from(argument));
            continue;
        }
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (argument.as_str(), None),
        };
        match name {
            "--format" => {
                let value = value.or_else(|| arguments.next());
                format = Some(match value.as_deref() {
                    Some("tmdb-csv") => Format::TmdbCsv,
                    Some("tmdb-export") => Format::TmdbExport,
                    _ => return Err("--format must be tmdb-csv or tmdb-export".to_owned()),
                });
            }
            "--refused" => {
                let value = value.or_else(|| arguments.next());
                refused = Some(value.ok_or("--refused needs a file")?.into());
            }
            _ => return Err(format!("unknown option `{argument}`")),
        }
    }
    match format {
        None => Err("--format is missing".to_owned()),
        Some(_) if files.is_empty() => Err("there is no file to import".to_owned()),
        Some(format) => Ok(Wish {
            format,
            files,
            refused,
        }),
    }
}

/// Imports one file; rows that could not be used are written to `refused`, where it is given.
///
/// # Errors
/// A file that cannot be read or whose columns are not known, or Postgres's. What was read until then is
/// stored.
pub async fn import(
    pool: &sqlx::PgPool,
    format: Format,
    file: &Path,
    include_adult: bool,
    refused: Option<Arc<File>>,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut reader = Reader::new(open(file)?, format, include_adult)?;
    let layout = reader.layout();
    crate::repository::movies::add_genres(pool, &genres()).await?;
    let (batches, queue) = mpsc::channel(QUEUE);
    let mut refused = refused.map(|out| Refused {
        out: BufWriter::new(out),
        file: file.display().to_string(),
    });
    let reading =
        tokio::task::spawn_blocking(move || read_all(&mut reader, &batches, refused.as_mut()));
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

/// Where rows that could not be used are written.
struct Refused {
    out: BufWriter<Arc<File>>,
    file: String,
}

impl Refused {
    fn write(&mut self, refusal: &Refusal) -> std::io::Result<()> {
        let Refusal { line, reason } = refusal;
        writeln!(self.out, "{}\t{line}\t{reason}", self.file)
    }
}

/// Reads to the end, or until nobody takes what is read.
fn read_all(
    reader: &mut Reader,
    batches: &mpsc::Sender<Batch>,
    mut refused: Option<&mut Refused>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    let mut told = Instant::now();
    let end = loop {
        let (line, row) = match reader.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            // What was read before is good all the same.
            Err(error) => break Err(error),
        };
        report.rows += 1;
        match row {
            Ok(film) if !seen.insert(film.id) => report.repeated += 1,
            Ok(film) => {
                batch.push(&film, reader.take_genres());
                if batch.is_full() && batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                    return Ok(report);
                }
            }
            Err(reason) => {
                report.refused += 1;
                let refusal = Refusal { line, reason };
                if let Some(refused) = refused.as_mut() {
                    refused.write(&refusal)?;
                }
                if report.refusals.len() < REFUSALS_SHOWN {
                    report.refusals.push(refusal);
                }
            }
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let _ = writeln!(std::io::stderr(), "{} rows read", report.rows);
        }
    };
    if !batch.is_empty() {
        let _ = batches.blocking_send(batch);
    }
    if let Some(refused) = refused {
        refused.out.flush()?;
    }
    end.map(|()| report)
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
        let more = report.refused - shown;
        let _ = writeln!(out, "  and {more} more, which --refused FILE tells");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_understood_and_what_is_not_is_named() {
        let parse = |text: &str| parse(text.split_whitespace().map(str::to_owned));
        for (text, refused) in [
            ("--format tmdb-csv a b", None),
            ("a --format=tmdb-csv b --refused c", Some("c")),
        ] {
            let wish = Wish {
                format: Format::TmdbCsv,
                files: vec![PathBuf::from("a"), PathBuf::from("b")],
                refused: refused.map(PathBuf::from),
            };
            assert_eq!(parse(text), Ok(wish), "{text}");
        }
        for (text, message) in [
            ("a", "--format is missing"),
            ("--format tmdb-csv", "there is no file to import"),
            ("--format csv a", "--format must be tmdb-csv or tmdb-export"),
            ("--format", "--format must be tmdb-csv or tmdb-export"),
            ("--format tmdb-csv a --refused", "--refused needs a file"),
            ("--dry-run a", "unknown option `--dry-run`"),
        ] {
            assert_eq!(parse(text), Err(message.to_owned()), "{text}");
        }
    }
}
