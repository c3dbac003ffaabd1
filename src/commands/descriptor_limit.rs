//! The limit on open files, raised before anything else. A fixed concurrency that it does not allow is an error with
//! a hint; the ceiling of `auto` is lowered with a warning, since `auto` promises no number.

use super::command_error::CommandError;
use crate::config::Settings;
use crate::config::options::CONCURRENCY;
use crate::limit::{Concurrency, descriptors};

/// Raises the limit on open files, and lowers the ceiling of `auto` where the system allows no more.
///
/// # Errors
/// The system allows fewer than this `--concurrency` needs.
pub(super) fn raise(settings: &mut Settings) -> Result<(), CommandError> {
    let ceiling = settings.pace.concurrency.ceiling();
    let Err(error) = descriptors::make_room(ceiling.get(), sockets_each(settings)) else { return Ok(()) };
    let raise = "raise the hard limit (ulimit -Hn, or LimitNOFILE= of the systemd unit)";
    match (settings.pace.concurrency, error.room()) {
        (Concurrency::Auto { .. }, Some(max)) => {
            settings.pace.concurrency = Concurrency::Auto { max };
            settings.warnings.push(format!(
                "the system allows {} open files: {CONCURRENCY} auto goes up to {max}, not {ceiling}; {raise}",
                error.allowed
            ));
            Ok(())
        }
        (Concurrency::Fixed(_), Some(fewer)) => {
            let failure = CommandError::of_setting(settings, &CONCURRENCY, &error.to_string());
            Err(failure.with_hint(format!("{raise}, or use {CONCURRENCY} {fewer}")))
        }
        (_, None) => {
            let failure = CommandError::of_setting(settings, &CONCURRENCY, &error.to_string());
            Err(failure.with_hint(raise))
        }
    }
}

/// The sockets that one attempt in flight may hold: the built-in API has the other end of each.
fn sockets_each(settings: &Settings) -> usize {
    1 + usize::from(settings.demo.is_some())
}
