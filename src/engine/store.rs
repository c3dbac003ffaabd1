//! What the loop needs of the collector, so that its tests can stand in for the disk.

use std::time::SystemTime;

use crate::collect::{CollectError, Collector, PreviousValue, RefusedRow};
use crate::model::{Entry, Fingerprint, Key, Seq};

/// Takes what becomes of each row. The methods do what those of [`Collector`] do, with the same errors.
pub(crate) trait EntryStore {
    /// See [`Collector::pass`].
    fn pass(&mut self, seq: Seq);

    /// See [`Collector::adopt`].
    fn adopt(&mut self, seq: Seq, fingerprint: Fingerprint) -> bool;

    /// See [`Collector::began`].
    fn began(&self) -> SystemTime;

    /// See [`Collector::previous_value`].
    fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue>;

    /// See [`Collector::keep`].
    ///
    /// # Errors
    /// The journal could not be written.
    fn keep(&mut self, seq: Seq, fingerprint: Fingerprint, key: &Key) -> Result<bool, CollectError>;

    /// See [`Collector::append`].
    ///
    /// # Errors
    /// The journal could not be written, or an unchanged value could not be read.
    fn append(&mut self, entry: &Entry) -> Result<(), CollectError>;

    /// See [`Collector::append_refused`].
    ///
    /// # Errors
    /// The journal could not be written.
    fn append_refused(&mut self, refused: &RefusedRow<'_>) -> Result<(), CollectError>;

    /// See [`Collector::flush`].
    ///
    /// # Errors
    /// Something appended before could not be written.
    fn flush(&mut self) -> Result<(), CollectError>;

    /// See [`Collector::backlog`].
    fn backlog(&self) -> usize;
}

impl EntryStore for Collector {
    fn pass(&mut self, seq: Seq) {
        self.pass(seq);
    }

    fn adopt(&mut self, seq: Seq, fingerprint: Fingerprint) -> bool {
        self.adopt(seq, fingerprint)
    }

    fn began(&self) -> SystemTime {
        self.began()
    }

    fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous_value(key, fingerprint)
    }

    fn keep(&mut self, seq: Seq, fingerprint: Fingerprint, key: &Key) -> Result<bool, CollectError> {
        self.keep(seq, fingerprint, key)
    }

    fn append(&mut self, entry: &Entry) -> Result<(), CollectError> {
        self.append(entry)
    }

    fn append_refused(&mut self, refused: &RefusedRow<'_>) -> Result<(), CollectError> {
        self.append_refused(refused)
    }

    fn flush(&mut self) -> Result<(), CollectError> {
        self.flush()
    }

    fn backlog(&self) -> usize {
        self.backlog()
    }
}
