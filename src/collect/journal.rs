//! Answers as they come, safe on disk within about a second, and what an interrupted run left of them.
//!
//! Appending writes into a buffer; full buffers go to the writer's thread. Where each record stands is
//! known at once, so what stays in memory is its offset. Markers that say what is synced are appended
//! here too, with the next record, and not by the thread: so offsets never depend on its pace.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use siphasher::sip128::SipHasher13;

use super::atomic::clear_leftovers;
use super::changes::Publishing;
use super::checksum::{Header, VERSION, hex16};
use super::draft::{Plan, Progress};
use super::error::CREATE;
use super::finalise::{AnswerCounts, Finished};
use super::index::{Answers, Places};
use super::known::{Previous, PreviousValue};
use super::line::NULL;
use super::opening::{chance, create, resume};
use super::record::{Answered, Recorder};
use super::records::Records;
use super::writer::Writer;
use super::{CollectError, OutputSettings, Preflight};
use crate::model::{Answer, Cause, Entry, Fault, Fingerprint, Key, Outcome, Seq, Validators, large_buffer};

/// A buffer this full goes to the writer: large enough that a write costs nothing beside its bytes.
const FULL: usize = 128 * 1024;

/// What makes two runs the same job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobIdentity {
    /// All of it, in bytes of a canonical form: template, method, key column, body, selection, shape.
    pub digest_input: Vec<u8>,
    /// The same for people, an object without secrets; stands in the journal's first line.
    pub description: serde_json::Value,
    /// What decides which values a run gives, apart from their layout.
    pub provenance: Provenance,
}

/// What the values of an output were made by. Two runs that agree in it give comparable values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Stands for method, URL, key column, body and headers of the requests.
    pub request: String,
    /// `--select`, without secrets.
    pub select: String,
    /// `--body-as`.
    pub body_as: String,
}

impl JobIdentity {
    /// Tells jobs apart; not meant to keep anything secret.
    pub(super) fn digest(&self) -> String {
        let hash = SipHasher13::new().hash(&self.digest_input);
        Fingerprint(u128::from(hash.h1) << 64 | u128::from(hash.h2)).to_string()
    }
}

/// What was found when the journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Answers that an interrupted run left.
    pub answers: u64,
    /// Answers that it left, too, but which are older than `--max-age`.
    pub expired: u64,
    /// Answers whose status this run does not keep.
    pub unwanted: u64,
    /// How old the oldest of the others is.
    pub oldest: Option<Duration>,
    /// What a person should know, one sentence each: a torn tail, a journal set aside, a lost state.
    pub notes: Vec<String>,
}

/// A row that may not be asked for.
#[derive(Debug, Clone, Copy)]
pub struct RefusedRow<'a> {
    /// The row's place in the input.
    pub seq: Seq,
    /// The physical line where it begins.
    pub line: u64,
    /// Its key, if the cell could be one.
    pub key: Option<&'a Key>,
    /// Why no request may leave for it.
    pub why: &'a str,
    /// The row as it stood in the input.
    pub record: &'a csv::ByteRecord,
}

/// The record of a run; see the module's own words. For standard output it is an unnamed temporary
/// file that no later run sees.
pub struct Collector {
    /// Of an unnamed file, its folder.
    path: PathBuf,
    recorder: Recorder,
    salt: [u8; 16],
    identity: JobIdentity,
    buffer: Vec<u8>,
    /// Where the buffer's first byte will stand in the file.
    start: u64,
    /// The last marker says that all before this is synced.
    marked: u64,
    /// A later run may read it.
    resumable: bool,
    failures: u64,
    counts: AnswerCounts,
    /// When the run began.
    began: SystemTime,
    /// When the oldest of the answers came that were taken up from an interrupted run.
    oldest: Option<SystemTime>,
    places: Places,
    answers: Answers,
    previous: Previous,
    /// What the interrupted run put in its place, where it got that far.
    published_before: Option<Publishing>,
    writer: Writer,
    /// None where old values are merged in, and for standard output.
    draft: Option<Progress>,
}

impl Collector {
    /// Clears what killed runs left, reads the old output and its state as far as they are needed, and
    /// opens the journal or goes on with it. Blocks; the caller holds the lock.
    ///
    /// # Errors
    /// An old output that cannot be merged with, an input of so few `rows` that the new output could only be held
    /// back, a damaged journal, or disk trouble.
    pub fn open(
        settings: &OutputSettings,
        place: &Preflight,
        identity: &JobIdentity,
        rows: Option<u64>,
    ) -> Result<(Self, Recovered), CollectError> {
        let began = SystemTime::now();
        let Some(paths) = &place.paths else {
            return Ok((Self::spool(identity)?, Recovered::default()));
        };
        let job = identity.digest();
        for target in [&paths.output].into_iter().chain(&place.failed).chain(&place.changes) {
            clear_leftovers(&target.real);
        }
        clear_leftovers(&paths.state);
        let mut notes = Vec::new();
        let mut previous = Previous::load(settings, paths, identity, &mut notes)?;
        previous.check_rows(settings, &paths.output.given, rows)?;
        let salt = previous.state.as_ref().map_or_else(chance, |state| state.salt);
        let header =
            Header { version: VERSION, salt: hex16(salt), job, description: identity.description.clone() };
        let resumed = resume(&paths.journal, &header, settings.fresh, &mut notes)?;
        let (file, salt, mut scan) = match resumed {
            Some(resumed) => resumed,
            None => create(&paths.journal, &header, salt)?,
        };
        previous.forget_state_of_other_salt(salt);
        let expired = scan.answers.expire_by(settings.max_age, began);
        let unwanted = scan.answers.retain_statuses(|status| settings.keeps(status));
        let oldest = scan.answers.oldest().map(|at| began.duration_since(at).unwrap_or_default());
        let recovered = Recovered { answers: scan.answers.len() as u64, expired, unwanted, oldest, notes };
        // Where old values have a say, only the end of the run can tell what becomes of a row.
        let is_there = |stamp| previous.old.as_ref().is_some_and(|old| old.stamp == stamp);
        let published_before = scan.publishing.filter(|published| is_there(published.output));
        let reading = if settings.merge || settings.changes.is_some() { None } else { file.try_clone().ok() };
        let draft = reading.map(|reading| {
            let records = Records::new(paths.journal.clone(), reading, salt);
            Progress::new(Plan::of(settings, paths, salt, identity), records, settings.draft_step)
        });
        let writer = Writer::start(file, scan.end, true).map_err(no_thread)?;
        let journal = Self {
            path: paths.journal.clone(),
            recorder: Recorder::new(salt),
            salt,
            identity: identity.clone(),
            buffer: Vec::with_capacity(2 * FULL),
            start: scan.end,
            marked: scan.end,
            resumable: true,
            failures: 0,
            counts: AnswerCounts::default(),
            began,
            oldest: None,
            places: Places::default(),
            answers: scan.answers,
            previous,
            published_before,
            writer,
            draft,
        };
        Ok((journal, recovered))
    }

    fn spool(identity: &JobIdentity) -> Result<Self, CollectError> {
        let path = tempfile::env::temp_dir();
        let create = || {
            let mut file = tempfile::tempfile()?;
            // Offset 0 means "no record".
            file.write_all(b"\n").map(|()| file)
        };
        let file = create().map_err(|error| CollectError::io(CREATE, &path)(error).of_temporary(&path))?;
        let writer = Writer::start(file, 1, false).map_err(no_thread)?;
        let salt = chance();
        Ok(Self {
            path,
            recorder: Recorder::new(salt),
            salt,
            identity: identity.clone(),
            buffer: Vec::with_capacity(2 * FULL),
            start: 1,
            marked: 1,
            resumable: false,
            failures: 0,
            counts: AnswerCounts::default(),
            began: SystemTime::now(),
            oldest: None,
            places: Places::default(),
            answers: Answers::default(),
            previous: Previous::none(),
            published_before: None,
            writer,
            draft: None,
        })
    }

    /// The key that fingerprints are to be made with, so that they match those of an earlier run.
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// An answer that an interrupted run left counts for this row, if there is one. True: it needs no
    /// request. Each answer counts once.
    pub fn adopt(&mut self, seq: Seq, fingerprint: Fingerprint) -> bool {
        match self.answers.take(fingerprint) {
            Some((offset, at)) => {
                self.places.set(seq, offset);
                self.oldest = Some(self.oldest.map_or(at, |oldest| oldest.min(at)));
                true
            }
            None => false,
        }
    }

    /// When the run began: ages count from here.
    pub fn began(&self) -> SystemTime {
        self.began
    }

    /// When the oldest of the answers came that this run took up from an interrupted one.
    pub fn oldest_adopted(&self) -> Option<SystemTime> {
        self.oldest
    }

    /// The row has no record and needs none: it repeats another.
    pub fn pass(&mut self, seq: Seq) {
        self.places.pass(seq);
    }

    /// What is known of the value that the old output has for this request, if it has one that a "not
    /// modified" may stand for.
    pub fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous.previous_value(key, fingerprint)
    }

    /// Leaves the old output's value alone: the row keeps its place in the new one. False if there is
    /// no such value, and the row has to be asked for.
    ///
    /// # Errors
    /// The journal could not be written.
    pub fn keep(&mut self, seq: Seq, fingerprint: Fingerprint, key: &Key) -> Result<bool, CollectError> {
        let hash = self.previous.hash(key);
        if !self.previous.old.as_ref().is_some_and(|old| old.holds(&hash)) {
            return Ok(false);
        }
        self.record(seq, |recorder, out| recorder.kept(out, fingerprint, key))?;
        Ok(true)
    }

    /// Takes an entry in. Deferred ones leave no trace: the next run goes on with them.
    ///
    /// # Errors
    /// The journal could not be written (this record or one before it), or an unchanged value could
    /// not be read.
    pub fn append(&mut self, entry: &Entry) -> Result<(), CollectError> {
        match &entry.outcome {
            Outcome::Fetched(answer) => match Answered::of(answer) {
                Some(answered) => self.append_answer(entry, &answered),
                None => self.append_unchanged(entry, answer),
            },
            Outcome::Failed(fault) => self.append_failure(entry, fault),
            Outcome::Deferred(_) => Ok(()),
        }
    }

    fn append_answer(&mut self, entry: &Entry, answer: &Answered<'_>) -> Result<(), CollectError> {
        large_buffer::grow(&mut self.buffer, answer.body.len());
        self.counts.all += 1;
        self.counts.nulls += u64::from(answer.body == NULL);
        self.record(entry.seq, |recorder, out| recorder.fetched(out, entry, answer))
    }

    fn append_failure(&mut self, entry: &Entry, fault: &Fault) -> Result<(), CollectError> {
        self.failures += 1;
        self.record(entry.seq, |recorder, out| recorder.failed(out, entry, fault))
    }

    /// "Not modified": the old body is copied into the journal, which so stands for itself, whatever
    /// becomes of the old output. A 304 is about the exchange, not about the body: the record keeps
    /// the status that the body came with, and gets this answer's time.
    fn append_unchanged(&mut self, entry: &Entry, answer: &Answer) -> Result<(), CollectError> {
        let known = self.previous.previous_value(&entry.key, entry.fingerprint);
        let old = self
            .previous
            .body(&entry.key)
            .map_err(CollectError::io("read the old output for", &self.path))?;
        let Some((status, body)) = old else {
            let detail = "the API says that nothing changed, but there is no old value";
            return self.append_failure(entry, &Fault::new(Cause::Body, detail).with_status(answer.status));
        };
        let known = known.map(|known| known.validators).unwrap_or_default();
        let validators = Validators {
            etag: answer.validators.etag.clone().or(known.etag),
            last_modified: answer.validators.last_modified.clone().or(known.last_modified),
        };
        let status = status.unwrap_or(200);
        let answered =
            Answered { status, at: answer.at, validators: &validators, body: &body, raw: answer.raw };
        self.append_answer(entry, &answered)
    }

    /// Takes in a row that may not be asked for.
    ///
    /// # Errors
    /// The journal could not be written (this record or one before it).
    pub fn append_refused(&mut self, refused: &RefusedRow<'_>) -> Result<(), CollectError> {
        self.failures += 1;
        self.record(refused.seq, |recorder, out| recorder.refused(out, refused))
    }

    fn record(
        &mut self,
        seq: Seq,
        write: impl FnOnce(&mut Recorder, &mut Vec<u8>),
    ) -> Result<(), CollectError> {
        let synced = self.writer.synced();
        if self.resumable && synced > self.marked {
            self.marked = synced;
            self.recorder.synced(&mut self.buffer, synced);
        }
        self.places.set(seq, self.start + self.buffer.len() as u64);
        write(&mut self.recorder, &mut self.buffer);
        if self.buffer.len() >= FULL { self.flush() } else { Ok(()) }
    }

    /// Hands what was appended so far to the writer; does not wait for it.
    ///
    /// # Errors
    /// Something appended before could not be written.
    pub fn flush(&mut self) -> Result<(), CollectError> {
        self.hand_over();
        if let Some(draft) = &mut self.draft {
            draft.go_on(&self.places, self.start - self.writer.pending() as u64);
        }
        self.writer.check(&self.path).map_err(|error| self.told(error))
    }

    /// An error of the journal, where there is no file of that name.
    fn told(&self, error: CollectError) -> CollectError {
        if self.resumable { error } else { error.of_temporary(&self.path) }
    }

    fn hand_over(&mut self) {
        if !self.buffer.is_empty() {
            self.start += self.buffer.len() as u64;
            self.writer.hand_over(&mut self.buffer);
        }
    }

    /// Bytes appended and not yet written.
    pub fn backlog(&self) -> usize {
        self.buffer.len() + self.writer.pending()
    }

    /// Bytes that were handed over and are not yet written, to be looked at from elsewhere.
    pub fn pending_bytes(&self) -> Arc<AtomicUsize> {
        self.writer.pending_bytes()
    }

    /// Writes and syncs all that was appended. Blocks.
    ///
    /// # Errors
    /// Something could not be written or synced.
    pub fn close(mut self) -> Result<Finished, CollectError> {
        let began = self.marked;
        self.hand_over();
        let finished = self.writer.finish(&self.path);
        let mut file = finished.map_err(|error| self.told(error))?;
        if self.resumable && self.start > began {
            let mut marker = Vec::new();
            self.recorder.synced(&mut marker, self.start);
            file.write_all(&marker)
                .and_then(|()| file.sync_data())
                .map_err(CollectError::io("sync", &self.path))?;
        }
        Ok(Finished {
            path: std::mem::take(&mut self.path),
            file,
            salt: self.salt,
            identity: self.identity.clone(),
            failures: self.failures,
            answers: self.counts,
            published_before: self.published_before,
            places: std::mem::take(&mut self.places),
            previous: std::mem::replace(&mut self.previous, Previous::none()),
            drafting: self.draft.take().and_then(Progress::into_drafting),
        })
    }
}

fn no_thread(source: io::Error) -> CollectError {
    CollectError::Thread { what: "the thread that writes the journal", source }
}

/// Left without a word, a journal is still written to its end.
impl Drop for Collector {
    fn drop(&mut self) {
        if !self.writer.is_finished() {
            self.hand_over();
            let _ = self.writer.finish(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::collect::Target;
    use crate::collect::trial::{How, Trial, entry, failed, fetched, fingerprint, key};
    use crate::model::Deferral;

    #[test]
    fn a_journal_may_move_between_threads() {
        fn movable<T: Send>() {}
        movable::<Collector>();
        movable::<Finished>();
    }

    #[test]
    fn an_interrupted_run_is_gone_on_with_and_gives_the_same_bytes() {
        let whole = Trial::new();
        let entries: Vec<Entry> = (0..9).map(|n| fetched(n, &format!("K{n}"), &format!("[{n}]"))).collect();
        whole.run(&entries);
        let trial = Trial::new();
        for part in entries.chunks(2) {
            let (mut journal, recovered) = trial.open();
            assert_eq!(recovered.notes, [""; 0]);
            for entry in part {
                journal.append(entry).unwrap();
            }
        }
        let (mut journal, recovered) = trial.open();
        assert_eq!(recovered.answers, 9);
        for entry in &entries {
            assert!(journal.adopt(entry.seq, entry.fingerprint));
            assert!(!journal.adopt(entry.seq, entry.fingerprint), "it counts once");
        }
        trial.publish(journal.close().unwrap());
        assert_eq!(trial.text("out.json"), whole.text("out.json"));
        assert_eq!(trial.names(), ["out.json", "out.json.state"], "the journal is gone");
    }

    #[test]
    fn only_the_same_request_of_the_same_key_counts() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(1, "gone", "2")).unwrap();
        drop(journal);
        let (mut journal, _) = trial.open();
        assert!(!journal.adopt(Seq(0), fingerprint("A with another column")));
        assert!(journal.adopt(Seq(5), fingerprint("A")));
        trial.publish(journal.close().unwrap());
        assert_eq!(trial.text("out.json"), "{\n\"A\":1\n}\n");
    }

    #[test]
    fn failed_and_deferred_rows_are_asked_again() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&failed(0, "A", 500)).unwrap();
        journal.append(&entry(1, "B", Outcome::Deferred(Deferral::Stopped))).unwrap();
        drop(journal);
        let (mut journal, recovered) = trial.open();
        assert_eq!(recovered.answers, 0);
        assert!(!journal.adopt(Seq(0), fingerprint("A")) && !journal.adopt(Seq(1), fingerprint("B")));
    }

    #[test]
    fn a_torn_tail_is_dropped_with_a_word_and_written_over() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        drop(journal);
        let path = trial.path("out.json.journal");
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"crc\":\"00000000\",\"fetched\":\"00").unwrap();
        let (mut journal, recovered) = trial.open();
        assert_eq!(recovered.answers, 1);
        assert!(recovered.notes[0].contains("last 31 bytes"), "{:?}", recovered.notes);
        journal.append(&fetched(1, "B", "2")).unwrap();
        drop(journal);
        let (_, recovered) = trial.open();
        assert_eq!((recovered.answers, recovered.notes.len()), (2, 0));
    }

    #[test]
    fn damage_inside_is_reported_and_fresh_sets_it_aside() {
        let mut trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.close().unwrap();
        let path = trial.path("out.json.journal");
        let text = trial.text("out.json.journal").replace("\"A\":1", "\"A\":7");
        fs::write(&path, &text).unwrap();
        let error = trial.try_open().err().unwrap();
        assert_eq!(error.exit().code(), 74);
        assert!(error.hint().unwrap().contains("--fresh"), "{error}");
        assert_eq!(trial.text("out.json.journal"), text, "untouched");
        trial.settings.fresh = true;
        let (_, recovered) = trial.open();
        assert_eq!(recovered.answers, 0);
        assert!(recovered.notes[0].contains("out.json.journal.1"), "{:?}", recovered.notes);
        assert_eq!(trial.text("out.json.journal.1"), text);
    }

    #[test]
    fn a_journal_of_another_job_is_set_aside_and_never_used_or_overwritten() {
        let mut trial = Trial::new();
        for (round, job) in ["one", "two", "three"].into_iter().enumerate() {
            trial.job = job;
            let (mut journal, recovered) = trial.open();
            assert_eq!((recovered.answers, recovered.notes.len()), (0, round.min(1)));
            if round > 0 {
                assert!(recovered.notes[0].contains("other url"), "{:?}", recovered.notes);
            }
            journal.append(&fetched(0, "A", job)).unwrap();
        }
        assert!(trial.text("out.json.journal.1").contains("\"A\":one"));
        assert!(trial.text("out.json.journal.2").contains("\"A\":two"));
        assert!(trial.text("out.json.journal").contains("\"A\":three"));
    }

    #[test]
    fn the_journal_is_private_and_follows_no_link() {
        let trial = Trial::new();
        drop(trial.open());
        assert_eq!(fs::metadata(trial.path("out.json.journal")).unwrap().mode() & 0o777, 0o600);
        fs::remove_file(trial.path("out.json.journal")).unwrap();
        let place = trial.place();
        symlink(trial.path("elsewhere"), trial.path("out.json.journal")).unwrap();
        let identity = JobIdentity {
            digest_input: vec![],
            description: serde_json::Value::Null,
            provenance: Provenance::default(),
        };
        assert!(Collector::open(&trial.settings, &place, &identity, None).is_err());
        assert!(!trial.path("elsewhere").exists());
    }

    #[test]
    fn an_unfinished_header_is_begun_again() {
        let trial = Trial::new();
        for start in ["", "{\"crc\":\"0123", "\0\0\0\0"] {
            fs::write(trial.path("out.json.journal"), start).unwrap();
            let (mut journal, recovered) = trial.open();
            assert_eq!(recovered, Recovered::default());
            journal.append(&fetched(0, "A", "1")).unwrap();
            drop(journal);
            assert_eq!(trial.open().1.answers, 1);
        }
    }

    #[test]
    fn what_was_synced_is_marked_with_the_next_record() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.flush().unwrap();
        while journal.writer.synced() == 0 {
            std::thread::yield_now();
        }
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.append(&fetched(2, "C", "3")).unwrap();
        let finished = journal.close().unwrap();
        assert_eq!(trial.text("out.json.journal").matches("\"synced\"").count(), 2);
        trial.publish(finished);
        assert_eq!(trial.text("out.json"), "{\n\"A\":1,\n\"B\":2,\n\"C\":3\n}\n");
    }

    #[test]
    fn standard_output_leaves_nothing_to_go_on_with() {
        let trial = Trial::with(|settings| settings.target = Target::Stdout);
        let (mut journal, _) = trial.open();
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.append(&failed(2, "C", 404)).unwrap();
        journal.append(&fetched(0, "A", "1")).unwrap();
        let mut stdout = Vec::new();
        let finished = journal.close().unwrap();
        let published = trial.publish_into(finished, &How::default(), &mut stdout).unwrap();
        assert_eq!((published.path, published.failures.rows, published.failures.path), (None, 1, None));
        assert_eq!(String::from_utf8(stdout).unwrap(), "{\n\"A\":1,\n\"B\":2\n}\n");
        assert_eq!(trial.names(), [""; 0]);
    }

    #[test]
    fn a_pipe_that_closed_is_an_error_and_no_panic() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let trial = Trial::with(|settings| settings.target = Target::Stdout);
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        let finished = journal.close().unwrap();
        let error = trial.publish_into(finished, &How::default(), &mut Closed).unwrap_err();
        assert_eq!(error.exit().code(), 74);
    }

    #[test]
    fn an_answer_of_no_change_without_an_old_value_is_a_failure_and_not_an_invention() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        let unchanged = crate::collect::trial::answer(crate::model::Content::Unchanged);
        journal.append(&entry(0, "A", Outcome::Fetched(unchanged))).unwrap();
        assert!(!journal.keep(Seq(1), fingerprint("B"), &key("B")).unwrap());
        let published = trial.publish(journal.close().unwrap());
        assert_eq!((published.lines, published.failures.rows), (0, 1));
        assert!(trial.text("out.failed.csv").contains("there is no old value"));
    }
}
