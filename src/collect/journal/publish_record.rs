//! The journal's record of a publication that is about to happen.

use std::io;

use serde::{Deserialize, Serialize};

use crate::collect::files::checksum::{Checksum, PREFIX};
use crate::collect::files::stamp::Stamp;

/// How many SKUs differ from the old output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// The old output had no body for them.
    pub added: u64,
    /// The new output has no body for them, and they did not fail.
    pub removed: u64,
    /// Their bodies differ.
    pub changed: u64,
    /// They failed.
    pub failed: u64,
}

/// An output and the changes that lead to it, which a run is about to put in place. Recorded in the journal, since
/// a run that is killed between the two renames and the removal of the journal is resumed, and would take the new
/// output for the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PublishRecord {
    pub(crate) output: Stamp,
    pub(crate) changes: Stamp,
    pub(crate) counts: ChangeCounts,
}

/// The line that announces that an output and the changes that lead to it are about to be put in place.
pub(crate) fn publishing(checksum: Checksum, published: &PublishRecord) -> io::Result<Vec<u8>> {
    let value = serde_json::to_vec(published)?;
    let mut line = Vec::new();
    checksum.line(&mut line, |out| {
        out.extend_from_slice(b"\"publishing\":");
        out.extend_from_slice(&value);
        out.push(b'}');
    });
    Ok(line)
}

/// What was about to be published, from the whole line; `None` for any other line.
pub(crate) fn publishing_of(line: &[u8]) -> Option<PublishRecord> {
    let value = line.get(PREFIX..)?.strip_prefix(b"\"publishing\":")?.strip_suffix(b"}")?;
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_about_to_be_published_reads_back() {
        let checksum = Checksum::new([1; 16]);
        let stamp = |bytes| Stamp { bytes, crc: u32::MAX };
        let counts = ChangeCounts { added: 1, removed: 2, changed: 3, failed: 4 };
        let published = PublishRecord { output: stamp(1 << 40), changes: stamp(7), counts };
        let line = publishing(checksum, &published).unwrap();
        assert_eq!(publishing_of(line.strip_suffix(b"\n").unwrap()), Some(published));
    }
}
