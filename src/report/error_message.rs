//! Labels, errors and hints: `error: what … (where)`, `  hint: what to do`.

use serde_json::json;

use crate::report::log_record::{self, Level, LogRecord};

/// What went wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What, where and why.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// A said line as text: warnings and errors have their label.
pub(super) fn text_line(record: &LogRecord, colour: bool) -> String {
    let mut line = match record.level {
        Level::Error => labelled("error", &record.message, colour),
        Level::Warning if record.event == "warned" => labelled("warning", &record.message, colour),
        _ => record.message.clone(),
    };
    line.push('\n');
    line
}

/// `error: what … (where)` and `  hint: what to do`, each with its line end.
pub(super) fn error_text(message: &str, hint: Option<&str>, colour: bool) -> String {
    let mut text = labelled("error", &log_record::safe_lines(message), colour);
    if let Some(hint) = hint {
        let hint = log_record::safe_lines(hint).replace('\n', "\n        ");
        text = format!("{text}\n  {}", labelled("hint", &hint, colour));
    }
    text.push('\n');
    text
}

/// What went wrong, for JSON lines.
pub(super) fn error_record(message: &str, hint: Option<&str>) -> LogRecord {
    LogRecord::new(Level::Error, "failed", log_record::safe_lines(message), json!({"hint": hint}))
}

pub(super) fn labelled(label: &str, text: &str, colour: bool) -> String {
    let code = match label {
        _ if !colour => return format!("{label}: {text}"),
        "error" => "1;31",
        "warning" => "1;33",
        _ => "1;36",
    };
    format!("\x1b[{code}m{label}:\x1b[0m {text}")
}
