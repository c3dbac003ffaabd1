//! The parts of the command line that are no settings.

use std::ffi::OsString;
use std::path::Path;

/// What the settings are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A fetch.
    Fetch,
    /// The parts of a sharded job are put together. There is no input and no request.
    Merge,
    /// A measurement. It writes no output: none need be named, and the options of the output are not checked.
    Tune,
}

/// What the command line alone says.
pub(super) struct Call<'a> {
    /// INPUT.
    pub input: OsString,
    /// How often `-v` was given.
    pub verbose: u8,
    /// `-q`.
    pub quiet: bool,
    /// The folder that relative paths count from.
    pub cwd: &'a Path,
    /// What the settings are for.
    pub purpose: Purpose,
}
