//! Movies named as examples: quoted titles, titles after words such as *like* and before words such as 같은, and titles
//! of several words anywhere. They are found first, since their words mean nothing else. Pure.

use std::{cell::Cell, collections::BTreeMap, ops::Range};

use super::{
    lexicon::{LEXICON, Meaning},
    numbers::eat_any,
    text::{Gap, Text, is_hangul},
    token::{Content, Role},
    vocabulary::Vocabulary,
};

/// The longest title that is looked up, in words; with typing errors; and as an example that nothing introduces.
const MAX_WORDS: usize = 12;
const MAX_WORDS_OF_TYPO: usize = 6;
const MIN_BARE_WORDS: usize = 2;
/// The number of examples.
const MAX_EXAMPLES: usize = 10;
/// The number of searches for titles with typing errors in a message: each compares all titles.
const MAX_SEARCHES: u8 = 8;

/// Particles after a title.
const PARTICLES: &[&str] = &[
    "이랑",
    "하고",
    "이나",
    "이라는",
    "을",
    "를",
    "이",
    "가",
    "와",
    "과",
    "랑",
    "은",
    "는",
    "의",
    "도",
    "나",
];
/// Particles that join titles.
const LINKS: &[&str] = &["이랑", "하고", "이나", "와", "과", "랑", "나"];

/// Words between a title and what shows that it is an example.
const BETWEEN: &[&str] = &[
    "둘다",
    "다",
    "모두",
    "정말",
    "진짜",
    "너무",
    "엄청",
    "시리즈",
    "영화",
    "정도로",
    "아주",
];

/// The tokens of examples and of the words around them, by their first letter.
#[derive(Debug, Default)]
pub(super) struct Examples {
    tokens: BTreeMap<usize, (Role, usize)>,
    count: usize,
    searches: Cell<u8>,
}

impl Examples {
    /// The token at `place` and its end.
    pub(super) fn token(&self, place: usize) -> Option<(Role, usize)> {
        self.tokens.get(&place).cloned()
    }

    /// The first token after `place`.
    pub(super) fn next_start(&self, place: usize) -> Option<usize> {
        self.tokens
            .range(place + 1..)
            .next()
            .map(|(start, _)| *start)
    }

    /// True if a token has a letter of `range`.
    pub(super) fn covers(&self, range: Range<usize>) -> bool {
        let before = self.tokens.range(..range.end).next_back();
        before.is_some_and(|(_, (_, end))| *end > range.start)
    }

    /// As [`Vocabulary::similar_title`], a few times.
    fn similar_title(&self, vocabulary: &Vocabulary, spans: &[String]) -> Option<(usize, i64)> {
        if spans.is_empty() || self.searches.get() == MAX_SEARCHES {
            return None;
        }
        self.searches.set(self.searches.get() + 1);
        vocabulary.similar_title(spans)
    }

    fn add(&mut self, range: Range<usize>, role: Role) {
        self.count += usize::from(matches!(role, Role::Content(_)));
        self.tokens.insert(range.start, (role, range.end));
    }

    fn add_title(&mut self, range: Range<usize>, film: i64) -> bool {
        let is_free = self.count < MAX_EXAMPLES && !self.covers(range.clone());
        if is_free {
            self.add(range, Role::Content(Content::Like(film)));
        }
        is_free
    }

    /// A title of several words at `place` that nothing introduces: its words are capitalized, or it is Korean; and it is
    /// longer than the lexicon's match, which ends at `known_end`.
    pub(super) fn bare_title(
        &self,
        text: &Text<'_>,
        vocabulary: &Vocabulary,
        place: usize,
        known_end: usize,
    ) -> Option<(i64, usize)> {
        let ends = words_from(text, place, MAX_WORDS);
        let minimum = ends.get(MIN_BARE_WORDS - 1)?;
        ends.iter()
            .copied()
            .rev()
            .filter(|end| end >= minimum && *end > known_end)
            .find_map(|end| {
                let is_name = match text.is_hangul(place) {
                    true => (place..end).all(|at| !is_hangul_word_known(text, at)),
                    false => {
                        let starts: Vec<usize> =
                            (place..end).filter(|at| text.is_start(*at)).collect();
                        let upper = starts.iter().filter(|at| text.is_upper(**at)).count();
                        text.is_upper(place)
                            && upper >= MIN_BARE_WORDS
                            && text.is_upper(*starts.last()?)
                    }
                };
                let is_free = !self.covers(place..end);
                (is_name && is_free)
                    .then(|| vocabulary.title(&letters(text, place..end)))
                    .flatten()
                    .map(|film| (film, end))
            })
    }
}

/// True if a Korean word that begins at `place` is in the lexicon as more than filler.
fn is_hangul_word_known(text: &Text<'_>, place: usize) -> bool {
    text.is_start(place) && LEXICON.longest(text, place, Meaning::is_content).is_some()
}

fn letters(text: &Text<'_>, range: Range<usize>) -> String {
    text.chars()[range]
        .iter()
        .filter(|char| char.is_alphanumeric())
        .collect()
}

/// The ends of the first `most` words from `place` on.
fn words_from(text: &Text<'_>, place: usize, most: usize) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = place;
    while ends.len() < most && end < text.len() {
        end = text.spaced_end(end);
        ends.push(end);
    }
    ends
}

/// The starts of the last `most` words before `place`, the last first.
fn words_before(text: &Text<'_>, place: usize, most: usize) -> Vec<usize> {
    let starts = (0..place).rev().filter(|at| text.gap(*at) > Gap::Script);
    starts.take(most).collect()
}

/// The examples of `text`.
pub(super) fn examples(text: &Text<'_>, vocabulary: &Vocabulary) -> Examples {
    let mut examples = Examples::default();
    for quoted in text.quoted.iter().filter(|quoted| !quoted.is_empty()) {
        let title = letters(text, quoted.clone());
        let film = vocabulary
            .title(&title)
            .or_else(|| Some(examples.similar_title(vocabulary, &[title])?.1));
        if let Some(film) = film {
            examples.add_title(quoted.clone(), film);
        }
    }
    let mut place = 0;
    while place < text.len() {
        let is_start = text.is_start(place);
        if is_start && !text.is_hangul(place) {
            let is_like = |meaning: &Meaning| matches!(meaning, Meaning::Like | Meaning::NotLike);
            if let Some((end, meaning)) = LEXICON.longest(text, place, is_like) {
                if *meaning == Meaning::Like {
                    place = after_marker(text, vocabulary, place..end, &mut examples);
                } else {
                    place = end;
                }
                continue;
            }
        }
        if text.is_hangul(place)
            && place > 0
            && let Some((end, _)) =
                LEXICON.longest(text, place, |meaning| *meaning == Meaning::LikeAfter)
        {
            before_marker(text, vocabulary, place..end, &mut examples);
        }
        place += 1;
    }
    examples
}

/// Reads titles after `marker`, joined by words and commas; returns where they end.
fn after_marker(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    marker: Range<usize>,
    examples: &mut Examples,
) -> usize {
    let mut place = marker.end;
    if let Some(end) = eat_any(
        text,
        place,
        &[
            "themovies",
            "themovie",
            "thefilms",
            "thefilm",
            "watching",
            "movieslike",
            "either",
            "both",
        ],
    ) {
        place = end;
    }
    let mut is_found = false;
    while place < text.len() {
        let quoted = examples.token(place).map(|(_, end)| end);
        let end = quoted.or_else(|| {
            let (film, end) = title_from(text, vocabulary, place, examples)?;
            examples.add_title(place..end, film).then_some(end)
        });
        let Some(end) = end else {
            break;
        };
        is_found = true;
        place = end;
        let next = eat_any(text, end, &["andalso", "and", "or", "nor"]);
        match next {
            Some(after)
                if title_from(text, vocabulary, after, examples).is_some()
                    || examples.token(after).is_some() =>
            {
                examples.add(end..after, Role::Filler);
                place = after;
            }
            None if text.gap(end) == Gap::Comma => {}
            _ => break,
        }
    }
    if is_found {
        examples.add(marker.clone(), Role::Filler);
        let rest = marker.end..examples.next_start(marker.start).unwrap_or(marker.end);
        if !rest.is_empty() {
            examples.add(rest, Role::Filler);
        }
    }
    place.max(marker.start + 1)
}

/// The title that begins at `place`.
fn title_from(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    place: usize,
    examples: &Examples,
) -> Option<(i64, usize)> {
    // Hangul titles end within words: 기생충처럼.
    let ends = words_from(text, place, MAX_WORDS);
    for (words, end) in ends.iter().copied().enumerate().rev() {
        // A word with a meaning of its own is a title only with a capital: Up, It, Old.
        let known = LEXICON.longest(text, place, |_| true);
        let is_word =
            words == 0 && known.is_some_and(|(known, _)| known == end) && !text.is_upper(place);
        if is_word {
            continue;
        }
        if let Some(film) = vocabulary.title(&letters(text, place..end)) {
            return Some((film, end));
        }
        // Parasite's
        let possessive = text.fragment(place..end).ends_with("'s").then(|| end - 1);
        if let Some(film) = possessive.and_then(|end| vocabulary.title(&letters(text, place..end)))
        {
            return Some((film, end));
        }
    }
    let is_known = |at: usize| LEXICON.longest(text, at, |_| true).is_some() && !text.is_upper(at);
    if is_known(place) {
        return None;
    }
    let mut spans: Vec<(String, usize)> = Vec::new();
    let mut start = place;
    for end in ends.into_iter().take(MAX_WORDS_OF_TYPO) {
        if start > place && text.gap(start) >= Gap::Comma {
            break;
        }
        if start == place || !is_known(start) {
            spans.push((letters(text, place..end), end));
        }
        start = end;
    }
    spans.reverse();
    let (names, ends): (Vec<String>, Vec<usize>) = spans.into_iter().unzip();
    let (place, film) = examples.similar_title(vocabulary, &names)?;
    Some((film, ends[place]))
}

/// Reads titles before `marker`, joined by particles and commas.
fn before_marker(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    marker: Range<usize>,
    examples: &mut Examples,
) {
    // 올드보이 둘 다 좋아하는데, 범죄도시 시리즈처럼
    let end = BETWEEN
        .iter()
        .filter_map(|word| before(text, marker.start, word))
        .min()
        .unwrap_or(marker.start);
    let found = title_until(text, vocabulary, end, PARTICLES, examples);
    let Some((range, film)) =
        found.or_else(|| title_until(text, vocabulary, marker.start, PARTICLES, examples))
    else {
        return;
    };
    let mut start = range.start;
    if !examples.add_title(range.clone(), film) {
        return;
    }
    if range.end < marker.start {
        examples.add(range.end..marker.start, Role::Filler);
    }
    examples.add(marker, Role::Filler);
    while let Some((range, film)) = title_until(text, vocabulary, start, LINKS, examples) {
        let is_joined = range.end < start || text.gap(start) == Gap::Comma;
        if !is_joined || !examples.add_title(range.clone(), film) {
            break;
        }
        if range.end < start {
            examples.add(range.end..start, Role::Filler);
        }
        start = range.start;
    }
}

/// The place at which `word` begins if it ends at `end`.
fn before(text: &Text<'_>, end: usize, word: &str) -> Option<usize> {
    let start = end.checked_sub(word.chars().count())?;
    let is_same = word.chars().eq(text.chars()[start..end].iter().copied());
    is_same.then_some(start)
}

/// The title that ends at `end`, or before one of `particles` there.
fn title_until(
    text: &Text<'_>,
    vocabulary: &Vocabulary,
    end: usize,
    particles: &[&str],
    examples: &Examples,
) -> Option<(Range<usize>, i64)> {
    let without = particles
        .iter()
        .filter_map(|particle| before(text, end, particle))
        .filter(|start| *start > 0);
    let ends: Vec<usize> = std::iter::once(end).chain(without).collect();
    let starts = words_before(text, end, MAX_WORDS);
    let free = |range: &Range<usize>| range.start < range.end && !examples.covers(range.clone());
    for start in starts.iter().copied().rev() {
        for end in ends.iter().copied() {
            let range = start..end;
            if free(&range)
                && let Some(film) = vocabulary.title(&letters(text, range.clone()))
            {
                return Some((range, film));
            }
        }
    }
    let is_known = |at: usize| LEXICON.longest(text, at, |_| true).is_some();
    let mut spans = Vec::new();
    for start in starts
        .into_iter()
        .take(MAX_WORDS_OF_TYPO)
        .take_while(|start| text.gap(*start + 1) < Gap::Stop)
    {
        if is_known(start) {
            continue;
        }
        for end in ends.iter().copied().filter(|end| free(&(start..*end))) {
            let name = letters(text, start..end);
            if name.chars().filter(|char| is_hangul(*char)).count() >= 3 || name.len() >= 5 {
                spans.push((start..end, name));
            }
        }
    }
    spans.reverse();
    let (ranges, names): (Vec<Range<usize>>, Vec<String>) = spans.into_iter().unzip();
    let (place, film) = examples.similar_title(vocabulary, &names)?;
    Some((ranges[place].clone(), film))
}
