//! Events to people: progress while a run goes on, warnings as they come, and the summary at its end.
//!
//! A [`Report`] is called, synchronously, beside the work. The events that come with every SKU are only
//! counted ([`RunStats`]); what is drawn is drawn when the engine ticks, from those counts, so its cost does not grow
//! with the speed of the run. Everything goes to one writer, standard error, and a failure to write there is
//! no failure of the run.
//!
//! Who sees what, and the schema of JSON lines:
#![doc = include_str!("../../docs/messages.md")]

mod console;
pub mod dry_run;
mod engine_status;
mod error_message;
mod failure_text;
pub mod format;
mod json_writer;
mod machine_format;
mod reporter;
mod run_report;
mod run_stats;
mod settings;
mod summary;
pub mod tune;
mod verdict;

pub use console::error_text::error;
pub use console::log_header::{LogHeader, bare as bare_log_header};
pub use console::log_record::Level;
pub use engine_status::EngineStatus;
pub use error_message::ErrorMessage;
pub use reporter::Report;
pub use run_report::{
    PauseSpan, ReportFile, ReportFormat, RunDescription, RunHistory, ShownSetting, SlowAnswer, TimeSlice,
};
pub use run_stats::{CauseGroup, FailureExample, LatencySummary, RunCounters, RunStats, StatsSnapshot};
pub use settings::{LogFormat, ProgressMode, ReportSettings, Terminal, WordError};
pub use summary::{Amount, Changes, Counts, NotInInput, RunSummary, WrittenFile};
pub use verdict::{BlockedTime, ConcurrencyUsed, Facts, LimitedBy, RunVerdict, Tail, verdict};

#[cfg(test)]
mod tests;
