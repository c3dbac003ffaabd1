//! What `--stream` needs.

use crate::collect::{Format, OutputSettings, Target};
use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{FORMAT, OUTPUT, STREAM};
use crate::config::refuse::refuse;

/// Lines that are written as rows are decided go to a program that reads them, and each is a JSON object.
pub(super) fn check(output: &OutputSettings, layers: &Layers) -> Result<(), ConfigError> {
    if !output.stream {
        return Ok(());
    }
    if output.target != Target::Stdout {
        return Err(refuse(
            layers,
            [&STREAM, &OUTPUT],
            "it writes to standard output; a file is replaced as a whole, once it is complete".into(),
            &format!("write {OUTPUT} -, or leave {STREAM} out"),
        ));
    }
    if output.format != Format::Jsonl {
        return Err(refuse(
            layers,
            [&STREAM, &FORMAT],
            "it writes a JSON object a line".into(),
            &format!("add {FORMAT} jsonl, or leave {STREAM} out"),
        ));
    }
    Ok(())
}
