//! What a run does more where each row gets its line at once.

use std::fs::File;

use super::Collector;
use crate::collect::error::CollectError;
use crate::collect::row_stream::RowStream;
use crate::model::{Job, Key, Seq};

impl Collector {
    /// From now on each row gets a line in this file, which is standard output, as soon as it is decided. The journal
    /// has failures alone.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn stream_to(&mut self, file: File) -> Result<(), CollectError> {
        self.stream = Some(RowStream::start(file)?);
        Ok(())
    }

    /// Each row of the input has to be accounted for, those that a stopped run did not come to as well.
    pub fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }

    /// A job was begun; its entry follows, or it is deferred.
    pub fn opened(&mut self, job: &Job) {
        if let Some(stream) = &mut self.stream {
            stream.opened(job);
        }
    }

    /// The row repeats `first`, which has its key: it has no record and needs none.
    ///
    /// # Errors
    /// A line of a stream could not be written.
    pub fn repeated(&mut self, seq: Seq, key: &Key, first: Seq) -> Result<(), CollectError> {
        self.pass(seq);
        self.stream.as_mut().map_or(Ok(()), |stream| stream.repeated(seq, key, first))
    }

    /// The row has no key, and such rows are skipped.
    ///
    /// # Errors
    /// A line of a stream could not be written.
    pub fn skipped(&mut self, seq: Seq) -> Result<(), CollectError> {
        self.pass(seq);
        self.stream.as_mut().map_or(Ok(()), |stream| stream.skipped(seq))
    }

    /// The run ends before this job is begun.
    ///
    /// # Errors
    /// A line of a stream could not be written.
    pub fn deferred(&mut self, job: &Job) -> Result<(), CollectError> {
        self.stream.as_mut().map_or(Ok(()), |stream| stream.deferred(job.seq, &job.key))
    }
}
