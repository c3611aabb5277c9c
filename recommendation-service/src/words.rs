//! Messages in words: what a user asks for in Korean or English, read as parameters of the filter, examples and an order.
//! [`read`] is deterministic and does no I/O; [`llm`] asks a language model first, if there is one. Nothing here ranks,
//! and no movie comes from anywhere but the catalogue.

mod compose;
mod examples;
mod lexicon;
pub mod llm;
mod numbers;
mod people;
mod period;
mod reading;
mod scan;
mod service;
mod suggestions;
mod text;
mod token;
mod vocabulary;

use chrono::NaiveDate;
use unicode_normalization::UnicodeNormalization;

use self::text::{Text, is_hangul};
pub use self::{
    reading::{Filters, MessageLanguage, Order, Reading},
    service::{UnderstoodBy, Words},
    suggestions::suggestions,
    vocabulary::Vocabulary,
};

/// The longest message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 1000;

/// The language of `message`: Korean if a quarter of its letters are Hangul.
pub fn language(message: &str) -> MessageLanguage {
    let letters = message.chars().filter(|char| char.is_alphabetic()).count();
    let hangul = message.chars().filter(|char| is_hangul(*char)).count();
    match hangul * 4 >= letters && hangul > 0 {
        true => MessageLanguage::Korean,
        false => MessageLanguage::English,
    }
}

/// Reads `message` with the names in `vocabulary`; `region` is that of watch providers, by default the language's.
pub fn read(
    message: &str,
    vocabulary: &Vocabulary,
    region: Option<&str>,
    today: NaiveDate,
) -> Reading {
    let message: String = message.nfc().collect();
    let text = Text::new(&message);
    let tokens = scan::scan(&text, vocabulary, today);
    compose::compose(&text, &tokens, region, today, language(&message))
}

#[cfg(test)]
mod evaluation;
