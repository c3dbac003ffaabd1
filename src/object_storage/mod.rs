//! Objects in S3, Google Cloud Storage and Azure Blob Storage: the one module that speaks to them.
//!
//! `settings` finds credentials and endpoints where the stores' own tools find them, and `client` makes a client of them.
//! `stores` has the single operations, `download` and `upload` those on whole objects, and `lock` the one run at a time
//! on an output. All of them block their thread: they belong to the threads that read and write files.
//!
//! Nothing here is retried beyond what the crate does: single requests, with growing waits, for a minute.

mod client;
mod download;
mod error;
mod lock;
mod settings;
mod stores;
mod upload;

pub(crate) use error::{StoreError, StoreErrorKind};
pub(crate) use lock::{LockOwner, ObjectLock};
pub(crate) use settings::StoreSettings;
pub(crate) use stores::{FoundObject, ObjectStores};
pub(crate) use upload::{TransferHooks, Upload};
