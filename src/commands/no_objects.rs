//! What a program has in the place of object stores that was built without them: nothing. Their addresses were refused
//! with the settings.

#![expect(clippy::trivially_copy_pass_by_ref, reason = "as with object stores")]

/// No value of it exists.
pub(super) use std::convert::Infallible as Objects;
/// No value of it exists.
pub(super) use std::convert::Infallible as HeldObject;

use super::command_error::CommandError;
use crate::collect::{Lock, OutputSettings, Preflight};
use crate::config::{Environment, Settings};
use crate::input::{InputError, InputPath};

#[allow(clippy::unnecessary_wraps, reason = "as with object stores")]
pub(super) fn prepare(_: &mut Settings, _: &Environment) -> Result<Option<Objects>, CommandError> {
    Ok(None)
}

pub(super) fn fetch_input(none: &Objects, _: &InputPath) -> Result<(), CommandError> {
    match *none {}
}

pub(super) fn check_input(none: &Objects, _: &InputPath) -> Result<(), InputError> {
    match *none {}
}

pub(super) fn begin(
    none: &Objects,
    _: &OutputSettings,
    _: &Preflight,
) -> Result<Option<(Lock, HeldObject)>, CommandError> {
    match *none {}
}

pub(super) fn look(none: &Objects, _: &Preflight) -> Result<Option<String>, CommandError> {
    match *none {}
}

pub(super) fn fetch_parts(none: &Objects, _: &Settings) -> Result<(), CommandError> {
    match *none {}
}
