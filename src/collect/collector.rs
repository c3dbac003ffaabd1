//! Takes in the entries of a run: they go to the journal, and what an earlier run left of them is taken up.

mod streamed;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::SystemTime;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::clear_leftovers;
use crate::collect::files::cursor::NULL;
use crate::collect::files::names::folder_of;
use crate::collect::files::preflight::Preflight;
use crate::collect::identity::{JobIdentity, RecordedJob};
use crate::collect::inspect::{Inspection, Recovered};
use crate::collect::journal::appender::{Appender, JournalFile};
use crate::collect::journal::encode::{AnswerRecord, RecordEncoder, RefusedRow};
use crate::collect::journal::header::JournalHeader;
use crate::collect::journal::open::{OwnJournal, create};
use crate::collect::journal::publish_record::PublishRecord;
use crate::collect::journal::reader::JournalReader;
use crate::collect::journal::recovered_answers::RecoveredAnswers;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::value::PreviousValue;
use crate::collect::publish::closed_run::{AnswerCounts, ClosedRun};
use crate::collect::publish::draft::{DraftPlan, DraftProgress};
use crate::collect::row_stream::RowStream;
use crate::collect::settings::{Format, OutputSettings};
use crate::collect::table_rows::{TableRows, UsedCells};
use crate::model::{Answer, Cause, Entry, Fault, Fingerprint, Job, Key, Outcome, Seq, Validators};

/// Takes in the entries of a run, each at most once and in any order.
pub struct Collector {
    journal: Appender,
    job: RecordedJob,
    has_failures: bool,
    counts: AnswerCounts,
    /// When the run began.
    began: SystemTime,
    /// When the oldest of the answers came that were taken up from an interrupted run.
    oldest: Option<SystemTime>,
    answers: RecoveredAnswers,
    previous: PreviousRun,
    /// What the interrupted run put in its place, where it got that far.
    published_before: Option<PublishRecord>,
    /// None where old values are merged in, and for standard output.
    draft: Option<DraftProgress>,
    /// None but for a table.
    table: Option<TableRows>,
    /// Each row gets its line as soon as it is decided; answers are not kept.
    stream: Option<RowStream>,
    /// None but for a part that is none of a table.
    used: Option<UsedCells>,
}

impl Collector {
    /// Removes what killed runs left, takes the same [`Inspection`] as a dry run, and opens the journal or resumes it.
    /// Blocks. The caller holds the lock: nothing that was inspected is changed by another run before it is opened.
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
        if let Some(paths) = &place.paths {
            for target in [&paths.output].into_iter().chain(&place.failed).chain(&place.changes) {
                clear_leftovers(&target.real);
            }
            clear_leftovers(&paths.state);
        }
        let inspection = Inspection::of(settings, place, identity)?;
        inspection.check_rows(settings, place, rows)?;
        Self::resume(inspection, settings, place, identity)
    }

    /// Makes the changes that `inspection` showed to be needed.
    fn resume(
        inspection: Inspection,
        settings: &OutputSettings,
        place: &Preflight,
        identity: &JobIdentity,
    ) -> Result<(Self, Recovered), CollectError> {
        let Inspection { began, previous, journals, salt, mut recovered } = inspection;
        let folder = place.paths.as_ref().map(|paths| folder_of(&paths.output.real).to_path_buf());
        let folder = folder.unwrap_or_else(tempfile::env::temp_dir);
        let (table, used) = (TableRows::of(settings, &folder)?, UsedCells::of(settings, &folder)?);
        let (Some(paths), Some(journals)) = (&place.paths, journals) else {
            let collector = Self { table, ..Self::new(Appender::unnamed()?, identity, previous) };
            return Ok((collector, recovered));
        };
        let journal = match journals.resume(&mut recovered.notes)? {
            Some(own) => own,
            None => create(&paths.journal, &JournalHeader::new(identity, salt), salt)?,
        };
        let OwnJournal { file, scan, .. } = journal;
        let is_there = |stamp| previous.old.as_ref().is_some_and(|old| old.stamp == stamp);
        let published_before = scan.publishing.filter(|published| is_there(published.output));
        // Where old values are merged or compared, a row is decided only at the end of the run; the rows of a table are
        // read back then.
        let is_output = settings.part.is_none() && settings.format != Format::Csv;
        let is_drafted = is_output && !settings.merge && settings.changes.is_none();
        let draft = file.try_clone().ok().filter(|_| is_drafted).map(|reading| {
            let records = JournalReader::new(paths.journal.clone(), reading, salt);
            DraftProgress::new(
                DraftPlan::of(settings, paths, salt, &identity.recorded()),
                records,
                settings.draft_step,
            )
        });
        let table = table.map(|table| table.reading(&paths.journal, &file, salt)).transpose()?;
        let journal =
            Appender::resume(JournalFile { path: paths.journal.clone(), file, salt, end: scan.end })?;
        let collector = Self {
            began,
            answers: scan.answers,
            published_before,
            draft,
            table,
            used,
            ..Self::new(journal, identity, previous)
        };
        Ok((collector, recovered))
    }

    fn new(journal: Appender, identity: &JobIdentity, previous: PreviousRun) -> Self {
        Self {
            journal,
            job: identity.recorded(),
            has_failures: false,
            counts: AnswerCounts::default(),
            began: SystemTime::now(),
            oldest: None,
            answers: RecoveredAnswers::default(),
            previous,
            published_before: None,
            draft: None,
            table: None,
            stream: None,
            used: None,
        }
    }

    /// The key that fingerprints are to be made with, so that they match those of an earlier run.
    pub fn salt(&self) -> [u8; 16] {
        self.journal.salt()
    }

    /// Takes up the answer to this request that an interrupted run left, if there is one. True: the row needs no
    /// request. Each answer counts once.
    pub fn adopt(&mut self, seq: Seq, fingerprint: Fingerprint) -> bool {
        match self.answers.take(fingerprint) {
            Some((offset, at)) => {
                self.journal.offsets_mut().set(seq, offset);
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
        self.journal.offsets_mut().pass(seq);
    }

    /// What is known of the value that the old output has for this request, if it has one that a 304 may stand for.
    pub fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous.previous_value(key, fingerprint)
    }

    /// Leaves the old output's value alone: the row keeps its place in the new one. False if there is
    /// no such value, and the row has to be requested.
    ///
    /// # Errors
    /// The journal could not be written.
    pub fn keep(&mut self, seq: Seq, fingerprint: Fingerprint, key: &Key) -> Result<bool, CollectError> {
        let hash = self.previous.hash(key);
        if !self.previous.old.as_ref().is_some_and(|old| old.holds(&hash)) {
            return Ok(false);
        }
        self.record(seq, |encoder, out| encoder.kept(out, fingerprint, key))?;
        Ok(true)
    }

    /// Keeps the cells of a row of the input, where the output is a table, or a part needs them. Rows come in the order
    /// of the input. `repeats`: an earlier row has its key, and its request was the same.
    ///
    /// # Errors
    /// They could not be written.
    pub fn add_row(
        &mut self,
        seq: Seq,
        repeats: Option<&Key>,
        cells: &csv::ByteRecord,
    ) -> Result<(), CollectError> {
        if let Some(used) = self.used.as_mut().filter(|_| repeats.is_none()) {
            return used.add(seq, cells);
        }
        let Some(table) = &mut self.table else { return Ok(()) };
        let repeats = repeats.map(|key| self.previous.hash(key));
        table.spool.add(seq, repeats, cells)
    }

    /// The answer that was taken up for this job has no row in the table, because a column has no cell for it: the job
    /// fails for this reason. Its answer stays in the journal, for a run with other columns.
    ///
    /// # Errors
    /// The journal cannot be read or written.
    pub fn fail_adopted(&mut self, job: &Job) -> Result<Option<Fault>, CollectError> {
        let Some(table) = &mut self.table else { return Ok(None) };
        let Some(fault) = table.fault_at(self.journal.offsets().get(job.seq))? else { return Ok(None) };
        self.has_failures = true;
        self.record(job.seq, |encoder, out| encoder.failed_again(out, job, &fault))?;
        Ok(Some(fault))
    }

    /// Takes an entry in. Deferred ones leave no trace: the next run requests them. Returns the fault of an answer that has
    /// no row in the table.
    ///
    /// # Errors
    /// The journal could not be written (this record or one before it), or an unchanged value could
    /// not be read.
    pub fn append(&mut self, entry: &Entry) -> Result<Option<Fault>, CollectError> {
        if let Some(stream) = &mut self.stream {
            stream.entry(entry)?;
            match &entry.outcome {
                Outcome::Failed(fault) => self.append_failure(entry, fault)?,
                Outcome::Fetched(_) | Outcome::Deferred(_) => self.pass(entry.seq),
            }
            return Ok(None);
        }
        match &entry.outcome {
            Outcome::Fetched(answer) => match AnswerRecord::of(answer) {
                Some(answered) => return self.append_answer(entry, &answered),
                None => self.append_unchanged(entry, answer),
            },
            Outcome::Failed(fault) => self.append_failure(entry, fault),
            Outcome::Deferred(_) => Ok(()),
        }
        .map(|()| None)
    }

    fn append_answer(
        &mut self,
        entry: &Entry,
        answer: &AnswerRecord<'_>,
    ) -> Result<Option<Fault>, CollectError> {
        let made = self.table.as_ref().map_or(Ok(answer.body == NULL), |table| table.is_null(answer.body));
        self.journal.reserve(answer.body.len());
        // An answer without a row is written all the same: a run with other columns need not ask for it again.
        self.record(entry.seq, |encoder, out| encoder.fetched(out, entry, answer))?;
        match made {
            Ok(is_null) => {
                self.counts.all += 1;
                self.counts.nulls += u64::from(is_null);
                Ok(None)
            }
            Err(fault) => {
                let fault = fault.with_status(answer.status);
                self.append_failure(entry, &fault)?;
                Ok(Some(fault))
            }
        }
    }

    fn append_failure(&mut self, entry: &Entry, fault: &Fault) -> Result<(), CollectError> {
        self.has_failures = true;
        self.record(entry.seq, |encoder, out| encoder.failed(out, entry, fault))
    }

    /// Copies the old body of a 304 into the journal, which is then complete whatever happens to the old output. The 304
    /// is about the exchange, not about the body: the record keeps the status that the body came with, and gets this
    /// answer's time.
    fn append_unchanged(&mut self, entry: &Entry, answer: &Answer) -> Result<(), CollectError> {
        let known = self.previous.previous_value(&entry.key, entry.fingerprint);
        let old = self
            .previous
            .body(&entry.key)
            .map_err(CollectError::io(FileOperation::ReadOldFor, self.journal.path()))?;
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
            AnswerRecord { status, at: answer.at, validators: &validators, body: &body, raw: answer.raw };
        self.append_answer(entry, &answered).map(drop)
    }

    /// Takes in a row that must not be requested.
    ///
    /// # Errors
    /// The journal could not be written (this record or one before it).
    pub fn append_refused(&mut self, refused: &RefusedRow<'_>) -> Result<(), CollectError> {
        self.has_failures = true;
        self.stream.as_mut().map_or(Ok(()), |stream| stream.refused(refused))?;
        self.record(refused.seq, |encoder, out| encoder.refused(out, refused))
    }

    fn record(
        &mut self,
        seq: Seq,
        encode: impl FnOnce(&mut RecordEncoder, &mut Vec<u8>),
    ) -> Result<(), CollectError> {
        self.journal.append(seq, encode);
        if self.journal.is_full() { self.flush() } else { Ok(()) }
    }

    /// Hands what was appended so far to the writer thread, without waiting for it.
    ///
    /// # Errors
    /// Something appended before could not be written.
    pub fn flush(&mut self) -> Result<(), CollectError> {
        let flushed = self.journal.flush();
        if let Some(draft) = &mut self.draft {
            draft.go_on(self.journal.offsets(), self.journal.written());
        }
        flushed.and_then(|()| self.stream.as_mut().map_or(Ok(()), RowStream::flush))
    }

    /// Bytes appended and not yet written.
    pub fn backlog(&self) -> usize {
        self.journal.backlog() + self.stream.as_ref().map_or(0, RowStream::backlog)
    }

    /// Bytes handed to the writer thread and not yet written, to be read by other parts of the program.
    pub fn pending_bytes(&self) -> Arc<AtomicUsize> {
        self.stream.as_ref().map_or_else(|| self.journal.pending_bytes(), RowStream::pending_bytes)
    }

    /// Writes and syncs all that was appended. Blocks.
    ///
    /// # Errors
    /// Something could not be written or synced.
    pub fn close(self) -> Result<ClosedRun, CollectError> {
        self.stream.map_or(Ok(()), RowStream::close)?;
        Ok(ClosedRun {
            journal: self.journal.close()?,
            job: self.job,
            has_failures: self.has_failures,
            answers: self.counts,
            published_before: self.published_before,
            previous: self.previous,
            drafting: self.draft.and_then(DraftProgress::into_drafting),
            rows: self.table.map(|table| table.spool).or(self.used.map(|used| used.spool)),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::{self, Write};
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;
    use crate::collect::identity::Provenance;
    use crate::collect::settings::Target;
    use crate::collect::test_run::{TestContext, TestRun, entry, failed, fetched, fingerprint, key};
    use crate::model::Deferral;

    #[test]
    fn a_journal_may_move_between_threads() {
        fn movable<T: Send>() {}
        movable::<Collector>();
        movable::<ClosedRun>();
    }

    #[test]
    fn an_interrupted_run_is_resumed_and_gives_the_same_bytes() {
        let whole = TestRun::new();
        let entries: Vec<Entry> = (0..9).map(|n| fetched(n, &format!("K{n}"), &format!("[{n}]"))).collect();
        whole.publish_entries(&entries);
        let run = TestRun::new();
        for part in entries.chunks(2) {
            let (mut journal, recovered) = run.open();
            assert_eq!(recovered.notes, [""; 0]);
            for entry in part {
                journal.append(entry).unwrap();
            }
        }
        let (mut journal, recovered) = run.open();
        assert_eq!(recovered.answers, 9);
        for entry in &entries {
            assert!(journal.adopt(entry.seq, entry.fingerprint));
            assert!(!journal.adopt(entry.seq, entry.fingerprint), "it counts once");
        }
        run.publish(journal.close().unwrap());
        assert_eq!(run.text("out.json"), whole.text("out.json"));
        assert_eq!(run.names(), ["out.json", "out.json.state"], "the journal is gone");
    }

    #[test]
    fn only_the_same_request_of_the_same_key_counts() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(1, "gone", "2")).unwrap();
        drop(journal);
        let (mut journal, _) = run.open();
        assert!(!journal.adopt(Seq(0), fingerprint("A with another column")));
        assert!(journal.adopt(Seq(5), fingerprint("A")));
        run.publish(journal.close().unwrap());
        assert_eq!(run.text("out.json"), "{\n\"A\":1\n}\n");
    }

    #[test]
    fn failed_and_deferred_rows_are_requested_again() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&failed(0, "A", 500)).unwrap();
        journal.append(&entry(1, "B", Outcome::Deferred(Deferral::Stopped))).unwrap();
        drop(journal);
        let (mut journal, recovered) = run.open();
        assert_eq!(recovered.answers, 0);
        assert!(!journal.adopt(Seq(0), fingerprint("A")) && !journal.adopt(Seq(1), fingerprint("B")));
    }

    #[test]
    fn a_torn_tail_is_dropped_with_a_note_and_overwritten() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        drop(journal);
        let path = run.path("out.json.journal");
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(b"{\"crc\":\"00000000\",\"fetched\":\"00").unwrap();
        let (mut journal, recovered) = run.open();
        assert_eq!(recovered.answers, 1);
        assert!(recovered.notes[0].contains("last 31 bytes"), "{:?}", recovered.notes);
        journal.append(&fetched(1, "B", "2")).unwrap();
        drop(journal);
        let (_, recovered) = run.open();
        assert_eq!((recovered.answers, recovered.notes.len()), (2, 0));
    }

    #[test]
    fn damage_inside_is_reported_and_fresh_sets_it_aside() {
        let mut run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.close().unwrap();
        let path = run.path("out.json.journal");
        let text = run.text("out.json.journal").replace("\"A\":1", "\"A\":7");
        fs::write(&path, &text).unwrap();
        let error = run.try_open().err().unwrap();
        assert_eq!(error.exit().code(), 74);
        assert!(error.hint().unwrap().contains("--fresh"), "{error}");
        assert_eq!(run.text("out.json.journal"), text, "untouched");
        run.settings.fresh = true;
        let (_, recovered) = run.open();
        assert_eq!(recovered.answers, 0);
        assert!(recovered.notes[0].contains("out.json.journal.1"), "{:?}", recovered.notes);
        assert_eq!(run.text("out.json.journal.1"), text);
    }

    #[test]
    fn a_journal_of_another_job_is_set_aside_and_never_used_or_overwritten() {
        let mut run = TestRun::new();
        for (round, job) in ["one", "two", "three"].into_iter().enumerate() {
            run.job = job;
            let (mut journal, recovered) = run.open();
            assert_eq!((recovered.answers, recovered.notes.len()), (0, round.min(1)));
            if round > 0 {
                assert!(recovered.notes[0].contains("other url"), "{:?}", recovered.notes);
            }
            journal.append(&fetched(0, "A", job)).unwrap();
        }
        assert!(run.text("out.json.journal.1").contains("\"A\":one"));
        assert!(run.text("out.json.journal.2").contains("\"A\":two"));
        assert!(run.text("out.json.journal").contains("\"A\":three"));
    }

    #[test]
    fn the_journal_is_private_and_follows_no_link() {
        let run = TestRun::new();
        drop(run.open());
        assert_eq!(fs::metadata(run.path("out.json.journal")).unwrap().mode() & 0o777, 0o600);
        fs::remove_file(run.path("out.json.journal")).unwrap();
        let place = run.place();
        symlink(run.path("elsewhere"), run.path("out.json.journal")).unwrap();
        let identity = JobIdentity {
            digest_input: vec![],
            description: serde_json::Value::Null,
            provenance: Provenance::default(),
        };
        assert!(Collector::open(&run.settings, &place, &identity, None).is_err());
        assert!(!run.path("elsewhere").exists());
    }

    #[test]
    fn an_unfinished_header_is_begun_again() {
        let run = TestRun::new();
        for start in ["", "{\"crc\":\"0123", "\0\0\0\0"] {
            fs::write(run.path("out.json.journal"), start).unwrap();
            let (mut journal, recovered) = run.open();
            assert_eq!(recovered, Recovered::default());
            journal.append(&fetched(0, "A", "1")).unwrap();
            drop(journal);
            assert_eq!(run.open().1.answers, 1);
        }
    }

    #[test]
    fn standard_output_leaves_nothing_to_resume() {
        let run = TestRun::with(|settings| settings.target = Target::Stdout);
        let (mut journal, _) = run.open();
        journal.append(&fetched(1, "B", "2")).unwrap();
        journal.append(&failed(2, "C", 404)).unwrap();
        journal.append(&fetched(0, "A", "1")).unwrap();
        let mut stdout = Vec::new();
        let finished = journal.close().unwrap();
        let published = run.publish_into(finished, &TestContext::default(), &mut stdout).unwrap();
        assert_eq!((published.path, published.failures.rows, published.failures.path), (None, 1, None));
        assert_eq!(String::from_utf8(stdout).unwrap(), "{\n\"A\":1,\n\"B\":2\n}\n");
        assert_eq!(run.names(), [""; 0]);
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
        let run = TestRun::with(|settings| settings.target = Target::Stdout);
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        let finished = journal.close().unwrap();
        let error = run.publish_into(finished, &TestContext::default(), &mut Closed).unwrap_err();
        assert_eq!(error.exit().code(), 74);
    }

    #[test]
    fn a_304_without_an_old_value_is_a_failure() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        let unchanged = crate::collect::test_run::answer(crate::model::Content::Unchanged);
        journal.append(&entry(0, "A", Outcome::Fetched(unchanged))).unwrap();
        assert!(!journal.keep(Seq(1), fingerprint("B"), &key("B")).unwrap());
        let published = run.publish(journal.close().unwrap());
        assert_eq!((published.lines, published.failures.rows), (0, 1));
        assert!(run.text("out.failed.csv").contains("there is no old value"));
    }
}
