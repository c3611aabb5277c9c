//! The stored part of a document: read for ranking and for results. [`crate::index`] writes and keeps it.

use std::{ops::Range, sync::OnceLock};

use serde::{Deserialize, Serialize};
use tantivy::schema::document::{DeserializeError, DocumentDeserialize, DocumentDeserializer};

use crate::{
    document::{Name, Role},
    error::IndexError,
    text::{Joined, Text, letters::Letters},
};

/// The stored part of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) names: Vec<Name>,
    pub(crate) payload: String,
}

/// The same without copies of its texts.
#[derive(Deserialize)]
struct BorrowedCard<'a> {
    #[serde(borrow)]
    names: Vec<BorrowedName<'a>>,
}

#[derive(Deserialize)]
struct BorrowedName<'a> {
    text: &'a str,
    role: Role,
    #[serde(rename = "language")]
    _language: Option<&'a str>,
}

/// The bytes of the stored part, as the store of tantivy returns them.
pub(crate) struct CardBytes(pub(crate) Vec<u8>);

impl DocumentDeserialize for CardBytes {
    fn deserialize<'de, D>(mut fields: D) -> Result<Self, DeserializeError>
    where
        D: DocumentDeserializer<'de>,
    {
        // The only field that is stored.
        let card = fields.next_field::<Vec<u8>>()?;
        Ok(Self(card.map(|(_, bytes)| bytes).unwrap_or_default()))
    }
}

/// A document that was read for ranking.
pub(crate) struct Read {
    bytes: Vec<u8>,
    pub(crate) names: Vec<ReadName>,
}

/// A name that was read.
pub(crate) struct ReadName {
    pub(crate) role: Role,
    /// Its letters, by which most names are passed over without an analysis.
    pub(crate) letters: Letters,
    /// Its place in the bytes.
    place: Range<usize>,
    analysed: OnceLock<Box<(Text, Joined)>>,
}

impl Read {
    /// Reads the names of a document.
    ///
    /// # Errors
    /// `Layout` if they were written in another form.
    pub(crate) fn new(bytes: Vec<u8>) -> Result<Self, IndexError> {
        let card: BorrowedCard<'_> =
            postcard::from_bytes(&bytes).map_err(|_| IndexError::Layout)?;
        let names = card.names.iter().map(|name| {
            let start = name.text.as_ptr().addr() - bytes.as_ptr().addr();
            ReadName {
                role: name.role,
                letters: Letters::of_text(name.text),
                place: start..start + name.text.len(),
                analysed: OnceLock::new(),
            }
        });
        let names = names.collect();
        Ok(Self { bytes, names })
    }

    /// A name, analysed when it is first needed.
    pub(crate) fn analysed<'a>(&self, name: &'a ReadName) -> &'a (Text, Joined) {
        name.analysed.get_or_init(|| {
            let text = std::str::from_utf8(&self.bytes[name.place.clone()]).unwrap_or_default();
            let text = Text::new(text);
            let joined = Joined::new(&text);
            Box::new((text, joined))
        })
    }

    /// The whole stored part.
    ///
    /// # Errors
    /// `Layout` if it was written in another form.
    pub(crate) fn card(&self) -> Result<Card, IndexError> {
        postcard::from_bytes(&self.bytes).map_err(|_| IndexError::Layout)
    }
}
