//! One SKU of an output that is read.

use std::borrow::Cow;

use crate::collect::previous::members::Malformed;
use crate::collect::settings::Shape;

/// What an output has for one SKU.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// `Shape::Record` where the value has exactly the members of a record.
    pub(crate) shape: Shape,
    /// The status in the record.
    pub(crate) status: Option<u16>,
    /// Compact JSON; `None` for the record of a failure.
    pub(crate) body: Option<Cow<'a, [u8]>>,
}

/// A SKU of an output file.
pub(crate) struct StoredSku<'a> {
    /// Its key.
    pub(crate) key: &'a str,
    /// Its value.
    pub(crate) stored: Stored<'a>,
    /// Where its key (or the object of its line) begins.
    pub(crate) start: u64,
    /// Where its value ends.
    pub(crate) end: u64,
}

/// Why an output file could not be read, and where.
#[derive(Debug, thiserror::Error)]
#[error("{why} (byte {offset})")]
pub(crate) struct Unreadable {
    pub(crate) offset: u64,
    pub(crate) why: Malformed,
}
