//! What films have in common: for each genre, keyword, person, language, country and provider in a
//! region, the rows of the films that have it; and what names they go by.

use hashbrown::{DefaultHashBuilder, HashMap};
use std::hash::BuildHasher;

use crate::{
    bitmap::{Bitmap, Postings},
    genres::fold,
};

/// A kind of things that films have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A genre, by TMDB's id.
    Genre,
    /// A keyword, by TMDB's id.
    Keyword,
    /// Somebody who made it or plays in it, by TMDB's id.
    Person,
    /// The film's own language, by its [`code`].
    Language,
    /// Where it was produced, by its [`code`].
    Country,
    /// Who shows it where, by [`offer`].
    Offer,
    /// Who shows it; only names are kept under this kind.
    Provider,
}

/// A thing that films have in common: what it is, and which.
pub type Facet = (Kind, u64);

/// A code of a language or a country as a number: its bytes. Codes of more than eight bytes are none.
#[must_use]
pub fn code(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    Some(
        text.bytes()
            .fold(0, |number, byte| number << 8 | u64::from(byte)),
    )
}

/// A provider in a region. A provider's number beyond 32 bits, or a region that is not two letters,
/// is none.
#[must_use]
pub(crate) fn offer(region: &str, provider: i64) -> Option<u64> {
    let provider = u32::try_from(provider).ok()?;
    if region.len() != 2 {
        return None;
    }
    Some(code(region)? << 32 | u64::from(provider))
}

/// What is kept of a facet.
#[derive(Debug, Clone)]
struct Kept {
    facet: Facet,
    postings: Postings,
    /// Of the name last told with it, to see quickly that it is known.
    told: u32,
}

/// Things that films have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facets {
    numbers: HashMap<Facet, u32>,
    kept: Vec<Kept>,
    /// Names as they are looked for, and whose they are.
    names: HashMap<(Kind, Box<str>), u64>,
    /// Others who go by a name that somebody else has.
    namesakes: HashMap<(Kind, Box<str>), Vec<u64>>,
    hasher: DefaultHashBuilder,
}

impl Facets {
    /// The number of `facet`, which it is given if it has none.
    pub(crate) fn number(&mut self, facet: Facet) -> u32 {
        let next = self.kept.len();
        let number = *self
            .numbers
            .entry(facet)
            .or_insert_with(|| u32::try_from(next).unwrap_or(u32::MAX));
        if number as usize == next {
            self.kept.push(Kept {
                facet,
                postings: Postings::default(),
                told: 0,
            });
        }
        number
    }

    /// The number of `facet`, of which it is told that `owner` goes by `name`. A name once told is
    /// kept, so that films that were not told anew are still found by it.
    pub(crate) fn number_named(&mut self, facet: Facet, owner: Facet, name: &str) -> u32 {
        let number = self.number(facet);
        #[expect(clippy::cast_possible_truncation, reason = "a hash")]
        let hash = self.hasher.hash_one(name) as u32 | 1;
        if let Some(kept) = self.kept.get_mut(number as usize)
            && kept.told != hash
        {
            kept.told = hash;
            self.name(owner, name);
        }
        number
    }

    fn name(&mut self, (kind, id): Facet, name: &str) {
        let key = (kind, fold(name).into_boxed_str());
        match self.names.get(&key) {
            None => {
                self.names.insert(key, id);
            }
            Some(first) if *first == id => {}
            Some(_) => {
                let others = self.namesakes.entry(key).or_default();
                if !others.contains(&id) {
                    others.push(id);
                }
            }
        }
    }

    /// The ids of those of `kind` who go by `name`.
    pub(crate) fn ids(&self, kind: Kind, name: &str) -> Vec<u64> {
        let key = (kind, fold(name).into_boxed_str());
        let first = self.names.get(&key).copied();
        let others = self.namesakes.get(&key).into_iter().flatten().copied();
        first.into_iter().chain(others).collect()
    }

    /// The films that have `facet`.
    #[must_use]
    pub(crate) fn postings(&self, facet: Facet) -> Option<&Postings> {
        let number = self.numbers.get(&facet)?;
        self.kept.get(*number as usize).map(|kept| &kept.postings)
    }

    /// The number of `facet`, if it was given one.
    #[must_use]
    pub(crate) fn find(&self, facet: Facet) -> Option<u32> {
        self.numbers.get(&facet).copied()
    }

    /// What the number stands for.
    #[must_use]
    pub(crate) fn facet(&self, number: u32) -> Option<Facet> {
        self.kept.get(number as usize).map(|kept| kept.facet)
    }

    /// How many numbers were given.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many films have `facet`.
    #[must_use]
    pub(crate) fn count(&self, facet: Facet) -> usize {
        self.postings(facet).map_or(0, Postings::len)
    }

    /// Adds the films that have `facet` to `set`.
    pub(crate) fn unite_into(&self, facet: Facet, set: &mut Bitmap) {
        if let Some(postings) = self.postings(facet) {
            postings.unite_into(set);
        }
    }

    /// The film in `row`, one of `of`, has the facet with this number now.
    pub(crate) fn insert(&mut self, number: u32, row: u32, of: usize) {
        if let Some(kept) = self.kept.get_mut(number as usize) {
            kept.postings.insert(row, of);
        }
    }

    /// The film in `row`, one of `of`, has the facet with this number no more.
    pub(crate) fn remove(&mut self, number: u32, row: u32, of: usize) {
        if let Some(kept) = self.kept.get_mut(number as usize) {
            kept.postings.remove(row, of);
        }
    }

    /// How much memory posting lists take, and how much names and numbers, in bytes; about.
    #[must_use]
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let postings = self
            .kept
            .iter()
            .map(|kept| kept.postings.bytes() + size_of::<Kept>())
            .sum();
        let names: usize = self.names.keys().map(|(_, name)| name.len() + 16).sum();
        let tables = self.numbers.capacity() * 25 + self.names.capacity() * 33;
        (postings, names + tables)
    }
}

/// Numbers that rise, in few bytes: each as its distance from the one before, seven bits a byte.
#[must_use]
pub(crate) fn pack(numbers: &[u32]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(numbers.len() * 2);
    let mut last = 0;
    for number in numbers {
        let mut distance = number - last;
        last = *number;
        while distance >= 0x80 {
            bytes.push(distance.to_le_bytes()[0] | 0x80);
            distance >>= 7;
        }
        bytes.push(distance.to_le_bytes()[0]);
    }
    bytes.into()
}

/// The numbers that [`pack`] packed.
#[must_use]
pub(crate) fn unpack(bytes: &[u8]) -> Vec<u32> {
    let mut numbers = Vec::with_capacity(bytes.len() / 2);
    let (mut last, mut distance, mut shift) = (0_u32, 0_u32, 0);
    for byte in bytes {
        distance |= u32::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            last += distance;
            numbers.push(last);
            (distance, shift) = (0, 0);
        }
    }
    numbers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(numbers in prop::collection::btree_set(any::<u32>(), 0..50)) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            prop_assert_eq!(unpack(&pack(&numbers)), numbers);
        }
    }

    #[test]
    fn namesakes_are_all_found_and_names_are_not_unlearnt() {
        let mut facets = Facets::default();
        for (facet, name) in [
            ((Kind::Person, 1), "Steve McQueen"),
            ((Kind::Person, 2), "STEVE McQueen"),
            ((Kind::Keyword, 3), "Steve McQueen"),
            ((Kind::Person, 1), "Terence McQueen"),
        ] {
            facets.number_named(facet, facet, name);
        }
        assert_eq!(facets.ids(Kind::Person, "steve mcqueen"), [1, 2]);
        assert_eq!(facets.ids(Kind::Person, "Terence McQueen"), [1]);
        assert!(facets.ids(Kind::Person, "Nobody").is_empty());
    }
}
