//! Labels, errors and hints: `error: what … (where)`, `  hint: what to do`.

use std::time::SystemTime;

use serde_json::json;

use crate::model::display_safe;
use crate::report::console::json_lines;
use crate::report::console::log_record::{Level, LogRecord, RecordKind};
use crate::report::settings::LogFormat;

/// Characters of one line of an error.
const LINE_CHARS: usize = 2_000;

/// `error: what … (where)` and, on a line of its own, `  hint: what to do`, with the line ends; or the same
/// as one JSON line. For `main`, where a run ends before there is a [`Report`].
#[must_use]
pub(crate) fn error(message: &str, hint: Option<&str>, format: LogFormat, colour: bool) -> String {
    match format {
        LogFormat::Text => error_text(message, hint, colour),
        LogFormat::Json => json_lines::line(&error_record(message, hint), SystemTime::now()),
    }
}

/// A log record as text: warnings and errors have their label.
pub(crate) fn text_line(record: &LogRecord, colour: bool) -> String {
    let mut line = match record.level {
        Level::Error => labelled(Label::Error, &record.message, colour),
        Level::Warning if record.kind == RecordKind::Warned => {
            labelled(Label::Warning, &record.message, colour)
        }
        _ => record.message.clone(),
    };
    line.push('\n');
    line
}

/// `error: what … (where)` and `  hint: what to do`, each with its line end.
pub(crate) fn error_text(message: &str, hint: Option<&str>, colour: bool) -> String {
    let text = labelled(Label::Error, &safe_lines(message), colour);
    format!("{text}\n{}", hint.map(|hint| hint_text(hint, colour)).unwrap_or_default())
}

/// `  hint: what to do`, with its line end.
pub(crate) fn hint_text(hint: &str, colour: bool) -> String {
    let hint = safe_lines(hint).replace('\n', "\n        ");
    format!("  {}\n", labelled(Label::Hint, &hint, colour))
}

/// What went wrong, for JSON lines.
pub(crate) fn error_record(message: &str, hint: Option<&str>) -> LogRecord {
    LogRecord::new(Level::Error, RecordKind::Failed, safe_lines(message), json!({"hint": hint}))
}

/// The label before a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Error,
    Warning,
    Hint,
}

/// `error: TEXT`, with the label in its colour.
pub(crate) fn labelled(label: Label, text: &str, colour: bool) -> String {
    let (label, code) = match label {
        Label::Error => ("error", "1;31"),
        Label::Warning => ("warning", "1;33"),
        Label::Hint => ("hint", "1;36"),
    };
    if colour { format!("\x1b[{code}m{label}:\x1b[0m {text}") } else { format!("{label}: {text}") }
}

/// An error's text, made safe line by line: some (a config file's) show the place they refer to on lines of
/// their own.
fn safe_lines(text: &str) -> String {
    text.lines().map(|line| display_safe(line, LINE_CHARS)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_error_has_its_message_and_its_hint() {
        assert_eq!(
            error(
                "no column `id` (products.csv, line 1)",
                Some("there are `sku` and `name`"),
                LogFormat::Text,
                false
            ),
            "error: no column `id` (products.csv, line 1)\n  hint: there are `sku` and `name`\n"
        );
        assert_eq!(
            error("no", Some("try"), LogFormat::Text, true),
            "\x1b[1;31merror:\x1b[0m no\n  \x1b[1;36mhint:\x1b[0m try\n"
        );
        let object: Value = serde_json::from_str(&error("no", Some("try"), LogFormat::Json, true)).unwrap();
        assert_eq!((&object["event"], &object["hint"]), (&"failed".into(), &"try".into()));
    }
}
