//! The commands: each builds its path through the house from the settings and runs it.

mod ending;
mod failure;
mod fetch;
mod terminal;
mod wiring;

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, ConfigError, Environment, Invocation};
use crate::input::{InputPath, InputSettings, Rows};
use crate::model::Exit;
use crate::report::{self, LogFormat};

use failure::Failure;

/// Does what the arguments ask for and says how the program ends. The first of `arguments` is the
/// program's name; relative paths count from `folder`.
pub fn run(arguments: impl Iterator<Item = OsString>, folder: &Path) -> Exit {
    std::panic::set_hook(Box::new(tell_panic));
    let env = Environment::capture();
    let arguments: Vec<OsString> = arguments.collect();
    match config::load(arguments.iter().cloned(), &env, folder) {
        Ok(Invocation::Text(text)) => print(&text),
        Ok(Invocation::Fetch(settings)) => {
            let settings = Arc::new(*settings);
            let format = settings.run.log_format;
            fetch::fetch(&settings, &env).unwrap_or_else(|failure| complain(&failure, format, &env))
        }
        Err(error) => match (error, config::log_format(&arguments, &env, folder)) {
            (ConfigError::NothingAsked { help }, LogFormat::Text) => {
                let _ = writeln!(io::stderr(), "{help}");
                Exit::Usage
            }
            (error, format) => complain(&of_config(error), format, &env),
        },
    }
}

/// A panic's own words may hold what a server or a CSV said: its place is enough to find it by.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(String::new, |at| format!(" at {}:{}", at.file(), at.line()));
    let text = format!("internal error{place}: please report it with the command line\n");
    let _ = io::stderr().write_all(text.as_bytes());
}

/// A closed pipe on standard output is no crash: who closed it has read enough.
fn print(text: &str) -> Exit {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Io,
        _ => Exit::Complete,
    }
}

fn complain(failure: &Failure, format: LogFormat, env: &Environment) -> Exit {
    let colour = terminal::standard_error(env).colour;
    let text = report::error(&failure.message, failure.hint.as_deref(), format, colour);
    // There is nowhere left to say that this could not be said.
    let _ = io::stderr().write_all(text.as_bytes());
    failure.exit
}

fn of_config(error: ConfigError) -> Failure {
    if let ConfigError::MissingUrl { input, output_missing } = &error
        && let Some(hint) = what_to_type(input, *output_missing)
    {
        return Failure { message: error.to_string(), hint: Some(hint), exit: error.exit() };
    }
    error.into()
}

/// The whole command, with a column that the input has.
fn what_to_type(input: &InputPath, output_missing: bool) -> Option<String> {
    let InputPath::File(path) = input else { return None };
    let rows = Rows::open(input, &InputSettings::default()).ok()?;
    let column = rows.columns().key_name().to_owned();
    let output = if output_missing { " -o out.json" } else { "" };
    let path = path.display();
    Some(format!(
        "type: skufetch {path} --url 'https://api.example.com/products/{{{column}}}'{output}\n\
         or try the built-in API: skufetch {path} --demo{output}"
    ))
}
