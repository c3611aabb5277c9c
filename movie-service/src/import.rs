//! `movie-service import`: fills the catalogue from dumps, without TMDB. One thread reads and checks rows, two tasks
//! write them; memory holds a few batches, whatever the size of the file.
//!
//! [`open`] decompresses, [`records`] splits rows, [`layout`] decodes them, [`write`] stores them;
//! [`crate::repository::dumps`] decides which values a dump may overwrite.

mod layout;
mod open;
mod records;
mod write;

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::shutdown::Shutdown;
use filter::Bitmap;
use tokio::sync::mpsc;

use crate::{
    config::Config,
    database,
    models::Genre,
    repository::{dumps::Stored, movies},
};
use layout::{KNOWN_GENRES, Reader};
use open::open;
use write::{Batch, write_all};

/// Refusals that are printed per file.
const MAX_REFUSALS_SHOWN: usize = 20;
/// Batches between the reader and the writers.
const QUEUE: usize = 2;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Imports movies from dumps of TMDB: plain, .gz or .zst files. Importing a file again changes nothing.
///
/// The database is DATABASE_URL.
#[derive(Debug, PartialEq, clap::Args)]
pub struct ImportArgs {
    /// The format of the files.
    #[arg(long)]
    format: Format,
    /// A file for all refused rows: file, line and reason, separated by tabs.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// The dumps.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The format of a dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// CSV with a heading row: the Kaggle set "TMDB 5000", lists with id and genre_ids, or facts with tmdb_id and
    /// lists separated by |; recognized by the heading.
    TmdbCsv,
    /// TMDB's daily export of ids, one JSON object per line.
    TmdbExport,
}

/// A row that could not be imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The reason.
    pub reason: String,
}

/// The result of importing a file.
#[derive(Debug, Default)]
pub struct Report {
    /// The name of the layout of its columns.
    pub layout: &'static str,
    /// Rows, without the heading.
    pub rows: u64,
    /// Movies by outcome.
    pub stored: Stored,
    /// Rows of movies that an earlier row contains.
    pub repeated: u64,
    /// Rows that could not be imported.
    pub refused: u64,
    /// The first of them.
    pub refusals: Vec<Refusal>,
    /// The duration.
    pub took: Duration,
}

/// Runs the command and prints a report of each file.
///
/// # Errors
/// Fails at the first file that cannot be imported, naming it; earlier files stay imported.
pub async fn run(arguments: ImportArgs, config: &Config) -> anyhow::Result<String> {
    let refused = arguments
        .refused
        .map(|path| File::create(&path).with_context(|| path.display().to_string()))
        .transpose()?
        .map(Arc::new);
    let pool = database::open(config, &Shutdown::default()).await?;
    for file in &arguments.files {
        let (format, refused) = (arguments.format, refused.clone());
        let report = import(&pool, format, file, config.include_adult, refused)
            .await
            .with_context(|| file.display().to_string())?;
        print(file, &report);
    }
    pool.close().await;
    Ok(String::new())
}

/// Imports one file and writes refused rows to `refused`.
///
/// # Errors
/// Fails if the file cannot be read, its columns are unknown, or Postgres fails. Rows before the failure stay imported.
pub async fn import(
    pool: &sqlx::PgPool,
    format: Format,
    file: &Path,
    include_adult: bool,
    refused: Option<Arc<File>>,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut reader = Reader::new(open(file)?, format, include_adult)?;
    let layout = reader.layout;
    let genres = KNOWN_GENRES.map(|(id, name)| Genre {
        id,
        name: name.to_owned(),
        ..Genre::default()
    });
    movies::upsert_genres(pool, &genres, false).await?;
    let (batches, queue) = mpsc::channel(QUEUE);
    let refused = refused.map(|out| (BufWriter::new(out), file.display().to_string()));
    let reading = tokio::task::spawn_blocking(move || read_all(&mut reader, &batches, refused));
    let stored = write_all(pool, layout, queue).await;
    // The reader ends as well, since a failed writer closes the queue.
    let read = reading.await?;
    let stored = stored?;
    let mut report = read?;
    report.layout = layout;
    report.stored = stored;
    report.took = started.elapsed();
    Ok(report)
}

/// The ids that a file has contained so far, in blocks: TMDB's million and a half take 200 KB, and one large id does not
/// take more.
#[derive(Default)]
struct Seen(HashMap<i64, Bitmap>);

impl Seen {
    /// Adds `id`, 1 to 2³¹ - 1; false if it was there.
    fn insert(&mut self, id: i64) -> bool {
        let block = self.0.entry(id >> 16).or_default();
        let row = (id & 0xffff) as u32;
        let is_new = !block.contains(row);
        block.insert(row);
        is_new
    }
}

/// Reads to the end of the file, or until the queue is closed. Refused rows are written to `refused`, with the name of
/// the file.
fn read_all(
    reader: &mut Reader,
    batches: &mpsc::Sender<Batch>,
    mut refused: Option<(BufWriter<Arc<File>>, String)>,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut seen = Seen::default();
    let mut batch = Batch::default();
    let mut printed = Instant::now();
    let end = loop {
        let (line, row) = match reader.next() {
            Ok(Some(row)) => row,
            Ok(None) => break Ok(()),
            // Rows before the failure are imported.
            Err(error) => break Err(error),
        };
        report.rows += 1;
        match row {
            Ok(film) if !seen.insert(film.id) => report.repeated += 1,
            Ok(film) => {
                batch.rows.push(&film);
                batch.genres.extend(reader.take_genres());
                if batch.is_full() && batches.blocking_send(std::mem::take(&mut batch)).is_err() {
                    return Ok(report);
                }
            }
            Err(reason) => {
                report.refused += 1;
                if let Some((out, file)) = &mut refused {
                    writeln!(out, "{file}\t{line}\t{reason}")?;
                }
                if report.refusals.len() < MAX_REFUSALS_SHOWN {
                    report.refusals.push(Refusal { line, reason });
                }
            }
        }
        if printed.elapsed() >= PROGRESS_INTERVAL {
            printed = Instant::now();
            let _ = writeln!(std::io::stderr(), "{} rows read", report.rows);
        }
    };
    if batch.rows.count > 0 {
        let _ = batches.blocking_send(batch);
    }
    if let Some((mut out, _)) = refused {
        out.flush()?;
    }
    end.map(|()| report)
}

fn print(file: &Path, report: &Report) {
    let seconds = report.took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rate for display")]
    let rate = report.rows as f64 / seconds.max(0.001);
    let mut out = std::io::stdout().lock();
    let _ = writeln!(
        out,
        "{} ({}): {} rows: {} new, {} changed, {} unchanged, {} repeated, {} refused; \
         {seconds:.2} s, {rate:.0} films/s",
        file.display(),
        report.layout,
        report.rows,
        report.stored.new,
        report.stored.changed,
        report.stored.unchanged,
        report.repeated,
        report.refused,
    );
    for refusal in &report.refusals {
        let _ = writeln!(out, "  line {}: {}", refusal.line, refusal.reason);
    }
    let shown = report.refusals.len() as u64;
    if report.refused > shown {
        let more = report.refused - shown;
        let _ = writeln!(out, "  and {more} more; --refused FILE lists all");
    }
}
