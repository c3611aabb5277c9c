//! Interactions: who may do what with which film, and what was done.

use chassis::{client::CallError, feed::outbox::Outbox};
use sqlx::PgPool;

use super::catalogue::Catalogue;
use crate::{
    models::{Interaction, InteractionId, InteractionType, NewInteraction, UserId},
    repository::{interactions, users},
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
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Some interactions of a user, newest first.
#[derive(Debug)]
pub struct InteractionPage {
    /// The interactions.
    pub interactions: Vec<Interaction>,
    /// The last of them, where there are more after it.
    pub next: Option<InteractionId>,
}

/// What the users of the platform do; cheap to clone.
#[derive(Clone)]
pub struct Interactions {
    pool: PgPool,
    catalogue: Catalogue,
    outbox: Outbox,
}

impl Interactions {
    /// Those in `pool`, with films of `catalogue`, told through `outbox`.
    #[must_use]
    pub fn new(pool: PgPool, catalogue: Catalogue, outbox: Outbox) -> Self {
        Self {
            pool,
            catalogue,
            outbox,
        }
    }

    /// Stores an interaction.
    ///
    /// # Errors
    /// There is no such user, or else no such film; or neither can be told.
    pub async fn record(&self, interaction: NewInteraction) -> Result<Interaction, RecordError> {
        if !users::exists(&self.pool, interaction.user_id).await? {
            return Err(RecordError::UserNotFound);
        }
        if !self.catalogue.has_movie(interaction.movie_id).await? {
            return Err(RecordError::MovieNotFound);
        }
        let interaction = interactions::record(&self.pool, interaction)
            .await?
            .ok_or(RecordError::UserNotFound)?;
        self.outbox.wake();
        Ok(interaction)
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
