//! The read models: the catalogue and the users in memory, kept by the feeds of the services that
//! own them, and in our own database for a quick start.
//!
//! Memory takes a change over first, so that the next list reflects it; the database follows. The
//! cursor in memory moves only when both have it, so that what the database missed comes again.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::Context as _;
use chassis::feed::{
    Change,
    follow::{Projection, ProjectionError, SnapshotReader},
};
use sqlx::PgPool;

use crate::{
    models::{Catalogue, Film, Interaction, Preferences, Users},
    repository::read_model::{self, Batch, Erasure, Removal},
};

/// A value that requests read and a feed writes; held for memory work alone, never across an await.
#[derive(Debug)]
pub struct Shared<T>(Arc<RwLock<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(value)))
    }

    /// For reading. A writer that panicked leaves a model that the next change goes on mending.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a read model is made of.
pub trait Model: Default + Send + Sync + 'static {
    /// The service whose feed keeps it, as the table of cursors names it.
    const SOURCE: &'static str;

    /// Takes over a batch of changes.
    fn take(&mut self, batch: &Batch);

    /// Everything that is known has been taken over for a first time.
    fn settle(&mut self) {}
}

impl Model for Catalogue {
    const SOURCE: &'static str = "movie-service";

    fn take(&mut self, batch: &Batch) {
        for film in &batch.films {
            self.upsert(film);
        }
        for removal in &batch.removals {
            self.remove(removal.id, removal.version);
        }
    }

    fn settle(&mut self) {
        self.settle_by(self.norms_anew());
    }
}

impl Model for Users {
    const SOURCE: &'static str = "preference-service";

    fn take(&mut self, batch: &Batch) {
        for preferences in &batch.preferences {
            self.prefer(preferences.clone());
        }
        for interaction in &batch.interactions {
            self.record(interaction);
        }
        // Ids are not given twice, so what is told of somebody who was erased was told before.
        for user_id in &batch.erasures {
            self.forget(*user_id);
        }
    }
}

/// Keeps a model by a feed.
pub struct Keeper<M> {
    pool: PgPool,
    model: Shared<M>,
    cursor: RwLock<Option<String>>,
}

impl<M: Model> Keeper<M> {
    /// Keeps `model`, beginning with what our own database has of it.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn load(pool: PgPool, model: Shared<M>) -> anyhow::Result<Self> {
        let mut loaded = M::default();
        let cursor = read_model::load(&pool, M::SOURCE, |batch| loaded.take(&batch)).await?;
        loaded.settle();
        *model.write() = loaded;
        Ok(Self {
            pool,
            model,
            cursor: RwLock::new(cursor),
        })
    }

    fn remember(&self, cursor: &str) {
        *self.cursor.write().unwrap_or_else(PoisonError::into_inner) = Some(cursor.to_owned());
    }
}

impl<M: Model> Projection for Keeper<M> {
    async fn cursor(&self) -> Result<Option<String>, ProjectionError> {
        Ok(self
            .cursor
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone())
    }

    async fn restore(&self, mut snapshot: SnapshotReader) -> Result<(), ProjectionError> {
        let mut fresh = M::default();
        let cursor = snapshot.cursor().to_owned();
        let mut replacement = read_model::replace(&self.pool, M::SOURCE, &cursor).await?;
        while let Some(changes) = snapshot.next_batch().await? {
            let batch = sort(&changes)?;
            fresh.take(&batch);
            replacement.write(&batch).await?;
        }
        replacement.commit().await?;
        fresh.settle();
        *self.model.write() = fresh;
        self.remember(&cursor);
        tracing::info!(source = M::SOURCE, "read model taken from a snapshot");
        Ok(())
    }

    async fn apply(&self, changes: Vec<Change>, cursor: &str) -> Result<(), ProjectionError> {
        let batch = sort(&changes)?;
        self.model.write().take(&batch);
        read_model::append(&self.pool, M::SOURCE, &batch, cursor).await?;
        self.remember(cursor);
        Ok(())
    }
}

/// Sorts changes by what they are about. A change of a name that we do not know is not for us.
fn sort(changes: &[Change]) -> anyhow::Result<Batch> {
    let mut batch = Batch::default();
    for change in changes {
        let unreadable = || format!("{} of {}", change.name, change.key);
        match change.name.as_str() {
            "movie.synced" => batch
                .films
                .push(change.read::<Film>().with_context(unreadable)?),
            "movie.removed" => batch
                .removals
                .push(change.read::<Removal>().with_context(unreadable)?),
            "user.profile.updated" => batch
                .preferences
                .push(change.read::<Preferences>().with_context(unreadable)?),
            "interaction.recorded" => batch
                .interactions
                .push(change.read::<Interaction>().with_context(unreadable)?),
            "user.erased" => batch
                .erasures
                .push(change.read::<Erasure>().with_context(unreadable)?.user_id),
            _ => {}
        }
    }
    Ok(batch)
}
