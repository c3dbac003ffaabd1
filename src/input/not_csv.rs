//! Texts that are no CSV, by how they begin.

use crate::input::error::InputError;
use crate::input::location::InputLocation;
use crate::input::source::InputSource;

/// What is looked at of a text that may be an HTML page.
const LOOKED_AT: usize = 512;

/// Refuses what is no CSV.
///
/// # Errors
/// The text begins as JSON, XML, HTML, PDF or a ZIP archive.
pub(super) fn refuse(source: &mut InputSource) -> Result<(), InputError> {
    let is_open = |seen: &[u8]| match seen.trim_ascii_start() {
        [] | [b'P'] | [b'P', b'K'] => true,
        text @ [b'<', ..] => text.len() < LOOKED_AT,
        text => text.len() < 4 && b"%PDF".starts_with(text),
    };
    while is_open(source.seen()) && source.see_more()? {}
    let Some((what, remedy)) = kind(source.seen()) else { return Ok(()) };
    Err(InputError::NotCsv { at: source.location().clone(), what, remedy })
}

/// The error of a table that is drawn with lines.
pub(super) fn drawn(at: &InputLocation) -> InputError {
    InputError::NotCsv {
        at: at.clone(),
        what: "a table that is drawn with lines",
        remedy: "export it as CSV, for example with psql --csv or mysql --batch; where cells are separated by it, take \
                 the lines out: sed '/^[-=+|:,; ]*$/d' FILE | skufetch - …",
    }
}

fn kind(seen: &[u8]) -> Option<(&'static str, &'static str)> {
    const JSON: &str = "make a CSV of it, for example with jq: \
                        jq -r '[\"sku\"], (.[] | [.sku]) | @csv' FILE | skufetch - …";
    let text = seen.trim_ascii_start();
    let start = text[..text.len().min(LOOKED_AT)].to_ascii_lowercase();
    let has = |word: &str| memchr::memmem::find(&start, word.as_bytes()).is_some();
    match text {
        [b'{', ..] => Some(("JSON (it begins with `{`)", JSON)),
        [b'[', ..] => Some(("JSON (it begins with `[`)", JSON)),
        [b'<', ..] if has("<html") || has("<!doctype html") || has("<table") || has("<body") => Some((
            "an HTML page",
            "was a page for logging in, or an error, saved in place of the export? export it as CSV",
        )),
        [b'<', ..] => Some(("XML (it begins with `<`)", "export it as CSV")),
        [b'%', b'P', b'D', b'F', ..] => Some(("a PDF document", "export it as CSV")),
        // A header may begin with the word PK.
        [b'P', b'K', 0..=0x1f, ..] if !matches!(text[2], b'\t' | b'\r' | b'\n') => Some((
            "an Excel workbook or another ZIP archive",
            "in Excel, save it as \"CSV UTF-8\"; unpack an archive",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_csv_is_called_by_its_name() {
        for (text, name) in [
            ("{\"sku\": 1}", "JSON"),
            ("\r\n [1]", "JSON"),
            ("<!DOCTYPE HTML>\n<p>", "HTML"),
            ("<div><table><tr>", "HTML"),
            ("<?xml version=\"1.0\"?><a/>", "XML"),
            ("%PDF-1.7", "PDF"),
            ("PK\x05\x06", "ZIP"),
        ] {
            assert!(kind(text.as_bytes()).is_some_and(|(what, _)| what.contains(name)), "{text}");
        }
        for text in ["", "PK", "PK,sku\n", "PK\tsku", "PK\n1", "%PD", "sku,{", "\"[\",a", "(a)"] {
            assert_eq!(kind(text.as_bytes()), None, "{text}");
        }
    }
}
