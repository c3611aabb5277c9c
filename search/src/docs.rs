//! Sets of documents of a segment: a few as a list, many as bits. [`crate::retrieve`] reads them, [`crate::find`] joins
//! them.

/// Sets with more documents are bits: a list takes longer from about here on.
const MAX_LISTED: usize = 4096;

/// A set of documents.
#[derive(Debug, Clone)]
pub(crate) enum Docs {
    /// Rising.
    List(Vec<u32>),
    /// A bit for each document, as far as the last one.
    Bits(Vec<u64>),
}

impl Default for Docs {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

/// The place of the bit of a document.
fn bit_of(doc: u32) -> (usize, u64) {
    (doc as usize / 64, 1 << (doc % 64))
}

impl Docs {
    /// An empty set for about `count` documents below `max`.
    pub(crate) fn for_about(count: usize, max: u32) -> Self {
        if count > MAX_LISTED {
            Self::Bits(vec![0; max as usize / 64 + 1])
        } else {
            Self::List(Vec::with_capacity(count))
        }
    }

    /// Adds documents. A list must be put in order with [`Docs::order`] afterwards.
    pub(crate) fn extend(&mut self, docs: &[u32]) {
        match self {
            Self::List(list) => list.extend_from_slice(docs),
            Self::Bits(bits) => {
                for (word, bit) in docs.iter().map(|doc| bit_of(*doc)) {
                    bits[word] |= bit;
                }
            }
        }
    }

    /// Puts a list in order.
    pub(crate) fn order(&mut self) {
        if let Self::List(list) = self {
            list.sort_unstable();
            list.dedup();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Bits(bits) => bits.iter().all(|word| *word == 0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Bits(bits) => bits.iter().map(|word| word.count_ones() as usize).sum(),
        }
    }

    pub(crate) fn contains(&self, doc: u32) -> bool {
        match self {
            Self::List(list) => list.binary_search(&doc).is_ok(),
            Self::Bits(bits) => {
                let (word, bit) = bit_of(doc);
                bits.get(word).is_some_and(|word| word & bit != 0)
            }
        }
    }

    /// Calls `take` with each document, rising.
    pub(crate) fn for_each(&self, mut take: impl FnMut(u32)) {
        match self {
            Self::List(list) => list.iter().copied().for_each(take),
            Self::Bits(bits) => {
                for (place, word) in (0_u32..).zip(bits) {
                    let mut rest = *word;
                    while rest != 0 {
                        take(place * 64 + rest.trailing_zeros());
                        rest &= rest - 1;
                    }
                }
            }
        }
    }

    /// Leaves documents out.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(u32) -> bool) {
        match self {
            Self::List(list) => list.retain(|doc| keeps(*doc)),
            Self::Bits(bits) => {
                for (place, word) in (0_u32..).zip(bits) {
                    let mut rest = *word;
                    while rest != 0 {
                        let bit = rest & rest.wrapping_neg();
                        if !keeps(place * 64 + bit.trailing_zeros()) {
                            *word &= !bit;
                        }
                        rest &= rest - 1;
                    }
                }
            }
        }
    }

    /// Adds the documents of another set.
    pub(crate) fn unite(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::List(other)) if other.is_empty() => {}
            (Self::List(list), _) if list.is_empty() => *self = other.clone(),
            (Self::List(list), Self::List(other)) => {
                if list.len() + other.len() > MAX_LISTED {
                    let last = list.last().max(other.last()).copied().unwrap_or(0);
                    let mut both = Self::for_about(usize::MAX, last);
                    both.extend(list);
                    both.extend(other);
                    *self = both;
                } else {
                    *list = merged(list, other);
                }
            }
            (Self::List(list), Self::Bits(bits)) => {
                let mut both = Self::Bits(bits.clone());
                both.add_to_bits(list);
                *self = both;
            }
            (Self::Bits(_), Self::List(other)) => self.add_to_bits(other),
            (Self::Bits(bits), Self::Bits(other)) => {
                bits.resize(bits.len().max(other.len()), 0);
                for (word, other) in bits.iter_mut().zip(other) {
                    *word |= other;
                }
            }
        }
    }

    /// [`Docs::unite`] without a copy if this set is empty.
    pub(crate) fn take(&mut self, other: Self) {
        match self {
            Self::List(list) if list.is_empty() => *self = other,
            _ => self.unite(&other),
        }
    }

    fn add_to_bits(&mut self, list: &[u32]) {
        if let (Self::Bits(bits), Some(last)) = (&mut *self, list.last()) {
            bits.resize(bits.len().max(bit_of(*last).0 + 1), 0);
            self.extend(list);
        }
    }

    /// The documents that are in another set as well.
    pub(crate) fn intersected(self, other: &Self) -> Self {
        match (self, other) {
            (Self::List(list), Self::List(other)) => Self::List(common(&list, other)),
            (Self::List(mut list), bits) => {
                list.retain(|doc| bits.contains(*doc));
                Self::List(list)
            }
            (bits, Self::List(other)) => {
                let both = other.iter().copied().filter(|doc| bits.contains(*doc));
                Self::List(both.collect())
            }
            (Self::Bits(mut bits), Self::Bits(other)) => {
                bits.truncate(other.len());
                for (word, other) in bits.iter_mut().zip(other) {
                    *word &= other;
                }
                Self::Bits(bits)
            }
        }
    }
}

/// Documents in either list.
fn merged(one: &[u32], two: &[u32]) -> Vec<u32> {
    let mut docs = Vec::with_capacity(one.len() + two.len());
    let (mut one, mut two) = (one, two);
    while let ([first, rest @ ..], [second, others @ ..]) = (one, two) {
        docs.push(*first.min(second));
        one = if first <= second { rest } else { one };
        two = if second <= first { others } else { two };
    }
    docs.extend_from_slice(one);
    docs.extend_from_slice(two);
    docs
}

/// Documents in both lists.
fn common(one: &[u32], two: &[u32]) -> Vec<u32> {
    let (small, large) = if one.len() <= two.len() {
        (one, two)
    } else {
        (two, one)
    };
    let mut docs = Vec::new();
    let mut at = 0;
    for doc in small {
        // The place is sought in steps that double, since sets differ much in size.
        let mut step = 1;
        while at + step < large.len() && large[at + step] < *doc {
            step *= 2;
        }
        let end = (at + step + 1).min(large.len());
        at += large[at..end].partition_point(|other| other < doc);
        if large.get(at) == Some(doc) {
            docs.push(*doc);
        }
    }
    docs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::btree_set, prelude::*};

    use super::*;

    fn docs(set: &BTreeSet<u32>, is_bits: bool) -> Docs {
        let list: Vec<u32> = set.iter().copied().collect();
        let last = list.last().copied().unwrap_or(0);
        let mut docs = Docs::for_about(if is_bits { usize::MAX } else { 0 }, last);
        docs.extend(&list);
        docs.order();
        docs
    }

    fn listed(docs: &Docs) -> BTreeSet<u32> {
        let mut all = BTreeSet::new();
        docs.for_each(|doc| {
            all.insert(doc);
        });
        all
    }

    proptest! {
        #[test]
        fn sets_are_intersected_and_united(
            one in btree_set(0..300_u32, 0..60),
            two in btree_set(0..200_u32, 0..60),
            (first_bits, second_bits) in any::<(bool, bool)>(),
        ) {
            let (first, second) = (docs(&one, first_bits), docs(&two, second_bits));
            let mut any = first.clone();
            any.unite(&second);
            prop_assert_eq!(listed(&any), &one | &two);
            prop_assert_eq!(any.len(), (&one | &two).len());
            let both = first.clone().intersected(&second);
            prop_assert_eq!(listed(&both), &one & &two);
            prop_assert_eq!(both.is_empty(), (&one & &two).is_empty());
            let mut even = first.clone();
            even.retain(|doc| doc % 2 == 0);
            for doc in 0..310 {
                prop_assert_eq!(first.contains(doc), one.contains(&doc));
                prop_assert_eq!(even.contains(doc), doc % 2 == 0 && one.contains(&doc));
            }
        }
    }
}
