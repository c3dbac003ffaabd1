//! The cells of one row, and the rejections that name one of them.

use csv::ByteRecord;

use crate::plan::message_text::quoted;
use crate::plan::rejection::Rejection;

/// The cells of a row, with the names of the columns for rejections.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    pub(super) record: &'a ByteRecord,
    pub(super) names: &'a [String],
}

impl<'a> Cells<'a> {
    /// The bytes of a cell; empty if there is none.
    pub(super) fn bytes(self, column: usize) -> &'a [u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// A cell as text.
    pub(super) fn text(self, column: usize) -> Result<&'a str, Rejection> {
        std::str::from_utf8(self.bytes(column)).map_err(|_| Rejection::NotUtf8 { column: self.name(column) })
    }

    /// The column's name, quoted.
    pub(super) fn name(self, column: usize) -> String {
        self.names.get(column).map_or_else(String::new, |name| quoted(name))
    }

    /// The rejection of a control character in this cell.
    pub(super) fn control(self, column: usize, control: char) -> Rejection {
        let value = String::from_utf8_lossy(self.bytes(column));
        Rejection::Control { column: self.name(column), control, value: quoted(&value) }
    }

    /// The rejection of a `.` or `..` between slashes of the path.
    pub(super) fn dots(self, column: usize) -> Rejection {
        let value = String::from_utf8_lossy(self.bytes(column));
        Rejection::Dots { column: self.name(column), value: quoted(&value) }
    }

    /// The rejection of a value that is not a number, `true` or `false`.
    pub(super) fn not_a_scalar(self, column: usize, is_untyped: bool) -> Rejection {
        let value = String::from_utf8_lossy(self.bytes(column));
        Rejection::NotAScalar { column: self.name(column), value: quoted(&value), is_untyped }
    }

    /// The rejection of a character that XML cannot contain.
    pub(super) fn not_in_xml(self, column: usize, character: char) -> Rejection {
        let value = String::from_utf8_lossy(self.bytes(column));
        Rejection::NotInXml { column: self.name(column), character, value: quoted(&value) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Damage;

    #[test]
    fn a_refusal_is_one_escaped_sentence() {
        let names = ["s\x1bku".to_owned()];
        let record = ByteRecord::from(vec!["12\t34"]);
        let cells = Cells { record: &record, names: &names };
        assert_eq!(
            cells.control(0, '\t').to_string(),
            "column `s\\u{1b}ku` holds a control character (U+0009): `12\\t34`"
        );
        assert_eq!(cells.bytes(7), b"");
        let damage = Damage::NotText { column: "\x1b[31m".into(), encoding: "UTF-8" };
        assert!(!Rejection::Damaged(damage).to_string().contains('\x1b'));
    }
}
