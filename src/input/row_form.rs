//! How the cells of a record fit the header: what is no row, what is accepted, what is damaged.

use std::str::from_utf8;

use csv::ByteRecord;

use crate::input::header::{FAILURE_COLUMNS, unguarded};
use crate::input::key_column::{plain, plain_chars};
use crate::input::row::Damage;

/// The form that rows should have.
pub(super) struct RowForm {
    /// Columns, without those that a failure file adds.
    own: usize,
    /// Of these, the ones up to the last that has a name.
    named: usize,
    /// The columns that a failure file adds.
    added: usize,
    /// Whether a row with too few cells is taken as if the others were empty.
    pads: bool,
    key: usize,
    /// The names as they are compared with cells; none where the input has no header.
    header: Option<Box<[String]>>,
}

/// How one record fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowFit {
    /// Its own cells: without those of a failure file, and without empty ones for which there is no column.
    pub(super) cells: usize,
    /// It has fewer cells than there are columns, and is no worse for it.
    pub(super) is_padded: bool,
    /// It has too many cells, or too few.
    pub(super) damage: Option<Damage>,
}

impl RowForm {
    /// For these columns. `headers`: their names are those of a header line.
    pub(super) fn new(names: &[String], key: usize, headers: bool) -> Self {
        let last = names.iter().rposition(|name| !headers || !name.is_empty()).unwrap_or(0);
        let header = headers.then(|| names.iter().map(|name| plain(name)).collect());
        Self { own: names.len(), named: last + 1, added: 0, pads: false, key, header }
    }

    /// For the rows of a failure file, which has three columns more.
    pub(super) fn with_failure_columns(self, is_failure_file: bool) -> Self {
        Self { added: if is_failure_file { FAILURE_COLUMNS.len() } else { 0 }, ..self }
    }

    /// Cells that a row lacks count as empty.
    pub(super) fn padding(self, pads: bool) -> Self {
        Self { pads, ..self }
    }

    /// Cells of a whole row, with those that a failure file adds.
    pub(super) fn width(&self) -> usize {
        self.own + self.added
    }

    /// How many of its cells are the row's own, and whether there are as many as columns. An extra cell at the end is no
    /// damage while it is empty: some programs end every line with a delimiter. Nor is one that is missing where the
    /// header has no name for it.
    pub(super) fn fit(&self, record: &ByteRecord) -> RowFit {
        let (len, whole) = (record.len(), self.width());
        let fits = |cells, is_padded| RowFit { cells, is_padded, damage: None };
        if len == whole {
            return fits(self.own, false);
        }
        let are_empty = |from: usize, to: usize| record.iter().take(to).skip(from).all(<[u8]>::is_empty);
        if len > whole && are_empty(whole, len) {
            return fits(self.own, false);
        }
        // A damaged row of a failure file has its columns too, so that it fails again in the same way.
        let Some(found) = len.checked_sub(self.added).filter(|found| *found > 0) else {
            let damage = Damage::FieldCount { found: len, expected: whole };
            return RowFit { cells: len, is_padded: false, damage: Some(damage) };
        };
        if found > self.own && are_empty(self.own, found) {
            return fits(self.own, false);
        }
        if found < self.own && (found >= self.named || self.pads) {
            return fits(found, true);
        }
        let damage = Damage::FieldCount { found, expected: self.own };
        RowFit { cells: found, is_padded: false, damage: Some(damage) }
    }

    /// Whether the record is no row: all of its own cells are empty, as in the `,,,` that spreadsheets leave.
    pub(super) fn is_blank(&self, record: &ByteRecord, fit: &RowFit) -> bool {
        if self.added == 0 {
            return record.as_slice().is_empty();
        }
        fit.damage.as_ref().is_none_or(|_| fit.cells < record.len())
            && record.iter().take(fit.cells).all(<[u8]>::is_empty)
    }

    /// Whether the record is the header once more, as where files were joined.
    pub(super) fn is_header(&self, record: &ByteRecord, fit: &RowFit) -> bool {
        let Some(header) = &self.header else { return false };
        let cell = |column: usize| match record.get(column).filter(|_| column < fit.cells) {
            Some(cell) if self.added > 0 => unguarded(cell, false),
            Some(cell) => cell,
            None => b"",
        };
        let is_name = |column: usize| {
            from_utf8(cell(column)).is_ok_and(|cell| plain_chars(cell).eq(header[column].chars()))
        };
        // Nearly every row ends here, at one of its first bytes: `S1` is not `sku`.
        let mut name = header[self.key].bytes();
        let mut plain = cell(self.key).iter().take_while(|byte| byte.is_ascii_alphanumeric());
        let begins_alike =
            plain.all(|byte| name.next().is_some_and(|of_name| byte.eq_ignore_ascii_case(&of_name)));
        begins_alike && is_name(self.key) && (0..header.len()).all(is_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(names: &[&str]) -> RowForm {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        RowForm::new(&names, 0, true)
    }

    fn record(text: &str) -> ByteRecord {
        text.split(',').map(str::as_bytes).collect()
    }

    fn fit(form: &RowForm, text: &str) -> (usize, bool, bool) {
        let RowFit { cells, is_padded, damage } = form.fit(&record(text));
        (cells, is_padded, damage.is_some())
    }

    #[test]
    fn extra_cells_are_accepted_while_they_are_empty() {
        let plain = form(&["sku", "name"]);
        for (text, expected) in [
            ("A,x", (2, false, false)),
            ("A,x,", (2, false, false)),
            ("A,x,,", (2, false, false)),
            ("A,x,,y", (4, false, true)),
            ("A", (1, false, true)),
        ] {
            assert_eq!(fit(&plain, text), expected, "{text}");
        }
        // The header ends with a delimiter: its last column has no name.
        let nameless = form(&["sku", "name", ""]);
        for (text, expected) in [
            ("A,x,", (3, false, false)),
            ("A,x", (2, true, false)),
            ("A,x,y", (3, false, false)),
            ("A", (1, false, true)),
        ] {
            assert_eq!(fit(&nameless, text), expected, "{text}");
        }
    }

    #[test]
    fn missing_cells_are_empty_where_that_is_wanted() {
        let padding = form(&["sku", "name", "qty"]).padding(true);
        assert_eq!(fit(&padding, "A"), (1, true, false));
        assert_eq!(fit(&padding, "A,x"), (2, true, false));
        assert_eq!(fit(&padding, "A,x,1,2"), (4, false, true));
    }

    #[test]
    fn a_failure_file_keeps_the_form_of_its_rows() {
        let form = || form(&["sku", "name"]).with_failure_columns(true);
        for (text, expected) in [
            ("A,x,late,,5", (2, false, false)),
            ("A,x,late,,5,,", (2, false, false)),
            ("A,x,,late,,5", (2, false, false)),
            ("A,x,y,late,,5", (3, false, true)),
            ("A,late,,5", (1, false, true)),
            ("late,,5", (3, false, true)),
            ("A", (1, false, true)),
        ] {
            assert_eq!(fit(&form(), text), expected, "{text}");
        }
        assert_eq!(fit(&form().padding(true), "A,late,,5"), (1, true, false));
        assert_eq!(fit(&form().padding(true), "late,,5"), (3, false, true));
        let is_blank = |text: &str| form().is_blank(&record(text), &form().fit(&record(text)));
        assert!(is_blank(",,the key is empty,,0") && is_blank(",,,the row is damaged,,0"));
        assert!(!is_blank(",x,late,,5") && !is_blank("late,,5"));
    }

    #[test]
    fn only_empty_cells_make_no_row() {
        let form = form(&["sku", "name"]);
        for (text, blank) in [(",", true), ("", true), (",,,", true), (" ,", false), (",x", false)] {
            assert_eq!(form.is_blank(&record(text), &form.fit(&record(text))), blank, "{text:?}");
        }
    }

    #[test]
    fn a_header_is_recognised_with_other_case_spaces_and_marks() {
        let form = form(&["SKU", "Name", ""]);
        let is = |text: &str| form.is_header(&record(text), &form.fit(&record(text)));
        for text in ["SKU,Name,", "SKU,Name", "\u{feff}SKU,Name,", " sku,NAME ,,", "S\u{ad}KU,Na me,"] {
            assert!(is(text), "{text}");
        }
        for text in
            ["SKU,x,", "A,Name,", "SKU", "SKU,Name,x", "", "S1,Name,", "SKU1,Name,", "SK,Name,", "SK-U,Name,"]
        {
            assert!(!is(text), "{text}");
        }
        let names = ["1".to_owned(), "2".to_owned()];
        let bare = RowForm::new(&names, 0, false);
        assert!(!bare.is_header(&record("1,2"), &bare.fit(&record("1,2"))));
    }
}
