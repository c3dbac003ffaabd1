//! The law of the whole module: a table of cells, written in any dialect and encoding, is read back cell for cell, or
//! it is refused or warned of. It is never another table in silence.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use crate::input::csv_format::{CsvFormat, GivenChar, Quoting};
use crate::input::rows::Rows;
use crate::input::settings::InputSettings;
use crate::input::text_encoding::TextEncoding;

type Table = Vec<Vec<String>>;

/// How a program wrote a table.
#[derive(Debug, Clone)]
struct Style {
    delimiter: u8,
    quoting: Quoting,
    /// Each cell is quoted, not only those that must be.
    quotes_all: bool,
    end: &'static str,
    has_last_end: bool,
    has_mark: bool,
    encoding: TextEncoding,
    /// Plain rows before those of the table: the first rows that are looked at show nothing.
    plain_rows: usize,
}

/// The names of the encodings that tables are written in.
const ENCODINGS: [&str; 20] = [
    "utf-8",
    "utf-8",
    "utf-8",
    "utf-16le",
    "utf-16be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1255",
    "iso-8859-2",
    "iso-8859-15",
    "koi8-r",
    "macintosh",
    "shift_jis",
    "euc-jp",
    "iso-2022-jp",
    "gbk",
    "gb18030",
    "big5",
    "euc-kr",
];

fn style() -> impl Strategy<Value = Style> {
    let quotings = vec![
        Quoting::DOUBLED,
        Quoting::DOUBLED,
        Quoting::BACKSLASH,
        Quoting::NONE,
        Quoting { quote: Some(b'\''), escape: None },
        Quoting { quote: Some(b'\''), escape: Some(b'\\') },
        Quoting { quote: Some(b'"'), escape: Some(b'^') },
    ];
    let form = (
        prop::sample::select(b",,;;\t\t||^~:#! \x01x".to_vec()),
        prop::sample::select(quotings),
        any::<bool>(),
        prop::sample::select(vec!["\n", "\r\n", "\r"]),
    );
    let file = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(ENCODINGS.to_vec()),
        prop::sample::select(vec![0, 0, 0, 0, 0, 0, 0, 250]),
    );
    (form, file).prop_map(
        |((delimiter, quoting, quotes_all, end), (has_last_end, mark, name, plain_rows))| {
            let encoding = TextEncoding::named(name).unwrap();
            let has_mark = mark && !encoding.mark().is_empty();
            let mut style =
                Style { delimiter, quoting, quotes_all, end, has_last_end, has_mark, encoding, plain_rows };
            if style.quoting.escape == Some(delimiter) {
                style.quoting.escape = Some(b'\\');
            }
            style
        },
    )
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c0-9 ,;|\t\"\r\n'=\\\\^~:#]{0,6}",
        2 => "[\"'][a-b,;\t\r\n\"'\\\\]{0,4}[\"']?",
        1 => "[a-zäöüßéèłżščжщяαβאב漢字한글テスト€™ ]{0,5}",
        1 => "\\PC{0,5}",
        1 => "\0?[a-b]?\u{1a}?",
    ]
}

/// A header with the column `sku`, whose place is the number, and rows.
fn table() -> impl Strategy<Value = (usize, Table)> {
    let name = prop_oneof![
        3 => "[A-Z][a-z]{1,4}",
        2 => "[A-Z][a-z]{1,3}[ ,;|\t:.^~#/'\"\\\\()-]{1,2}[a-z]{1,3}",
        1 => cell(),
    ];
    (1usize..5).prop_flat_map(move |width| {
        let header = prop::collection::vec(name.clone(), width);
        let rows = prop::collection::vec(prop::collection::vec(cell(), width), 1..8);
        (0..width, header, rows).prop_map(|(place, mut header, rows)| {
            header[place] = "sku".into();
            (place, std::iter::once(header).chain(rows).collect())
        })
    })
}

/// A cell in a file; `None` if this form cannot hold it.
fn written(cell: &str, style: &Style, is_alone: bool) -> Option<String> {
    let delimiter = char::from(style.delimiter);
    let is_line_end = |c| matches!(c, '\r' | '\n');
    let Some(quote) = style.quoting.quote.map(char::from) else {
        return (!cell.contains(|c| c == delimiter || is_line_end(c))).then(|| cell.to_owned());
    };
    let escape = style.quoting.escape.map(char::from);
    let is_special = |c| c == quote || c == delimiter || Some(c) == escape || is_line_end(c);
    if !(style.quotes_all || cell.contains(is_special) || (is_alone && cell.is_empty())) {
        return Some(cell.to_owned());
    }
    let mut text = String::from(quote);
    for c in cell.chars() {
        if c == quote || Some(c) == escape {
            text.push(escape.unwrap_or(quote));
        }
        text.push(c);
    }
    text.push(quote);
    Some(text)
}

/// The rows that follow the header before those of the table.
fn plain_rows(width: usize, style: &Style) -> impl Iterator<Item = Vec<String>> {
    (0..style.plain_rows).map(move |row| (0..width).map(|column| format!("{row}.{column}")).collect())
}

/// The table as a text; `None` if this form cannot hold it.
fn text(table: &Table, style: &Style) -> Option<String> {
    let width = table[0].len();
    let rows = std::iter::once(table[0].clone()).chain(plain_rows(width, style)).chain(table[1..].to_vec());
    let mut lines = Vec::new();
    for row in rows {
        let cells: Option<Vec<String>> = row.iter().map(|cell| written(cell, style, width == 1)).collect();
        lines.push(cells?.join(&char::from(style.delimiter).to_string()));
    }
    let last = if style.has_last_end { style.end } else { "" };
    Some(lines.join(style.end) + last)
}

/// The table as a file; `None` if this form cannot hold it.
fn file(table: &Table, style: &Style) -> Option<Vec<u8>> {
    let (text, mut bytes) = (text(table, style)?, Vec::new());
    style.encoding.encode(text.as_bytes(), &mut bytes).ok()?;
    // Some encodings write two characters as the same bytes.
    let is_text = style.encoding.decode(&bytes)? == text;
    let mark = if style.has_mark { style.encoding.mark() } else { b"" };
    is_text.then(|| [mark, &bytes].concat())
}

/// What a reading of a file shows to its user.
#[derive(Debug, PartialEq)]
enum Found {
    /// No row is requested.
    Refused(String),
    /// Some rows fail or are warned of, or the end mark of DOS is.
    Told(Table),
    Silent(Table),
}

fn read(bytes: &[u8], sizes: &[usize], settings: &InputSettings) -> Found {
    let source = Parts { bytes: Cursor::new(bytes.to_vec()), sizes: sizes.to_vec(), turn: 0 };
    let mut rows = match Rows::from_reader(Box::new(source), "p.csv", settings) {
        Ok(rows) => rows,
        Err(error) => return Found::Refused(error.to_string()),
    };
    let mut is_told = false;
    let mut table = vec![rows.columns().names.clone()];
    loop {
        match rows.next_row() {
            Ok(Some(row)) => {
                is_told |= row.damage.is_some() || row.quoting_doubt.is_some();
                let cells = row.record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned());
                table.push(cells.collect());
            }
            Ok(None) if is_told || rows.ended_in_a_mark() => return Found::Told(table),
            Ok(None) => return Found::Silent(table),
            Err(error) => return Found::Refused(error.to_string()),
        }
    }
}

/// The table that must be read: rows of empty cells alone are none.
fn expected(table: &Table, style: &Style) -> Table {
    let rows = plain_rows(table[0].len(), style).chain(table[1..].to_vec());
    let rows = rows.filter(|row| row.iter().any(|cell| !cell.is_empty()));
    std::iter::once(table[0].clone()).chain(rows).collect()
}

/// The options that say the whole form.
fn all_given(style: &Style) -> InputSettings {
    let encoding = Some(style.encoding);
    InputSettings { encoding, ..given(style.delimiter, style.quoting, &InputSettings::default()) }
}

fn given(delimiter: u8, quoting: Quoting, settings: &InputSettings) -> InputSettings {
    let given = |byte: Option<u8>| byte.map_or(GivenChar::Absent, GivenChar::Char);
    InputSettings {
        delimiter: Some(delimiter),
        quote: given(quoting.quote),
        escape: given(quoting.escape),
        ..settings.clone()
    }
}

/// Lines of pieces that a CSV may be made of, the header of a failure file among them.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => "[a-c ,;|\t\"\r\n'=\\\\^~:#]{0,6}".prop_map(String::into_bytes),
        2 => prop::sample::select(vec!["sku", "\n", "\r\n", "sep=;\n", "\u{feff}", "ж", "\0", "\u{1a}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec![",_error,_status,_attempts\n", ";_error;_status;'_attempts'\n"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Hands out bytes in reads of at most the given sizes, in turn.
struct Parts {
    bytes: Cursor<Vec<u8>>,
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Parts {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].min(out.len());
        self.turn += 1;
        self.bytes.read(&mut out[..size])
    }
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..9, 100usize..900], 1..4)
}

/// What no evidence can tell, as docs/cookbook.md has it.
fn is_ambiguous(table: &Table, style: &Style, bytes: &[u8]) -> bool {
    let width = table[0].len();
    let cells = || table.iter().flatten();
    let is_unicode = style.encoding.is_utf8() || style.encoding.is_utf16();
    // Text of an 8-bit encoding whose bytes are UTF-8 by chance.
    let is_utf8_by_chance = !is_unicode && std::str::from_utf8(bytes).is_ok() && !bytes.is_ascii();
    // UTF-16 is told by the zeros of a Latin header, where there is no mark.
    let is_wide_by_luck =
        style.encoding.is_utf16() && !style.has_mark && !table[0].iter().all(|name| name.is_ascii());
    // A header that is no text, between delimiters that are not tried.
    let is_no_text = table[0].iter().any(|name| name.contains('\0'));
    // Without quoting, quotes around whole cells, of one column where there are several: it is what a program that
    // quotes writes, with doubled quotes or with escapes, and each row has as many cells.
    let is_quoted = |cells: &[&str]| {
        let text = cells.join("\n");
        // Blanks after a closing quote are accepted.
        let text = text.trim_end_matches(' ');
        let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        inner.is_some_and(|inner| {
            let unescaped = inner.replace(r"\\", "").replace("\\\"", "");
            [inner, unescaped.as_str()].iter().any(|inner| !inner.replace("\"\"", "").contains('"'))
        })
    };
    let is_unquoted = style.quoting.quote.is_none() && {
        let cells: Vec<&str> = cells().map(String::as_str).collect();
        let ends = |from: usize| (from..cells.len()).step_by(width);
        (0..cells.len()).any(|from| ends(from).any(|end| is_quoted(&cells[from..=end])))
    };
    // A quote or an escape of one's own is to be named.
    let is_usual = [Quoting::DOUBLED, Quoting::BACKSLASH, Quoting::NONE].contains(&style.quoting);
    // In one column, a comma at the end of a line, also with quotes around nothing: an empty cell more is accepted.
    let has_comma = width == 1 && cells().any(|cell| cell.trim_end_matches("\"\"").ends_with(','));
    // In one column, quotes around nothing and what may separate cells, without quoting: a row of empty cells.
    let is_empty_row =
        |cell: &String| cell.contains('"') && cell.trim_matches(['"', '\t', ';', '|']).is_empty();
    let has_empty_row = style.quoting.quote.is_none() && width == 1 && cells().any(is_empty_row);
    // Below the first rows, escapes that stand before escapes alone.
    let is_late =
        style.plain_rows > 0 && style.quoting.escape.is_some() && !cells().any(|cell| cell.contains('"'));
    let is_late_escape =
        style.plain_rows > 0 && style.encoding.name() == "ISO-2022-JP" && bytes.contains(&0x1b);
    // A letter between cells.
    is_late_escape
        || style.delimiter == b'x'
        || is_utf8_by_chance
        || is_wide_by_luck
        || is_no_text
        || is_unquoted
        || !is_usual
        || has_comma
        || has_empty_row
        || is_late
}

/// Whether a character that is not tried by itself separates the cells, and one that is tried stands in the header.
/// Where no column is asked for by its name, nothing tells the two apart.
fn may_be_split_otherwise(table: &Table, style: &Style) -> bool {
    const TRIED: &[u8] = b",;\t|^~:";
    let is_tried = |c: char| u8::try_from(c).is_ok_and(|byte| TRIED.contains(&byte));
    !TRIED.contains(&style.delimiter) && table[0].iter().any(|name| name.contains(is_tried))
}

/// Compares tables, and shows the rows that differ alone.
fn is_same(found: &Table, expected: &Table) -> Result<(), TestCaseError> {
    let differ: Vec<_> = found.iter().zip(expected).filter(|(found, expected)| found != expected).collect();
    prop_assert!(differ.is_empty() && found.len() == expected.len(), "{differ:?}");
    Ok(())
}

/// A Ctrl-Z at the end of a file is no text, with line ends behind it or without.
fn ends_in_a_mark(table: &Table, style: &Style) -> bool {
    text(table, style).is_some_and(|text| text.trim_end_matches(['\r', '\n']).ends_with('\u{1a}'))
}

proptest! {
    #[test]
    fn a_table_is_read_cell_for_cell_where_its_form_is_given(
        (_, table) in table(),
        style in style(),
        sizes in sizes(),
    ) {
        let Some(bytes) = file(&table, &style) else { return Ok(()) };
        let settings = all_given(&style);
        let whole = read(&bytes, &[usize::MAX], &settings);
        prop_assert!(read(&bytes, &sizes, &settings) == whole, "by the size of the reads");
        match whole {
            Found::Refused(_) => {}
            Found::Told(_) if ends_in_a_mark(&table, &style) => {}
            Found::Told(found) | Found::Silent(found) => is_same(&found, &expected(&table, &style))?,
        }
    }

    #[test]
    fn what_is_found_gives_the_same_rows_where_it_is_said(
        bytes in any_bytes(),
        key in prop::option::of(1u8..4),
        headers in any::<bool>(),
        sizes in sizes(),
    ) {
        let key = key.map(|place| format!("#{place}"));
        let settings = InputSettings { key, headers, ..InputSettings::default() };
        let Ok(rows) = Rows::from_reader(Box::new(Cursor::new(bytes.clone())), "p.csv", &settings) else {
            return Ok(());
        };
        let CsvFormat { delimiter, quoting, encoding, .. } = rows.columns().format;
        let said = InputSettings { encoding: Some(encoding), ..given(delimiter, quoting, &settings) };
        let table = |found| match found {
            Found::Refused(error) => Err(error),
            Found::Told(table) | Found::Silent(table) => Ok(table),
        };
        let by_evidence = table(read(&bytes, &sizes, &settings));
        prop_assert_eq!(table(read(&bytes, &sizes, &said)), by_evidence);
    }

    #[test]
    fn a_table_is_read_cell_for_cell_by_evidence_alone_or_its_form_is_asked_for(
        (place, table) in table(),
        style in style(),
        by_number in any::<bool>(),
        sizes in sizes(),
    ) {
        let Some(bytes) = file(&table, &style) else { return Ok(()) };
        let key = by_number.then(|| format!("#{}", place + 1));
        let settings = InputSettings { key, ..InputSettings::default() };
        let whole = read(&bytes, &[usize::MAX], &settings);
        prop_assert!(read(&bytes, &sizes, &settings) == whole, "by the size of the reads");
        let is_ambiguous = is_ambiguous(&table, &style, &bytes)
            || (by_number && may_be_split_otherwise(&table, &style));
        if let Found::Silent(found) = whole && !is_ambiguous {
            is_same(&found, &expected(&table, &style))?;
        }
    }
}
