//! The inverted index of facets: for each genre, keyword, person, language, country and provider in a
//! region, the posting list of the movies that have it, and its names.

use crate::{
    bitmap::{Bitmap, Postings},
    column::Column,
    genres::fold,
    row_table::RowTable,
    string_column::StringColumn,
};

/// The facets of a chunk: fewer than usual, since a copy also copies their posting lists.
const CHUNK_FACETS: usize = 256;

/// A kind of facet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FacetKind {
    /// A genre, by TMDB's id.
    Genre,
    /// A keyword, by TMDB's id.
    Keyword,
    /// A member of cast or crew, by TMDB's id.
    Person,
    /// The original language, by its [`code`].
    Language,
    /// The production country, by its [`code`].
    Country,
    /// A watch provider in a region, by [`offer`].
    Offer,
    /// A watch provider; only names have this kind.
    Provider,
}

/// An attribute that movies share: its kind, and its id within the kind.
pub type Facet = (FacetKind, u64);

/// The code of a language or country as a number: its bytes. `None` for more than eight bytes.
pub fn code(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > 8 {
        return None;
    }
    Some(
        text.bytes()
            .fold(0, |number, byte| number << 8 | u64::from(byte)),
    )
}

/// A provider in a region as a number. `None` if the provider's id exceeds 32 bits or the region is not
/// two letters.
pub(crate) fn offer(region: &str, provider: i64) -> Option<u64> {
    let provider = u32::try_from(provider).ok()?;
    if region.len() != 2 {
        return None;
    }
    Some(code(region)? << 32 | u64::from(provider))
}

/// The posting list of a facet.
#[derive(Debug, Clone)]
struct Kept {
    facet: Facet,
    postings: Postings,
    /// The hash of its latest name, to skip a known name quickly.
    last_name_hash: u32,
}

/// The facets of all movies, numbered from 0. Clones share memory; see [`Column`].
#[derive(Debug, Clone, Default)]
pub struct Facets {
    /// Indices of [`Facets::kept`], by facet.
    numbers: RowTable,
    kept: Column<Kept, CHUNK_FACETS>,
    /// Indices of [`Facets::owners`] and [`Facets::names`], by kind and name; several where they share it.
    named: RowTable,
    /// The facets that have a name.
    owners: Column<Facet>,
    /// Their names, folded.
    names: StringColumn,
}

impl Facets {
    /// The number of `facet`, assigned now if it is new.
    pub(crate) fn number(&mut self, facet: Facet) -> u32 {
        if let Some(number) = self.find(facet) {
            return number;
        }
        let number = u32::try_from(self.kept.len()).unwrap_or(u32::MAX);
        self.kept.push(Kept {
            facet,
            postings: Postings::default(),
            last_name_hash: 0,
        });
        let kept = &self.kept;
        self.numbers
            .insert(number, |number| kept[number as usize].facet);
        number
    }

    /// The number of `facet`, whose `owner` goes by `name`. A name is never forgotten, so that films that are not
    /// stored again are still found by it.
    pub(crate) fn number_named(&mut self, facet: Facet, owner: Facet, name: &str) -> u32 {
        let number = self.number(facet);
        #[expect(clippy::cast_possible_truncation, reason = "a hash")]
        let hash = self.named.hash_one(name) as u32 | 1;
        // Read first: a write may copy a chunk.
        if self.kept[number as usize].last_name_hash != hash {
            self.kept[number as usize].last_name_hash = hash;
            self.name(owner, name);
        }
        number
    }

    /// Lets `owner` be found by `name` as well.
    pub(crate) fn name(&mut self, owner: Facet, name: &str) {
        let name = fold(name);
        if self.who(owner.0, &name).any(|id| id == owner.1) {
            return;
        }
        let number = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        self.owners.push(owner);
        self.names.push(name.as_bytes());
        let (owners, names) = (&self.owners, &self.names);
        self.named.insert(number, |number| {
            let number = number as usize;
            (owners[number].0, names.get(number))
        });
    }

    /// The ids of `kind` with that name.
    pub(crate) fn ids(&self, kind: FacetKind, name: &str) -> Vec<u64> {
        let mut ids: Vec<u64> = self.who(kind, &fold(name)).collect();
        ids.sort_unstable();
        ids
    }

    /// The ids of `kind` with that folded name.
    fn who(&self, kind: FacetKind, name: &str) -> impl Iterator<Item = u64> {
        let name = name.as_bytes();
        let is_named = move |number: u32| {
            let number = number as usize;
            self.owners[number].0 == kind && self.names.get(number) == name
        };
        self.named
            .find_all((kind, name), is_named)
            .map(|number| self.owners[number as usize].1)
    }

    /// The movies that have `facet`.
    pub fn postings(&self, facet: Facet) -> Option<&Postings> {
        self.numbered(self.find(facet)?)
    }

    /// The movies that have the facet of this number.
    pub fn numbered(&self, number: u32) -> Option<&Postings> {
        self.kept.get(number as usize).map(|kept| &kept.postings)
    }

    /// The number of `facet`, if it has one.
    pub fn find(&self, facet: Facet) -> Option<u32> {
        self.numbers
            .find(facet, |number| self.kept[number as usize].facet == facet)
    }

    /// The facet of a number.
    pub fn facet(&self, number: u32) -> Option<Facet> {
        self.kept.get(number as usize).map(|kept| kept.facet)
    }

    /// The number of facets.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// True if there are no facets.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The number of movies that have `facet`.
    pub fn count(&self, facet: Facet) -> usize {
        self.postings(facet).map_or(0, Postings::len)
    }

    /// Adds the movies that have `facet` to `set`.
    pub(crate) fn union_into(&self, facet: Facet, set: &mut Bitmap) {
        if let Some(postings) = self.postings(facet) {
            postings.union_into(set);
        }
    }

    /// Adds the facet with this number to the movie in `row`; `of` is the number of rows.
    pub(crate) fn insert(&mut self, number: u32, row: u32, of: usize) {
        self.kept[number as usize].postings.insert(row, of);
    }

    /// Removes the facet with this number from the movie in `row`; `of` is the number of rows.
    pub(crate) fn remove(&mut self, number: u32, row: u32, of: usize) {
        self.kept[number as usize].postings.remove(row, of);
    }

    /// The memory of posting lists, and of names and numbers, in bytes, approximately.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let postings = self
            .kept
            .iter()
            .map(|kept| kept.postings.bytes())
            .sum::<usize>();
        let tables = self.numbers.bytes() + self.named.bytes();
        let names = self.names.bytes() + self.owners.bytes();
        (postings + self.kept.bytes(), names + tables)
    }
}

/// Encodes rising numbers compactly: differences as variable-length integers (LEB128).
pub(crate) fn pack(numbers: &[u32]) -> Vec<u8> {
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
    bytes
}

/// Decodes the numbers of [`pack`].
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
        fn packed_numbers_unpack_to_the_same(numbers in prop::collection::btree_set(any::<u32>(), 0..50)) {
            let numbers: Vec<u32> = numbers.into_iter().collect();
            prop_assert_eq!(unpack(&pack(&numbers)), numbers);
        }
    }

    #[test]
    fn shared_names_find_all_owners_and_former_names_stay() {
        let mut facets = Facets::default();
        for (facet, name) in [
            ((FacetKind::Person, 1), "Steve McQueen"),
            ((FacetKind::Person, 2), "STEVE McQueen"),
            ((FacetKind::Keyword, 3), "Steve McQueen"),
            ((FacetKind::Person, 1), "Terence McQueen"),
        ] {
            facets.number_named(facet, facet, name);
        }
        assert_eq!(facets.ids(FacetKind::Person, "steve mcqueen"), [1, 2]);
        assert_eq!(facets.ids(FacetKind::Person, "Terence McQueen"), [1]);
        assert!(facets.ids(FacetKind::Person, "Nobody").is_empty());
    }
}
