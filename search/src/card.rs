//! The stored part of a document: read for ranking and for results. [`crate::index`] writes and keeps it.

use serde::{Deserialize, Serialize};

use crate::{
    document::Name,
    text::{Joined, Text},
};

/// The stored part of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) names: Vec<Name>,
    pub(crate) payload: String,
}

/// A document that was read, with its names analysed.
pub(crate) struct Read {
    pub(crate) card: Card,
    pub(crate) names: Vec<(Text, Joined)>,
}

impl Read {
    /// Analyses the names of a document.
    pub(crate) fn new(card: Card) -> Self {
        let names = card.names.iter().map(|name| {
            let text = Text::new(&name.text);
            let joined = Joined::new(&text);
            (text, joined)
        });
        let names = names.collect();
        Self { card, names }
    }
}
