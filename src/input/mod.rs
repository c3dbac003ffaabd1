//! Bytes to rows. Every error names its line.
//!
//! `source` opens and decompresses the input and allows a look ahead at its first bytes. `encoding_of` chooses the
//! encoding, and `text_encoding` decodes it to UTF-8 while it is read. `dialect` finds where the records begin, and asks
//! `failure_header` and `sniff` what separates their cells. `record_scanner` scans the same bytes as the csv crate and
//! keeps what that crate does not report: where a record begins, blank lines, a quote that never closes.
//! `record_reader` joins the two. `header` names the columns, and `key_column` chooses the key; where it cannot,
//! `likely_key` finds the column to suggest, `value_shape` says whether the header is a row, and `hints` and `key_remedy`
//! have the words. `row_form` says which records are rows of the header's form, and `row_share` which of them are this
//! process's own. `rows` returns them, and `survey` checks
//! a whole file before the first request. `block_checksums` compares the second reading of that file with the first.

mod block_checksums;
mod csv_format;
mod dialect;
mod encoding_of;
mod end_mark;
mod error;
mod failure_header;
mod header;
mod hints;
mod key_column;
mod key_remedy;
#[cfg(test)]
mod laws;
mod likely_encodings;
mod likely_key;
mod location;
mod message_text;
mod not_csv;
mod not_utf8_rows;
mod object_input;
mod positioned_reader;
mod record_reader;
mod record_scanner;
mod row;
mod row_form;
mod row_share;
mod row_writer;
mod rows;
mod settings;
mod sniff;
mod source;
mod survey;
mod table_reader;
mod text_encoding;
mod value_shape;

pub(crate) use csv_format::LineEnd;
pub use csv_format::{CsvFormat, GivenChar, Quoting, may_delimit};
pub use error::InputError;
pub(crate) use header::FAILURE_COLUMNS;
pub(crate) use key_remedy::KeyRemedy;
pub(crate) use likely_key::may_be_a_key;
pub(crate) use object_input::ObjectInput;
pub(crate) use positioned_reader::keep_stdin;
pub(crate) use row::ColumnLookupError;
pub use row::Columns;
pub(crate) use row::Damage;
pub(crate) use row::QuotingDoubt;
pub use row::Row;
pub(crate) use row_share::{InputContent, SharedRow};
pub(crate) use row_writer::{RowWriter, last_name, push_cell};
pub use rows::Rows;
pub(crate) use rows::is_failure_file;
pub(crate) use settings::InputPath;
pub use settings::InputSettings;
pub(crate) use settings::{EmptyKey, ShortRows};
pub(crate) use survey::{InputChange, SurveyedFile, open_watched, survey};
pub(crate) use table_reader::{TableReader, record_in};
pub use text_encoding::TextEncoding;
