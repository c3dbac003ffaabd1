//! Paths that some servers read as another one than was sent. They are requested as they are, with a warning: a
//! server that takes a path as it was sent answers for exactly the value.

use percent_encoding::percent_decode;

use crate::plan::suspicious_keys::Suspicion;

/// A part of the path of one row: a column and its cell as it stands, or no column and literal text as it is sent.
pub(super) type PathPart<'a> = (Option<usize>, &'a [u8]);

/// What is suspicious about the path of one row, and the column that makes it so.
pub(super) fn suspicion_of_path<'a>(
    parts: impl Iterator<Item = PathPart<'a>> + Clone,
) -> Option<(usize, Suspicion)> {
    let mut columns = parts.clone().filter_map(|(column, cell)| Some((column?, cell)));
    columns.clone().find(|(_, cell)| may_be_read_otherwise(cell))?;
    if let Some(column) = doubled_slash(parts.clone()) {
        return Some((column, Suspicion::DoubledSlash));
    }
    let path: Vec<u8> = parts.flat_map(decoded).collect();
    let (column, _) = columns.find(|(_, cell)| cell.iter().any(|byte| matches!(byte, b'%' | b';')))?;
    has_hidden_dots(path).then_some((column, Suspicion::HiddenDots))
}

/// Whether a cell has a byte that some server takes for more than itself. Nearly none has.
pub(super) fn may_be_read_otherwise(cell: &[u8]) -> bool {
    cell.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'%' | b';'))
}

/// The column whose value makes two slashes, or a slash and a backslash, follow each other.
fn doubled_slash<'a>(parts: impl Iterator<Item = PathPart<'a>>) -> Option<usize> {
    // Whether the byte before is a slash, and the column that it is from.
    let mut before: Option<Option<usize>> = None;
    for part in parts {
        for byte in decoded(part) {
            let is_slash = matches!(byte, b'/' | b'\\');
            if let (true, Some(column)) = (is_slash, before)
                && let Some(column) = part.0.or(column)
            {
                return Some(column);
            }
            before = is_slash.then_some(part.0);
        }
    }
    None
}

/// Whether a path that was decoded once has a `.` or `..` segment for a server that decodes it again, as one behind a
/// proxy that decodes may; or for one that takes off what follows a `;` (parameters: Tomcat, Jetty).
fn has_hidden_dots(mut path: Vec<u8>) -> bool {
    loop {
        let mut segments = path.split(|byte| matches!(byte, b'/' | b'\\'));
        if segments.any(|it| matches!(it.split(|byte| *byte == b';').next(), Some(b"." | b".."))) {
            return true;
        }
        let again: Vec<u8> = percent_decode(&path).collect();
        if again.len() == path.len() {
            return false;
        }
        path = again;
    }
}

/// A cell as it stands; literal text without its escapes.
fn decoded(part: PathPart<'_>) -> impl Iterator<Item = u8> {
    let (cell, text) = if part.0.is_some() { (part.1, &[][..]) } else { (&[][..], part.1) };
    cell.iter().copied().chain(percent_decode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `before` + value + `after`.
    fn of(before: &str, value: &str, after: &str) -> Option<Suspicion> {
        let parts = [(None, before.as_bytes()), (Some(3), value.as_bytes()), (None, after.as_bytes())];
        suspicion_of_path(parts.into_iter()).map(|(column, kind)| {
            assert_eq!(column, 3);
            kind
        })
    }

    #[test]
    fn slashes_that_follow_each_other_are_suspicious_where_a_value_has_one_of_them() {
        for (before, value, after) in [
            ("/p/", "/x", ""),
            ("/p/", "a//b", ""),
            ("/p/", "a/\\b", ""),
            ("/p/", "\\x", ""),
            ("/p/", "x/", "/info"),
            ("/p%2F", "/x", ""),
            ("/p-", "//", ""),
        ] {
            assert_eq!(of(before, value, after), Some(Suspicion::DoubledSlash), "{before}{value}{after}");
        }
        for (before, value, after) in [
            ("/p/", "a/b", ""),
            ("/p/", "x/", ""),
            ("/p-", "/x", ""),
            ("//p/", "x", "//"),
            ("//p/", "a%b", ""),
        ] {
            assert_eq!(of(before, value, after), None, "{before}{value}{after}");
        }
    }

    #[test]
    fn dots_that_another_decoding_or_a_parameter_shows_are_suspicious() {
        for value in ["%2e%2e", "..%2fx", "a/%2E./b", "%252e", "..;", "..;x/y", "a/.;b", "..%5Cx"] {
            assert_eq!(of("/p/", value, "/info"), Some(Suspicion::HiddenDots), "{value}");
        }
        for value in ["100%", "%zz", "a%2fb", "a;b", "...;", "%2e%2e%2e", "a..%2Fb", "%25"] {
            assert_eq!(of("/p/", value, "/info"), None, "{value}");
        }
        assert_eq!(of("/p-", "..;", ""), None);
    }
}
