//! What standard error can show, by the conventions of terminals.

use std::io::{self, IsTerminal};

use crate::config::Environment;
use crate::report::Terminal;

/// Looks at standard error and at `TERM`, `NO_COLOR` and `CLICOLOR_FORCE`.
#[must_use]
pub(super) fn standard_error(env: &Environment) -> Terminal {
    let set = |name| env.get(name).is_some_and(|value| !value.is_empty() && value != "0");
    let dumb = env.get("TERM").is_some_and(|term| term == "dumb");
    let interactive = io::stderr().is_terminal() && !dumb;
    let no_colour = env.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !no_colour && (interactive || set("CLICOLOR_FORCE"));
    Terminal { interactive, width, colour }
}

/// Whether a person reads standard error as it is written, and not in a log or a mail.
#[must_use]
pub(super) fn is_interactive() -> bool {
    io::stderr().is_terminal()
}

/// Whether a person reads standard output as it is written.
#[must_use]
pub(super) fn standard_output_is_read() -> bool {
    io::stdout().is_terminal()
}

fn width() -> u16 {
    rustix::termios::tcgetwinsize(io::stderr()).map_or(0, |size| size.ws_col)
}
