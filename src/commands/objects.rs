//! Inputs and outputs in object stores: connects the settings, the files of this machine that stand for objects, and the
//! module that speaks to the stores.
//!
//! `--output`, `--failed`, `--changes` and `--report` become files in a folder of `--journal-dir`, one folder for each
//! folder of objects. What works on files then works as ever; `copies` has what happens where one is replaced.

mod copies;
mod faults;

use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::command_error::{self, CommandError};
use super::wiring;
use crate::collect::{self, Lock, ObjectStage, OutputSettings, Preflight, Target};
use crate::config::options::LOCK_WAIT;
use crate::config::{Environment, Settings};
use crate::fetch;
use crate::input::{InputError, InputPath};
use crate::model::{Exit, ObjectAddress};
use crate::object_storage::{LockOwner, ObjectLock, ObjectStores, StoreErrorKind, StoreSettings};

use copies::{Copies, StageFolder};
use faults::{at_start, of_input};

/// What the name of an output's lock ends in, on this machine and in the store.
const LOCK: &str = ".lock";
/// What the name of the file ends in that has the mark of an output's files on this machine.
const OWNER: &str = ".owner";

/// The objects of a run.
pub(super) struct Objects(Arc<Copies>);

/// The lock of an output that is an object, given up when dropped.
pub(super) struct HeldObject(Arc<Copies>);

impl Drop for HeldObject {
    fn drop(&mut self) {
        self.0.release();
    }
}

/// Prepares what a run needs to use objects, and names the files that stand for them in the settings; none: it uses none.
/// No request is sent.
///
/// # Errors
/// A folder that cannot be made, certificates that cannot be used.
pub(super) fn prepare(settings: &mut Settings, env: &Environment) -> Result<Option<Objects>, CommandError> {
    let has_input = matches!(settings.input_path, InputPath::Object(_));
    let output = match &mut settings.output.target {
        Target::File(path) => Some(path),
        Target::Stdout => None,
    };
    let report = settings.run.report.as_mut().map(|report| &mut report.path);
    let places = [output, settings.output.failed.as_mut(), settings.output.changes.as_mut(), report];
    let is_object = |path: &&mut PathBuf| ObjectAddress::is_meant_by(path);
    let places: Vec<&mut PathBuf> = places.into_iter().flatten().filter(is_object).collect();
    let Some(root) = settings.run.journal_dir.clone().filter(|_| has_input || !places.is_empty()) else {
        return Ok(None);
    };
    collect::make_stage_folder(&root)?;
    let store_settings = store_settings(env);
    let mut folders: Vec<StageFolder> = Vec::new();
    for place in places {
        let Some(Ok(address)) = ObjectAddress::parse(place) else { continue };
        let local = stage_folder(&root, &address, &store_settings);
        *place = local.join(address.name());
        if !folders.iter().any(|folder| folder.local == local) {
            collect::make_stage_folder(&local)?;
            folders.push(StageFolder { local, address: address.beside("") });
        }
    }
    let pem = wiring::ca_cert_pem(settings)?;
    let http = fetch::store_client(&settings.connection, pem.as_deref())
        .map_err(|error| command_error::of_transport(&error, settings))?;
    let stores = ObjectStores::new(http, store_settings)
        .map_err(|error| command_error::of_start("the connections to object stores", &error))?;
    let report = settings.run.report.as_ref().map(|report| report.path.clone());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let copies = Arc::new(Copies::new(Arc::new(stores), folders, (report, host)));
    settings.output.stage = Some(ObjectStage::new(Arc::clone(&copies) as _));
    Ok(Some(Objects(copies)))
}

/// What the environment and the files of the user say of the stores.
fn store_settings(env: &Environment) -> StoreSettings {
    let file = |variable: &str, usual: &str| {
        let path = env.path(variable).or_else(|| env.path("HOME").map(|home| home.join(usual)));
        path.and_then(|path| collect::read_note(&path))
    };
    let aws_files =
        [file("AWS_CONFIG_FILE", ".aws/config"), file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")];
    StoreSettings::new(env.with_prefixes(&StoreSettings::PREFIXES), aws_files)
}

/// The folder of the files that stand for the objects beside one. Its name is one for each folder of objects, and says
/// which one.
fn stage_folder(root: &Path, address: &ObjectAddress, settings: &StoreSettings) -> PathBuf {
    let mut hasher = SipHasher13::new();
    let endpoint = settings.endpoint(address.scheme()).unwrap_or_default();
    for part in [address.scheme().name(), address.bucket(), address.prefix(), &endpoint] {
        hasher.write(part.as_bytes());
        hasher.write_u8(0xff);
    }
    let hash = hasher.finish128().as_u128();
    root.join(format!("{}-{}-{hash:032x}", address.scheme().name(), address.bucket()))
}

/// Copies the input to a file without a name, if it is an object and was not copied yet.
///
/// # Errors
/// There is none, it was replaced meanwhile, the store refuses it or does not answer, or the disk is full.
pub(super) fn fetch_input(Objects(copies): &Objects, input: &InputPath) -> Result<(), CommandError> {
    let InputPath::Object(object) = input else { return Ok(()) };
    let (address, stores) = (object.address(), &copies.stores);
    let found = stores.look(address).map_err(|error| of_input(&error))?;
    let Some(found) = found else { return Err(InputError::no_object(input).into()) };
    let file = collect::unnamed_file().map_err(|error| {
        CommandError::new(Exit::Io, format!("cannot copy {input} to a temporary file: {error}"))
    })?;
    stores.copy_to(address, &found, &mut &file).map_err(|error| match error.kind {
        StoreErrorKind::Changed => InputError::object_replaced(input, false).into(),
        _ => of_input(&error),
    })?;
    object.set_copy(file);
    copies.set_input(found);
    Ok(())
}

/// Whether the input still is the object that was copied. A store that does not answer does not say otherwise.
///
/// # Errors
/// It was replaced or removed.
pub(super) fn check_input(Objects(copies): &Objects, input: &InputPath) -> Result<(), InputError> {
    let (InputPath::Object(object), Some(then)) = (input, copies.input()) else { return Ok(()) };
    match copies.stores.look(object.address()) {
        Ok(Some(now)) if now.version != then.version || now.size != then.size => {
            Err(InputError::object_replaced(input, false))
        }
        Ok(None) => Err(InputError::object_replaced(input, true)),
        Ok(Some(_)) | Err(_) => Ok(()),
    }
}

/// Takes the locks of an output that is an object, and copies what is there now to the files that stand for it; none
/// where it is a file.
///
/// # Errors
/// Another run has one of them; the store refuses something or does not answer.
pub(super) fn begin(
    Objects(copies): &Objects,
    output: &OutputSettings,
    place: &Preflight,
) -> Result<Option<(Lock, HeldObject)>, CommandError> {
    let Some((paths, address)) = copies.output_of(place) else { return Ok(None) };
    #[expect(clippy::disallowed_methods, reason = "before the event loop begins")]
    let began = Instant::now();
    let local = Lock::acquire(paths, output.lock_wait)?;
    let wait = output.lock_wait.saturating_sub(began.elapsed());
    let owner = owner(copies, &paths.output.real);
    let lock_address = address.beside(&format!("{}{LOCK}", address.name()));
    let lock =
        ObjectLock::acquire(&copies.stores, &lock_address, &owner, wait).map_err(|error| at_start(&error))?;
    copies.hold(lock, &paths.output.real);
    let held = HeldObject(Arc::clone(copies));
    copy(copies, place)?;
    Ok(Some((local, held)))
}

/// As [`begin`] without a lock, for a run that writes nothing. Returns who holds the lock.
///
/// # Errors
/// The store refuses something or does not answer.
pub(super) fn look(Objects(copies): &Objects, place: &Preflight) -> Result<Option<String>, CommandError> {
    let Some((paths, address)) = copies.output_of(place) else { return Ok(None) };
    if let Some(holder) = collect::lock_holder(paths)? {
        return Ok(Some(holder));
    }
    let owner = owner(copies, &paths.output.real);
    let lock_address = address.beside(&format!("{}{LOCK}", address.name()));
    let holder = ObjectLock::holder(&copies.stores, &lock_address, &owner);
    copy(copies, place)?;
    holder.map_err(|error| at_start(&error))
}

fn copy(copies: &Copies, place: &Preflight) -> Result<(), CommandError> {
    let Some((paths, _)) = copies.output_of(place) else { return Ok(()) };
    let failed = place.failed.as_ref().map(|failed| failed.real.as_path());
    let changes = place.changes.as_ref().map(|changes| changes.real.as_path());
    for file in [Some(&*paths.output.real), Some(&*paths.state), failed, changes].into_iter().flatten() {
        copies.copy(file).map_err(|error| at_start(&error))?;
    }
    Ok(())
}

/// Copies the parts of a run of shards, so that they lie in the folder of this machine as they do in the store.
///
/// # Errors
/// The store refuses something or does not answer; the disk is full.
pub(super) fn fetch_parts(Objects(copies): &Objects, settings: &Settings) -> Result<(), CommandError> {
    let (Target::File(output), Some(run)) = (&settings.output.target, &settings.run.run_id) else {
        return Ok(());
    };
    copies.copy_parts(output, run)
}

/// This run as the owner of a lock. The mark is one for the files of an output on this machine: who holds the lock of
/// those knows that another owner with the same mark has ended.
fn owner(copies: &Copies, output: &Path) -> LockOwner {
    let mut name = output.as_os_str().to_owned();
    name.push(OWNER);
    let path = PathBuf::from(name);
    let folder = collect::read_note(&path).filter(|mark| !mark.is_empty()).unwrap_or_else(|| {
        let mark = collect::random_mark();
        // Without it, the next run on this machine waits for the lease of this one, if it is killed.
        let _ = copies::write_note(&path, &mark);
        mark
    });
    LockOwner {
        run: collect::random_mark(),
        folder,
        host: copies.host.clone(),
        pid: std::process::id(),
        since: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    }
}

/// What a message about a lock that another run holds adds.
fn lock_hint() -> String {
    format!("wait for it, or give {LOCK_WAIT} 10m")
}
