//! skufetch asks an HTTP API once for every SKU in a CSV and leaves one keyed JSON file.
//!
//! ```text
//!  products.csv ─► input ── Row ─► plan ── Job ─► bounded channel           (a thread of its own; channel full: it waits)
//!                                                     │
//!  ┌──────────────── engine: one select! loop ────────▼──────────────────┐
//!  │  room at the gate, room in the window? ─► one future a job ─► fetch: │
//!  │     loop { gate.admit → send → classify → gate.pause → back off }    │
//!  └──────┬ Entry ───────────────────┬ Event ──────────────▲ Shutdown ───┘
//!         ▼                          ▼                     signals, deadline,
//!   collect: journal → publish     report: aside,          outage, credentials
//!            → atomic replace      synchronous
//! ```
//!
//! One straight path, one door to the network ([`limit::Gate`]), one retry loop
//! ([`fetch::Fetcher`]), one writer ([`collect`]). Imports go downward only; modules on one floor
//! never name each other. `ARCHITECTURE.md` has the reasons.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, reason = "clippy.toml binds the program")
)]

// floor 0: the words
pub mod model;
// floor 1: bytes to rows, bytes to checked JSON, when an attempt may leave
pub mod input;
pub mod json;
pub mod limit;
// floor 2: rows to jobs, one job to its outcome, entries to one file, events to people
pub mod collect;
pub mod fetch;
pub mod plan;
pub mod report;
// floor 3: the loop
pub(crate) mod engine;
// floor 4: flags, environment and file to one `Settings`
pub mod config;
// floor 5: the commands, and the built-in catalogue API
pub mod commands;
#[cfg(feature = "demo")]
pub mod demo;
