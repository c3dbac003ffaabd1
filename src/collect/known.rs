//! What earlier, completed runs left: the old output and the state file, seen as one.

use std::io;
use std::time::{Duration, SystemTime};

use super::merge::{KeyHash, KeyHasher, Old};
use super::state::State;
use super::{CollectError, OutputSettings, Paths, Shape};
use crate::model::{Fingerprint, Key, Validators};

/// What is known of a value in the old output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// When the answer came that it stems from, or the last one that confirmed it.
    pub at: SystemTime,
    /// What to ask "has it changed?" with; either, both or none.
    pub validators: Validators,
}

impl Known {
    /// Whether the value is younger than this, now. Without a limit nothing is.
    #[must_use]
    pub fn is_young(&self, max_age: Option<Duration>) -> bool {
        // A time in the future (a clock set back) counts as just now.
        max_age.is_some_and(|limit| SystemTime::now().duration_since(self.at).unwrap_or_default() < limit)
    }
}

/// The old output and its state, as far as they are there and of use.
#[derive(Debug)]
pub(super) struct Previous {
    pub(super) hasher: KeyHasher,
    pub(super) old: Option<Old>,
    pub(super) state: Option<State>,
    shape: Shape,
}

impl Previous {
    /// Nothing was left, or nothing of it counts.
    pub(super) fn none(shape: Shape) -> Self {
        Self { hasher: KeyHasher::by_chance(), old: None, state: None, shape }
    }

    /// Reads what was left. Without `merge` the old output is only a source of values that did not
    /// change, so it is read only if there is something to ask with, and never in the way.
    pub(super) fn load(
        settings: &OutputSettings,
        paths: &Paths,
        job: &str,
        notes: &mut Vec<String>,
    ) -> Result<Self, CollectError> {
        let mut previous = Self::none(settings.shape);
        let lost = |why: String| {
            format!("{} is of no use ({why}): ages and validators start anew", paths.state.display())
        };
        let state = State::load(&paths.state, job, &previous.hasher).unwrap_or_else(|why| {
            notes.push(lost(why));
            None
        });
        let state = state.filter(|state| settings.merge || state.validators);
        if !settings.merge && state.is_none() {
            return Ok(previous);
        }
        let old = Old::read(&paths.output.real, settings.format, &previous.hasher);
        previous.old = if settings.merge { old? } else { old.unwrap_or(None) };
        match (&previous.old, state) {
            (Some(old), Some(state)) if old.stamp == state.output => previous.state = Some(state),
            (_, Some(_)) => {
                notes.push(lost("it was written for another output than the one that is there".into()));
            }
            (_, None) => {}
        }
        if !settings.merge && previous.state.is_none() {
            previous.old = None;
        }
        Ok(previous)
    }

    /// The state's fingerprints were made with another salt than this run's.
    pub(super) fn forget_state_of_other_salt(&mut self, salt: [u8; 16]) {
        self.state = self.state.take().filter(|state| state.salt == salt);
    }

    pub(super) fn hash(&self, key: &Key) -> KeyHash {
        self.hasher.hash(key.as_str())
    }

    /// What is known of the key's value, if the old output has one and this request gave it.
    pub(super) fn known(&mut self, key: &Key, fingerprint: Fingerprint) -> Option<Known> {
        let hash = self.hasher.hash(key.as_str());
        if !self.old.as_ref()?.holds(&hash) {
            return None;
        }
        self.state.as_mut()?.known(&hash, fingerprint)
    }

    /// The body that the old output has for this key, and the status it came with where that is known.
    pub(super) fn body(&mut self, key: &Key) -> io::Result<Option<(Option<u16>, Vec<u8>)>> {
        let hash = self.hasher.hash(key.as_str());
        match &mut self.old {
            Some(old) => old.body(&hash, self.shape),
            None => Ok(None),
        }
    }
}
