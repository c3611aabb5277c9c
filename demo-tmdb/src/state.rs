//! The state of all requests: the movies, the active faults, and the counts. It decides nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use axum::extract::State;
use chrono::NaiveDate;

use crate::catalogue::{Catalogue, CatalogueError};
use crate::faults::FaultSet;
use crate::settings::Settings;
use crate::stats::Stats;

/// The state as handlers extract it.
pub(crate) type SharedState = State<Arc<AppState>>;

/// Shared by every connection. No lock is ever held across an await.
#[derive(Debug)]
pub(crate) struct AppState {
    catalogue: RwLock<Catalogue>,
    faults: Mutex<FaultSet>,
    stats: Mutex<Stats>,
    /// True if synthetic watch providers are served.
    pub(crate) providers: bool,
    /// The day that now_playing and upcoming are counted from.
    pub(crate) today: NaiveDate,
}

impl AppState {
    /// Reads the embedded catalogue and switches the faults of the settings on.
    ///
    /// # Errors
    /// `CatalogueError` if the embedded catalogue is invalid.
    pub(crate) fn build(settings: &Settings) -> Result<Self, CatalogueError> {
        let mut faults = FaultSet::new(settings.demo_seed);
        faults.add(settings.demo_faults.clone());
        Ok(Self {
            catalogue: RwLock::new(Catalogue::load(
                settings.demo_extra_films.get(),
                settings.demo_posters,
            )?),
            faults: Mutex::new(faults),
            stats: Mutex::new(Stats::default()),
            providers: settings.demo_providers,
            today: settings.demo_today,
        })
    }

    // A poisoned lock means that an earlier request panicked while it held it. Everything behind these locks is
    // replaced in single steps, so the state is consistent and can still be served.

    pub(crate) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultSet> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
