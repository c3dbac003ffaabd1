//! Events to people: progress while a run goes on, warnings, and the summary at its end.
//!
//! A [`Report`] is called, synchronously, beside the work. The events that come with every SKU are only
//! counted (`RunStats`); what is drawn is drawn when the engine ticks, from those counts, so its cost does not grow
//! with the speed of the run. Everything goes to one writer, standard error, and a failure to write there is
//! no failure of the run.
//!
//! Who sees what, and the schema of JSON lines:
#![doc = include_str!("../../docs/messages.md")]

mod console;
pub(crate) mod dry_run;
mod engine_status;
mod error_message;
mod failure_text;
pub(crate) mod format;
mod json_writer;
mod key_characters;
mod machine_format;
mod reporter;
mod row_remedies;
mod run_report;
mod run_stats;
mod settings;
mod summary;
pub(crate) mod tune;
mod verdict;
mod wrapped;

pub(crate) use console::error_text::error;
pub(crate) use console::log_header::{LogHeader, bare as bare_log_header};
pub(crate) use console::log_record::Level;
pub(crate) use engine_status::EngineStatus;
pub(crate) use error_message::ErrorMessage;
pub(crate) use reporter::{AcceptedAndRefused, Report};
pub(crate) use run_report::{
    ReportFile, ReportFormat, RunDescription, SettingOrigin, ShownOutput, ShownSetting,
};
pub(crate) use run_stats::StatsSnapshot;
pub(crate) use settings::{LogFormat, ProgressMode};
pub(crate) use settings::{ReportSettings, Terminal};
pub(crate) use summary::{Amount, Changes, Counts, InputCounts, NotInInput, RunSummary, WrittenFile};
pub(crate) use verdict::{
    ApiLimits, BlockedTime, ConcurrencyUsed, Facts, RunVerdict, Tail, round_rate, verdict,
};

#[cfg(test)]
mod test_report;
