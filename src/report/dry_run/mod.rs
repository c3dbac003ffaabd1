//! What a run would do, for people and for logs: `--dry-run`.

mod plan;
mod record;
mod text;

pub(crate) use plan::{
    Bodies, DryRun, EarlierAnswers, LineNumbers, PlannedFiles, PlannedPace, PlannedRequests, PlannedRows,
    Reject, SampleRequest,
};
pub(crate) use text::text;
