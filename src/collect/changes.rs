//! `--changes`: how a new output differs from the one that it replaces, a JSON line for each SKU that does.
//!
//! ```text
//! {"key":"A","change":"added","new":BODY}
//! {"key":"B","change":"changed","old":BODY,"new":BODY}
//! {"key":"C","change":"failed","old":BODY}
//! {"key":"D","change":"removed","old":BODY}
//! ```
//!
//! Bodies are compared as they are stored, byte for byte. A SKU whose record in the old output is that of a failure
//! has no old body. `failed` SKUs stand in the place of their row, `removed` ones after all others.

use std::fs::File;
use std::io::{self, Write};

use super::CollectError;
use super::atomic::Replacement;
use super::paths::FileTarget;

/// How many SKUs differ from the old output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// A file of changes on its way.
pub(super) struct ChangeFile<'a> {
    target: &'a FileTarget,
    file: Replacement,
    buffer: Vec<u8>,
    counts: ChangeCounts,
    goes_on: bool,
}

impl<'a> ChangeFile<'a> {
    /// Begins to replace the file. With `goes_on` what is in it stays: an interrupted run put it there together with
    /// the output that is there now, and may not have lived to say so.
    pub(super) fn create(target: &'a FileTarget, goes_on: bool) -> Result<Self, CollectError> {
        let mut file = Replacement::create(&target.real)?;
        if goes_on && let Ok(mut old) = File::open(&target.real) {
            io::copy(&mut old, &mut file).map_err(CollectError::io("write", &target.given))?;
        }
        Ok(Self { target, file, buffer: Vec::new(), counts: ChangeCounts::default(), goes_on })
    }

    /// The new output has `new` for this key (a JSON string), and the old one had `old`.
    pub(super) fn fetched(&mut self, key: &[u8], old: Option<&[u8]>, new: &[u8]) -> Result<(), CollectError> {
        match old {
            Some(old) if old == new => Ok(()),
            Some(old) => {
                self.counts.changed += 1;
                self.line(key, "changed", Some(old), Some(new))
            }
            None => {
                self.counts.added += 1;
                self.line(key, "added", None, Some(new))
            }
        }
    }

    /// The SKU failed; the old output had `old` for it.
    pub(super) fn failed(&mut self, key: &[u8], old: Option<&[u8]>) -> Result<(), CollectError> {
        self.counts.failed += 1;
        if self.goes_on && old.is_none() {
            // The interrupted run has said so, with the value that there was then.
            return Ok(());
        }
        self.line(key, "failed", old, None)
    }

    /// The old output had `old` for this key, and nothing is said of it any more.
    pub(super) fn removed(&mut self, key: &[u8], old: &[u8]) -> Result<(), CollectError> {
        self.counts.removed += 1;
        self.line(key, "removed", Some(old), None)
    }

    fn line(
        &mut self,
        key: &[u8],
        change: &str,
        old: Option<&[u8]>,
        new: Option<&[u8]>,
    ) -> Result<(), CollectError> {
        let out = &mut self.buffer;
        out.clear();
        for part in [b"{\"key\":", key, b",\"change\":\"", change.as_bytes(), b"\""] {
            out.extend_from_slice(part);
        }
        for (name, body) in [(&b",\"old\":"[..], old), (b",\"new\":", new)] {
            if let Some(body) = body {
                out.extend_from_slice(name);
                out.extend_from_slice(body);
            }
        }
        out.extend_from_slice(b"}\n");
        let written: io::Result<()> = self.file.write_all(&self.buffer);
        written.map_err(CollectError::io("write", &self.target.given))
    }

    /// Puts the file in its place; says what it came to.
    pub(super) fn commit(self) -> Result<ChangeCounts, CollectError> {
        self.file.commit()?;
        Ok(self.counts)
    }
}
