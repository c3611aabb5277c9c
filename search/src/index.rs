//! The index on disk or in memory: opened by one writer, read by snapshots. It is derived data: deleting it loses
//! nothing that its owner cannot write again.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use quick_cache::{Weighter, sync::Cache};
use tantivy::{
    DocAddress, DocId, DocSet, Index, IndexReader, IndexSettings, IndexWriter, ReloadPolicy,
    Searcher, TERMINATED, TantivyDocument, Term,
    directory::MmapDirectory,
    index::SegmentId,
    indexer::{LogMergePolicy, NoMergePolicy},
    schema::IndexRecordOption,
    store::Compressor,
};

use crate::{
    card::{Card, CardBytes, Read},
    columns::{Columns, language_number},
    dictionary::Dictionary,
    document::{Document, Kind},
    error::IndexError,
    schema::{Fields, schema},
};

/// The layout of documents and terms. An index of another layout must be built anew.
pub const LAYOUT: u32 = 2;

/// Memory of the writer in bytes; a larger one makes fewer, larger segments.
const WRITER_BYTES: usize = 64 * 1024 * 1024;
/// The same while the whole index is built.
const BUILD_BYTES: usize = 512 * 1024 * 1024;

/// Segments of a whole build: each is merged by a thread of its own.
const BUILT_SEGMENTS: usize = 2;

/// An index; cheap to clone.
#[derive(Clone)]
pub struct SearchIndex {
    index: Index,
    reader: IndexReader,
    fields: Fields,
    /// The documents as of the last commit, which [`Writer`] replaces.
    current: Arc<RwLock<Arc<Snapshot>>>,
}

/// Documents that were read lately, by segment, with their names analysed: of the documents with a short prefix, the most
/// famous are ranked, and they are the same ones again and again. Segments never change.
pub(crate) type Famous = Cache<(SegmentId, DocId), Arc<Read>, Weight>;

/// Names of documents that are kept, each of about half a kilobyte.
const MAX_KEPT_NAMES: usize = 100_000;

/// The names of a document.
#[derive(Clone)]
pub(crate) struct Weight;

impl Weighter<(SegmentId, DocId), Arc<Read>> for Weight {
    fn weight(&self, _: &(SegmentId, DocId), read: &Arc<Read>) -> u64 {
        1 + read.names.len() as u64
    }
}

/// Fewer, smaller blocks than usual: hits are read from all over the store.
const STORE_BLOCK_BYTES: usize = 4096;

impl SearchIndex {
    /// Creates an empty index in memory.
    ///
    /// # Errors
    /// `Storage` if memory cannot be reserved.
    pub fn in_memory() -> Result<Self, IndexError> {
        let (schema, fields) = schema();
        let index = Index::builder()
            .schema(schema)
            .settings(settings())
            .create_in_ram()?;
        Self::read(index, fields)
    }

    /// Opens the index in `directory`, or creates an empty one.
    ///
    /// # Errors
    /// `Directory` if the directory cannot be used, `Layout` if it has an index of another layout, `Storage` if the
    /// index is damaged.
    pub fn open(directory: &Path) -> Result<Self, IndexError> {
        let unusable =
            |error: String| IndexError::Directory(format!("{}: {error}", directory.display()));
        std::fs::create_dir_all(directory).map_err(|error| unusable(error.to_string()))?;
        let mapped = MmapDirectory::open(directory).map_err(|error| unusable(error.to_string()))?;
        let (schema, fields) = schema();
        let exists = Index::exists(&mapped).map_err(|error| unusable(error.to_string()))?;
        let index = if exists {
            let index = Index::open(mapped)?;
            if index.schema() != schema {
                return Err(IndexError::Layout);
            }
            index
        } else {
            Index::create(mapped, schema, settings())?
        };
        Self::read(index, fields)
    }

    fn read(index: Index, fields: Fields) -> Result<Self, IndexError> {
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .doc_store_cache_num_blocks(256)
            .try_into()?;
        let famous = Famous::with_weighter(MAX_KEPT_NAMES / 16, MAX_KEPT_NAMES as u64, Weight);
        let snapshot = Snapshot::new(reader.searcher(), fields, Arc::new(famous), None)?;
        Ok(Self {
            index,
            reader,
            fields,
            current: Arc::new(RwLock::new(Arc::new(snapshot))),
        })
    }

    /// Opens the index for writing, with `threads` threads.
    ///
    /// # Errors
    /// `Locked` if another process writes to it.
    pub fn writer(&self, threads: usize) -> Result<Writer, IndexError> {
        let bytes = if threads > 1 {
            BUILD_BYTES
        } else {
            WRITER_BYTES
        };
        let writer = self.index.writer_with_num_threads(threads, bytes);
        let writer: IndexWriter = writer.map_err(|error| match error {
            tantivy::TantivyError::LockFailure(..) => IndexError::Locked,
            other => IndexError::Storage(other),
        })?;
        if threads > 1 {
            // A build merges once, at its end.
            writer.set_merge_policy(Box::new(NoMergePolicy));
        } else {
            let mut policy = LogMergePolicy::default();
            policy.set_min_num_segments(6);
            policy.set_del_docs_ratio_before_merge(0.3);
            writer.set_merge_policy(Box::new(policy));
        }
        Ok(Writer {
            writer,
            index: self.clone(),
        })
    }

    /// The text that the last commit stored beside the documents.
    ///
    /// # Errors
    /// `Storage` if it cannot be read.
    pub fn position(&self) -> Result<Option<String>, IndexError> {
        Ok(self.index.load_metas()?.payload)
    }

    /// The documents as of the last commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Shows the documents of the last commit. Columns of new segments are decoded here, so that no search waits for it.
    fn reload(&self) -> Result<(), IndexError> {
        self.reader.reload()?;
        let before = self.snapshot();
        let famous = Arc::clone(&before.famous);
        let searcher = self.reader.searcher();
        let snapshot = Snapshot::new(searcher, self.fields, famous, Some(&before))?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(snapshot);
        Ok(())
    }

    /// The number of documents of all kinds, as of the last commit.
    pub fn count(&self) -> u64 {
        self.snapshot().searcher.num_docs()
    }

    /// The size of the files in bytes.
    ///
    /// # Errors
    /// `Storage` if it cannot be read.
    pub fn bytes(&self) -> Result<u64, IndexError> {
        Ok(self
            .snapshot()
            .searcher
            .space_usage()
            .map_err(tantivy::TantivyError::from)?
            .total()
            .get_bytes())
    }
}

fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compression: Compressor::None,
        docstore_blocksize: STORE_BLOCK_BYTES,
        ..IndexSettings::default()
    }
}

/// The documents at one moment.
pub struct Snapshot {
    pub(crate) searcher: Searcher,
    pub(crate) famous: Arc<Famous>,
    /// By segment.
    pub(crate) columns: Vec<Arc<Columns>>,
    /// By segment.
    pub(crate) dictionaries: Vec<Arc<Dictionary>>,
    pub(crate) fields: Fields,
}

impl Snapshot {
    /// The documents of `searcher`; what was read of segments `before` is taken from there.
    fn new(
        searcher: Searcher,
        fields: Fields,
        famous: Arc<Famous>,
        before: Option<&Self>,
    ) -> Result<Self, IndexError> {
        let (mut columns, mut dictionaries) = (Vec::new(), Vec::new());
        for reader in searcher.segment_readers() {
            let id = reader.segment_id();
            let known = before.and_then(|before| {
                let place = before
                    .columns
                    .iter()
                    .position(|known| known.segment == id)?;
                Some((&before.columns[place], &before.dictionaries[place]))
            });
            match known {
                Some((known, words)) => {
                    columns.push(Arc::clone(known));
                    dictionaries.push(Arc::clone(words));
                }
                None => {
                    columns.push(Arc::new(Columns::new(reader)?));
                    dictionaries.push(Arc::new(Dictionary::new(reader, fields)?));
                }
            }
        }
        Ok(Self {
            searcher,
            famous,
            columns,
            dictionaries,
            fields,
        })
    }

    /// True if an equal document is there, so that it need not be written: its names, fame and payload are compared.
    ///
    /// # Errors
    /// `Storage` if the index cannot be read.
    pub fn has(&self, document: &Document) -> Result<bool, IndexError> {
        let key = Term::from_field_u64(self.fields.key, document.kind.key(document.id));
        for (segment, reader) in (0..).zip(self.searcher.segment_readers()) {
            let postings = reader.inverted_index(self.fields.key)?;
            let postings = postings.read_postings(&key, IndexRecordOption::Basic);
            let Some(mut docs) = postings.map_err(tantivy::TantivyError::from)? else {
                continue;
            };
            while docs.doc() != TERMINATED {
                let doc = docs.doc();
                if !reader.is_deleted(doc) {
                    let card = self.read(DocAddress::new(segment, doc))?.card()?;
                    let place = usize::try_from(segment).unwrap_or(0);
                    return Ok(self.columns[place].fame_steps(doc) == document.fame_steps()
                        && card.payload == document.payload
                        && card.names == document.all_names());
                }
                docs.advance();
            }
        }
        Ok(false)
    }

    /// Reads the stored part of a document.
    pub(crate) fn read(&self, address: DocAddress) -> Result<Read, IndexError> {
        let CardBytes(bytes) = self.searcher.doc(address)?;
        Read::new(bytes)
    }
}

/// The only writer of an index.
pub struct Writer {
    writer: IndexWriter,
    index: SearchIndex,
}

impl Writer {
    /// Adds a document that is not there yet.
    ///
    /// # Errors
    /// `Storage` if writing fails.
    pub fn add(&self, document: &Document) -> Result<(), IndexError> {
        let fields = self.index.fields;
        let names = document.all_names();
        let mut stored = TantivyDocument::new();
        stored.add_u64(fields.key, document.kind.key(document.id));
        for term in document.terms(&names).iter() {
            stored.add_bytes(fields.terms, term);
        }
        stored.add_u64(fields.fame, u64::from(document.fame_steps()));
        stored.add_u64(fields.year, document.year.map_or(0, u64::from));
        stored.add_u64(fields.language, language_number(&document.language));
        for genre in &document.genres {
            stored.add_u64(fields.genres, u64::from(*genre));
        }
        let card = Card {
            names,
            payload: document.payload.clone(),
        };
        let card = postcard::to_stdvec(&card)
            .map_err(|error| tantivy::TantivyError::InternalError(error.to_string()))?;
        stored.add_bytes(fields.card, &card);
        self.writer.add_document(stored)?;
        Ok(())
    }

    /// Adds or replaces a document.
    ///
    /// # Errors
    /// `Storage` if writing fails.
    pub fn upsert(&self, document: &Document) -> Result<(), IndexError> {
        self.delete(document.kind, document.id);
        self.add(document)
    }

    /// Deletes a document, if it is there.
    pub fn delete(&self, kind: Kind, id: i64) {
        self.writer
            .delete_term(Term::from_field_u64(self.index.fields.key, kind.key(id)));
    }

    /// Makes all changes visible and durable, together with `position`.
    ///
    /// # Errors
    /// `Storage` if writing fails; the changes are then lost.
    pub fn commit(&mut self, position: &str) -> Result<(), IndexError> {
        let mut prepared = self.writer.prepare_commit()?;
        prepared.set_payload(position);
        prepared.commit()?;
        self.index.reload()
    }

    /// Deletes all documents; a commit must follow.
    ///
    /// # Errors
    /// `Storage` if writing fails.
    pub fn clear(&self) -> Result<(), IndexError> {
        self.writer.delete_all_documents()?;
        Ok(())
    }

    /// Merges the segments into [`BUILT_SEGMENTS`] at the same time, since each search reads the terms of every segment,
    /// and closes the writer.
    ///
    /// # Errors
    /// `Storage` if a merge fails.
    pub fn finish(mut self) -> Result<(), IndexError> {
        let mut parts: [(u32, Vec<SegmentId>); BUILT_SEGMENTS] = Default::default();
        // Held no longer, since the files of a segment stay as long as its description.
        let mut segments: Vec<(u32, SegmentId)> = (self.index.index.searchable_segment_metas()?)
            .iter()
            .map(|meta| (meta.num_docs(), meta.id()))
            .collect();
        segments.sort_unstable_by_key(|(docs, _)| std::cmp::Reverse(*docs));
        for (docs, id) in segments {
            if let Some(least) = parts.iter_mut().min_by_key(|(docs, _)| *docs) {
                least.0 += docs;
                least.1.push(id);
            }
        }
        let merges: Vec<_> = parts
            .iter()
            .filter(|(_, ids)| ids.len() > 1)
            .map(|(_, ids)| self.writer.merge(ids))
            .collect();
        for merge in merges {
            merge.wait()?;
        }
        // The files of merged segments are deleted once no snapshot has them.
        self.index.reload()?;
        self.writer.garbage_collect_files().wait()?;
        self.writer.wait_merging_threads()?;
        Ok(())
    }
}
