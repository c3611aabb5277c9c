//! The read models: the catalogue and the users in memory, written by the change feeds of the services that own
//! them, and stored in the service's own database for a quick start.
//!
//! A change is applied in memory first, so that the next list reflects it, and then stored. The cursor in memory
//! advances only after both, so that a change which could not be stored is applied and stored again.

use std::sync::Arc;

use anyhow::Context as _;
use chassis::feed::{
    Change,
    follow::{Projection, ProjectionError, SnapshotReader},
};
use recommender::content::ContentWeights;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use crate::read_model::{
    Catalogue, Film, Shared, Users,
    repository::{self, Batch, Erasure, Source},
};

/// The changes that are applied under one lock: readers of the next snapshot wait no longer than these take.
const MAX_CHANGES_PER_LOCK: usize = 50;

/// The largest catalogue whose content factors are computed after each batch of changes; that takes 3 ms.
const MAX_IMMEDIATE_REFRESH: usize = 10_000;

/// A model in memory that a feed writes.
pub trait ReadModel: Default + Send + Sync + 'static {
    /// The feed, and its tables.
    const SOURCE: Source;

    /// Applies a batch of changes; older changes than those applied before have no effect.
    fn apply(model: &Shared<Self>, batch: &Batch);

    /// Finishes the first load, after all changes were applied.
    fn finish(_model: &Shared<Self>) {}
}

impl ReadModel for Arc<Catalogue> {
    const SOURCE: Source = Source::Movies;

    fn apply(model: &Shared<Self>, batch: &Batch) {
        for films in batch.films.chunks(MAX_CHANGES_PER_LOCK) {
            let mut catalogue = model.write();
            let catalogue = Arc::make_mut(&mut catalogue);
            films.iter().for_each(|film| catalogue.upsert(film));
        }
        for removals in batch.removals.chunks(MAX_CHANGES_PER_LOCK) {
            let mut catalogue = model.write();
            let catalogue = Arc::make_mut(&mut catalogue);
            removals
                .iter()
                .for_each(|removal| catalogue.remove(removal.id, removal.version));
        }
        // The fewer movies, the more each of them changes the frequencies of tags.
        if model.snapshot().len() <= MAX_IMMEDIATE_REFRESH {
            refresh_factors(model, None);
        }
    }

    fn finish(model: &Shared<Self>) {
        refresh_factors(model, None);
    }
}

/// Computes the content factors of all movies again if movies changed since, or if `weights` are other ones than before.
/// Takes a quarter of a second for a million movies, during which the catalogue can change; then the next call does it.
pub fn refresh_factors(catalogue: &Shared<Arc<Catalogue>>, weights: Option<&ContentWeights>) {
    let snapshot = catalogue.snapshot();
    let weights = *weights.unwrap_or(snapshot.content_weights());
    if snapshot.has_stale_factors() || weights != *snapshot.content_weights() {
        let (factors, revision) = (snapshot.compute_factors(&weights), snapshot.revision());
        drop(snapshot);
        Arc::make_mut(&mut catalogue.write()).set_factors(factors, &weights, revision);
    }
}

impl ReadModel for Users {
    const SOURCE: Source = Source::Users;

    fn apply(model: &Shared<Self>, batch: &Batch) {
        let mut users = model.write();
        for preferences in &batch.preferences {
            users.prefer(preferences.clone());
        }
        for interaction in &batch.interactions {
            users.record(interaction);
        }
        // Ids are not reused, so all changes of an erased user are older than the erasure.
        for user_id in &batch.erasures {
            users.forget(*user_id);
        }
    }
}

/// Loads a model from the service's own database, movies with titles in `languages`, and the cursor of its feed.
pub async fn load<M: ReadModel>(
    pool: &PgPool,
    languages: &[String],
) -> sqlx::Result<(M, Option<String>)> {
    let model = Shared::new(M::default());
    let apply = |batch| M::apply(&model, &batch);
    let cursor = repository::load(pool, M::SOURCE, languages, apply).await?;
    M::finish(&model);
    Ok((std::mem::take(&mut *model.write()), cursor))
}

/// The projection of a feed onto a model in memory and its tables.
pub struct FeedProjection<M> {
    pool: PgPool,
    model: Shared<M>,
    /// The languages that movies are kept in beside their own, ISO 639-1.
    languages: Vec<String>,
    cursor: Shared<Option<String>>,
}

impl<M: ReadModel> FeedProjection<M> {
    /// Loads `model` from the service's own database, movies with titles in `languages`.
    pub async fn load(
        pool: PgPool,
        model: Shared<M>,
        languages: Vec<String>,
    ) -> sqlx::Result<Self> {
        let (loaded, cursor) = load(&pool, &languages).await?;
        let projection = Self {
            pool,
            model,
            languages,
            cursor: Shared::new(cursor),
        };
        projection.replace(loaded);
        Ok(projection)
    }

    fn replace(&self, by: M) {
        let before = std::mem::replace(&mut *self.model.write(), by);
        // Outside of the lock: freeing a million movies takes a while.
        drop(before);
    }

    fn set_cursor(&self, cursor: &str) {
        *self.cursor.write() = Some(cursor.to_owned());
    }
}

impl<M: ReadModel> Projection for FeedProjection<M> {
    async fn cursor(&self) -> Result<Option<String>, ProjectionError> {
        Ok(self.cursor.snapshot())
    }

    async fn restore(&self, mut snapshot: SnapshotReader) -> Result<(), ProjectionError> {
        let fresh = Shared::new(M::default());
        let cursor = snapshot.cursor().to_owned();
        let (pool, languages) = (&self.pool, self.languages.as_slice());
        let mut replacement =
            repository::begin_replacement(pool, M::SOURCE, languages, &cursor).await?;
        while let Some(changes) = snapshot.next_batch().await? {
            let batch = parse(&changes, languages)?;
            M::apply(&fresh, &batch);
            if let Some(transaction) = &mut replacement {
                repository::write(transaction, &batch).await?;
            }
        }
        if let Some(transaction) = replacement {
            repository::commit_replacement(transaction, M::SOURCE).await?;
        }
        M::finish(&fresh);
        self.replace(std::mem::take(&mut *fresh.write()));
        self.set_cursor(&cursor);
        tracing::info!(
            source = M::SOURCE.name(),
            "read model restored from a snapshot"
        );
        Ok(())
    }

    async fn apply(&self, changes: Vec<Change>, cursor: &str) -> Result<(), ProjectionError> {
        let batch = parse(&changes, &self.languages)?;
        M::apply(&self.model, &batch);
        repository::append(&self.pool, M::SOURCE, &batch, cursor).await?;
        self.set_cursor(cursor);
        Ok(())
    }
}

/// Parses changes into a batch, movies with titles in `languages`; changes of an unknown name are skipped.
fn parse(changes: &[Change], languages: &[String]) -> anyhow::Result<Batch> {
    fn read<T: DeserializeOwned>(change: &Change) -> anyhow::Result<T> {
        let context = || format!("{} of {}", change.name, change.key);
        change.read().with_context(context)
    }
    let mut batch = Batch::default();
    for change in changes {
        match change.name.as_str() {
            "movie.synced" => {
                let mut film: Film = read(change)?;
                film.keep_languages(languages);
                batch.films.push(film);
            }
            "movie.removed" => batch.removals.push(read(change)?),
            "user.profile.updated" => batch.preferences.push(read(change)?),
            "interaction.recorded" => batch.interactions.push(read(change)?),
            "user.erased" => batch.erasures.push(read::<Erasure>(change)?.user_id),
            _ => {}
        }
    }
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use filter::Filter;

    use super::*;
    use crate::read_model::{Tag, repository::Removal};

    fn film(id: i64, version: i64) -> Film {
        Film {
            id,
            version,
            title: format!("Movie {id} of version {version}"),
            popularity: version as f64,
            genres: vec![Tag {
                id: version,
                name: format!("Genre {version}"),
                ..Tag::default()
            }],
            ..Film::default()
        }
    }

    /// All observable properties of a catalogue, for comparison.
    fn contents(catalogue: &Catalogue) -> Vec<(i64, String, f64, String, usize)> {
        let filter = Filter::default();
        let rows = catalogue.select(&filter);
        rows.rows()
            .map(|row| {
                let row = row as usize;
                let id = catalogue.id(row);
                assert_eq!(catalogue.row(id), Some(row));
                (
                    id,
                    catalogue.title(row).to_owned(),
                    catalogue.popularity()[row],
                    catalogue.localized("").genres_at(row).join(","),
                    catalogue
                        .films()
                        .facet_ids(row.try_into().expect("few"))
                        .len(),
                )
            })
            .collect()
    }

    #[test]
    fn the_writer_does_not_wait_for_a_snapshot_which_stays_as_it_was() {
        let catalogue = Shared::new(Arc::<Catalogue>::default());
        let first = Batch {
            films: (1..=10_000).map(|id| film(id, 1)).collect(),
            ..Batch::default()
        };
        ReadModel::apply(&catalogue, &first);
        let snapshot = catalogue.snapshot();
        let before = contents(&snapshot);

        let (sender, done) = mpsc::channel();
        let writer = catalogue.clone();
        std::thread::spawn(move || {
            let second = Batch {
                films: (5000..=15_000).map(|id| film(id, 2)).collect(),
                removals: (1..=100).map(|id| Removal { id, version: 2 }).collect(),
                ..Batch::default()
            };
            ReadModel::apply(&writer, &second);
            let _ = sender.send(());
        });
        done.recv_timeout(Duration::from_secs(60))
            .expect("the snapshot is still held");

        assert_eq!(contents(&snapshot), before);
        let after = catalogue.snapshot();
        assert_eq!(after.len(), 14_900);
        assert_eq!(after.row(7), None);
        let changed = after.row(5000).expect("stored");
        assert_eq!(after.title(changed), "Movie 5000 of version 2");
    }
}
