//! JSON as it is written to logs and reports: no character in it acts on a terminal.
//!
//! Beyond ASCII only letters and digits are written as they are; everything else is written as `\uXXXX`.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

/// One line, with its line end.
pub(crate) fn compact(value: &impl Serialize) -> String {
    written(value, CompactFormatter)
}

/// A whole document, indented, with its line end.
pub(crate) fn indented(value: &Value) -> String {
    written(value, PrettyFormatter::new())
}

fn written(value: &impl Serialize, layout: impl Formatter) -> String {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, EscapingFormatter(layout));
    // Strings, numbers and objects of them into memory: there is nothing that could fail.
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Lays out as another formatter does, and writes strings so that none of their characters acts.
struct EscapingFormatter<F>(F);

/// Methods that are the layout's own.
macro_rules! laid_out {
    ($($name:ident ( $($first:ident)? ),)+) => {$(
        fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $first: bool)?) -> io::Result<()> {
            self.0.$name(writer $(, $first)?)
        }
    )+};
}

impl<F: Formatter> Formatter for EscapingFormatter<F> {
    laid_out! {
        begin_array(), end_array(), begin_array_value(first), end_array_value(),
        begin_object(), end_object(), begin_object_key(first), end_object_key(),
        begin_object_value(), end_object_value(),
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for c in fragment.chars() {
            if c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()) {
                CompactFormatter.write_string_fragment(writer, c.encode_utf8(&mut [0; 4]))?;
            } else {
                c.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}
