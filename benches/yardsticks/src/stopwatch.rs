//! Runs one command and says what it took.
//!
//! `stopwatch FILE COMMAND [ARGUMENT ...]` hands its own three streams to the command, and then writes to
//! FILE: processor seconds (user and system), wall seconds, peak resident KiB, the nanosecond of
//! `CLOCK_MONOTONIC` just before the start, and the exit code (128 + n for a signal).
//!
//! Not the driver's business, because a process begins with the peak of whoever started it: started from a
//! Python of 20 MB, nothing is ever seen to take less. This one has about 2 MB.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rustix::time::{ClockId, clock_gettime};

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let mut next = || arguments.next().expect("usage: stopwatch FILE COMMAND [ARGUMENT ...]");
    let (file, program) = (next(), next());
    let mut command = Command::new(program);
    command.args(arguments);
    let began = now();
    let status = command.status().expect("the command can be started");
    let wall = now() - began;
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).expect("its resources are known");
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    let cpu = seconds(used.user_time()) + seconds(used.system_time());
    let text = format!("{cpu} {wall} {} {began} {code}", used.max_rss(), wall = span(wall));
    std::fs::write(file, text).expect("FILE can be written");
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a run")]
fn seconds(time: TimeVal) -> f64 {
    time.num_microseconds() as f64 / 1e6
}

/// Nanoseconds of the monotonic clock.
fn now() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[allow(clippy::cast_precision_loss, reason = "nanoseconds of a run")]
fn span(nanoseconds: i64) -> f64 {
    nanoseconds as f64 / 1e9
}
