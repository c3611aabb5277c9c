//! People in messages: full names anywhere, surnames and names in the other script where the words around show that a
//! person is meant. Pure.

use super::{
    lexicon::{LEXICON, Match, Meaning},
    text::{Gap, Text, is_hangul},
    token::{Content, Role},
    vocabulary::Vocabulary,
};

/// The longest name, in words.
const MAX_WORDS: usize = 5;
/// The number of words after a name within which a word may show that it is one.
const MAX_DISTANCE: usize = 3;

/// The person at `place`, and the end of the name. `known` is the lexicon's match, `before` the last token.
pub(super) fn person(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    place: usize,
    known: Option<Match<'_>>,
    before: Option<&Role>,
) -> Option<(String, usize)> {
    match text.is_hangul(place) {
        true => korean(text, vocabulary, place, known),
        false => latin(text, vocabulary, place, known, before),
    }
}

fn latin(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    place: usize,
    known: Option<Match<'_>>,
    before: Option<&Role>,
) -> Option<(String, usize)> {
    let known_end = known.map_or(place, |(end, _)| end);
    let (mut ends, mut end) = (Vec::new(), place);
    while ends.len() < MAX_WORDS
        && end < text.len()
        && (end == place || is_name_gap(text, end))
        && !text.is_hangul(end)
    {
        end = text.word_end(end);
        ends.push(end);
    }
    let is_introduced = matches!(
        before,
        Some(
            Role::Director | Role::By | Role::With | Role::Content(Content::Person(_)) | Role::And
        )
    ) && !matches!(before, Some(Role::And))
        || matches!(before, Some(Role::And)) && text.is_upper(place);
    let name = |end: usize| {
        let name = text.fragment(place..end);
        // A possessive: Hitchcock's.
        name.strip_suffix("'s")
            .or_else(|| name.strip_suffix("’s"))
            .unwrap_or(name)
    };
    let first_end = ends.first().copied()?;
    for end in ends
        .iter()
        .copied()
        .rev()
        .filter(|end| *end > known_end.max(first_end))
    {
        if let Some(found) = vocabulary.person(name(end)) {
            return Some((found, end));
        }
    }
    let is_named = text.is_upper(place) || known.is_none();
    if is_introduced && is_named {
        // Spelt in another way: Bong Jun Ho.
        let sounding = ends
            .iter()
            .copied()
            .rev()
            .filter(|end| (first_end + 1..).contains(end))
            .filter(|end| {
                let words = name(*end).split_whitespace().count();
                words <= 3
                    && (place..*end)
                        .filter(|at| text.is_start(*at))
                        .all(|at| text.is_upper(at))
            });
        for end in sounding {
            if let Some(found) = vocabulary.sounding(name(end), false) {
                return Some((found, end));
            }
        }
        if known.is_none_or(|(end, meaning)| {
            end <= first_end && text.is_upper(place) && !matches!(meaning, Meaning::Filler)
        }) {
            let found = vocabulary
                .person(name(first_end))
                .or_else(|| vocabulary.surname(name(first_end)));
            return found.map(|found| (found, first_end));
        }
    }
    // Hitchcock movies.
    if known.is_none() && text.is_upper(place) && is_followed_by_film(text, first_end) {
        return vocabulary
            .surname(name(first_end))
            .map(|found| (found, first_end));
    }
    None
}

/// True if a name may go on at `place`: an abbreviation ends with a point.
fn is_name_gap(text: &Text<'_>, place: usize) -> bool {
    text.gap(place) < Gap::Comma
        || (text.gap(place) == Gap::Stop && place >= 2 && text.is_start(place - 1))
}

/// True if one of the words from `place` on is a word for movies.
fn is_followed_by_film(text: &Text<'_>, mut place: usize) -> bool {
    for _ in 0..MAX_DISTANCE {
        if place >= text.len() || text.gap(place) >= Gap::Comma {
            return false;
        }
        if LEXICON
            .longest(text, place, |meaning| {
                matches!(meaning, Meaning::Film | Meaning::Unit)
            })
            .is_some()
        {
            return true;
        }
        place = text.word_end(place);
    }
    false
}

/// The marks of a person after a name.
#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Director,
    Actor,
    Film,
    /// 타란티노의.
    Possessive,
}

/// The first mark within a few words from `place` on.
fn mark(text: &Text<'_>, place: usize) -> Option<Mark> {
    let mut at = place;
    let mut words = 0;
    while at < text.len() && words < MAX_DISTANCE && text.gap(at) < Gap::Stop {
        let found = LEXICON.longest(text, at, |meaning| {
            matches!(meaning, Meaning::Director | Meaning::With)
        });
        match found {
            Some((_, Meaning::Director)) => return Some(Mark::Director),
            Some(_) => return Some(Mark::Actor),
            None => {}
        }
        if words == 0
            && text.gap(at) == Gap::Space
            && LEXICON
                .longest(text, at, |meaning| *meaning == Meaning::Film)
                .is_some()
        {
            return Some(Mark::Film);
        }
        at = text.spaced_end(at);
        words += 1;
    }
    None
}

fn korean(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    place: usize,
    known: Option<Match<'_>>,
) -> Option<(String, usize)> {
    let known_end = known.map_or(place, |(end, _)| end);
    let (mut ends, mut end) = (Vec::new(), place);
    for _ in 0..3 {
        let is_apart = end > place
            && (text.gap(end) >= Gap::Comma || LEXICON.longest(text, end, |_| true).is_some());
        if end >= text.len() || is_apart || !text.is_hangul(end) {
            break;
        }
        let word = end;
        end = text.spaced_end(end);
        // The end of the word, or before a particle or the word director.
        ends.extend((word + 2..end).filter(|at| {
            let is_particle = LEXICON
                .particle(text, *at)
                .is_some_and(|(after, _)| after == end);
            is_particle
                || LEXICON
                    .longest(text, *at, |meaning| *meaning == Meaning::Director)
                    .is_some()
        }));
        ends.push(end);
    }
    let name = |end: usize| text.fragment(place..end);
    let longer = || ends.iter().copied().rev().filter(|end| *end > known_end);
    if let Some(found) = longer()
        .filter(|end| end - place >= 3)
        .find_map(|end| Some((vocabulary.person(name(end))?, end)))
    {
        return Some(found);
    }
    if known.is_some_and(|(end, meaning)| meaning.is_content() || end > place + 1) {
        return None;
    }
    longer().find_map(|end| {
        let after = LEXICON.particle(text, end).map_or(end, |(after, _)| after);
        let is_possessive = after == end + 1 && text.char(end) == Some('의');
        let mark = mark(text, after).or(is_possessive.then_some(Mark::Possessive))?;
        let letters = name(end);
        let syllables = letters.chars().filter(|char| is_hangul(*char)).count();
        let is_full = syllables == 3 || letters.contains(' ');
        let found = match mark {
            Mark::Director if syllables >= 2 => vocabulary.sounding(letters, true),
            Mark::Actor | Mark::Possessive if syllables >= 4 => vocabulary.sounding(letters, true),
            Mark::Actor if is_full => vocabulary.sounding(letters, false),
            Mark::Film | Mark::Possessive if is_full && syllables >= 3 => {
                vocabulary.sounding_exactly(letters)
            }
            _ => None,
        };
        found.map(|found| (found, end))
    })
}
