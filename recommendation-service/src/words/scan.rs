//! A message as tokens: examples, people and quantities first, then the lexicon and the catalogue's keywords, each by its
//! longest match. What remains is unknown. Pure.

use std::ops::Range;

use chrono::NaiveDate;

use super::{
    examples::{Examples, examples},
    lexicon::{LEXICON, Meaning},
    numbers::{count, rating, runtime},
    people::person,
    period::{period, short_range},
    text::{Gap, Text, key},
    token::{Content, Role, Token},
    vocabulary::Vocabulary,
};

/// The longest keyword, in words.
const MAX_KEYWORD_WORDS: usize = 4;
/// The shortest keyword that is not in the lexicon, in letters.
const MIN_KEYWORD_LETTERS: usize = 4;

/// The tokens of `text`.
pub(super) fn scan(text: &Text<'_>, vocabulary: &Vocabulary, today: NaiveDate) -> Vec<Token> {
    let examples = examples(text, vocabulary);
    let mut scanner = Scanner {
        text,
        vocabulary,
        today,
        examples,
        tokens: Vec::new(),
    };
    let mut place = 0;
    while place < text.len() {
        let gap = text.gap(place);
        if gap >= Gap::Comma && place > 0 {
            scanner.push(Role::Break(gap), place..place);
        }
        place = scanner.next(place);
    }
    scanner.tokens
}

struct Scanner<'a> {
    text: &'a Text<'a>,
    vocabulary: &'a Vocabulary,
    today: NaiveDate,
    examples: Examples,
    tokens: Vec<Token>,
}

fn role(meaning: &Meaning, vocabulary: &Vocabulary) -> Role {
    Role::Content(match meaning {
        Meaning::Genres(names) => Content::Genres(names.clone()),
        Meaning::Keywords(names) => {
            // The first says what was meant; of the others those that the catalogue has.
            let is_known = |name: &str| vocabulary.keyword(&key(name)).is_some();
            let kept = names
                .iter()
                .enumerate()
                .filter(|(place, name)| *place == 0 || is_known(name));
            Content::Keywords(kept.map(|(_, name)| (*name).to_owned()).collect())
        }
        Meaning::Languages(codes) => Content::Languages(codes.clone()),
        Meaning::Country(code) => Content::Country(code),
        Meaning::Provider(name) => Content::Provider((*name).to_owned()),
        Meaning::Era(era) => Content::Era(*era),
        Meaning::Length(length) => Content::Length(*length),
        Meaning::Votes(votes) => Content::Votes(*votes),
        Meaning::Sort(sort) => Content::Sort(sort),
        Meaning::Negate => return Role::Negate,
        Meaning::NegateAfter => return Role::NegateAfter,
        Meaning::Or => return Role::Or,
        Meaning::And => return Role::And,
        Meaning::But => return Role::But,
        Meaning::Director => return Role::Director,
        Meaning::By => return Role::By,
        Meaning::With => return Role::With,
        Meaning::About => return Role::About,
        Meaning::Film | Meaning::Unit => return Role::Film,
        Meaning::Unrelated => return Role::Unknown,
        Meaning::Idiom
        | Meaning::Like
        | Meaning::NotLike
        | Meaning::LikeAfter
        | Meaning::OtherUnit
        | Meaning::Filler => {
            return Role::Filler;
        }
    })
}

impl Scanner<'_> {
    fn push(&mut self, role: Role, range: Range<usize>) {
        // Unknown words of one clause are one fragment.
        if let (Role::Unknown, Some(last)) = (&role, self.tokens.last_mut())
            && last.role == Role::Unknown
            && last.range.end == range.start
            && self.text.gap(range.start) < Gap::Comma
        {
            last.range.end = range.end;
            return;
        }
        self.tokens.push(Token { role, range });
    }

    /// Reads a token at `place`; returns its end.
    fn next(&mut self, place: usize) -> usize {
        let text = self.text;
        if let Some((role, end)) = self.examples.token(place) {
            self.push(role, place..end);
            return end;
        }
        if !text.is_start(place) {
            return self.within_word(place);
        }
        if let Some((content, end)) = self.quantity(place) {
            self.push(Role::Content(content), place..end);
            return end;
        }
        let known = LEXICON.longest(text, place, |_| true);
        let known_end = known.map_or(place, |(end, _)| end);
        if let Some((name, end)) = person(text, self.vocabulary, place, known, self.before())
            && !self.examples.covers(place..end)
        {
            self.push(Role::Content(Content::Person(name)), place..end);
            return end;
        }
        if let Some((id, end)) = self
            .examples
            .bare_title(text, self.vocabulary, place, known_end)
        {
            self.push(Role::Content(Content::Like(id)), place..end);
            return end;
        }
        if let Some((content, end)) = self.catalogue_name(place, known_end) {
            self.push(Role::Content(content), place..end);
            return end;
        }
        match known {
            Some((end, meaning)) => {
                let role = match meaning {
                    Meaning::Languages(_) | Meaning::Country(_)
                        if self.is_proper_name(place, end) =>
                    {
                        Role::Unknown
                    }
                    meaning => role(meaning, self.vocabulary),
                };
                self.push(role, place..end);
                end
            }
            None => {
                let end = match text.is_hangul(place) {
                    true => text.spaced_end(place),
                    false => text.word_end(place),
                };
                let end = self
                    .examples
                    .next_start(place)
                    .map_or(end, |start| start.min(end));
                self.push(Role::Unknown, place..end);
                end
            }
        }
    }

    /// The role of the last token that is neither filler nor the word movie.
    fn before(&self) -> Option<&Role> {
        let last = self
            .tokens
            .iter()
            .rev()
            .find(|token| token.role != Role::Filler);
        last.map(|token| &token.role)
    }

    /// Reads a token at `place` within a Korean word.
    fn within_word(&mut self, place: usize) -> usize {
        let text = self.text;
        let word_end = text.spaced_end(place);
        let particle = LEXICON.particle(text, place);
        let known = LEXICON.longest(text, place, |_| true);
        let particle = particle.filter(|(end, _)| {
            text.is_start(*end) || known.is_none() || self.examples.token(*end).is_some()
        });
        let (role, end) = match (particle, known) {
            (Some((end, meaning)), None) => (role(meaning, self.vocabulary), end),
            (Some((end, meaning)), Some((known_end, _))) if end >= known_end => {
                (role(meaning, self.vocabulary), end)
            }
            (_, Some((end, meaning))) => (role(meaning, self.vocabulary), end),
            (None, None) => (Role::Filler, word_end),
        };
        self.push(role, place..end);
        end
    }

    fn quantity(&self, place: usize) -> Option<(Content, usize)> {
        let (text, today) = (self.text, self.today);
        if let Some((value, end)) = runtime(text, place) {
            return Some((Content::Runtime(value), end));
        }
        if let Some((value, end)) = rating(text, place) {
            return Some((Content::Rating(value), end));
        }
        if let Some((value, end)) =
            short_range(text, place, today).or_else(|| period(text, place, today))
        {
            return Some((Content::Period(value), end));
        }
        count(text, place).map(|(value, end)| (Content::Count(value), end))
    }

    /// A keyword or provider at `place` by its name in the catalogue, longer than an entry of the lexicon.
    fn catalogue_name(&self, place: usize, known_end: usize) -> Option<(Content, usize)> {
        let text = self.text;
        if text.is_hangul(place) {
            return None;
        }
        let (mut ends, mut end) = (Vec::new(), place);
        while ends.len() < MAX_KEYWORD_WORDS
            && end < text.len()
            && (end == place || text.gap(end) < Gap::Comma)
        {
            end = text.word_end(end);
            ends.push(end);
        }
        let is_subject = self.before() == Some(&Role::About);
        ends.into_iter()
            .rev()
            .filter(|end| *end > known_end)
            .find_map(|end| {
                let letters: String = text.chars()[place..end]
                    .iter()
                    .filter(|char| char.is_alphanumeric())
                    .collect();
                let singular = letters.strip_suffix('s').unwrap_or(&letters);
                if let Some(name) = self.vocabulary.provider(&letters) {
                    return Some((Content::Provider(name.to_owned()), end));
                }
                let found = self
                    .vocabulary
                    .keyword(&letters)
                    .or_else(|| self.vocabulary.keyword(singular))?;
                let is_known =
                    letters.chars().count() >= MIN_KEYWORD_LETTERS && (found.1 > 1 || is_subject);
                // A name with a comma cannot be given by name.
                let is_name = !found.0.contains([',', '|']);
                (is_known && is_name).then(|| (Content::Keywords(vec![found.0.to_owned()]), end))
            })
    }

    /// True if a language or country is part of a name of something else, such as `Korean Air`: a capitalized word that
    /// means nothing else follows.
    fn is_proper_name(&self, place: usize, end: usize) -> bool {
        let text = self.text;
        let is_joined = text.gap(end) == Gap::Space && text.is_upper(end) && text.is_upper(place);
        is_joined
            && LEXICON.longest(text, end, |_| true).is_none()
            && person(text, self.vocabulary, end, None, None).is_none()
            && self.catalogue_name(end, end).is_none()
            && self.quantity(end).is_none()
    }
}
