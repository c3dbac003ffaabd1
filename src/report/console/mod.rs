//! What a run prints on standard error while it goes on: the progress bar or plain lines, and log records
//! as text or as JSON lines.

mod bar;
pub(crate) mod error_text;
pub(crate) mod json_lines;
pub(crate) mod log_header;
pub(crate) mod log_record;
mod plain;
mod progress_snapshot;
pub(crate) mod screen;
pub(crate) mod sink;
