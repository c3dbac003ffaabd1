//! Checks the JSON of answers and makes it compact.
//!
//! A body is copied into the output as the server sent it, without the white space between tokens, so one
//! invalid body could make the whole output unreadable. [`compact`] is therefore stricter than most parsers:
//! the exact grammar of RFC 8259, valid UTF-8, no lone surrogate, no nesting over [`MAX_DEPTH`]. It checks
//! and copies in one pass, builds no tree and does not recurse: its cost depends on the length of a body
//! only. A document that needs no copy is checked in `blocks`, where the processor has wide registers.

#[cfg(target_arch = "x86_64")]
mod blocks;
mod check;
mod copier;
mod error;
mod parts;
#[cfg(test)]
mod reference;
mod scan;
mod text;
mod token;

pub use check::compact;
pub(crate) use check::compacted;
pub use error::{JsonError, JsonErrorKind};
pub(crate) use parts::{Parts, depth};
pub(crate) use text::{escape_into, text_value};

/// The deepest nesting of arrays and objects that is accepted. Common parsers stop soon after it (`serde_json` at
/// 128), and the output adds a level or two of its own.
pub const MAX_DEPTH: usize = 100;

/// The UTF-8 byte-order mark. RFC 8259, section 8.1, allows a parser to ignore one at the start.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
