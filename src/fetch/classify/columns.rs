//! The filters of `--columns`: each makes one cell of a body as it is stored.

use http::HeaderMap;

use super::select::{AnswerFacts, FilterInput, Select, SelectError, UsedVariables};

/// The filters of all columns, compiled. `Send + Sync`: all threads can share them.
#[derive(Debug)]
pub(crate) struct ColumnFilters {
    columns: Vec<Select>,
    /// None of them looks into a body.
    are_whole: bool,
}

/// A filter that cannot be used, or that failed on a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ColumnFault {
    /// The place of its column.
    pub(crate) column: usize,
    /// Why.
    pub(crate) error: SelectError,
}

impl ColumnFilters {
    /// Compiles the filters. There are no variables: a value depends on the body alone.
    ///
    /// # Errors
    /// The first text that is no filter.
    pub(crate) fn compile<'a>(filters: impl IntoIterator<Item = &'a str>) -> Result<Self, ColumnFault> {
        let compile =
            |(column, text)| Select::without_variables(text).map_err(|error| ColumnFault { column, error });
        let columns: Vec<Select> =
            filters.into_iter().enumerate().map(compile).collect::<Result<_, ColumnFault>>()?;
        let are_whole = columns.iter().all(Select::is_identity);
        Ok(Self { columns, are_whole })
    }

    /// What each column has for a body: compact JSON, or nothing where its filter gives nothing.
    ///
    /// # Errors
    /// The first filter that gives several values, one that JSON cannot hold, or an error.
    pub(crate) fn values(&self, body: &[u8]) -> Result<Vec<Option<Vec<u8>>>, ColumnFault> {
        if self.are_whole {
            return Ok(vec![Some(body.to_vec()); self.columns.len()]);
        }
        let headers = HeaderMap::new();
        let facts = AnswerFacts { status: 0, headers: &headers, asked: None };
        let input = FilterInput::new(body, &facts, &UsedVariables::default())
            .ok_or_else(|| ColumnFault { column: 0, error: SelectError::of_unreadable_input() })?;
        let value = |(column, filter): (usize, &Select)| {
            if filter.is_identity() {
                return Ok(Some(body.to_vec()));
            }
            let mut value = Vec::new();
            match filter.apply(&input, &mut value) {
                Ok(()) => Ok(Some(value)),
                Err(SelectError::NoValue) => Ok(None),
                Err(error) => Err(ColumnFault { column, error }),
            }
        };
        self.columns.iter().enumerate().map(value).collect()
    }
}

#[cfg(all(test, feature = "jq"))]
mod tests {
    use super::*;

    fn values(filters: &[&str], body: &str) -> Result<Vec<Option<String>>, ColumnFault> {
        let columns = ColumnFilters::compile(filters.iter().copied()).unwrap();
        let text = |value: Vec<u8>| String::from_utf8(value).unwrap();
        Ok(columns.values(body.as_bytes())?.into_iter().map(|value| value.map(text)).collect())
    }

    #[test]
    fn each_filter_gives_one_value_as_the_body_has_it_or_none() {
        let body = r#"{"a":1.10,"b":"x","c":[9007199254740993,{}],"n":null}"#;
        let found = values(&[".a", ".b", ".c", ".n", ".x", "empty", ".a > 1", "."], body).unwrap();
        let found: Vec<Option<&str>> = found.iter().map(Option::as_deref).collect();
        let [array, whole] = ["[9007199254740993,{}]", body];
        assert_eq!(
            found,
            [
                Some("1.10"),
                Some("\"x\""),
                Some(array),
                Some("null"),
                Some("null"),
                None,
                Some("true"),
                Some(whole)
            ]
        );
        assert_eq!(values(&[".", "."], "[1]").unwrap(), vec![Some("[1]".to_owned()); 2]);
    }

    #[test]
    fn a_fault_names_its_column() {
        let several = ColumnFault { column: 1, error: SelectError::SeveralValues };
        assert_eq!(values(&[".", ".[]"], "[1,2]").unwrap_err(), several);
        assert!(matches!(
            values(&[".a"], "[1]"),
            Err(ColumnFault { column: 0, error: SelectError::Failed(_) })
        ));
        assert!(matches!(values(&["nan"], "1"), Err(ColumnFault { error: SelectError::NotJson(_), .. })));
        let unknown = ColumnFilters::compile([".", "$row.a"]).unwrap_err();
        assert!(matches!(unknown, ColumnFault { column: 1, error: SelectError::Variable(_) }), "{unknown:?}");
    }
}
