//! The stored part of a document: read for ranking and for results. [`crate::index`] writes and keeps it.

use serde::{Deserialize, Serialize};

use crate::{document::Name, text::Text};

/// The stored part of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) names: Vec<Name>,
    pub(crate) payload: String,
}

/// A document that was read, with its names analysed.
pub(crate) struct Read {
    pub(crate) card: Card,
    pub(crate) names: Vec<Text>,
}

impl Read {
    /// Analyses the names of a document.
    pub(crate) fn new(card: Card) -> Self {
        let names = card.names.iter().map(|name| Text::new(&name.text));
        let names = names.collect();
        Self { card, names }
    }
}
