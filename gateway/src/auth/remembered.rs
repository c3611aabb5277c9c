//! What was found out lately, within bounds and without a list to keep: when the younger generation is
//! full it becomes the older, whose entries are lost unless they are used before that.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// At most `2 * each + 1` entries.
pub(super) struct Remembered<K, V> {
    each: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    /// Two generations of `each` entries.
    pub(super) fn new(each: usize) -> Self {
        Self {
            each,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// What is remembered of `key`.
    pub(super) fn find<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let (key, found) = self.old.remove_entry(key)?;
        self.remember(key, found.clone());
        Some(found)
    }

    /// From now on `key` is known.
    pub(super) fn remember(&mut self, key: K, value: V) {
        if self.young.len() >= self.each {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    /// Nothing is known any more.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_stays_within_bounds_and_what_is_used_stays() {
        let mut remembered: Remembered<String, usize> = Remembered::new(100);
        for number in 0..1000 {
            assert!(remembered.find("used all the time").is_some() || number == 0);
            remembered.remember("used all the time".to_owned(), 0);
            remembered.remember(number.to_string(), number);
            assert!(remembered.young.len() + remembered.old.len() <= 201);
        }
        assert_eq!(remembered.find("999"), Some(999));
        assert_eq!(remembered.find("1"), None);
    }
}
