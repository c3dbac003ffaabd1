//! The built-in catalogue API behind `--demo`: an API to try the program with.
//!
//! [`server`] is a listener on loopback with a thread and a runtime of its own, so that it neither shares the
//! event loop of the program nor outlives its owner. The integration tests build their faulty servers on it
//! too. [`catalogue`] is an API on top of it, whose [products](Catalogue) are computed from the SKU alone:
//! nothing is stored, and two runs get the same answers.

#[cfg(feature = "demo")]
pub(crate) mod catalogue;
#[cfg(feature = "demo")]
mod limiter;
#[cfg(feature = "demo")]
mod product;
#[cfg(feature = "demo")]
pub(crate) mod server;
mod settings;

#[cfg(feature = "demo")]
pub use catalogue::Catalogue;
#[cfg(feature = "demo")]
pub use server::Server;
pub use settings::DemoSettings;
