//! What the rows of a CSV output are made of: the input's columns, the user's, and the filters that make their cells.

use std::sync::Arc;

use super::command_error::{self, CommandError};
use crate::collect::{ColumnValues, Format, RECORD_COLUMNS, Shape, TableColumn, TableLayout};
use crate::config::Settings;
use crate::config::options::{COLUMNS, SHAPE};
use crate::fetch::{ColumnFault, ColumnFilters};
use crate::input::{Columns, FAILURE_COLUMNS, Rows};
use crate::model::{Exit, Mask, display_safe, shell_word};

/// Characters of a column's name that are shown.
const NAME_CHARS: usize = 80;

/// The filters of `--columns`, compiled; none where the output is no table.
///
/// # Errors
/// Text that is no filter.
pub(super) fn filters(settings: &Settings) -> Result<Option<Arc<ColumnFilters>>, CommandError> {
    if settings.output.format != Format::Csv {
        return Ok(None);
    }
    let columns = &settings.output.table.columns;
    let compiled = ColumnFilters::compile(columns.iter().map(|column| column.filter.as_str()));
    compiled.map(|filters| Some(Arc::new(filters))).map_err(|ColumnFault { column, error }| {
        command_error::of_column((&columns[column].name, &columns[column].filter), &error, settings)
    })
}

/// What the rows are made of; none where the output is no table. What a filter says of a body is shown through the mask.
///
/// # Errors
/// A column with the name of another one.
pub(super) fn layout(
    settings: &Settings,
    filters: Option<&Arc<ColumnFilters>>,
    rows: &Rows,
    mask: Mask,
) -> Result<Option<Arc<TableLayout>>, CommandError> {
    let is_partial = rows.has_failure_columns() || settings.input.limit.is_some();
    layout_of(settings, filters, TableInput { columns: rows.columns(), is_partial }, mask)
}

/// The input that the rows of a table are from.
#[derive(Clone, Copy)]
pub(super) struct TableInput<'a> {
    pub(super) columns: &'a Columns,
    /// It has only some rows of a larger table.
    pub(super) is_partial: bool,
}

/// The same for this input.
///
/// # Errors
/// As [`layout`].
pub(super) fn layout_of(
    settings: &Settings,
    filters: Option<&Arc<ColumnFilters>>,
    TableInput { columns: input, is_partial }: TableInput<'_>,
    mask: Mask,
) -> Result<Option<Arc<TableLayout>>, CommandError> {
    let Some(filters) = filters else { return Ok(None) };
    let output = &settings.output;
    let has_record = output.shape == Shape::Record;
    let added = output.table.columns.iter();
    if let Some(TableColumn { name, filter }) =
        added.clone().find(|column| input.names.contains(&column.name))
    {
        let why = format!("{} has a column `{}` already", settings.input_path, shown(name));
        let free = unused(name, &input.names, &output.table.columns);
        let list = shell_word(&format!("{free}={filter}"));
        return Err(CommandError::of_setting(settings, &COLUMNS, &why)
            .with_hint(format!("give it another name: {COLUMNS} {list}")));
    }
    let own: &[&str] = if has_record { &RECORD_COLUMNS } else { &FAILURE_COLUMNS };
    if let Some(column) = added.clone().find(|column| own.contains(&column.name.as_str())) {
        let why = format!("`{}` is the name of a column of the program's own", column.name);
        return Err(CommandError::of_setting(settings, &COLUMNS, &why).with_hint("give it another name"));
    }
    if let Some(name) = input.names.iter().find(|name| has_record && RECORD_COLUMNS.contains(&name.as_str()))
    {
        let why = format!("{} has a column `{name}`, which this shape adds", settings.input_path);
        let error = CommandError::of_setting(settings, &SHAPE, &why);
        return Err(CommandError { exit: Exit::Usage, ..error }.with_hint(format!("leave {SHAPE} out")));
    }
    let format = input.format;
    Ok(Some(Arc::new(TableLayout {
        input: input.names.clone(),
        key: input.key,
        columns: added.map(|column| column.name.clone()).collect(),
        has_record,
        delimiter: format.delimiter,
        line_end: format.line_end,
        // What was in another encoding is UTF-8 now, which a program that expects the other one must be told.
        has_mark: output.table.mark || format.has_mark || !format.encoding.is_utf8(),
        is_partial,
        values: Arc::new(JqColumns { filters: Arc::clone(filters), mask }),
    })))
}

/// A name like this one that no other column has.
fn unused(name: &str, input: &[String], columns: &[TableColumn]) -> String {
    let is_free = |free: &String| !input.contains(free) && columns.iter().all(|column| column.name != *free);
    let candidates = std::iter::once(format!("api_{name}")).chain((2..).map(|n| format!("api_{name}_{n}")));
    let free = candidates.into_iter().find(is_free).unwrap_or_default();
    let is_plain = !free.contains([',', '=', '"']);
    if is_plain { free } else { serde_json::Value::from(free).to_string() }
}

fn shown(name: &str) -> String {
    display_safe(name, NAME_CHARS)
}

/// The columns' values by jq.
#[derive(Debug)]
struct JqColumns {
    filters: Arc<ColumnFilters>,
    mask: Mask,
}

impl ColumnValues for JqColumns {
    fn values(&self, body: &[u8]) -> Result<Vec<Option<Vec<u8>>>, (usize, String)> {
        let fault =
            |ColumnFault { column, error }: ColumnFault| (column, error.masked(&self.mask).to_string());
        self.filters.values(body).map_err(fault)
    }
}
