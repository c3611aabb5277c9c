//! Follow-ups of a message: the message with another condition, or about the first movie of its list. Each is read again,
//! and shown only if it changes the reading and a movie fits it. Pure.

use chrono::{Datelike, NaiveDate};

use super::{MAX_MESSAGE_CHARS, MessageLanguage, Reading};

/// The number of suggestions.
const MAX_SUGGESTIONS: usize = 3;
/// The shortest runtime that a shorter movie is suggested for, in minutes.
const SHORTER: u16 = 100;

/// Up to three messages that follow `message`, which was understood as `reading`. `first` is the title and the release
/// date of the first movie of its list; `parse` reads a message; `has_films` is true if a movie fits a reading.
pub fn suggestions(
    message: &str,
    reading: &Reading,
    first: Option<(&str, Option<NaiveDate>)>,
    parse: impl Fn(&str) -> Reading,
    has_films: impl Fn(&Reading) -> bool,
) -> Vec<String> {
    let filters = &reading.filters;
    let is_korean = reading.language == MessageLanguage::Korean;
    let pick = |korean: &str, english: &str| {
        if is_korean {
            korean.to_owned()
        } else {
            english.to_owned()
        }
    };
    let mut ends = Vec::new();
    if filters.vote_average_min.is_none() {
        ends.push(pick("평점 좋은 걸로", "highly rated"));
    }
    if filters.runtime_max.is_none_or(|most| most > SHORTER) {
        ends.push(pick(
            &format!("{SHORTER}분 이하로"),
            &format!("under {SHORTER} minutes"),
        ));
    }
    let decade = first
        .and_then(|(_, date)| date)
        .map(|date| date.year() / 10 * 10);
    if let Some(decade) =
        decade.filter(|_| filters.year.is_none() && filters.release_date_from.is_none())
    {
        ends.push(pick(
            &format!("{decade}년대 작품으로"),
            &format!("from the {decade}s"),
        ));
    }
    if reading.sort.is_none() {
        ends.push(pick("최신순으로", "newest first"));
    }
    let stem = message
        .trim()
        .trim_end_matches(['.', '!', '?', '。', '~', ','])
        .trim_end();
    let mut all: Vec<String> = Vec::new();
    if !reading.is_empty() {
        all.extend(ends.into_iter().map(|end| format!("{stem}, {end}")));
    }
    if let Some((title, _)) = first {
        let title = title.replace('"', "");
        let like = pick(
            &format!("\"{title}\" 같은 영화"),
            &format!("movies like \"{title}\""),
        );
        // In the second place: it leads further away than a condition.
        all.insert(all.len().min(1), like);
    }
    for (korean, english) in [
        ("평점 좋은 스릴러", "highly rated thrillers"),
        ("가족과 볼 애니메이션", "animation for the family"),
        ("90년대 코미디", "comedies from the 1990s"),
        ("유명한 드라마", "famous dramas"),
    ] {
        all.push(pick(korean, english));
    }
    let mut chosen: Vec<String> = Vec::new();
    for suggestion in all {
        let is_short = suggestion.chars().count() <= MAX_MESSAGE_CHARS;
        if is_short && chosen.len() < MAX_SUGGESTIONS && suggestion != message {
            let read = parse(&suggestion);
            if !read.is_same_as(reading) && !read.is_empty() && has_films(&read) {
                chosen.push(suggestion);
            }
        }
    }
    chosen
}
