//! What a run would find of earlier ones, read without a trace: nothing is created, changed, renamed or locked, so that
//! a dry run can be made beside a run in progress.

use std::time::SystemTime;

use crate::collect::collector::Recovered;
use crate::collect::error::CollectError;
use crate::collect::files::lock::held;
use crate::collect::files::paths::Paths;
use crate::collect::files::preflight::Preflight;
use crate::collect::files::salt::random_salt;
use crate::collect::identity::JobIdentity;
use crate::collect::journal::header::JournalHeader;
use crate::collect::journal::open::{InPlace, OwnJournal, find_journals};
use crate::collect::journal::recovered_answers::RecoveredAnswers;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::value::PreviousValue;
use crate::collect::publish::guard;
use crate::collect::settings::OutputSettings;
use crate::model::{Fingerprint, Key};

/// What earlier runs left for this one.
#[derive(Debug)]
pub(crate) struct Inspection {
    answers: RecoveredAnswers,
    previous: PreviousRun,
    salt: [u8; 16],
    /// When this was read: ages count from here.
    pub began: SystemTime,
    /// What an interrupted run left.
    pub recovered: Recovered,
    /// Which process writes this output now, as text, if one does.
    pub writer: Option<String>,
    /// The size of the output that is there, in bytes.
    pub old_bytes: Option<u64>,
}

impl Inspection {
    /// Reads the journal, the old output and its state, as [`Collector::open`](super::Collector::open) would.
    ///
    /// # Errors
    /// An old output that cannot be merged with, a damaged journal, or disk trouble.
    pub(crate) fn of(
        settings: &OutputSettings,
        place: &Preflight,
        identity: &JobIdentity,
    ) -> Result<Self, CollectError> {
        let Some(paths) = &place.paths else {
            return Ok(Self {
                answers: RecoveredAnswers::default(),
                recovered: Recovered::default(),
                previous: PreviousRun::none(),
                salt: random_salt(),
                began: SystemTime::now(),
                writer: None,
                old_bytes: None,
            });
        };
        let began = SystemTime::now();
        let mut notes = Vec::new();
        let mut previous = PreviousRun::load(settings, paths, identity, &mut notes)?;
        let salt = previous.state.as_ref().map_or_else(random_salt, |state| state.salt);
        let header = JournalHeader::new(identity, salt);
        let (mut answers, salt) = match journal(paths, &header, settings.fresh, &mut notes)? {
            Some((answers, salt)) => (answers, salt),
            None => (RecoveredAnswers::default(), salt),
        };
        previous.forget_state_of_other_salt(salt);
        notes.extend(previous.baseline_error.take());
        let recovered = Recovered::select(&mut answers, settings, began, notes);
        let old_bytes = paths.output.real.metadata().ok().map(|old| old.len());
        Ok(Self { answers, recovered, previous, salt, began, writer: held(paths)?, old_bytes })
    }

    /// The key that fingerprints are to be made with.
    #[must_use]
    pub(crate) fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// Whether the guard would hold back an output of so many SKUs, and why.
    ///
    /// # Errors
    /// [`CollectError::TooFewRows`] if it would.
    pub(crate) fn check_rows(
        &self,
        settings: &OutputSettings,
        place: &Preflight,
        skus: u64,
    ) -> Result<(), CollectError> {
        let paths = place.paths.as_ref();
        paths.map_or(Ok(()), |paths| {
            guard::check_rows(settings, (&paths.output.given, self.previous.baseline), Some(skus))
        })
    }

    /// Whether the journal has the answer to this request; each answer counts once.
    pub(crate) fn answered(&mut self, fingerprint: Fingerprint) -> bool {
        self.answers.take(fingerprint).is_some()
    }

    /// Answers in the journal of an interrupted run, asked for or not.
    #[must_use]
    pub(crate) fn journalled(&self) -> u64 {
        self.answers.len() as u64
    }

    /// What is known of the value that the old output has for this request.
    pub(crate) fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous.previous_value(key, fingerprint)
    }
}

/// The answers in the journal and its salt, if there is one that a run would resume.
fn journal(
    paths: &Paths,
    header: &JournalHeader,
    fresh: bool,
    notes: &mut Vec<String>,
) -> Result<Option<(RecoveredAnswers, [u8; 16])>, CollectError> {
    let path = &paths.journal;
    let found = find_journals(path, header, fresh, false)?;
    for (_, why) in &found.unreadable {
        notes.push(format!("{why}: it would stay set aside"));
    }
    let ours = match (found.in_place, found.aside) {
        (InPlace::Ours(ours), _) => Some((path.clone(), ours)),
        (in_place, aside) => {
            if let InPlace::Foreign(why) = in_place {
                notes.push(format!("{} would be set aside: {why}", path.display()));
            }
            if let Some((aside, _)) = &aside {
                let aside = aside.display();
                notes.push(format!("{aside} belongs to this job; its answers would be used"));
            }
            aside
        }
    };
    let Some((path, OwnJournal { salt, scan, .. })) = ours else { return Ok(None) };
    if scan.torn > 0 {
        notes.push(format!(
            "the last {} bytes of {} are not whole: they would be dropped",
            scan.torn,
            path.display()
        ));
    }
    Ok(Some((scan.answers, salt)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::collect::files::lock::Lock;
    use crate::collect::files::preflight::{preflight, preflight_without_trace};
    use crate::collect::test_run::{TestRun, fetched, fingerprint};

    /// Names, bytes and times of all that is in a folder, and of the folder itself.
    fn everything(folder: &Path) -> Vec<String> {
        let mut seen: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                format!("{path:?} {:?} {:?}", fs::read(&path).unwrap(), path.metadata().unwrap().modified())
            })
            .collect();
        seen.sort();
        seen.push(format!("{:?}", folder.metadata().unwrap().modified()));
        seen
    }

    fn find_journals(run: &TestRun) -> Inspection {
        let identity = JobIdentity {
            digest_input: run.job.into(),
            description: serde_json::json!({ "url": run.job, "method": "GET" }),
            provenance: crate::collect::Provenance { request: run.job.into(), ..Default::default() },
        };
        let place = preflight_without_trace(&run.settings).unwrap();
        let before = everything(run.dir.path());
        let inspection = Inspection::of(&run.settings, &place, &identity).unwrap();
        assert_eq!(everything(run.dir.path()), before);
        inspection
    }

    #[test]
    fn the_answers_of_an_interrupted_run_are_found_each_once_and_without_a_trace() {
        let run = TestRun::new();
        let (mut journal, _) = run.open();
        for (seq, key) in [(0, "A"), (1, "B")] {
            journal.append(&fetched(seq, key, "1")).unwrap();
        }
        drop(journal);
        let mut inspection = find_journals(&run);
        assert!(inspection.answered(fingerprint("A")) && !inspection.answered(fingerprint("A")));
        assert!(inspection.answered(fingerprint("B")) && !inspection.answered(fingerprint("C")));
        assert!(
            inspection.recovered.notes.is_empty() && inspection.writer.is_none(),
            "{:?}",
            inspection.recovered.notes
        );
        let run = TestRun { job: "another job", ..run };
        let mut other = find_journals(&run);
        assert!(!other.answered(fingerprint("A")));
        assert!(
            other.recovered.notes[0].contains("out.json.journal would be set aside: "),
            "{:?}",
            other.recovered.notes
        );
        drop(run.open());
        let run = TestRun { job: "job", ..run };
        let mut set_aside = find_journals(&run);
        assert!(set_aside.answered(fingerprint("A")) && set_aside.answered(fingerprint("B")));
        assert_eq!(
            set_aside.recovered.notes.len(),
            1,
            "the empty one in its place is replaced: {:?}",
            set_aside.recovered.notes
        );
        assert!(
            set_aside.recovered.notes[0].contains("out.json.journal.1 belongs to this job"),
            "{:?}",
            set_aside.recovered.notes
        );
        assert_eq!(run.open().1.answers, 2);
    }

    #[test]
    fn what_fresh_ignores_is_not_counted() {
        let mut run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        drop(journal);
        run.settings.fresh = true;
        assert!(!find_journals(&run).answered(fingerprint("A")));
    }

    #[test]
    fn the_age_of_published_values_is_found() {
        let run = TestRun::with(|settings| settings.merge = true);
        run.publish_entries(&[fetched(0, "A", "1")]);
        let mut inspection = find_journals(&run);
        assert!(inspection.old_bytes.unwrap() > 0);
        let known = inspection.previous_value(&Key::parse(b"A").unwrap(), fingerprint("A")).unwrap();
        let now = inspection.began;
        assert!(!known.is_young(None, now) && !known.is_young(Some(Duration::from_secs(1)), now));
        assert!(known.is_young(Some(Duration::from_hours(24 * 366 * 200)), now));
        assert!(inspection.previous_value(&Key::parse(b"B").unwrap(), fingerprint("B")).is_none());
    }

    #[test]
    fn a_run_in_progress_is_found_and_not_disturbed() {
        let run = TestRun::new();
        let paths = preflight(&run.settings).unwrap().paths.unwrap();
        let lock = Lock::acquire(&paths, Duration::ZERO).unwrap();
        let writer = find_journals(&run).writer.unwrap();
        assert!(writer.contains(&std::process::id().to_string()), "{writer}");
        drop(lock);
        assert_eq!(find_journals(&run).writer, None);
    }
}
