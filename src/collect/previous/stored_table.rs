//! Reads the rows of a table that an earlier run wrote, and that a spreadsheet may have saved since.

use std::fs::File;
use std::io::{Read, Seek};
use std::ops::ControlFlow;

use csv::ByteRecord;

use crate::collect::files::compression::unpacked;
use crate::collect::previous::members::Malformed;
use crate::collect::previous::stored_sku::{Stored, StoredSku, Unreadable};
use crate::collect::settings::Shape;
use crate::collect::table::layout::TableLayout;
use crate::input::TableReader;
use crate::model::{Key, display_safe};

/// Delimiters that a spreadsheet may write in place of the one that it read.
const DELIMITERS: &[u8] = b",;\t|";

/// Characters of a header that a message shows.
const SHOWN: usize = 120;

/// The delimiter by which a table has the columns of this layout.
pub(crate) fn table_delimiter(mut file: &File, layout: &TableLayout) -> Result<u8, Malformed> {
    let (mut header, mut widest) = (ByteRecord::new(), ByteRecord::new());
    let mut found = None;
    for &delimiter in [layout.delimiter].iter().chain(DELIMITERS) {
        file.rewind()?;
        let (_, text) = unpacked(file)?;
        TableReader::new(text, delimiter)?.next(&mut header)?;
        if header.iter().eq(layout.header().map(str::as_bytes)) {
            found = Some(delimiter);
            break;
        }
        if header.len() > widest.len() {
            widest.clone_from(&header);
        }
    }
    file.rewind()?;
    found.ok_or_else(|| {
        let list = |names: Vec<&str>| display_safe(&names.join(", "), SHOWN);
        let there: Vec<_> = widest.iter().map(String::from_utf8_lossy).collect();
        Malformed::Columns {
            found: list(there.iter().map(AsRef::as_ref).collect()),
            wanted: list(layout.header().collect()),
        }
    })
}

/// Visits every row in the order of the file until `visit` breaks off.
pub(crate) fn visit_rows(
    text: impl Read,
    (layout, delimiter): (&TableLayout, u8),
    mut visit: impl FnMut(StoredSku<'_>) -> ControlFlow<()>,
) -> Result<(), Unreadable> {
    let at = |offset| move |why: Malformed| Unreadable { offset, why };
    let mut rows = TableReader::new(text, delimiter).map_err(|error| at(0)(error.into()))?;
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
        let stored = Stored { shape, status: None, body: layout.body_in(&row) };
        let sku = StoredSku { key: key.as_str(), stored, start: place.start, end: place.end };
        if visit(sku).is_break() {
            return Ok(());
        }
    }
}
