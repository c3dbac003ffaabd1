//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    let folder = std::env::current_dir().unwrap_or_default();
    let exit = skufetch::commands::run(std::env::args_os(), &folder);
    ExitCode::from(exit.code())
}
