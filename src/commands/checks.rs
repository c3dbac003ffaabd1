//! What a run and a dry run find out in the same way and in the same order, before anything is created, locked
//! or written: whatever is wrong here ends both with the same error.

use std::sync::Arc;

use super::api::Api;
use super::command_error::{self, CommandError};
use super::http_stack::HttpStack;
use super::rate_store::{self, PreparedStore};
use super::session::Session;
use super::{failure_file, shard, table, wiring};
use crate::collect::{CollectError, OutputSettings, Preflight};
use crate::config::{Environment, Settings};
use crate::fetch::{ColumnFilters, Filters};
use crate::input::{Columns, Rows};
use crate::model::Mask;
use crate::plan::{BoundTemplate, RequestSettings, RequestTemplate};

/// The checks that need no input.
pub(super) struct OutputChecks {
    pub(super) output: OutputSettings,
    pub(super) place: Preflight,
    filters: Filters,
    columns: Option<Arc<ColumnFilters>>,
}

impl OutputChecks {
    /// `preflight` looks at the places of the output, with files of its own or without a trace.
    ///
    /// # Errors
    /// A filter that does not compile, or an output that cannot be written there.
    pub(super) fn new(
        session: &Session,
        preflight: impl FnOnce(&OutputSettings) -> Result<Preflight, CollectError>,
    ) -> Result<Self, CommandError> {
        let filters = wiring::filters(&session.settings)?;
        let columns = table::filters(&session.settings)?;
        let output = shard::output(&session.settings);
        let place = preflight(&output)?;
        Ok(Self { output, place, filters, columns })
    }

    /// The checks that need the input and its columns.
    ///
    /// # Errors
    /// A failure file that would replace a whole output, a request that its columns cannot fill, certificates or
    /// a proxy that cannot be used, an address of a rate store that is none.
    pub(super) fn with_input(
        self,
        session: &Session,
        api: &Api,
        rows: &Rows,
    ) -> Result<InputChecks, CommandError> {
        let Session { settings, env, .. } = session;
        let Self { mut output, place, filters, columns } = self;
        output.layout = table::layout(settings, columns.as_ref(), rows, Mask::default())?;
        failure_file::refuse_to_replace(settings, (&output, &place), rows)?;
        let template = parse(api.request(), settings, env)?;
        let request = bind(&template, rows.columns(), settings)?;
        output.layout = table::layout(settings, columns.as_ref(), rows, request.mask())?;
        let stack = HttpStack::new(settings, &template, (env, filters))?;
        let rate_store = rate_store::prepare(settings, &request)?;
        Ok(InputChecks { output, place, request, stack, rate_store, columns })
    }
}

/// All of them.
pub(super) struct InputChecks {
    pub(super) output: OutputSettings,
    pub(super) place: Preflight,
    pub(super) request: BoundTemplate,
    pub(super) stack: HttpStack,
    /// The store of a shared rate.
    pub(super) rate_store: Option<PreparedStore>,
    /// The filters of a table's columns.
    pub(super) columns: Option<Arc<ColumnFilters>>,
}

/// Parses the request. Once a run: what is bound to columns is made of it.
pub(super) fn parse(
    request: &RequestSettings,
    settings: &Settings,
    env: &Environment,
) -> Result<Arc<RequestTemplate>, CommandError> {
    RequestTemplate::parse(request, &|name| env.get(name))
        .map(Arc::new)
        .map_err(|error| command_error::of_plan(&error, settings))
}

/// Finds the columns of the request, and of the filters, in the input. An answer of an earlier run holds only as long as
/// the cells are the same that its filters used.
pub(super) fn bind(
    template: &Arc<RequestTemplate>,
    columns: &Columns,
    settings: &Settings,
) -> Result<BoundTemplate, CommandError> {
    let request = template.bind(columns).map_err(|error| command_error::of_plan(&error, settings))?;
    Ok(request.also_using(&wiring::columns_of_filters(settings, columns)?))
}
