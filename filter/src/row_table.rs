//! A hash table from keys to row numbers, in shards that clones share (copy on write). It stores numbers only: the
//! keys are in a column of the caller, who passes the way to read them.

use std::{
    hash::{BuildHasher, Hash},
    sync::Arc,
};

use hashbrown::{DefaultHashBuilder, HashTable};

/// A write copies at most this part of the table.
const SHARDS: usize = 256;
/// Bits of a hash that hashbrown uses neither for buckets nor for tags.
const SHARD_SHIFT: u32 = 40;

/// Row numbers by key; see the module.
#[derive(Debug, Clone)]
pub struct RowTable {
    shards: Vec<Arc<HashTable<u32>>>,
    hasher: DefaultHashBuilder,
}

impl Default for RowTable {
    fn default() -> Self {
        Self {
            shards: vec![Arc::default(); SHARDS],
            hasher: DefaultHashBuilder::default(),
        }
    }
}

fn shard(hash: u64) -> usize {
    (hash >> SHARD_SHIFT) as u8 as usize
}

impl RowTable {
    /// The numbers that may have `key`, for which `is_key` is true.
    pub fn find_all(
        &self,
        key: impl Hash,
        is_key: impl Fn(u32) -> bool,
    ) -> impl Iterator<Item = u32> {
        let hash = self.hasher.hash_one(key);
        let numbers = self.shards[shard(hash)].iter_hash(hash);
        numbers.copied().filter(move |number| is_key(*number))
    }

    /// The number with `key`: that for which `is_key` is true.
    pub fn find(&self, key: impl Hash, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.shards[shard(hash)]
            .find(hash, |number| is_key(*number))
            .copied()
    }

    /// Adds `number`; `key_of` returns the key of any number in the table.
    pub fn insert<K: Hash>(&mut self, number: u32, key_of: impl Fn(u32) -> K) {
        let hasher = &self.hasher;
        let hash = |number: &u32| hasher.hash_one(key_of(*number));
        let own = hash(&number);
        Arc::make_mut(&mut self.shards[shard(own)]).insert_unique(own, number, hash);
    }

    /// Removes `number`, whose key is `key`.
    pub fn remove(&mut self, key: impl Hash, number: u32) {
        let hash = self.hasher.hash_one(key);
        let shard = Arc::make_mut(&mut self.shards[shard(hash)]);
        if let Ok(found) = shard.find_entry(hash, |other| *other == number) {
            found.remove();
        }
    }

    /// The hash of `key`, as this table computes it.
    pub(crate) fn hash_one(&self, key: impl Hash) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The memory of the table in bytes.
    pub fn bytes(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| shard.allocation_size() + 64).sum()
    }
}
