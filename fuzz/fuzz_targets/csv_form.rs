//! The form of any bytes is found by evidence: the same for all read sizes; and said by options, it gives the same rows.
//! A table that is written in a form and read in that form is the same table.
#![no_main]

use std::io::{self, Cursor, Read};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::input::{CsvFormat, GivenChar, InputSettings, Quoting, Rows, TextEncoding};

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    headers: bool,
    /// Which column is the key: `sku`, or the one with this number.
    key: Option<u8>,
    /// The names of a failure file's own columns follow the first line, separated by this.
    failed: Option<u8>,
    sizes: [u8; 3],
    /// Below the encoding's number are those of the table.
    encoding: u8,
    delimiter: u8,
    quoting: u8,
    cells: Vec<Vec<&'a str>>,
    data: &'a [u8],
}

const DELIMITERS: &[u8] = b",;\t|^~:#x\x01";
const ENCODINGS: [&str; 6] = ["utf-8", "utf-16le", "windows-1252", "shift_jis", "gb18030", "koi8-r"];
const QUOTINGS: [Quoting; 4] = [
    Quoting { quote: Some(b'"'), escape: None },
    Quoting { quote: Some(b'"'), escape: Some(b'\\') },
    Quoting { quote: Some(b'\''), escape: None },
    Quoting { quote: Some(b'\''), escape: Some(b'^') },
];

#[derive(Debug, PartialEq)]
struct Found {
    format: CsvFormat,
    names: Vec<String>,
    rows: Vec<(u64, Vec<Vec<u8>>, bool)>,
    error: Option<String>,
}

fuzz_target!(|case: Case<'_>| {
    let sizes = case.sizes.map(|size| usize::from(size).max(1));
    any_bytes(&case, &sizes);
    a_table(&case, &sizes);
});

fn any_bytes(case: &Case<'_>, sizes: &[usize]) {
    // A few bytes of compressed input can expand to gigabytes: correct, but slow.
    if [&b"\x1f\x8b"[..], b"\x28\xb5\x2f\xfd"].iter().any(|start| case.data.starts_with(start))
        || case.data.get(1..4) == Some(b"\x2a\x4d\x18")
    {
        return;
    }
    let data = case.failed.map_or_else(|| case.data.to_vec(), |delimiter| failure_file(case.data, delimiter));
    let key = case.key.map(|place| format!("#{}", place % 4 + 1));
    let settings = InputSettings { key, headers: case.headers, ..InputSettings::default() };
    let whole = read(&data, &[usize::MAX], &settings);
    assert_eq!(read(&data, sizes, &settings), whole, "the size of the reads changes nothing");
    let Some(found) = whole else { return };
    let said = InputSettings {
        encoding: TextEncoding::named(found.format.encoding.name()),
        ..given(found.format, &settings)
    };
    assert_eq!(read(&data, &[usize::MAX], &said), Some(found), "its form is said");
}

fn failure_file(data: &[u8], delimiter: u8) -> Vec<u8> {
    let delimiter = DELIMITERS[usize::from(delimiter) % DELIMITERS.len()];
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, rows) = data.split_at(end);
    let added = ["", "_error", "_status", "_attempts"].join(&*char::from(delimiter).to_string());
    [header, added.as_bytes(), rows].concat()
}

fn given(format: CsvFormat, settings: &InputSettings) -> InputSettings {
    let given = |byte: Option<u8>| byte.map_or(GivenChar::Absent, GivenChar::Char);
    InputSettings {
        delimiter: Some(format.delimiter),
        quote: given(format.quoting.quote),
        escape: given(format.quoting.escape),
        ..settings.clone()
    }
}

fn a_table(case: &Case<'_>, sizes: &[usize]) {
    let Some(width) = case.cells.first().map(Vec::len).filter(|width| *width > 0) else { return };
    let delimiter = DELIMITERS[usize::from(case.delimiter) % DELIMITERS.len()];
    let mut quoting = QUOTINGS[usize::from(case.quoting) % QUOTINGS.len()];
    if quoting.escape == Some(delimiter) {
        quoting.escape = None;
    }
    let header: Vec<String> = (0..width).map(|column| format!("c{column}")).collect();
    let rows = case.cells.iter().map(|row| row.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
    let rows: Vec<Vec<String>> = rows.filter(|row| row.len() == width).collect();
    let lines: Vec<String> =
        std::iter::once(&header).chain(&rows).map(|row| line(row, delimiter, quoting)).collect();
    let encoding = TextEncoding::named(ENCODINGS[usize::from(case.encoding) % ENCODINGS.len()]).unwrap();
    let text = lines.join("\n") + "\n";
    let bytes = match encoding.name() {
        "UTF-8" => text.into_bytes(),
        "UTF-16LE" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        // What is ASCII is the same in the others, but for two characters of Shift_JIS that are its own.
        _ if text.is_ascii() => text.into_bytes(),
        _ => return,
    };
    let format = CsvFormat { delimiter, quoting, encoding, ..CsvFormat::default() };
    let settings =
        InputSettings { key: Some("c0".into()), encoding: Some(encoding), ..InputSettings::default() };
    let Some(found) = read(&bytes, sizes, &given(format, &settings)) else { return };
    let is_row = |row: &&Vec<String>| row.iter().any(|cell| !cell.is_empty());
    let expected: Vec<Vec<Vec<u8>>> = rows
        .iter()
        .filter(is_row)
        .map(|row| row.iter().map(|cell| cell.clone().into_bytes()).collect())
        .collect();
    if found.error.is_none() && found.names == header {
        let cells: Vec<_> = found.rows.iter().map(|row| row.1.clone()).collect();
        assert_eq!(cells, expected);
    }
}

fn line(row: &[String], delimiter: u8, quoting: Quoting) -> String {
    let quote = char::from(quoting.quote.unwrap_or(b'"'));
    let before = quoting.escape.map_or(quote, char::from);
    let cell = |cell: &String| {
        let mut text = String::from(quote);
        for c in cell.chars() {
            if c == quote || Some(c) == quoting.escape.map(char::from) {
                text.push(before);
            }
            text.push(c);
        }
        text.push(quote);
        text
    };
    row.iter().map(cell).collect::<Vec<_>>().join(&*char::from(delimiter).to_string())
}

/// `None`: refused at the start.
fn read(data: &[u8], sizes: &[usize], settings: &InputSettings) -> Option<Found> {
    let source = Trickle { bytes: Cursor::new(data.to_vec()), sizes: sizes.to_vec(), turn: 0 };
    let mut rows = match Rows::from_reader(Box::new(source), "p.csv", settings) {
        Ok(rows) => rows,
        Err(error) => {
            let said = format!("{error} {}", error.hint().unwrap_or_default());
            assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
            return None;
        }
    };
    let columns = rows.columns();
    let mut found =
        Found { format: columns.format, names: columns.names.clone(), rows: Vec::new(), error: None };
    loop {
        match rows.next_row() {
            Ok(Some(row)) => {
                let cells = row.record.iter().map(<[u8]>::to_vec).collect();
                found.rows.push((row.line, cells, row.damage.is_some()));
            }
            Ok(None) => return Some(found),
            Err(error) => {
                found.error = Some(error.to_string());
                return Some(found);
            }
        }
    }
}

/// Hands out bytes in reads of at most the given sizes, in turn.
struct Trickle {
    bytes: Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Trickle {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
        self.turn += 1;
        self.bytes.read(&mut out[..size])
    }
}
