//! Files: their names, whether they can be written, atomic replacement, the lock, and lines with checksums.

pub(crate) mod atomic;
pub(crate) mod background_writer;
pub(crate) mod checksum;
pub(crate) mod compression;
pub(crate) mod cursor;
pub(crate) mod document;
pub(crate) mod lock;
pub(crate) mod names;
pub(crate) mod no_follow;
pub(crate) mod packed_offset;
pub(crate) mod pages;
pub(crate) mod paths;
pub(crate) mod preflight;
pub(crate) mod replaceable;
pub(crate) mod salt;
pub(crate) mod stage;
pub(crate) mod stamp;
