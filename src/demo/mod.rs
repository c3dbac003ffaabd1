//! The built-in catalogue API behind `--demo`: something to fetch from on a fresh machine.
//!
//! [`server`] is the ground: a listener on loopback with a thread and a runtime of its own, so that
//! it neither shares the program's event loop nor outlives its owner. The integration tests stand
//! their misbehaving servers on the same ground. [`catalogue`] is a shop on top of it, whose every
//! [product](Catalogue) follows from the SKU alone: nothing is stored, and two runs agree.

pub mod catalogue;
mod limiter;
mod product;
pub mod server;

pub use catalogue::{Catalogue, DemoCounts, DemoSettings};
pub use server::Server;
