//! The options of table `input`.

use std::num::NonZeroU64;

use crate::config::setting::{Handle, InTune, Setting, Table, Takes};
use crate::config::values;
use crate::input::{EmptyKey, GivenChar, ShortRows, TextEncoding};
use crate::model::option;

pub(crate) static SETTINGS: &[&Setting] = &[
    &KEY.setting,
    &DELIMITER.setting,
    &QUOTE.setting,
    &ESCAPE.setting,
    &ENCODING.setting,
    &SKIP_LINES.setting,
    &NO_HEADERS.setting,
    &EMPTY_KEY.setting,
    &SHORT_ROWS.setting,
    &LIMIT.setting,
];

pub(crate) static KEY: Handle<Option<String>> = Handle {
    setting: Setting::new(
        Table::Input,
        option::KEY,
        Takes::Word("COLUMN"),
        "The column whose value keys the output",
    )
    .short('k')
    .more(
        "By its exact name, else by its name without case and white space. #3 is the third column, unless one has \
         this name; so is {#3} in a template. Default: the column called sku, else the only column.",
    ),
    read: |given| Ok(given.text()?.map(str::to_owned)),
};

/// None: by the first rows.
pub(crate) static DELIMITER: Handle<Option<u8>> = Handle {
    setting: Setting::new(
        Table::Input,
        option::DELIMITER,
        Takes::Word("CHAR"),
        "Between cells: a character or tab",
    )
    .short('d')
    .default("auto")
    .more("Any one character, also \\t or \\x01. auto chooses by the first rows: one of , ; tab | ^ ~ :"),
    read: |given| given.parse(values::delimiter),
};

pub(crate) static QUOTE: Handle<GivenChar> = Handle {
    setting: Setting::new(
        Table::Input,
        option::QUOTE,
        Takes::Word("CHAR"),
        "Around a cell: a character or none",
    )
    .default("auto")
    .more("auto takes \" where the first rows leave no doubt. With none, a quote is a character like any other."),
    read: |given| given.parse(values::quote),
};

pub(crate) static ESCAPE: Handle<GivenChar> = Handle {
    setting: Setting::new(
        Table::Input,
        option::ESCAPE,
        Takes::Word("CHAR"),
        "Before a quote in a cell, or none",
    )
    .default("auto")
    .more(
        "auto takes \\ where the first rows leave no doubt, else none. A quote may be doubled in any case.",
    ),
    read: |given| given.parse(values::quote),
};

/// None: UTF-8, or UTF-16 by its mark or pattern.
pub(crate) static ENCODING: Handle<Option<TextEncoding>> = Handle {
    setting: Setting::new(
        Table::Input,
        option::ENCODING,
        Takes::Word("NAME"),
        "Its encoding, such as windows-1252",
    )
    .default("auto")
    .more("A name of the WHATWG standard. auto is UTF-8, or UTF-16 by its byte-order mark or its pattern; no other encoding is ever guessed."),
    read: |given| given.parse(values::encoding),
};

pub(crate) static SKIP_LINES: Handle<u64> = Handle {
    setting: Setting::new(
        Table::Input,
        option::SKIP_LINES,
        Takes::Word("N"),
        "Lines above the header to skip",
    )
    .default("0"),
    read: |given| given.parse(values::number),
};

pub(crate) static NO_HEADERS: Handle<bool> = Handle {
    setting: Setting::flag(
        Table::Input,
        option::NO_HEADERS,
        "The first line is data; columns are named 1, 2, 3 ...",
    ),
    read: |given| given.flag(),
};

pub(crate) static EMPTY_KEY: Handle<EmptyKey> = Handle {
    setting: Setting::new(
        Table::Input,
        option::EMPTY_KEY,
        Takes::Word("HOW"),
        "Rows without a key: fail or skip",
    )
    .default("fail")
    .more("skip counts them, and requests none: image rows, totals, variants without a SKU.")
    .completions(&["fail", "skip"]),
    read: |given| given.choice(),
};

pub(crate) static SHORT_ROWS: Handle<ShortRows> = Handle {
    setting: Setting::new(
        Table::Input,
        option::SHORT_ROWS,
        Takes::Word("HOW"),
        "Rows with too few cells: fail or pad",
    )
    .default("fail")
    .more("pad takes the missing cells for empty ones.")
    .completions(&["fail", "pad"]),
    read: |given| given.choice(),
};

/// In data rows.
pub(crate) static LIMIT: Handle<Option<NonZeroU64>> = Handle {
    setting: Setting::new(Table::Input, option::LIMIT, Takes::Word("N"), "Stop after N data rows")
        .default("all")
        .in_tune(InTune::Other {
            help: "Take the first N rows as the sample [default: 2000]",
            long: "",
            more: "",
        }),
    read: |given| given.parse(values::limit),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key() {
        assert_eq!(KEY.of(&[]), Ok(None));
        assert_eq!(KEY.of(&["ean"]), Ok(Some("ean".into())));
        assert_eq!(KEY.refuses(""), "the value is empty");
    }

    #[test]
    fn delimiter() {
        assert_eq!(DELIMITER.of(&[]), Ok(None));
        assert_eq!(DELIMITER.of(&["tab"]), Ok(Some(b'\t')));
        assert!(DELIMITER.refuses("ab").contains("cannot separate cells"));
    }

    #[test]
    fn quote() {
        assert_eq!(QUOTE.of(&[]), Ok(GivenChar::ByRows));
        assert_eq!(QUOTE.of(&["none"]), Ok(GivenChar::Absent));
        assert!(QUOTE.refuses("''").contains("not one ASCII character"));
    }

    #[test]
    fn escape() {
        assert_eq!(ESCAPE.of(&[]), Ok(GivenChar::ByRows));
        assert_eq!(ESCAPE.of(&["\\"]), Ok(GivenChar::Char(b'\\')));
        assert!(ESCAPE.refuses("ab").contains("not one ASCII character"));
    }

    #[test]
    fn encoding() {
        assert_eq!(ENCODING.of(&[]), Ok(None));
        assert_eq!(ENCODING.of(&["latin1"]), Ok(TextEncoding::named("windows-1252")));
        assert!(ENCODING.refuses("cp850").contains("WHATWG"));
    }

    #[test]
    fn skip_lines() {
        assert_eq!(SKIP_LINES.of(&[]), Ok(0));
        assert_eq!(SKIP_LINES.of(&["3"]), Ok(3));
        assert!(SKIP_LINES.refuses("-1").contains("whole number"));
    }

    #[test]
    fn no_headers() {
        assert_eq!(NO_HEADERS.of(&[]), Ok(false));
        assert_eq!(NO_HEADERS.of(&["yes"]), Ok(true));
        assert!(NO_HEADERS.refuses("on?").contains("neither true nor false"));
    }

    #[test]
    fn empty_key() {
        assert_eq!((EMPTY_KEY.of(&[]), EMPTY_KEY.of(&["skip"])), (Ok(EmptyKey::Fail), Ok(EmptyKey::Skip)));
        assert!(EMPTY_KEY.refuses("pad").contains("fail or skip"));
    }

    #[test]
    fn short_rows() {
        assert_eq!((SHORT_ROWS.of(&[]), SHORT_ROWS.of(&["pad"])), (Ok(ShortRows::Fail), Ok(ShortRows::Pad)));
        assert!(SHORT_ROWS.refuses("skip").contains("fail or pad"));
    }

    #[test]
    fn limit() {
        assert_eq!(LIMIT.of(&[]), Ok(None));
        assert_eq!(LIMIT.of(&["7"]), Ok(NonZeroU64::new(7)));
        assert!(LIMIT.refuses("0").contains("or all"));
    }
}
