//! What publishing needs beside the settings.

use std::io::Write;
use std::path::Path;

use crate::collect::files::preflight::Preflight;
use crate::input::Columns;
use crate::model::Key;

/// What publishing needs beside the settings.
pub struct PublishContext<'a> {
    /// The files of the run.
    pub place: &'a Preflight,
    /// The input's columns, for the failure file.
    pub columns: &'a Columns,
    /// Whether a row of the run got a job for this key: a refused row of that key is then a repeat.
    pub is_planned: &'a dyn Fn(&Key) -> bool,
    /// The input, if it is a file.
    pub input: Option<&'a Path>,
    /// Every row of the input has an outcome: none was deferred, none lies beyond a limit. Otherwise a failure file that
    /// is the input stays as it is, or rows would be lost.
    pub input_done: bool,
    /// Whether the work is no longer wanted; called at every record.
    pub is_stopped: &'a dyn Fn() -> bool,
    /// Called once, when the new output is safe on disk and nothing is replaced yet; false forbids to replace anything.
    pub may_replace: &'a dyn Fn() -> bool,
    /// Takes the output if that is the target.
    pub stdout: &'a mut dyn Write,
}
