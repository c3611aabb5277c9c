//! A user's viewings: the times that they saw movies. Called by the handlers. The writer merges reports and derives the
//! watch state from them.

use chassis::language::Language;
use futures_util::future::try_join;
use sqlx::PgPool;

use super::{
    catalogue::{Catalogue, Descriptions},
    interactions::{Interactions, Page},
    writer::Command,
};
use crate::{
    error::Error,
    models::{Action, ListedViewing, MovieId, NewViewing, UserId, ViewingId},
    repository::{users, viewings},
};

/// Users' viewings; cheap to clone.
#[derive(Clone)]
pub struct UserViewings {
    pool: PgPool,
    catalogue: Catalogue,
    interactions: Interactions,
}

impl UserViewings {
    /// The viewings in `pool`, with the movies of `catalogue`, recorded by `interactions`.
    pub fn new(pool: PgPool, catalogue: Catalogue, interactions: Interactions) -> Self {
        Self {
            pool,
            catalogue,
            interactions,
        }
    }

    /// Stores a viewing, and true if that changed anything. Its rating is that of the movie too, unless the movie was
    /// rated after the viewing.
    ///
    /// # Errors
    /// Those of [`Interactions::record`].
    #[tracing::instrument(name = "service.viewings.record", level = "debug", skip_all)]
    pub async fn record(
        &self,
        user_id: UserId,
        movie_id: MovieId,
        report: NewViewing,
    ) -> Result<(ListedViewing, bool), Error> {
        let command = Command::now(user_id, movie_id, Action::View(report));
        let written = self.interactions.record(command).await?;
        let mut changed = written.changed;
        if report.rating.is_some() {
            let rating = Command {
                action: Action::Rate(report.rating),
                occurred_at: Some(report.time.or_midnight()),
                ..command
            };
            changed |= self.interactions.record(rating).await?.changed;
        }
        let viewing = written.viewing.ok_or(Error::ViewingNotFound)?;
        let viewing = ListedViewing {
            user_id,
            movie_id,
            time: viewing.time,
            rating: viewing.rating,
            source: viewing.source,
        };
        Ok((viewing, changed))
    }

    /// Removes a viewing. Idempotent.
    ///
    /// # Errors
    /// `UserNotFound` or `ViewingNotFound` if there is no such user or was never such a viewing, `WriterBusy` if too many
    /// writes are pending, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.viewings.delete", level = "debug", skip_all)]
    pub async fn delete(&self, user_id: UserId, id: ViewingId) -> Result<(), Error> {
        let command = Command::now(user_id, id.movie_id, Action::RemoveViewing(id.time));
        match self.interactions.record(command).await {
            Ok(written) if written.viewing.is_some() => Ok(()),
            Ok(_) | Err(Error::MovieNotFound) => Err(Error::ViewingNotFound),
            Err(error) => Err(error),
        }
    }

    /// Lists at most `limit` viewings, the last day first and unknown days last; of one movie, and after `after`, if given.
    /// Their movies are described in `language`, or that which the user prefers.
    ///
    /// # Errors
    /// `UserNotFound` if the user does not exist, `Database` if Postgres fails.
    #[tracing::instrument(name = "service.viewings.list", level = "debug", skip_all)]
    pub async fn list(
        &self,
        user_id: UserId,
        movie_id: Option<MovieId>,
        after: Option<ViewingId>,
        limit: i64,
        language: Option<Language>,
    ) -> Result<(Page<ListedViewing>, Descriptions), Error> {
        let preferred = async {
            match language {
                Some(language) => Ok(Some(language)),
                None => users::find_preferred_language(&self.pool, user_id).await,
            }
        };
        let viewings = viewings::list(&self.pool, user_id, movie_id, after, limit + 1);
        let (language, viewings) = try_join(preferred, viewings).await?;
        if viewings.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        let page = Page::new(viewings, limit);
        let mut ids: Vec<MovieId> = page.items.iter().map(|viewing| viewing.movie_id).collect();
        ids.sort_unstable();
        ids.dedup();
        let descriptions = self.catalogue.describe(&ids, language).await;
        Ok((page, descriptions))
    }
}
