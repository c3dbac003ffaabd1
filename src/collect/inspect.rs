//! What a run would find of earlier ones, looked at without a trace: nothing is created, changed, renamed or
//! held, so that a plan can be made beside a run that works.

use std::time::{Duration, SystemTime};

use super::checksum::{Header, VERSION, hex16};
use super::index::Answers;
use super::known::{Previous, PreviousValue};
use super::lock;
use super::opening::{InPlace, Ours, chance, look};
use super::{CollectError, JobIdentity, OutputSettings, Paths, Preflight};
use crate::model::{Fingerprint, Key};

/// What earlier runs left for this one.
#[derive(Debug)]
pub struct Inspection {
    answers: Answers,
    previous: Previous,
    salt: [u8; 16],
    /// When this was looked at: ages count from here.
    pub began: SystemTime,
    /// Answers of an interrupted run that are older than `--max-age`.
    pub expired: u64,
    /// Answers of an interrupted run whose status this run does not keep.
    pub unwanted: u64,
    /// How old the oldest of its other answers is.
    pub oldest: Option<Duration>,
    /// What a person should know, one sentence each.
    pub notes: Vec<String>,
    /// Who is writing this output now, in words, if anyone is.
    pub writer: Option<String>,
    /// The size of the output that is there, in bytes.
    pub old_bytes: Option<u64>,
}

impl Inspection {
    /// Looks at the journal, the old output and its state, as [`Collector::open`](super::Collector::open) would.
    ///
    /// # Errors
    /// An old output that cannot be merged with, a damaged journal, or disk trouble.
    pub fn of(
        settings: &OutputSettings,
        place: &Preflight,
        identity: &JobIdentity,
    ) -> Result<Self, CollectError> {
        let Some(paths) = &place.paths else {
            return Ok(Self {
                answers: Answers::default(),
                expired: 0,
                unwanted: 0,
                oldest: None,
                previous: Previous::none(),
                salt: chance(),
                began: SystemTime::now(),
                notes: Vec::new(),
                writer: None,
                old_bytes: None,
            });
        };
        let (job, began) = (identity.digest(), SystemTime::now());
        let mut notes = Vec::new();
        let mut previous = Previous::load(settings, paths, identity, &mut notes)?;
        let salt = previous.state.as_ref().map_or_else(chance, |state| state.salt);
        let header =
            Header { version: VERSION, salt: hex16(salt), job, description: identity.description.clone() };
        let (mut answers, salt) = match journal(paths, &header, settings.fresh, &mut notes)? {
            Some((answers, salt)) => (answers, salt),
            None => (Answers::default(), salt),
        };
        previous.forget_state_of_other_salt(salt);
        notes.extend(previous.baseline_error.take());
        let expired = answers.expire_by(settings.max_age, began);
        let unwanted = answers.retain_statuses(|status| settings.keeps(status));
        let oldest = answers.oldest().map(|at| began.duration_since(at).unwrap_or_default());
        let old_bytes = paths.output.real.metadata().ok().map(|old| old.len());
        Ok(Self {
            answers,
            expired,
            unwanted,
            oldest,
            previous,
            salt,
            began,
            notes,
            writer: lock::held(paths)?,
            old_bytes,
        })
    }

    /// The key that fingerprints are to be made with.
    #[must_use]
    pub fn salt(&self) -> [u8; 16] {
        self.salt
    }

    /// Whether the guard would hold back an output of so many SKUs, and why.
    ///
    /// # Errors
    /// [`CollectError::TooFewRows`] if it would.
    pub fn check_rows(
        &self,
        settings: &OutputSettings,
        place: &Preflight,
        skus: u64,
    ) -> Result<(), CollectError> {
        let paths = place.paths.as_ref();
        paths.map_or(Ok(()), |paths| self.previous.check_rows(settings, &paths.output.given, Some(skus)))
    }

    /// Whether the journal has the answer to this request; each answer counts once.
    pub fn answered(&mut self, fingerprint: Fingerprint) -> bool {
        self.answers.take(fingerprint).is_some()
    }

    /// What is known of the value that the old output has for this request.
    pub fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        self.previous.previous_value(key, fingerprint)
    }
}

/// The answers in the journal and its salt, if there is one that a run would go on with.
fn journal(
    paths: &Paths,
    header: &Header,
    fresh: bool,
    notes: &mut Vec<String>,
) -> Result<Option<(Answers, [u8; 16])>, CollectError> {
    let path = &paths.journal;
    let found = look(path, header, fresh, false)?;
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
    let Some((path, Ours { salt, scan, .. })) = ours else { return Ok(None) };
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
    use crate::collect::trial::{Trial, fetched, fingerprint};
    use crate::collect::{Lock, preflight, preflight_without_trace};

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

    fn look(trial: &Trial) -> Inspection {
        let identity = JobIdentity {
            digest_input: trial.job.into(),
            description: serde_json::json!({ "url": trial.job, "method": "GET" }),
            provenance: crate::collect::Provenance { request: trial.job.into(), ..Default::default() },
        };
        let place = preflight_without_trace(&trial.settings).unwrap();
        let before = everything(trial.dir.path());
        let inspection = Inspection::of(&trial.settings, &place, &identity).unwrap();
        assert_eq!(everything(trial.dir.path()), before);
        inspection
    }

    #[test]
    fn the_answers_of_an_interrupted_run_are_found_each_once_and_without_a_trace() {
        let trial = Trial::new();
        let (mut journal, _) = trial.open();
        for (seq, key) in [(0, "A"), (1, "B")] {
            journal.append(&fetched(seq, key, "1")).unwrap();
        }
        drop(journal);
        let mut inspection = look(&trial);
        assert!(inspection.answered(fingerprint("A")) && !inspection.answered(fingerprint("A")));
        assert!(inspection.answered(fingerprint("B")) && !inspection.answered(fingerprint("C")));
        assert!(inspection.notes.is_empty() && inspection.writer.is_none(), "{:?}", inspection.notes);
        let trial = Trial { job: "another job", ..trial };
        let mut other = look(&trial);
        assert!(!other.answered(fingerprint("A")));
        assert!(other.notes[0].contains("out.json.journal would be set aside: "), "{:?}", other.notes);
        drop(trial.open());
        let trial = Trial { job: "job", ..trial };
        let mut set_aside = look(&trial);
        assert!(set_aside.answered(fingerprint("A")) && set_aside.answered(fingerprint("B")));
        assert_eq!(set_aside.notes.len(), 1, "the empty one in its place is replaced: {:?}", set_aside.notes);
        assert!(
            set_aside.notes[0].contains("out.json.journal.1 belongs to this job"),
            "{:?}",
            set_aside.notes
        );
        assert_eq!(trial.open().1.answers, 2);
    }

    #[test]
    fn what_fresh_ignores_is_not_counted() {
        let mut trial = Trial::new();
        let (mut journal, _) = trial.open();
        journal.append(&fetched(0, "A", "1")).unwrap();
        drop(journal);
        trial.settings.fresh = true;
        assert!(!look(&trial).answered(fingerprint("A")));
    }

    #[test]
    fn the_age_of_published_values_is_found() {
        let trial = Trial::with(|settings| settings.merge = true);
        trial.run(&[fetched(0, "A", "1")]);
        let mut inspection = look(&trial);
        assert!(inspection.old_bytes.unwrap() > 0);
        let known = inspection.previous_value(&Key::parse(b"A").unwrap(), fingerprint("A")).unwrap();
        let now = inspection.began;
        assert!(!known.is_young(None, now) && !known.is_young(Some(Duration::from_secs(1)), now));
        assert!(known.is_young(Some(Duration::from_hours(24 * 366 * 200)), now));
        assert!(inspection.previous_value(&Key::parse(b"B").unwrap(), fingerprint("B")).is_none());
    }

    #[test]
    fn a_run_that_works_is_seen_and_not_disturbed() {
        let trial = Trial::new();
        let paths = preflight(&trial.settings).unwrap().paths.unwrap();
        let lock = Lock::acquire(&paths, Duration::ZERO).unwrap();
        let writer = look(&trial).writer.unwrap();
        assert!(writer.contains(&std::process::id().to_string()), "{writer}");
        drop(lock);
        assert_eq!(look(&trial).writer, None);
    }
}
