//! What is printed where a store refuses something or does not answer, and how the program ends.

use super::lock_hint;
use crate::collect::CollectError;
use crate::commands::command_error::CommandError;
use crate::model::Exit;
use crate::object_storage::{StoreError, StoreErrorKind};

const CREDENTIALS: &str = "check the credentials: the variables and files of the store's own tool count (AWS_ACCESS_KEY_ID or \
                           AWS_PROFILE; GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY)";
const ENDPOINT: &str = "check the bucket, the region and the endpoint (such as AWS_REGION and AWS_ENDPOINT_URL), and the network";

/// An input that cannot be read.
pub(super) fn of_input(error: &StoreError) -> CommandError {
    let (exit, hint) = match error.kind {
        StoreErrorKind::NotFound => (Exit::NoInput, "check the address"),
        StoreErrorKind::Denied => (Exit::NoPermission, CREDENTIALS),
        StoreErrorKind::File => (Exit::Io, "set TMPDIR to a folder with room for the input"),
        _ => (Exit::Unavailable, ENDPOINT),
    };
    CommandError::new(exit, format!("cannot read {error}")).with_hint(hint)
}

/// An output that cannot be written; found before the first request.
pub(super) fn at_start(error: &StoreError) -> CommandError {
    let (exit, hint) = match error.kind {
        StoreErrorKind::Locked => {
            let message = format!("another run is writing this output: {error}");
            return CommandError::new(Exit::TryAgain, message).with_hint(lock_hint());
        }
        StoreErrorKind::Denied => (Exit::NoPermission, CREDENTIALS),
        StoreErrorKind::Changed => (Exit::TryAgain, "another program writes it: run the same command again"),
        StoreErrorKind::File => (Exit::Io, "check the disk of the journal's folder"),
        StoreErrorKind::Unsupported => (
            Exit::CannotCreate,
            "write to a file of this machine and copy it, or use a store that keeps conditions of writes",
        ),
        _ => (Exit::CannotCreate, ENDPOINT),
    };
    CommandError::new(exit, format!("cannot use {error}")).with_hint(hint)
}

/// A file whose object cannot be replaced at the end of a run.
pub(super) fn while_publishing(error: &StoreError) -> CollectError {
    let (exit, hint) = match error.kind {
        StoreErrorKind::Stopped => return CollectError::Stopped,
        StoreErrorKind::Locked => (Exit::TryAgain, "wait for the other run".to_owned()),
        StoreErrorKind::Denied => (Exit::NoPermission, CREDENTIALS.to_owned()),
        StoreErrorKind::File => (Exit::Io, "check the disk of the journal's folder".to_owned()),
        _ => (Exit::Io, ENDPOINT.to_owned()),
    };
    let message = match error.kind {
        StoreErrorKind::Locked => format!("this run lost its lock, and publishes nothing: {error}"),
        _ => format!("cannot write {error}"),
    };
    let hint = Some(format!("{hint}; then the same command resumes from the journal"));
    CollectError::Object { message, hint, exit }
}
