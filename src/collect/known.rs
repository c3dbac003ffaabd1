//! What earlier, completed runs left: the old output and the state file, seen as one.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::guard::{Baseline, has_fallen};
use super::merge::{KeyHash, KeyHasher, Old};
use super::profile::Profile;
use super::state::{OutputKind, State, StateFile};
use super::stored::{measure, stamp_of};
use super::{CollectError, Format, JobIdentity, OutputSettings, Paths};
use crate::model::{Fingerprint, Key, Validators};

/// What is known of a value in the old output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousValue {
    /// When the answer came that it stems from, or the last one that confirmed it.
    pub at: SystemTime,
    /// What to ask "has it changed?" with; either, both or none.
    pub validators: Validators,
}

impl PreviousValue {
    /// Whether the value was younger than `max_age` when the run began at `start`. Without a limit nothing is.
    #[must_use]
    pub fn is_young(&self, max_age: Option<Duration>, start: SystemTime) -> bool {
        // A time in the future (a clock set back) counts as just now.
        max_age.is_some_and(|limit| start.duration_since(self.at).unwrap_or_default() < limit)
    }
}

/// The old output and its state, as far as they are there and of use.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) hasher: KeyHasher,
    /// Where each value stands in the old output; only if the values are needed.
    pub(super) old: Option<Old>,
    pub(super) state: Option<State>,
    /// What the guard compares a new output with; none where there is no old one, or no guard.
    baseline: Option<Baseline>,
    /// Why there is none though there is an old output.
    pub(super) baseline_error: Option<String>,
    /// The old output as it was when it was measured.
    measured: Option<FileId>,
}

impl Previous {
    /// Nothing was left, or nothing of it counts.
    pub(super) fn none() -> Self {
        let hasher = KeyHasher::by_chance();
        Self { hasher, old: None, state: None, baseline: None, baseline_error: None, measured: None }
    }

    /// Reads what was left. The values are indexed only where the run needs them: for `--merge` and `--changes`,
    /// or to ask with validators.
    ///
    /// # Errors
    /// An old output that `--merge` or `--changes` cannot read, or that was made in another way than this run would.
    pub(super) fn load(
        settings: &OutputSettings,
        paths: &Paths,
        identity: &JobIdentity,
        notes: &mut Vec<String>,
    ) -> Result<Self, CollectError> {
        let mut previous = Self::none();
        let lost = |why: &str| {
            format!("{} is of no use ({why}): ages and validators start anew", paths.state.display())
        };
        let found = State::load(&paths.state, &identity.digest(), &previous.hasher).unwrap_or_else(|why| {
            notes.push(lost(&why));
            None
        });
        let is_foreign = found.as_ref().is_some_and(|found| found.state.is_none());
        let asks =
            found.as_ref().and_then(|found| found.state.as_ref()).is_some_and(|state| state.validators);
        let real = &paths.output.real;
        previous.measured = FileId::of(real);
        if settings.merge || settings.changes.is_some() || asks {
            previous.old = index(settings, real, &previous.hasher)?;
        }
        let belongs = |stamp| found.as_ref().is_some_and(|found| found.output == stamp);
        match &previous.old {
            Some(old) => {
                let found = found.as_ref().filter(|_| belongs(old.stamp));
                if settings.merge {
                    check_kind(
                        settings,
                        identity,
                        (real, old),
                        found.and_then(|found| found.layout.as_ref()),
                    )?;
                }
                previous.baseline = Some(baseline(found, Some(old.profile), identity));
            }
            None if settings.guard.is_some() => {
                match compare_with(settings, (real, found.as_ref()), identity) {
                    Ok(baseline) => previous.baseline = baseline,
                    Err(why) => {
                        let path = paths.output.given.display();
                        previous.baseline_error =
                            Some(format!("the new output cannot be compared with {path}: {why}"));
                    }
                }
            }
            None => {}
        }
        if is_foreign {
            notes.push(lost("it belongs to another job"));
        } else if let Some(StateFile { output, state: Some(state), .. }) = found
            && (settings.merge || state.validators)
        {
            if previous.old.as_ref().is_some_and(|old| old.stamp == output) {
                previous.state = Some(state);
            } else {
                notes.push(lost("it was written for another output than the one that is there"));
            }
        }
        if previous.state.is_none() && !settings.merge && settings.changes.is_none() {
            previous.old = None;
        }
        Ok(previous)
    }

    /// What the guard compares a new output with, as the old one is now.
    pub(super) fn baseline(&self, path: &Path, format: Format) -> Option<Baseline> {
        let now = FileId::of(path)?;
        if self.measured == Some(now) {
            return self.baseline;
        }
        // Somebody else has put another file there meanwhile.
        let profile = measure_any(path, format).ok()??;
        Some(Baseline { profile, shares_comparable: true })
    }

    /// Whether the old output, whose values the new one is made of or compared with, is still the one that was read.
    pub(super) fn is_still_there(&self, path: &Path) -> bool {
        self.measured == FileId::of(path)
    }

    /// Ends a run before its first request whose output could only be much smaller than the one that is there.
    /// `rows` are those of the input.
    ///
    /// # Errors
    /// [`CollectError::TooFewRows`] if the guard would hold the output back.
    pub(super) fn check_rows(
        &self,
        settings: &OutputSettings,
        path: &Path,
        rows: Option<u64>,
    ) -> Result<(), CollectError> {
        let (Some(percent), Some(old), Some(rows)) = (settings.guard, self.baseline, rows) else {
            return Ok(());
        };
        let keeps_all = settings.merge && !settings.prune;
        let old = old.profile.skus;
        if keeps_all || !has_fallen(old, rows, percent) {
            return Ok(());
        }
        Err(CollectError::TooFewRows { path: path.into(), old, rows })
    }

    /// The state's fingerprints were made with another salt than this run's.
    pub(super) fn forget_state_of_other_salt(&mut self, salt: [u8; 16]) {
        self.state = self.state.take().filter(|state| state.salt == salt);
    }

    pub(super) fn hash(&self, key: &Key) -> KeyHash {
        self.hasher.hash(key.as_str())
    }

    /// What is known of the key's value, if the old output has one and this request gave it.
    pub(super) fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        let hash = self.hasher.hash(key.as_str());
        if !self.old.as_ref()?.holds(&hash) {
            return None;
        }
        self.state.as_mut()?.previous_value(&hash, fingerprint)
    }

    /// The body that the old output has for this key, and the status it came with where that is known.
    pub(super) fn body(&mut self, key: &Key) -> io::Result<Option<(Option<u16>, Vec<u8>)>> {
        let hash = self.hasher.hash(key.as_str());
        let Some(old) = &mut self.old else { return Ok(None) };
        Ok(old.stored(&hash)?.and_then(|stored| Some((stored.status, stored.body?))))
    }
}

/// A file as it is at one moment: another one in its place, or with other bytes, is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    bytes: u64,
    written: (i64, i64),
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let written = (found.mtime(), found.mtime_nsec());
        Some(Self { device: found.dev(), inode: found.ino(), bytes: found.len(), written })
    }
}

/// Indexes the old output. One that is laid out in the other format counts too, but not where its lines would be
/// mixed with this run's.
fn index(settings: &OutputSettings, path: &Path, hasher: &KeyHasher) -> Result<Option<Old>, CollectError> {
    let error = match Old::read(path, settings.format, hasher) {
        Ok(old) => return Ok(old),
        Err(error) => error,
    };
    let other = other_format(settings.format);
    match Old::read(path, other, hasher) {
        Ok(Some(old)) if settings.merge && old.is_empty() => Err(error),
        Ok(Some(_)) if settings.merge => Err(CollectError::IncompatibleOutput {
            path: path.into(),
            why: format!("its format is {other}, and this run writes {}", settings.format),
        }),
        Ok(old) => Ok(old),
        // Without --merge and --changes an old output is never in the way.
        Err(_) if settings.merge || settings.changes.is_some() => Err(error),
        Err(_) => Ok(None),
    }
}

fn other_format(format: Format) -> Format {
    match format {
        Format::Json => Format::Jsonl,
        Format::Jsonl => Format::Json,
    }
}

/// Old and new values stand beside each other after `--merge`: they must be of one kind.
fn check_kind(
    settings: &OutputSettings,
    identity: &JobIdentity,
    (path, old): (&Path, &Old),
    layout: Option<&OutputKind>,
) -> Result<(), CollectError> {
    let refused = |why: String| Err(CollectError::IncompatibleOutput { path: path.into(), why });
    if old.is_empty() {
        return Ok(());
    }
    if let Some(layout) = layout {
        let now = OutputKind::of(settings, identity);
        let pairs = [
            ("--select", &layout.provenance.select, &now.provenance.select),
            ("--body-as", &layout.provenance.body_as, &now.provenance.body_as),
            ("--shape", &layout.shape, &now.shape),
            ("--format", &layout.format, &now.format),
        ];
        return match pairs.into_iter().find(|(_, before, now)| before != now) {
            Some((option, before, now)) => refused(format!(
                "its values were made with {option} {before}, and this run has {option} {now}"
            )),
            None => Ok(()),
        };
    }
    if let Some(key) = &old.misfit {
        return refused(format!(
            "some of its values are records and others are not (for example that of {key})"
        ));
    }
    if old.shape != settings.shape {
        return refused(format!("its shape is {}, and this run has --shape {}", old.shape, settings.shape));
    }
    Ok(())
}

/// What a new output is to be compared with. `found` is the state file, if it belongs to the old output.
fn baseline(found: Option<&StateFile>, measured: Option<Profile>, identity: &JobIdentity) -> Baseline {
    let profile = found.and_then(|found| found.profile).or(measured).unwrap_or_default();
    let layout = found.and_then(|found| found.layout.as_ref());
    Baseline {
        profile,
        shares_comparable: layout.is_none_or(|layout| layout.provenance == identity.provenance),
    }
}

/// The profile of the old output: from the state file if it was taken of this very file, else measured.
///
/// # Errors
/// Why there is none.
fn compare_with(
    settings: &OutputSettings,
    (path, found): (&Path, Option<&StateFile>),
    identity: &JobIdentity,
) -> Result<Option<Baseline>, String> {
    if let Some(found) = found.filter(|found| found.profile.is_some())
        && fs::metadata(path).is_ok_and(|old| old.len() == found.output.bytes)
        && File::open(path).and_then(|file| stamp_of(&file)).is_ok_and(|stamp| stamp == found.output)
    {
        return Ok(Some(baseline(Some(found), None, identity)));
    }
    let measured = measure_any(path, settings.format)?;
    Ok(measured.map(|profile| Baseline { profile, shares_comparable: true }))
}

/// Measures an output of either format. `None` if there is no file, or nothing in it.
fn measure_any(path: &Path, format: Format) -> Result<Option<Profile>, String> {
    let open = || match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    };
    let Some(file) = open()? else { return Ok(None) };
    if file.metadata().is_ok_and(|found| found.len() == 0) {
        return Ok(None);
    }
    let why = match measure(&file, format) {
        Ok(measured) => return Ok(Some(measured.profile)),
        Err(error) => error.to_string(),
    };
    let Some(file) = open()? else { return Ok(None) };
    measure(&file, other_format(format)).map(|measured| Some(measured.profile)).map_err(|_| why)
}

/// How many SKUs an output of either format holds. `None` where it is not there, or is no output.
#[must_use]
pub fn skus_in(path: &Path, format: Format) -> Option<u64> {
    measure_any(path, format).ok().flatten().map(|profile| profile.skus)
}

/// Whether the output that is there has any SKU.
pub(super) fn has_skus(path: &Path, format: Format) -> bool {
    [format, other_format(format)].into_iter().any(|format| {
        File::open(path).is_ok_and(|file| super::stored::first_sku(&file, format, |_, _| true).is_some())
    })
}
