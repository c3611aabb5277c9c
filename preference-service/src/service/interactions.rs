//! What users do with films: who may do what with which, and what was done.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use chassis::client::CallError;
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{
    catalogue::Catalogue,
    writer::{Command, WriteError, Writer, Written},
};
use crate::{
    models::{Interaction, InteractionId, InteractionType, MovieId, UserId, UserMovie},
    repository::{
        interactions,
        user_movies::{self, Listed, Pair},
        users,
    },
};

/// Why an interaction was not stored.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// There is no such film.
    #[error("movie not found")]
    MovieNotFound,
    /// Whether there is such a film cannot be told now.
    #[error(transparent)]
    Catalogue(#[from] CallError),
    /// The same, of a film that was asked about among many.
    #[error("whether there is such a film cannot be told now")]
    Undecided,
    /// Too much is waiting to be stored, or the process is stopping.
    #[error("too many writes are waiting")]
    Busy,
    /// Postgres failed.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for RecordError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<WriteError> for RecordError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::UserNotFound => Self::UserNotFound,
            WriteError::MovieUnknown => Self::MovieNotFound,
            WriteError::Busy | WriteError::Stopped => Self::Busy,
            WriteError::Database(error) => Self::Database(error),
        }
    }
}

/// Some interactions of a user, newest first.
#[derive(Debug)]
pub struct InteractionPage {
    /// The interactions.
    pub interactions: Vec<Interaction>,
    /// The last of them, where there are more after it.
    pub next: Option<InteractionId>,
}

/// Some films of a user, those with which something was done last first.
#[derive(Debug)]
pub struct FilmPage {
    /// The films, and where the user stands with them.
    pub films: Vec<(MovieId, UserMovie)>,
    /// Whether there are more after them.
    pub more: bool,
}

/// What the users of the platform do; cheap to clone.
#[derive(Clone)]
pub struct Interactions {
    pool: PgPool,
    catalogue: Catalogue,
    writer: Writer,
}

impl Interactions {
    /// Those in `pool`, with films of `catalogue`, stored by `writer`.
    #[must_use]
    pub fn new(pool: PgPool, catalogue: Catalogue, writer: Writer) -> Self {
        Self {
            pool,
            catalogue,
            writer,
        }
    }

    /// Stores what a user does with a film; one that stands so already changes nothing.
    ///
    /// # Errors
    /// There is no such user, or else no such film; or neither can be told.
    pub async fn record(&self, command: Command) -> Result<Written, RecordError> {
        match self.writer.write(command).await {
            // It may be newer than what the feed has told, or back again. What was never done needs
            // no film to be taken back.
            Err(WriteError::MovieUnknown) if !command.action.is_removal() => {
                if !self.catalogue.ask(command.movie_id).await? {
                    return Err(RecordError::MovieNotFound);
                }
                let known = Command {
                    film_known: true,
                    ..command
                };
                Ok(self.writer.write(known).await?)
            }
            written => Ok(written?),
        }
    }

    /// Stores what users do with films, a thousand things at most; what became of each, in their order.
    /// Films that the feed has not told of are asked for in one question.
    pub async fn record_all(&self, commands: Vec<Command>) -> Vec<Result<Written, RecordError>> {
        let mut results = self.writer.write_all(commands.clone()).await;
        let open: Vec<(usize, Command)> = results
            .iter()
            .zip(commands)
            .enumerate()
            .filter(|(_, (result, command))| {
                matches!(result, Err(WriteError::MovieUnknown)) && !command.action.is_removal()
            })
            .map(|(at, (_, command))| (at, command))
            .collect();
        if open.is_empty() {
            return results.into_iter().map(|done| Ok(done?)).collect();
        }
        let films: BTreeSet<MovieId> = open.iter().map(|(_, command)| command.movie_id).collect();
        let films: Vec<MovieId> = films.into_iter().collect();
        let known = self
            .catalogue
            .ask_many(&films)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, films = films.len(), "cannot ask whether there are films");
                HashMap::new()
            });
        let known = |command: &Command| known.get(&command.movie_id).copied().flatten();
        let again = open
            .iter()
            .filter(|(_, command)| known(command) == Some(true));
        let (places, again): (Vec<usize>, Vec<Command>) = again
            .map(|(at, command)| {
                let film_known = true;
                (
                    *at,
                    Command {
                        film_known,
                        ..*command
                    },
                )
            })
            .unzip();
        for (at, written) in places.into_iter().zip(self.writer.write_all(again).await) {
            results[at] = written;
        }
        let undecided: HashSet<usize> = open
            .iter()
            .filter(|(_, command)| known(command).is_none())
            .map(|(at, _)| *at)
            .collect();
        let results = results.into_iter().enumerate();
        results
            .map(|(at, result)| {
                if undecided.contains(&at) {
                    return Err(RecordError::Undecided);
                }
                Ok(result?)
            })
            .collect()
    }

    /// Where the user stands with the film; none: nowhere.
    ///
    /// # Errors
    /// There is no such user; or Postgres's.
    pub async fn find(
        &self,
        user_id: UserId,
        movie_id: MovieId,
    ) -> Result<Option<UserMovie>, RecordError> {
        let found = user_movies::find(&self.pool, Pair { user_id, movie_id }).await?;
        if found.is_none() && !users::exists(&self.pool, user_id).await? {
            return Err(RecordError::UserNotFound);
        }
        Ok(found)
    }

    /// At most `limit` films of a user, those after `after` where it is given. None: there is no such
    /// user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn films(
        &self,
        user_id: UserId,
        listed: Listed,
        after: Option<(DateTime<Utc>, MovieId)>,
        limit: i64,
    ) -> sqlx::Result<Option<FilmPage>> {
        let mut films = user_movies::list(&self.pool, user_id, listed, after, limit + 1).await?;
        if films.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Ok(None);
        }
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = films.len() > wanted;
        films.truncate(wanted);
        Ok(Some(FilmPage { films, more }))
    }

    /// At most `limit` interactions of a user, newest first: those before `before`, of one type,
    /// where these are given. None: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(
        &self,
        user_id: UserId,
        interaction_type: Option<InteractionType>,
        before: Option<InteractionId>,
        limit: i64,
    ) -> sqlx::Result<Option<InteractionPage>> {
        // One more than asked for tells whether there are more.
        let mut interactions =
            interactions::list(&self.pool, user_id, interaction_type, before, limit + 1).await?;
        // Whoever did something exists.
        if interactions.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Ok(None);
        }
        let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = interactions.len() > wanted;
        interactions.truncate(wanted);
        Ok(Some(InteractionPage {
            next: interactions.last().filter(|_| more).map(|last| last.id),
            interactions,
        }))
    }
}
