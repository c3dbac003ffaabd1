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
//! has no old body. Lines are in the order of the rows, `removed` ones after all others.

use std::fs::File;
use std::io::{self, Seek, Write};

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::Replacement;
use crate::collect::files::compression::{CompressedWriter, Compression};
use crate::collect::files::paths::FileTarget;
use crate::collect::files::stamp::{Stamp, StampWriter, stamp_of};
use crate::collect::journal::publish_record::{ChangeCounts, PublishRecord};

/// A file of changes on its way.
pub(crate) struct ChangeFile<'a> {
    target: &'a FileTarget,
    out: CompressedWriter<StampWriter<Replacement>>,
    buffer: Vec<u8>,
    counts: ChangeCounts,
    /// The file begins with the changes that lead to the output that is there.
    keep_existing: bool,
}

impl<'a> ChangeFile<'a> {
    /// Begins to replace the file. `before` was put in its place together with the output that is there now: if the
    /// file is still that one, what is in it stays.
    pub(crate) fn create(
        target: &'a FileTarget,
        before: Option<&PublishRecord>,
    ) -> Result<Self, CollectError> {
        let mut file = StampWriter::new(Replacement::create(&target.real)?.in_stage(target.stage()));
        let (mut counts, mut keep_existing) = (ChangeCounts::default(), false);
        let failed = || CollectError::io(FileOperation::Write, &target.given);
        if let Some(before) = before
            && let Ok(mut old) = File::open(&target.real)
            && stamp_of(&old).is_ok_and(|stamp| stamp == before.changes)
        {
            old.rewind().map_err(failed())?;
            // What follows compressed data of the same kind is read as a part of it.
            io::copy(&mut old, &mut file).map_err(failed())?;
            (counts, keep_existing) = (before.counts, true);
        }
        let out = CompressedWriter::new(file, Compression::of(&target.given)).map_err(failed())?;
        Ok(Self { target, out, buffer: Vec::new(), counts, keep_existing })
    }

    /// The new output has `new` for this key (a JSON string), and the old one had `old`.
    pub(crate) fn fetched(&mut self, key: &[u8], old: Option<&[u8]>, new: &[u8]) -> Result<(), CollectError> {
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
    pub(crate) fn failed(&mut self, key: &[u8], old: Option<&[u8]>) -> Result<(), CollectError> {
        if self.keep_existing && old.is_none() {
            // The interrupted run has recorded this, with the value that there was then.
            return Ok(());
        }
        self.counts.failed += 1;
        self.line(key, "failed", old, None)
    }

    /// The old output had `old` for this key, and the new one has nothing.
    pub(crate) fn removed(&mut self, key: &[u8], old: &[u8]) -> Result<(), CollectError> {
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
        let line = std::mem::take(&mut self.buffer);
        let written = self.out.write_all(&line);
        self.buffer = line;
        written.map_err(CollectError::io(FileOperation::Write, &self.target.given))
    }

    /// Ends the file, which is not in place yet.
    pub(crate) fn finish(self) -> Result<WrittenChanges, CollectError> {
        let file = self.out.finish().map_err(CollectError::io(FileOperation::Write, &self.target.given))?;
        Ok(WrittenChanges { stamp: file.stamp(), file: file.into_inner(), counts: self.counts })
    }
}

/// A complete file of changes.
pub(crate) struct WrittenChanges {
    file: Replacement,
    stamp: Stamp,
    counts: ChangeCounts,
}

impl WrittenChanges {
    /// What the journal is to record before the file and this output are put in place.
    pub(crate) fn publishing(&self, output: Stamp) -> PublishRecord {
        PublishRecord { output, changes: self.stamp, counts: self.counts }
    }

    /// Puts the file in place; returns its counts.
    pub(crate) fn commit(self) -> Result<ChangeCounts, CollectError> {
        self.file.commit()?;
        Ok(self.counts)
    }
}
