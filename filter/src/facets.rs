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

/// The text of a [`code`].
pub(crate) fn code_text(code: u64) -> String {
    let bytes = code.to_be_bytes().into_iter().filter(|byte| *byte != 0);
    bytes.map(char::from).collect()
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

/// The owner of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Owner {
    id: u64,
    /// The [`code`] of the name's language; 0 for that of the catalogue.
    language: u32,
    kind: FacetKind,
}

impl Owner {
    fn new((kind, id): Facet, language: &str) -> Self {
        let language = code(language).and_then(|code| u32::try_from(code).ok());
        Self {
            id,
            language: language.unwrap_or(0),
            kind,
        }
    }
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
    /// Indices of [`Facets::owners`] and [`Facets::names`], by kind and folded name; several where they share it.
    named: RowTable,
    /// The same by owner: the latest name of each.
    shown: RowTable,
    owners: Column<Owner>,
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
            self.name(owner, "", name);
        }
        number
    }

    /// Lets `owner` be found by `name` as well, its latest name in `language`, ISO 639; that of the catalogue if it is
    /// empty.
    pub(crate) fn name(&mut self, owner: Facet, language: &str, name: &str) {
        let owner = Owner::new(owner, language);
        let folded = fold(name);
        let shown = self.shown_number(owner);
        if shown.is_some_and(|number| self.name_at(number) == name) {
            return;
        }
        let mut known = self.numbers_of(owner.kind, &folded).into_iter();
        let known = known.find(|number| self.owners[*number as usize] == owner);
        let number = match known {
            Some(number) => number,
            None => {
                let number = u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
                self.owners.push(owner);
                self.names.push(name.as_bytes());
                let (owners, names) = (&self.owners, &self.names);
                self.named.insert(number, |number| {
                    let number = number as usize;
                    // They were strings when they were stored.
                    let name = std::str::from_utf8(names.get(number)).unwrap_or_default();
                    (owners[number].kind, fold(name))
                });
                number
            }
        };
        if shown != Some(number) {
            if let Some(former) = shown {
                self.shown.remove(owner, former);
            }
            let owners = &self.owners;
            self.shown.insert(number, |number| owners[number as usize]);
        }
    }

    fn shown_number(&self, owner: Owner) -> Option<u32> {
        self.shown
            .find(owner, |number| self.owners[number as usize] == owner)
    }

    fn name_at(&self, number: u32) -> &str {
        // It was a string when it was stored.
        std::str::from_utf8(self.names.get(number as usize)).unwrap_or_default()
    }

    /// The latest name of `owner` in `language`, ISO 639, if it has one; its own if `language` is empty.
    pub fn name_of(&self, owner: Facet, language: &str) -> Option<&str> {
        let number = self.shown_number(Owner::new(owner, language))?;
        Some(self.name_at(number)).filter(|name| !name.is_empty())
    }

    /// True if a movie has or had a facet by which `owner` is known.
    pub(crate) fn is_named(&self, owner: Facet) -> bool {
        self.shown_number(Owner::new(owner, "")).is_some()
    }

    /// The ids of `kind` with that name.
    pub(crate) fn ids(&self, kind: FacetKind, name: &str) -> Vec<u64> {
        let numbers = self.numbers_of(kind, &fold(name));
        let mut ids: Vec<u64> = numbers
            .into_iter()
            .map(|number| self.owners[number as usize].id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The numbers of this folded name of `kind`.
    fn numbers_of(&self, kind: FacetKind, folded: &str) -> Vec<u32> {
        let is_named = |number: u32| {
            self.owners[number as usize].kind == kind && fold(self.name_at(number)) == folded
        };
        self.named.find_all((kind, folded), is_named).collect()
    }

    /// The names of facets, former ones and those in other languages included.
    pub fn names(&self) -> impl Iterator<Item = (Facet, &str)> {
        let numbers = 0..u32::try_from(self.owners.len()).unwrap_or(u32::MAX);
        numbers.map(|number| {
            let owner = self.owners[number as usize];
            ((owner.kind, owner.id), self.name_at(number))
        })
    }

    /// The facets of `kind` that any movie has, with the number of movies.
    pub(crate) fn of_kind(&self, kind: FacetKind) -> impl Iterator<Item = (u64, usize)> {
        let kept = self.kept.iter().filter(move |kept| kept.facet.0 == kind);
        kept.map(|kept| (kept.facet.1, kept.postings.len()))
            .filter(|(_, count)| *count > 0)
    }

    /// True if a facet of `kind` has this name.
    pub fn has_name(&self, kind: FacetKind, name: &str) -> bool {
        !self.numbers_of(kind, &fold(name)).is_empty()
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
        let tables = self.numbers.bytes() + self.named.bytes() + self.shown.bytes();
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
        assert_eq!(
            facets.name_of((FacetKind::Person, 1), ""),
            Some("Terence McQueen")
        );
        facets.name((FacetKind::Person, 1), "ko", "테런스 매퀸");
        facets.number_named(
            (FacetKind::Person, 1),
            (FacetKind::Person, 1),
            "Steve McQueen",
        );
        for (language, name) in [
            ("", Some("Steve McQueen")),
            ("ko", Some("테런스 매퀸")),
            ("ja", None),
        ] {
            assert_eq!(facets.name_of((FacetKind::Person, 1), language), name);
        }
        assert_eq!(facets.ids(FacetKind::Person, "테런스 매퀸"), [1]);
    }
}
