//! What the integration tests share: a folder, the program, and scripted servers.
//!
//! - [`WorkDir`] is a folder of the test's own; [`Run`] runs the program in it, with nothing of the
//!   caller's environment, and never longer than its limit.
//! - [`ScriptedServer`] answers each request with a [`Reply`], which may be as wrong as bytes can
//!   be, and remembers every byte it was sent and when. It is built on the server of `--demo`.
//! - [`page`] runs the commands of a page of documentation.
//! - [`tls`] gives it certificates, good and bad, and HTTP/2.
//! - [`rate_law`] checks a server's log against a rate.
//! - [`redis`] starts a Redis, where it is installed.
//! - [`frames`] speaks HTTP/2 frame by frame, and [`raw`] gives the sockets themselves.
//!
//! Nothing here asserts how long something took: that would fail on a busy machine. What is bounded
//! is bounded to end a test that hangs.

pub mod encode;
pub mod frames;
mod http1_bytes;
pub mod log;
pub mod page;
pub mod rate_law;
pub mod raw;
pub mod redis;
pub mod reply;
pub mod run;
#[cfg(feature = "cloud")]
pub mod s3;
pub mod script;
pub mod server;
pub mod socks;
pub mod tls;
pub mod work_dir;

pub use log::Seen;
pub use reply::{Capacity, Reply};
pub use run::{Ended, Run, closed_pipe, sealed_file};
pub use script::Script;
pub use server::{FullListener, ScriptedServer, closed_port};
pub use work_dir::WorkDir;
