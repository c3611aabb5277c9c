//! What the work on an import is: its rows are gone through a few hundred at a time. Their films are
//! found in one question, what was done with them is stored, or tried out, and then they are counted. A
//! worker that dies before it has counted them leaves them to be done again, which changes nothing.

use std::{collections::HashMap, time::Duration};

use chrono::Utc;

use super::{
    Imports, Inner,
    worker::{IMPORT_ROWS_TOTAL, Stop},
};
use crate::{
    client::{FilmMatch, Unmatched, WantedFilm},
    models::{
        Deeds, EventContext, ImportEntry, ImportFailure, InteractionId, MovieId, UnmatchedReason,
        UnmatchedTitle, UserId, UserMovie,
    },
    repository::{
        import_work::{self, Done, Held},
        user_movies,
    },
    service::writer::{Command, WriteError},
};

/// Rows that are done at once.
const CHUNK: i64 = 500;
/// How many films are fetched from TMDB for one question.
const FETCHED_AT_ONCE: usize = 100;
/// How often a question about the same rows is asked again, though no film was fetched for the last.
const FRUITLESS_QUESTIONS: u32 = 3;
/// How long it waits between these.
const FRUITLESS_PAUSE: Duration = Duration::from_secs(2);
/// How many rows without a film a job tells of.
const UNMATCHED_TOLD: usize = 1000;
/// How many rows that were not stored a job tells of.
const FAILURES_TOLD: usize = 100;

/// What became of a row whose film is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Changed,
    Unchanged,
    Failed,
}

impl Imports {
    /// Goes through the rows that are left.
    pub(super) async fn go_through(&self, held: &mut Held) -> Result<(), Stop> {
        let Inner {
            pool,
            worker,
            options,
            moved,
            ..
        } = self.0.as_ref();
        loop {
            let entries = import_work::list_entries(pool, held, CHUNK).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let (films, fetched) = self.find_films(&entries, held.fetches_left).await?;
            let rows: Vec<(&ImportEntry, Result<MovieId, UnmatchedReason>)> =
                entries.iter().zip(films).collect();
            let known: Vec<(MovieId, Deeds)> = rows
                .iter()
                .filter_map(|(entry, film)| Some((film.ok()?, entry.deeds)))
                .collect();
            let outcomes = if held.dry_run {
                self.try_out(held, &known).await?
            } else {
                self.store(held.user_id, &known).await?
            };
            let done = count(held, &rows, &outcomes, fetched);
            let lease = options.lease.as_secs_f64();
            if !import_work::record(pool, held, *worker, &done, lease).await? {
                return Err(Stop::Lost);
            }
            held.processed += done.processed;
            held.unmatched += done.unmatched;
            held.failed += done.failed;
            held.fetches_left -= done.fetched;
            held.updated_at = Utc::now();
            for (outcome, rows) in [
                ("succeeded", done.succeeded),
                ("unchanged", done.unchanged),
                ("unmatched", done.unmatched),
                ("failed", done.failed),
            ] {
                let rows = u64::try_from(rows).unwrap_or_default();
                metrics::counter!(IMPORT_ROWS_TOTAL, "outcome" => outcome).increment(rows);
            }
            moved.send_replace(());
        }
    }

    /// The film of each row, and how many were looked for at TMDB for that.
    async fn find_films(
        &self,
        entries: &[ImportEntry],
        fetches_left: i32,
    ) -> Result<(Vec<Result<MovieId, UnmatchedReason>>, i32), Stop> {
        let wanted: Vec<WantedFilm<'_>> = entries
            .iter()
            .map(|entry| WantedFilm {
                tmdb_id: entry.tmdb_id,
                imdb_id: entry.imdb_id.as_deref(),
                title: entry.title.as_deref(),
                year: entry.year,
            })
            .collect();
        let mut films = vec![Err(UnmatchedReason::NotFetched); wanted.len()];
        let mut open: Vec<usize> = (0..wanted.len()).collect();
        let mut left = usize::try_from(fetches_left).unwrap_or_default();
        let (mut fetched, mut fruitless) = (0, 0);
        while !open.is_empty() {
            let question: Vec<WantedFilm<'_>> =
                open.iter().map(|place| wanted[*place].clone()).collect();
            let fetch = left.min(FETCHED_AT_ONCE);
            let answer = self
                .0
                .catalogue
                .find(&question, fetch)
                .await
                .map_err(|error| Stop::Away(error.to_string()))?;
            let mut deferred = Vec::new();
            for (place, found) in open.into_iter().zip(answer.matches) {
                films[place] = match found {
                    FilmMatch::Id(id) => Ok(id),
                    FilmMatch::Unmatched(Unmatched::Unknown) => Err(UnmatchedReason::Unknown),
                    FilmMatch::Unmatched(Unmatched::Ambiguous) => Err(UnmatchedReason::Ambiguous),
                    FilmMatch::Unmatched(Unmatched::Deferred) => {
                        deferred.push(place);
                        Err(UnmatchedReason::NotFetched)
                    }
                };
            }
            open = deferred;
            fetched += answer.fetched;
            left = left.saturating_sub(answer.fetched);
            if open.is_empty() || left == 0 {
                break;
            }
            if answer.fetched == 0 {
                fruitless += 1;
                if fruitless == FRUITLESS_QUESTIONS {
                    break;
                }
                tokio::time::sleep(FRUITLESS_PAUSE).await;
            }
        }
        Ok((films, i32::try_from(fetched).unwrap_or(i32::MAX)))
    }

    async fn store(
        &self,
        user_id: UserId,
        rows: &[(MovieId, Deeds)],
    ) -> Result<Vec<Outcome>, Stop> {
        let (mut commands, mut places) = (Vec::new(), Vec::new());
        for (place, (movie_id, deeds)) in rows.iter().enumerate() {
            for (action, at) in deeds.actions() {
                places.push(place);
                commands.push(Command {
                    user_id,
                    movie_id: *movie_id,
                    action,
                    occurred_at: Some(at),
                    is_movie_known: true,
                });
            }
        }
        let written = self.0.writer.write_all(commands).await;
        let mut outcomes = vec![Outcome::Unchanged; rows.len()];
        for (place, written) in places.into_iter().zip(written) {
            let outcome = &mut outcomes[place];
            match written {
                Ok(written) if written.changed && *outcome == Outcome::Unchanged => {
                    *outcome = Outcome::Changed;
                }
                Ok(_) => {}
                Err(WriteError::UserNotFound) => return Err(Stop::Lost),
                Err(WriteError::Stopped) => return Err(Stop::Stopping),
                Err(WriteError::Busy) => return Err(Stop::Away("the writer".to_owned())),
                Err(WriteError::Database(error)) if chassis::postgres::is_unreachable(&error) => {
                    return Err(Stop::Away(format!("Postgres: {error}")));
                }
                Err(error @ (WriteError::Database(_) | WriteError::MovieUnknown)) => {
                    tracing::warn!(%error, "a row of an import was not stored");
                    *outcome = Outcome::Failed;
                }
            }
        }
        Ok(outcomes)
    }

    /// What would change, if all rows up to these were stored.
    async fn try_out(&self, held: &Held, rows: &[(MovieId, Deeds)]) -> Result<Vec<Outcome>, Stop> {
        let films: Vec<i64> = rows.iter().map(|(movie, _)| movie.get()).collect();
        let pool = &self.0.pool;
        let earlier = import_work::list_earlier(pool, held, &films).await?;
        let mut trial = Trial {
            user_id: held.user_id,
            states: user_movies::find_many(pool, held.user_id, &films).await?,
            next: i64::MAX / 2,
        };
        for (movie, deeds) in &earlier {
            trial.apply(*movie, deeds);
        }
        Ok(rows
            .iter()
            .map(|(movie, deeds)| trial.apply(*movie, deeds))
            .collect())
    }
}

/// Where a user would stand.
struct Trial {
    user_id: UserId,
    states: HashMap<MovieId, UserMovie>,
    /// Ids beyond those that there are.
    next: i64,
}

impl Trial {
    fn apply(&mut self, movie: MovieId, deeds: &Deeds) -> Outcome {
        let state = self.states.entry(movie).or_default();
        let mut outcome = Outcome::Unchanged;
        for (action, at) in deeds.actions() {
            self.next += 1;
            let Some(id) = InteractionId::new(self.next) else {
                continue;
            };
            let context = EventContext {
                id,
                now: Utc::now(),
                occurred_at: Some(at),
            };
            if let Some(changed) = state.apply(self.user_id, movie, action, &context) {
                *state = changed.state;
                outcome = Outcome::Changed;
            }
        }
        outcome
    }
}

/// What became of the rows, `outcomes` being those of the rows whose film is known.
fn count(
    held: &Held,
    rows: &[(&ImportEntry, Result<MovieId, UnmatchedReason>)],
    outcomes: &[Outcome],
    fetched: i32,
) -> Done {
    let told = |count: i32| usize::try_from(count).unwrap_or(usize::MAX);
    let unmatched_room = UNMATCHED_TOLD.saturating_sub(told(held.unmatched));
    let failures_room = FAILURES_TOLD.saturating_sub(told(held.failed));
    let mut done = Done {
        fetched,
        ..Done::default()
    };
    let mut outcomes = outcomes.iter();
    for (entry, film) in rows {
        let file = || {
            let file = usize::try_from(entry.file).ok();
            let file = file.and_then(|place| held.files.get(place));
            file.map(|file| file.name.clone()).unwrap_or_default()
        };
        done.processed += 1;
        match film {
            Err(reason) => {
                done.unmatched += 1;
                if done.unmatched_titles.len() < unmatched_room {
                    done.unmatched_titles.push(UnmatchedTitle {
                        file: file(),
                        line: entry.line,
                        title: entry.title.clone(),
                        year: entry.year,
                        reason: *reason,
                    });
                }
            }
            Ok(_) => match outcomes.next() {
                Some(Outcome::Changed) => done.succeeded += 1,
                Some(Outcome::Unchanged) => done.unchanged += 1,
                Some(Outcome::Failed) | None => {
                    done.failed += 1;
                    if done.failures.len() < failures_room {
                        done.failures.push(ImportFailure {
                            file: Some(file()),
                            line: Some(entry.line),
                            reason: "it could not be stored; import the file again".to_owned(),
                        });
                    }
                }
            },
        }
        if held.dry_run {
            done.films.push(film.ok().map(MovieId::get));
        }
    }
    done
}
