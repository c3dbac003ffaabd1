//! The first line of a run that is read later, in a log or a mail: when it was, what it read and what it writes.
//!
//! It is printed before anything else, also where that is an error before the first request, and not at all
//! where a run prints nothing else.

use std::time::SystemTime;

use serde_json::json;

use crate::model::{counted, display_safe};
use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::machine_format::{moment, second};

/// Name and version of this program.
const PROGRAM: &str = concat!("skufetch ", env!("CARGO_PKG_VERSION"));
/// Characters of a path.
const PATH_CHARS: usize = 300;

/// Which run it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogHeader {
    /// When it began.
    pub(crate) began: SystemTime,
    /// The input as the user named it.
    pub(crate) input: String,
    /// The output as the user named it.
    pub(crate) output: String,
}

/// `2026-11-28T02:00:01Z skufetch 0.1.0: products.csv (6,000 rows) to out.json`; without what is not known.
pub(crate) fn record(log_header: Option<&LogHeader>, rows: Option<u64>) -> LogRecord {
    let shown = rows.map_or_else(String::new, |rows| format!(" ({})", counted(rows, "row", "rows")));
    let message = match log_header {
        Some(LogHeader { began, input, output }) => format!(
            "{} {PROGRAM}: {}{shown} to {}",
            second(*began),
            display_safe(input, PATH_CHARS),
            display_safe(output, PATH_CHARS)
        ),
        None => {
            format!("started: {}", rows.map_or("rows as they come".into(), |n| counted(n, "row", "rows")))
        }
    };
    let fields = json!({
        "began": log_header.map(|log_header| moment(log_header.began)),
        "version": env!("CARGO_PKG_VERSION"),
        "input": log_header.map(|log_header| &log_header.input),
        "output": log_header.map(|log_header| &log_header.output),
        "total": rows,
    });
    LogRecord::new(Level::Info, RecordKind::Started, message, fields)
}

/// The same where the settings could not be read: when it was, and the program.
#[must_use]
pub(crate) fn bare(began: SystemTime) -> String {
    format!("{} {PROGRAM}\n", second(began))
}
