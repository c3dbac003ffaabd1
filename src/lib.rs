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
//! There is one path, one gate to the network ([`limit::Gate`]), one retry loop ([`fetch::Fetcher`]) and one writer
//! ([`collect`]). A module imports from lower layers only, and modules of one layer do not import from each other.
//! `ARCHITECTURE.md` has the reasons.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "clippy.toml binds the program")
)]

// Layer 0: the types of the words
pub mod model;
// Layer 1: bytes to rows, bytes to checked JSON, when an attempt may leave
pub mod input;
pub mod json;
pub mod limit;
// Layer 2: rows to jobs, one job to its outcome, entries to one file, events to texts
pub mod collect;
pub mod fetch;
pub mod plan;
pub mod report;
// Layer 3: the loop
pub(crate) mod engine;
// Layer 4: options, environment and file to one `Settings`
pub mod config;
// Layer 5: the commands, and the built-in catalogue API
pub mod commands;
#[cfg(feature = "demo")]
pub mod demo;
