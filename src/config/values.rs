//! Parsers of values. The command line, the environment and the config file use the same syntax. An error is one
//! clause with an example; the caller prefixes the place of the value.

use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::fetch::NullOn;
use crate::input::{GivenChar, TextEncoding, may_delimit};
use crate::model::units::digits;
use crate::model::{Rate, Size, StatusSet};
use crate::report::{ReportFile, ReportFormat};

/// Why a value is invalid, with an example of a valid one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub(super) String);

/// The longest duration that is accepted: a year. Clocks overflow far above it.
const LONGEST: Duration = Duration::from_hours(366 * 24);

/// The most retries. With back-off, more would take hours for one SKU.
const MOST_RETRIES: u32 = 1_000;

/// The value in backquotes, escaped and cut to 60 characters, so that it is safe to print.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(60).collect::<String>().escape_debug().collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

/// A Boolean: `true`, `yes`, `on`, `1`, `false`, `no`, `off` or `0`, in any case.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{} is neither true nor false (1 or 0, yes or no, on or off)", quoted(text))),
    }
}

/// A duration such as `250ms`, `30s`, `5m` or `12h`; may be zero.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // humantime reads `5M` as five months. Refused: a user who writes it nearly always means `5m`.
    let parsed = humantime::parse_duration(text).ok().filter(|_| !text.contains('M'));
    match parsed {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err(format!("{} is longer than a year", quoted(text))),
        None => Err(format!("{} is not a duration: write 250ms, 30s, 5m or 12h", quoted(text))),
    }
}

/// A duration of at least a millisecond.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < Duration::from_millis(1) => {
            Err(format!("{} leaves no time: write 250ms, 30s or 5m", quoted(text)))
        }
        long => Ok(long),
    }
}

/// `none`, or whatever `parse` accepts.
pub(super) fn or_none<T>(
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> impl FnOnce(&str) -> Result<Option<T>, String> {
    move |text| if text == "none" { Ok(None) } else { parse(text).map(Some) }
}

/// A rate such as `5/s`, `600/m` or `5000/h`.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    text.parse().map_err(|_| format!("{} is not a rate: write 200/s, 600/m or 5000/h", quoted(text)))
}

/// Statuses and ranges such as `404,410,500-504`, or `none`.
pub(super) fn statuses(text: &str) -> Result<StatusSet, String> {
    match text.trim() {
        "none" => Ok(StatusSet::default()),
        "" => Err("the value is empty: write none, or statuses such as 404,500-504".into()),
        _ => {
            let set: StatusSet = text.parse().map_err(|_| {
                format!(
                    "{} are not statuses: write 404 or 500-504, with commas between, or none",
                    quoted(text)
                )
            })?;
            match set.lowest() {
                Some(low @ ..200) => {
                    Err(format!("{}: {low} is not a final status; write statuses from 200 on", quoted(text)))
                }
                _ => Ok(set),
            }
        }
    }
}

/// Statuses as [`statuses`] reads them, with the word `missing` among them or not.
pub(super) fn null_on(text: &str) -> Result<NullOn, String> {
    let (missing, codes): (Vec<&str>, Vec<&str>) =
        text.split(',').partition(|part| part.trim() == NullOn::MISSING);
    if missing.is_empty() {
        return Ok(NullOn { statuses: statuses(text)?, missing: false });
    }
    let statuses = if codes.is_empty() { StatusSet::default() } else { statuses(&codes.join(","))? };
    Ok(NullOn { statuses, missing: true })
}

/// Statuses that replace the default (`429,503`) or, with a leading `+`, extend it (`+202,423`).
pub(super) fn statuses_or_more(text: &str, default: &str) -> Result<StatusSet, String> {
    let named = named_statuses(text)?;
    if !text.trim_start().starts_with('+') {
        return Ok(named);
    }
    statuses(&format!("{default},{named}"))
}

/// The statuses in the text itself, without the default that a `+` extends.
pub(super) fn named_statuses(text: &str) -> Result<StatusSet, String> {
    let Some(added) = text.trim().strip_prefix('+') else {
        return match text.split_once('+') {
            Some(_) => Err(format!("{}: a + goes before the whole list: +202,423 adds both", quoted(text))),
            None => statuses(text),
        };
    };
    // `+202,+423` is accepted as `+202,423`.
    let parts = added.split(',').map(str::trim).enumerate();
    let bare = |(place, part): (usize, &'_ str)| match part.strip_prefix('+') {
        Some(bare) if place > 0 => bare.to_owned(),
        _ => part.to_owned(),
    };
    let parts: Vec<String> = parts.map(bare).collect();
    match parts.join(",").as_str() {
        "" | "none" => {
            Err(format!("{} adds nothing: write the statuses to add, such as +202,423", quoted(text)))
        }
        named => statuses(named),
    }
}

/// A size such as `10MiB`; never 0.
pub(super) fn size(text: &str) -> Result<Size, String> {
    match text.parse() {
        Ok(Size(1..)) => Ok(Size::from_str(text).unwrap_or(Size(u64::MAX))),
        _ => Err(format!("{} is not a size: write 10MiB, 500kB or a number of bytes", quoted(text))),
    }
}

/// A whole number from 1.
pub(super) fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    digits(text)
        .and_then(NonZeroU64::new)
        .and_then(|number| T::try_from(number.get()).ok())
        .ok_or_else(|| format!("{} is not a whole number from 1", quoted(text)))
}

/// A whole number from 1 that fits in 32 bits.
pub(super) fn non_zero(text: &str) -> Result<NonZeroU32, String> {
    count::<u32>(text).map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MAX))
}

/// `all`, or a number of rows.
pub(super) fn limit(text: &str) -> Result<Option<NonZeroU64>, String> {
    if text == "all" {
        return Ok(None);
    }
    count::<u64>(text).map(NonZeroU64::new).map_err(|why| format!("{why}, or all"))
}

/// A number of retries, from 0 to [`MOST_RETRIES`].
pub(super) fn retries(text: &str) -> Result<u32, String> {
    digits(text)
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| *number <= MOST_RETRIES)
        .ok_or_else(|| format!("{} is not a whole number from 0 to {MOST_RETRIES}", quoted(text)))
}

/// A delimiter: `auto` (`None`), or one character.
pub(super) fn delimiter(text: &str) -> Result<Option<u8>, String> {
    if text == "auto" {
        return Ok(None);
    }
    match character(text) {
        Some(byte) if may_delimit(byte) => Ok(Some(byte)),
        _ => Err(format!(
            "{} cannot separate cells: write one ASCII character such as , ; | ^, tab or \\x01, or auto",
            quoted(text)
        )),
    }
}

/// A quote or an escape: `auto`, `none`, or one character.
pub(super) fn quote(text: &str) -> Result<GivenChar, String> {
    match (text, character(text)) {
        ("auto", _) => Ok(GivenChar::ByRows),
        ("none", _) => Ok(GivenChar::Absent),
        (_, Some(byte)) if byte == b'"' || may_delimit(byte) => Ok(GivenChar::Char(byte)),
        _ => Err(format!(
            "{} is not one ASCII character: write one such as \" or ', none, or auto",
            quoted(text)
        )),
    }
}

/// An ASCII character: itself, `tab`, `\t`, or a code such as `\x01`.
fn character(text: &str) -> Option<u8> {
    match (text, text.as_bytes()) {
        ("tab" | "\\t", _) => Some(b'\t'),
        ("space", _) => Some(b' '),
        (_, [byte]) => Some(*byte),
        (_, [b'\\', b'x', code @ ..]) if code.len() == 2 && code.iter().all(u8::is_ascii_hexdigit) => {
            u8::from_str_radix(&text[2..], 16).ok()
        }
        _ => None,
    }
}

/// An encoding by its name, or `auto`.
pub(super) fn encoding(text: &str) -> Result<Option<TextEncoding>, String> {
    match (text, TextEncoding::named(text)) {
        ("auto", _) => Ok(None),
        (_, Some(encoding)) => Ok(Some(encoding)),
        _ => Err(format!(
            "{} is not an encoding of the WHATWG standard: write one such as windows-1252, iso-8859-2 or utf-16le, or auto",
            quoted(text)
        )),
    }
}

/// A whole number from 0.
pub(super) fn number(text: &str) -> Result<u64, String> {
    digits(text).ok_or_else(|| format!("{} is not a whole number from 0", quoted(text)))
}

/// A report file. Its extension selects the format.
pub(super) fn report_file(path: PathBuf) -> Result<ReportFile, String> {
    match ReportFormat::of(&path) {
        Some(kind) => Ok(ReportFile { path, kind }),
        None => Err(format!(
            "{} is not a report: name a file that ends in .json, .html or .prom",
            quoted(&path.to_string_lossy())
        )),
    }
}

/// An HTTP method. Common methods may be written in lower case.
pub(super) fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    let usual = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];
    let name = if usual.contains(&upper.as_str()) { &upper } else { text };
    match Method::from_bytes(name.as_bytes()) {
        Ok(Method::CONNECT) => Err("CONNECT opens a tunnel and requests nothing: write GET or POST".into()),
        Ok(method) => Ok(method),
        Err(_) => Err(format!("{} is not an HTTP method: write GET or POST", quoted(text))),
    }
}

/// Headers that the HTTP client sets for each message; another value would corrupt the message.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// A header line, `Name: value`. No error shows the value.
pub(super) fn header(text: &str) -> Result<(HeaderName, &str), String> {
    let (name, value) =
        text.split_once(':').ok_or("a header is written 'Name: value'; there is no colon in this one")?;
    let (shown, typed) = (quoted(name), name.trim());
    let name = HeaderName::from_bytes(name.trim().as_bytes())
        .map_err(|_| "the text before the colon is not a header name: write 'Name: value'")?;
    if OF_THE_CONNECTION.contains(&name.as_str()) {
        return Err(format!("the header {shown} belongs to the connection and cannot be set"));
    }
    match value.trim() {
        "" => Err(format!(
            "the header {shown} has no value: if it was a shell variable, that is empty; in single quotes skufetch \
             reads the variable itself: '{typed}: ${{API_KEY}}'"
        )),
        value if value.chars().any(|c| c.is_control() && c != '\t') => {
            Err(format!("the header {shown} has a line end or another control character in its value"))
        }
        value => Ok((name, value)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn retry_on(text: &str) -> Result<StatusSet, String> {
        statuses_or_more(text, "429,500,502-504")
    }

    #[test]
    fn durations_have_units_and_an_error_that_shows_them() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_mins(5)));
        assert_eq!(duration("12h"), Ok(Duration::from_hours(12)));
        assert_eq!(duration("1h 30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for wrong in ["", "30", "s", "-5s", "5M", "1.5.s", "9999999h", "99999999999999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert!(duration("30").unwrap_err().contains("250ms, 30s, 5m or 12h"));
        assert!(timeout("0s").is_err() && timeout("0").is_err() && timeout("999us").is_err());
    }

    #[test]
    fn numbers_are_digits_alone() {
        assert_eq!(count::<u32>("16"), Ok(16));
        assert_eq!(retries("0"), Ok(0));
        assert_eq!(limit("all"), Ok(None));
        assert_eq!(limit("7").unwrap().map(NonZeroU64::get), Some(7));
        for wrong in ["", "0", "+5", "-5", "1e3", "4.0", "99999999999999999999", "4294967296"] {
            assert!(count::<u32>(wrong).is_err(), "{wrong}");
        }
        assert!(retries("1001").is_err() && limit("0").is_err());
    }

    #[test]
    fn a_delimiter_and_a_quote_are_one_character() {
        assert_eq!(delimiter(";"), Ok(Some(b';')));
        assert_eq!(delimiter("tab"), Ok(Some(b'\t')));
        assert_eq!(delimiter("\\t"), Ok(Some(b'\t')));
        assert_eq!(delimiter("auto"), Ok(None));
        assert_eq!(delimiter("\\x01"), Ok(Some(1)));
        assert_eq!(delimiter("a"), Ok(Some(b'a')));
        for wrong in ["", ";;", "\"", "\n", "é", "\0", "\\x0", "\\x0a", "\\xff", "\\xé"] {
            assert!(delimiter(wrong).is_err(), "{wrong:?}");
        }
        for (text, value) in [
            ("auto", GivenChar::ByRows),
            ("none", GivenChar::Absent),
            ("\"", GivenChar::Char(b'"')),
            ("\\", GivenChar::Char(b'\\')),
        ] {
            assert_eq!(quote(text), Ok(value), "{text}");
        }
        assert!(quote("").is_err() && quote("''").is_err() && quote("\n").is_err());
    }

    #[test]
    fn an_encoding_has_a_name_of_the_standard() {
        assert_eq!(encoding("auto"), Ok(None));
        assert_eq!(encoding("Latin1").unwrap().map(TextEncoding::name), Some("windows-1252"));
        assert!(encoding("cp850").unwrap_err().contains("WHATWG") && encoding("").is_err());
        assert!(number("-1").is_err() && number("2") == Ok(2));
    }

    #[test]
    fn methods_keep_their_case_unless_they_are_the_usual_ones() {
        assert_eq!(method("post"), Ok(Method::POST));
        assert_eq!(method("PURGE").unwrap().as_str(), "PURGE");
        assert_eq!(method("purge").unwrap().as_str(), "purge");
        for wrong in ["", "GE T", "CONNECT", "connect\n"] {
            assert!(method(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value_and_no_error_shows_the_value() {
        let (name, value) = header("X-Api-Key:  a:b ").unwrap();
        assert_eq!((name.as_str(), value), ("x-api-key", "a:b"));
        for wrong in [
            "canary",
            "canary value: x",
            ": canary",
            "X-Key: canary\r\nX: y",
            "Content-Length: canary",
            "X-Key: ",
        ] {
            let why = header(wrong).unwrap_err();
            assert!(!why.contains("canary"), "{why}");
        }
    }

    #[test]
    fn an_empty_list_of_statuses_is_written_as_none() {
        assert!(statuses("none").unwrap().is_empty());
        assert!(statuses("404,500-504").unwrap().contains(503));
        assert!(statuses("").is_err() && statuses("4o4").is_err());
    }

    #[test]
    fn a_plus_adds_statuses_to_those_that_are_retried_by_default() {
        for (text, retried, not) in [
            ("+202", &[202, 429, 503][..], &[423, 200][..]),
            (" + 202, 423 ", &[202, 423, 429][..], &[200][..]),
            ("+202,+510-511", &[202, 510, 511, 429][..], &[512][..]),
            ("202,423", &[202, 423][..], &[429, 503][..]),
        ] {
            let set = retry_on(text).unwrap();
            assert!(retried.iter().all(|status| set.contains(*status)), "{text}: {set}");
            assert!(!not.iter().any(|status| set.contains(*status)), "{text}: {set}");
        }
        assert!(retry_on("none").unwrap().is_empty());
        assert_eq!(named_statuses("+202,423").unwrap().to_string(), "202,423");
        for wrong in ["+", "+none", "202,+423", "++202", "+4o4", "", "+202,", "+-202"] {
            assert!(retry_on(wrong).is_err(), "{wrong}");
        }
        assert!(retry_on("202,+423").unwrap_err().contains("+202,423"));
    }

    #[test]
    fn a_status_that_no_answer_can_have_is_refused() {
        for wrong in ["101", "100-599", "404,103", "+102"] {
            assert!(retry_on(wrong).unwrap_err().contains("is not a final status"), "{wrong}");
        }
        assert!(statuses("150").unwrap_err().contains("from 200 on"));
    }

    proptest! {
        #[test]
        fn no_text_panics_a_parser_and_no_error_carries_a_control_character(
            text in "\\PC{0,80}|.{0,80}|\\x1b.*"
        ) {
            let errors = [
                truth(&text).err(), duration(&text).err(), timeout(&text).err(), rate(&text).err(),
                statuses(&text).err(), retry_on(&text).err(), retry_on(&format!("+{text}")).err(), size(&text).err(), count::<u32>(&text).err(), limit(&text).err(),
                retries(&text).err(), delimiter(&text).err(), quote(&text).err(), encoding(&text).err(), method(&text).err(), header(&text).err(),
            ];
            for why in errors.into_iter().flatten() {
                prop_assert!(!why.chars().any(char::is_control), "{why:?}");
            }
        }
    }
}
