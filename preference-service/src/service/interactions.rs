//! Users' interactions with movies: recording them, and reading states and the log. Called by the handlers. Unknown
//! users and movies are errors here; the writer decides what a command changes.

use std::collections::{BTreeSet, HashMap};

use chassis::language::Language;
use chrono::{DateTime, Utc};
use futures_util::future::try_join;
use sqlx::PgPool;

use super::{
    catalogue::{Catalogue, Descriptions},
    writer::{Command, WriteError, Writer, Written},
};
use crate::{
    error::Error,
    models::{Interaction, InteractionId, InteractionType, MovieId, StatePart, UserId, UserMovie},
    repository::{
        interactions,
        user_movies::{self, Pair},
        users,
    },
};

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::UserNotFound => Self::UserNotFound,
            WriteError::MovieUnknown => Self::MovieNotFound,
            WriteError::Busy | WriteError::Stopped => Self::WriterBusy,
            WriteError::Database(error) => Self::Database(error),
        }
    }
}

/// A page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// True if there are more items after them.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// The page of `limit` items out of `items`, which were read with one item more than that.
    pub(super) fn new(mut items: Vec<T>, limit: i64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// Users' interactions; cheap to clone.
#[derive(Clone)]
pub struct Interactions {
    pool: PgPool,
    catalogue: Catalogue,
    writer: Writer,
}

impl Interactions {
    /// The interactions in `pool`, with the movies of `catalogue`, stored by `writer`.
    pub fn new(pool: PgPool, catalogue: Catalogue, writer: Writer) -> Self {
        Self {
            pool,
            catalogue,
            writer,
        }
    }

    /// Stores a user's action on a movie. An action that changes nothing returns the earlier interaction.
    ///
    /// # Errors
    /// `UserNotFound` or `MovieNotFound` if there is no such user or movie, `Catalogue` if movie-service cannot confirm
    /// the movie, `WriterBusy` if too many writes are pending, `Database` if Postgres fails.
    pub async fn record(&self, command: Command) -> Result<Written, Error> {
        match self.writer.write(command).await {
            // The movie may be newer than the feed's position, or restored. Clearing needs no movie.
            Err(WriteError::MovieUnknown) if !command.action.is_removal() => {
                if !self.catalogue.confirm(command.movie_id).await? {
                    return Err(Error::MovieNotFound);
                }
                let confirmed = Command {
                    is_movie_known: true,
                    ..command
                };
                Ok(self.writer.write(confirmed).await?)
            }
            written => Ok(written?),
        }
    }

    /// Stores at most a thousand actions and returns the result of each, in their order. Movies that the read model
    /// does not contain are confirmed in one request.
    #[tracing::instrument(name = "service.interactions.record_all", skip_all, fields(commands = commands.len()))]
    pub async fn record_all(&self, commands: Vec<Command>) -> Vec<Result<Written, Error>> {
        let mut results: Vec<Result<Written, Error>> = self
            .writer
            .write_all(commands.clone())
            .await
            .into_iter()
            .map(|written| Ok(written?))
            .collect();
        let unconfirmed: Vec<(usize, Command)> = commands
            .into_iter()
            .enumerate()
            .filter(|(at, command)| {
                matches!(results[*at], Err(Error::MovieNotFound)) && !command.action.is_removal()
            })
            .collect();
        if unconfirmed.is_empty() {
            return results;
        }
        let movies: BTreeSet<MovieId> = unconfirmed
            .iter()
            .map(|(_, command)| command.movie_id)
            .collect();
        let movies: Vec<MovieId> = movies.into_iter().collect();
        let known = self
            .catalogue
            .confirm_many(&movies)
            .await
            .unwrap_or_else(|error| {
                tracing::warn!(%error, movies = movies.len(), "movies cannot be confirmed");
                HashMap::new()
            });
        let (mut positions, mut again) = (Vec::new(), Vec::new());
        for (at, command) in unconfirmed {
            match known.get(&command.movie_id).copied().flatten() {
                Some(true) => {
                    positions.push(at);
                    again.push(Command {
                        is_movie_known: true,
                        ..command
                    });
                }
                Some(false) => {}
                None => results[at] = Err(Error::Unconfirmed),
            }
        }
        for (at, written) in positions
            .into_iter()
            .zip(self.writer.write_all(again).await)
        {
            results[at] = written.map_err(Error::from);
        }
        results
    }

    /// Finds the user's state for a movie; `None` if the user has never acted on it.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.interactions.find", level = "debug", skip_all)]
    pub async fn find(
        &self,
        user_id: UserId,
        movie_id: MovieId,
    ) -> Result<Option<UserMovie>, Error> {
        let found = user_movies::find(&self.pool, Pair { user_id, movie_id }).await?;
        if found.is_none() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        Ok(found)
    }

    /// Lists at most `limit` movies for which the user has set `part`, the last change first; those after `after` if
    /// given. They are described in `language`, or that which the user prefers.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.interactions.list_movies", level = "debug", skip_all)]
    pub async fn list_movies(
        &self,
        user_id: UserId,
        part: StatePart,
        after: Option<(DateTime<Utc>, MovieId)>,
        limit: i64,
        language: Option<Language>,
    ) -> Result<(Page<UserMovie>, Descriptions), Error> {
        let preferred = async {
            match language {
                Some(language) => Ok(Some(language)),
                None => users::find_preferred_language(&self.pool, user_id).await,
            }
        };
        let movies = user_movies::list(&self.pool, user_id, part, after, limit + 1);
        let (language, movies) = try_join(preferred, movies).await?;
        let page = self.page(user_id, movies, limit).await?;
        let ids: Vec<MovieId> = page.items.iter().map(|state| state.movie_id).collect();
        let descriptions = self.catalogue.describe(&ids, language).await;
        Ok((page, descriptions))
    }

    /// Lists at most `limit` interactions of a user, newest first; of one type, and before `before`, if given.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.interactions.list", level = "debug", skip_all)]
    pub async fn list(
        &self,
        user_id: UserId,
        interaction_type: Option<InteractionType>,
        before: Option<InteractionId>,
        limit: i64,
    ) -> Result<Page<Interaction>, Error> {
        let interactions =
            interactions::list(&self.pool, user_id, interaction_type, before, limit + 1).await?;
        self.page(user_id, interactions, limit).await
    }

    /// A user with items exists; one without may not.
    async fn page<T>(&self, user_id: UserId, items: Vec<T>, limit: i64) -> Result<Page<T>, Error> {
        if items.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        Ok(Page::new(items, limit))
    }
}
