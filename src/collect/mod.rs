//! Entries to one file, and nothing lost on the way.
//!
//! While the run goes on, entries are appended to a [`Collector`] beside the output, in the order in
//! which they come; a thread of its own writes and syncs it. What stays in memory is one offset a row.
//! The journal is read in the order of the rows into a temporary file in the output's folder: by a draft
//! as far as it goes without a gap, while answers still come, and at the end by [`Finished`], which renames
//! it over the output. Whoever looks finds the old file or the new one. The journal is also what an
//! interrupted run leaves to the next one.
//!
//! ```text
//!   entries ─► Collector (buffer) ─► writer thread ─► out.json.journal ─► Finished ─► temp file ─► out.json
//!                                                        ▲ recovery                    └──► out.failed.csv, out.json.state
//! ```

mod aside;
mod atomic;
mod changes;
mod checksum;
mod document;
mod draft;
mod error;
mod example;
mod failed;
mod finalise;
pub mod guard;
mod index;
mod inspect;
mod journal;
mod known;
mod line;
mod lock;
mod members;
mod merge;
mod opening;
mod output;
mod pages;
mod paths;
mod profile;
mod record;
mod records;
mod recover;
mod settings;
mod state;
mod stored;
#[cfg(test)]
mod trial;
mod writer;

pub use changes::ChangeCounts;
pub use document::Document;
pub use error::CollectError;
pub use failed::Failures;
pub use finalise::{Evidence, Finished, Left, Publish, PublishDecision, PublishOutcome};
pub use inspect::Inspection;
pub use journal::{Collector, JobIdentity, Provenance, Recovered, RefusedRow};
pub use known::{PreviousValue, skus_in};
pub use lock::Lock;
pub use paths::{
    FileTarget, Paths, Preflight, held_beside, preflight, preflight_without_trace, probe_publishing, siblings,
};
pub use profile::Profile;
pub use settings::{Format, OutputSettings, Shape, Target, UnknownWord};
