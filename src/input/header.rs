//! Names the columns, chooses the key, and recognises the failure file of an earlier run.

use csv::ByteRecord;

use crate::input::error::InputError;
use crate::input::location::InputLocation;
use crate::input::message_text::escaped;

/// The columns that a failure file adds after those of the input.
pub(super) const FAILURE_COLUMNS: [&str; 3] = ["_error", "_status", "_attempts"];

/// The most names that a message lists.
const LISTED: usize = 20;

/// The most characters of a name in a message.
const NAME_SHOWN: usize = 40;

/// Whether a header is that of a failure file.
pub(super) fn is_failure_header(header: &ByteRecord) -> bool {
    let own = header.len().saturating_sub(FAILURE_COLUMNS.len());
    own > 0 && header.iter().skip(own).eq(FAILURE_COLUMNS.map(str::as_bytes))
}

/// Whether a header contains the columns of a failure file anywhere, in their order. That is a failure file
/// which a spreadsheet or a person has edited.
pub(super) fn has_failure_columns(header: &ByteRecord) -> bool {
    let cells: Vec<&[u8]> = header.iter().map(<[u8]>::trim_ascii).collect();
    cells
        .windows(FAILURE_COLUMNS.len())
        .any(|three| three.iter().copied().eq(FAILURE_COLUMNS.map(str::as_bytes)))
}

/// A cell of a failure file without the apostrophe that keeps spreadsheets from executing it. One is removed
/// if apostrophes are followed by `=`, `+`, `-` or `@`, since one was added to every such cell.
pub(super) fn unguarded(cell: &[u8]) -> &[u8] {
    match cell {
        [b'\'', rest @ ..] => match rest.iter().find(|&&byte| byte != b'\'') {
            Some(b'=' | b'+' | b'-' | b'@') => rest,
            _ => cell,
        },
        _ => cell,
    }
}

/// The names in a header, without those that a failure file adds.
pub(super) fn names(header: &ByteRecord, at: &InputLocation) -> Result<Vec<String>, InputError> {
    let failures = is_failure_header(header);
    let own = header.len() - if failures { FAILURE_COLUMNS.len() } else { 0 };
    let name = |(index, cell): (usize, &[u8])| {
        let cell = if failures { unguarded(cell) } else { cell };
        String::from_utf8(cell.to_vec()).map_err(|_| {
            let at = at.clone();
            if cell.contains(&0) {
                return InputError::Encoding { at, encoding: "UTF-16 or binary data", iconv: "UTF-16LE" };
            }
            InputError::HeaderNotUtf8 { at, column: index + 1 }
        })
    };
    header.iter().take(own).enumerate().map(name).collect()
}

/// Chooses the key column: the wanted one, else the one called `sku` in any case, else the only one.
pub(super) fn choose_key(
    names: &[String],
    wanted: Option<&str>,
    at: &InputLocation,
) -> Result<usize, InputError> {
    if let Some(wanted) = wanted {
        return match places(names, |name| name == wanted)[..] {
            [index] => Ok(index),
            [] => Err(no_such_key(names, wanted, at)),
            ref several => Err(several_keys(names, several, at)),
        };
    }
    match (&places(names, |name| name.eq_ignore_ascii_case("sku"))[..], names) {
        (&[index], _) => Ok(index),
        ([], [_]) => Ok(0),
        ([], _) => Err(InputError::NoKey {
            at: at.clone(),
            columns: list(names.iter().map(String::as_str)).into(),
            first: escaped(names.first().map_or("", String::as_str)).into(),
        }),
        (several, _) => Err(several_keys(names, several, at)),
    }
}

fn places(names: &[String], is: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..names.len()).filter(|&index| is(&names[index])).collect()
}

fn no_such_key(names: &[String], wanted: &str, at: &InputLocation) -> InputError {
    InputError::NoSuchKey {
        at: at.clone(),
        wanted: escaped(wanted).into(),
        columns: list(names.iter().map(String::as_str)).into(),
        nearest: nearest(names, wanted).map(|name| escaped(name).into()),
    }
}

fn several_keys(names: &[String], several: &[usize], at: &InputLocation) -> InputError {
    let alone = |&&index: &&usize| several.iter().filter(|&&other| names[other] == names[index]).count() == 1;
    let placed: Vec<String> =
        several.iter().map(|&i| format!("{} (column {})", cut(&names[i]), i + 1)).collect();
    InputError::SeveralKeys {
        at: at.clone(),
        columns: listed(&placed).into(),
        choice: several.iter().find(alone).map(|&index| escaped(&names[index]).into()),
    }
}

/// The most similar name, if at most a third of its letters differ.
fn nearest<'a>(names: &'a [String], wanted: &str) -> Option<&'a str> {
    let plain = |name: &str| name.trim().to_lowercase();
    let wanted = plain(wanted);
    let near = |name: &'a String| {
        let name_plain = plain(name);
        let distance = strsim::osa_distance(&name_plain, &wanted);
        (distance * 3 <= name_plain.chars().count().max(wanted.chars().count()))
            .then_some((distance, name.as_str()))
    };
    names.iter().filter_map(near).min_by_key(|&(distance, _)| distance).map(|(_, name)| name)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    listed(&names.map(cut).collect::<Vec<_>>())
}

fn listed(names: &[String]) -> String {
    let text = names[..names.len().min(LISTED)].join(", ");
    match names.len().saturating_sub(LISTED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// A name in a message, in backticks.
fn cut(name: &str) -> String {
    let text = escaped(name);
    match text.char_indices().nth(NAME_SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choose(names: &[&str], wanted: Option<&str>) -> Result<usize, InputError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        choose_key(&names, wanted, &InputLocation::named("p.csv").line(1))
    }

    #[test]
    fn the_key_is_the_named_column_else_sku_in_any_case_else_the_only_one() {
        assert_eq!(choose(&["name", "sku"], None).unwrap(), 1);
        assert_eq!(choose(&["name", "SKU"], None).unwrap(), 1);
        assert_eq!(choose(&["article"], None).unwrap(), 0);
        assert_eq!(choose(&["sku", "ean"], Some("ean")).unwrap(), 1);
        assert_eq!(choose(&["SKU", "sku"], Some("sku")).unwrap(), 1);
        assert_eq!(
            choose(&["sku", "x", "x"], None).unwrap(),
            0,
            "a name that is there twice matters only where it is used"
        );
    }

    #[test]
    fn without_a_key_the_columns_are_named() {
        let error = choose(&["article no", "name"], None).unwrap_err();
        assert!(error.to_string().ends_with("there are: `article no`, `name`"), "{error}");
        assert!(error.to_string().starts_with("p.csv, line 1: "), "{error}");
        assert_eq!(error.hint().unwrap(), "say which column holds the SKU, for example --key 'article no'");
    }

    #[test]
    fn a_wrong_key_leads_to_the_nearest_column() {
        for (wanted, nearest) in [("SKU", " sku"), ("artcle", "article"), ("colour", "")] {
            let error = choose(&["id", " sku", "article"], Some(wanted)).unwrap_err();
            assert!(
                error.to_string().contains(&format!("`{wanted}`; there are: `id`, ` sku`, `article`")),
                "{error}"
            );
            assert_eq!(error.hint().is_none(), nearest.is_empty());
            assert!(error.hint().unwrap_or_default().contains(nearest));
        }
    }

    #[test]
    fn several_columns_for_the_key_are_an_error_that_says_what_to_do() {
        let error = choose(&["SKU", "a", "sku"], None).unwrap_err();
        assert!(error.to_string().contains("`SKU` (column 1), `sku` (column 3)"), "{error}");
        assert!(error.hint().unwrap().contains("--key SKU"));
        let error = choose(&["ean", "ean"], Some("ean")).unwrap_err();
        assert!(error.hint().unwrap().contains("different names"));
    }

    #[test]
    fn a_message_lists_no_more_than_a_screen_can_hold() {
        let names: Vec<String> = (0..30).map(|i| format!("{i}{}", "x".repeat(60))).collect();
        let error = choose_key(&names, None, &InputLocation::named("p.csv")).unwrap_err().to_string();
        assert!(error.ends_with("and 10 more") && error.len() < 1200, "{error}");
    }

    #[test]
    fn a_failure_file_is_recognised_by_its_last_three_columns() {
        let is = |cells: &[&str]| is_failure_header(&ByteRecord::from(cells));
        assert!(is(&["sku", "_error", "_status", "_attempts"]));
        assert!(!is(&["_error", "_status", "_attempts"]));
        assert!(!is(&["sku", "_error", "_status"]));
        assert!(!is(&["sku", "_error", "_status", "_attempts", "x"]));
        let header = ByteRecord::from(vec!["'=sku", "'x", "_error", "_status", "_attempts"]);
        assert_eq!(names(&header, &InputLocation::named("")).unwrap(), ["=sku", "'x"]);
    }

    #[test]
    fn a_name_that_is_not_utf8_is_an_error_with_its_place() {
        let at = InputLocation::named("p.csv").line(1);
        let error = names(&ByteRecord::from(vec![&b"sku"[..], b"Gr\xf6sse"]), &at).unwrap_err();
        assert_eq!(error.to_string(), "p.csv, line 1: the name of column 2 is not valid UTF-8");
        assert!(error.hint().unwrap().contains("iconv -f WINDOWS-1252 -t UTF-8 p.csv > p.utf8.csv"));
        let error = names(&ByteRecord::from(vec![&b"\xfes\0"[..]]), &at).unwrap_err();
        assert!(matches!(error, InputError::Encoding { .. }));
    }

    proptest! {
        #[test]
        fn the_guard_is_taken_off_exactly_as_it_was_put_on(cell in "['=+@a-]{0,6}") {
            let first = cell.trim_start_matches('\'').chars().next();
            let guard = if matches!(first, Some('=' | '+' | '-' | '@')) { "'" } else { "" };
            let guarded = format!("{guard}{cell}");
            prop_assert_eq!(unguarded(guarded.as_bytes()), cell.as_bytes());
        }
    }
}
