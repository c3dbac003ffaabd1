//! What ends a run before, or instead of, its summary: every module's error with its exit and hint.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::run_files::is_left_behind;
use crate::collect::CollectError;
use crate::config::options::{
    self, BODY, BULK, CA_CERT, CLIENT_ID, CLIENT_SECRET, COLUMNS, HEADER, ITEM, MAX_TIME, PROXY, RATE_STORE,
    SCOPE, SELECT, Setting, TOKEN_COMMAND, TOKEN_FIELD, TOKEN_URL, URL, nearest,
};
use crate::config::{ConfigError, Origin, Settings, nearest_command};
use crate::fetch::{FilterFault, SelectError, TransportError, filter_meant};
use crate::input::{Columns, InputError};
use crate::model::{Exit, display_safe, shell_word, system_limit};
use crate::plan::{BulkFault, CharsetSource, PlanError, TemplateKind};

/// Characters of a column's name that are shown.
const NAME_CHARS: usize = 80;

/// An error that ends the run: what, where and why; what to do; and the exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandError {
    /// What, where and why.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
    /// How the program ends.
    pub(crate) exit: Exit,
}

impl CommandError {
    /// Without a hint.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit }
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A value that only a lower module could find wrong: named with the place it came from, which also
    /// decides the exit (2 from the command line or the environment, 78 from the file).
    pub(crate) fn of_setting(settings: &Settings, setting: &Setting, message: &str) -> Self {
        let message = match settings.origin(setting) {
            Origin::Default => format!("{setting}: {message}"),
            origin => format!("{origin}: {message}"),
        };
        Self::new(settings.origin(setting).exit(), message)
    }
}

impl From<CollectError> for CommandError {
    fn from(error: CollectError) -> Self {
        Self { message: error.to_string(), hint: error.hint(), exit: error.exit() }
    }
}

impl From<InputError> for CommandError {
    fn from(error: InputError) -> Self {
        let meant = meant(&error).map(|meant| meant.to_string());
        Self { message: error.to_string(), hint: meant.or_else(|| error.hint()), exit: error.exit() }
    }
}

/// What was probably meant by the name of a file that is not there.
pub(super) enum Meant {
    /// A command of this program.
    Command(String),
    /// A file in the same folder.
    File(PathBuf),
}

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(command) => write!(f, "did you mean the command skufetch {command}?"),
            Self::File(path) => write!(f, "did you mean {}?", path.display()),
        }
    }
}

/// What was probably meant by the input, where there is no such file.
pub(super) fn meant(error: &InputError) -> Option<Meant> {
    /// A folder with more is not searched for a hint.
    const MOST_FILES: usize = 10_000;
    let InputError::NotFound { at } = error else { return None };
    let path = Path::new(&*at.input);
    let file = path.file_name()?.to_str()?;
    if let Some(command) = nearest_command(&at.input) {
        return Some(Meant::Command(command));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let entries = std::fs::read_dir(folder.unwrap_or(Path::new("."))).ok()?;
    let mut names: Vec<String> =
        entries.take(MOST_FILES).filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    // A file is opened only where its name is near.
    loop {
        let name = nearest(file, names.iter().map(String::as_str))?.to_owned();
        let near = path.with_file_name(&name);
        if !is_left_behind(&near) {
            return Some(Meant::File(near));
        }
        names.retain(|other| *other != name);
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self { message: error.to_string(), hint: error.hint(), exit: error.exit() }
    }
}

/// The parts of the request that a plan can find wrong come from several settings; the plan's message
/// names which. `Usage` becomes `Config` where that one came from the file.
pub(crate) fn of_plan(error: &PlanError, settings: &Settings) -> CommandError {
    let from_file = |setting: &Setting| matches!(settings.origin(setting), Origin::File { .. });
    let blamed: &Setting = match error {
        // Report the config file only where neither the body nor its type came from elsewhere.
        PlanError::BodyEscape { .. } if from_file(&BODY) && !from_file(&HEADER) => &HEADER,
        PlanError::BodyCharset { place: CharsetSource::ContentType, .. } | PlanError::Header { .. } => {
            &HEADER
        }
        PlanError::BodyEscape { .. } | PlanError::BodyCharset { .. } | PlanError::ValueInCdata => &BODY,
        PlanError::AddressUserInfo(TemplateKind::RateStore) => &RATE_STORE,
        PlanError::AddressUserInfo(_) => &PROXY,
        PlanError::Syntax { place, .. }
        | PlanError::Variable { place, .. }
        | PlanError::UnknownColumn { place, .. }
        | PlanError::AmbiguousColumn { place, .. }
        | PlanError::NoSuchColumn { place, .. } => match place {
            TemplateKind::Header(_) => &HEADER,
            TemplateKind::Body => &BODY,
            TemplateKind::Proxy => &PROXY,
            TemplateKind::RateStore => &RATE_STORE,
            TemplateKind::Item => &ITEM,
            TemplateKind::Url => &URL,
            TemplateKind::TokenUrl => &TOKEN_URL,
            TemplateKind::ClientId => &CLIENT_ID,
            TemplateKind::ClientSecret => &CLIENT_SECRET,
            TemplateKind::Scope => &SCOPE,
            TemplateKind::TokenField(_) => &TOKEN_FIELD,
        },
        PlanError::TokenUrl => &TOKEN_URL,
        PlanError::TokenUnused if *settings.origin(&TOKEN_COMMAND) == Origin::Default => &TOKEN_URL,
        PlanError::TokenUnused => &TOKEN_COMMAND,
        PlanError::Bulk(fault) => match fault {
            BulkFault::NoItems => &BULK,
            BulkFault::NoBulk(TemplateKind::Body) => &BODY,
            BulkFault::InHeader(_) => &HEADER,
            BulkFault::NoBulk(_) | BulkFault::Twice | BulkFault::KeyBeside => &URL,
            BulkFault::Constant => &ITEM,
        },
        PlanError::Url(_) | PlanError::Constant { .. } => &URL,
    };
    let origin = match error {
        PlanError::Header { line, .. } => settings.header_origin(*line),
        _ => None,
    };
    let origin = origin.unwrap_or_else(|| settings.origin(blamed));
    let exit = match error.exit() {
        Exit::Usage => origin.exit(),
        other => other,
    };
    // What was typed just now needs no place, where the message names the template.
    let message = match origin {
        Origin::Default | Origin::Option(_) if *blamed != *PROXY && *blamed != *RATE_STORE => {
            error.to_string()
        }
        origin => format!("{origin}: {error}"),
    };
    CommandError { message, hint: error.hint(), exit }
}

pub(crate) fn of_filter(fault: &FilterFault, settings: &Settings) -> CommandError {
    let FilterFault { option, text, error: why } = fault;
    let error = CommandError::of_setting(settings, setting_of(option), &why.to_string());
    match (filter_meant(text), why) {
        (Some(meant), _) => error.with_hint(format!("did you mean {option} {}?", shell_word(&meant))),
        // The message names those that are there.
        (None, SelectError::Variable(_)) => error,
        (None, _) => error.with_hint(format!("a field is written with a dot before it: {option} .price")),
    }
}

/// A filter of `--columns` that is none.
pub(crate) fn of_column((name, text): (&str, &str), why: &SelectError, settings: &Settings) -> CommandError {
    let shown = display_safe(name, NAME_CHARS);
    let error = CommandError::of_setting(settings, &COLUMNS, &format!("column `{shown}`: {why}"));
    match (filter_meant(text), why) {
        (Some(meant), _) => error.with_hint(format!("did you mean {shown}={meant}?")),
        (None, SelectError::Variable(_)) => error.with_hint(format!(
            "a column sees the body alone; what {SELECT} puts there can be from elsewhere: {SELECT} '. + {{cost: $row.cost}}'"
        )),
        (None, _) => error.with_hint(format!("a field is written with a dot before it: {shown}=.price")),
    }
}

/// A filter names a column that the input does not have.
pub(crate) fn of_row_column(
    (option, name): (&'static str, &str),
    columns: &Columns,
    settings: &Settings,
) -> CommandError {
    let shown = display_safe(name, NAME_CHARS);
    let message = format!("{option} uses the column `{shown}` of $row, and {} has none", settings.input_path);
    let error = CommandError::new(Exit::Data, message);
    match columns.nearest(name).map(|column| &columns.names[column]) {
        Some(near) => error.with_hint(format!("did you mean $row[\"{}\"]?", display_safe(near, NAME_CHARS))),
        None => error.with_hint(format!("if it need not be there, write $row[\"{shown}\"]?")),
    }
}

/// The setting of an option of a filter.
fn setting_of(option: &str) -> &'static Setting {
    options::find(option.trim_start_matches('-')).unwrap_or(&SELECT)
}

pub(crate) fn of_transport(error: &TransportError, settings: &Settings) -> CommandError {
    match error {
        TransportError::CaCert(_) => CommandError::of_setting(settings, &CA_CERT, &error.to_string()),
        TransportError::Origin(_) => CommandError::of_setting(settings, &URL, &error.to_string()),
        TransportError::Proxy(_) => CommandError::of_setting(settings, &PROXY, &error.to_string()),
        TransportError::Tls(_) => CommandError::new(Exit::Unavailable, error.to_string()).with_hint(format!(
            "install the system's certificate authorities (Debian: apt-get install ca-certificates), \
             or name a file of them with {CA_CERT}"
        )),
    }
}

/// The time is over, and nothing came from the pipe.
pub(crate) fn of_silence() -> CommandError {
    CommandError::new(Exit::TryAgain, format!("{MAX_TIME} was over before the input began"))
        .with_hint("nothing was requested; does the program at the other end of the pipe still run?")
}

pub(crate) fn of_start(what: &str, error: &io::Error) -> CommandError {
    // The error of a system that gives no thread.
    let no_thread = (error.kind() == io::ErrorKind::WouldBlock).then_some(system_limit::NO_THREAD);
    let hint = no_thread.or_else(|| system_limit::advice(error)).map(String::from);
    CommandError { message: format!("cannot start {what}: {error}"), hint, exit: Exit::Io }
}
