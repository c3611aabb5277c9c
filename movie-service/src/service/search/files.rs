//! Generations of the search index in its directory: each build makes one of its own, and the file `CURRENT` names the
//! one to use. It is replaced atomically, so that a build that is interrupted changes nothing.

use std::{
    io,
    path::{Path, PathBuf},
};

use search::{IndexError, SearchIndex};
use uuid::Uuid;

const CURRENT: &str = "CURRENT";
const PREFIX: &str = "generation-";

/// The name of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Generation(String);

/// The directory of an index.
#[derive(Debug, Clone)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn path(&self, generation: &Generation) -> PathBuf {
        self.0.join(&generation.0)
    }

    fn published(&self) -> io::Result<Option<Generation>> {
        match std::fs::read_to_string(self.0.join(CURRENT)) {
            Ok(name) if name.starts_with(PREFIX) && !name.contains(['/', '\\']) => {
                Ok(Some(Generation(name)))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens the published generation, if there is one.
    ///
    /// # Errors
    /// `Directory` if it cannot be read, or an error of the index.
    pub(super) fn open(&self) -> Result<Option<(Option<Generation>, SearchIndex)>, IndexError> {
        let published = self
            .published()
            .map_err(|error| IndexError::Directory(error.to_string()))?;
        let Some(generation) = published.filter(|generation| self.path(generation).is_dir()) else {
            return Ok(None);
        };
        let index = SearchIndex::open(&self.path(&generation))?;
        Ok(Some((Some(generation), index)))
    }

    /// Creates an empty generation that is not published yet.
    ///
    /// # Errors
    /// `Directory` if it cannot be written.
    pub(super) fn create(&self) -> Result<(Generation, SearchIndex), IndexError> {
        let generation = Generation(format!("{PREFIX}{}", Uuid::now_v7().simple()));
        let index = SearchIndex::open(&self.path(&generation))?;
        Ok((generation, index))
    }

    /// Makes `generation` the one to use, and deletes all others. A reader that has one open keeps its files.
    ///
    /// # Errors
    /// Returns the error of the file system.
    pub(super) fn publish(&self, generation: &Generation) -> io::Result<()> {
        let draft = self
            .0
            .join(format!("{CURRENT}.{}", Uuid::now_v7().simple()));
        std::fs::write(&draft, &generation.0)?;
        std::fs::rename(&draft, self.0.join(CURRENT))?;
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            if is_other(&path, generation)
                && let Err(error) = std::fs::remove_dir_all(&path)
            {
                tracing::debug!(%error, path = %path.display(), "cannot delete an old search index");
            }
        }
        Ok(())
    }

    /// True if another generation is published.
    pub(super) fn has_other_than(&self, generation: &Generation) -> bool {
        matches!(self.published(), Ok(Some(published)) if published != *generation)
    }
}

fn is_other(path: &Path, generation: &Generation) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(PREFIX) && name != generation.0)
}
