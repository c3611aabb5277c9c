//! The lexicon: words and phrases of English and Korean with their meanings, from `lexicon/*.tsv`, found by longest match
//! on word boundaries. Korean nouns take particles, stems take endings; English nouns take plural endings. Pure.

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use super::text::{Gap, Text, is_hangul, key};

/// The longest ending of a stem, in syllables.
const MAX_ENDING: usize = 6;
/// A group of alternatives.
pub(super) type Names = Vec<&'static str>;

/// A period named by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    Recent,
    New,
    ThisYear,
    LastYear,
    Classic,
    Old,
}

/// A runtime named by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Short,
    /// Not too long.
    Medium,
    Long,
    /// Not too short.
    Some,
}

/// Votes named by a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Votes {
    Good,
    /// Good, and known to few.
    Gem,
    Famous,
}

/// The meaning of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Genres, all of them.
    Genres(Names),
    /// Keywords, any of them.
    Keywords(Names),
    /// Original languages, any of them.
    Languages(Names),
    Country(&'static str),
    Provider(&'static str),
    Era(Era),
    Length(Length),
    Votes(Votes),
    Sort(&'static str),
    /// Excludes what follows.
    Negate,
    /// Excludes what precedes.
    NegateAfter,
    /// Looks like a negation, and is none.
    Idiom,
    /// Begins like a language, and is about something else.
    Unrelated,
    Or,
    And,
    But,
    /// Introduces an example.
    Like,
    /// Looks like [`Meaning::Like`], and is not.
    NotLike,
    /// Follows an example.
    LikeAfter,
    Director,
    By,
    With,
    About,
    /// The word movie.
    Film,
    /// A unit in which movies are counted.
    Unit,
    /// A unit in which other things are counted.
    OtherUnit,
    /// Nothing.
    Filler,
}

impl Meaning {
    /// True if it is a part of the reading by itself.
    pub(super) fn is_content(&self) -> bool {
        matches!(
            self,
            Self::Genres(_)
                | Self::Keywords(_)
                | Self::Languages(_)
                | Self::Country(_)
                | Self::Provider(_)
                | Self::Era(_)
                | Self::Length(_)
                | Self::Votes(_)
                | Self::Sort(_)
        )
    }

    fn parse(name: &'static str) -> Option<Self> {
        let (kind, value) = name.split_once(':').unwrap_or((name, ""));
        let names = || value.split('|').collect::<Names>();
        Some(match kind {
            "genre" => Self::Genres(
                name.split(',')
                    .filter_map(|part| part.strip_prefix("genre:"))
                    .collect(),
            ),
            "keyword" => Self::Keywords(names()),
            "lang" => Self::Languages(names()),
            "country" => Self::Country(value),
            "provider" => Self::Provider(value),
            "era" => Self::Era(match value {
                "recent" => Era::Recent,
                "new" => Era::New,
                "this_year" => Era::ThisYear,
                "last_year" => Era::LastYear,
                "classic" => Era::Classic,
                "old" => Era::Old,
                _ => return None,
            }),
            "runtime" => Self::Length(match value {
                "short" => Length::Short,
                "medium" => Length::Medium,
                "long" => Length::Long,
                "some_length" => Length::Some,
                _ => return None,
            }),
            "votes" => Self::Votes(match value {
                "good" => Votes::Good,
                "gem" => Votes::Gem,
                "famous" => Votes::Famous,
                _ => return None,
            }),
            "sort" => Self::Sort(value),
            "negate" => Self::Negate,
            "negate_after" => Self::NegateAfter,
            "negate_only" => Self::Idiom,
            "not_a_language" => Self::Unrelated,
            "or" => Self::Or,
            "and" | "like_link" => Self::And,
            "but" => Self::But,
            "like" => Self::Like,
            "not_like" => Self::NotLike,
            "like_after" => Self::LikeAfter,
            "director" => Self::Director,
            "by" => Self::By,
            "with" => Self::With,
            "set_in" => Self::About,
            "film" => Self::Film,
            "count_unit" => Self::Unit,
            "unit_other" => Self::OtherUnit,
            "stop" => Self::Filler,
            _ => return None,
        })
    }
}

/// Particles, with what they mean for the words that they join.
const PARTICLES: &[(&str, Meaning)] = &[
    ("이거나", Meaning::Or),
    ("거나", Meaning::Or),
    ("이나", Meaning::Or),
    ("나", Meaning::Or),
    ("이랑", Meaning::And),
    ("랑", Meaning::And),
    ("하고", Meaning::And),
    ("와", Meaning::And),
    ("과", Meaning::And),
    ("이며", Meaning::And),
    ("에서도", Meaning::Filler),
    ("에서만", Meaning::Filler),
    ("에서", Meaning::Filler),
    ("에게", Meaning::Filler),
    ("으로", Meaning::Filler),
    ("로", Meaning::Filler),
    ("은", Meaning::Filler),
    ("는", Meaning::Filler),
    ("이", Meaning::Filler),
    ("가", Meaning::Filler),
    ("을", Meaning::Filler),
    ("를", Meaning::Filler),
    ("의", Meaning::Filler),
    ("에", Meaning::Filler),
    ("도", Meaning::Filler),
    ("만", Meaning::Filler),
    ("보다", Meaning::Filler),
    ("까지", Meaning::Filler),
    ("부터", Meaning::Filler),
    ("이요", Meaning::Filler),
    ("요", Meaning::Filler),
    ("이고", Meaning::Filler),
    ("고", Meaning::Filler),
    ("인데", Meaning::Filler),
    ("인", Meaning::Filler),
    ("이면", Meaning::Filler),
    ("면", Meaning::Filler),
    ("이라도", Meaning::Filler),
    ("라도", Meaning::Filler),
    ("이라", Meaning::Filler),
    ("라", Meaning::Filler),
    ("들이", Meaning::Filler),
    ("들", Meaning::Filler),
    ("적인", Meaning::Filler),
    ("적", Meaning::Filler),
    ("스러운", Meaning::Filler),
    ("쯤", Meaning::Filler),
    ("님", Meaning::Filler),
];

/// The endings of stems of one syllable; longer stems take any.
const ENDINGS: &[&str] = &[
    "",
    "은",
    "는",
    "게",
    "고",
    "지",
    "기",
    "어",
    "아",
    "요",
    "네",
    "던",
    "을",
    "음",
    "은데",
    "는데",
    "어서",
    "어요",
    "습니다",
    "나요",
    "을까",
    "을까요",
    "으면",
    "면",
    "니",
    "다",
    "지만",
    "은거",
    "은걸",
    "도록",
    "해",
    "한",
    "하고",
];

#[derive(Debug)]
struct Entry {
    meaning: Meaning,
    is_stem: bool,
}

/// The words and phrases by their letters.
#[derive(Debug, Default)]
pub(super) struct Lexicon {
    entries: HashMap<String, Vec<Entry>>,
    /// The length of the longest entry that begins with a letter.
    longest: HashMap<char, usize>,
}

/// The lexicon of both languages.
pub(super) static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| {
    let mut lexicon = Lexicon::default();
    for line in concat!(
        include_str!("lexicon/en.tsv"),
        include_str!("lexicon/ko.tsv")
    )
    .lines()
    {
        lexicon.add(line);
    }
    lexicon
});

/// A match: where it ends, and its meaning.
pub(super) type Match<'a> = (usize, &'a Meaning);

impl Lexicon {
    fn add(&mut self, line: &'static str) -> Option<()> {
        let line = Some(line).filter(|line| !line.starts_with('#'))?;
        let (name, words) = line.split_once('\t')?;
        let meaning = Meaning::parse(name)?;
        for word in words.split(',').map(str::trim) {
            let (word, is_stem) = word
                .strip_suffix('~')
                .map_or((word, false), |word| (word, true));
            let mut letters = key(word);
            if word.ends_with('+') {
                letters.push('+');
            }
            let meaning = meaning.clone();
            let first = letters.chars().next()?;
            let length = letters.chars().count();
            let longest = self.longest.entry(first).or_default();
            *longest = length.max(*longest);
            self.entries
                .entry(letters)
                .or_default()
                .push(Entry { meaning, is_stem });
        }
        Some(())
    }

    /// The longest entry at `place` with a meaning that `accept` accepts. `place` begins a word, or follows a match
    /// within a Korean word.
    pub(super) fn longest(
        &self,
        text: &Text<'_>,
        place: usize,
        accept: impl Fn(&Meaning) -> bool + Copy,
    ) -> Option<Match<'_>> {
        self.ends(text, place)
            .rev()
            .find_map(|end| self.entry(text, place, end, accept))
    }

    /// The names of watch providers.
    pub(super) fn providers(&self) -> impl Iterator<Item = &'static str> {
        let meanings = self.entries.values().flatten().map(|entry| &entry.meaning);
        meanings.filter_map(|meaning| match meaning {
            Meaning::Provider(name) => Some(*name),
            _ => None,
        })
    }

    /// The places at which an entry at `place` may end.
    fn ends(&self, text: &Text<'_>, place: usize) -> Range<usize> {
        // An inflected form is longer than its entry by two letters at most; a point of a number is not counted.
        let longest = text
            .char(place)
            .and_then(|char| self.longest.get(&char))
            .map_or(0, |longest| longest + 3);
        let mut last = place;
        while last < text.len()
            && last - place < longest
            && (last == place || text.gap(last) < Gap::Comma)
        {
            last += 1;
        }
        place + 1..last + 1
    }

    fn letters(text: &Text<'_>, range: Range<usize>) -> String {
        text.chars()[range]
            .iter()
            .filter(|char| **char != '.')
            .collect()
    }

    /// The entry with the letters from `place` to `end`.
    fn entry(
        &self,
        text: &Text<'_>,
        place: usize,
        end: usize,
        accept: impl Fn(&Meaning) -> bool + Copy,
    ) -> Option<Match<'_>> {
        if !text.is_hangul(end - 1) {
            if !text.is_start(end) {
                return None;
            }
            let letters = Self::letters(text, place..end);
            let found = |letters: &str| {
                let mut entries = self.entries.get(letters)?.iter();
                entries
                    .find(|entry| accept(&entry.meaning))
                    .map(|entry| (end, &entry.meaning))
            };
            let singular = |ending: &str, by: &str| {
                let stem = letters
                    .strip_suffix(ending)
                    .filter(|stem| stem.len() > 2 && stem.is_ascii())?;
                found(&format!("{stem}{by}"))
            };
            return found(&letters)
                .or_else(|| singular("ies", "y"))
                .or_else(|| singular("s", ""))
                .or_else(|| singular("es", ""));
        }
        let entries = self.entries.get(&Self::letters(text, place..end))?;
        let mut accepted = entries.iter().filter(|entry| accept(&entry.meaning));
        let first = accepted.next()?;
        if text.is_start(end) || self.continues(text, end) {
            return Some((end, &first.meaning));
        }
        let stem = std::iter::once(first)
            .chain(accepted)
            .find(|entry| entry.is_stem)?;
        ending(text, place, end).map(|end| (end, &stem.meaning))
    }

    /// True if the rest of the Korean word from `place` on is particles and further entries.
    fn continues(&self, text: &Text<'_>, place: usize) -> bool {
        let places = text.continues.get_or_init(|| self.continuations(text));
        places.get(place).copied().unwrap_or_default()
    }

    /// [`Lexicon::continues`] of every place, from the last to the first, so that the work grows with the length only.
    fn continuations(&self, text: &Text<'_>) -> Vec<bool> {
        let mut continues = vec![false; text.len() + 1];
        let mut begins_entry = vec![false; text.len() + 1];
        for place in (0..text.len()).rev().filter(|place| text.is_hangul(*place)) {
            begins_entry[place] = self.ends(text, place).any(|end| {
                text.is_hangul(end - 1)
                    && self
                        .entries
                        .get(&Self::letters(text, place..end))
                        .is_some_and(|entries| {
                            text.is_start(end)
                                || continues[end]
                                || (entries.iter().any(|entry| entry.is_stem)
                                    && ending(text, place, end).is_some())
                        })
            });
            let particle = self.particle(text, place);
            continues[place] = begins_entry[place]
                || particle.is_some_and(|(end, _)| text.is_start(end) || begins_entry[end]);
        }
        continues
    }

    /// The longest particle at `place`, within a Korean word.
    pub(super) fn particle(&self, text: &Text<'_>, place: usize) -> Option<Match<'static>> {
        if place == 0 || text.gap(place) > Gap::Script {
            return None;
        }
        let found = PARTICLES.iter().filter_map(|(particle, meaning)| {
            let end = place + particle.chars().count();
            let letters = text.chars().get(place..end)?;
            let is_same = particle.chars().eq(letters.iter().copied());
            let is_joined = (place + 1..end).all(|place| !text.is_start(place));
            (is_same && is_joined).then_some((end, meaning))
        });
        found.max_by_key(|(end, _)| *end)
    }
}

/// The end of a stem's ending: of the word, or before a negation in it.
fn ending(text: &Text<'_>, place: usize, end: usize) -> Option<usize> {
    let word_end = (end..text.len())
        .find(|place| text.is_start(*place))
        .unwrap_or(text.len());
    let rest = &text.chars()[end..word_end];
    let before_negation = rest.iter().position(|char| *char == '않');
    let length = before_negation.unwrap_or(rest.len());
    let ending: String = rest[..length].iter().collect();
    let is_known = match end - place {
        1 => ENDINGS.contains(&ending.as_str()),
        _ => length <= MAX_ENDING && ending.chars().all(is_hangul),
    };
    is_known.then_some(end + length)
}

#[cfg(test)]
mod tests;
