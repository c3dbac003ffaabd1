//! The output as far as it is certain, written while answers still come.
//!
//! What stands in the journal, from the first row on and without a gap, will stand in the output as it is. A
//! thread of its own carries it over in the course of the run, so that at the end only the last rows are left, and
//! so that the journal is read while the system still has it in memory. A draft is a convenience: where it cannot
//! go on (little room on the disk, a record that does not read back) it is dropped, and the end of the run
//! does all of it.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use rustix::fs::fstatvfs;

use super::atomic::Replacement;
use super::index::Places;
use super::line::Line;
use super::output::Output;
use super::records::Records;
use super::state::{OutputKind, StateWriter};
use super::{CollectError, Format, JobIdentity, OutputSettings, Paths, Shape};

/// Room on the disk that a draft leaves to the journal and to others.
const RESERVE: u64 = 512 << 20;
/// So much is written between two syncs, and between two looks at the room.
const SYNC_EVERY: u64 = 16 << 20;

/// An output and its state, begun.
pub(super) struct Draft {
    pub(super) output: Output<Replacement>,
    pub(super) state: Result<StateWriter, String>,
    /// Records that were taken in, in the order of the rows.
    pub(super) records: usize,
    /// Of these, where those of failed rows stand, which have no line in the output.
    pub(super) failed: Vec<u64>,
    shape: Shape,
}

/// What a draft is made of and for.
pub(super) struct Plan {
    pub(super) output: PathBuf,
    pub(super) state: PathBuf,
    pub(super) format: Format,
    pub(super) shape: Shape,
    pub(super) salt: [u8; 16],
    pub(super) job: String,
    pub(super) layout: OutputKind,
}

impl Plan {
    pub(super) fn of(
        settings: &OutputSettings,
        paths: &Paths,
        salt: [u8; 16],
        identity: &JobIdentity,
    ) -> Self {
        Self {
            output: paths.output.real.clone(),
            state: paths.state.clone(),
            format: settings.format,
            shape: settings.shape,
            salt,
            job: identity.digest(),
            layout: OutputKind::of(settings, identity),
        }
    }
}

impl Draft {
    /// Creates the temporary files.
    pub(super) fn begin(plan: &Plan) -> Result<Self, CollectError> {
        let state = StateWriter::create(&plan.state, plan.salt, &plan.job, &plan.layout);
        let file = Replacement::create(&plan.output)?;
        let output = Output::new(file, plan.format, plan.shape);
        Ok(Self { output, state, records: 0, failed: Vec::new(), shape: plan.shape })
    }

    /// Takes in the next record of the rows; false if only the end of the run can tell what becomes of it.
    fn take(&mut self, line: &Line<'_>, offset: u64) -> io::Result<bool> {
        match line {
            Line::Fetched(record) => {
                if let Ok(state) = &mut self.state {
                    state.fetched(record);
                }
                self.output.fetched(record)?;
            }
            // Whether a refused row has a line as a record depends on the rows after it.
            Line::Failed(_) if self.shape == Shape::Body => self.failed.push(offset),
            Line::Failed(_) | Line::Kept(_) | Line::Synced(_) => return Ok(false),
        }
        self.records += 1;
        Ok(true)
    }
}

/// The engine's end of a draft. Dropped, it leaves nothing behind.
pub(super) struct Drafting {
    places: Option<Sender<Vec<u64>>>,
    enough: Arc<AtomicBool>,
    thread: Option<JoinHandle<Option<Draft>>>,
}

impl Drafting {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub(super) fn start(plan: Plan, records: Records) -> io::Result<Self> {
        let (places, coming) = channel();
        let enough = Arc::new(AtomicBool::new(false));
        let thread_body = DraftThread { records, enough: Arc::clone(&enough), looked: 0 };
        let thread = std::thread::Builder::new()
            .name("draft".into())
            .spawn(move || thread_body.run(&plan, &coming).ok().flatten())?;
        Ok(Self { places: Some(places), enough, thread: Some(thread) })
    }

    /// These records follow in the order of the rows, and are written.
    pub(super) fn hand_over(&self, places: Vec<u64>) {
        if let Some(to) = &self.places {
            // A draft that was dropped, or can go no further, takes nothing more.
            let _ = to.send(places);
        }
    }

    /// What was drafted until now, if that can be built on.
    pub(super) fn finish(mut self) -> Option<Draft> {
        self.stop()
    }

    fn stop(&mut self) -> Option<Draft> {
        self.enough.store(true, Ordering::Relaxed);
        self.places = None;
        self.thread.take().and_then(|thread| thread.join().ok()).flatten()
    }
}

impl Drop for Drafting {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

/// How far the output is drafted, as the journal knows it.
pub(super) struct Progress {
    /// What begins it, until something is to be drafted.
    plan: Option<(Plan, Records)>,
    drafting: Option<Drafting>,
    /// The first row that was not handed over.
    next: usize,
    /// The end of what was written when this was last looked at, and the least that has to follow.
    looked: u64,
    step: u64,
}

impl Progress {
    /// Nothing is drafted yet; every `step` bytes of the journal it goes on.
    pub(super) fn new(plan: Plan, records: Records, step: u64) -> Self {
        Self { plan: Some((plan, records)), drafting: None, next: 0, looked: 0, step }
    }

    /// The journal is written up to `end`: hands over what is certain by now.
    pub(super) fn go_on(&mut self, places: &Places, end: u64) {
        if end < self.looked.saturating_add(self.step) {
            return;
        }
        self.looked = end;
        let certain = places.certain(&mut self.next, end);
        if certain.is_empty() {
            return;
        }
        if let Some((plan, records)) = self.plan.take() {
            // Without one, the end of the run does all of it.
            self.drafting = Drafting::start(plan, records).ok();
        }
        if let Some(drafting) = &self.drafting {
            drafting.hand_over(certain);
        }
    }

    /// The draft that was begun, if one was.
    pub(super) fn into_drafting(self) -> Option<Drafting> {
        self.drafting
    }
}

struct DraftThread {
    records: Records,
    enough: Arc<AtomicBool>,
    /// Bytes of the output at the last look at the disk.
    looked: u64,
}

impl DraftThread {
    /// Nothing where the draft is to be dropped.
    fn run(mut self, plan: &Plan, coming: &Receiver<Vec<u64>>) -> Result<Option<Draft>, CollectError> {
        let mut draft = Draft::begin(plan)?;
        if !has_room(draft.output.target().file()) {
            return Ok(None);
        }
        for offset in coming.iter().flatten() {
            if self.enough.load(Ordering::Relaxed) {
                break;
            }
            let line = self.records.read(offset)?;
            if !draft.take(&line, offset).map_err(CollectError::io("write", &plan.output))? {
                break;
            }
            if draft.output.bytes() - self.looked >= SYNC_EVERY {
                self.looked = draft.output.bytes();
                let file = draft.output.target();
                if !has_room(file.file()) {
                    return Ok(None);
                }
                // What is on disk by now does not have to be waited for at the end, and what nobody reads any
                // more need not be cleared away then.
                file.file().sync_data().map_err(CollectError::io("sync", &plan.output))?;
                self.records.forget(offset.saturating_sub(SYNC_EVERY));
            }
        }
        Ok(Some(draft))
    }
}

fn has_room(file: &File) -> bool {
    fstatvfs(file).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= RESERVE)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use crate::collect::trial::{How, Trial, failed, fetched, key, refused};
    use crate::collect::{Collector, Format, Shape};
    use crate::model::{Entry, Seq};

    /// As a run does from time to time, until all that was appended is written.
    fn flush(journal: &mut Collector) {
        journal.flush().unwrap();
        while journal.backlog() > 0 {
            std::thread::yield_now();
        }
        journal.flush().unwrap();
    }

    fn drafts(trial: &Trial) -> Vec<String> {
        let is_draft = |name: &String| name.starts_with(".out.json.") && !name.contains("state");
        trial.names().into_iter().filter(is_draft).collect()
    }

    /// Waits until so many bytes of the output are drafted.
    fn wait_for(trial: &Trial, bytes: u64) {
        let limit = Instant::now() + Duration::from_mins(1);
        let size = || {
            drafts(trial)
                .iter()
                .filter_map(|name| fs::metadata(trial.path(name)).ok())
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

    fn drafted() -> Trial {
        Trial::with(|settings| settings.draft_step = 1)
    }

    #[test]
    fn answers_without_a_gap_are_carried_over_while_the_run_goes_on() {
        let (trial, plain) = (drafted(), Trial::new());
        let (mut journal, _) = trial.open();
        for seq in [1, 2, 0, 5] {
            journal.append(&large(seq)).unwrap();
        }
        journal.pass(Seq(3));
        flush(&mut journal);
        wait_for(&trial, 700_000);
        assert!(!trial.path("out.json").exists(), "nothing is published yet");
        journal.append(&large(4)).unwrap();
        trial.publish(journal.close().unwrap());
        plain.run(&[large(0), large(1), large(2), large(4), large(5)]);
        assert!(trial.text("out.json") == plain.text("out.json"));
        assert_eq!(trial.names(), ["out.json", "out.json.state"]);
    }

    #[test]
    fn a_short_run_drafts_nothing() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        flush(&mut journal);
        assert_eq!(trial.names(), ["out.json.journal"]);
    }

    #[test]
    fn a_run_that_stops_or_publishes_nothing_leaves_no_draft() {
        for published in [true, false] {
            let trial = drafted();
            let (mut journal, _) = trial.open();
            journal.append(&large(0)).unwrap();
            flush(&mut journal);
            wait_for(&trial, 1);
            if published {
                trial.leave(journal.close().unwrap());
            } else {
                drop(journal);
            }
            assert_eq!(trial.names(), ["out.json.journal"]);
        }
    }

    #[test]
    fn a_record_that_does_not_read_back_drops_the_draft_and_is_told_at_the_end() {
        let trial = drafted();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "\"new\"")).unwrap();
        journal.flush().unwrap();
        while journal.backlog() > 0 {
            std::thread::yield_now();
        }
        let text = trial.text("out.json.journal").replace("\"new\"", "\"bad\"");
        fs::write(trial.path("out.json.journal"), text).unwrap();
        journal.flush().unwrap();
        let error = trial.try_publish(journal.close().unwrap(), &How::default()).unwrap_err();
        assert_eq!(error.exit().code(), 74);
        assert_eq!(trial.names(), ["out.json.journal"]);
    }

    #[test]
    fn the_output_has_the_mode_that_the_old_one_has_at_the_end() {
        let trial = drafted();
        fs::write(trial.path("out.json"), "{}").unwrap();
        let mode =
            |mode| fs::set_permissions(trial.path("out.json"), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        let (mut journal, _) = trial.open();
        journal.append(&large(0)).unwrap();
        flush(&mut journal);
        wait_for(&trial, 1);
        mode(0o600);
        trial.publish(journal.close().unwrap());
        assert_eq!(fs::metadata(trial.path("out.json")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_was_drafted_makes_no_difference(
            kinds in proptest::collection::vec(0..8u32, 1..60), seed: u64, json: bool, body: bool,
        ) {
            let settings = |step| Trial::with(|settings| {
                settings.draft_step = step;
                settings.format = if json { Format::Json } else { Format::Jsonl };
                settings.shape = if body { Shape::Body } else { Shape::Record };
            });
            let append = |journal: &mut Collector, seq: usize| {
                let number = u32::try_from(seq).unwrap();
                let name = format!("K{seq}");
                match kinds[seq] {
                    0 => journal.append(&failed(number, &name, 404)).unwrap(),
                    1 => {
                        let (key, row) = (key(&name), csv::ByteRecord::from(vec!["R", "x"]));
                        journal.append_refused(&refused(number, Some(&key), &row)).unwrap();
                    }
                    2 => journal.pass(Seq(number)),
                    _ => journal.append(&fetched(number, &name, "[1.10]")).unwrap(),
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

            let trial = settings(1);
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut order: Vec<usize> = (0..kinds.len()).collect();
            order.chunks_mut(7).for_each(|part| chance.shuffle(part));
            let (mut journal, _) = trial.open();
            for seq in order {
                append(&mut journal, seq);
                if chance.u8(..4) == 0 {
                    flush(&mut journal);
                }
            }
            trial.publish(journal.close().unwrap());
            prop_assert_eq!(without_times(trial.text("out.json")), without_times(plain.text("out.json")));
            let failures = |trial: &Trial| fs::read(trial.path("out.failed.csv")).ok();
            prop_assert_eq!(failures(&trial), failures(&plain));
            let state = |trial: &Trial| fs::read_to_string(trial.path("out.json.state")).unwrap().lines().count();
            prop_assert_eq!(state(&trial), state(&plain));
        }
    }
}
