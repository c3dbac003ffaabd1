//! Hints of errors about an input that hold commands or lists of options to paste.

use std::fmt::Write as _;
use std::io;

use crate::input::location::InputLocation;
use crate::input::sniff::ReadingChoice;
use crate::input::text_encoding::TextEncoding;
use crate::model::option::{ENCODING, KEY, NO_HEADERS, SKIP_LINES};

/// Columns that are offered where nothing says which is the key.
const OFFERED: usize = 6;

/// Each reading on a line.
pub(super) fn choices(choices: &[ReadingChoice]) -> String {
    let line = |choice: &ReadingChoice| format!("\n    {}   {}", choice.options, choice.meaning);
    format!("say which, and add:{}", choices.iter().map(line).collect::<String>())
}

/// The likeliest encodings, and what to do about another one.
pub(super) fn encodings(at: &InputLocation, likeliest: &[(TextEncoding, String); 2]) -> String {
    let line = |(encoding, cell): &(TextEncoding, String)| {
        format!("\n    {ENCODING} {}   reads {cell}", encoding.name().to_lowercase())
    };
    format!(
        "say which encoding it is, and add, most likely:{}\n  if neither reads well, it may be one of DOS: {}",
        likeliest.iter().map(line).collect::<String>(),
        at.conversion_hint("cp850")
    )
}

/// Every line is one quoted cell.
pub(super) fn unquoting(at: &InputLocation) -> String {
    format!(
        "take the outer quotes off: {}; or, if it is one column, name it with {KEY}",
        at.through(r#"awk '{ sub(/^"/, ""); sub(/"\r*$/, ""); gsub(/""/, "\""); print }'"#)
    )
}

/// The cells are separated by a character that is no ASCII character.
pub(super) fn replacing(delimiter: char, at: &InputLocation) -> String {
    let mut pattern = String::new();
    for byte in delimiter.encode_utf8(&mut [0; 4]).bytes() {
        let _ = write!(pattern, "\\{byte:03o}");
    }
    if delimiter.is_alphanumeric() || (delimiter.is_ascii_punctuation() && delimiter.is_ascii()) {
        pattern = delimiter.to_string();
    }
    format!(
        "replace it by a character that no cell has, for example a tab: {}",
        at.through(&format!(r#"awk '{{ gsub(/{pattern}/, "\t"); print }}'"#))
    )
}

/// The header has no name for a column: the key column by its number, which is `key` (from 0) or the next one.
pub(super) fn by_number(skipped: u64, columns: &[String], key: Option<usize>) -> String {
    let is_offered = |index: &usize| match key {
        Some(key) => (key..=key + 1).contains(index),
        None => *index < OFFERED,
    };
    let line = |index: usize| {
        format!(
            "\n    {SKIP_LINES} {skipped} {NO_HEADERS} {KEY} {}   the SKU is {}",
            index + 1,
            columns[index]
        )
    };
    let lines: String = (0..columns.len()).filter(is_offered).map(line).collect();
    format!("does it lack the name of a column? leave it out, and name the key column by its number:{lines}")
}

/// Spaces put the cells below each other. `name` is the first line as a word of a shell.
pub(super) fn separating(at: &InputLocation, name: &str) -> String {
    format!(
        "put tabs in place of them, if no cell is empty: {}; or, if it is one column, add {KEY} {name}",
        at.through(r#"awk '{ gsub(/  +/, "\t"); print }'"#)
    )
}

/// The operating system does not let a file be read.
pub(super) fn unreadable(source: &io::Error) -> Option<String> {
    match source.kind() {
        io::ErrorKind::PermissionDenied => Some("check the permissions of the file and its folders".into()),
        io::ErrorKind::IsADirectory => Some("name the CSV file inside it".into()),
        _ => None,
    }
}
