//! What the loop needs of the collector, so that its tests can stand in for the disk.

use std::time::SystemTime;

use crate::collect::{CollectError, Collector, PreviousValue, RefusedRow};
use crate::model::{Entry, Fault, Fingerprint, Job, Key, Seq};

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
    fn append(&mut self, entry: &Entry) -> Result<Option<Fault>, CollectError>;

    /// See [`Collector::add_row`].
    ///
    /// # Errors
    /// The row could not be written.
    fn add_row(
        &mut self,
        seq: Seq,
        repeats: Option<&Key>,
        cells: &csv::ByteRecord,
    ) -> Result<(), CollectError>;

    /// See [`Collector::fail_adopted`].
    ///
    /// # Errors
    /// The journal could not be read or written.
    fn fail_adopted(&mut self, job: &Job) -> Result<Option<Fault>, CollectError>;

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

    /// See [`Collector::is_streamed`].
    fn is_streamed(&self) -> bool {
        false
    }

    /// See [`Collector::opened`].
    fn opened(&mut self, _job: &Job) {}

    /// See [`Collector::repeated`].
    ///
    /// # Errors
    /// A line could not be written.
    fn repeated(&mut self, seq: Seq, _key: &Key, _first: Seq) -> Result<(), CollectError> {
        self.pass(seq);
        Ok(())
    }

    /// See [`Collector::skipped`].
    ///
    /// # Errors
    /// A line could not be written.
    fn skipped(&mut self, seq: Seq) -> Result<(), CollectError> {
        self.pass(seq);
        Ok(())
    }

    /// See [`Collector::deferred`].
    ///
    /// # Errors
    /// A line could not be written.
    fn deferred(&mut self, _job: &Job) -> Result<(), CollectError> {
        Ok(())
    }
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

    fn append(&mut self, entry: &Entry) -> Result<Option<Fault>, CollectError> {
        self.append(entry)
    }

    fn add_row(
        &mut self,
        seq: Seq,
        repeats: Option<&Key>,
        cells: &csv::ByteRecord,
    ) -> Result<(), CollectError> {
        self.add_row(seq, repeats, cells)
    }

    fn fail_adopted(&mut self, job: &Job) -> Result<Option<Fault>, CollectError> {
        self.fail_adopted(job)
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

    fn is_streamed(&self) -> bool {
        self.is_streamed()
    }

    fn opened(&mut self, job: &Job) {
        self.opened(job);
    }

    fn repeated(&mut self, seq: Seq, key: &Key, first: Seq) -> Result<(), CollectError> {
        self.repeated(seq, key, first)
    }

    fn skipped(&mut self, seq: Seq) -> Result<(), CollectError> {
        self.skipped(seq)
    }

    fn deferred(&mut self, job: &Job) -> Result<(), CollectError> {
        self.deferred(job)
    }
}
