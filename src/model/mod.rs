//! The terms of the program as types. No I/O, no async, no settings of another module.
//!
//! A **row** of the CSV becomes a **job** (one key, one request). Each **attempt** may end in a **fault**.
//! The job ends in an **outcome**; key and outcome are an **entry**. Progress is reported as **events**.

pub(crate) mod display;
pub(crate) mod entry;
pub(crate) mod event;
pub(crate) mod exit;
pub(crate) mod fault;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod large_buffer;
pub(crate) mod load_class;
pub(crate) mod mask;
mod object_address;
pub(crate) mod option;
pub(crate) mod pack;
mod quota_size;
pub(crate) mod reason;
pub(crate) mod request_url;
mod row_counts;
pub(crate) mod shard;
mod shell;
pub(crate) mod system_limit;
mod token_failure;
pub(crate) mod units;

pub(crate) use display::{count, counted, display_safe};
pub use entry::Answer;
pub(crate) use entry::BodyHash;
pub use entry::Content;
pub(crate) use entry::Deferral;
pub use entry::{Entry, Outcome, Validators};
pub(crate) use event::{Event, Reporter};
pub use exit::Exit;
pub(crate) use fault::{Cause, Fault};
pub(crate) use job::Request;
pub use job::Seq;
pub use job::{Fingerprint, Job};
pub use key::Key;
pub(crate) use key::KeyError;
pub(crate) use load_class::LoadClass;
pub(crate) use mask::{ArrivingSecret, Mask};
pub(crate) use object_address::ObjectAddress;
#[cfg(feature = "cloud")]
pub(crate) use object_address::ObjectScheme;
pub(crate) use pack::{Pack, PackItem, PackSearch};
pub(crate) use quota_size::QuotaSize;
pub(crate) use reason::{LimitChangeReason, PauseReason, StopReason, signal_name};
pub use request_url::RequestUrl;
pub(crate) use row_counts::{CauseGroup, FailureExample, RowCounts};
pub(crate) use shard::{RunId, Shard};
pub(crate) use shell::shell_word;
pub(crate) use token_failure::TokenFailure;
pub use units::{Rate, Size, StatusSet};
