//! The rows of any bytes are the same for all read sizes and are the csv crate's records; line numbers only increase.
#![no_main]

use std::io::{self, Cursor, Read};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use skufetch::testing::input::{GivenChar, InputError, InputSettings, Rows, TextEncoding, may_delimit};

#[derive(Debug, Arbitrary)]
struct Case<'a> {
    delimiter: Option<u8>,
    headers: bool,
    key: bool,
    limit: Option<u8>,
    sizes: [u8; 4],
    data: &'a [u8],
}

#[derive(Debug, PartialEq)]
struct Found {
    columns: Option<(Vec<String>, u8, bool)>,
    rows: Vec<(u64, Vec<Vec<u8>>, bool)>,
    blanks: u64,
    error: Option<String>,
}

fuzz_target!(|case: Case<'_>| {
    // A few bytes of compressed input can expand to gigabytes: correct, but slow.
    if packed(case.data) && case.data.len() > 64 {
        return;
    }
    let settings = InputSettings {
        key: case.key.then(|| "a".to_owned()),
        delimiter: case.delimiter,
        // As the csv crate reads it, which finds out nothing by itself.
        quote: GivenChar::Char(b'"'),
        escape: GivenChar::Absent,
        encoding: TextEncoding::named("utf-8"),
        headers: case.headers,
        limit: case.limit.map(u64::from),
        ..InputSettings::default()
    };
    let whole = read(case.data, &[usize::MAX], &settings);
    let sizes = case.sizes.map(|size| usize::from(size).max(1));
    let trickled = read(case.data, &sizes, &settings);
    if packed(case.data) && whole.error.is_some() {
        // How much is decoded before the damage depends on the decoder; that it is reported does not.
        let shorter = whole.rows.len().min(trickled.rows.len());
        let enough = settings.limit == Some(trickled.rows.len() as u64);
        assert!(trickled.error.is_some() || enough, "the size of the reads hides damage");
        assert_eq!(trickled.rows[..shorter], whole.rows[..shorter]);
    } else {
        assert_eq!(trickled, whole, "the size of the reads changes nothing");
    }
    assert!(whole.rows.windows(2).all(|two| two[0].0 < two[1].0));
    assert!(settings.limit.is_none_or(|limit| whole.rows.len() as u64 <= limit));
    if whole.error.is_none() && settings.limit.is_none() {
        agrees_with_csv(case.data, &whole, settings.delimiter);
    }
});

fn read(data: &[u8], sizes: &[usize], settings: &InputSettings) -> Found {
    let source = Trickle { bytes: Cursor::new(data.to_vec()), sizes: sizes.to_vec(), turn: 0 };
    let mut found = Found { columns: None, rows: Vec::new(), blanks: 0, error: None };
    let mut rows = match Rows::from_reader(Box::new(source), "p.csv", settings) {
        Ok(rows) => rows,
        Err(error) => {
            return Found { error: Some(told(&error)), ..found };
        }
    };
    let columns = rows.columns();
    assert!(columns.key < columns.names.len());
    found.columns = Some((columns.names.clone(), columns.format.delimiter, columns.headers));
    loop {
        match rows.next_row() {
            Ok(Some(row)) => {
                let cells = row.record.iter().map(<[u8]>::to_vec).collect();
                found.rows.push((row.line, cells, row.damage.is_some()));
            }
            Ok(None) => break,
            Err(error) => {
                found.error = Some(told(&error));
                break;
            }
        }
    }
    found.blanks = rows.blanks();
    found
}

/// What a person reads of it.
fn told(error: &InputError) -> String {
    let said = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "{said:?}");
    said
}

/// Whether it is taken for gzip or zstd.
fn packed(data: &[u8]) -> bool {
    let frame = data.get(1..4) == Some(b"\x2a\x4d\x18");
    frame || data.starts_with(b"\x1f\x8b") || data.starts_with(b"\x28\xb5\x2f\xfd")
}

/// Where no mark, no `sep=` line and no failure file is in the way, rows are the csv crate's records.
fn agrees_with_csv(data: &[u8], found: &Found, wanted: Option<u8>) {
    let (names, delimiter, headers) = found.columns.as_ref().expect("there was no error");
    assert!(may_delimit(*delimiter) && wanted.is_none_or(|wanted| wanted == *delimiter));
    let line = data.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let line = line.strip_prefix(b"\"").unwrap_or(line);
    let sep = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"sep="));
    if sep || packed(data) || data.starts_with(b"\xef\xbb\xbf") {
        return;
    }
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(*delimiter).from_reader(data);
    let mut records =
        reader.byte_records().map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect::<Vec<_>>());
    // A record of empty cells alone is none.
    let mut records = records.by_ref().filter(|cells| cells.iter().any(|cell| !cell.is_empty()));
    let mut first = records.next();
    if first.as_ref().is_some_and(|first| {
        first.ends_with(&[b"_error".to_vec(), b"_status".to_vec(), b"_attempts".to_vec()])
    }) {
        return;
    }
    if *headers {
        assert_eq!(first.take().map(|first| first.len()), Some(names.len()));
    }
    let expected: Vec<_> = first.into_iter().chain(records).collect();
    let rows: Vec<_> = found.rows.iter().map(|(_, cells, _)| cells.clone()).collect();
    assert_eq!(rows.len(), expected.len());
    for ((_, cells, damaged), expected) in found.rows.iter().zip(&expected) {
        // Empty cells beyond the last column are dropped; a cell more tells of text after a quote.
        let (kept, dropped) = expected.split_at(cells.len().min(expected.len()));
        let is_same = cells == kept && dropped.iter().all(Vec::is_empty);
        assert!(is_same || (*damaged && cells[..cells.len() - 1] == **expected), "{cells:?}, {expected:?}");
        assert!(*damaged || cells.iter().all(|cell| std::str::from_utf8(cell).is_ok()));
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
