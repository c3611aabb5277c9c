//! Whether what is kept beside the log is what the log says: the states replayed, the counters added
//! up, taste computed from both.

use std::{
    collections::BTreeMap,
    fmt,
    pin::{Pin, pin},
};

use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt, stream::Peekable};
use sqlx::PgPool;

use crate::{
    models::{
        EventContext, FilmTags, HalfLife, Interaction, MovieId, TasteScores, UserId, UserMovie,
        movie_weights,
    },
    repository::verification,
};

/// What was compared, and what differed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Users who did anything.
    pub users: u64,
    /// Entries of the log.
    pub interactions: u64,
    /// Films whose counters differ.
    pub counter_differences: u64,
    /// Users and films whose state differs.
    pub state_differences: u64,
    /// Users and tags whose score differs.
    pub taste_differences: u64,
}

impl Findings {
    /// Whether nothing differed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counter_differences == 0 && self.state_differences == 0 && self.taste_differences == 0
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "users {}, interactions {}, counter differences {}, state differences {}, taste differences {}",
            self.users,
            self.interactions,
            self.counter_differences,
            self.state_differences,
            self.taste_differences
        )
    }
}

/// Compares everything, as of one moment; a service may go on writing meanwhile.
///
/// # Errors
/// Postgres's.
pub async fn verify(pool: &PgPool, half_life: HalfLife) -> sqlx::Result<Findings> {
    let now = Utc::now();
    let mut moment = verification::open(pool).await?;
    let mut findings = Findings {
        counter_differences: moment.counter_differences().await?.unsigned_abs(),
        ..Findings::default()
    };
    let (log, states) = moment.read();
    let mut log = pin!(log.peekable());
    let mut states = pin!(states.peekable());
    loop {
        // The next user of either.
        let acted = user_of(log.as_mut(), |entry| entry.user_id).await?;
        let stands = user_of(states.as_mut(), |standing| standing.user_id).await?;
        let Some(user) = acted.into_iter().chain(stands).min() else {
            break;
        };
        findings.users += 1;
        let mut replayed: BTreeMap<MovieId, UserMovie> = BTreeMap::new();
        while let Some(entry) = next_of(log.as_mut(), |entry| entry.user_id == user).await? {
            findings.interactions += 1;
            let state = replayed.entry(entry.movie_id).or_default();
            replay(state, &entry);
        }
        let mut films = Vec::new();
        while let Some(standing) = next_of(states.as_mut(), |it| it.user_id == user).await? {
            let expected = replayed.remove(&standing.movie_id).unwrap_or_default();
            films.push((expected, standing.state, standing.tags));
        }
        findings.add_user(&films, replayed.len(), now, half_life);
    }
    Ok(findings)
}

impl Findings {
    fn add_user(
        &mut self,
        films: &[(UserMovie, UserMovie, FilmTags)],
        missing: usize,
        now: DateTime<Utc>,
        half_life: HalfLife,
    ) {
        let differing = films
            .iter()
            .filter(|(replayed, stored, _)| replayed != stored);
        self.state_differences += differing.count() as u64;
        let taste = |states: &mut dyn Iterator<Item = &UserMovie>| {
            let mut scores = TasteScores::default();
            for (at, weight) in movie_weights((0..).zip(states), now, half_life) {
                scores.add(&films[at].2, weight);
            }
            scores
        };
        let expected = taste(&mut films.iter().map(|(replayed, ..)| replayed));
        let stored = taste(&mut films.iter().map(|(_, stored, _)| stored));
        self.state_differences += missing as u64;
        self.taste_differences += expected.differences(&stored) as u64;
    }
}

/// Whose the next row is; none at the end.
async fn user_of<T>(
    mut rows: Pin<&mut Peekable<impl Stream<Item = sqlx::Result<T>>>>,
    user: impl Fn(&T) -> UserId,
) -> sqlx::Result<Option<UserId>> {
    match rows.as_mut().peek().await {
        None => Ok(None),
        Some(Ok(row)) => Ok(Some(user(row))),
        Some(Err(_)) => rows.next().await.transpose().map(|_| None),
    }
}

/// The next row, if it is wanted.
async fn next_of<T>(
    rows: Pin<&mut Peekable<impl Stream<Item = sqlx::Result<T>>>>,
    is_wanted: impl Fn(&T) -> bool,
) -> sqlx::Result<Option<T>> {
    let wanted = |next: &sqlx::Result<T>| next.as_ref().map_or(true, &is_wanted);
    rows.next_if(wanted).await.transpose()
}

/// What the entry made of the state. One that changes nothing is of the time before repetitions were
/// left out of the log.
fn replay(state: &mut UserMovie, entry: &Interaction) {
    let context = EventContext {
        id: entry.id,
        now: entry.created_at,
        occurred_at: Some(entry.occurred_at),
    };
    let changed = entry
        .action()
        .and_then(|action| state.apply(entry.user_id, entry.movie_id, action, &context));
    if let Some(changed) = changed {
        *state = changed.state;
    }
}
