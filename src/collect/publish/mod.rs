//! From the journal to the output: the draft, the pass over all rows, the decision, and the order in which files are put
//! in place.

pub(crate) mod changes;
pub(crate) mod draft;
pub(crate) mod example;
pub(crate) mod failure_file;
pub(crate) mod finalise;
pub(crate) mod guard;
pub(crate) mod output_writer;
pub(crate) mod state_writer;
