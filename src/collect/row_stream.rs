//! The lines of `--stream`: one for each row of the input, as soon as it is decided what becomes of the row.
//!
//! `{"seq":0,"key":"A1","status":200,"attempts":1,"fetched_at":"…","body":…}`; in place of `body`: `error`, `same_as`
//! with the `seq` of the row that has the key first, `deferred` or `skipped`. A thread writes them, so that a reader
//! that is slow never holds up the network.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use crate::collect::error::CollectError;
use crate::collect::journal::encode::{RefusedRow, one_line};
use crate::collect::journal::timestamp::TimestampCache;
use crate::collect::journal::writer::JournalWriter;
use crate::json::escape_into;
use crate::model::{Content, Entry, Job, Key, Outcome, Seq};

/// A buffer this full goes to the thread.
const FULL: usize = 64 * 1024;

/// Writes the line of each row.
pub(crate) struct RowStream {
    buffer: Vec<u8>,
    writer: JournalWriter,
    /// Jobs that were begun and have no line yet.
    open: HashMap<Seq, Key>,
    clock: TimestampCache,
}

impl RowStream {
    /// Lines for this file, which is standard output.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn start(file: File) -> Result<Self, CollectError> {
        let writer = JournalWriter::start(file, 0, false)
            .map_err(|source| CollectError::Thread { what: "the thread that writes the lines", source })?;
        Ok(Self { buffer: Vec::new(), writer, open: HashMap::new(), clock: TimestampCache::default() })
    }

    /// The job has no line until its entry comes.
    pub(crate) fn opened(&mut self, job: &Job) {
        self.open.insert(job.seq, job.key.clone());
    }

    /// The line of a job that has ended.
    ///
    /// # Errors
    /// A line could not be written, this one or one before it.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<(), CollectError> {
        let facts = |status, at| LineFacts { status, attempts: entry.attempts, at: Some(at) };
        match &entry.outcome {
            Outcome::Fetched(answer) => {
                let facts = facts(Some(answer.status), answer.at);
                self.line((entry.seq, Some(&entry.key)), facts, |out| match &answer.content {
                    Content::Json(body) => {
                        out.extend_from_slice(b"\"body\":");
                        out.extend_from_slice(body);
                    }
                    // No request of a streamed run is conditional, so that there is no old value.
                    Content::Unchanged => push_error(out, "the answer says that nothing changed"),
                })
            }
            Outcome::Failed(fault) => {
                let error = fault.to_string();
                let facts = facts(fault.status, SystemTime::now());
                self.line((entry.seq, Some(&entry.key)), facts, |out| push_error(out, &error))
            }
            Outcome::Deferred(_) => self.deferred(entry.seq, &entry.key),
        }
    }

    /// The line of a row that must not be requested.
    ///
    /// # Errors
    /// See [`RowStream::entry`].
    pub(crate) fn refused(&mut self, refused: &RefusedRow<'_>) -> Result<(), CollectError> {
        self.line((refused.seq, refused.key), LineFacts::NONE, |out| push_error(out, refused.why))
    }

    /// The line of a row whose key an earlier row has, `first`.
    ///
    /// # Errors
    /// See [`RowStream::entry`].
    pub(crate) fn repeated(&mut self, seq: Seq, key: &Key, first: Seq) -> Result<(), CollectError> {
        self.line((seq, Some(key)), LineFacts::NONE, |out| {
            out.extend_from_slice(format!("\"same_as\":{}", first.0).as_bytes());
        })
    }

    /// The line of a row without a key, where such rows are skipped.
    ///
    /// # Errors
    /// See [`RowStream::entry`].
    pub(crate) fn skipped(&mut self, seq: Seq) -> Result<(), CollectError> {
        self.line((seq, None), LineFacts::NONE, |out| out.extend_from_slice(b"\"skipped\":true"))
    }

    /// The line of a row that this run did not come to.
    ///
    /// # Errors
    /// See [`RowStream::entry`].
    pub(crate) fn deferred(&mut self, seq: Seq, key: &Key) -> Result<(), CollectError> {
        self.line((seq, Some(key)), LineFacts::NONE, |out| out.extend_from_slice(b"\"deferred\":true"))
    }

    fn line(
        &mut self,
        (seq, key): (Seq, Option<&Key>),
        facts: LineFacts,
        end: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), CollectError> {
        self.open.remove(&seq);
        let out = &mut self.buffer;
        out.extend_from_slice(format!("{{\"seq\":{},\"key\":", seq.0).as_bytes());
        match key {
            Some(key) => escape_into(key.as_str(), out),
            None => out.extend_from_slice(b"null"),
        }
        let status = facts.status.map_or_else(|| "null".to_owned(), |status| status.to_string());
        out.extend_from_slice(
            format!(",\"status\":{status},\"attempts\":{},\"fetched_at\":", facts.attempts).as_bytes(),
        );
        match facts.at {
            Some(at) => self.clock.push(out, at),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b',');
        end(out);
        out.extend_from_slice(b"}\n");
        if self.buffer.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Hands the lines so far to the thread, without waiting for it.
    ///
    /// # Errors
    /// Lines that were handed over before could not be written.
    pub(crate) fn flush(&mut self) -> Result<(), CollectError> {
        if !self.buffer.is_empty() {
            self.writer.hand_over(&mut self.buffer);
        }
        self.writer.failure().map_or(Ok(()), |error| Err(CollectError::Stdout(error)))
    }

    /// Bytes of lines that are not written yet.
    pub(crate) fn backlog(&self) -> usize {
        self.buffer.len() + self.writer.pending()
    }

    /// Bytes handed to the thread and not yet written, to be read by other parts of the program.
    pub(crate) fn pending_bytes(&self) -> Arc<AtomicUsize> {
        self.writer.pending_bytes()
    }

    /// Writes what is left, with a line for each job that was begun and not decided. Blocks.
    ///
    /// # Errors
    /// A line could not be written.
    pub(crate) fn close(mut self) -> Result<(), CollectError> {
        let mut open: Vec<_> = std::mem::take(&mut self.open).into_iter().collect();
        open.sort_unstable_by_key(|(seq, _)| *seq);
        for (seq, key) in open {
            self.deferred(seq, &key)?;
        }
        self.flush()?;
        let ended = self.writer.finish(Path::new("-"));
        match (self.writer.failure(), ended) {
            (Some(error), _) => Err(CollectError::Stdout(error)),
            (None, Err(_)) => {
                Err(CollectError::Stdout(io::Error::other("the thread that writes it is gone")))
            }
            (None, Ok(_)) => Ok(()),
        }
    }
}

/// What a line says of the requests for its row.
#[derive(Clone, Copy)]
struct LineFacts {
    status: Option<u16>,
    attempts: u32,
    at: Option<SystemTime>,
}

impl LineFacts {
    /// There was none.
    const NONE: Self = Self { status: None, attempts: 0, at: None };
}

fn push_error(out: &mut Vec<u8>, error: &str) {
    out.extend_from_slice(b"\"error\":");
    escape_into(&one_line(error), out);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;
    use crate::collect::test_run::{entry, key};
    use crate::model::{Answer, Cause, Deferral, Fault, Validators};

    fn lines(write: impl FnOnce(&mut RowStream)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let mut stream = RowStream::start(File::create(&path).unwrap()).unwrap();
        write(&mut stream);
        stream.close().unwrap();
        fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn each_kind_of_row_has_its_line() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500);
        let answer = Answer {
            status: 200,
            at,
            content: Content::Json(b"{\"p\":1.10}"[..].into()),
            validators: Validators::default(),
            raw: None,
            error: None,
        };
        let fault = Fault::new(Cause::Status(404), "no\nsuch").with_status(404);
        let found = lines(|stream| {
            stream.entry(&entry(0, "A\"1", Outcome::Fetched(answer))).unwrap();
            stream.entry(&entry(1, "B", Outcome::Failed(fault))).unwrap();
            stream.repeated(Seq(2), &key("B"), Seq(1)).unwrap();
            stream.skipped(Seq(3)).unwrap();
            stream.entry(&entry(4, "C", Outcome::Deferred(Deferral::Stopped))).unwrap();
            let record = csv::ByteRecord::new();
            let refused = RefusedRow { seq: Seq(5), line: 7, key: None, why: "empty", record: &record };
            stream.refused(&refused).unwrap();
        });
        assert_eq!(
            found[0],
            "{\"seq\":0,\"key\":\"A\\\"1\",\"status\":200,\"attempts\":1,\"fetched_at\":\"1970-01-01T00:00:01.500Z\",\
             \"body\":{\"p\":1.10}}"
        );
        assert!(
            found[1].starts_with("{\"seq\":1,\"key\":\"B\",\"status\":404,\"attempts\":1,\"fetched_at\":\"2")
        );
        assert!(found[1].contains(",\"error\":\"") && found[1].contains("no such"), "{}", found[1]);
        let rest = "\"status\":null,\"attempts\":0,\"fetched_at\":null,";
        assert_eq!(found[2], format!("{{\"seq\":2,\"key\":\"B\",{rest}\"same_as\":1}}"));
        assert_eq!(found[3], format!("{{\"seq\":3,\"key\":null,{rest}\"skipped\":true}}"));
        assert_eq!(found[4], format!("{{\"seq\":4,\"key\":\"C\",{rest}\"deferred\":true}}"));
        assert_eq!(found[5], format!("{{\"seq\":5,\"key\":null,{rest}\"error\":\"empty\"}}"));
    }

    #[test]
    fn a_write_that_fails_is_told_as_one_of_standard_output() {
        let mut stream = RowStream::start(File::options().write(true).open("/dev/full").unwrap()).unwrap();
        stream.skipped(Seq(0)).unwrap();
        assert!(matches!(stream.close(), Err(CollectError::Stdout(_))));
    }
}
