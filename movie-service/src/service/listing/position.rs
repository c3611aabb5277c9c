//! Positions of movies in a sort order, as cursors carry them from page to page.

use crate::models::SortBy;

/// The sort key of a position.
#[derive(Debug, Clone, PartialEq)]
pub enum Key {
    /// TMDB's popularity.
    Popularity(f64),
    /// The collation key of the title.
    Title(Box<[u8]>),
    /// The day of release.
    Day(Option<i32>),
}

/// The position of a movie in an order; the movie may have moved or gone since.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    /// The sort key.
    pub key: Key,
    /// The movie's id, which breaks ties.
    pub id: i64,
}

impl Position {
    /// Formats the key for [`Position::parse`].
    pub fn key_text(&self) -> String {
        use std::fmt::Write;
        match &self.key {
            Key::Popularity(popularity) => popularity.to_string(),
            Key::Title(key) => key.iter().fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            }),
            Key::Day(day) => day.map(|day| day.to_string()).unwrap_or_default(),
        }
    }

    /// Parses a key of the order `sort_by`; `None` if `text` is not one.
    pub fn parse(sort_by: SortBy, text: &str, id: i64) -> Option<Self> {
        let key = match sort_by {
            SortBy::Popularity => {
                let popularity = text.parse().ok().filter(|number: &f64| number.is_finite());
                Key::Popularity(popularity?)
            }
            SortBy::Title => {
                let digits = text.as_bytes().chunks(2);
                let bytes =
                    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
                Key::Title(bytes.collect::<Option<Vec<u8>>>()?.into())
            }
            SortBy::ReleaseDate if text.is_empty() => Key::Day(None),
            SortBy::ReleaseDate => Key::Day(Some(text.parse().ok()?)),
        };
        Some(Self { key, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_formatting_and_invalid_ones_are_rejected() {
        for (sort_by, key) in [
            (SortBy::Popularity, Key::Popularity(0.1 + 0.2)),
            (SortBy::Title, Key::Title([0, 7, 255].into())),
            (SortBy::Title, Key::Title([].into())),
            (SortBy::ReleaseDate, Key::Day(Some(730_000))),
            (SortBy::ReleaseDate, Key::Day(None)),
        ] {
            let position = Position { key, id: 7 };
            let text = position.key_text();
            assert_eq!(Position::parse(sort_by, &text, 7), Some(position));
        }
        for (sort_by, text) in [
            (SortBy::Popularity, ""),
            (SortBy::Popularity, "NaN"),
            (SortBy::Title, "é"),
            (SortBy::Title, "xy"),
            (SortBy::ReleaseDate, "1999-01-01"),
        ] {
            assert_eq!(Position::parse(sort_by, text, 7), None, "{text}");
        }
    }
}
