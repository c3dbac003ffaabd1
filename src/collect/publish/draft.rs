//! The part of the output that is certain, written while answers still come.
//!
//! The journal's records, from the first row on and without a gap, go into the output unchanged. A thread of its own
//! copies them during the run, so that at the end only the last rows are left, and so that the journal is read while the
//! system still has it in memory. A draft only saves time: where it cannot continue (little space on the disk, a record
//! that does not read back) it is dropped, and the end of the run writes the whole output.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::fs::fstatvfs;

use crate::collect::error::{CollectError, FileOperation};
use crate::collect::files::atomic::{Replacement, SYNC_EVERY};
use crate::collect::files::paths::Paths;
use crate::collect::identity::RecordedJob;
use crate::collect::journal::decode::JournalRecord;
use crate::collect::journal::reader::JournalReader;
use crate::collect::journal::row_offsets::RowOffsets;
use crate::collect::previous::state::OutputKind;
use crate::collect::publish::output_writer::OutputWriter;
use crate::collect::publish::state_writer::StateWriter;
use crate::collect::settings::{OutputSettings, Shape};

/// Free space on the disk that a draft leaves to the journal and to others.
const RESERVE: u64 = 512 << 20;

/// An output and its state, begun.
pub(crate) struct Draft {
    pub(crate) output: OutputWriter<Replacement>,
    pub(crate) state: Result<StateWriter, String>,
    pub(crate) rows: DraftedRows,
    shape: Shape,
}

/// The rows that a draft has taken in.
#[derive(Default)]
pub(crate) struct DraftedRows {
    /// Records that were taken in, in the order of the rows.
    pub(crate) records: usize,
    /// Of these, the offsets of failed rows, which have no line in the output.
    pub(crate) failed: Vec<u64>,
}

/// What a draft is made of and for.
pub(crate) struct DraftPlan {
    pub(crate) output: PathBuf,
    pub(crate) state: PathBuf,
    pub(crate) settings: OutputSettings,
    pub(crate) salt: [u8; 16],
    pub(crate) job: String,
    pub(crate) layout: OutputKind,
}

impl DraftPlan {
    pub(crate) fn of(settings: &OutputSettings, paths: &Paths, salt: [u8; 16], job: &RecordedJob) -> Self {
        Self {
            output: paths.output.real.clone(),
            state: paths.state.clone(),
            settings: settings.clone(),
            salt,
            job: job.digest.clone(),
            layout: OutputKind::of(settings, job),
        }
    }
}

impl Draft {
    /// Creates the temporary files.
    pub(crate) fn begin(plan: &DraftPlan) -> Result<Self, CollectError> {
        let (output, state) = Self::files(plan, Ok)?;
        Ok(Self { output, state, rows: DraftedRows::default(), shape: plan.settings.shape })
    }

    /// The temporary files of an output and of its state. The output is written to what `write` makes of its file.
    pub(crate) fn files<W: Write>(
        plan: &DraftPlan,
        write: impl FnOnce(Replacement) -> Result<W, CollectError>,
    ) -> Result<(OutputWriter<W>, Result<StateWriter, String>), CollectError> {
        let state = StateWriter::create(&plan.state, plan.salt, &plan.job, &plan.layout);
        let copied_to = plan.settings.stage.as_ref();
        let state = state.map(|state| state.in_stage(copied_to));
        let file = Replacement::create(&plan.output)?.in_stage(copied_to);
        let output = OutputWriter::new(write(file)?, &plan.settings)
            .map_err(CollectError::io(FileOperation::Create, &plan.output))?;
        Ok((output, state))
    }

    /// Takes in the next record of the rows; false if it can be decided only at the end of the run.
    fn take(&mut self, line: &JournalRecord<'_>, offset: u64) -> io::Result<bool> {
        match line {
            JournalRecord::Fetched(record) => {
                if let Ok(state) = &mut self.state {
                    state.fetched(record);
                }
                self.output.fetched(record)?;
            }
            // Whether a refused row has a line as a record depends on the rows after it.
            JournalRecord::Failed(_) if self.shape == Shape::Body => self.rows.failed.push(offset),
            JournalRecord::Failed(_) | JournalRecord::Kept(_) | JournalRecord::Synced(_) => return Ok(false),
        }
        self.rows.records += 1;
        Ok(true)
    }
}

/// The engine's side of the draft thread. Dropped, it leaves no file.
pub(crate) struct DraftHandle {
    places: Option<Sender<Vec<u64>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Draft>>>,
}

impl DraftHandle {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(crate) fn start(plan: DraftPlan, records: JournalReader) -> io::Result<Self> {
        let (places, coming) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let thread_body = DraftThread { records, stop: Arc::clone(&stop), checked: 0 };
        let thread = std::thread::Builder::new()
            .name("draft".into())
            .spawn(move || thread_body.run(&plan, &coming).ok().flatten())?;
        Ok(Self { places: Some(places), stop, thread: Some(thread) })
    }

    /// These records follow in the order of the rows, and are written.
    pub(crate) fn hand_over(&self, places: Vec<u64>) {
        if let Some(to) = &self.places {
            // A draft that was dropped, or can go no further, takes nothing more.
            let _ = to.send(places);
        }
    }

    /// What was drafted until now, if that can be built on.
    pub(crate) fn finish(mut self) -> Option<Draft> {
        self.stop()
    }

    fn stop(&mut self) -> Option<Draft> {
        self.stop.store(true, Ordering::Relaxed);
        self.places = None;
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for DraftHandle {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

/// How far the output is drafted.
pub(crate) struct DraftProgress {
    /// What begins it, until something is to be drafted.
    plan: Option<(DraftPlan, JournalReader)>,
    drafting: Option<DraftHandle>,
    /// The first row that was not handed over.
    next: usize,
    /// The end of what was written at the last check, and the least that has to follow.
    checked: u64,
    step: u64,
}

impl DraftProgress {
    /// Nothing is drafted yet; the draft continues after every `step` bytes of the journal.
    pub(crate) fn new(plan: DraftPlan, records: JournalReader, step: u64) -> Self {
        Self { plan: Some((plan, records)), drafting: None, next: 0, checked: 0, step }
    }

    /// The journal is written up to `end`: hands over what is certain by now.
    pub(crate) fn go_on(&mut self, places: &RowOffsets, end: u64) {
        if end < self.checked.saturating_add(self.step) {
            return;
        }
        self.checked = end;
        let certain = places.certain(&mut self.next, end);
        if certain.is_empty() {
            return;
        }
        if let Some((plan, records)) = self.plan.take() {
            // Without one, the end of the run does all of it.
            self.drafting = DraftHandle::start(plan, records).ok();
        }
        if let Some(drafting) = &self.drafting {
            drafting.hand_over(certain);
        }
    }

    /// The draft that was begun, if one was.
    pub(crate) fn into_drafting(self) -> Option<DraftHandle> {
        self.drafting
    }
}

struct DraftThread {
    records: JournalReader,
    stop: Arc<AtomicBool>,
    /// Bytes of the output at the last check of the free space.
    checked: u64,
}

impl DraftThread {
    /// Nothing where the draft is to be dropped.
    fn run(mut self, plan: &DraftPlan, coming: &Receiver<Vec<u64>>) -> Result<Option<Draft>, CollectError> {
        let mut draft = Draft::begin(plan)?;
        if !has_space(draft.output.target().file()) {
            return Ok(None);
        }
        for offset in coming.iter().flatten() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let line = self.records.read(offset)?;
            if !draft.take(&line, offset).map_err(CollectError::io(FileOperation::Write, &plan.output))? {
                break;
            }
            if draft.output.bytes() - self.checked >= SYNC_EVERY {
                self.checked = draft.output.bytes();
                let file = draft.output.target();
                if !has_space(file.file()) {
                    return Ok(None);
                }
                // What is on disk by now need not be waited for at the end, and pages that are not read any
                // more need not be dropped then.
                file.file().sync_data().map_err(CollectError::io(FileOperation::Sync, &plan.output))?;
                self.records.forget(offset.saturating_sub(SYNC_EVERY));
            }
        }
        Ok(Some(draft))
    }
}

fn has_space(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= RESERVE)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use crate::collect::collector::Collector;
    use crate::collect::settings::{Format, Shape};
    use crate::collect::test_run::{TestContext, TestRun, failed, fetched, key, refused};
    use crate::model::{Entry, Seq};

    /// As a run does from time to time, until all that was appended is written.
    fn flush(journal: &mut Collector) {
        journal.flush().unwrap();
        while journal.backlog() > 0 {
            std::thread::yield_now();
        }
        journal.flush().unwrap();
    }

    fn drafts(run: &TestRun) -> Vec<String> {
        let is_draft = |name: &String| name.starts_with(".out.json.") && !name.contains("state");
        run.names().into_iter().filter(is_draft).collect()
    }

    /// Waits until so many bytes of the output are drafted.
    fn wait_for(run: &TestRun, bytes: u64) {
        let limit = Instant::now() + Duration::from_mins(1);
        let size = || {
            drafts(run)
                .iter()
                .filter_map(|name| fs::metadata(run.path(name)).ok())
                .map(|m| m.len())
                .sum::<u64>()
        };
        while size() < bytes {
            assert!(Instant::now() < limit, "{} bytes of {bytes}", size());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn large(seq: u32) -> Entry {
        fetched(seq, &format!("K{seq}"), &format!("\"{}\"", "x".repeat(300_000)))
    }

    fn drafted() -> TestRun {
        TestRun::with(|settings| settings.draft_step = 1)
    }

    #[test]
    fn answers_without_a_gap_are_drafted_during_the_run() {
        let (run, plain) = (drafted(), TestRun::new());
        let (mut journal, _) = run.open();
        for seq in [1, 2, 0, 5] {
            journal.append(&large(seq)).unwrap();
        }
        journal.pass(Seq(3));
        flush(&mut journal);
        wait_for(&run, 700_000);
        assert!(!run.path("out.json").exists(), "nothing is published yet");
        journal.append(&large(4)).unwrap();
        run.publish(journal.close().unwrap());
        plain.publish_entries(&[large(0), large(1), large(2), large(4), large(5)]);
        assert!(run.text("out.json") == plain.text("out.json"));
        assert_eq!(run.names(), ["out.json", "out.json.state"]);
    }

    #[test]
    fn a_short_run_drafts_nothing() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        flush(&mut journal);
        assert_eq!(run.names(), ["out.json.journal"]);
    }

    #[test]
    fn a_run_that_stops_or_publishes_nothing_leaves_no_draft() {
        for published in [true, false] {
            let run = drafted();
            let (mut journal, _) = run.open();
            journal.append(&large(0)).unwrap();
            flush(&mut journal);
            wait_for(&run, 1);
            if published {
                run.leave(journal.close().unwrap());
            } else {
                drop(journal);
            }
            assert_eq!(run.names(), ["out.json.journal"]);
        }
    }

    #[test]
    fn a_record_that_does_not_read_back_drops_the_draft_and_is_reported_at_the_end() {
        let run = drafted();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "\"new\"")).unwrap();
        journal.flush().unwrap();
        while journal.backlog() > 0 {
            std::thread::yield_now();
        }
        let text = run.text("out.json.journal").replace("\"new\"", "\"bad\"");
        fs::write(run.path("out.json.journal"), text).unwrap();
        journal.flush().unwrap();
        let error = run.try_publish(journal.close().unwrap(), &TestContext::default()).unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert_eq!(run.names(), ["out.json.journal"]);
    }

    #[test]
    fn the_output_has_the_mode_that_the_old_one_has_at_the_end() {
        let run = drafted();
        fs::write(run.path("out.json"), "{}").unwrap();
        let mode =
            |mode| fs::set_permissions(run.path("out.json"), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        let (mut journal, _) = run.open();
        journal.append(&large(0)).unwrap();
        flush(&mut journal);
        wait_for(&run, 1);
        mode(0o600);
        run.publish(journal.close().unwrap());
        assert_eq!(fs::metadata(run.path("out.json")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_was_drafted_makes_no_difference(
            kinds in proptest::collection::vec(0..8u32, 1..60), seed: u64, json: bool, body: bool,
        ) {
            let settings = |step| TestRun::with(|settings| {
                settings.draft_step = step;
                settings.format = if json { Format::Json } else { Format::Jsonl };
                settings.shape = if body { Shape::Body } else { Shape::Record };
            });
            let append = |journal: &mut Collector, seq: usize| {
                let number = u32::try_from(seq).unwrap();
                let name = format!("K{seq}");
                match kinds[seq] {
                    0 => drop(journal.append(&failed(number, &name, 404)).unwrap()),
                    1 => {
                        let (key, row) = (key(&name), csv::ByteRecord::from(vec!["R", "x"]));
                        journal.append_refused(&refused(number, Some(&key), &row)).unwrap();
                    }
                    2 => journal.pass(Seq(number)),
                    _ => drop(journal.append(&fetched(number, &name, "[1.10]")).unwrap()),
                }
            };
            let without_times = |text: String| {
                let from = |part: &str| part.split_once('"').map_or(String::new(), |(_, rest)| rest.to_owned());
                let mut parts = text.split("\"fetched_at\":\"");
                let first = parts.next().unwrap_or_default().to_owned();
                parts.map(from).fold(first, |all, part| all + &part)
            };
            let plain = settings(u64::MAX);
            let (mut journal, _) = plain.open();
            (0..kinds.len()).for_each(|seq| append(&mut journal, seq));
            plain.publish(journal.close().unwrap());

            let run = settings(1);
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut order: Vec<usize> = (0..kinds.len()).collect();
            order.chunks_mut(7).for_each(|part| chance.shuffle(part));
            let (mut journal, _) = run.open();
            for seq in order {
                append(&mut journal, seq);
                if chance.u8(..4) == 0 {
                    flush(&mut journal);
                }
            }
            run.publish(journal.close().unwrap());
            prop_assert_eq!(without_times(run.text("out.json")), without_times(plain.text("out.json")));
            let failures = |run: &TestRun| fs::read(run.path("out.failed.csv")).ok();
            prop_assert_eq!(failures(&run), failures(&plain));
            let state = |run: &TestRun| fs::read_to_string(run.path("out.json.state")).unwrap().lines().count();
            prop_assert_eq!(state(&run), state(&plain));
        }
    }
}
