//! Audiences: the users of a published set of ratings, loaded so that charts, experiments and models can be tried out.
//! Called by the commands alone. They are marked, cannot log in, and are erased like any user who leaves.

use std::io::BufRead;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;

use super::writer::{Command, WriteError, Writer};
use crate::{
    error::Error,
    models::{AccountRules, Action, MovieId, NewUser, Rating, Reaction, UserId},
    repository::{
        audience::{self, Member},
        erasure,
    },
};

/// Nobody logs in as a user of an audience.
const AUDIENCE_RULES: AccountRules = AccountRules {
    needs_password: false,
    allows_reserved_names: true,
};
/// The rating from which on a movie is also liked.
const LIKED_STARS: f64 = 4.0;
/// The longest line, and the largest number of ratings in it.
const MAX_LINE_BYTES: u64 = 4 << 20;
const MAX_RATINGS: usize = 20_000;
/// Users that are listed in one step of a removal.
const PAGE: i64 = 200;
/// The number of users after which progress is reported.
const REPORTED: usize = 50;

/// A line of an audience: a user of the set with their ratings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    source: String,
    member: String,
    ratings: Vec<Rated>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rated {
    movie_id: i64,
    rating: f64,
    at: DateTime<Utc>,
}

/// The result of loading.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Users in the input.
    pub users: usize,
    /// Users that were created; the others existed.
    pub created: usize,
    /// Ratings that were stored, without those that were there.
    pub ratings: usize,
    /// Ratings of movies that are not in the catalogue.
    pub unknown: usize,
}

/// An input that cannot be used, or a failure of Postgres.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// A line is damaged.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// The problem.
        problem: String,
    },
    /// The input cannot be read.
    #[error("the input cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// An action could not be stored.
    #[error("a rating could not be stored: {0}")]
    Write(#[from] WriteError),
}

/// Loads the users in `input`, one JSON object per line, by `writer`. Loading the same again changes nothing.
///
/// # Errors
/// [`AudienceError`] at the first line that is damaged or cannot be stored; what is loaded before stays.
pub async fn load(
    pool: &PgPool,
    writer: &Writer,
    mut input: impl BufRead,
    report: fn(&str),
) -> Result<Loaded, AudienceError> {
    let mut loaded = Loaded::default();
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        let mut limited = std::io::Read::take(&mut input, MAX_LINE_BYTES);
        if limited.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let damaged = |problem: String| AudienceError::Line {
            line: number,
            problem,
        };
        let line: Line =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if line.ratings.len() > MAX_RATINGS {
            return Err(damaged(format!(
                "there are more than {MAX_RATINGS} ratings"
            )));
        }
        let (user, is_new) = find_or_create(pool, &line).await?.ok_or_else(|| {
            damaged("`source` and `member` must be short names of letters, digits and -".to_owned())
        })?;
        loaded.users += 1;
        loaded.created += usize::from(is_new);
        let mut commands = Vec::with_capacity(line.ratings.len() * 3);
        for rated in &line.ratings {
            let rating = Rating::from_stars(rated.rating);
            let movie = MovieId::new(rated.movie_id);
            let (Some(rating), Some(movie)) = (rating, movie) else {
                return Err(damaged(format!(
                    "rating {} of movie {} is not valid",
                    rated.rating, rated.movie_id
                )));
            };
            let like = (rated.rating >= LIKED_STARS).then_some(Action::React(Some(Reaction::Like)));
            let actions = [
                Some(Action::Complete),
                Some(Action::Rate(Some(rating))),
                like,
            ];
            commands.extend(actions.into_iter().flatten().map(|action| Command {
                user_id: user,
                movie_id: movie,
                action,
                occurred_at: Some(rated.at),
                is_movie_known: false,
            }));
        }
        let is_rating: Vec<bool> = commands
            .iter()
            .map(|command| matches!(command.action, Action::Rate(_)))
            .collect();
        for (result, is_rating) in writer.write_all(commands).await.into_iter().zip(is_rating) {
            match result {
                Ok(written) => loaded.ratings += usize::from(is_rating && written.changed),
                Err(WriteError::MovieUnknown) => loaded.unknown += usize::from(is_rating),
                Err(error) => return Err(error.into()),
            }
        }
        if loaded.users.is_multiple_of(REPORTED) {
            report(&format!(
                "{} users loaded, {} ratings",
                loaded.users, loaded.ratings
            ));
        }
    }
    Ok(loaded)
}

/// The user of a line, and true if they are new; `None` if their names are not valid.
async fn find_or_create(
    pool: &PgPool,
    line: &Line,
) -> Result<Option<(UserId, bool)>, AudienceError> {
    let is_name = |text: &str| {
        let is_allowed = |one: char| one.is_ascii_alphanumeric() || one == '-';
        (1..=40).contains(&text.len()) && text.chars().all(is_allowed)
    };
    if !is_name(&line.source) || !is_name(&line.member) {
        return Ok(None);
    }
    let member = Member {
        source: &line.source,
        member: &line.member,
    };
    if let Some(user) = audience::find(pool, member).await? {
        return Ok(Some((user, false)));
    }
    // Somebody may have signed up by the first name.
    for suffix in [String::new(), format!("-{}", uuid::Uuid::now_v7().simple())] {
        let name = format!("{}-{}{suffix}", line.source, line.member);
        let email = format!("{name}@audience.invalid");
        let Ok::<_, Error>(new) =
            NewUser::parse(Some(&name), Some(&email), None, None, AUDIENCE_RULES)
        else {
            return Ok(None);
        };
        if let Some(user) = audience::create(pool, member, &new.username, &new.email).await? {
            return Ok(Some((user, true)));
        }
    }
    // Loaded at the same time by another process.
    Ok(audience::find(pool, member)
        .await?
        .map(|user| (user, false)))
}

/// Erases the users of the audience `source`, with all that they did, and returns their number. Nobody else is touched.
/// Interrupted and run again, it erases the rest.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
pub async fn remove(pool: &PgPool, source: &str, report: fn(&str)) -> sqlx::Result<usize> {
    let all = audience::count(pool, source).await?;
    let (mut removed, mut after) = (0, 0);
    loop {
        let users = audience::list(pool, source, after, PAGE).await?;
        let Some(last) = users.last() else {
            return Ok(removed);
        };
        after = last.get();
        for user in users {
            removed += usize::from(erasure::erase(pool, user).await?);
            if removed.is_multiple_of(REPORTED) {
                report(&format!("{removed} of {all} users removed"));
            }
        }
    }
}
