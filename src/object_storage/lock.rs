//! One run at a time on an output: a small object beside it, which is created or updated on condition alone.
//!
//! Whoever wrote the newest state of it holds the lock, for so long after the store has received it (the lease), and renews
//! it meanwhile. A run whose condition fails has lost the lock and writes nothing more. So two runs never both hold it,
//! whatever their clocks say: clocks decide only how soon a dead run is followed. What makes an output visible cannot
//! depend on a condition itself, so the lock is renewed right before, and the request is given up within the lease.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::error::{StoreError, StoreErrorKind};
use super::stores::{FoundObject, ObjectStores, ObjectVersion, WriteCondition};
use crate::model::ObjectAddress;

/// How long a lock holds that is not renewed. Longer than a request is repeated for, so that none outlives it.
const LEASE: Duration = Duration::from_mins(3);
const RENEWED_EVERY: Duration = Duration::from_secs(30);
/// How often a waiting run looks.
const POLL: Duration = Duration::from_secs(1);
/// A state that others wrote meanwhile is looked at again so often.
const MOST_RACES: usize = 20;

/// Who takes a lock.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LockOwner {
    /// One call of the program.
    pub(crate) run: String,
    /// The folder of the files of such runs on one machine. Whoever asks holds the lock of that folder, so that an owner
    /// of the same one is dead.
    pub(crate) folder: String,
    /// The machine, for people.
    pub(crate) host: String,
    pub(crate) pid: u32,
    /// When the run began, for people.
    pub(crate) since: String,
}

/// What the object holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LockState {
    #[serde(flatten)]
    owner: LockOwner,
    /// Makes each state different from all others.
    renewal: u64,
    lease_seconds: u64,
    /// The owner has ended.
    free: bool,
    /// Uploads in parts that were begun and may not be completed: their keys and their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    uploads: Vec<(String, String)>,
    /// The output that was published last: its key, version and size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    published: Option<(String, String, u64)>,
}

/// The right to write one output; given up when dropped.
pub(crate) struct ObjectLock {
    shared: Arc<SharedLock>,
    renewing: Option<JoinHandle<()>>,
}

struct SharedLock {
    stores: Arc<ObjectStores>,
    address: ObjectAddress,
    held: Mutex<Held>,
    changed: Condvar,
}

struct Held {
    state: LockState,
    version: ObjectVersion,
    is_lost: bool,
    is_ended: bool,
}

/// How a lock stands.
enum LockStanding {
    /// Nobody holds it.
    Free,
    /// Another run does.
    Held(String),
}

impl ObjectLock {
    /// Takes the lock, waiting at most `wait` for another run, and gives up what a killed run began to upload. Blocks the
    /// thread.
    ///
    /// # Errors
    /// [`StoreErrorKind::Locked`]; [`StoreErrorKind::Unsupported`] of a store without conditions; or the store refuses it
    /// or does not answer.
    pub(crate) fn acquire(
        stores: &Arc<ObjectStores>,
        address: &ObjectAddress,
        owner: &LockOwner,
        wait: Duration,
    ) -> Result<Self, StoreError> {
        #[expect(clippy::disallowed_methods, reason = "before the event loop begins")]
        let began = Instant::now();
        let mut races = 0;
        loop {
            let found = stores.read(address)?;
            let before = found.as_ref().map(|(found, bytes)| (found, parse(address, bytes)));
            let (condition, before) = match before {
                None => (WriteCondition::Absent, None),
                Some((_, Err(error))) => return Err(error),
                Some((found, Ok(state))) => match state.standing(found, owner) {
                    LockStanding::Free => (WriteCondition::Is(found.version.clone()), Some(state)),
                    LockStanding::Held(by) => {
                        let left = wait.saturating_sub(began.elapsed());
                        if left.is_zero() {
                            return Err(StoreError::new(StoreErrorKind::Locked, address, by));
                        }
                        thread::sleep(POLL.min(left));
                        continue;
                    }
                },
            };
            let is_new = before.is_none();
            let state = LockState::next(owner, before.as_ref());
            match write(stores, address, &state, condition) {
                Ok(version) => {
                    let lock = Self::held(stores, address, state, version)?;
                    if is_new {
                        lock.check_conditions()?;
                    }
                    lock.give_up_old_uploads(before);
                    return Ok(lock);
                }
                Err(error) if error.kind == StoreErrorKind::Changed && races < MOST_RACES => races += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Who holds a lock now, as text.
    ///
    /// # Errors
    /// The store refuses it or does not answer; the object is no lock.
    pub(crate) fn holder(
        stores: &ObjectStores,
        address: &ObjectAddress,
        owner: &LockOwner,
    ) -> Result<Option<String>, StoreError> {
        let Some((found, bytes)) = stores.read(address)? else { return Ok(None) };
        Ok(match parse(address, &bytes)?.standing(&found, owner) {
            LockStanding::Free => None,
            LockStanding::Held(by) => Some(by),
        })
    }

    fn held(
        stores: &Arc<ObjectStores>,
        address: &ObjectAddress,
        state: LockState,
        version: ObjectVersion,
    ) -> Result<Self, StoreError> {
        let held = Mutex::new(Held { state, version, is_lost: false, is_ended: false });
        let shared = Arc::new(SharedLock {
            stores: Arc::clone(stores),
            address: address.clone(),
            held,
            changed: Condvar::new(),
        });
        let renewed = Arc::clone(&shared);
        let renewing = thread::Builder::new()
            .name("lock".into())
            .spawn(move || renewed.keep())
            .map_err(StoreError::file(address))?;
        Ok(Self { shared, renewing: Some(renewing) })
    }

    /// A store may accept a condition and not keep it. Then there is no lock: two writes of which the second must be
    /// refused show it.
    fn check_conditions(&self) -> Result<(), StoreError> {
        let SharedLock { stores, address, .. } = &*self.shared;
        let mut held = self.shared.lock();
        let first = held.version.clone();
        held.state.renewal += 1;
        held.version = write(stores, address, &held.state, WriteCondition::Is(first.clone()))?;
        let again = [WriteCondition::Absent, WriteCondition::Is(first)];
        let refused = again.map(|condition| write(stores, address, &held.state, condition));
        if refused
            .iter()
            .all(|answer| answer.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Changed))
        {
            return Ok(());
        }
        if let Some(error) =
            refused.into_iter().filter_map(Result::err).find(|error| error.kind != StoreErrorKind::Changed)
        {
            return Err(error);
        }
        // Nobody may take it for a lock.
        held.is_ended = true;
        let _ = stores.remove(address);
        let why = "the store ignores conditions of a write (If-Match, If-None-Match), so that no lock holds";
        Err(StoreError::new(StoreErrorKind::Unsupported, address, why))
    }

    fn give_up_old_uploads(&self, before: Option<LockState>) {
        for (key, id) in before.into_iter().flat_map(|before| before.uploads) {
            let name = key.strip_prefix(self.shared.address.prefix()).unwrap_or_default();
            // It may have been completed, or its parts may have expired.
            let _ = self.shared.stores.give_up(&self.shared.address.beside(name), &id);
        }
    }

    /// Notes an upload in parts, so that the next run gives it up if this one is killed.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub(crate) fn note_upload(&self, address: &ObjectAddress, id: &str) -> Result<(), StoreError> {
        self.shared.update(|state| state.uploads.push((address.key().into(), id.into())))
    }

    /// Makes sure that this run holds the lock, for the time of a lease from now on.
    ///
    /// # Errors
    /// [`StoreErrorKind::Locked`] where another run has it; the store does not answer.
    pub(crate) fn confirm(&self) -> Result<(), StoreError> {
        self.shared.update(|_| {})
    }

    /// Notes what was published.
    ///
    /// # Errors
    /// As [`Self::confirm`].
    pub(crate) fn note_published(
        &self,
        address: &ObjectAddress,
        (version, size): (&ObjectVersion, u64),
    ) -> Result<(), StoreError> {
        self.shared.update(|state| {
            state.uploads.clear();
            state.published = Some((address.key().into(), version.text(), size));
        })
    }
}

impl Drop for ObjectLock {
    fn drop(&mut self) {
        // While a renewal waits for the store, so would this: the lock is free after its lease at the latest.
        let Ok(mut held) = self.shared.held.try_lock() else { return };
        let was_held = !(held.is_ended || held.is_lost);
        held.is_ended = true;
        if was_held {
            let mut state = held.state.clone();
            (state.renewal, state.free) = (state.renewal + 1, true);
            state.uploads.clear();
            let SharedLock { stores, address, .. } = &*self.shared;
            if let Ok(bytes) = text_of(address, &state) {
                let _ = stores.write_soon(address, bytes, WriteCondition::Is(held.version.clone()));
            }
        }
        drop(held);
        self.shared.changed.notify_all();
        if let Some(renewing) = self.renewing.take() {
            let _ = renewing.join();
        }
    }
}

impl SharedLock {
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the lock until it is given up or lost.
    fn keep(&self) {
        loop {
            let held = self.lock();
            let waited = self.changed.wait_timeout_while(held, RENEWED_EVERY, |held| !held.is_ended);
            let (held, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if held.is_ended || held.is_lost {
                return;
            }
            drop(held);
            // A store that does not answer now may answer before the lease is over; the next update decides.
            let _ = self.update(|_| {});
        }
    }

    fn update(&self, change: impl FnOnce(&mut LockState)) -> Result<(), StoreError> {
        let mut held = self.lock();
        let lost = |by: &str| StoreError::new(StoreErrorKind::Locked, &self.address, by);
        if held.is_lost {
            return Err(lost("another run took the lock"));
        }
        let mut state = held.state.clone();
        state.renewal += 1;
        change(&mut state);
        let condition = WriteCondition::Is(held.version.clone());
        let version = match write(&self.stores, &self.address, &state, condition) {
            Ok(version) => version,
            Err(error) if error.kind == StoreErrorKind::Changed => {
                // An answer that was lost on its way: what is there may be what was just written.
                let now = self.stores.read(&self.address)?;
                let now = now.and_then(|(found, bytes)| Some((found, parse(&self.address, &bytes).ok()?)));
                match now {
                    Some((found, now))
                        if now.owner.run == state.owner.run && now.renewal == state.renewal =>
                    {
                        found.version
                    }
                    Some((_, now)) => {
                        held.is_lost = true;
                        return Err(lost(&format!("taken by {}", now.owner)));
                    }
                    None => {
                        held.is_lost = true;
                        return Err(lost("it was removed"));
                    }
                }
            }
            Err(error) => return Err(error),
        };
        (held.state, held.version) = (state, version);
        Ok(())
    }
}

impl LockState {
    /// What a new owner writes. What was published stays known.
    fn next(owner: &LockOwner, before: Option<&Self>) -> Self {
        Self {
            owner: owner.clone(),
            renewal: before.map_or(0, |before| before.renewal + 1),
            lease_seconds: LEASE.as_secs(),
            free: false,
            uploads: Vec::new(),
            published: before.and_then(|before| before.published.clone()),
        }
    }

    fn standing(&self, found: &FoundObject, asking: &LockOwner) -> LockStanding {
        let until = found.modified + Duration::from_secs(self.lease_seconds);
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        if self.free || self.owner.folder == asking.folder || left.is_zero() {
            return LockStanding::Free;
        }
        let seconds = left.as_secs() + 1;
        LockStanding::Held(format!(
            "held by {}; unless that run renews it, it is free in {seconds} s",
            self.owner
        ))
    }
}

impl fmt::Display for LockOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| text.chars().filter(char::is_ascii_graphic).take(80).collect::<String>();
        write!(f, "process {} on {} since {}", self.pid, shown(&self.host), shown(&self.since))
    }
}

fn parse(address: &ObjectAddress, bytes: &[u8]) -> Result<LockState, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| {
        let why = "it is no lock of this program, or one of another version: remove it if no run goes on";
        StoreError::new(StoreErrorKind::Unsupported, address, why)
    })
}

fn write(
    stores: &ObjectStores,
    address: &ObjectAddress,
    state: &LockState,
    condition: WriteCondition,
) -> Result<ObjectVersion, StoreError> {
    stores.write(address, text_of(address, state)?, condition)
}

fn text_of(address: &ObjectAddress, state: &LockState) -> Result<Bytes, StoreError> {
    let mut bytes = serde_json::to_vec(state)
        .map_err(|error| StoreError::new(StoreErrorKind::Unsupported, address, error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(run: &str, folder: &str) -> LockOwner {
        let (run, folder) = (run.into(), folder.into());
        LockOwner { run, folder, host: "h\n".into(), pid: 7, since: "2026-11-29T00:00:00Z".into() }
    }

    #[test]
    fn a_lock_is_free_after_its_lease_or_for_the_folder_whose_own_lock_is_held() {
        let mut state = LockState::next(&owner("a", "x"), None);
        let found = |age: u64| FoundObject {
            size: 1,
            version: ObjectVersion(object_store::UpdateVersion { e_tag: None, version: None }),
            modified: SystemTime::now() - Duration::from_secs(age),
        };
        let is_free = |state: &LockState, age, folder| {
            matches!(state.standing(&found(age), &owner("b", folder)), LockStanding::Free)
        };
        assert!(!is_free(&state, 0, "y") && !is_free(&state, 170, "y"));
        assert!(is_free(&state, 0, "x") && is_free(&state, 181, "y"));
        let LockStanding::Held(by) = state.standing(&found(20), &owner("b", "y")) else {
            panic!("it is held")
        };
        assert!(by.starts_with("held by process 7 on h since 2026-11-29T00:00:00Z"), "{by}");
        state.free = true;
        assert!(is_free(&state, 0, "y"));
        state.published = Some(("k".into(), "v".into(), 3));
        let next = LockState::next(&owner("b", "y"), Some(&state));
        assert!(!next.free && next.renewal == 1 && next.published.is_some() && next.uploads.is_empty());
        let text = serde_json::to_vec(&next).unwrap();
        let address = ObjectAddress::parse(std::path::Path::new("s3://b/k.lock")).unwrap().unwrap();
        assert_eq!(parse(&address, &text).unwrap().owner.run, "b");
        assert_eq!(parse(&address, b"{}").unwrap_err().kind, StoreErrorKind::Unsupported);
    }
}
