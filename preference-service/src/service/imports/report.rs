//! The report of an import, page by page, and the movies that users name for titles that were not found.

use uuid::Uuid;

use super::{
    Imports,
    work::{Outcome, store},
};
use crate::{
    error::Error,
    models::{ImportFailure, MovieId, UnmatchedTitle, UserId},
    repository::import_report::{self, Resolution},
    service::interactions::Page,
};

impl Imports {
    /// At most `limit` movies that an import did not find, after number `after`.
    ///
    /// # Errors
    /// [`Error::ImportNotFound`] if the user has no such import; `Database` if a statement fails.
    pub async fn list_unmatched(
        &self,
        user_id: UserId,
        id: Uuid,
        after: i32,
        limit: i64,
    ) -> Result<Page<UnmatchedTitle>, Error> {
        self.is_dry_run(user_id, id).await?;
        let items = import_report::list_unmatched(&self.pool, user_id, id, after, limit + 1);
        Ok(Page::new(items.await?, limit))
    }

    /// At most `limit` failures of an import, after number `after`.
    ///
    /// # Errors
    /// [`Error::ImportNotFound`] if the user has no such import; `Database` if a statement fails.
    pub async fn list_failures(
        &self,
        user_id: UserId,
        id: Uuid,
        after: i32,
        limit: i64,
    ) -> Result<Page<ImportFailure>, Error> {
        self.is_dry_run(user_id, id).await?;
        let items = import_report::list_failures(&self.pool, user_id, id, after, limit + 1);
        Ok(Page::new(items.await?, limit))
    }

    /// Stores the rows that wait for title `n` as rows about `movie_id`. Naming the same movie again has no effect.
    ///
    /// # Errors
    /// [`Error::ImportNotFound`] or [`Error::UnmatchedNotFound`] if the user has no such import or the import no such title;
    /// [`Error::CannotResolve`] if the import is a dry run or another movie was named; `MovieNotFound` if there is no such
    /// movie; `Catalogue` or `Unconfirmed` if movie-service cannot tell; `WriterBusy` or `Database` if the rows cannot be
    /// stored.
    #[tracing::instrument(name = "service.imports.resolve", level = "debug", skip_all, fields(user = %user_id, job = %id))]
    pub async fn resolve(
        &self,
        user_id: UserId,
        id: Uuid,
        n: i32,
        movie_id: MovieId,
    ) -> Result<UnmatchedTitle, Error> {
        if self.is_dry_run(user_id, id).await? {
            return Err(Error::CannotResolve("the import is a dry run"));
        }
        let title = self.get_unmatched(user_id, id, n).await?;
        match title.movie_id {
            Some(named) if named == movie_id => return Ok(title),
            Some(_) => return Err(Error::CannotResolve("another movie was named")),
            None => {}
        }
        let known = self.catalogue.confirm_many(&[movie_id]).await?;
        match known.get(&movie_id).copied().flatten() {
            Some(true) => {}
            Some(false) => return Err(Error::MovieNotFound),
            None => return Err(Error::Unconfirmed),
        }
        self.apply_waiting(user_id, id, n, movie_id).await?;
        self.get_unmatched(user_id, id, n).await
    }

    /// Stores the rows that wait for title `n` as rows about `movie_id`, and counts them as matched.
    ///
    /// # Errors
    /// As [`Imports::resolve`] for rows that cannot be stored.
    pub(super) async fn apply_waiting(
        &self,
        user_id: UserId,
        id: Uuid,
        n: i32,
        movie_id: MovieId,
    ) -> Result<(), Error> {
        let entries = import_report::list_waiting(&self.pool, user_id, id, n).await?;
        let rows: Vec<_> = entries.iter().map(|entry| (movie_id, entry)).collect();
        let outcomes = store(&self.writer, user_id, &rows).await?;
        let count = |wanted| {
            let outcomes = outcomes.iter().filter(|outcome| **outcome == wanted);
            i32::try_from(outcomes.count()).unwrap_or(i32::MAX)
        };
        let resolution = Resolution {
            movie_id,
            succeeded: count(Outcome::Changed),
            unchanged: count(Outcome::Unchanged),
            failed: count(Outcome::Failed),
        };
        import_report::resolve(&self.pool, user_id, id, n, &resolution).await?;
        Ok(())
    }

    async fn get_unmatched(
        &self,
        user_id: UserId,
        id: Uuid,
        n: i32,
    ) -> Result<UnmatchedTitle, Error> {
        let titles = import_report::list_unmatched(&self.pool, user_id, id, n.saturating_sub(1), 1);
        let title = titles.await?.pop().filter(|title| title.n == Some(n));
        title.ok_or(Error::UnmatchedNotFound)
    }

    async fn is_dry_run(&self, user_id: UserId, id: Uuid) -> Result<bool, Error> {
        let dry_run = import_report::find_dry_run(&self.pool, user_id, id).await?;
        dry_run.ok_or(Error::ImportNotFound)
    }
}
