//! skufetch asks an HTTP API once for every SKU in a CSV and leaves one keyed JSON file.
//!
//! ```text
//!  products.csv ─► input ── Row ─► plan ── Job ─► bounded channel      (a blocking thread; it waits while the channel is full)
//!                                                     │
//!  ┌──────────────── engine: one select! loop ────────▼──────────────────┐
//!  │  permit free, window not full? ─► one future a job ─► fetch:         │
//!  │     loop { gate.admit → send → classify → gate.pause → back off }    │
//!  └──────┬ Entry ───────────────────┬ Event ──────────────▲ Shutdown ───┘
//!         ▼                          ▼                     signals, deadline,
//!   collect: journal → publish     report: console,        outage, credentials
//!            (guard, changes,              run report,
//!            atomic replace)               verdict
//! ```
//!
//! There is one path, one gate to the network (`limit::Gate`), one retry loop (`fetch::Fetcher`) and one writer
//! (`collect`). A module imports from lower layers only, and modules of one layer do not import from each other.
//! `ARCHITECTURE.md` has the reasons.
//!
//! This crate is the command alone: it exports what `main` calls. It has no interface for other programs.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "clippy.toml binds the program")
)]

// Layer 0: the types of the words
mod model;
// Layer 1: bytes to rows, bytes to checked JSON, when an attempt may leave
mod input;
mod json;
mod limit;
// Layer 2: rows to jobs, one job to its outcome, entries to one file, events to texts
mod collect;
mod fetch;
mod plan;
mod report;
// Layer 3: the loop
mod engine;
// Layer 4: options, environment and file to one `Settings`
mod config;
// Layer 5: the commands, and the built-in catalogue API
mod commands;
#[cfg(feature = "demo")]
mod demo;

pub use commands::run;
pub use model::Exit;

/// What the project's own tests, benches and fuzz targets use. It may change in any version.
#[doc(hidden)]
pub mod testing {
    pub mod model {
        pub use crate::model::fault::RetryAfter;
        pub use crate::model::{
            Answer, Content, Entry, Fingerprint, Job, Key, Outcome, Rate, Seq, Size, StatusSet, Validators,
        };
    }
    pub mod input {
        pub use crate::input::{Columns, InputError, InputSettings, Row, Rows, may_delimit};
    }
    pub mod json {
        pub use crate::json::{JsonError, JsonErrorKind, MAX_DEPTH, compact};
    }
    pub mod limit {
        pub use crate::limit::{Concurrency, Gate, PaceSettings};
    }
    pub mod plan {
        pub use crate::plan::{BodyEscape, PlanError, Planned, Planner, RequestSettings, RequestTemplate};
    }
    pub mod fetch {
        pub use crate::fetch::decode::decode;
        pub use crate::fetch::rate_fields::{Credence, quota};
        pub use crate::fetch::retry_after::retry_after;
    }
    pub mod collect {
        pub use crate::collect::{
            Collector, JobIdentity, OutputSettings, Preflight, Provenance, PublishContext, Target, preflight,
        };
    }
    pub mod config {
        pub use crate::config::{Environment, Invocation, load, options};
    }
    #[cfg(feature = "demo")]
    pub mod demo {
        pub use crate::demo::{Catalogue, DemoSettings, Server};
    }
}
