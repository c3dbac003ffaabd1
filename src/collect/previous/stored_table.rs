//! Reads the rows of a table that an earlier run wrote, and that a spreadsheet may have saved since.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::ops::ControlFlow;
use std::sync::Arc;

use csv::ByteRecord;

use crate::collect::files::compression::unpacked;
use crate::collect::previous::members::Malformed;
use crate::collect::previous::stored_sku::{Stored, StoredSku, Unreadable};
use crate::collect::settings::Shape;
use crate::collect::table::layout::{RECORD_COLUMNS, TableLayout};
use crate::input::{LineEnd, TableReader};
use crate::model::{Key, display_safe};

/// Delimiters that a spreadsheet may write in place of the one that it read.
const DELIMITERS: &[u8] = b",;\t|";

/// Characters of a header that a message shows.
const SHOWN: usize = 120;

/// How an old table is read.
#[derive(Debug)]
pub(crate) struct OldTable {
    /// Its own columns: those after the input's may be others than this run's.
    pub(crate) layout: Arc<TableLayout>,
    pub(crate) delimiter: u8,
}

/// How a table is read that begins with the input's columns.
pub(crate) fn old_table(mut file: &File, layout: &TableLayout) -> Result<OldTable, Malformed> {
    let (mut header, mut widest) = (ByteRecord::new(), ByteRecord::new());
    let mut found: Option<OldTable> = None;
    for &delimiter in [layout.delimiter].iter().chain(DELIMITERS) {
        file.rewind()?;
        let (_, text) = unpacked(file)?;
        TableReader::new(text, delimiter)?.next(&mut header)?;
        if let Some(own) = layout_of(&header, layout) {
            file.rewind()?;
            let line_end = first_line_end(unpacked(file)?.1)?;
            found = Some(OldTable { layout: Arc::new(TableLayout { line_end, ..own }), delimiter });
            break;
        }
        if header.len() > widest.len() {
            widest.clone_from(&header);
        }
    }
    file.rewind()?;
    found.ok_or_else(|| {
        if widest.is_empty() {
            return Malformed::Syntax("it is empty");
        }
        let there: Vec<_> = widest.iter().map(String::from_utf8_lossy).collect();
        let found = shown(there.iter().map(AsRef::as_ref));
        Malformed::Columns { found, wanted: shown(layout.header()) }
    })
}

/// The layout of a header that begins with the input's columns and has others after them.
fn layout_of(header: &ByteRecord, layout: &TableLayout) -> Option<TableLayout> {
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let own = names.strip_prefix(&layout.input[..]).filter(|own| !own.is_empty())?;
    let columns = own.strip_suffix(&RECORD_COLUMNS.map(String::from)[..]);
    let has_record = columns.is_some();
    let columns = columns.unwrap_or(own).to_vec();
    Some(TableLayout { columns, has_record, ..layout.clone() })
}

/// What ends the first line that is in no quotes.
fn first_line_end(text: impl Read) -> io::Result<LineEnd> {
    let (mut is_quoted, mut before) = (false, 0);
    for byte in BufReader::new(text).bytes() {
        let byte = byte?;
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => return Ok(LineEnd::of(&[before, byte])),
            _ => {}
        }
        before = byte;
    }
    Ok(LineEnd::Lf)
}

/// The names of columns in a message.
pub(crate) fn shown<'a>(names: impl Iterator<Item = &'a str>) -> String {
    display_safe(&names.collect::<Vec<_>>().join(", "), SHOWN)
}

/// Visits every row in the order of the file until `visit` breaks off.
pub(crate) fn visit_rows(
    text: impl Read,
    OldTable { layout, delimiter }: &OldTable,
    mut visit: impl FnMut(StoredSku<'_>) -> ControlFlow<()>,
) -> Result<(), Unreadable> {
    let at = |offset| move |why: Malformed| Unreadable { offset, why };
    let mut rows = TableReader::new(text, *delimiter).map_err(|error| at(0)(error.into()))?;
    let mut row = ByteRecord::new();
    rows.next(&mut row).map_err(|error| at(0)(error.into()))?;
    loop {
        let before = rows.place();
        let Some(place) = rows.next(&mut row).map_err(|error| at(before)(error.into()))? else {
            return Ok(());
        };
        if row.len() != layout.width() {
            let (found, wanted) = (row.len(), layout.width());
            return Err(at(place.start)(Malformed::Width { found, wanted }));
        }
        let key = row.get(layout.key).and_then(|cell| Key::parse(cell).ok());
        let key = key.ok_or_else(|| at(place.start)(Malformed::Syntax("a row has no key")))?;
        let shape = if layout.has_record { Shape::Record } else { Shape::Body };
        let stored = Stored { shape, status: None, body: layout.body_in(&row).map(Cow::Owned) };
        let sku = StoredSku { key: key.as_str(), stored, start: place.start, end: place.end };
        if visit(sku).is_break() {
            return Ok(());
        }
    }
}
