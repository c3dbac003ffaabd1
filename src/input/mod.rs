//! Bytes to rows, every error with its line.
//!
//! `source` opens, unpacks and looks at the first bytes; `dialect` reads off the first line how the file
//! is written; `frame` follows the bytes on their way into the csv crate and keeps what that crate does
//! not tell (where a record begins, blank lines, a quote that never closes); `header` names the columns
//! and chooses the key; `records` joins these; `rows` hands out the rows, and `survey` checks a whole
//! file before the first request. `blocks` holds the second reading of that file to what the first one found.

mod block_checksums;
mod dialect;
mod error;
mod header;
mod positioned_reader;
mod record_reader;
mod record_scanner;
pub mod row;
mod rows;
mod settings;
mod source;
mod survey;

pub use dialect::may_delimit;
pub use error::{InputError, InputLocation, Packing};
pub use row::{ColumnLookupError, Columns, Damage, Row};
pub use rows::{Rows, is_failure_file};
pub use settings::{InputPath, InputSettings};
pub use survey::{InputChange, SurveyCounts, SurveyedFile, WatchedFile, open_watched, survey};
