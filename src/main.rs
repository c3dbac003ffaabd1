//! Arguments in, exit code out.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Not its name: a folder may be entered though one above it may not be searched.
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    let exit = skufetch::run(std::env::args_os(), Path::new("."));
    ExitCode::from(exit.code())
}
