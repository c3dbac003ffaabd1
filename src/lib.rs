//! skufetch asks an HTTP API once for every SKU in a CSV and leaves one keyed JSON file.
//!
//! ```text
//!  products.csv ─► input ── Row ─► plan ── Job ─► bounded channel      (a blocking thread; it waits while the channel is full)
//!                                                     │
//!  ┌──────────────── engine: one select! loop ────────▼──────────────────┐
//!  │  permit free, window not full? ─► one future a job ─► fetch:         │
//!  │     loop { gate.admit → send → classify → permit.finish → wait }    │
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
// Layer 2: rows to jobs, one job to its outcome, entries to one file, events to texts, one rate for many processes,
// objects in stores
mod collect;
mod fetch;
#[cfg(feature = "cloud")]
mod object_storage;
mod plan;
mod rate_store;
mod report;
// Layer 3: the loop
mod engine;
// Layer 4: options, environment and file to one `Settings`
mod config;
// Layer 5: the commands, and the built-in catalogue API
mod commands;
mod demo;

pub use commands::run;
pub use model::Exit;

/// What the project's own tests, benches and fuzz targets use. It may change in any version.
#[doc(hidden)]
pub mod testing {
    /// The types of the words, valid once they are built.
    ///
    /// ```
    /// use skufetch::testing::model::{Key, Rate, StatusSet};
    ///
    /// assert_eq!(Key::parse(b"0042")?.as_str(), "0042");
    /// assert!(Key::parse(b"").is_err());
    /// assert_eq!("2/s".parse::<Rate>()?.to_string(), "2/s");
    /// assert!("404,500-599".parse::<StatusSet>()?.contains(503));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub mod model {
        pub use crate::model::fault::RetryAfter;
        pub use crate::model::{
            Answer, Content, Entry, Fingerprint, Job, Key, Outcome, Rate, RequestUrl, Seq, Size, StatusSet,
            Validators,
        };
    }
    /// Bytes to rows.
    ///
    /// ```
    /// use skufetch::testing::input::{InputSettings, Rows};
    ///
    /// let csv = Box::new("sku;name\n0042;chair\n".as_bytes());
    /// let mut rows = Rows::from_reader(csv, "example", &InputSettings::default())?;
    /// let row = rows.next_row()?.expect("the first row");
    /// assert_eq!((row.line, row.record.get(0)), (2, Some(&b"0042"[..])));
    /// # Ok::<(), skufetch::testing::input::InputError>(())
    /// ```
    pub mod input {
        pub use crate::input::{
            Columns, CsvFormat, GivenChar, InputError, InputSettings, Quoting, Row, Rows, TextEncoding,
            may_delimit,
        };
    }
    /// Bytes to checked, compact JSON.
    ///
    /// ```
    /// use skufetch::testing::json::{JsonErrorKind, compact};
    ///
    /// let mut out = Vec::new();
    /// assert!(compact(br#"{ "a": 1 }"#, &mut out).is_ok());
    /// assert_eq!(out, br#"{"a":1}"#);
    /// assert_eq!(compact(b"[1", &mut out).unwrap_err().kind, JsonErrorKind::UnexpectedEnd);
    /// ```
    pub mod json {
        pub use crate::json::{JsonError, JsonErrorKind, MAX_DEPTH, compact};
    }
    /// The gate.
    ///
    /// ```
    /// use skufetch::testing::limit::{Gate, PaceSettings};
    ///
    /// let concurrency = "8".parse().unwrap();
    /// let gate = Gate::new(&PaceSettings { concurrency, ..PaceSettings::default() });
    /// assert_eq!(gate.view().limit, 8);
    /// ```
    pub mod limit {
        pub use crate::limit::{Concurrency, Gate, PaceSettings};
    }
    /// Rows to jobs.
    ///
    /// ```
    /// use skufetch::testing::plan::{RequestSettings, RequestTemplate};
    ///
    /// let url = "https://${USER}@api.example.com/products/{sku}".to_owned();
    /// let settings = RequestSettings { url, ..RequestSettings::default() };
    /// assert!(RequestTemplate::parse(&settings, &|name| (name == "USER").then(|| "me".into())).is_ok());
    /// assert!(RequestTemplate::parse(&settings, &|_| None).is_err());
    /// ```
    pub mod plan {
        pub use crate::plan::{BodyEscape, PlanError, Planned, Planner, RequestSettings, RequestTemplate};
    }
    /// What the header fields and the body of an answer say.
    ///
    /// ```
    /// use std::time::{Duration, SystemTime};
    ///
    /// use skufetch::testing::fetch::{Credence, decode, quota, retry_after};
    /// use skufetch::testing::model::{RetryAfter, Size};
    ///
    /// let mut headers = http::HeaderMap::new();
    /// headers.insert("retry-after", "7".parse()?);
    /// headers.insert("ratelimit-remaining", "12".parse()?);
    /// headers.insert("ratelimit-reset", "30".parse()?);
    ///
    /// let now = SystemTime::now();
    /// assert_eq!(retry_after(&headers, now), Some(RetryAfter::Wait(Duration::from_secs(7))));
    /// let credence = Credence::Usual;
    /// assert_eq!(quota(&headers, now, credence).map(|quota| quota.remaining), Some(12));
    /// assert_eq!(decode(&headers, "not coded".into(), "1MiB".parse::<Size>()?).unwrap(), "not coded");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub mod fetch {
        pub use crate::fetch::decode::decode;
        pub use crate::fetch::rate_fields::{Credence, quota};
        pub use crate::fetch::retry_after::retry_after;
    }
    /// Entries to one file.
    ///
    /// ```
    /// use skufetch::testing::collect::{
    ///     Collector, JobIdentity, OutputSettings, Provenance, Target, preflight,
    /// };
    ///
    /// let folder = tempfile::tempdir()?;
    /// let target = Target::File(folder.path().join("out.json"));
    /// let settings = OutputSettings { target, ..OutputSettings::default() };
    /// let identity = JobIdentity {
    ///     digest_input: b"job".to_vec(),
    ///     description: serde_json::json!({"url": "https://api.example.com/products/{sku}"}),
    ///     provenance: Provenance::default(),
    /// };
    ///
    /// let place = preflight(&settings)?;
    /// let (mut collector, recovered) = Collector::open(&settings, &place, &identity, None)?;
    /// assert!(recovered.notes.is_empty());
    /// collector.flush()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub mod collect {
        pub use crate::collect::{
            Collector, JobIdentity, OutputSettings, Preflight, Provenance, PublishContext, Target, preflight,
        };
    }
    /// Options, environment and file to one `Settings`.
    ///
    /// ```
    /// use std::ffi::OsString;
    /// use std::path::Path;
    ///
    /// use skufetch::testing::config::{Environment, Invocation, load};
    ///
    /// let environment = [("SKUFETCH_URL", "https://api.example.com/products/{sku}")];
    /// let environment: Environment =
    ///     environment.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
    /// let arguments = ["skufetch", "products.csv", "-o", "out.json"].map(OsString::from);
    ///
    /// let Ok(Invocation::Fetch(settings)) = load(arguments.into_iter(), &environment, Path::new(".")) else {
    ///     panic!("these are the settings of a fetch")
    /// };
    /// assert!(!settings.run.dry_run);
    /// ```
    pub mod config {
        pub use crate::config::{Environment, Invocation, load, options};
    }
    /// The built-in catalogue API.
    ///
    /// ```
    /// # #[cfg(feature = "demo")] {
    /// use skufetch::testing::demo::{Catalogue, DemoSettings};
    ///
    /// let latency = std::time::Duration::ZERO;
    /// let settings = DemoSettings { latency, failures: 0.0, missing: 0.0, rate: None };
    /// let catalogue = Catalogue::start(&settings)?;
    /// assert!(catalogue.url_template().starts_with("http://127.0.0.1:"));
    /// assert_eq!(catalogue.counts().requests, 0);
    /// # }
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub mod demo {
        pub use crate::demo::DemoSettings;
        #[cfg(feature = "demo")]
        pub use crate::demo::{Catalogue, Server};
    }
}
