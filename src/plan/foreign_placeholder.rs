//! Placeholders as other programs write them, for the hint of a template without a column.

use crate::input::Columns;

/// The name of the key column where the input has none.
const USUAL_NAME: &str = "sku";

/// A placeholder of another notation in this address, and the column that it probably means: `:sku`, `$sku`, `<sku>`,
/// `[sku]`, `%sku%`, or one without a name.
pub(super) fn foreign_placeholder(url: &str, columns: &Columns) -> Option<(String, String)> {
    let names = columns.names.iter().map(String::as_str).filter(|name| !name.is_empty()).chain([USUAL_NAME]);
    // The host is none of them, and a port is of digits.
    let with_names = names.flat_map(|name| {
        [
            format!(":{name}"),
            format!("${name}"),
            format!("<{name}>"),
            format!("[{name}]"),
            format!("%{name}%"),
        ]
        .map(|written| (written, name))
    });
    let key = columns.names.get(columns.key).map_or(USUAL_NAME, String::as_str);
    let nameless = ["%s", "$1"].map(|written| (written.to_owned(), key));
    with_names
        .chain(nameless)
        .find(|(written, _)| url.contains(written.as_str()))
        .map(|(written, name)| (written, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_notations_are_known_with_the_column_that_they_mean() {
        let columns = Columns {
            names: vec!["name".into(), "item no".into()],
            key: 1,
            format: crate::input::CsvFormat::default(),
            headers: true,
        };
        for (url, found) in [
            ("http://a:80/:name", Some((":name", "name"))),
            ("http://a/?q=$sku", Some(("$sku", "sku"))),
            ("http://a/<item no>", Some(("<item no>", "item no"))),
            ("http://a/%name%", Some(("%name%", "name"))),
            ("http://a/%s", Some(("%s", "item no"))),
            ("http://a/p/$1", Some(("$1", "item no"))),
            ("http://a:80/p", None),
        ] {
            let found = found.map(|(written, name)| (written.to_owned(), name.to_owned()));
            assert_eq!(foreign_placeholder(url, &columns), found, "{url}");
        }
    }
}
