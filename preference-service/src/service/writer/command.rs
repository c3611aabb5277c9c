//! The commands of the writer and their results.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::{
    models::{Action, Interaction, MovieId, UserId, UserMovie, Viewing},
    repository::user_movies::Pair,
};

/// A user's action on a movie that is to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The user.
    pub user_id: UserId,
    /// The movie.
    pub movie_id: MovieId,
    /// The action.
    pub action: Action,
    /// The time of the action, `None` for a live one.
    pub occurred_at: Option<DateTime<Utc>>,
    /// True if movie-service has confirmed the movie, which the feed may not contain yet.
    pub is_movie_known: bool,
}

impl Command {
    /// A live action on a movie that has not been confirmed.
    pub fn now(user_id: UserId, movie_id: MovieId, action: Action) -> Self {
        Self {
            user_id,
            movie_id,
            action,
            occurred_at: None,
            is_movie_known: false,
        }
    }

    pub(super) fn pair(&self) -> Pair {
        Pair {
            user_id: self.user_id,
            movie_id: self.movie_id,
        }
    }
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// False if the state was already so, or a newer action is known.
    pub changed: bool,
    /// The user's state for the movie.
    pub state: UserMovie,
    /// The interaction that led to the state: this one or an earlier one. `None` if there was never a value to clear.
    pub interaction: Option<Interaction>,
    /// The viewing that the action is about, also a removed one.
    pub viewing: Option<Viewing>,
}

/// The reason why a command was not stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// The user does not exist.
    #[error("user not found")]
    UserNotFound,
    /// The feed does not contain the movie, and movie-service has not confirmed it.
    #[error("movie unknown")]
    MovieUnknown,
    /// Too many commands are pending.
    #[error("too many writes are waiting")]
    Busy,
    /// The process is stopping.
    #[error("the writer has stopped")]
    Stopped,
    /// Postgres failed. The command may have been stored; repeating it is safe.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

/// The response to a command.
pub(super) type Reply = Result<Written, WriteError>;

/// The response to each command of a batch; `None` if its user is locked by another transaction or does not exist.
pub(super) type Replies = Vec<Option<Reply>>;
