//! The header of a table: its columns by their normalized names.

use std::collections::HashMap;

use crate::{kind::normalize, table::Record};

/// The columns of a file by their names without case, spaces and punctuation.
pub(crate) struct Header {
    columns: HashMap<String, (usize, String)>,
    repeated: Option<String>,
    /// The number of columns.
    pub(crate) len: usize,
}

impl Header {
    pub(crate) fn new(record: &Record) -> Self {
        let mut header = Self {
            columns: HashMap::new(),
            repeated: None,
            len: record.len(),
        };
        for (place, name) in record.iter().enumerate() {
            let spelled = name.trim().to_owned();
            let normalized = normalize(name);
            if normalized.is_empty() {
                continue;
            }
            if header
                .columns
                .insert(normalized, (place, spelled.clone()))
                .is_some()
            {
                header.repeated = Some(spelled);
            }
        }
        header
    }

    /// True if there is a column of this normalized name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.columns.contains_key(name)
    }

    /// The index of the column `name`, in any spelling.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.get(&normalize(name)).map(|(place, _)| *place)
    }

    /// The column as the file spells it.
    pub(crate) fn spelled(&self, name: &str) -> String {
        let column = self.columns.get(&normalize(name));
        column.map_or_else(|| name.to_owned(), |(_, spelled)| spelled.clone())
    }

    /// A column that the file has twice.
    pub(crate) fn repeated(&self) -> Option<&str> {
        self.repeated.as_deref()
    }
}
