//! Writes the state file of the new output.

use std::io::Write;
use std::path::Path;

use crate::collect::files::atomic::Replacement;
use crate::collect::files::checksum::{Checksum, push_checked};
use crate::collect::files::salt::salt_to_hex;
use crate::collect::files::stage::ObjectStage;
use crate::collect::files::stamp::Stamp;
use crate::collect::journal::decode::FetchedRecord;
use crate::collect::previous::key_hash::KeyHash;
use crate::collect::previous::profile::Profile;
use crate::collect::previous::state::{
    OutputKind, STATE_VERSION, StateEntry, StateHeader, StateIndex, StateTrailer,
};

/// Handed to the file at a time.
const CHUNK: usize = 64 * 1024;

/// Writes the next state file, a line for each value of the new output.
pub(crate) struct StateWriter {
    file: Replacement,
    buffer: Vec<u8>,
    checksum: Checksum,
    salt: [u8; 16],
    validators: bool,
    failed: Option<String>,
}

impl StateWriter {
    pub(crate) fn create(
        path: &Path,
        salt: [u8; 16],
        job: &str,
        layout: &OutputKind,
    ) -> Result<Self, String> {
        let file = Replacement::create_private(path).map_err(|error| error.to_string())?;
        let layout = Some(layout.clone());
        let header = StateHeader { version: STATE_VERSION, salt: salt_to_hex(salt), job: job.into(), layout };
        let mut buffer = Vec::with_capacity(CHUNK + CHUNK / 4);
        push_checked(&mut buffer, Checksum::HEADER, &header).map_err(|error| error.to_string())?;
        let checksum = Checksum::new(salt);
        Ok(Self { file, buffer, checksum, salt, validators: false, failed: None })
    }

    /// Replaces the object that the file stands for as well, if it does.
    pub(crate) fn in_stage(self, stage: Option<&ObjectStage>) -> Self {
        Self { file: self.file.in_stage(stage), ..self }
    }

    /// An answer went into the output.
    pub(crate) fn fetched(&mut self, record: &FetchedRecord<'_>) {
        self.validators |= !record.validators.is_empty();
        self.checksum.line(&mut self.buffer, |out| {
            out.extend_from_slice(b"\"id\":\"");
            out.extend_from_slice(record.fingerprint);
            out.extend_from_slice(b"\",\"at\":");
            out.extend_from_slice(record.at);
            out.extend_from_slice(record.validators);
            out.extend_from_slice(b",\"key\":");
            out.extend_from_slice(record.key);
            out.push(b'}');
        });
        self.pass_on();
    }

    /// An old value stays in the output, and so does its entry.
    pub(crate) fn kept(&mut self, old: Option<&mut StateIndex>, hash: &KeyHash) {
        // Fingerprints mean something only under the salt that they were made with.
        let Some(line) = old.filter(|old| old.salt == self.salt).and_then(|old| old.line(hash)) else {
            return;
        };
        let Some(entry) = StateEntry::parse(line) else { return };
        self.validators |= !(entry.etag.is_empty() && entry.modified.is_empty());
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        self.pass_on();
    }

    fn pass_on(&mut self) {
        if self.buffer.len() >= CHUNK {
            if self.failed.is_none() {
                self.failed = self.file.write_all(&self.buffer).err().map(|error| error.to_string());
            }
            self.buffer.clear();
        }
    }

    /// Puts the state in its place: it belongs to `output` from now on.
    pub(crate) fn commit(mut self, output: Stamp, profile: Profile) -> Result<(), String> {
        let trailer = StateTrailer { output, validators: self.validators, profile: Some(profile) };
        push_checked(&mut self.buffer, self.checksum, &trailer).map_err(|error| error.to_string())?;
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.file.write_all(&self.buffer).map_err(|error| error.to_string())?;
        self.file.commit().map(drop).map_err(|error| error.to_string())
    }
}
