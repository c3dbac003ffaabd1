//! The options of table `output`.

use std::path::{Path, PathBuf};

use crate::collect::{Compression, Format, Shape, TableColumn, parse_columns};
use crate::config::choices::{Guard, Percent};
use crate::config::joined::joined;
use crate::config::origin::WrongValue;
use crate::config::setting::{Given, Handle, Setting, Table, Takes};
use crate::model::{option, shell_word};

pub(crate) static SETTINGS: &[&Setting] = &[
    &OUTPUT.setting,
    &FORMAT.setting,
    &COLUMNS.setting,
    &CSV_BOM.setting,
    &SHAPE.setting,
    &MERGE.setting,
    &PRUNE.setting,
    &CHANGES.setting,
    &GUARD.setting,
    &STREAM.setting,
    &FAILED.setting,
    &MIN_SUCCESS.setting,
];

/// `-` is standard output.
pub(crate) static OUTPUT: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Output,
        option::OUTPUT,
        Takes::Text("FILE"),
        "Where the answers go, or - for standard output",
    )
    .short('o')
    .more(
        "Required. The old file is untouched until the new one is complete. A name that ends in .gz or .zst is \
         compressed.",
    ),
    read: file,
};

pub(crate) static FORMAT: Handle<Format> = Handle {
    setting: Setting::new(Table::Output, option::FORMAT, Takes::Word("FORMAT"), "json, jsonl or csv")
        .default("json")
        .more(joined!(
            "json is one object with a line for each SKU; jsonl has one {\"key\":...,\"body\":...} a line; csv has the \
             rows of INPUT with a cell for each of ",
            option::COLUMNS,
            ". Without it, the ending of ",
            option::OUTPUT,
            " decides.",
        ))
        .completions(&["json", "jsonl", "csv"]),
    read: format,
};

/// None where the output is no table; the whole body where no column was given.
pub(crate) static COLUMNS: Handle<Vec<TableColumn>> = Handle {
    setting: Setting::new(
        Table::Output,
        option::COLUMNS,
        Takes::Text("LIST"),
        "Of a csv: name=JQ, ... [default: body=.]",
    )
    .more(joined!(
        "The columns after those of INPUT, such as 'name=.name, price=.price.amount': a jq filter for each, applied \
         to the body after ",
        option::SELECT,
        ". A text gives its characters, a number its digits, null or nothing an empty cell, an array or object its \
         JSON; several values fail the SKU. A text that a spreadsheet would run, because it begins with = + - or @, \
         gets an apostrophe before it, unless it is a number. A name with a comma or = stands in double quotes. The \
         list can be changed without asking the API again for what is in the journal.",
    )),
    read: |given| given.parse_if_set(parse_columns).map(Option::unwrap_or_default),
};

pub(crate) static CSV_BOM: Handle<bool> = Handle {
    setting: Setting::flag(Table::Output, option::CSV_BOM, "Of a csv: begin with a byte-order mark").more(
        "Excel needs it to read UTF-8. Without this option the csv has one if INPUT has one, or is in another \
         encoding than UTF-8.",
    ),
    read: |given| given.flag(),
};

pub(crate) static SHAPE: Handle<Shape> = Handle {
    setting: Setting::new(Table::Output, option::SHAPE, Takes::Word("SHAPE"), "body or record")
        .default("body")
        .more(
            "record is {\"status\":...,\"fetched_at\":...,\"attempts\":...,\"body\":...}; a failed SKU has \
         \"error\" in place of \"body\". A csv has these as columns after the others: _status, _fetched_at, _attempts, \
         _error.",
        )
        .completions(&["body", "record"]),
    read: |given| given.choice(),
};

pub(crate) static MERGE: Handle<bool> = Handle {
    setting: Setting::flag(Table::Output, option::MERGE, "Start from the existing output")
        .more("SKUs that are not fetched by this run keep their value."),
    read: |given| given.flag(),
};

pub(crate) static PRUNE: Handle<bool> = Handle {
    setting: Setting::flag(
        Table::Output,
        option::PRUNE,
        joined!("With ", option::MERGE, ": drop SKUs no longer in INPUT"),
    )
    .more(joined!(
        "Without it, ",
        option::MERGE,
        " keeps them and the summary counts them. Not with ",
        option::LIMIT,
        " or with a failure file as INPUT.",
    )),
    read: |given| given.flag(),
};

pub(crate) static CHANGES: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Output,
        option::CHANGES,
        Takes::Text("FILE"),
        "Write what changed, a JSON line a SKU",
    )
    .more(
        "One line for each SKU that differs from the replaced file: \
         {\"key\":...,\"change\":\"changed\",\"old\":...,\"new\":...}. change is added (no old), removed (no new), \
         changed or failed (no new). Needs an output file.",
    ),
    read: |given| file_only(given, "changes go to a file: standard output carries data"),
};

pub(crate) static GUARD: Handle<Guard> = Handle {
    setting: Setting::new(
        Table::Output,
        option::GUARD,
        Takes::Word("N%|off"),
        "Hold back a much worse output",
    )
    .default("50%")
    .more(
        "An output is held back if it has over N percent fewer SKUs than the old one, or if the share of null or \
         of the most common value is over N percentage points higher, and at least 10 SKUs are affected. The old \
         file stays, the new one is written beside it as out.held.json, and the exit code is 76. An output \
         without SKUs never replaces one that has some, even with off.",
    ),
    read: |given| given.choice(),
};

/// None: beside the output file, or nowhere for standard output.
pub(crate) static STREAM: Handle<bool> = Handle {
    setting: Setting::flag(Table::Output, option::STREAM, "A line for each row as soon as it is decided").more(
        joined!(
            "With ",
            option::OUTPUT,
            " - and ",
            option::FORMAT,
            " jsonl, for the next program in a pipe. The lines come in any order: \
             {\"seq\":...,\"key\":...,\"status\":...,\"attempts\":...,\"fetched_at\":...} and one of body, error, \
             same_as (the seq of the row with the same SKU), deferred and skipped. The exit code is 0 if no row was \
             deferred, whether SKUs failed or not.",
        )
    ),
    read: |given| given.flag(),
};

pub(crate) static FAILED: Handle<Option<PathBuf>> = Handle {
    setting: Setting::new(
        Table::Output,
        option::FAILED,
        Takes::Text("FILE"),
        "Where failed rows go [default: out.failed.csv]",
    )
    .more(joined!(
        "Default: beside the output, under its name; with -o - nowhere. It can be used as INPUT; if the output \
         has SKUs, this needs ",
        option::MERGE,
        ".",
    )),
    read: failed,
};

pub(crate) static MIN_SUCCESS: Handle<Percent> = Handle {
    setting: Setting::new(
        Table::Output,
        option::MIN_SUCCESS,
        Takes::Word("N%"),
        "With fewer fetched, publish nothing",
    )
    .default("50%")
    .more(
        "Of the SKUs requested and the bad rows. 0 turns it off, and also publishes an output of only null.",
    ),
    read: |given| given.choice(),
};

/// `json`, `jsonl` or `csv`. Who asks for another table is told which one there is.
fn format(given: &Given<'_>) -> Result<Format, WrongValue> {
    let is_table =
        |text: &str| ["tsv", "xlsx", "xls", "excel", "table"].contains(&text.to_ascii_lowercase().as_str());
    match given.text()? {
        Some(text) if is_table(text) => Err(given.wrong(format!(
            "`{text}` is not known: write json, jsonl or csv; csv is a table that spreadsheets open, with the \
             delimiter of INPUT"
        ))),
        _ => given.choice(),
    }
}

/// The path of a file, or `-`.
fn file(given: &Given<'_>) -> Result<Option<PathBuf>, WrongValue> {
    let path = given.path()?;
    if path.as_deref().is_some_and(ends_in_no_name) {
        return Err(given.wrong("this is a folder: write the name of a file"));
    }
    Ok(path)
}

/// A file for people and for the next run, which is small.
fn failed(given: &Given<'_>) -> Result<Option<PathBuf>, WrongValue> {
    let path = file_only(given, "failed rows go to a file: standard output carries data")?;
    match path.as_ref().filter(|path| Compression::of(path) != Compression::Plain) {
        Some(packed) => Err(given.wrong(format!(
            "failed rows are not compressed: write {}",
            shell_word(&packed.with_extension("").display().to_string())
        ))),
        None => Ok(path),
    }
}

fn file_only(given: &Given<'_>, why: &str) -> Result<Option<PathBuf>, WrongValue> {
    let path = file(given)?;
    if path.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Err(given.wrong(why));
    }
    Ok(path)
}

fn ends_in_no_name(path: &Path) -> bool {
    path.file_name().is_none() || path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output() {
        assert_eq!(OUTPUT.of(&[]), Ok(None));
        assert_eq!(OUTPUT.of(&["-"]), Ok(Some("-".into())));
        for folder in ["out/", "x/..", "/"] {
            assert_eq!(OUTPUT.refuses(folder), "this is a folder: write the name of a file");
        }
    }

    #[test]
    fn format() {
        assert_eq!((FORMAT.of(&[]), FORMAT.of(&["jsonl"])), (Ok(Format::Json), Ok(Format::Jsonl)));
        assert_eq!(FORMAT.of(&["csv"]), Ok(Format::Csv));
        assert!(FORMAT.refuses("CSV").contains("json, jsonl or csv"));
        assert!(FORMAT.refuses("xlsx").contains("spreadsheets open"));
    }

    #[test]
    fn columns() {
        let column = |name: &str, filter: &str| TableColumn { name: name.into(), filter: filter.into() };
        assert_eq!(COLUMNS.of(&[]), Ok(Vec::new()));
        assert_eq!(
            COLUMNS.of(&["name=.name, p=[.a, .b]"]),
            Ok(vec![column("name", ".name"), column("p", "[.a, .b]")])
        );
        assert!(COLUMNS.refuses(".name").contains("write name=.name"));
    }

    #[test]
    fn csv_bom() {
        assert_eq!((CSV_BOM.of(&[]), CSV_BOM.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn shape() {
        assert_eq!((SHAPE.of(&[]), SHAPE.of(&["record"])), (Ok(Shape::Body), Ok(Shape::Record)));
        assert!(SHAPE.refuses("row").contains("body or record"));
    }

    #[test]
    fn merge() {
        assert_eq!((MERGE.of(&[]), MERGE.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn prune() {
        assert_eq!((PRUNE.of(&[]), PRUNE.of(&["true"])), (Ok(false), Ok(true)));
    }

    #[test]
    fn changes() {
        assert_eq!((CHANGES.of(&[]), CHANGES.of(&["c.jsonl"])), (Ok(None), Ok(Some("c.jsonl".into()))));
        assert!(CHANGES.refuses("-").contains("changes go to a file"));
    }

    #[test]
    fn guard() {
        assert_eq!(GUARD.of(&[]).unwrap().to_string(), "50%");
        assert_eq!(GUARD.of(&["off"]), Ok(Guard(None)));
        assert!(GUARD.refuses("none").contains("or off"));
    }

    #[test]
    fn failed() {
        assert_eq!((FAILED.of(&[]), FAILED.of(&["f.csv"])), (Ok(None), Ok(Some("f.csv".into()))));
        assert!(FAILED.refuses("-").contains("failed rows go to a file"));
        assert_eq!(FAILED.refuses("f.csv.gz"), "failed rows are not compressed: write f.csv");
    }

    #[test]
    fn min_success() {
        assert_eq!(MIN_SUCCESS.of(&[]).unwrap().to_string(), "50%");
        assert_eq!(MIN_SUCCESS.of(&["99.5"]).unwrap().to_string(), "99.5%");
        assert!(MIN_SUCCESS.refuses("101").contains("is not a percentage"));
    }
}
