//! Entries to one file, and nothing lost on the way.
//!
//! During the run, a [`Collector`] appends entries to a journal beside the output, in the order in which they come; a
//! thread of its own writes and syncs it. Memory holds one offset a row. The journal is read in the order of the rows
//! into a temporary file in the output's folder: by a draft, as far as it goes without a gap, while answers still come,
//! and at the end by [`ClosedRun`], which renames it over the output. Any reader finds the old file or the new one. The
//! journal is also what an interrupted run leaves to the next one.
//!
//! ```text
//!   entries ─► Collector ─► journal: writer thread ─► out.json.journal ─► ClosedRun ─► temp file ─► out.json
//!                                                          ▲ recovery                     └──► out.failed.csv, out.json.state
//! ```
//!
//! Imports go one way: `files` ← `journal`, `previous` ← `publish` ← `collector`, `inspect`.

mod collector;
mod error;
mod files;
mod identity;
mod inspect;
mod journal;
mod previous;
mod publish;
mod settings;
#[cfg(test)]
mod test_run;

pub use collector::{Collector, Recovered};
pub use error::CollectError;
pub use files::document::Document;
pub use files::lock::Lock;
pub use files::names::{held_beside, siblings};
pub use files::paths::{FileTarget, Paths};
pub use files::preflight::{Preflight, preflight, preflight_without_trace, try_publishing};
pub use identity::{JobIdentity, Provenance};
pub use inspect::Inspection;
pub use journal::encode::RefusedRow;
pub use journal::publish_record::ChangeCounts;
pub use previous::baseline::{Baseline, skus_in};
pub use previous::profile::Profile;
pub use previous::value::PreviousValue;
pub use publish::closed_run::ClosedRun;
pub use publish::context::PublishContext;
pub use publish::decision::PublishDecision;
pub use publish::failure_file::Failures;
pub use publish::guard::Degradation;
pub use publish::outcome::{Evidence, PublishOutcome, UnpublishedOutcome};
pub use settings::{Format, OutputSettings, Shape, Target, UnknownWord};
