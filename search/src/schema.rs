//! The fields of the index, which all its readers and writers share.

use tantivy::schema::{BytesOptions, Field, NumericOptions, Schema};

use crate::columns::{FAME_COLUMN, GENRES_COLUMN, KEY_COLUMN, LANGUAGE_COLUMN, YEAR_COLUMN};

/// The fields of the index.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    pub(crate) key: Field,
    pub(crate) terms: Field,
    pub(crate) fame: Field,
    pub(crate) year: Field,
    pub(crate) language: Field,
    pub(crate) genres: Field,
    pub(crate) card: Field,
}

/// The fields, and the schema that declares them.
pub(crate) fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let column = || NumericOptions::default().set_fast();
    let fields = Fields {
        key: schema.add_u64_field(KEY_COLUMN, column().set_indexed()),
        terms: schema.add_bytes_field("terms", BytesOptions::default().set_indexed()),
        fame: schema.add_u64_field(FAME_COLUMN, column()),
        year: schema.add_u64_field(YEAR_COLUMN, column()),
        language: schema.add_u64_field(LANGUAGE_COLUMN, column()),
        genres: schema.add_u64_field(GENRES_COLUMN, column()),
        card: schema.add_bytes_field("card", BytesOptions::default().set_stored()),
    };
    (schema.build(), fields)
}
