//! Images on disk: one file each, in a directory for each size, of a bounded total. A file appears by a rename, so that no
//! reader sees a part of one. The images that were not read for longest are deleted first.
//!
//! The directory belongs to one process. A file system that fails costs speed, never a response.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use chassis::clock::Clock;
use uuid::Uuid;

use super::IMAGE_CACHE_BYTES;
use crate::models::ImageKey;

/// The ending of files that are being written.
const PART: &str = "part";

#[derive(Clone)]
pub(super) struct ImageDisk(Arc<Inner>);

struct Inner {
    clock: Clock,
    directory: PathBuf,
    max_bytes: u64,
    index: Mutex<Index>,
}

/// The files with their sizes and the order of their last reads.
#[derive(Debug, Default)]
struct Index {
    files: HashMap<ImageKey, (u64, u64)>,
    by_use: BTreeMap<u64, ImageKey>,
    bytes: u64,
    uses: u64,
}

impl Index {
    /// Notes a read.
    fn touch(&mut self, key: &ImageKey) {
        if let Some((_, used)) = self.files.get_mut(key) {
            self.uses += 1;
            self.by_use.remove(used);
            *used = self.uses;
            self.by_use.insert(self.uses, key.clone());
        }
    }

    fn insert(&mut self, key: ImageKey, bytes: u64) {
        self.remove(&key);
        self.uses += 1;
        self.by_use.insert(self.uses, key.clone());
        self.files.insert(key, (bytes, self.uses));
        self.bytes += bytes;
    }

    /// True if the image was there.
    fn remove(&mut self, key: &ImageKey) -> bool {
        let Some((bytes, used)) = self.files.remove(key) else {
            return false;
        };
        self.by_use.remove(&used);
        self.bytes -= bytes;
        true
    }

    /// Removes the images read longest ago until the rest has at most `max_bytes`, and returns them.
    fn evict(&mut self, max_bytes: u64) -> Vec<ImageKey> {
        let mut evicted = Vec::new();
        while self.bytes > max_bytes
            && let Some((_, key)) = self.by_use.pop_first()
        {
            self.remove(&key);
            evicted.push(key);
        }
        evicted
    }
}

impl ImageDisk {
    /// Opens a directory, and makes it if it is missing. What an earlier process was writing is deleted.
    ///
    /// # Errors
    /// Returns the error of the file system.
    pub(super) fn open(clock: Clock, directory: PathBuf, max_bytes: u64) -> io::Result<Self> {
        let mut found = Vec::new();
        for size in ImageKey::sizes() {
            let folder = directory.join(size);
            std::fs::create_dir_all(&folder)?;
            for entry in std::fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == PART) {
                    std::fs::remove_file(path)?;
                } else if let Some(name) = entry.file_name().to_str()
                    && let Some(key) = ImageKey::parse(size, name)
                {
                    let facts = entry.metadata()?;
                    found.push((facts.modified()?, key, facts.len()));
                }
            }
        }
        found.sort_by_key(|(modified, ..)| *modified);
        let mut index = Index::default();
        for (_, key, bytes) in found {
            index.insert(key, bytes);
        }
        let disk = Self(Arc::new(Inner {
            clock,
            directory,
            max_bytes,
            index: Mutex::new(index),
        }));
        for key in disk.index().evict(max_bytes) {
            std::fs::remove_file(disk.path(&key))?;
        }
        disk.show_size();
        Ok(disk)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        let index = self.0.index.lock();
        index.unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &ImageKey) -> PathBuf {
        self.0.directory.join(key.size()).join(key.name())
    }

    /// The number of files, their size and the largest size, in bytes.
    pub(super) fn size(&self) -> (u64, u64, u64) {
        let index = self.index();
        (index.files.len() as u64, index.bytes, self.0.max_bytes)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes of a disk fit f64's 53 bits"
    )]
    fn show_size(&self) {
        metrics::gauge!(IMAGE_CACHE_BYTES).set(self.index().bytes as f64);
    }

    /// The image with its age; `None` if it is not stored or cannot be read.
    pub(super) async fn read(&self, key: &ImageKey) -> Option<(Bytes, Duration)> {
        if !self.index().files.contains_key(key) {
            return None;
        }
        let (path, format) = (self.path(key), key.format());
        let now = SystemTime::from(self.0.clock.now());
        let read = blocking(move || {
            let modified = std::fs::metadata(&path)?.modified()?;
            let age = now.duration_since(modified);
            Ok((std::fs::read(&path)?, age.unwrap_or_default()))
        });
        match read.await {
            Ok((body, age)) if format.matches(&body) => {
                self.index().touch(key);
                Some((body.into(), age))
            }
            result => {
                let error = result.err().map(|error| error.to_string());
                tracing::warn!(
                    ?error,
                    name = key.name(),
                    "a stored image is damaged; it is fetched again"
                );
                self.index().remove(key);
                None
            }
        }
    }

    /// Stores an image and deletes those that exceed the bound. A failure is logged.
    pub(super) async fn write(&self, key: &ImageKey, body: Bytes) {
        let path = self.path(key);
        let bytes = body.len() as u64;
        let written = blocking(move || write_atomically(&path, &body)).await;
        if let Err(error) = written {
            tracing::warn!(%error, "an image cannot be stored");
            return;
        }
        let evicted = {
            let mut index = self.index();
            index.insert(key.clone(), bytes);
            index.evict(self.0.max_bytes)
        };
        for key in evicted {
            self.delete(&key).await;
        }
        self.show_size();
    }

    /// Deletes an image, if it is stored.
    pub(super) async fn remove(&self, key: &ImageKey) {
        let was_stored = self.index().remove(key);
        if was_stored {
            self.delete(key).await;
            self.show_size();
        }
    }

    async fn delete(&self, key: &ImageKey) {
        let path = self.path(key);
        if let Err(error) = blocking(move || std::fs::remove_file(path)).await {
            tracing::warn!(%error, "an image cannot be deleted");
        }
    }
}

fn write_atomically(path: &Path, body: &[u8]) -> io::Result<()> {
    let part = path.with_extension(format!("{}.{PART}", Uuid::now_v7().simple()));
    let written = std::fs::write(&part, body).and_then(|()| std::fs::rename(&part, path));
    if written.is_err() {
        // What is left of it is of no use; the next start deletes it if this fails as well.
        let _ = std::fs::remove_file(&part);
    }
    written
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}
