//! Addresses of objects where files are named: whether they can be used, and where the files of such a run lie on this
//! machine.

use std::path::{Path, PathBuf};

use crate::collect::{Target, failed_beside};
use crate::config::environment::Environment;
use crate::config::error::ConfigError;
use crate::config::layers::Layers;
use crate::config::options::{CHANGES, FAILED, JOURNAL_DIR, OUTPUT, REPORT, Setting};
use crate::config::origin::Origin;
use crate::config::refuse::refuse;
use crate::config::settings::Settings;
use crate::input::{InputPath, ObjectInput};
use crate::model::ObjectAddress;

/// The folder of this program below that of the state of all programs.
const FOLDER: &str = env!("CARGO_PKG_NAME");

/// What to do with a program that cannot reach object stores.
const NOT_BUILT_IN: &str = "build it with them: cargo install --path . --features cloud; or copy the file with the store's own tool \
                            and name the copy";

/// Why this program cannot use any address.
const WITHOUT: &str = "this is an address in an object store, and this program was built without them";

/// INPUT as the address of an object, if it is one.
pub(super) fn input(path: &Path) -> Option<Result<InputPath, ConfigError>> {
    let refused = |message: String, hint: Option<String>| ConfigError::CommandLine { message, hint };
    Some(match ObjectAddress::parse(path)? {
        _ if !cfg!(feature = "cloud") => {
            Err(refused(format!("INPUT {}: {WITHOUT}", path.display()), Some(NOT_BUILT_IN.into())))
        }
        Ok(address) => Ok(InputPath::Object(ObjectInput::new(address))),
        Err(error) => Err(refused(format!("INPUT: {error}"), None)),
    })
}

/// Refuses what is meant as the address of an object and is none, or cannot be used by this program; finds the folder
/// where the files of a run lie whose output is an object.
pub(super) fn settle(settings: &mut Settings, layers: &Layers, env: &Environment) -> Result<(), ConfigError> {
    settings.run.journal_dir = layers
        .get(&JOURNAL_DIR)?
        .or_else(|| env.path("XDG_STATE_HOME").map(|folder| folder.join(FOLDER)))
        .or_else(|| env.path("HOME").map(|home| home.join(".local/state").join(FOLDER)));
    let output = match &settings.output.target {
        Target::File(path) => Some(path.clone()),
        Target::Stdout => None,
    };
    // Without --failed, it lies beside the output: what is wrong is the name of that.
    let beside = output.as_deref().map(failed_beside);
    let failed = settings.output.failed.clone().filter(|failed| beside.as_ref() != Some(failed));
    let report = settings.run.report.as_ref().map(|report| report.path.clone());
    let places: [(&Setting, Option<PathBuf>); 4] = [
        (&OUTPUT, output),
        (&FAILED, failed),
        (&CHANGES, settings.output.changes.clone()),
        (&REPORT, report),
    ];
    let mut has_objects = matches!(settings.input_path, InputPath::Object(_));
    for (setting, path) in places {
        let Some(address) = path.as_deref().and_then(ObjectAddress::parse) else { continue };
        let wrong = |why: String| ConfigError::Value { origin: layers.origin(setting), why };
        if !cfg!(feature = "cloud") {
            let why = format!("{}: {WITHOUT}", path.unwrap_or_default().display());
            return Err(refuse(layers, [setting, setting], why, NOT_BUILT_IN));
        }
        let address = address.map_err(|error| wrong(error.to_string()))?;
        let is_input =
            matches!(&settings.input_path, InputPath::Object(input) if *input.address() == address);
        // The file of failed rows may be the input, as on a disk.
        if is_input && *setting != *FAILED {
            let why = "this is INPUT itself, and would be overwritten".into();
            return Err(refuse(layers, [setting, setting], why, "name another object"));
        }
        has_objects = true;
    }
    if has_objects && settings.run.journal_dir.is_none() {
        let origin = layers.origin(&JOURNAL_DIR);
        let exit = Origin::exit(&origin);
        return Err(ConfigError::Contradiction {
            origin,
            why: "neither HOME nor XDG_STATE_HOME names a folder for the journal of a run with objects"
                .into(),
            hint: format!("name one: {JOURNAL_DIR} /var/lib/{FOLDER}"),
            exit,
        });
    }
    Ok(())
}
