//! What earlier, completed runs left: the old output and the state file, read together.

use std::io::{self};
use std::path::Path;
use std::sync::Arc;

use crate::collect::error::CollectError;
use crate::collect::files::paths::Paths;
use crate::collect::identity::{Provenance, RecordedJob};
use crate::collect::previous::baseline::{Baseline, FileId, baseline, compare_with, measure_any};
use crate::collect::previous::key_hash::{KeyHash, KeyHasher};
use crate::collect::previous::old_output::OldOutput;
use crate::collect::previous::state::{OutputKind, StateFile, StateIndex};
use crate::collect::previous::value::PreviousValue;
use crate::collect::settings::{Format, OutputSettings};
use crate::collect::table::layout::TableLayout;
use crate::model::option::{BODY_AS, COLUMNS, FORMAT, NEXT, SELECT, SHAPE};
use crate::model::{Fingerprint, Key, Validators};

/// The old output and its state, as far as they are there and of use.
#[derive(Debug)]
pub(crate) struct PreviousRun {
    pub(crate) hasher: KeyHasher,
    /// The index of the old output's values, where they are needed.
    pub(crate) old: Option<OldOutput>,
    pub(crate) state: Option<StateIndex>,
    /// What the guard compares a new output with; none where there is no old one, or no guard.
    pub(crate) baseline: Option<Baseline>,
    /// Why there is none though there is an old output.
    pub(crate) baseline_error: Option<String>,
    /// The old output as it was when it was measured.
    measured: Option<FileId>,
}

fn unchecked_kind(paths: &Paths) -> String {
    format!(
        "{} is not the output that {} was written for: whether its values were made with this run's {SELECT} and \
         {BODY_AS} cannot be checked",
        paths.output.given.display(),
        paths.state.display()
    )
}

impl PreviousRun {
    /// Nothing was left, or nothing of it counts.
    pub(crate) fn none() -> Self {
        let hasher = KeyHasher::random();
        Self { hasher, old: None, state: None, baseline: None, baseline_error: None, measured: None }
    }

    /// Reads what was left. The values are indexed only where the run needs them: for `--merge` and `--changes`,
    /// or to ask with validators.
    ///
    /// # Errors
    /// An old output that `--merge` or `--changes` cannot read, or that was made in another way than this run would.
    pub(crate) fn load(
        settings: &OutputSettings,
        paths: &Paths,
        job: &RecordedJob,
        notes: &mut Vec<String>,
    ) -> Result<Self, CollectError> {
        let mut previous = Self::none();
        if settings.part.is_some() {
            // An earlier part has nothing that a later one starts from.
            return Ok(previous);
        }
        let lost = |why: &str| {
            format!(
                "{} cannot be used ({why}): this run starts without ages and validators",
                paths.state.display()
            )
        };
        // What is neither merged with nor asked for again needs no index of the values.
        let needs_values = settings.merge || settings.sends_requests;
        let of_job = if needs_values { &job.digest } else { "" };
        let found = StateIndex::load(&paths.state, of_job, &previous.hasher).unwrap_or_else(|why| {
            notes.push(lost(&why));
            None
        });
        let is_foreign = needs_values && found.as_ref().is_some_and(|found| found.state.is_none());
        // A table has cells of old bodies, and not the bodies: there is nothing that "not modified" could stand for.
        let has_bodies = settings.format != Format::Csv;
        let asks = has_bodies
            && found.as_ref().and_then(|found| found.state.as_ref()).is_some_and(|state| state.validators);
        let real = &paths.output.real;
        previous.measured = FileId::of(real);
        if settings.merge || settings.changes.is_some() || asks {
            previous.old = index(settings, real, &previous.hasher)?;
        }
        let belongs = |stamp| found.as_ref().is_some_and(|found| found.output == stamp);
        match &previous.old {
            Some(old) => {
                let own = found.as_ref().filter(|_| belongs(old.stamp));
                if settings.merge {
                    let now = OutputKind::of(settings, job);
                    let check = |of: Option<&StateFile>| {
                        check_kind((real, old), of.and_then(|file| file.layout.as_ref()), &now)
                    };
                    check(own)?;
                    // The output may still be one that this run would make, such as one that was held back.
                    if own.is_none() && check(found.as_ref()).is_err() {
                        notes.push(unchecked_kind(paths));
                    }
                }
                previous.baseline = Some(baseline(own, Some(old.profile), job));
            }
            None if settings.guard.is_some() => match compare_with(settings, (real, found.as_ref()), job) {
                Ok(baseline) => previous.baseline = baseline,
                Err(why) => {
                    let path = paths.output.given.display();
                    previous.baseline_error =
                        Some(format!("the new output cannot be compared with {path}: {why}"));
                }
            },
            None => {}
        }
        if is_foreign {
            notes.push(lost("it belongs to another job"));
        } else if let Some(StateFile { output, state: Some(state), .. }) = found
            && (settings.merge || (state.validators && has_bodies))
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

    /// The layout of a table that some rows are merged into: their file may have other line ends than the table, which a
    /// failure file has.
    pub(crate) fn merged_layout(&self, settings: &OutputSettings) -> Option<Arc<TableLayout>> {
        let layout = settings.layout.as_ref().filter(|layout| settings.merge && layout.is_partial)?;
        let line_end = self.old.as_ref()?.line_end()?;
        Some(Arc::new(TableLayout { line_end, ..TableLayout::clone(layout) }))
    }

    /// What the guard compares a new output with, as the old one is now.
    pub(crate) fn current_baseline(&self, path: &Path, settings: &OutputSettings) -> Option<Baseline> {
        let now = FileId::of(path)?;
        if self.measured == Some(now) {
            return self.baseline;
        }
        // Somebody else has put another file there meanwhile.
        let profile = measure_any(path, settings).ok()??;
        Some(Baseline { profile, shares_comparable: true })
    }

    /// Whether the old output, whose values the new one is made of or compared with, is still the one that was read.
    pub(crate) fn is_still_there(&self, path: &Path) -> bool {
        self.measured == FileId::of(path)
    }

    /// The size of the old output, in bytes. `None` if there is none.
    pub(crate) fn old_bytes(&self) -> Option<u64> {
        self.measured.map(|old| old.bytes)
    }

    /// The state's fingerprints were made with another salt than this run's.
    pub(crate) fn forget_state_of_other_salt(&mut self, salt: [u8; 16]) {
        self.state = self.state.take().filter(|state| state.salt == salt);
    }

    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        self.hasher.hash(key.as_str())
    }

    /// What is known of the key's value, if the old output has one and it is the answer to this request.
    pub(crate) fn previous_value(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<PreviousValue> {
        // Most runs have no old output, and a key is hashed for nothing.
        let old = self.old.as_ref()?;
        let hash = self.hash(key);
        if !old.holds(&hash) {
            return None;
        }
        let has_bodies = old.format != Format::Csv;
        let known = self.state.as_mut()?.previous_value(&hash, fingerprint)?;
        Some(if has_bodies { known } else { PreviousValue { validators: Validators::default(), ..known } })
    }

    /// The body that the old output has for this key, and its status where that is known.
    pub(crate) fn body(&mut self, key: &Key) -> io::Result<Option<(Option<u16>, Vec<u8>)>> {
        let hash = self.hash(key);
        // A table has cells of its old bodies, and not the bodies.
        let Some(old) = self.old.as_mut().filter(|old| old.format != Format::Csv) else { return Ok(None) };
        Ok(old.stored(&hash)?.and_then(|stored| Some((stored.status, stored.body?.into_owned()))))
    }
}

/// Indexes the old output. One that is laid out in the other format counts too, but not where its lines would be
/// mixed with this run's.
fn index(
    settings: &OutputSettings,
    path: &Path,
    hasher: &KeyHasher,
) -> Result<Option<OldOutput>, CollectError> {
    let error = match OldOutput::read(path, settings.form(), hasher) {
        Ok(old) => {
            let layout = settings.layout.as_ref().filter(|_| settings.merge);
            let with_rows = old.as_ref().filter(|old| !old.is_empty());
            let other = with_rows.zip(layout).and_then(|(old, layout)| old.other_columns(layout));
            return match other {
                Some(why) => Err(CollectError::IncompatibleOutput { path: path.into(), why }),
                None => Ok(old),
            };
        }
        Err(error) => error,
    };
    for other in settings.forms().skip(1) {
        match OldOutput::read(path, other, hasher) {
            Ok(Some(old)) if settings.merge && old.is_empty() => return Err(error),
            Ok(Some(_)) if settings.merge => {
                return Err(CollectError::IncompatibleOutput {
                    path: path.into(),
                    why: format!("its format is {}, and this run writes {}", other.format(), settings.format),
                });
            }
            Ok(old) => return Ok(old),
            Err(_) => {}
        }
    }
    // Without --merge and --changes an old output is never in the way.
    if settings.merge || settings.changes.is_some() { Err(error) } else { Ok(None) }
}

/// After `--merge` one output has old and new values: they must be of one kind. `layout` is that of the old output,
/// where it is known, and `now` that of this run.
fn check_kind(
    (path, old): (&Path, &OldOutput),
    layout: Option<&OutputKind>,
    now: &OutputKind,
) -> Result<(), CollectError> {
    let refused = |why: String| Err(CollectError::IncompatibleOutput { path: path.into(), why });
    if old.is_empty() {
        return Ok(());
    }
    if let Some(layout) = layout {
        let pairs = [
            (SELECT, &layout.provenance.select, &now.provenance.select),
            (BODY_AS, &layout.provenance.body_as, &now.provenance.body_as),
            (SHAPE, &layout.shape, &now.shape),
            (FORMAT, &layout.format, &now.format),
            (COLUMNS, &layout.provenance.columns, &now.provenance.columns),
        ];
        let pages = |kind: &Provenance| match kind.pages.as_str() {
            "" => format!("no {NEXT}"),
            pages => pages.to_owned(),
        };
        let (before, of_now) = (pages(&layout.provenance), pages(&now.provenance));
        if before != of_now {
            return refused(format!("its values were made with {before}, and this run has {of_now}"));
        }
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
    if old.shape.to_string() != now.shape {
        return refused(format!("its shape is {}, and this run has {SHAPE} {}", old.shape, now.shape));
    }
    Ok(())
}
