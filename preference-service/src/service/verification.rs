//! Verification of derived data: states replayed from the interaction log, counters summed up from the
//! states, taste computed from both. Called by the command `verify`; never changes anything.

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
        Viewings, movie_weights,
    },
    repository::verification,
};

/// The result of a verification.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Findings {
    /// Users with interactions or states.
    pub users: u64,
    /// Entries of the log.
    pub interactions: u64,
    /// Movies whose counters differ.
    pub counter_differences: u64,
    /// Pairs of user and movie whose state differs.
    pub state_differences: u64,
    /// Pairs of user and tag whose score differs.
    pub taste_differences: u64,
}

impl Findings {
    /// True if there are no differences.
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

/// Compares all data as of one snapshot; a service may write meanwhile. `now` is the time at which taste
/// is computed.
#[tracing::instrument(name = "service.verification.verify", level = "debug", skip_all)]
pub async fn verify(
    pool: &PgPool,
    now: DateTime<Utc>,
    half_life: HalfLife,
) -> sqlx::Result<Findings> {
    let mut snapshot = verification::open(pool).await?;
    let mut findings = Findings {
        counter_differences: snapshot.counter_differences().await?.unsigned_abs(),
        ..Findings::default()
    };
    let (log, states) = snapshot.read();
    let mut log = pin!(log.peekable());
    let mut states = pin!(states.peekable());
    loop {
        // The next user in either stream.
        let of_log = next_user(log.as_mut(), |entry| entry.user_id).await?;
        let of_states = next_user(states.as_mut(), |(state, _)| state.user_id).await?;
        let Some(user) = of_log.into_iter().chain(of_states).min() else {
            break;
        };
        findings.users += 1;
        let mut replayed: BTreeMap<MovieId, (UserMovie, Viewings)> = BTreeMap::new();
        while let Some(entry) = next_if(log.as_mut(), |entry| entry.user_id == user).await? {
            findings.interactions += 1;
            let new = || (UserMovie::new(user, entry.movie_id), Viewings::default());
            replay(replayed.entry(entry.movie_id).or_insert_with(new), &entry);
        }
        let mut movies = Vec::new();
        while let Some((stored, tags)) =
            next_if(states.as_mut(), |(state, _)| state.user_id == user).await?
        {
            let expected = replayed.remove(&stored.movie_id);
            let expected = expected.map(|(state, _)| state);
            let expected = expected.unwrap_or_else(|| UserMovie::new(user, stored.movie_id));
            let stored = stored.normalized();
            movies.push((expected.like_stored(&stored), stored, tags));
        }
        findings.add_user(&movies, replayed.len(), now, half_life);
    }
    Ok(findings)
}

impl Findings {
    fn add_user(
        &mut self,
        movies: &[(UserMovie, UserMovie, FilmTags)],
        missing: usize,
        now: DateTime<Utc>,
        half_life: HalfLife,
    ) {
        let differing = movies
            .iter()
            .filter(|(replayed, stored, _)| replayed != stored);
        self.state_differences += differing.count() as u64;
        let taste = |states: &mut dyn Iterator<Item = &UserMovie>| {
            let mut scores = TasteScores::default();
            for (at, weight) in movie_weights((0..).zip(states), now, half_life) {
                scores.add(&movies[at].2, weight);
            }
            scores
        };
        let expected = taste(&mut movies.iter().map(|(replayed, ..)| replayed));
        let stored = taste(&mut movies.iter().map(|(_, stored, _)| stored));
        self.state_differences += missing as u64;
        self.taste_differences += expected.differences(&stored) as u64;
    }
}

/// Returns the user of the next row; `None` at the end.
async fn next_user<T>(
    mut rows: Pin<&mut Peekable<impl Stream<Item = sqlx::Result<T>>>>,
    user: impl Fn(&T) -> UserId,
) -> sqlx::Result<Option<UserId>> {
    match rows.as_mut().peek().await {
        None => Ok(None),
        Some(Ok(row)) => Ok(Some(user(row))),
        Some(Err(_)) => rows.next().await.transpose().map(|_| None),
    }
}

/// Takes the next row if it satisfies `is_wanted`.
async fn next_if<T>(
    rows: Pin<&mut Peekable<impl Stream<Item = sqlx::Result<T>>>>,
    is_wanted: impl Fn(&T) -> bool,
) -> sqlx::Result<Option<T>> {
    let wanted = |next: &sqlx::Result<T>| next.as_ref().map_or(true, &is_wanted);
    rows.next_if(wanted).await.transpose()
}

/// Applies the entry to the state. Old logs have entries that change nothing, since repetitions were
/// logged.
fn replay((state, viewings): &mut (UserMovie, Viewings), entry: &Interaction) {
    let context = EventContext::of(entry);
    let changed = entry
        .action()
        .and_then(|action| state.apply(viewings, action, &context));
    if let Some(changed) = changed {
        *state = changed.state;
    }
}
