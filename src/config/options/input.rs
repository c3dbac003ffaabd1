//! The options of table `input`.

use std::num::NonZeroU64;

use crate::config::setting::{Handle, InTune, Setting, Table, Takes};
use crate::config::values;
use crate::input::{EmptyKey, ShortRows};
use crate::model::option;

pub(crate) static SETTINGS: &[&Setting] = &[
    &KEY.setting,
    &DELIMITER.setting,
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

/// None: by the header line.
pub(crate) static DELIMITER: Handle<Option<u8>> = Handle {
    setting: Setting::new(
        Table::Input,
        option::DELIMITER,
        Takes::Word("CHAR"),
        "Between cells: a character or tab",
    )
    .short('d')
    .default("auto")
    .more("auto chooses by the header line: one of , ; tab |"),
    read: |given| given.parse(values::delimiter),
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
    .more("skip counts them, and asks for none: image rows, totals, variants without a SKU.")
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
        assert!(DELIMITER.refuses("ab").contains("cannot stand between cells"));
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
