//! From the journal to the output: the draft, the pass over all rows, the decision, and the order in which files are put
//! in place.

pub(crate) mod changes;
pub(crate) mod closed_run;
pub(crate) mod context;
pub(crate) mod decision;
pub(crate) mod draft;
pub(crate) mod example;
pub(crate) mod failure_file;
pub(crate) mod guard;
pub(crate) mod outcome;
pub(crate) mod output_writer;
pub(crate) mod part_writer;
pub(crate) mod passed_rows;
pub(crate) mod row_pass;
pub(crate) mod sequence;
pub(crate) mod state_writer;
