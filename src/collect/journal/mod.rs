//! The journal: answers and failures in the order in which they came, safe on disk within about a second, and what an
//! interrupted run left of them.

pub(crate) mod appender;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod header;
pub(crate) mod open;
mod packed_offsets;
pub(crate) mod publish_record;
pub(crate) mod reader;
pub(crate) mod recover;
pub(crate) mod recovered_answers;
pub(crate) mod row_offsets;
pub(crate) mod set_aside;
pub(crate) mod timestamp;
pub(crate) mod writer;
