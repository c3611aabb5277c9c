//! The names of the catalogue as the parser finds them in a message: titles in every language that is known, people and
//! keywords. Built from a snapshot of the catalogue in the background; a look-up reads memory only.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use filter::{Bitmap, FacetKind};

use super::{
    lexicon::LEXICON,
    text::{edits, is_hangul, jamo, key, sounds},
};
use crate::read_model::Catalogue;

/// The shortest part of a title that stands for the whole, in letters.
const MIN_PART: usize = 3;
/// The shortest spelling that may have one typing error, and two, in letters or jamo.
const MIN_LETTERS_OF_EDITS: [usize; 2] = [5, 9];
/// The longest spelling that is compared with errors, in letters or jamo.
const MAX_LETTERS: usize = 64;
/// The factor of a movie's votes if the title is in its original language.
const ORIGINAL_BONUS: u32 = 10;
/// The number of consonants from which a name is found by its sounds.
const MIN_CONSONANTS: usize = 3;

fn hash(key: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// The meaning of a key, with its rank: the lower tier wins, then the higher weight, then the lower id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Meant<T> {
    tier: u8,
    weight: u32,
    id: T,
}

impl<T: Copy + Ord> Meant<T> {
    fn is_better_than(self, other: Self) -> bool {
        (self.tier, std::cmp::Reverse(self.weight), self.id)
            < (other.tier, std::cmp::Reverse(other.weight), other.id)
    }
}

/// The best meaning of each key, by the key's hash.
#[derive(Debug, Clone)]
struct Best<T>(HashMap<u64, Meant<T>>);

impl<T> Default for Best<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Copy + Ord> Best<T> {
    fn add(&mut self, key: impl Hash, meant: Meant<T>) {
        let known = self.0.entry(hash(key)).or_insert(meant);
        if meant.is_better_than(*known) {
            *known = meant;
        }
    }

    fn get(&self, key: impl Hash) -> Option<T> {
        self.0.get(&hash(key)).map(|meant| meant.id)
    }
}

/// A title for comparison with errors: the letters that it has as bits, and where they are.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    signature: u64,
    from: u32,
    length: u8,
    weight: u32,
    film: i64,
}

/// The names of a catalogue.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    titles: Best<i64>,
    spellings: Vec<Spelling>,
    letters: Vec<char>,
    /// The first name of each person, folded as the filter compares it.
    names: Vec<Box<str>>,
    people: Best<u32>,
    surnames: Best<u32>,
    /// By consonants: several, with their numbers of vowels.
    sounds: HashMap<u64, Vec<(u32, u8)>>,
    weights: Vec<u32>,
    keywords: HashMap<u64, (Box<str>, u32)>,
    providers: HashMap<String, i64>,
    provider_names: HashMap<i64, Box<str>>,
}

fn signature(letters: &[char]) -> u64 {
    letters
        .iter()
        .fold(0, |bits, letter| bits | 1 << (u32::from(*letter) % 61))
}

/// The number of errors that a spelling of this length may have.
fn tolerance(length: usize) -> usize {
    MIN_LETTERS_OF_EDITS
        .iter()
        .filter(|least| length >= **least)
        .count()
}

/// A name as the filter shows it: each word with a capital.
fn capitalized(name: &str) -> String {
    let mut starts = true;
    let letters = name.chars().flat_map(|char| {
        let capital = starts && char.is_lowercase();
        starts = char.is_whitespace() || char == '.';
        let upper = capital.then(|| char.to_uppercase());
        let same = (!capital).then_some(char);
        upper.into_iter().flatten().chain(same)
    });
    letters.collect()
}

/// Parts of `title` that stand for it, such as the title without the subtitle.
fn parts(title: &str) -> impl Iterator<Item = &str> {
    let separators = [
        ":",
        " - ",
        " (",
        ", and ",
        " and the ",
        " and ",
        "와 ",
        "과 ",
        "-",
        " / ",
    ];
    let cut = separators.into_iter().filter_map(move |separator| {
        let (part, _) = title.split_once(separator)?;
        Some((separator, part.trim()))
    });
    cut.filter(|(separator, part)| {
        let words = part.split_whitespace().count();
        let is_name = words >= 2 || matches!(*separator, ":" | " - " | " (" | "와 " | "과 " | "-");
        is_name && part.chars().count() >= MIN_PART
    })
    .map(|(_, part)| part)
}

impl Vocabulary {
    /// The names of `catalogue`.
    pub fn new(catalogue: &Catalogue) -> Self {
        let mut own = Self::default();
        let mut korean = Bitmap::with_rows(catalogue.len());
        if let Some(rows) = catalogue.in_language("ko") {
            rows.union_into(&mut korean);
        }
        let is_korean = |row: usize| u32::try_from(row).is_ok_and(|row| korean.contains(row));
        for row in catalogue.films().live().rows() {
            let weight = catalogue.films().vote_count(row);
            let (row, mut seen) = (row as usize, Vec::new());
            for title in catalogue.all_titles(row) {
                // 괴물 is The Host rather than The Thing.
                let is_original = title.contains(is_hangul) && is_korean(row);
                let weight = if is_original {
                    weight.saturating_mul(ORIGINAL_BONUS)
                } else {
                    weight
                };
                own.add_title(catalogue.id(row), title, weight, &mut seen);
            }
        }
        let mut persons = HashMap::new();
        for ((kind, id), name) in catalogue.films().facets().names() {
            let count =
                u32::try_from(catalogue.films().facets().count((kind, id))).unwrap_or(u32::MAX);
            match kind {
                FacetKind::Person if count > 0 => {
                    let number = persons.get(&id).copied();
                    persons.extend(
                        own.add_person(name, count, number)
                            .map(|number| (id, number)),
                    );
                }
                FacetKind::Keyword if count > 0 => {
                    let known = own
                        .keywords
                        .entry(hash(key(name)))
                        .or_insert_with(|| (name.into(), 0));
                    known.1 = known.1.saturating_add(count);
                }
                FacetKind::Provider => {
                    let letters = key(name);
                    // With the capitals of the lexicon: TVING.
                    let known = LEXICON.providers().find(|known| key(known) == letters);
                    let name = known.map_or_else(|| capitalized(name), str::to_owned);
                    if let Ok(id) = i64::try_from(id) {
                        own.providers.insert(letters, id);
                        own.provider_names.insert(id, name.into());
                    }
                }
                _ => {}
            }
        }
        own
    }

    fn add_title(&mut self, film: i64, title: &str, weight: u32, seen: &mut Vec<String>) {
        let whole = key(title);
        if whole.is_empty() || seen.contains(&whole) {
            return;
        }
        let mut add = |key: &str, tier| {
            self.titles.add(
                key,
                Meant {
                    tier,
                    weight,
                    id: film,
                },
            );
            let article = ["the", "a", "an"].into_iter().find_map(|article| {
                let rest = key
                    .strip_prefix(article)
                    .filter(|rest| rest.chars().count() >= MIN_PART)?;
                let is_word = title
                    .get(..article.len())
                    .is_some_and(|first| first.eq_ignore_ascii_case(article))
                    && title
                        .get(article.len()..)
                        .is_some_and(|rest| rest.starts_with(' '));
                is_word.then_some(rest)
            });
            if let Some(rest) = article {
                self.titles.add(
                    rest,
                    Meant {
                        tier: tier + 1,
                        weight,
                        id: film,
                    },
                );
            }
        };
        add(&whole, 0);
        for part in parts(title) {
            add(&key(part), 2);
        }
        let letters = jamo(&whole.chars().collect::<Vec<_>>());
        if let (Ok(length), Ok(from)) = (
            u8::try_from(letters.len()),
            u32::try_from(self.letters.len()),
        ) && letters.len() <= MAX_LETTERS
            && tolerance(letters.len() + 2) > 0
        {
            self.spellings.push(Spelling {
                signature: signature(&letters),
                from,
                length,
                weight,
                film,
            });
            self.letters.extend(letters);
        }
        seen.push(whole);
    }

    /// Adds a name of the person with the number `known`, or of one who is new and is shown by it; returns the number.
    fn add_person(&mut self, name: &str, count: u32, known: Option<u32>) -> Option<u32> {
        let id = match known {
            Some(id) => id,
            None => {
                let id = u32::try_from(self.names.len()).ok()?;
                self.names.push(name.into());
                self.weights.push(count);
                id
            }
        };
        let meant = |tier| Meant {
            tier,
            weight: count,
            id,
        };
        self.people.add(key(name), meant(0));
        let words: Vec<&str> = name.split_whitespace().collect();
        if let (Some(last), 2..) = (words.last(), words.len()) {
            self.surnames.add(key(last), meant(0));
            if !name.contains(is_hangul) {
                let (consonants, _) = sounds(last);
                self.surnames.add((consonants, "sounds"), meant(1));
            }
        }
        // Hangul is compared as it is: sounds join the two scripts.
        let (consonants, vowels) = sounds(name);
        if consonants.len() >= MIN_CONSONANTS && !name.contains(is_hangul) {
            let vowels = u8::try_from(vowels).unwrap_or(u8::MAX);
            self.sounds
                .entry(hash(consonants))
                .or_default()
                .push((id, vowels));
        }
        Some(id)
    }

    /// The movie with this title, given by its letters.
    pub(super) fn title(&self, letters: &str) -> Option<i64> {
        self.titles.get(letters)
    }

    /// The first of `spans` that is a title with at most a few typing errors, and its movie. Spans are letters.
    pub(super) fn similar_title(&self, spans: &[String]) -> Option<(usize, i64)> {
        struct Sought {
            letters: Vec<char>,
            signature: u64,
            tolerance: usize,
        }
        let sought: Vec<Sought> = spans
            .iter()
            .map(|span| {
                let letters = jamo(&span.chars().collect::<Vec<_>>());
                Sought {
                    signature: signature(&letters),
                    tolerance: tolerance(letters.len()),
                    letters,
                }
            })
            .collect();
        // Longer spans first; of one span the fewest errors, then the best known movie.
        let mut best: Option<((usize, usize, u32), i64)> = None;
        for spelling in &self.spellings {
            let length = usize::from(spelling.length);
            for (place, sought) in sought.iter().enumerate() {
                let differing = (spelling.signature ^ sought.signature).count_ones() as usize;
                if sought.tolerance == 0
                    || length.abs_diff(sought.letters.len()) > sought.tolerance
                    || differing > 2 * sought.tolerance
                    || best.is_some_and(|((known, _, _), _)| known < place)
                {
                    continue;
                }
                let from = spelling.from as usize;
                let letters = &self.letters[from..from + length];
                if let Some(edits) = edits(&sought.letters, letters, sought.tolerance) {
                    let found = (place, edits, u32::MAX - spelling.weight);
                    if best.is_none_or(|(known, _)| found < known) {
                        best = Some((found, spelling.film));
                    }
                }
            }
        }
        best.map(|((place, _, _), film)| (place, film))
    }

    /// The person with this full name, given as text.
    pub(super) fn person(&self, name: &str) -> Option<String> {
        let id = self.people.get(key(name))?;
        Some(self.name(id))
    }

    /// The person with this surname who is in the most movies.
    pub(super) fn surname(&self, name: &str) -> Option<String> {
        self.surnames.get(key(name)).map(|id| self.name(id))
    }

    /// The person whose name or, with `by_surname`, surname sounds like `name`.
    pub(super) fn sounding(&self, name: &str, by_surname: bool) -> Option<String> {
        let found = |consonants: &str, vowels: usize| {
            let known = self.sounds.get(&hash(consonants))?;
            let near = known
                .iter()
                .map(|(id, own)| (usize::from(*own).abs_diff(vowels), *id));
            near.filter(|(distance, _)| *distance <= 1)
                .min_by_key(|(distance, id)| (*distance, u32::MAX - self.weights[*id as usize]))
        };
        let (consonants, vowels) = sounds(name);
        // 이 is Lee, 임 is Lim, 유 is Yoo or Ryu.
        let liquid = match name.chars().next() {
            Some('이' | '임' | '유' | '여') => Some(format!("L{consonants}")),
            _ => None,
        };
        let long_enough = |consonants: &String| consonants.len() >= MIN_CONSONANTS;
        let mut spellings = liquid
            .into_iter()
            .chain([consonants.clone()])
            .filter(long_enough);
        let person = spellings
            .find_map(|consonants| found(&consonants, vowels))
            .map(|(_, id)| id);
        let last = name.split_whitespace().last().unwrap_or(name);
        let surname = || {
            let (consonants, _) = sounds(last);
            (by_surname && consonants.len() >= MIN_CONSONANTS)
                .then(|| self.surnames.get((consonants, "sounds")))
                .flatten()
        };
        person.or_else(surname).map(|id| self.name(id))
    }

    /// The person whose full name has the same consonants as `name`, at least four, and as many vowels.
    pub(super) fn sounding_exactly(&self, name: &str) -> Option<String> {
        let (consonants, vowels) = sounds(name);
        let known = self
            .sounds
            .get(&hash(&consonants))
            .filter(|_| consonants.len() > MIN_CONSONANTS)?;
        let same = known.iter().filter(|(_, own)| usize::from(*own) == vowels);
        same.max_by_key(|(id, _)| self.weights[*id as usize])
            .map(|(id, _)| self.name(*id))
    }

    fn name(&self, id: u32) -> String {
        capitalized(&self.names[id as usize])
    }

    /// The keyword with these letters, as the catalogue names it, and the number of movies that have it.
    pub(super) fn keyword(&self, letters: &str) -> Option<(&str, u32)> {
        let (name, count) = self.keywords.get(&hash(letters))?;
        Some((name, *count))
    }

    /// The catalogue's name of a provider with these letters.
    pub(super) fn provider(&self, letters: &str) -> Option<&str> {
        self.provider_name(*self.providers.get(letters)?)
    }

    /// The name of the provider with this id of TMDB's.
    pub fn provider_name(&self, id: i64) -> Option<&str> {
        self.provider_names.get(&id).map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_titles_stand_for_them() {
        let parts = |title| parts(title).map(key).collect::<Vec<_>>();
        assert_eq!(parts("Kill Bill: Vol. 1"), ["killbill"]);
        assert_eq!(
            parts("Harry Potter and the Philosopher's Stone")[0],
            "harrypotter"
        );
        assert_eq!(parts("해리 포터와 비밀의 방"), ["해리포터"]);
        assert!(parts("Jaws").is_empty());
    }

    #[test]
    fn names_are_capitalized() {
        assert_eq!(capitalized("park chan-wook"), "Park Chan-wook");
        assert_eq!(capitalized("j.j. abrams"), "J.J. Abrams");
        assert_eq!(capitalized("봉준호"), "봉준호");
    }

    #[test]
    fn tolerance_grows_with_length() {
        assert_eq!([4, 5, 8, 9].map(tolerance), [0, 1, 1, 2]);
    }
}
