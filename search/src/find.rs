//! The documents of a segment that a reading of a query finds, by the way in which they are found. [`crate::engine`] calls
//! it for each reading and segment.

use crate::{
    docs::Docs,
    document::{
        MAX_EDGE_CHARS, MAX_INITIALS, MAX_JOINED_CHARS, Tag, first_chars, initials, number_text,
    },
    error::IndexError,
    query::{Element, Reading},
    rank,
    request::Tolerance,
    retrieve::{MAX_PREFIX_TERMS, Segment, Spelling},
    text::{Joined, Word},
};

/// A word found in another name; among the cast and crew; there with typing errors; among keywords; as the year.
const OTHER_NAME: f32 = 0.65;
const CREDIT: f32 = 0.75;
const NEAR_CREDIT: f32 = 0.60;
const TOPIC: f32 = 0.50;
const YEAR: f32 = 0.85;
/// Terms of credits that a prefix may have.
const MAX_CREDIT_TERMS: usize = 256;

/// The documents of a segment by the way in which they are found.
#[derive(Default)]
pub(crate) struct Found {
    /// By a whole name of theirs.
    pub(crate) whole: Docs,
    /// By a whole name of their cast or crew.
    pub(crate) credit_name: Docs,
    /// By the start of a joined name, or by initial consonants.
    pub(crate) joined: Docs,
    /// By all words.
    pub(crate) words: Docs,
    /// For each word: the documents that have it, by place, with its worth.
    pub(crate) support: Vec<[(Docs, f32); 5]>,
}

/// The documents of a segment that a reading finds.
///
/// `errors` are the typing errors with which each word is looked up.
///
/// # Errors
/// `Storage` if the index cannot be read.
pub(crate) fn find(
    segment: &Segment<'_>,
    reading: &Reading,
    errors: &[u8],
    tolerance: Tolerance,
) -> Result<Found, IndexError> {
    if let Some(pattern) = &reading.pattern {
        return Ok(Found {
            joined: find_pattern(segment, pattern)?,
            ..Found::default()
        });
    }
    if reading.words.is_empty() {
        return Ok(Found::default());
    }
    let mut found = Found::default();
    let Joined { key, length, .. } = &reading.joined;
    let length = *length;
    let wholes = [key, reading.joined.numeric(), reading.joined.articleless()];
    found.whole = segment.with_any(Tag::Exact, wholes)?;
    found.credit_name = segment.with_any(Tag::CreditName, [key.as_str()])?;
    let joined = first_chars(key, MAX_JOINED_CHARS);
    if reading.words.len() > 1
        || length > MAX_EDGE_CHARS
        || reading.words.iter().any(Word::is_hangul)
    {
        found.joined = segment
            .with_prefix(Tag::Joined, joined, MAX_PREFIX_TERMS)?
            .unwrap_or_default();
    }
    let same_start = tolerance < Tolerance::Full;
    if tolerance == Tolerance::Joined {
        find_joined(segment, reading, &mut found.joined)?;
        return Ok(found);
    }
    let mut all: Option<Docs> = None;
    for (place, word) in reading.words.iter().enumerate() {
        let may_miss = word.is_optional() && reading.words.len() > 1;
        if may_miss && place + 1 < reading.words.len() {
            // A third of all documents have an article: it is compared with the names alone.
            found.support.push(Default::default());
            continue;
        }
        if let Some(same) = reading.words[..place]
            .iter()
            .position(|other| other.key == word.key)
            && place + 1 < reading.words.len()
        {
            found.support.push(found.support[same].clone());
            continue;
        }
        let errors = errors.get(place).copied().unwrap_or(0);
        let support = find_word(segment, reading, place, errors, same_start)?;
        if !may_miss {
            all = Some(match all {
                // Few documents are looked up in large sets faster than those are united.
                Some(Docs::List(mut few)) => {
                    few.retain(|doc| support.iter().any(|(docs, _)| docs.contains(*doc)));
                    Docs::List(few)
                }
                Some(many) => many.intersected(&any_of(&support)),
                None => any_of(&support),
            });
        }
        found.support.push(support);
    }
    found.words = all.unwrap_or_default();
    Ok(found)
}

/// The documents that have a word anywhere.
fn any_of(support: &[(Docs, f32)]) -> Docs {
    let mut any = Docs::default();
    support.iter().for_each(|(docs, _)| any.unite(docs));
    any
}

/// Adds the documents with a name that is near the reading without spaces, or begins so.
fn find_joined(
    segment: &Segment<'_>,
    reading: &Reading,
    docs: &mut Docs,
) -> Result<(), IndexError> {
    let Joined { key, length, .. } = &reading.joined;
    if !(5..MAX_JOINED_CHARS).contains(length) {
        return Ok(());
    }
    let spelling = |errors, prefix| Spelling {
        errors,
        prefix,
        same_start: false,
    };
    docs.unite(&segment.near(Tag::Joined, key, spelling(1, true))?);
    // Two errors in one word are found by the word.
    if errors_in(*length) > 1 && reading.words.len() > 1 {
        docs.unite(&segment.near(Tag::Exact, key, spelling(2, false))?);
    }
    Ok(())
}

/// True if a document of a segment has a word, with typing errors, anywhere.
///
/// # Errors
/// `Storage` if the index cannot be read.
pub(crate) fn has_word(
    segment: &Segment<'_>,
    word: &Reading,
    errors: &[u8],
) -> Result<bool, IndexError> {
    let errors = errors.first().copied().unwrap_or(0);
    let support = find_word(segment, word, 0, errors, false)?;
    Ok(support.iter().any(|(docs, _)| !docs.is_empty()))
}

/// The typing errors that are tolerated in `count` characters.
pub(crate) fn errors_in(count: usize) -> u8 {
    u8::try_from(rank::tolerance(count)).unwrap_or(0)
}

/// The documents that have a word of the reading, by the place in which they have it, with its worth.
fn find_word(
    segment: &Segment<'_>,
    reading: &Reading,
    place: usize,
    errors: u8,
    same_start: bool,
) -> Result<[(Docs, f32); 5], IndexError> {
    let word = &reading.words[place];
    let is_last = place + 1 == reading.words.len();
    let key = word.key.as_str();
    let length = word.chars();
    // Particles follow Korean words without a space.
    let may_begin = is_last || word.is_hangul();
    let number = word.number.map(number_text);
    let mut names = if may_begin && length <= MAX_EDGE_CHARS {
        let mut begun = segment.with_any(Tag::Edge, [key])?;
        begun.unite(&segment.with_any(Tag::Word, number.as_deref())?);
        begun
    } else {
        segment.with_any(Tag::Word, [key].into_iter().chain(number.as_deref()))?
    };
    // A pair of words that the title writes as one.
    for (one, two) in [
        (place.checked_sub(1), Some(place)),
        (Some(place), Some(place + 1)),
    ] {
        let pair = one
            .and_then(|one| reading.words.get(one))
            .zip(two.and_then(|two| reading.words.get(two)));
        if let Some((one, two)) = pair {
            let both = format!("{}{}", one.key, two.key);
            names.unite(&segment.with_any(Tag::Word, [both.as_str()])?);
        }
    }
    // Two words of the title that the query writes as one.
    names.unite(&segment.with_any(Tag::Pair, [key])?);
    if may_begin && length > MAX_EDGE_CHARS {
        for tag in [Tag::Word, Tag::Pair] {
            if let Some(begun) = segment.with_prefix(tag, key, MAX_PREFIX_TERMS)? {
                names.unite(&begun);
            }
        }
    }
    let begun_or_whole = |tag| -> Result<Docs, IndexError> {
        let begun = match may_begin && length >= 3 {
            true => segment.with_prefix(tag, key, MAX_CREDIT_TERMS)?,
            false => None,
        };
        begun.map_or_else(|| segment.with_any(tag, [key]), Ok)
    };
    let (credits, topics) = (begun_or_whole(Tag::Credit)?, begun_or_whole(Tag::Topic)?);
    let years = match word.is_digits() {
        true => segment.with_any(Tag::Year, [key])?,
        false => Docs::default(),
    };
    let mut near_credits = Docs::default();
    if errors > 0 && !word.is_digits() {
        let near = |tag, errors, prefix| {
            let spelling = Spelling {
                errors,
                prefix,
                same_start,
            };
            segment.near(tag, key, spelling)
        };
        names.unite(&near(Tag::Word, errors, false)?);
        if is_last && length >= 5 {
            names.unite(&near(Tag::Word, 1, true)?);
        }
        near_credits = near(Tag::Credit, errors, false)?;
    }
    Ok([
        (names, OTHER_NAME),
        (credits, CREDIT),
        (near_credits, NEAR_CREDIT),
        (topics, TOPIC),
        (years, YEAR),
    ])
}

/// The documents that may match a pattern of initial consonants.
fn find_pattern(segment: &Segment<'_>, pattern: &[Element]) -> Result<Docs, IndexError> {
    let letters: String = pattern
        .iter()
        .map(|element| match element {
            Element::Syllable(letters) => letters.chars().next().unwrap_or(' '),
            Element::Initial(letter) | Element::Other(letter) => *letter,
        })
        .collect();
    let letters: Vec<char> = initials(&letters).chars().collect();
    let mut all: Option<Docs> = None;
    for window in letters.windows(MAX_INITIALS.min(letters.len())) {
        let docs = segment.with_any(Tag::Initials, [window.iter().collect::<String>().as_str()])?;
        all = Some(match all {
            Some(before) => before.intersected(&docs),
            None => docs,
        });
    }
    Ok(all.unwrap_or_default())
}
