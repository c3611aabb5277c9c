//! Quantities in messages: numbers, runtimes, votes and counts, with the words that bound them. Pure.

use super::text::{Gap, Text};

/// Numbers by name, from 1; Korean ones count things.
const NUMBERS: &[(&str, f64)] = &[
    ("one", 1.0),
    ("two", 2.0),
    ("three", 3.0),
    ("four", 4.0),
    ("five", 5.0),
    ("six", 6.0),
    ("seven", 7.0),
    ("eight", 8.0),
    ("nine", 9.0),
    ("ten", 10.0),
    ("twelve", 12.0),
    ("fifteen", 15.0),
    ("twenty", 20.0),
    ("thirty", 30.0),
    ("forty", 40.0),
    ("fifty", 50.0),
    ("sixty", 60.0),
    ("ninety", 90.0),
    ("한", 1.0),
    ("두", 2.0),
    ("세", 3.0),
    ("네", 4.0),
    ("다섯", 5.0),
    ("여섯", 6.0),
    ("일곱", 7.0),
    ("여덟", 8.0),
    ("아홉", 9.0),
    ("열", 10.0),
    ("스무", 20.0),
];

/// Words before a quantity that make it the largest.
pub(super) const AT_MOST: &[&str] = &[
    "nolongerthan",
    "notlongerthan",
    "notmorethan",
    "nomorethan",
    "notover",
    "notabove",
    "lessthan",
    "shorterthan",
    "fewerthan",
    "maximumof",
    "maximum",
    "atmost",
    "under",
    "below",
    "within",
    "upto",
    "max",
];
/// Words before a quantity that make it the smallest.
pub(super) const AT_LEAST: &[&str] = &[
    "nolessthan",
    "notlessthan",
    "noshorterthan",
    "notshorterthan",
    "morethan",
    "longerthan",
    "higherthan",
    "greaterthan",
    "betterthan",
    "minimumof",
    "minimum",
    "exceeding",
    "atleast",
    "above",
    "over",
    "min",
];
/// Words before a quantity that make it approximate.
const ABOUT: &[&str] = &[
    "approximately",
    "roughly",
    "around",
    "about",
    "circa",
    "approx",
];

const AT_MOST_AFTER: &[&str] = &[
    "이하",
    "이내",
    "안되는",
    "안넘는",
    "안넘게",
    "안넘고",
    "안넘",
    "안걸리는",
    "안으로",
    "안에",
    "안쪽",
    "미만",
    "보다짧은",
    "아래",
    "까지만",
    "까지",
    "내로",
    "내외로",
    "넘지않는",
    "넘지않게",
    "넘지않",
    "을넘지않",
    "를넘지않",
    "이안되는",
    "도안되는",
    "도안되",
    "이안넘는",
    "안짝",
    "orless",
    "orshorter",
    "orunder",
    "orbelow",
    "max",
    "maximum",
    "tops",
    "atmost",
];
const AT_LEAST_AFTER: &[&str] = &[
    "이상",
    "넘는",
    "넘게",
    "넘고",
    "넘어도",
    "넘은",
    "넘",
    "이넘는",
    "이넘",
    "을넘는",
    "을넘",
    "초과",
    "보다긴",
    "보다높은",
    "위로",
    "부터",
    "대이상",
    "orhigher",
    "ormore",
    "orabove",
    "orbetter",
    "orlonger",
    "orover",
    "andup",
    "andabove",
    "andover",
    "andhigher",
    "plus",
    "+",
    "minimum",
    "atleast",
];
const ABOUT_AFTER: &[&str] = &["정도", "쯤", "내외", "전후", "가량", "남짓", "orso"];

/// The longest runtime, minutes.
const MAX_MINUTES: f64 = 1440.0;
/// The deviation of an approximate runtime, minutes.
const ABOUT_MINUTES: u16 = 15;

/// The bound that words set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    AtMost,
    AtLeast,
    About,
}

/// A range of runtimes in minutes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Runtime {
    pub(super) min: Option<u16>,
    pub(super) max: Option<u16>,
}

/// The end of `pattern` at `place`, a word of another script than Hangul with its whole word.
pub(super) fn eat(text: &Text<'_>, place: usize, pattern: &str) -> Option<usize> {
    let mut end = place;
    for char in pattern.chars() {
        let is_apart = end > place && text.gap(end) >= Gap::Comma;
        if is_apart || text.char(end) != Some(char) {
            return None;
        }
        end += 1;
    }
    (text.is_hangul(end - 1) || text.is_start(end)).then_some(end)
}

/// The end of the longest of `patterns` at `place`.
pub(super) fn eat_any(text: &Text<'_>, place: usize, patterns: &[&str]) -> Option<usize> {
    patterns
        .iter()
        .filter_map(|pattern| eat(text, place, pattern))
        .max()
}

/// The number in digits or words at `place`.
pub(super) fn number(text: &Text<'_>, place: usize) -> Option<(f64, usize)> {
    if !text.is_start(place) {
        return None;
    }
    let is_part = |place: usize| {
        text.char(place)
            .is_some_and(|char| char.is_ascii_digit() || char == '.')
    };
    if text.char(place).is_some_and(|char| char.is_ascii_digit()) {
        let mut end = place + 1;
        while is_part(end) && !text.is_start(end) {
            end += 1;
        }
        let digits: String = text.chars()[place..end].iter().collect();
        return digits
            .parse()
            .ok()
            .filter(|number| *number < 100_000.0)
            .map(|number| (number, end));
    }
    let named = NUMBERS
        .iter()
        .filter_map(|(name, number)| Some((*number, eat(text, place, name)?)));
    named.max_by_key(|(_, end)| *end)
}

fn bound_before(text: &Text<'_>, place: usize) -> (Option<Bound>, usize) {
    for (patterns, bound) in [
        (AT_MOST, Bound::AtMost),
        (AT_LEAST, Bound::AtLeast),
        (ABOUT, Bound::About),
    ] {
        if let Some(end) = eat_any(text, place, patterns) {
            return (Some(bound), end);
        }
    }
    (None, place)
}

fn bound_after(text: &Text<'_>, place: usize) -> (Option<Bound>, usize) {
    if text.gap(place) >= Gap::Comma {
        return (None, place);
    }
    let bounds = [
        (AT_MOST_AFTER, Bound::AtMost),
        (AT_LEAST_AFTER, Bound::AtLeast),
        (ABOUT_AFTER, Bound::About),
    ];
    let found = bounds
        .into_iter()
        .filter_map(|(patterns, bound)| Some((bound, eat_any(text, place, patterns)?)));
    match found.max_by_key(|(_, end)| *end) {
        Some((bound, end)) => (Some(bound), end),
        None => (None, place),
    }
}

/// The duration at `place` in minutes.
fn duration(text: &Text<'_>, place: usize) -> Option<(f64, usize)> {
    for (words, minutes) in [
        ("halfanhour", 30.0),
        ("anhourandahalf", 90.0),
        ("hourandahalf", 90.0),
        ("anhour", 60.0),
        ("thehour", 60.0),
    ] {
        if let Some(end) = eat(text, place, words) {
            return Some((minutes, end));
        }
    }
    let (count, end) = number(text, place)?;
    if let Some(end) = eat_any(text, end, &["minutes", "minute", "mins", "min", "분", "m"]) {
        return Some((count, end));
    }
    if let Some(end) = eat_any(text, end, &["andahalfhours", "andahalfhour"]) {
        return Some((count * 60.0 + 30.0, end));
    }
    let mut end = eat_any(text, end, &["hours", "hour", "hrs", "hr", "시간", "h"])?;
    let mut minutes = count * 60.0;
    if let Some(half) = eat_any(text, end, &["andahalf", "반"]) {
        return Some((minutes + 30.0, half));
    }
    let rest = eat(text, end, "and").unwrap_or(end);
    if let Some((more, after)) = number(text, rest)
        && more < 60.0
        && text.gap(rest) < Gap::Comma
        && let Some(after) = eat_any(
            text,
            after,
            &["minutes", "minute", "mins", "min", "분", "m"],
        )
        .or((text.gap(rest) == Gap::Script).then_some(after))
    {
        minutes += more;
        end = after;
    }
    Some((minutes, end))
}

/// The runtime that the words at `place` limit.
pub(super) fn runtime(text: &Text<'_>, place: usize) -> Option<(Runtime, usize)> {
    let (before, start) = bound_before(text, place);
    let (minutes, end) = duration(text, start).filter(|(minutes, _)| *minutes <= MAX_MINUTES)?;
    let range = |bound, minutes: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped"
        )]
        let minutes = minutes.clamp(1.0, MAX_MINUTES) as u16;
        match bound {
            Bound::AtMost => Runtime {
                min: None,
                max: Some(minutes),
            },
            Bound::AtLeast => Runtime {
                min: Some(minutes),
                max: None,
            },
            Bound::About => Runtime {
                min: Some(minutes.saturating_sub(ABOUT_MINUTES)),
                max: Some(minutes.saturating_add(ABOUT_MINUTES)),
            },
        }
    };
    // 90분에서 120분, between 90 and 120 minutes.
    if before.is_none()
        && let Some(middle) = eat_any(text, end, &["에서", "부터", "to"])
            .or((text.gap(end) == Gap::Range).then_some(end))
        && let Some((most, end)) = duration(text, middle)
        && (minutes..=MAX_MINUTES).contains(&most)
    {
        let (min, max) = (
            range(Bound::AtLeast, minutes).min,
            range(Bound::AtMost, most).max,
        );
        let end = eat_any(text, end, &["사이의", "사이", "까지"]).unwrap_or(end);
        return Some((Runtime { min, max }, end));
    }
    if let Some(bound) = before {
        let end = eat(text, end, "long").unwrap_or(end);
        return Some((range(bound, minutes), end));
    }
    let (after, end) = bound_after(text, end);
    let end = eat_any(text, end, &["long", "짜리"]).unwrap_or(end);
    Some((range(after.unwrap_or(Bound::About), minutes), end))
}

/// The lowest vote average that the words at `place` require.
pub(super) fn rating(text: &Text<'_>, place: usize) -> Option<(f64, usize)> {
    const NAMES: &[&str] = &[
        "withaminimumratingof",
        "witharatingof",
        "witharating",
        "witharatingofatleast",
        "ratingof",
        "ratings",
        "rating",
        "rated",
        "scoreof",
        "scored",
        "score",
        "scoring",
        "imdb",
        "tmdb",
        "평점이",
        "평점",
        "별점이",
        "별점",
        "평가",
        "voteaverage",
        "averageof",
    ];
    let named = eat_any(text, place, NAMES);
    let start = named.unwrap_or(place);
    let start = eat(text, start, "of").unwrap_or(start);
    let (before, start) = bound_before(text, start);
    let (value, end) = number(text, start)?;
    let unit = eat_any(
        text,
        end,
        &[
            "점대", "점", "stars", "star", "outof10", "outoften", "points",
        ],
    );
    let slash = (text.gap(end) == Gap::Space && eat(text, end, "10").is_some()).then(|| end + 2);
    let end = unit.or(slash).unwrap_or(end);
    let (after, end) = bound_after(text, end);
    let is_rating =
        named.is_some() || unit.is_some() || slash.is_some() || after == Some(Bound::AtLeast);
    let is_bounded =
        before == Some(Bound::AtLeast) || after == Some(Bound::AtLeast) || named.is_some();
    let is_bound_below = before != Some(Bound::AtMost) && after != Some(Bound::AtMost);
    let fits = (1.0..10.0).contains(&value);
    (is_rating && is_bounded && is_bound_below && fits).then_some((value, end))
}

/// The number of movies that the words at `place` ask for, and the end of the number with its Korean unit.
pub(super) fn count(text: &Text<'_>, place: usize) -> Option<(i64, usize)> {
    if let Some(end) = eat_any(text, place, &["acoupleof", "acouple", "coupleof"]) {
        return Some((2, end));
    }
    let is_top = eat(text, place, "top");
    let start = is_top.unwrap_or(place);
    let (value, end) = number(text, start)?;
    if value.fract() != 0.0 || !(1.0..=100.0).contains(&value) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a whole number up to 100")]
    let value = value as i64;
    if is_top.is_some() {
        return Some((value, end));
    }
    if let Some(end) = eat_any(
        text,
        end,
        &[
            "편만",
            "편",
            "개만",
            "개",
            "가지만",
            "가지",
            "작품만",
            "작품",
        ],
    ) {
        if eat_any(text, end, &["월", "년"]).is_some() {
            return None;
        }
        return Some((
            value,
            eat_any(text, end, &["정도만", "정도", "쯤"]).unwrap_or(end),
        ));
    }
    if eat(text, end, "of").is_some() {
        return None;
    }
    // The unit follows after a few adjectives: three funny movies.
    const UNITS: &[&str] = &[
        "movies",
        "films",
        "flicks",
        "pictures",
        "titles",
        "picks",
        "suggestions",
        "recommendations",
        "options",
        "comedies",
        "thrillers",
        "dramas",
        "mysteries",
        "westerns",
        "musicals",
        "documentaries",
        "movie",
        "film",
        "romcoms",
        "classics",
        "ones",
    ];
    // One is a pronoun as well.
    let is_number = text.char(place).is_some_and(|char| char.is_ascii_digit()) || value > 1;
    let mut word = end;
    for _ in 0..if is_number { 5 } else { 1 } {
        if word >= text.len() || text.gap(word) >= Gap::Comma {
            return None;
        }
        if eat_any(text, word, UNITS).is_some() {
            return Some((value, end));
        }
        word = text.word_end(word);
    }
    None
}

#[cfg(test)]
mod tests;
