//! Tokens of a message: roles of words, and the parts of the reading that they carry.

use std::ops::Range;

use super::{
    lexicon::{Era, Length, Names, Votes},
    numbers::Runtime,
    period::Period,
    text::Gap,
};

/// A part of the reading.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// All of them.
    Genres(Names),
    /// Any of them.
    Keywords(Vec<String>),
    /// Any of them.
    Languages(Names),
    Country(&'static str),
    Provider(String),
    Person(String),
    Era(Era),
    Period(Period),
    Length(Length),
    Runtime(Runtime),
    Votes(Votes),
    Rating(f64),
    Sort(&'static str),
    Count(i64),
    /// A movie as an example, by TMDB's id.
    Like(i64),
}

/// The role of a token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Role {
    Content(Content),
    Negate,
    NegateAfter,
    Or,
    And,
    But,
    Director,
    By,
    With,
    About,
    Film,
    Filler,
    Unknown,
    /// A comma, or the end of a sentence.
    Break(Gap),
}

/// A token: its role, and the letters that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) role: Role,
    pub(super) range: Range<usize>,
}
