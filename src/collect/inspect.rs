//! What lies on disk of earlier runs: the journal, the old output and its state, each read once and without a change.
//!
//! A run and a dry run take the same inspection. A run makes of it the changes that are needed
//! ([`Collector::open`](super::Collector::open)); a dry run names them and can be made beside a run in progress.

use std::time::{Duration, SystemTime};

use crate::collect::error::CollectError;
use crate::collect::files::preflight::Preflight;
use crate::collect::files::salt::random_salt;
use crate::collect::identity::JobIdentity;
use crate::collect::journal::header::JournalHeader;
use crate::collect::journal::open::{FoundJournals, find_journals};
use crate::collect::journal::recovered_answers::RecoveredAnswers;
use crate::collect::previous::previous_run::PreviousRun;
use crate::collect::previous::value::PreviousValue;
use crate::collect::publish::guard;
use crate::collect::settings::OutputSettings;
use crate::model::{Fingerprint, Key};

/// What an interrupted run left, as far as it counts in this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Answers that it left.
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

impl Recovered {
    /// Drops those of `answers` that do not count in a run that began at `began`.
    pub(crate) fn select(
        answers: &mut RecoveredAnswers,
        settings: &OutputSettings,
        began: SystemTime,
        notes: Vec<String>,
    ) -> Self {
        let expired = answers.expire_by(settings.max_age, began);
        let unwanted = answers.retain_statuses(|status| settings.keeps(status));
        let oldest = answers.oldest().map(|at| began.duration_since(at).unwrap_or_default());
        Self { answers: answers.len() as u64, expired, unwanted, oldest, notes }
    }
}

/// What earlier runs left for this one. Nothing was created, changed, renamed or locked for it.
#[derive(Debug)]
pub(crate) struct Inspection {
    /// When this was read: ages count from here.
    pub(crate) began: SystemTime,
    pub(super) previous: PreviousRun,
    /// `None` for standard output, which has no journal with a name.
    pub(super) journals: Option<FoundJournals>,
    pub(super) salt: [u8; 16],
    /// What an interrupted run left. Its notes are those about the old output and its state.
    pub(crate) recovered: Recovered,
}

impl Inspection {
    /// Reads the journal, the old output and its state.
    ///
    /// # Errors
    /// An old output that cannot be merged with, a damaged journal, or disk trouble.
    pub(crate) fn of(
        settings: &OutputSettings,
        place: &Preflight,
        identity: &JobIdentity,
    ) -> Result<Self, CollectError> {
        let began = SystemTime::now();
        let Some(paths) = &place.paths else {
            return Ok(Self {
                began,
                previous: PreviousRun::none(),
                journals: None,
                salt: random_salt(),
                recovered: Recovered::default(),
            });
        };
        let mut notes = Vec::new();
        let mut previous = PreviousRun::load(settings, paths, &identity.recorded(), &mut notes)?;
        let salt = previous.state.as_ref().map_or_else(random_salt, |state| state.salt);
        let header = JournalHeader::new(identity, salt);
        let mut journals = find_journals(&paths.journal, &header, settings.fresh)?;
        let (salt, recovered) = match &mut journals.own {
            Some(own) => (own.salt, Recovered::select(&mut own.scan.answers, settings, began, notes)),
            None => (salt, Recovered { notes, ..Recovered::default() }),
        };
        previous.forget_state_of_other_salt(salt);
        Ok(Self { began, previous, journals: Some(journals), salt, recovered })
    }

    /// The key that fingerprints are to be made with.
    #[must_use]
    pub(crate) fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// What a run would change on disk before its first request, and what it could not do at its end, one sentence
    /// each.
    #[must_use]
    pub(crate) fn planned_changes(&self) -> Vec<String> {
        let mut notes = self.journals.as_ref().map_or_else(Vec::new, FoundJournals::planned_changes);
        notes.extend(self.previous.baseline_error.clone());
        notes
    }

    /// The size of the output that is there, in bytes.
    #[must_use]
    pub(crate) fn old_bytes(&self) -> Option<u64> {
        self.previous.old_bytes()
    }

    /// Whether the guard would hold back an output of so many SKUs, if that is known, and why.
    ///
    /// # Errors
    /// [`CollectError::TooFewRows`] if it would.
    pub(crate) fn check_rows(
        &self,
        settings: &OutputSettings,
        place: &Preflight,
        skus: Option<u64>,
    ) -> Result<(), CollectError> {
        let paths = place.paths.as_ref();
        paths.map_or(Ok(()), |paths| {
            guard::check_rows(settings, (&paths.output.given, self.previous.baseline), skus)
        })
    }

    /// Whether the journal has the answer to this request; each answer counts once.
    pub(crate) fn answered(&mut self, fingerprint: Fingerprint) -> bool {
        let own = self.journals.as_mut().and_then(|journals| journals.own.as_mut());
        own.is_some_and(|own| own.scan.answers.take(fingerprint).is_some())
    }

    /// What is known of the value that the old output has for this request.
    pub(crate) fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous.previous_value(key, fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::collect::files::lock::{Lock, lock_holder};
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

    fn inspect(run: &TestRun) -> Inspection {
        let place = preflight_without_trace(&run.settings).unwrap();
        let before = everything(run.dir.path());
        let inspection = Inspection::of(&run.settings, &place, &run.identity()).unwrap();
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
        let mut inspection = inspect(&run);
        assert!(inspection.answered(fingerprint("A")) && !inspection.answered(fingerprint("A")));
        assert!(inspection.answered(fingerprint("B")) && !inspection.answered(fingerprint("C")));
        assert_eq!((inspection.recovered.notes.len(), inspection.planned_changes().len()), (0, 0));
        let run = TestRun { job: "another job", ..run };
        let mut other = inspect(&run);
        assert!(!other.answered(fingerprint("A")));
        let changes = other.planned_changes();
        assert!(changes[0].contains("out.json.journal would be set aside: "), "{changes:?}");
        drop(run.open());
        let run = TestRun { job: "job", ..run };
        let mut set_aside = inspect(&run);
        assert!(set_aside.answered(fingerprint("A")) && set_aside.answered(fingerprint("B")));
        let changes = set_aside.planned_changes();
        assert_eq!(changes.len(), 1, "the empty one in its place is replaced: {changes:?}");
        assert!(changes[0].contains("out.json.journal.1 belongs to this job"), "{changes:?}");
        assert_eq!(run.open().1.answers, 2);
    }

    #[test]
    fn what_fresh_ignores_is_not_counted() {
        let mut run = TestRun::new();
        let (mut journal, _) = run.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        drop(journal);
        run.settings.fresh = true;
        assert!(!inspect(&run).answered(fingerprint("A")));
    }

    #[test]
    fn the_age_of_published_values_is_found() {
        let run = TestRun::with(|settings| settings.merge = true);
        run.publish_entries(&[fetched(0, "A", "1")]);
        let mut inspection = inspect(&run);
        assert!(inspection.old_bytes().unwrap() > 0);
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
        inspect(&run);
        let writer = lock_holder(&paths).unwrap().unwrap();
        assert!(writer.contains(&std::process::id().to_string()), "{writer}");
        drop(lock);
        assert_eq!(lock_holder(&paths).unwrap(), None);
    }
}
