//! A planner, rows and jobs for tests.

use std::sync::Arc;

use crate::input::{Columns, Row};
use crate::model::{Job, Seq};
use crate::plan::{BoundTemplate, EnvLookup, PlanError, Planned, Planner, RequestSettings, RequestTemplate};

/// Parses a template and binds it to these columns, of which the first is the key.
pub(super) fn bind(
    settings: &RequestSettings,
    names: &[&str],
    env: &EnvLookup<'_>,
) -> Result<BoundTemplate, PlanError> {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    let columns = Columns { names, key: 0, format: crate::input::CsvFormat::default(), headers: true };
    Arc::new(RequestTemplate::parse(settings, env)?).bind(&columns)
}

pub(super) fn settings(url: &str) -> RequestSettings {
    RequestSettings { url: url.into(), ..RequestSettings::default() }
}

pub(super) fn env(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "can/ary".into())
}

/// For the columns `sku` and `region`.
pub(super) fn planner(settings: &RequestSettings) -> Planner {
    Planner::new(bind(settings, &["sku", "region"], &env).unwrap(), [3; 16])
}

pub(super) fn row<C: AsRef<[u8]>>(line: u32, cells: &[C]) -> Row {
    Row {
        seq: Seq(line - 2),
        line: line.into(),
        record: cells.iter().collect(),
        is_padded: false,
        damage: None,
        quoting_doubt: None,
    }
}

pub(super) fn job(planned: Planned) -> Job {
    match planned {
        Planned::Job(job) => job,
        other => panic!("{other:?}"),
    }
}
