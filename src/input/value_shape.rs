//! Whether the first cell of a column is one like those below it: then it is no name, and the input has no header.

use crate::input::likely_key::{is_like_a_value, may_be_a_key};

/// The cells below of which all must look alike where the first one alone does not look like a value.
const ENOUGH: usize = 2;

/// A text with each run of digits and each run of letters as one character.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    for c in text.chars() {
        let kind = match c {
            _ if c.is_numeric() => '9',
            _ if c.is_alphabetic() => 'a',
            c => c,
        };
        if !(matches!(kind, '9' | 'a') && shape.ends_with(kind)) {
            shape.push(kind);
        }
    }
    shape
}

/// Whether `first` has digits and is like all cells below it.
pub(super) fn is_one_of<'a>(first: &str, below: impl Iterator<Item = &'a str>) -> bool {
    let of_first = shape(first);
    if !of_first.contains('9') || may_be_a_key(first) {
        return false;
    }
    let mut cells = 0;
    for cell in below.filter(|cell| !cell.is_empty()) {
        if shape(cell) != of_first {
            return false;
        }
        cells += 1;
    }
    cells >= if is_like_a_value(first) { 1 } else { ENOUGH }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_cell_like_the_others_is_no_name() {
        for (first, below) in [
            ("4006381333931", &["4006381333932"][..]),
            ("AB-1001", &["AB-1002", "XYZ-7"]),
            ("A1", &["A2", "", "B17"]),
            ("12,50", &["7,00"]),
        ] {
            assert!(is_one_of(first, below.iter().copied()), "{first}");
        }
        for (first, below) in [
            ("article", &["4711", "4712"][..]),
            ("A1", &["A2"]),
            ("EAN13", &["A17", "B18"]),
            ("Item Number", &["AB 123", "AB 124"]),
            ("2024", &[]),
            ("4711", &["A1", "B2"]),
            ("size1", &["M", "L"]),
        ] {
            assert!(!is_one_of(first, below.iter().copied()), "{first}");
        }
    }
}
