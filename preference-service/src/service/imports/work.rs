//! The work of an import: its rows are processed in chunks. For each chunk, the movies are found in one
//! request, the actions are stored (or applied to a copy in a dry run), and the outcome is counted. A chunk
//! that was stored but not counted is processed again, which changes nothing.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use chassis::{
    clock::Clock,
    jobs::{End, JobMetrics, LeasedJob, Stop, Work},
};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    client::{FilmMatch, WantedFilm},
    models::{
        EventContext, ImportEntry, ImportFailure, InteractionId, MovieCandidate, MovieId,
        UnmatchedReason, UserId, UserMovie, Viewings,
    },
    repository::{
        import_report::NewUnmatched,
        import_work::{self, ChunkOutcome, ImportState},
        imports, user_movies, viewings,
    },
    service::{
        catalogue::Catalogue,
        writer::{Command, WriteError, Writer},
    },
};

/// Ended imports by status (counter).
pub const IMPORTS_TOTAL: &str = "imports_total";
/// Imports that this process works on (gauge).
pub const IMPORTS_RUNNING: &str = "imports_running";
/// Imports that were paused because a dependency was unavailable (counter).
const IMPORTS_RELEASED_TOTAL: &str = "imports_released_total";
/// Processed rows of imports by outcome (counter).
pub const IMPORT_ROWS_TOTAL: &str = "import_rows_total";

/// Rows that are processed in one step.
const CHUNK: i64 = 500;
/// Movies that are fetched from TMDB for one request.
const MAX_FETCHES_PER_REQUEST: usize = 100;
/// Requests about the same rows that may pass without a fetched movie.
const MAX_FRUITLESS_REQUESTS: u32 = 3;
/// The pause between such requests.
const FRUITLESS_PAUSE: Duration = Duration::from_secs(2);

/// The outcome of a row whose movie was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Changed,
    Unchanged,
    Failed,
}

/// The reason for which a row has no movie, and those that it may be.
type NoMovie = (UnmatchedReason, Vec<MovieCandidate>);
/// The movie of a row, or the reason for which it has none.
type Matched = Result<MovieId, NoMovie>;

/// The work of imports.
pub(super) struct ImportWork {
    pub(super) pool: PgPool,
    pub(super) catalogue: Catalogue,
    pub(super) writer: Writer,
    pub(super) clock: Clock,
}

impl Work for ImportWork {
    const METRICS: JobMetrics = JobMetrics {
        ended_total: IMPORTS_TOTAL,
        running: IMPORTS_RUNNING,
        released_total: IMPORTS_RELEASED_TOTAL,
        by_kind: false,
    };

    async fn run(&self, job: &LeasedJob) -> Result<(), Stop> {
        let mut import = import_work::load(&self.pool, job.id).await?;
        loop {
            let entries = import_work::list_entries(&self.pool, &import, CHUNK).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let outcome = self.process(&import, &entries).await?;
            let mut transaction = self.pool.begin().await?;
            job.checkpoint(&mut transaction).await?;
            import_work::record(&mut transaction, &import, &outcome).await?;
            transaction.commit().await?;
            job.notify();
            import.processed += outcome.processed;
            import.fetches_left -= outcome.fetched;
            for (label, rows) in [
                ("succeeded", outcome.succeeded),
                ("unchanged", outcome.unchanged),
                ("unmatched", outcome.unmatched),
                ("failed", outcome.failed),
            ] {
                let rows = u64::try_from(rows).unwrap_or_default();
                metrics::counter!(IMPORT_ROWS_TOTAL, "outcome" => label).increment(rows);
            }
        }
    }

    async fn end(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
        _kind: &str,
        end: &End,
    ) -> sqlx::Result<()> {
        imports::end(connection, id, end).await
    }
}

impl ImportWork {
    async fn process(
        &self,
        import: &ImportState,
        entries: &[ImportEntry],
    ) -> Result<ChunkOutcome, Stop> {
        let (movies, fetched) = self.find_movies(entries, import.fetches_left).await?;
        let rows: Vec<(&ImportEntry, Matched)> = entries.iter().zip(movies).collect();
        let matched: Vec<(MovieId, &ImportEntry)> = rows
            .iter()
            .filter_map(|(entry, movie)| Some((*movie.as_ref().ok()?, *entry)))
            .collect();
        let outcomes = if import.dry_run {
            self.try_out(import, &matched).await?
        } else {
            store(&self.writer, import.user_id, &matched)
                .await
                .map_err(stop)?
        };
        Ok(count(import, &rows, &outcomes, fetched))
    }

    /// The movie of each row, and the number of movies that were requested from TMDB for that.
    async fn find_movies(
        &self,
        entries: &[ImportEntry],
        fetches_left: i32,
    ) -> Result<(Vec<Matched>, i32), Stop> {
        let wanted: Vec<WantedFilm<'_>> = entries
            .iter()
            .map(|entry| WantedFilm {
                tmdb_id: entry.tmdb_id,
                imdb_id: entry.imdb_id.as_deref(),
                title: entry.title.as_deref(),
                year: entry.year,
            })
            .collect();
        let mut movies = vec![Err((UnmatchedReason::NotFetched, Vec::new())); wanted.len()];
        let mut open: Vec<usize> = (0..wanted.len()).collect();
        let mut left = usize::try_from(fetches_left).unwrap_or_default();
        let (mut fetched, mut fruitless) = (0, 0);
        while !open.is_empty() {
            let request: Vec<WantedFilm<'_>> =
                open.iter().map(|index| wanted[*index].clone()).collect();
            let response = self
                .catalogue
                .find(&request, left.min(MAX_FETCHES_PER_REQUEST))
                .await
                .map_err(|error| Stop::Unavailable(error.to_string()))?;
            let mut deferred = Vec::new();
            for (index, found) in open.into_iter().zip(response.matches) {
                movies[index] = match found {
                    FilmMatch::Found { id } => Ok(id),
                    FilmMatch::Missing {
                        mut unmatched,
                        candidates,
                    } => {
                        // TMDB has not been asked.
                        if unmatched == UnmatchedReason::Unknown
                            && left == 0
                            && candidates.is_empty()
                        {
                            unmatched = UnmatchedReason::NotFetched;
                        }
                        if unmatched == UnmatchedReason::NotFetched {
                            deferred.push(index);
                        }
                        Err((unmatched, candidates))
                    }
                };
            }
            open = deferred;
            fetched += response.fetched;
            left = left.saturating_sub(response.fetched);
            if open.is_empty() || left == 0 {
                break;
            }
            if response.fetched == 0 {
                fruitless += 1;
                if fruitless == MAX_FRUITLESS_REQUESTS {
                    break;
                }
                tokio::time::sleep(FRUITLESS_PAUSE).await;
            }
        }
        Ok((movies, i32::try_from(fetched).unwrap_or(i32::MAX)))
    }

    /// The outcomes that `rows` would have if all rows up to them were stored.
    async fn try_out(
        &self,
        import: &ImportState,
        rows: &[(MovieId, &ImportEntry)],
    ) -> Result<Vec<Outcome>, Stop> {
        let movies: Vec<i64> = rows.iter().map(|(movie, _)| movie.get()).collect();
        let earlier = import_work::list_earlier(&self.pool, import, &movies).await?;
        let states = user_movies::find_many(&self.pool, import.user_id, &movies).await?;
        let mut viewings = viewings::find_many(&self.pool, import.user_id, &movies).await?;
        let mut trial = Trial {
            user_id: import.user_id,
            states: states
                .into_iter()
                .map(|state| {
                    let stored = viewings.remove(&state.movie_id).unwrap_or_default();
                    (state.movie_id, (state, Viewings::of(&state, stored)))
                })
                .collect(),
            next_id: i64::MAX / 2,
            clock: &self.clock,
        };
        for entry in &earlier {
            if let Some(movie) = entry.movie_id {
                trial.apply(movie, entry);
            }
        }
        let outcomes = rows.iter().map(|(movie, entry)| trial.apply(*movie, entry));
        Ok(outcomes.collect())
    }
}

/// Stores the actions of rows.
///
/// # Errors
/// The first failure that concerns more than a row.
pub(super) async fn store(
    writer: &Writer,
    user_id: UserId,
    rows: &[(MovieId, &ImportEntry)],
) -> Result<Vec<Outcome>, WriteError> {
    let (mut commands, mut indexes) = (Vec::new(), Vec::new());
    for (index, (movie_id, entry)) in rows.iter().enumerate() {
        for (action, at) in entry.actions() {
            indexes.push(index);
            commands.push(Command {
                user_id,
                movie_id: *movie_id,
                action,
                occurred_at: Some(at),
                is_movie_known: true,
            });
        }
    }
    let results = writer.write_all(commands).await;
    let mut outcomes = vec![Outcome::Unchanged; rows.len()];
    for (index, result) in indexes.into_iter().zip(results) {
        let outcome = &mut outcomes[index];
        match result {
            Ok(written) if written.changed && *outcome == Outcome::Unchanged => {
                *outcome = Outcome::Changed;
            }
            Ok(_) => {}
            Err(WriteError::Database(error)) if !chassis::postgres::is_unreachable(&error) => {
                tracing::warn!(%error, "storing a row of an import failed");
                *outcome = Outcome::Failed;
            }
            Err(WriteError::MovieUnknown) => *outcome = Outcome::Failed,
            Err(error) => return Err(error),
        }
    }
    Ok(outcomes)
}

/// The stop of an import whose rows could not be stored.
fn stop(error: WriteError) -> Stop {
    match error {
        // The import was deleted with its user.
        WriteError::UserNotFound => Stop::LeaseLost,
        WriteError::Stopped => Stop::ShuttingDown,
        WriteError::Busy => Stop::Unavailable("the writer is busy".to_owned()),
        error => Stop::Unavailable(format!("Postgres: {error}")),
    }
}

/// A copy of a user's states of movies, which a dry run changes.
struct Trial<'a> {
    user_id: UserId,
    states: HashMap<MovieId, (UserMovie, Viewings)>,
    /// The next interaction id, beyond all that exist.
    next_id: i64,
    clock: &'a Clock,
}

impl Trial<'_> {
    fn apply(&mut self, movie: MovieId, entry: &ImportEntry) -> Outcome {
        let new = || (UserMovie::new(self.user_id, movie), Viewings::default());
        let (state, viewings) = self.states.entry(movie).or_insert_with(new);
        let mut outcome = Outcome::Unchanged;
        for (action, at) in entry.actions() {
            self.next_id += 1;
            let Some(id) = InteractionId::new(self.next_id) else {
                continue;
            };
            let context = EventContext {
                id,
                now: self.clock.now(),
                occurred_at: Some(at),
            };
            if let Some(changed) = state.apply(viewings, action, &context) {
                *state = changed.state;
                outcome = Outcome::Changed;
            }
        }
        outcome
    }
}

/// The outcome of a chunk; `outcomes` are those of the rows whose movie was found.
fn count(
    import: &ImportState,
    rows: &[(&ImportEntry, Matched)],
    outcomes: &[Outcome],
    fetched: i32,
) -> ChunkOutcome {
    let mut outcome = ChunkOutcome {
        fetched,
        ..ChunkOutcome::default()
    };
    let mut outcomes = outcomes.iter();
    let mut unmatched: BTreeMap<String, NewUnmatched> = BTreeMap::new();
    for ((entry, movie), position) in rows.iter().zip(import.processed + 1..) {
        outcome.processed += 1;
        match movie {
            Err((reason, candidates)) => {
                outcome.unmatched += 1;
                let new = || NewUnmatched {
                    entry: (*entry).clone(),
                    positions: Vec::new(),
                    reason: *reason,
                    candidates: candidates.clone(),
                };
                let movie = unmatched.entry(entry.movie_key()).or_insert_with(new);
                movie.positions.push(position);
                if (entry.file, entry.line) < (movie.entry.file, movie.entry.line) {
                    movie.entry = (*entry).clone();
                }
            }
            Ok(_) => match outcomes.next() {
                Some(Outcome::Changed) => outcome.succeeded += 1,
                Some(Outcome::Unchanged) => outcome.unchanged += 1,
                Some(Outcome::Failed) | None => {
                    outcome.failed += 1;
                    let file = usize::try_from(entry.file).ok();
                    let file = file.and_then(|index| import.files.get(index));
                    outcome.failures.push(ImportFailure {
                        file: file.map(|file| file.name.clone()),
                        line: Some(entry.line),
                        field: None,
                        reason: "it could not be stored; import the file again".to_owned(),
                        title: entry.title.clone(),
                        rows: Some(1),
                    });
                }
            },
        }
        if import.dry_run {
            outcome.movies.push(movie.as_ref().ok().map(|id| id.get()));
        }
    }
    outcome.unmatched_movies = unmatched.into_values().collect();
    outcome
}
