//! How a run ended: the numbers, and the summary made of them for people and for programs.

pub(crate) mod fields;
pub(crate) mod run_summary;
pub(crate) mod text;

pub(crate) use run_summary::{Amount, Changes, Counts, InputCounts, NotInInput, RunSummary, WrittenFile};

#[cfg(test)]
mod tests;
