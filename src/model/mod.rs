//! The terms of the program as types. No I/O, no async, no settings of another module.
//!
//! A **row** of the CSV becomes a **job** (one key, one request). Each **attempt** may end in a **fault**.
//! The job ends in an **outcome**; key and outcome are an **entry**. Progress is reported as **events**.

pub(crate) mod display;
pub(crate) mod entry;
pub mod event;
pub(crate) mod exit;
pub mod fault;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod large_buffer;
pub mod load_class;
pub(crate) mod mask;
pub mod reason;
pub(crate) mod system_limit;
pub(crate) mod units;

pub use display::{count, counted, display_safe};
pub use entry::{Answer, BodyHash, Content, Deferral, Entry, Outcome, Validators};
pub use event::{Event, Reporter};
pub use exit::Exit;
pub use fault::{Cause, Fault};
pub use job::{Fingerprint, Job, Request, Seq};
pub use key::{Key, KeyError};
pub use load_class::LoadClass;
pub use mask::Mask;
pub use reason::{LimitChangeReason, PauseReason, StopReason, signal_name};
pub use units::{Rate, Size, StatusSet};
