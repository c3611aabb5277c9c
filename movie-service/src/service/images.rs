//! TMDB's images from this server: from memory, the cache on disk, or TMDB's image host, in this order. The handler calls it.
//! A stored image is served whether or not TMDB is up; concurrent requests for one share one read and one fetch. Only images
//! that the catalogue names are fetched, since made-up names would leave no fetches to them.

mod disk;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::clock::Clock;
use moka::future::Cache;
use sqlx::PgPool;
use tokio::sync::Semaphore;

use self::disk::ImageDisk;
use crate::{
    client::images::{ImageFetchError, ImageHost},
    models::{CacheState, ImageKey, ImagesState},
    repository::movies,
};

/// Images served by source: memory, disk, stale or tmdb (counter).
pub const IMAGE_READS_TOTAL: &str = "image_reads_total";
/// The size of the images on disk (gauge, bytes).
pub const IMAGE_CACHE_BYTES: &str = "image_cache_bytes";

/// Memory of recently served images.
const MEMORY_BYTES: u64 = 16 * 1024 * 1024;
/// The longest time that an image stays in memory.
const MEMORY_TTL: Duration = Duration::from_secs(60);
/// Names that TMDB does not have.
const MAX_MISSING: u64 = 50_000;
/// Concurrent look-ups of names in the catalogue; further ones wait, so that its connections are left to movies.
const MAX_LOOKUPS: usize = 2;
/// TMDB's terms allow copies for six months; an older one is fetched again.
const FRESH: Duration = Duration::from_secs(150 * 24 * 3600);

/// A failed read of an image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// There is no such image, the catalogue does not name it, or no images are served.
    #[error("image not found")]
    NotFound,
    /// The image is not stored, and TMDB's image host failed.
    #[error("TMDB's image host is unavailable")]
    Unavailable(#[source] ImageFetchError),
    /// The image is not stored, and what TMDB's image host sent is none.
    #[error("TMDB's image host sent no image")]
    Invalid(#[source] ImageFetchError),
    /// The image is not stored, and Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The images; cheap to clone.
#[derive(Clone)]
pub struct Images(Option<Arc<Inner>>);

struct Inner {
    pool: PgPool,
    lookups: Semaphore,
    host: ImageHost,
    disk: ImageDisk,
    recent: Cache<ImageKey, Bytes>,
    missing: Cache<ImageKey, ()>,
    reads: AtomicU64,
    fetched: AtomicU64,
}

impl Images {
    /// Serves no images.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Serves images of `host` that movies in `pool` name, of which at most `max_bytes` are kept in `directory`.
    ///
    /// # Errors
    /// Returns the error of the file system if the directory cannot be made or read.
    pub fn open(
        pool: PgPool,
        host: ImageHost,
        clock: Clock,
        directory: PathBuf,
        max_bytes: u64,
        missing_ttl: Duration,
    ) -> std::io::Result<Self> {
        let recent = Cache::builder()
            .max_capacity(MEMORY_BYTES)
            .weigher(|_, image: &Bytes| u32::try_from(image.len()).unwrap_or(u32::MAX))
            .time_to_live(MEMORY_TTL)
            .build();
        let missing = Cache::builder()
            .max_capacity(MAX_MISSING)
            .time_to_live(missing_ttl)
            .build();
        Ok(Self(Some(Arc::new(Inner {
            pool,
            lookups: Semaphore::new(MAX_LOOKUPS),
            host,
            disk: ImageDisk::open(clock, directory, max_bytes)?,
            recent,
            missing,
            reads: AtomicU64::default(),
            fetched: AtomicU64::default(),
        }))))
    }

    /// Returns the file of an image.
    ///
    /// # Errors
    /// `NotFound` if the catalogue does not name it or TMDB does not have it, `Unavailable` or `Invalid` if it is not stored and
    /// TMDB fails, `Database` if it is not stored and Postgres fails.
    pub async fn get(&self, key: &ImageKey) -> Result<Bytes, Arc<ImageError>> {
        let images = self.0.as_ref().ok_or(ImageError::NotFound)?;
        let image = match images.recent.get(key).await {
            Some(image) => {
                metrics::counter!(IMAGE_READS_TOTAL, "source" => "memory").increment(1);
                image
            }
            None => {
                let load = images.load(key);
                images.recent.try_get_with_by_ref(key, load).await?
            }
        };
        images.reads.fetch_add(1, Ordering::Relaxed);
        Ok(image)
    }

    /// The cache on disk and the image host; `None` if no images are served.
    #[must_use]
    pub fn state(&self) -> Option<ImagesState> {
        let images = self.0.as_ref()?;
        let (entries, bytes, max_bytes) = images.disk.size();
        let reads = images.reads.load(Ordering::Relaxed);
        Some(ImagesState {
            cache: CacheState {
                entries,
                bytes,
                max_bytes,
                reads,
                hits: reads.saturating_sub(images.fetched.load(Ordering::Relaxed)),
            },
            host: images.host.state(),
        })
    }
}

impl Inner {
    async fn load(&self, key: &ImageKey) -> Result<Bytes, ImageError> {
        let (image, source) = self.find(key).await?;
        metrics::counter!(IMAGE_READS_TOTAL, "source" => source).increment(1);
        Ok(image)
    }

    /// True if the catalogue names the image. That it does not is not remembered: the next movie may have it.
    async fn is_named(&self, key: &ImageKey) -> sqlx::Result<bool> {
        let _permit = self.lookups.acquire().await;
        movies::has_image(&self.pool, &format!("/{}", key.name())).await
    }

    /// Reads an image from disk, or fetches it; returns it with its source.
    async fn find(&self, key: &ImageKey) -> Result<(Bytes, &'static str), ImageError> {
        let stored = self.disk.read(key).await;
        if let Some((body, age)) = &stored
            && *age < FRESH
        {
            return Ok((body.clone(), "disk"));
        }
        if self.missing.contains_key(key) {
            return Err(ImageError::NotFound);
        }
        match (self.is_named(key).await, stored.as_ref()) {
            (Ok(true), _) => {}
            (Ok(false), _) => {
                self.disk.remove(key).await;
                return Err(ImageError::NotFound);
            }
            (Err(_), Some((body, _))) => return Ok((body.clone(), "stale")),
            (Err(error), None) => return Err(error.into()),
        }
        match self.host.fetch(key).await {
            Ok(body) => {
                self.disk.write(key, body.clone()).await;
                self.fetched.fetch_add(1, Ordering::Relaxed);
                Ok((body, "tmdb"))
            }
            Err(ImageFetchError::NotFound) => {
                self.missing.insert(key.clone(), ()).await;
                self.disk.remove(key).await;
                Err(ImageError::NotFound)
            }
            Err(error) => match stored {
                Some((body, _)) => Ok((body, "stale")),
                None if matches!(error, ImageFetchError::Invalid(_)) => {
                    Err(ImageError::Invalid(error))
                }
                None => Err(ImageError::Unavailable(error)),
            },
        }
    }
}
