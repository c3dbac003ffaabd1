//! The columns that the command line asks for, and whether a header has them.

use crate::input::key_column::{plain, plain_chars};

/// The names that a run needs.
#[derive(Debug, Clone, Copy)]
pub(in crate::input) struct AskedColumns<'a> {
    /// The key column. Without it the column `sku`.
    pub(in crate::input) key: Option<&'a str>,
    /// The columns of the templates.
    pub(in crate::input) columns: &'a [String],
    /// Whether the first record names the columns; else they are called 1, 2, 3 …
    pub(in crate::input) headers: bool,
}

impl AskedColumns<'_> {
    /// Whether the key column has a place and no name, so that any first record has it.
    pub(super) fn by_place(self) -> bool {
        self.key.map_or(!self.headers, |key| place(key).is_some())
    }

    /// Whether nothing says which column is the key, and no name can.
    pub(super) fn is_unnamed(self) -> bool {
        !self.headers && self.key.is_none()
    }

    /// Whether a name is that of the key column.
    pub(super) fn is_key(self, name: &[u8]) -> bool {
        is_called(name, self.key.unwrap_or("sku"))
    }

    /// Whether a first record has all of them.
    pub(super) fn are_in(self, first: &[Vec<u8>]) -> bool {
        let has = |name: &str| match place(name).filter(|_| !self.headers || name.starts_with('#')) {
            Some(place) => place <= first.len(),
            None => self.headers && first.iter().any(|cell| is_called(cell, name)),
        };
        let has_key = match self.key {
            Some(key) => has(key),
            None => {
                if self.headers {
                    has("sku")
                } else {
                    first.len() == 1
                }
            }
        };
        // `{sku}` is the key column where no column has that name.
        has_key && self.columns.iter().filter(|name| *name != "sku").all(|name| has(name))
    }
}

/// `3` of `3` and of `#3`.
pub(super) fn place(name: &str) -> Option<usize> {
    name.strip_prefix('#').unwrap_or(name).parse().ok().filter(|&place| place > 0)
}

/// Whether a header's cell is this name, but for case and spaces.
pub(super) fn is_called(cell: &[u8], name: &str) -> bool {
    std::str::from_utf8(cell).is_ok_and(|cell| plain_chars(cell).eq(plain_chars(name)))
}

/// Whether a header's cell has this in its name.
pub(super) fn plain_contains(cell: &[u8], part: &str) -> bool {
    std::str::from_utf8(cell).is_ok_and(|cell| plain(cell).contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(header: &str, key: Option<&str>, columns: &[&str], headers: bool) -> bool {
        let cells: Vec<Vec<u8>> = header.split(',').map(|cell| cell.as_bytes().to_vec()).collect();
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        AskedColumns { key, columns: &columns, headers }.are_in(&cells)
    }

    #[test]
    fn a_header_has_what_is_asked_for_by_name_or_by_place() {
        assert!(has("name,\u{a0}SKU ", None, &[], true) && !has("name,sku no", None, &[], true));
        assert!(has("EAN,name", Some("ean"), &["name", "sku"], true));
        assert!(!has("ean,name", Some("ean"), &["price"], true));
        assert!(has("a,b,c", Some("#3"), &[], true) && !has("a,b", Some("#3"), &[], true));
        assert!(has("a,b", Some("2"), &["1"], false) && !has("a,b", Some("3"), &[], false));
        assert!(
            has("a", None, &[], false) && !has("a,b", None, &[], false) && !has("a,b", Some("a"), &[], false)
        );
    }
}
