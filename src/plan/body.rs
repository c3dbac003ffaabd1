//! The body template: values are inserted as the inside of a JSON string.

use bytes::Bytes;
use secrecy::ExposeSecret;

use crate::json;
use crate::plan::error::{Place, PlanError};
use crate::plan::refusal::{Cells, Refusal};
use crate::plan::template::{Part, Scope, columns_of, expand};

/// A body template bound to its columns. Shows no text, as it may hold secrets.
#[derive(Debug)]
pub(super) struct BodyTemplate {
    parts: Vec<Part>,
}

impl BodyTemplate {
    /// Reads a template.
    pub(super) fn parse(text: &str, scope: Scope<'_>) -> Result<Self, PlanError> {
        let pieces = scope.parse_loosely(text, &Place::Body)?;
        let parts = expand(pieces, |out, _, value| {
            json_escape(out, value.expose_secret());
            Ok(())
        })?;
        Ok(Self { parts })
    }

    /// The columns in the order of their use.
    pub(super) fn columns(&self) -> impl Iterator<Item = usize> {
        columns_of(&self.parts)
    }

    /// The body for one row.
    pub(super) fn render(&self, cells: Cells<'_>) -> Result<Bytes, Refusal> {
        let mut out = String::with_capacity(self.room(cells));
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Column(column) => json_escape(&mut out, cells.text(*column)?),
            }
        }
        Ok(out.into())
    }

    /// The length where nothing needs an escape.
    fn room(&self, cells: Cells<'_>) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Column(column) => cells.bytes(*column).len(),
            })
            .sum()
    }
}

/// Appends the inside of a JSON string (RFC 8259, section 7): only what must be escaped is.
fn json_escape(out: &mut String, value: &str) {
    let mut quoted = Vec::with_capacity(value.len() + 2);
    json::escape_into(value, &mut quoted);
    out.push_str(&String::from_utf8_lossy(&quoted[1..quoted.len() - 1]));
}

#[cfg(test)]
mod tests {
    use csv::ByteRecord;

    use super::*;
    use crate::input::Columns;

    #[test]
    fn values_are_inserted_escaped_once_and_other_braces_stand() {
        let names = vec!["sku".to_owned(), "b".to_owned()];
        let columns = Columns { names, key: 0, delimiter: b',', headers: true };
        let env = |_: &str| Some("to\"ken".to_owned());
        let scope = Scope { columns: &columns, env: &env };
        let template =
            BodyTemplate::parse(r#"{"a":{"q":"{sku}","b":"{b}","t":"${T}"},"x":"{nope}"}"#, scope).unwrap();
        let record = ByteRecord::from(vec!["{b}", "\"\\\n\u{1}\u{1f}é"]);
        let body = template.render(Cells { record: &record, names: &columns.names }).unwrap();
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            "{\"a\":{\"q\":\"{b}\",\"b\":\"\\\"\\\\\\n\\u0001\\u001fé\",\"t\":\"to\\\"ken\"},\"x\":\"{nope}\"}"
        );
        assert_eq!(template.columns().collect::<Vec<_>>(), [0, 1]);
    }
}
